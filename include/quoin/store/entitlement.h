/*
 * What somebody may do, and why (DESIGN §6; CONTRACT K6, K13): the plan in force, its features, its meters and
 * what was used of them. Of an organization when `org` is given, else of the user. Grants give plans; an
 * override is an operator's, and the last word.
 */
#ifndef QUOIN_STORE_ENTITLEMENT_H
#define QUOIN_STORE_ENTITLEMENT_H

#include "quoin/store/db.h"

/* No limit is larger, so that what is reckoned with it fits; licences have the same in SQL. */
#define METER_MOST INT64_C(999999999999999)

struct entitlement_limit {
	const char *meter, *period; /* day, month; none: a balance */
	int64_t max, used;          /* max -1: no limit */
	qn_time resets_at;          /* QN_TIME_NULL: a balance */
};

struct entitlement {
	const char *plan; /* its code */
	const char *tier; /* as the app shows it */
	int64_t rank;
	const char *
	    source; /* subscription, purchase, licence, override, organization; NULL: nobody's doing */
	qn_time ends_at;         /* QN_TIME_NULL: it does not end by itself */
	int64_t seats;           /* of an organization; -1: no limit */
	struct qn_span features; /* JSON list of words */
	struct qn_list limits;   /* struct entitlement_limit, by meter */
};
extern const struct qn_object entitlement_object;

/* QN_NOT_FOUND: there is no such user, or organization, in the app. */
enum qn_err entitlement_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, struct entitlement *ret) QN_MUST_CHECK;

/* Used of a meter in the present day, month, or altogether; 0 of one that nobody knows. */
enum qn_err meter_used(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *meter, int64_t *ret) QN_MUST_CHECK;

struct grant {
	const char *id, *user_id, *organization_id;
	const char *source, *source_id, *plan, *note;
	int64_t seats;
	struct qn_span limits;   /* JSON object, meter: max */
	struct qn_span features; /* JSON list */
	qn_time ends_at;
	qn_tri in_force;
	qn_time created_at;
};

/* Puts an override in the place of the one before. NULL and null members say nothing about that. */
enum qn_err grant_override(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, const struct grant *g) QN_MUST_CHECK;
/* QN_NOT_FOUND: there is none. */
enum qn_err grant_drop_override(
    struct qn_db *db, struct qn_arena *a, const char *app, const char *subject) QN_MUST_CHECK;
/* struct grant, newest first, at most 1000. */
enum qn_err grant_list(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, struct qn_list *ret) QN_MUST_CHECK;

/* Settles for whom a grant came to its end; forgets what meters counted long ago. *ret_n: how many. */
enum qn_err grants_end(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;
enum qn_err meters_prune(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

/* Who is told that a limit is near: the user, or owners and admins of the organization. */
struct warned {
	const char *user_id, *email;
};
enum qn_err warned_of(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *org, struct qn_list *ret) QN_MUST_CHECK;

#endif
