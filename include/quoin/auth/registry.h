/*
 * What a worker knows of the apps: their dialects, whose tokens they accept and with which keys. Read
 * from Postgres at start, and again when the board says that something changed (or every few seconds
 * while nobody listens). While Postgres is away the last good state serves; a key set older than a day
 * does not (SECURITY F27).
 */
#ifndef QUOIN_AUTH_REGISTRY_H
#define QUOIN_AUTH_REGISTRY_H

#include <stdbool.h>

#include "quoin/auth/rate.h"
#include "quoin/auth/token.h"
#include "quoin/base/board.h"
#include "quoin/base/conf.h"
#include "quoin/store/app.h"

struct qn_issuer {
	const char *id, *jwks_url; /* jwks_url NULL: our own keys */
	struct qn_issuer_policy policy;
	struct qn_jwks *keys; /* NULL: none yet; qn_issuer_keys() says which to believe */
	qn_time fetched_at;   /* the keys: QN_TIME_NULL for our own */
	qn_time attempted_at, settled_at; /* of the last fetch: QN_TIME_NULL never */
};

struct qn_app {
	const char *id, *slug, *name;
	const char *own_issuer, *own_audience; /* of the tokens that Quoin issues for it */
	const char *own_jwks;                  /* text of its /.well-known/jwks.json */
	const char *proof_jwks;      /* text of its /.well-known/quoin-licence-keys.json */
	const char *id_prefix;       /* "usr_" in a dialect that shows one, else "" */
	bool tier_upper;             /* tiers are shown as FREE, PRO */
	const char *unauthenticated; /* what its clients read who nobody is; NULL: as ever */
	const char *key_prefix;      /* of its API keys; "": it has none */
	const char *licence_prefix;  /* of its licence keys: the file's, else its slug's letters */
	bool licence_each;           /* each user has a licence that follows his plan */
	bool licence_imports;        /* it has licences whose keys were made elsewhere */
	int64_t token_lifetime_s;
	const char *const *origins; /* whose pages may call with a cookie; ends with NULL */
	const char *frontend_url;   /* what links in mail begin with; no slash at the end */
	const char *rp_id;          /* the domain that its passkeys belong to */
	const char
	    *callback_url; /* where providers send browsers back to: of our settings alone (T12) */
	const char *mail_from; /* "Name <address>"; "" when nothing says so */
	struct qn_issuer *issuers;
	size_t n;
	const struct qn_plan *plans; /* at least one */
	size_t nplans;
	int64_t address_per_minute
	    [QN_RATE__MAX]; /* of one address that nobody signed in from; -1: no limit */
};

struct qn_registry;

struct qn_registry *qn_registry_new(const struct qn_conf *conf, struct qn_board *board);
void qn_registry_free(struct qn_registry *g);

/* Brings it up to date when it is time. QN_DB_DOWN only while nothing was ever read. */
enum qn_err qn_registry_refresh(
    struct qn_registry *g, struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;
/* Reads it again now, whatever the board says. */
enum qn_err qn_registry_reload(
    struct qn_registry *g, struct qn_db *db, struct qn_arena *a) QN_MUST_CHECK;

/* Whether it was read within the last second: whoever shows what nobody knows cannot have it read without end. */
bool qn_registry_fresh(const struct qn_registry *g);

/* Whether the tables have changed since, or may have: what is not in it may be there all the same. */
bool qn_registry_stale(const struct qn_registry *g);

/* Which state of the tables it shows: the board's apps_gen when they were read. */
uint32_t qn_registry_generation(const struct qn_registry *g);

/* NULL when there is none. Lives until the next refresh. */
const struct qn_app *qn_registry_app(const struct qn_registry *g, const char *slug);
const struct qn_app *qn_registry_app_by_id(const struct qn_registry *g, const char *id);
const struct qn_issuer *qn_app_issuer(const struct qn_app *app, const char *iss);
/* Those that are believed at `now`: our own, or what was fetched within a day; NULL when there are none. */
const struct qn_jwks *qn_issuer_keys(const struct qn_issuer *issuer, qn_time now);
/* What the settings allow a minute, to callers or to addresses. */
void qn_rates_default(const struct qn_conf *conf, bool of_address, int64_t ret[QN_RATE__MAX]);
/* The plan of that code; one that the file does not have is the lowest. */
const struct qn_plan *qn_app_plan_or_lowest(const struct qn_app *app, const char *code);
/* A plan by its code; NULL when the app's file has none of it. */
const struct qn_plan *qn_app_plan(const struct qn_app *app, const char *code);
/* Its rank; 0 of a plan that the file does not have. */
int qn_app_rank(const struct qn_app *app, const char *code);

/* The issuer of an app's own tokens: app file's "token", else QUOIN_PUBLIC_URL/SLUG. In the arena. */
const char *qn_own_issuer(struct qn_arena *a, const struct qn_conf *conf,
    const struct qn_json_object *config, const char *slug);
/*
 * Where people are sent by links (SECURITY T12): the app file's frontend_url, else its first origin, else
 * QUOIN_PUBLIC_URL; without a slash at the end. In the arena.
 */
const char *qn_frontend_url(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *config);
/*
 * The relying party's id of Web Authentication (SECURITY T14): the app file's webauthn.rp_id, else the host of
 * `frontend_url`. Never of a request. In the arena.
 */
const char *qn_rp_id(
    struct qn_arena *a, const struct qn_json_object *config, const char *frontend_url);
/* Who mail is from: the app file's mail.from, else EMAIL_FROM, which may be "". In the arena. */
const char *qn_mail_from(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *config);
/* The audience of those tokens: the app file's, else the issuer. */
const char *qn_own_audience(
    struct qn_arena *a, const struct qn_json_object *config, const char *issuer);

#endif
