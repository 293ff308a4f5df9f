/*
 * Licences, their machines and leases as stored (CONTRACT D14-D22, X10; DESIGN §6). What may be is decided by the
 * functions of the migration, under the lock of the licence's row.
 */
#ifndef QUOIN_STORE_LICENCE_H
#define QUOIN_STORE_LICENCE_H

#include "quoin/store/db.h"
#include "quoin/store/workspace.h"

/* How a licence stands with one machine. */
struct licence_look {
	const char *code; /* "VALID", "NOT_FOUND", "NEW_DEVICE", … (migrations/, license_look) */
	qn_tri valid;
	const char *id, *plan; /* NULL when it was not found, and so is all that follows */
	qn_time expires_at;
	struct qn_span features, quotas; /* JSON objects */
	qn_time good_until;              /* what makes it another answer by itself; null: nothing */
	const char *organization_id, *user_id;
	qn_time last_seen_at; /* of the machine, to ten minutes; null: it has no seat */
};

struct licence_of {
	const char *app;
	const uint8_t *hash;           /* SHA-256 of the key */
	const char *machine, *version; /* NULL: not said */
};

enum qn_err licence_look(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    struct licence_look *ret) QN_MUST_CHECK;
/* Gives the machine a seat, if there is one left. */
enum qn_err licence_seat(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    const char *name, const char *platform, const char *ip, struct licence_look *ret) QN_MUST_CHECK;
enum qn_err licence_heartbeat(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    struct licence_look *ret) QN_MUST_CHECK;
/* Stores validations: a JSON array of {l,m,t,n,c,ip,v,seen} (license_validated). */
enum qn_err licence_validated(
    struct qn_db *db, struct qn_arena *a, struct qn_span rows) QN_MUST_CHECK;

/* What was used of a meter. */
struct licence_take {
	const char *code, *license_id;
	int64_t used, max; /* null: not asked; max -1: no limit */
	qn_time resets_at;
};
enum qn_err licence_take(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    const char *meter, int64_t n, struct licence_take *ret) QN_MUST_CHECK;

struct licence_lease {
	const char *code, *license_id;
	qn_time until; /* null: none is held */
	int64_t taken, max_leases;
};
enum qn_err licence_lease(struct qn_db *db, struct qn_arena *a, const struct licence_of *of,
    const char *ip, bool release, struct licence_lease *ret) QN_MUST_CHECK;

/* The key of the licence that each user has; `key` becomes it when he has none. */
enum qn_err licence_of_user(struct qn_db *db, struct qn_arena *a, const char *app, const char *user,
    const char *key, const char **ret) QN_MUST_CHECK;

/* A licence as it is shown: all that a file for the machine offline has to say is here too. */
struct licence {
	const char *id, *license_key, *name, *user_id, *organization_id;
	const char *plan;                    /* in force: its own, else its owner's */
	const char *status;                  /* ACTIVE, EXPIRED, SUSPENDED, REVOKED */
	const char *kind, *renewal, *expiry; /* see the field table */
	qn_time expires_at;
	int64_t term_days, max_devices, devices, max_leases, leases, lease_seconds;
	int64_t heartbeat_seconds, check_in_days, max_releases;
	qn_tri overage, follows_owner, imported;
	const char *max_version;
	struct qn_span features, quotas, metadata;
	qn_time created_at, updated_at, renewed_at, checked_in_at, suspended_at, revoked_at;
};
extern const struct qn_object licence_object;

/* Who asks: only what is his to look after is there for him; staff: all of the app. */
struct licence_who {
	const char *app, *user;
	bool staff;
};

/* QN_NOT_FOUND. */
enum qn_err licence_by_id(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *id, struct licence *ret) QN_MUST_CHECK;
enum qn_err licence_by_key(struct qn_db *db, struct qn_arena *a, const char *app,
    const uint8_t hash[32], struct licence *ret) QN_MUST_CHECK;

/* NULL: any. */
struct licence_filter {
	const char *user, *organization, *status, *plan;
	struct qn_span metadata; /* a JSON object that it must contain */
};
/* Newest first. */
enum qn_err licence_list(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const struct licence_filter *filter, struct page page, struct qn_list *ret) QN_MUST_CHECK;

/*
 * Makes one of a JSON object of columns (license_issue). QN_PLAN_UNKNOWN, QN_OWNER_UNKNOWN; QN_CONFLICT when the key is
 * taken; QN_INVALID when the parts do not fit one another. `by` is a JSON object: user, ip, agent, request, by.
 */
enum qn_err licence_issue(struct qn_db *db, struct qn_arena *a, const char *app, const char *key,
    struct qn_span in, struct qn_span by, const char **ret_id) QN_MUST_CHECK;

/* verb: renew, suspend, reinstate, revoke, check-in, transfer. QN_NOT_FOUND, QN_LICENCE_STATE, QN_OWNER_UNKNOWN. */
struct licence_change {
	const char *verb;
	qn_time until;                   /* of renew; null: by its term */
	const char *user, *organization; /* of transfer */
	struct qn_span by;
};
enum qn_err licence_change(struct qn_db *db, struct qn_arena *a, const char *app, const char *id,
    const struct licence_change *change) QN_MUST_CHECK;

/* A machine with a seat. */
struct licence_device {
	const char *id, *machine_id, *name, *platform, *version, *ip;
	qn_time first_seen_at, last_seen_at, last_heartbeat_at;
};
extern const struct qn_object licence_device_object;

/* QN_NOT_FOUND when the licence is not `who`'s. */
enum qn_err licence_devices(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *licence, struct qn_list *ret) QN_MUST_CHECK;
/* QN_MACHINE_NOT_FOUND */
enum qn_err licence_device_rename(struct qn_db *db, struct qn_arena *a,
    const struct licence_who *who, const char *licence, const char *device, const char *name,
    struct licence_device *ret) QN_MUST_CHECK;
/* By its id, or by `machine` where that is NULL. who->user NULL: who shows the key. QN_MACHINE_NOT_FOUND, QN_RELEASES. */
enum qn_err licence_release(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *licence, const char *device, const char *machine, struct qn_span by) QN_MUST_CHECK;

/* A lease that is held. */
struct licence_lease_row {
	const char *id, *machine_id, *ip;
	qn_time acquired_at, expires_at;
};
extern const struct qn_object licence_lease_object;
enum qn_err licence_leases(struct qn_db *db, struct qn_arena *a, const struct licence_who *who,
    const char *licence, struct qn_list *ret) QN_MUST_CHECK;

/* One as it stands, without what follows from its owner and the clock: to be taken elsewhere and back. */
struct licence_row {
	const char *id, *license_key, *email, *organization, *plan, *name, *status, *kind, *renewal,
	    *expiry, *max_version;
	qn_time expires_at, created_at;
	int64_t term_days, max_devices, max_leases, lease_seconds, heartbeat_seconds, check_in_days,
	    max_releases;
	qn_tri overage;
	struct qn_span limits, features, metadata;
};
/* In the order of their ids, behind `after` (NULL: from the first), `limit` at most. */
enum qn_err licence_rows(struct qn_db *db, struct qn_arena *a, const char *app, const char *after,
    int64_t limit, struct qn_list *ret) QN_MUST_CHECK;
/*
 * Takes one from elsewhere, key and all: a JSON object of columns, with "email" or "organization" (a slug) for its
 * owner. The errors of licence_issue; a transaction goes on after them.
 */
enum qn_err licence_import(struct qn_db *db, struct qn_arena *a, const char *app, const char *key,
    struct qn_span in) QN_MUST_CHECK;

/*
 * The ids of those that were revoked or are suspended, `most` of them, the newest first; and a number that is never
 * below one that was told before: the database's seconds since 1970.
 */
enum qn_err licence_revoked(struct qn_db *db, struct qn_arena *a, const char *app, int64_t most,
    const char *const **ret, size_t *ret_n, int64_t *ret_sequence) QN_MUST_CHECK;

/* When a file of a licence ends at the latest, for a machine or (NULL) for any; QN_TIME_NULL: never. QN_NOT_FOUND. */
enum qn_err licence_file_until(struct qn_db *db, struct qn_arena *a, const char *licence,
    const char *machine, qn_time *ret) QN_MUST_CHECK;

/* What time alone brings, some hundred at a time; *ret_n of them. */
enum qn_err licence_sweep(struct qn_db *db, struct qn_arena *a, int64_t *ret_n) QN_MUST_CHECK;

#endif
