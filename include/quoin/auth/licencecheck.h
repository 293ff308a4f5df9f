/*
 * Whether a licence is valid on a machine (CONTRACT D15, D18, D22; DESIGN §7; SECURITY T21, T22). Postgres decides; what
 * it said is kept by each worker and, for all hosts, in memcached, for a day and under a MAC. Neither is believed
 * once the revocation board says that the licence, its owner's plan, a machine of it or its app's plans changed.
 * While Postgres does not answer, what was known serves, and says so. Who asks is of no importance: whoever has the
 * key gets the same answer.
 */
#ifndef QUOIN_AUTH_LICENCECHECK_H
#define QUOIN_AUTH_LICENCECHECK_H

#include "quoin/auth/licencekey.h"
#include "quoin/auth/registry.h"
#include "quoin/store/cache.h"
#include "quoin/store/licence.h"

/* What it is, and the sentence for a person. A code that is not listed is not said. */
#define QN_LICENCE_CODES(X) \
	X(VALID, "The license is valid.") \
	X(NOT_FOUND, "There is no such license.") \
	X(WRONG_PRODUCT, "The license is for another product, or for another version of it.") \
	X(REVOKED, "The license was revoked.") \
	X(SUSPENDED, "The license is suspended.") \
	X(EXPIRED, "The license has expired.") \
	X(OVERDUE, "Nobody has checked in for too long.") \
	X(TOO_MANY_DEVICES, "The license is in use on as many devices as it allows.") \
	X(HEARTBEAT_MISSED, "Nothing was heard of this device for too long.") \
	X(LEASE_REQUIRED, "This device holds no lease of the floating license.") \
	X(NO_LEASE_LEFT, "All leases of the floating license are taken.") \
	X(NOT_FLOATING, "This license has no leases to take.") \
	X(NEW_DEVICE, "This device has no seat of the license.") \
	X(QUOTA_EXCEEDED, "The license allows no more of that for now.") \
	X(UNKNOWN_METER, "The license counts nothing of that name.")

enum qn_licence_code {
#define X(name, reason) QN_LICENCE_IS_##name,
	QN_LICENCE_CODES(X)
#undef X
	    QN_LICENCE_IS__MAX
};

const char *qn_licence_code_name(enum qn_licence_code c);   /* "VALID" */
const char *qn_licence_code_reason(enum qn_licence_code c); /* static */
/* QN_LICENCE_IS__MAX for one that is not listed. */
enum qn_licence_code qn_licence_code_by_name(const char *name);

struct qn_licences; /* per worker */

/* `log`: the file in which this worker counts validations until they are stored; NULL: in memory. */
struct qn_licences *qn_licences_new(
    const struct qn_conf *conf, struct qn_board *board, const char *log);
void qn_licences_free(struct qn_licences *l);

/* Strings may be NULL but for app, machine and ip; machine and version are of printable ASCII. */
struct qn_licence_ask {
	const struct qn_app *app;
	struct qn_span key;            /* as it came */
	const char *machine, *version; /* at most 256 and 64 bytes */
	const char *name, *platform;   /* of a machine that is new */
	const char *ip;
};

struct qn_licence_answer {
	enum qn_licence_code code;
	bool valid;
	bool stale;            /* Postgres did not answer: it is what was known before */
	const char *id, *plan; /* NULL: not found */
	qn_time expires_at;    /* null: never */
	qn_time
	    cached_until; /* a client need not ask again before, a day at most; now when it is not valid */
	struct qn_span features; /* JSON objects; of what was not found p is NULL */
	struct qn_span quotas;
};

/* In the arena. QN_DB_DOWN and its like when nothing is known. */
enum qn_err qn_licence_check(struct qn_licences *l, struct qn_db *db, struct qn_cache *cache,
    struct qn_arena *a, const struct qn_licence_ask *ask,
    struct qn_licence_answer *ret) QN_MUST_CHECK;

/*
 * The hash of a key that this app may have, for the routes that change something; false: it can have none of it, and
 * *ret_why says why.
 */
bool qn_licence_key_of(const struct qn_app *app, struct qn_span text, uint8_t hash[QN_SHA256_LEN],
    enum qn_licence_code *ret_why);

/* Stores the validations that were counted: some when it is time (whether it was so), or all of them now. */
bool qn_licences_tick(struct qn_licences *l, struct qn_db *db, struct qn_arena *a);
enum qn_err qn_licences_store(
    struct qn_licences *l, struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;

#endif
