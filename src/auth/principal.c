#include "quoin/auth/principal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/tokencache.h"
#include "quoin/base/log.h"

/* The keys of an issuer may be asked for once a minute; a fetch that hangs is over after six seconds. */
#define REFETCH_US 60000000LL
#define FETCH_US   6000000LL

/* What is remembered of a verified token. */
struct known {
	char user_id[QN_UUID_LEN + 1];
	char plan[32];
	bool suspended;
	uint32_t apps_gen; /* of the apps, issuers and keys that verified it */
};

struct qn_auth {
	struct qn_registry *registry;
	struct qn_tokencache *tokens;
	struct qn_board *board;
};

struct qn_auth *qn_auth_new(const struct qn_conf *conf, struct qn_board *board)
{
	struct qn_auth *auth = calloc(1, sizeof(*auth));

	if (auth == NULL ||
	    (auth->tokens = qn_tokencache_new(QN_TOKENCACHE_ENTRIES, sizeof(struct known))) == NULL)
		qn_fatal("out of memory");
	auth->board = board;
	auth->registry = qn_registry_new(conf, board);
	return auth;
}

void qn_auth_free(struct qn_auth *auth)
{
	if (auth == NULL)
		return;
	qn_registry_free(auth->registry);
	qn_tokencache_free(auth->tokens);
	free(auth);
}

struct qn_registry *qn_auth_registry(struct qn_auth *auth)
{
	return auth->registry;
}

static const char *subject_of(const struct known *k, char out[64])
{
	snprintf(out, 64, "user:%s", k->user_id);
	return out;
}

static enum qn_err admit(const struct known *k, struct qn_principal *ret)
{
	if (k->suspended)
		return QN_SUSPENDED;
	memcpy(ret->user_id, k->user_id, sizeof(ret->user_id));
	memcpy(ret->plan, k->plan, sizeof(ret->plan));
	ret->known = true;
	return QN_OK;
}

/*
 * Believed only while the board is live, the user's line of it is as it was, and no app, issuer or key
 * has changed (DESIGN §7): a key that was rotated away dies at once.
 */
static const struct known *recall(
    struct qn_auth *auth, const struct qn_tokencache_key *key, struct qn_moment now)
{
	uint32_t generation = 0;
	char subject[64];

	if (!qn_board_live(auth->board))
		return NULL;
	const struct known *k = qn_tokencache_get(auth->tokens, key, now, &generation);
	if (k == NULL || qn_board_generation(auth->board, subject_of(k, subject)) != generation)
		return NULL;
	if (k->apps_gen != atomic_load(&auth->board->apps_gen))
		return NULL;
	return k;
}

static bool refetch_due(const struct qn_issuer *i, qn_time now)
{
	if (i->jwks_url == NULL)
		return false;
	if (i->attempted_at == QN_TIME_NULL || now - i->attempted_at > REFETCH_US)
		return true;
	bool under_way = i->settled_at == QN_TIME_NULL || i->settled_at < i->attempted_at;
	return under_way && now - i->attempted_at < FETCH_US;
}

static enum qn_err verify(struct qn_arena *a, const struct qn_app *app, struct qn_span token,
    qn_time now, struct qn_claims *ret, bool *ret_own, const struct qn_issuer **ret_refetch)
{
	struct qn_token opened;

	QN_TRY(qn_token_open(a, token, &opened));
	const struct qn_issuer *issuer = qn_app_issuer(app, opened.iss);
	if (issuer == NULL)
		return QN_TOKEN_ISSUER;
	const struct qn_jwks *keys = now <= issuer->keys_until ? issuer->keys : NULL;
	enum qn_err e = qn_token_verify(&opened, &issuer->policy, keys, now, ret);
	*ret_own = issuer->jwks_url == NULL;
	if (e == QN_KEY_UNKNOWN && ret_refetch != NULL && refetch_due(issuer, now))
		*ret_refetch = issuer;
	return e;
}

/* Our own tokens name the user; those of other issuers name an identity that leads to one. */
static enum qn_err find_user(struct qn_db *db, struct qn_arena *a, const struct qn_app *app,
    const struct qn_claims *c, bool own, struct user *ret)
{
	struct identity who = {c->iss, c->sub, c->email, c->name, c->email_verified};
	char id[QN_UUID_LEN + 1];

	if (!own)
		return user_of_identity(db, a, app->id, &who, ret);
	if (!qn_uuid_parse(c->sub, strlen(c->sub), id))
		return QN_TOKEN_CLAIMS;
	enum qn_err e = user_by_id(db, a, app->id, id, ret);
	return e == QN_USER_NOT_FOUND ? QN_UNAUTHENTICATED : e;
}

enum qn_err qn_auth_bearer(struct qn_auth *auth, struct qn_db *db, struct qn_arena *a,
    struct qn_span token, struct qn_principal *ret, const struct qn_issuer **ret_refetch)
{
	struct qn_moment now = {qn_now(), qn_mono_us()};
	struct qn_tokencache_key key = qn_tokencache_key(ret->app->id, token);
	const struct known *k = recall(auth, &key, now);
	struct known fresh = {.apps_gen = qn_registry_generation(auth->registry)};
	struct qn_claims claims;
	struct user user;
	char subject[64];
	bool own = false;

	if (ret_refetch != NULL)
		*ret_refetch = NULL;
	qn_board_count(auth->board, k != NULL ? QN_COUNT_TOKEN_HITS : QN_COUNT_TOKEN_MISSES, 1);
	if (k != NULL)
		return admit(k, ret);
	uint32_t revocations = qn_board_revocations(auth->board);
	QN_TRY(verify(a, ret->app, token, now.wall, &claims, &own, ret_refetch));
	QN_TRY(find_user(db, a, ret->app, &claims, own, &user));
	snprintf(fresh.user_id, sizeof(fresh.user_id), "%s", user.id);
	snprintf(fresh.plan, sizeof(fresh.plan), "%s", user.plan);
	fresh.suspended = user.suspended == 1;
	uint32_t generation = qn_board_generation(auth->board, subject_of(&fresh, subject));
	/* Somebody's rights changed while we looked: perhaps this user's. Then nothing is remembered. */
	if (qn_board_revocations(auth->board) == revocations)
		qn_tokencache_put(auth->tokens, &key, &fresh, generation, claims.exp, now);
	return admit(&fresh, ret);
}
