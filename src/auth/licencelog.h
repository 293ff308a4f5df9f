/*
 * Validations that wait to be stored. They are counted in a file of this worker's in QUOIN_RUN_DIR, mapped, so that they
 * outlive a worker that is killed: whoever takes its place stores them. Of each machine there is one row a second where
 * little is asked, and one in ten where much is. What was being stored when a worker died may be stored twice, and is
 * never lost.
 */
#ifndef QUOIN_AUTH_LICENCELOG_H
#define QUOIN_AUTH_LICENCELOG_H

#include "quoin/auth/tokencache.h"
#include "quoin/store/db.h"

struct qn_licence_log;

/* `path`: of the file, which is made when the first is counted. NULL: in memory alone. */
struct qn_licence_log *qn_licence_log_new(const char *path);
void qn_licence_log_free(struct qn_licence_log *g);

struct qn_licence_used {
	const char *id, *machine, *version, *ip; /* version may be NULL */
	const char *code;                        /* NULL: it was valid */
	qn_time at;
	bool seen; /* the machine's last_seen_at is to be moved on */
};

/*
 * Counts one; `place` is the same for the same id, machine and version. One that finds no room is lost, and told.
 */
void qn_licence_log_add(struct qn_licence_log *g, const struct qn_tokencache_key *place,
    const struct qn_licence_used *used);
/* How many rows wait. */
size_t qn_licence_log_waiting(const struct qn_licence_log *g);

/* Stores some when it is time; whether it was. Called after each request: what it does at a time is short. */
bool qn_licence_log_tick(struct qn_licence_log *g, struct qn_db *db, struct qn_arena *a);
/* Stores all. */
enum qn_err qn_licence_log_store(
    struct qn_licence_log *g, struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;

#endif
