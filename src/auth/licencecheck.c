#include "quoin/auth/licencecheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "licencelog.h"
#include "quoin/auth/tokencache.h"
#include "quoin/base/log.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)
/* A copy this much older than a change is told apart from it, clocks of several hosts apart. */
#define SKEW_US (5 * SECOND_US)
/* The machine's last_seen_at is moved on in such steps. */
#define SEEN_US (600 * SECOND_US)

enum { ENTRIES = 8192, ENTRIES_BYTES = 3 * 1024 * 1024, TEXTS = 128, TEXT_MAX = 8192 };

/* What is remembered of a valid licence: here, and in memcached too. */
struct record {
	uint32_t layout;
	uint8_t code;
	bool valid;
	uint16_t features_n, quotas_n;
	qn_time made_at; /* before Postgres was asked */
	qn_time expires_at, good_until, seen_at;
	char id[QN_UUID_LEN + 1];
	char plan[33];
};
#define LAYOUT (UINT32_C(0x514c0100) ^ (uint32_t)sizeof(struct record))

/* In a worker the texts are shared: there are as many as plans, and few more. */
struct kept {
	struct record r;
	const char *features, *quotas;
};

struct qn_licences {
	const struct qn_conf *conf;
	struct qn_board *board;
	struct qn_tokencache *kept;
	char *text[TEXTS];
	size_t texts;
	struct qn_licence_log *log;
};

/* One question. */
struct ask {
	struct qn_licences *l;
	struct qn_db *db;
	struct qn_cache *cache;
	struct qn_arena *a;
	const struct qn_licence_ask *q;
	uint8_t hash[QN_SHA256_LEN]; /* of the licence's key */
	const char *id;              /* of the answer: app, key, machine, version */
	struct qn_tokencache_key place;
	struct qn_moment now;
};

/* codes */

static const struct {
	const char *name, *reason;
} codes[] = {
#define X(name, reason) {#name, reason},
    QN_LICENCE_CODES(X)
#undef X
};

const char *qn_licence_code_name(enum qn_licence_code c)
{
	return (unsigned)c < QN_LICENCE_IS__MAX ? codes[c].name : "";
}

const char *qn_licence_code_reason(enum qn_licence_code c)
{
	return (unsigned)c < QN_LICENCE_IS__MAX ? codes[c].reason : "";
}

enum qn_licence_code qn_licence_code_by_name(const char *name)
{
	for (unsigned i = 0; i < QN_LICENCE_IS__MAX; i++)
		if (strcmp(codes[i].name, name) == 0)
			return (enum qn_licence_code)i;
	return QN_LICENCE_IS__MAX;
}

/* of a worker */

struct qn_licences *qn_licences_new(
    const struct qn_conf *conf, struct qn_board *board, const char *log)
{
	struct qn_licences *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->kept = qn_tokencache_new_of(ENTRIES, sizeof(struct kept),
			      ENTRIES_BYTES, DAY_US / SECOND_US)) == NULL)
		qn_fatal("out of memory");
	l->conf = conf;
	l->board = board;
	l->log = qn_licence_log_new(log);
	return l;
}

static void forget_all(struct qn_licences *l)
{
	qn_tokencache_clear(l->kept);
	while (l->texts > 0)
		free(l->text[--l->texts]);
}

void qn_licences_free(struct qn_licences *l)
{
	if (l == NULL)
		return;
	forget_all(l);
	qn_tokencache_free(l->kept);
	qn_licence_log_free(l->log);
	free(l);
}

bool qn_licences_tick(struct qn_licences *l, struct qn_db *db, struct qn_arena *a)
{
	return qn_board_live(l->board) && qn_licence_log_tick(l->log, db, a);
}

enum qn_err qn_licences_store(struct qn_licences *l, struct qn_db *db, struct qn_arena *a)
{
	return qn_licence_log_store(l->log, db, a);
}

/* The one text that is equal; NULL when no more can be held. */
static const char *share(struct qn_licences *l, const char *p, size_t n)
{
	for (size_t i = 0; i < l->texts; i++)
		if (strncmp(l->text[i], p, n) == 0 && l->text[i][n] == '\0')
			return l->text[i];
	if (l->texts == TEXTS)
		return NULL;
	char *copy = strndup(p, n);
	if (copy == NULL)
		qn_fatal("out of memory");
	l->text[l->texts++] = copy;
	return copy;
}

/* the board */

static const char *subject_of(const struct record *r, char out[64])
{
	snprintf(out, 64, "licence:%s", r->id);
	return out;
}

static const char *all_of(const struct ask *k, char out[64])
{
	snprintf(out, 64, "licences:%s", k->q->app->id);
	return out;
}

/* Of the licence and of all of its app's: both only grow, so the sum changes with either. */
static uint32_t generation(const struct ask *k, const struct record *r)
{
	char subject[64];
	uint32_t sum = qn_board_generation(k->l->board, subject_of(r, subject));

	return sum + qn_board_generation(k->l->board, all_of(k, subject));
}

static bool changed_since(const struct ask *k, const struct record *r)
{
	char subject[64];
	qn_time since = r->made_at - SKEW_US;

	return since <= qn_board_revoked_at(k->l->board, subject_of(r, subject)) ||
	       since <= qn_board_revoked_at(k->l->board, all_of(k, subject));
}

static bool over(const struct ask *k, const struct record *r)
{
	return (r->good_until != QN_TIME_NULL && r->good_until <= k->now.wall) ||
	       !qn_lately(r->made_at, DAY_US, k->now.wall);
}

/* copies */

static void copy_mac(const struct ask *k, struct qn_span text, uint8_t out[QN_SHA256_LEN])
{
	const char *secret = qn_conf_str(k->l->conf, QN_CONF_KEY_QUOIN_SECRET_KEY);
	size_t n = QN_SHA256_LEN + text.n;
	uint8_t *all = qn_alloc(k->a, n);

	qn_sha256(k->id, strlen(k->id), all);
	memcpy(all + QN_SHA256_LEN, text.p, text.n);
	qn_hmac_sha256(secret, strlen(secret), all, n, out);
}

/* A record, its two texts, a MAC: whoever can write to memcached cannot make one up. */
static bool open_copy(const struct ask *k, struct qn_span found, struct kept *ret)
{
	uint8_t mac[QN_SHA256_LEN];
	struct record *r = &ret->r;

	if (found.n < sizeof(*r) + QN_SHA256_LEN)
		return false;
	struct qn_span text = {found.p, found.n - QN_SHA256_LEN};
	copy_mac(k, text, mac);
	if (!qn_equal_ct(mac, text.p + text.n, sizeof(mac)))
		return false;
	memcpy(r, text.p, sizeof(*r));
	if (r->layout != LAYOUT || text.n != sizeof(*r) + r->features_n + r->quotas_n || over(k, r))
		return false;
	ret->features = text.p + sizeof(*r);
	ret->quotas = ret->features + r->features_n;
	return true;
}

static void keep_copy(const struct ask *k, const struct kept *kept)
{
	const struct record *r = &kept->r;
	size_t n = sizeof(*r) + r->features_n + r->quotas_n;
	char *copy = qn_alloc(k->a, n + QN_SHA256_LEN);
	qn_time until = r->made_at + DAY_US;

	if (r->good_until != QN_TIME_NULL && r->good_until < until)
		until = r->good_until;
	memcpy(copy, r, sizeof(*r));
	memcpy(copy + sizeof(*r), kept->features, r->features_n);
	memcpy(copy + sizeof(*r) + r->features_n, kept->quotas, r->quotas_n);
	copy_mac(k, (struct qn_span){copy, n}, (uint8_t *)copy + n);
	if (until >= k->now.wall + SECOND_US)
		qn_cache_set(k->cache, "license", k->id, (struct qn_span){copy, n + QN_SHA256_LEN},
		    (until - k->now.wall) / SECOND_US);
}

/* What this worker keeps points to texts of its own. */
static void remember(const struct ask *k, const struct kept *kept, uint32_t generation_)
{
	struct kept mine = *kept;

	mine.features = share(k->l, kept->features, kept->r.features_n);
	mine.quotas = share(k->l, kept->quotas, kept->r.quotas_n);
	if (mine.features == NULL || mine.quotas == NULL) {
		forget_all(k->l);
		return;
	}
	qn_time until =
	    kept->r.good_until != QN_TIME_NULL ? kept->r.good_until : k->now.wall + DAY_US;
	qn_tokencache_put(k->l->kept, &k->place, &mine, generation_, until, k->now);
}

/* answers */

static void answer(
    const struct ask *k, const struct kept *kept, bool stale, struct qn_licence_answer *ret)
{
	const struct record *r = &kept->r;
	qn_time until = (stale ? r->made_at : k->now.wall) + DAY_US;

	if (r->good_until != QN_TIME_NULL && r->good_until < until)
		until = r->good_until;
	*ret = (struct qn_licence_answer){
	    .code = (enum qn_licence_code)r->code,
	    .valid = r->valid,
	    .stale = stale,
	    .id = qn_strdup(k->a, r->id),
	    .plan = qn_strdup(k->a, r->plan),
	    .expires_at = r->expires_at,
	    .cached_until = until,
	    .features = {qn_strndup(k->a, kept->features, r->features_n), r->features_n},
	    .quotas = {qn_strndup(k->a, kept->quotas, r->quotas_n), r->quotas_n},
	};
}

/* Counts it, and moves the machine's last_seen_at on when that is due. */
static void note(const struct ask *k, struct record *r, const struct qn_licence_answer *ans)
{
	bool seen = ans->valid && !qn_lately(r->seen_at, SEEN_US, k->now.wall);
	struct qn_licence_used used = {.id = ans->id,
	    .machine = k->q->machine,
	    .version = k->q->version,
	    .ip = k->q->ip,
	    .code = ans->valid ? NULL : qn_licence_code_name(ans->code),
	    .at = k->now.wall,
	    .seen = seen};

	qn_licence_log_add(k->l->log, &k->place, &used);
	if (seen)
		r->seen_at = k->now.wall;
}

/* What this worker knows itself. */
static bool from_worker(const struct ask *k, bool stale, struct qn_licence_answer *ret)
{
	uint32_t then = 0;
	const struct kept *found = qn_tokencache_get(k->l->kept, &k->place, k->now, &then);

	if (found == NULL || generation(k, &found->r) != then || over(k, &found->r))
		return false;
	struct kept kept = *found;
	answer(k, &kept, stale, ret);
	note(k, &kept.r, ret);
	if (kept.r.seen_at != found->r.seen_at)
		qn_tokencache_put(
		    k->l->kept, &k->place, &kept, then, kept.r.made_at + DAY_US, k->now);
	return true;
}

static bool from_memcached(const struct ask *k, bool stale, struct qn_licence_answer *ret)
{
	struct qn_span found;
	struct kept kept;

	if (!qn_cache_get(k->cache, k->a, "license", k->id, &found) || !open_copy(k, found, &kept))
		return false;
	uint32_t now = generation(k, &kept.r);
	if (changed_since(k, &kept.r))
		return false;
	answer(k, &kept, stale, ret);
	note(k, &kept.r, ret);
	remember(k, &kept, now);
	return true;
}

/* Whether all of an answer fits into what is kept. */
static bool to_kept(const struct ask *k, const struct licence_look *look, struct kept *ret)
{
	struct record *r = &ret->r;

	memset(ret, 0, sizeof(*ret)); /* the gaps between members go to memcached too */
	if (look->features.n > TEXT_MAX || look->quotas.n > TEXT_MAX ||
	    strlen(look->plan) >= sizeof(r->plan))
		return false;
	r->layout = LAYOUT;
	r->code = (uint8_t)qn_licence_code_by_name(look->code);
	r->valid = look->valid == 1;
	r->features_n = (uint16_t)look->features.n;
	r->quotas_n = (uint16_t)look->quotas.n;
	r->made_at = k->now.wall;
	r->expires_at = look->expires_at;
	r->good_until = look->good_until;
	r->seen_at = look->last_seen_at;
	snprintf(r->id, sizeof(r->id), "%s", look->id);
	snprintf(r->plan, sizeof(r->plan), "%s", look->plan);
	ret->features = look->features.p;
	ret->quotas = look->quotas.p;
	return true;
}

/* A machine that is new is given a seat by a statement that locks; all others are only looked at. */
static enum qn_err ask_postgres(const struct ask *k, struct licence_look *ret)
{
	const struct licence_of of = {k->q->app->id, k->hash, k->q->machine, k->q->version};

	QN_TRY(licence_look(k->db, k->a, &of, ret));
	if (strcmp(ret->code, "NEW_DEVICE") != 0)
		return QN_OK;
	return licence_seat(k->db, k->a, &of, k->q->name, k->q->platform, k->q->ip, ret);
}

static enum qn_err from_postgres(const struct ask *k, struct qn_licence_answer *ret)
{
	uint32_t revocations = qn_board_revocations(k->l->board);
	struct licence_look look;
	struct kept kept;

	QN_TRY(ask_postgres(k, &look));
	*ret = (struct qn_licence_answer){.code = qn_licence_code_by_name(look.code),
	    .expires_at = QN_TIME_NULL,
	    .cached_until = k->now.wall};
	if (ret->code == QN_LICENCE_IS__MAX)
		return QN_INTERNAL;
	if (look.id == NULL)
		return QN_OK;
	if (!to_kept(k, &look, &kept))
		return QN_INTERNAL;
	answer(k, &kept, false, ret);
	if (!ret->valid)
		ret->cached_until = k->now.wall;
	note(k, &kept.r, ret);
	if (!ret->valid)
		return QN_OK;
	uint32_t now = generation(k, &kept.r);
	/* Something changed while we looked: perhaps this licence. Then nothing is remembered. */
	if (qn_board_revocations(k->l->board) == revocations)
		remember(k, &kept, now);
	keep_copy(k, &kept);
	return QN_OK;
}

bool qn_licence_key_of(const struct qn_app *app, struct qn_span text, uint8_t hash[QN_SHA256_LEN],
    enum qn_licence_code *ret_why)
{
	struct qn_licence_key key;
	enum qn_licence_key_kind kind = qn_licence_key_read(app->licence_prefix, text, &key);

	*ret_why =
	    kind == QN_LICENCE_KEY_OTHER ? QN_LICENCE_IS_WRONG_PRODUCT : QN_LICENCE_IS_NOT_FOUND;
	if (kind == QN_LICENCE_KEY_NONE || (kind != QN_LICENCE_KEY_OWN && !app->licence_imports))
		return false;
	memcpy(hash, key.hash, QN_SHA256_LEN);
	qn_wipe(&key, sizeof(key));
	return true;
}

static void refuse(const struct ask *k, enum qn_licence_code code, struct qn_licence_answer *ret)
{
	*ret = (struct qn_licence_answer){
	    .code = code, .expires_at = QN_TIME_NULL, .cached_until = k->now.wall};
}

static void set_place(struct ask *k)
{
	char hex[2 * QN_SHA256_LEN + 1];

	qn_hex(k->hash, sizeof(k->hash), hex);
	k->id = qn_printf(k->a, "%s %s %s %s", k->q->app->id, hex, k->q->machine,
	    k->q->version != NULL ? k->q->version : "");
	k->place = qn_tokencache_key("licence", qn_span_of(k->id));
}

/*
 * While the board is live what is kept is believed without asking. Else Postgres is asked first, and what was known
 * serves only if it does not answer: the board remembers what it heard of before.
 */
enum qn_err qn_licence_check(struct qn_licences *l, struct qn_db *db, struct qn_cache *cache,
    struct qn_arena *a, const struct qn_licence_ask *q, struct qn_licence_answer *ret)
{
	struct ask k = {
	    .l = l, .db = db, .cache = cache, .a = a, .q = q, .now = {qn_now(), qn_mono_us()}};
	enum qn_licence_code why;
	bool live = qn_board_live(l->board);

	if (!qn_licence_key_of(q->app, q->key, k.hash, &why)) {
		refuse(&k, why, ret);
		return QN_OK;
	}
	set_place(&k);
	if (live && (from_worker(&k, false, ret) || from_memcached(&k, false, ret)))
		return QN_OK;
	enum qn_err e = from_postgres(&k, ret);
	if ((e == QN_DB_DOWN || e == QN_UNCERTAIN) &&
	    (from_worker(&k, true, ret) || from_memcached(&k, true, ret)))
		return QN_OK;
	if (e == QN_OK && ret->code == QN_LICENCE_IS_NOT_FOUND)
		ret->code =
		    why; /* a key of another product's form might have been an imported one */
	return e == QN_UNCERTAIN ? QN_DB_DOWN : e; /* a seat given twice is one seat */
}
