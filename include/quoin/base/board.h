/*
 * The board: shared memory of one pool, mapped before the fork. Workers leave their stage and
 * counters there, any worker of any pool of the host can read them (/metrics), and the revocation
 * counters (DESIGN §7) live there. It is a file in QUOIN_RUN_DIR, so other pools may map it read-only.
 * Counters are relaxed atomics; nothing here may be trusted to survive a restart.
 */
#ifndef QUOIN_BASE_BOARD_H
#define QUOIN_BASE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "quoin/base/clock.h"

enum qn_pool {
	QN_POOL_NONE,
	QN_POOL_API,
	QN_POOL_SLOW,
	QN_POOL_INGEST,
	QN_POOL_JOBS,
	QN_POOL__MAX
};

const char *qn_pool_name(enum qn_pool p);       /* "api" */
enum qn_pool qn_pool_by_name(const char *name); /* QN_POOL_NONE when there is none */

enum qn_stage {
	QN_STAGE_EMPTY,
	QN_STAGE_START,
	QN_STAGE_IDLE,
	QN_STAGE_READ,
	QN_STAGE_HANDLE,
	QN_STAGE_LEAVE
};

#define QN_BOARD_WORKERS 512
#define QN_BOARD_ROUTES  256
#define QN_BOARD_BUCKETS 14 /* upper bounds in µs: qn_board_bounds, the last is +Inf */
#define QN_BOARD_REVOKE  65536
#define QN_BOARD_SEATS   (QN_BOARD_WORKERS / 2)

/* What only some of a pool's workers may do at a time (auth/turn.h). */
enum qn_turn { QN_TURN_HASH, QN_TURN_CALL, QN_TURN__MAX };

struct qn_board_worker {
	_Atomic(int32_t) pid;      /* 0: the slot is free */
	_Atomic(int32_t) stage;    /* enum qn_stage */
	_Atomic(int32_t) route;    /* index of the route in hand, -1 none */
	_Atomic(int64_t) since_us; /* monotonic: when the stage was entered */
	_Atomic(uint64_t) requests;
	_Atomic(uint64_t) arena_peak; /* bytes, the largest request so far */
	_Atomic(int32_t) waits;       /* for a turn of this kind, plus one (auth/turn.h); 0 none */
};

/* Who has a turn of one kind. */
struct qn_board_turns {
	_Atomic(int32_t) seat[QN_BOARD_SEATS]; /* of a worker: slot + 1, 0 free */
	_Atomic(uint32_t) freed;               /* a futex: bumped when a seat is given back */
};

struct qn_board_route {
	_Atomic(uint64_t) status[6]; /* by class: [2] counts 2xx */
	_Atomic(uint64_t)
	    bucket[QN_BOARD_BUCKETS]; /* each request in one of them: not yet cumulative */
	_Atomic(uint64_t) total_us;
	_Atomic(uint64_t) arena_peak; /* bytes, the largest request of the route */
};

/* One counter of the pool: enumerator, name in /metrics, help. */
#define QN_BOARD_COUNTERS(X) \
	X(WORKER_STARTS, "worker_starts_total", "Workers started.") \
	X(WORKER_DEATHS, "worker_deaths_total", "Workers that ended without being told to.") \
	X(WATCHDOG_KILLS, "watchdog_kills_total", \
	    "Workers killed because one request took too long.") \
	X(BAD_CONNECTIONS, "bad_connections_total", \
	    "FastCGI connections dropped before a request.") \
	X(LOST_REPLIES, "lost_replies_total", "Replies whose client had gone.") \
	X(REPLAYS, "idempotent_replays_total", "Replies repeated for an Idempotency-Key.") \
	X(RETRIES, "transaction_retries_total", "Requests run again after contention.") \
	X(DB_QUERIES, "db_queries_total", "Statements sent to Postgres.") \
	X(DB_US, "db_microseconds_total", "Time spent waiting for Postgres.") \
	X(DB_ERRORS, "db_errors_total", "Statements that failed, expected refusals aside.") \
	X(DB_CONNECTS, "db_connects_total", "Connections opened to Postgres.") \
	X(CACHE_HITS, "cache_hits_total", "Keys found in memcached.") \
	X(CACHE_MISSES, "cache_misses_total", "Keys not found in memcached.") \
	X(CACHE_ERRORS, "cache_errors_total", "Operations that memcached did not answer.") \
	X(TOKEN_HITS, "token_cache_hits_total", "Bearer tokens found already verified.") \
	X(TOKEN_MISSES, "token_cache_misses_total", "Bearer tokens verified.") \
	X(TURNS_REFUSED, "hash_turns_refused_total", \
	    "Requests refused because too many hash passwords already.") \
	X(CALLS_REFUSED, "call_turns_refused_total", \
	    "Requests refused because too many wait for third parties already.") \
	X(RATE_LIMITED, "rate_limited_total", "Requests refused by a rate limit.") \
	X(RATE_SPILLS, "rate_spills_total", \
	    "Requests counted on a shared line, as all lines for their caller were in use.") \
	X(RATE_SHARED, "rate_shared_total", "Counts of requests exchanged with other hosts.") \
	X(JOBS_DONE, "jobs_done_total", "Jobs finished.") \
	X(JOBS_FAILED, "jobs_failed_total", "Attempts of jobs that failed.") \
	X(MAILS_SENT, "mails_sent_total", "Mails that were taken over by a mail server.") \
	X(MAILS_FAILED, "mails_failed_total", "Attempts to send a mail that failed.") \
	X(HOOKS_DELIVERED, "webhooks_delivered_total", "Deliveries that a webhook took.") \
	X(HOOKS_FAILED, "webhooks_failed_total", "Attempts at a delivery that failed.")

enum qn_board_counter {
#define X(name, metric, help) QN_COUNT_##name,
	QN_BOARD_COUNTERS(X)
#undef X
	    QN_COUNT__MAX
};

struct qn_board {
	uint32_t magic, layout;        /* refused by readers when they differ */
	_Atomic(int32_t) pool;         /* enum qn_pool */
	_Atomic(int32_t) master;       /* pid */
	_Atomic(int64_t) started_us;   /* wall time */
	_Atomic(uint32_t) config_gen;  /* bumped on HUP: workers read their settings again */
	_Atomic(int64_t) listener_us;  /* monotonic: last sign of life of the listener, 0 none */
	_Atomic(uint32_t) revocations; /* bumped with any of `revoke` */
	_Atomic(uint32_t) apps_gen;    /* bumped when an app, an issuer or its keys changed */
	_Atomic(uint64_t) counter[QN_COUNT__MAX];
	struct qn_board_route route[QN_BOARD_ROUTES];
	struct qn_board_worker worker[QN_BOARD_WORKERS];
	struct qn_board_turns turns[QN_TURN__MAX];
	_Atomic(uint32_t) revoke[QN_BOARD_REVOKE];
	_Atomic(int64_t) revoked_us[QN_BOARD_REVOKE]; /* wall time: when each was bumped last */
	_Atomic(int64_t) all_revoked_us;              /* when all of them were */
	_Atomic(int64_t) latest_us; /* the latest wall time that the listener has seen */
};

extern const int64_t qn_board_bounds[QN_BOARD_BUCKETS]; /* µs; the last is INT64_MAX */

/* RUN_DIR/POOL.board, made anew, mode 0640. NULL and errno on failure. `run_dir` NULL: anonymous. */
struct qn_board *qn_board_create(const char *run_dir, enum qn_pool pool);
/* Another pool's board, read-only; NULL when there is none of this layout. It stays that of the master
 * who made it: map it anew each time, or when its `master` is 0 (stopped) or gone. */
const struct qn_board *qn_board_map(const char *run_dir, enum qn_pool pool);
void qn_board_unmap(const struct qn_board *b);

void qn_board_stage(struct qn_board *b, int slot, enum qn_stage stage, int route);
void qn_board_count(struct qn_board *b, enum qn_board_counter c, uint64_t n);
void qn_board_request(
    struct qn_board *b, int slot, int route, int status, int64_t us, uint64_t arena_peak);

/* Revocation: slot of a subject ("user:" + id, …); remember the generation with what you cache. Take it
 * before you ask Postgres, or a change between the answer and the look at the board is missed. */
uint32_t qn_board_generation(const struct qn_board *b, const char *subject);
void qn_board_bump(struct qn_board *b, const char *subject);
/* How many there were: unchanged since before you asked Postgres, nothing that you read is revoked. */
uint32_t qn_board_revocations(const struct qn_board *b);
/* When the subject's line was bumped last, in wall time: a copy that is older is not believed, wherever it is kept. */
qn_time qn_board_revoked_at(const struct qn_board *b, const char *subject);
/* Everything cached by anyone is forgotten: after the listener was away, nobody knows what changed. */
void qn_board_bump_all(struct qn_board *b);
/* The listener is alive, and looks at the clock: what is revoked counts as later than all that it ever showed. */
void qn_board_listens(struct qn_board *b);
/* Whether the listener gave a sign of life within the last two seconds. */
bool qn_board_live(const struct qn_board *b);

#endif
