#include "quoin/auth/principal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/opaque.h"
#include "quoin/auth/tokencache.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"
#include "quoin/base/netaddr.h"
#include "quoin/store/credential.h"

/* The keys of an issuer may be asked for once a minute; a fetch that hangs is over after six seconds. */
#define REFETCH_US 60000000LL
#define FETCH_US   6000000LL
#define HOUR_US    3600000000LL
#define QUARTER_US 900000000LL
#define DAY_S      86400
/* A copy this much older than a revocation is told apart from it, clocks of several hosts apart. */
#define SKEW_US 5000000LL

enum { SESSION_DAYS = 30 };

/* What is remembered of a verified credential: here, and of a cookie in memcached too. */
struct known {
	uint32_t layout;
	uint32_t apps_gen; /* of the apps, issuers and keys that verified it: of this host */
	qn_time made_at;   /* before Postgres was asked */
	qn_time proved_at, expires_at, used_at;
	char user_id[QN_UUID_LEN + 1], session_id[QN_UUID_LEN + 1], key_id[QN_UUID_LEN + 1];
	char plan[32], platform_role[12], scopes[QN_SCOPES_MAX], networks[QN_NETWORKS_MAX];
	bool suspended, mfa;
	bool assumed; /* the token's word alone: see qn_auth_recall */
	uint8_t aal;
};
#define LAYOUT (UINT32_C(0x51530100) ^ (uint32_t)sizeof(struct known))

struct qn_auth {
	const struct qn_conf *conf;
	struct qn_registry *registry;
	struct qn_tokencache *tokens;
	struct qn_board *board;
};

/* One resolution. */
struct ask {
	struct qn_auth *auth;
	struct qn_db *db;
	struct qn_cache *cache;
	struct qn_arena *a;
	const struct qn_presented *shown;
	const struct qn_app *app;
	struct qn_moment now;
	const struct qn_issuer **ret_refetch;
};

struct qn_auth *qn_auth_new(const struct qn_conf *conf, struct qn_board *board)
{
	struct qn_auth *auth = calloc(1, sizeof(*auth));

	if (auth == NULL ||
	    (auth->tokens = qn_tokencache_new(QN_TOKENCACHE_ENTRIES, sizeof(struct known))) == NULL)
		qn_fatal("out of memory");
	auth->conf = conf;
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

enum qn_err qn_auth_enter(
    struct qn_db *db, struct qn_arena *a, const char *org, struct qn_principal *who)
{
	struct membership m;

	QN_TRY(member_find(db, a, who->app->id, org, who->user_id, &m));
	who->role = m.role;
	snprintf(who->org_id, sizeof(who->org_id), "%s", org);
	snprintf(who->org_plan, sizeof(who->org_plan), "%s", m.plan);
	return QN_OK;
}

bool qn_proved_lately(const struct qn_principal *who)
{
	return qn_lately(who->proved_at, QUARTER_US, qn_now());
}

/* scopes and networks */

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
			return true;
	return false;
}

bool qn_scopes_allow(const char *scopes, const char *area, const char *verb)
{
	char word[64];

	if (has_word(scopes, verb) || has_word(scopes, "write")) /* who may write may read */
		return true;
	snprintf(word, sizeof(word), "%s:%s", area, verb);
	if (has_word(scopes, word))
		return true;
	snprintf(word, sizeof(word), "%s:write", area);
	return has_word(scopes, word);
}

bool qn_networks_hold(const char *networks, const char *addr)
{
	char one[64];

	if (networks[0] == '\0')
		return true;
	while (*networks != '\0') {
		size_t n = strcspn(networks, " ");
		snprintf(one, sizeof(one), "%.*s", (int)n, networks);
		if (n < sizeof(one) && qn_net_holds(one, addr))
			return true;
		networks += n + (networks[n] == ' ');
	}
	return false;
}

/* what is remembered */

static const char *subject_of(const struct known *k, char out[64])
{
	snprintf(out, 64, "user:%s", k->user_id);
	return out;
}

static enum qn_err admit(const struct ask *q, const struct known *k, struct qn_principal *ret)
{
	if (k->suspended)
		return QN_SUSPENDED;
	if (!qn_networks_hold(k->networks, q->shown->remote_addr))
		return QN_BAD_KEY;
	memcpy(ret->user_id, k->user_id, sizeof(ret->user_id));
	memcpy(ret->session_id, k->session_id, sizeof(ret->session_id));
	memcpy(ret->key_id, k->key_id, sizeof(ret->key_id));
	memcpy(ret->plan, k->plan, sizeof(ret->plan));
	memcpy(ret->platform_role, k->platform_role, sizeof(ret->platform_role));
	memcpy(ret->scopes, k->scopes, sizeof(ret->scopes));
	ret->cookie = q->shown->cookie.p != NULL;
	ret->mfa = k->mfa;
	ret->aal = k->aal;
	ret->proved_at = k->proved_at;
	ret->known = true;
	return QN_OK;
}

static bool over(const struct known *k, qn_time now)
{
	return k->expires_at != QN_TIME_NULL && k->expires_at <= now;
}

/*
 * Believed only while the board is live, the user's line of it is as it was, and no app, issuer or key
 * has changed (DESIGN §7): a key that was rotated away dies at once.
 */
static const struct known *recall(const struct ask *q, const struct qn_tokencache_key *key)
{
	uint32_t generation = 0;
	char subject[64];

	if (!qn_board_live(q->auth->board))
		return NULL;
	const struct known *k = qn_tokencache_get(q->auth->tokens, key, q->now, &generation);
	if (k == NULL || qn_board_generation(q->auth->board, subject_of(k, subject)) != generation)
		return NULL;
	if (k->apps_gen != atomic_load(&q->auth->board->apps_gen) || over(k, q->now.wall))
		return NULL;
	return k->assumed ? NULL : k;
}

/* Whether all of a text fits; what does not is asked for each time. */
static bool keep_text(char *to, size_t size, const char *s)
{
	int n = snprintf(to, size, "%s", s != NULL ? s : "");

	return n >= 0 && (size_t)n < size;
}

/* false: it is too long to be held, and the key is refused rather than read in part. */
static bool remember(const struct ask *q, const struct credential *c, struct known *k)
{
	memset(k, 0, sizeof(*k)); /* the gaps between its members go to memcached too */
	k->layout = LAYOUT;
	k->apps_gen = qn_registry_generation(q->auth->registry);
	k->made_at = q->now.wall;
	k->proved_at = c->proved_at;
	k->expires_at = c->expires_at;
	k->used_at = c->used_at;
	k->suspended = c->suspended == 1;
	k->mfa = c->mfa_enabled == 1;
	k->aal = c->aal == 2 || c->key_id != NULL ? 2 : 1;
	return keep_text(k->user_id, sizeof(k->user_id), c->user_id) &&
	       keep_text(k->session_id, sizeof(k->session_id), c->session_id) &&
	       keep_text(k->key_id, sizeof(k->key_id), c->key_id) &&
	       keep_text(k->plan, sizeof(k->plan), c->plan) &&
	       keep_text(k->platform_role, sizeof(k->platform_role), c->platform_role) &&
	       keep_text(k->scopes, sizeof(k->scopes), c->scopes) &&
	       keep_text(k->networks, sizeof(k->networks), c->ip_allow);
}

/* bearer tokens */

static bool refetch_due(const struct qn_issuer *i, qn_time now)
{
	if (i->jwks_url == NULL)
		return false;
	if (!qn_lately(i->attempted_at, REFETCH_US, now))
		return true;
	bool under_way = i->settled_at == QN_TIME_NULL || i->settled_at < i->attempted_at;
	return under_way && qn_lately(i->attempted_at, FETCH_US, now);
}

static enum qn_err verify(const struct ask *q, struct qn_claims *ret, bool *ret_own)
{
	struct qn_token opened;

	QN_TRY(qn_token_open(q->a, q->shown->bearer, &opened));
	const struct qn_issuer *issuer = qn_app_issuer(q->app, opened.iss);
	if (issuer == NULL) /* while Postgres is away, who is new is not known yet */
		return qn_registry_stale(q->auth->registry) ? QN_DB_DOWN : QN_TOKEN_ISSUER;
	const struct qn_jwks *keys = qn_issuer_keys(issuer, q->now.wall);
	enum qn_err e = qn_token_verify(&opened, &issuer->policy, keys, q->now.wall, ret);
	*ret_own = issuer->jwks_url == NULL;
	if (e == QN_KEY_UNKNOWN && q->ret_refetch != NULL && refetch_due(issuer, q->now.wall))
		*q->ret_refetch = issuer;
	return e;
}

/* Whether the issuer says that a second factor was shown (RFC 8176). */
static bool says_mfa(struct qn_arena *a, const struct qn_claims *c)
{
	struct qn_span *items = NULL;
	size_t n = 0;

	if (!qn_json_elements(a, qn_json_get(&c->all, "amr"), &items, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (qn_span_is(items[i], "\"mfa\""))
			return true;
	return false;
}

/* Whom a token of our own is of: as the app's clients see his id, or as it is (CONTRACT K8, X9). */
static bool own_subject(const struct ask *q, const struct qn_claims *c, char out[QN_UUID_LEN + 1])
{
	const char *sub = c->sub, *prefix = q->app->id_prefix;

	if (strncmp(sub, prefix, strlen(prefix)) == 0)
		sub += strlen(prefix);
	return qn_uuid_parse(sub, strlen(sub), out);
}

/* Signing out everywhere ends tokens that name no session, too. One that does not say when it was issued is old (T15). */
static bool taken_back(const struct credential *c, qn_time issued)
{
	return c->signed_out_at != QN_TIME_NULL &&
	       (issued == QN_TIME_NULL || issued <= c->signed_out_at);
}

/*
 * Our own tokens name a session, or a user for whom an operator vouched; those of other issuers name an
 * identity that leads to one.
 */
static enum qn_err find_bearer(
    const struct ask *q, const struct qn_claims *c, bool own, struct credential *ret)
{
	struct identity who = {c->iss, c->sub, c->email, c->name, c->email_verified};
	char id[QN_UUID_LEN + 1];
	struct user user;
	const char *session;

	if (own && !own_subject(q, c, id))
		return QN_TOKEN_CLAIMS;
	if (own && qn_json_str(q->a, qn_json_get(&c->all, "sid"), &session, NULL)) {
		QN_TRY(credential_of_session(q->db, q->a, q->app->id, session, ret));
		return strcmp(ret->user_id, id) == 0 ? QN_OK : QN_TOKEN_CLAIMS;
	}
	if (!own) {
		QN_TRY(user_of_identity(q->db, q->a, q->app->id, &who, &user));
		snprintf(id, sizeof(id), "%s", user.id);
	}
	QN_TRY(credential_of_user(q->db, q->a, q->app->id, id, ret));
	if (taken_back(ret, c->iat))
		return QN_UNAUTHENTICATED;
	ret->aal = own || says_mfa(q->a, c) ? 2 : 1;
	ret->proved_at =
	    c->iat < q->now.wall ? c->iat : q->now.wall; /* by a clock a little ahead */
	return QN_OK;
}

static enum qn_err ask_bearer(const struct ask *q, struct known *ret, qn_time *ret_until)
{
	struct qn_claims claims;
	struct credential c;
	bool own = false;

	QN_TRY(verify(q, &claims, &own));
	QN_TRY(find_bearer(q, &claims, own, &c));
	c.used_at = QN_TIME_NULL; /* a session is used when it is refreshed */
	*ret_until = claims.exp;
	return remember(q, &c, ret) ? QN_OK : QN_INTERNAL;
}

/* sessions and keys */

/* To the hour: its use is noted, and a session slides on. What cannot be noted now is noted later. */
static bool note_use(const struct ask *q, const struct credential *c)
{
	if (c->used_at != QN_TIME_NULL && q->now.wall - c->used_at < HOUR_US)
		return false;
	if (credential_used(q->db, q->a, c, SESSION_DAYS) == QN_OK)
		return true;
	qn_log(QN_WARNING, "the use of a credential was not noted: %s", qn_db_why(q->db));
	return false;
}

static enum qn_err ask_key(const struct ask *q, struct known *ret, qn_time *ret_until)
{
	struct qn_apikey key;
	struct credential c;
	char hash[2 * QN_SHA256_LEN + 1];

	if (!qn_apikey_read(q->app->key_prefix, q->shown->key, &key))
		return QN_BAD_KEY;
	enum qn_err e = credential_of_key(q->db, q->a, q->app->id, key.public_id, &c);
	if (e != QN_OK)
		return e == QN_UNAUTHENTICATED ? QN_BAD_KEY : e;
	qn_hex(key.hash, sizeof(key.hash), hash);
	if (c.key_hash == NULL || strlen(c.key_hash) != sizeof(hash) - 1 ||
	    !qn_equal_ct(hash, c.key_hash, sizeof(hash) - 1))
		return QN_BAD_KEY;
	if (!qn_networks_hold(c.ip_allow, q->shown->remote_addr))
		return QN_BAD_KEY;
	(void)note_use(q, &c);
	*ret_until = INT64_MAX;
	return remember(q, &c, ret) ? QN_OK : QN_INTERNAL;
}

/* A copy in memcached: whoever can write there cannot make one up. */
struct copy {
	struct known known;
	uint8_t mac[QN_SHA256_LEN];
};

static void copy_mac(const struct ask *q, const char *id, const struct known *k, uint8_t out[])
{
	const char *secret = qn_conf_str(q->auth->conf, QN_CONF_KEY_QUOIN_SECRET_KEY);
	struct {
		uint8_t id[QN_SHA256_LEN];
		struct known known;
	} text;

	memset(&text, 0, sizeof(text));
	qn_sha256(id, strlen(id), text.id);
	memcpy(&text.known, k, sizeof(*k));
	qn_hmac_sha256(secret, strlen(secret), &text, sizeof(text), out);
}

/*
 * It is believed when it is younger than whatever was revoked of its user: who is new to this host has
 * everything before its start to be afraid of, and asks Postgres.
 */
static bool believable(const struct ask *q, const char *id, struct qn_span found, struct known *ret)
{
	struct copy copy;
	uint8_t mac[QN_SHA256_LEN];
	char subject[64];

	if (found.n != sizeof(copy))
		return false;
	memcpy(&copy, found.p, sizeof(copy));
	copy_mac(q, id, &copy.known, mac);
	*ret = copy.known;
	if (!qn_equal_ct(mac, copy.mac, sizeof(mac)) || ret->layout != LAYOUT ||
	    over(ret, q->now.wall))
		return false;
	if (ret->made_at > q->now.wall + SKEW_US)
		return false; /* by a clock that was ahead: what it was made before cannot be told */
	if (ret->used_at == QN_TIME_NULL || q->now.wall - ret->used_at >= HOUR_US)
		return false; /* its use is to be noted */
	ret->apps_gen = qn_registry_generation(q->auth->registry);
	return ret->made_at >
	       qn_board_revoked_at(q->auth->board, subject_of(ret, subject)) + SKEW_US;
}

static void keep_copy(const struct ask *q, const char *id, const struct known *k)
{
	struct copy copy;

	memset(&copy, 0, sizeof(copy));
	memcpy(&copy.known, k, sizeof(*k));
	copy_mac(q, id, k, copy.mac);
	qn_cache_set(q->cache, "session", id, (struct qn_span){(const char *)&copy, sizeof(copy)},
	    SESSION_DAYS * DAY_S);
}

static enum qn_err ask_cookie(const struct ask *q, struct known *ret, qn_time *ret_until)
{
	uint8_t hash[QN_SHA256_LEN];
	char hex[2 * QN_SHA256_LEN + 1];
	struct credential c;
	struct qn_span found;

	*ret_until = INT64_MAX;
	if (!qn_opaque_hash(q->shown->cookie, hash))
		return QN_UNAUTHENTICATED;
	qn_hex(hash, sizeof(hash), hex);
	const char *id = qn_printf(q->a, "%s %s", q->app->id, hex);
	if (qn_board_live(q->auth->board) && qn_cache_get(q->cache, q->a, "session", id, &found) &&
	    believable(q, id, found, ret))
		return QN_OK;
	QN_TRY(credential_of_cookie(q->db, q->a, q->app->id, hash, &c));
	if (note_use(q, &c))
		c.used_at = q->now.wall;
	if (!remember(q, &c, ret))
		return QN_INTERNAL;
	keep_copy(q, id, ret);
	return QN_OK;
}

static enum qn_err ask(const struct ask *q, struct known *ret, qn_time *ret_until)
{
	if (q->shown->cookie.p != NULL)
		return ask_cookie(q, ret, ret_until);
	if (q->shown->key.p != NULL)
		return ask_key(q, ret, ret_until);
	return ask_bearer(q, ret, ret_until);
}

static struct qn_tokencache_key cache_key(const struct ask *q)
{
	const struct qn_presented *s = q->shown;

	if (s->cookie.p != NULL)
		return qn_tokencache_key(qn_printf(q->a, "%s cookie", q->app->id), s->cookie);
	return qn_tokencache_key(q->app->id, s->key.p != NULL ? s->key : s->bearer);
}

/* What a token of our own says of itself, by its signature. */
static bool assume(const struct ask *q, const struct qn_tokencache_key *key, struct known *ret)
{
	struct qn_claims claims;
	char subject[64];
	bool own = false;

	memset(ret, 0, sizeof(*ret));
	if (verify(q, &claims, &own) != QN_OK || !own || !own_subject(q, &claims, ret->user_id))
		return false;
	ret->layout = LAYOUT;
	ret->apps_gen = qn_registry_generation(q->auth->registry);
	ret->assumed = true;
	ret->made_at = q->now.wall;
	ret->expires_at = ret->used_at = ret->proved_at = QN_TIME_NULL;
	ret->aal = 1;
	qn_tokencache_put(q->auth->tokens, key, ret,
	    qn_board_generation(q->auth->board, subject_of(ret, subject)), claims.exp, q->now);
	return true;
}

bool qn_auth_recall(struct qn_auth *auth, struct qn_arena *a, const struct qn_presented *shown,
    struct qn_principal *ret)
{
	struct ask q = {auth, NULL, NULL, a, shown, ret->app, {qn_now(), qn_mono_us()}, NULL};
	uint32_t then = 0;
	char subject[64];
	struct known mine;

	if (shown->bearer.p == NULL)
		return false;
	struct qn_tokencache_key key = cache_key(&q);
	const struct known *k = qn_tokencache_get(auth->tokens, &key, q.now, &then);
	if (k == NULL || qn_board_generation(auth->board, subject_of(k, subject)) != then) {
		if (!assume(&q, &key, &mine))
			return false;
		k = &mine;
	}
	return admit(&q, k, ret) == QN_OK;
}

enum qn_err qn_auth_identify(struct qn_auth *auth, struct qn_db *db, struct qn_cache *cache,
    struct qn_arena *a, const struct qn_presented *shown, struct qn_principal *ret,
    const struct qn_issuer **ret_refetch)
{
	struct ask q = {auth, db, cache, a, shown, ret->app, {qn_now(), qn_mono_us()}, ret_refetch};
	struct qn_tokencache_key key = cache_key(&q);
	const struct known *k = recall(&q, &key);
	struct known fresh;
	qn_time until = 0;
	char subject[64];

	if (ret_refetch != NULL)
		*ret_refetch = NULL;
	qn_board_count(auth->board, k != NULL ? QN_COUNT_TOKEN_HITS : QN_COUNT_TOKEN_MISSES, 1);
	if (k != NULL)
		return admit(&q, k, ret);
	uint32_t revocations = qn_board_revocations(auth->board);
	QN_TRY(ask(&q, &fresh, &until));
	uint32_t generation = qn_board_generation(auth->board, subject_of(&fresh, subject));
	/* Somebody's rights changed while we looked: perhaps this user's. Then nothing is remembered. */
	if (qn_board_revocations(auth->board) == revocations)
		qn_tokencache_put(auth->tokens, &key, &fresh, generation, until, q.now);
	return admit(&q, &fresh, ret);
}
