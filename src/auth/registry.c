#include "quoin/auth/registry.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/auth/licencekey.h"
#include "quoin/base/json.h"
#include "quoin/base/log.h"

enum { SNAPSHOT_BYTES = 32 * 1024 * 1024, UNHEARD_US = 5000000, FRESH_US = 1000000 };

#define DAY_US 86400000000LL

/* One reading of the tables; replaced whole. */
struct snapshot {
	struct qn_arena *arena;
	struct qn_app *apps;
	size_t n;
	qn_time until; /* when a key of ours retires */
};

struct qn_registry {
	const struct qn_conf *conf;
	struct qn_board *board;
	struct snapshot now;
	uint32_t generation; /* of the board when it was read */
	int64_t read_at;     /* monotonic µs, 0 never */
};

struct qn_registry *qn_registry_new(const struct qn_conf *conf, struct qn_board *board)
{
	struct qn_registry *g = calloc(1, sizeof(*g));

	if (g == NULL)
		qn_fatal("out of memory");
	g->conf = conf;
	g->board = board;
	return g;
}

static void drop(struct snapshot *s)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->apps[i].n; k++)
			qn_jwks_free(s->apps[i].issuers[k].keys);
	qn_arena_free(s->arena);
	*s = (struct snapshot){.arena = NULL};
}

void qn_registry_free(struct qn_registry *g)
{
	if (g == NULL)
		return;
	drop(&g->now);
	free(g);
}

/* A string member of an object member of the app's file, or `otherwise`. */
static const char *config_str(struct qn_arena *a, const struct qn_json_object *config,
    const char *group, const char *name, const char *otherwise)
{
	struct qn_json_object o;
	const char *s;
	size_t n;

	if (!qn_json_members(a, qn_json_get(config, group), &o) ||
	    !qn_json_str(a, qn_json_get(&o, name), &s, &n))
		return otherwise;
	return s;
}

const char *qn_own_issuer(struct qn_arena *a, const struct qn_conf *conf,
    const struct qn_json_object *config, const char *slug)
{
	const char *named = config_str(a, config, "token", "issuer", NULL);

	return named != NULL
	           ? named
	           : qn_printf(a, "%s/%s", qn_conf_str(conf, QN_CONF_KEY_QUOIN_PUBLIC_URL), slug);
}

const char *qn_own_audience(
    struct qn_arena *a, const struct qn_json_object *config, const char *issuer)
{
	return config_str(a, config, "token", "audience", issuer);
}

/* Origins of pages that may call: those of the file, and those of its own hosts (SECURITY T16). */
static const char *const *read_origins(
    const struct qn_registry *g, struct qn_arena *a, const struct qn_json_object *config)
{
	const char *base = qn_conf_str(g->conf, QN_CONF_KEY_QUOIN_PUBLIC_URL), *s;
	struct qn_span *origins = NULL, *hosts = NULL;
	size_t n = 0, nhosts = 0, kept = 0;

	if (!qn_json_elements(a, qn_json_get(config, "origins"), &origins, &n))
		n = 0;
	if (!qn_json_elements(a, qn_json_get(config, "hosts"), &hosts, &nhosts))
		nhosts = 0;
	const char **list = qn_alloc_array(a, n + nhosts + 2, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		if (qn_json_str(a, origins[i], &s, NULL))
			list[kept++] = s;
	const char *scheme = strstr(base, "://");
	size_t lead = scheme != NULL ? (size_t)(scheme - base) + 3 : 0;
	const char *port = strchr(base + lead, ':');
	list[kept++] = base;
	for (size_t i = 0; i < nhosts; i++)
		if (qn_json_str(a, hosts[i], &s, NULL))
			list[kept++] =
			    qn_printf(a, "%.*s%s%s", (int)lead, base, s, port != NULL ? port : "");
	list[kept] = NULL;
	return list;
}

static int64_t config_i64(struct qn_arena *a, const struct qn_json_object *config,
    const char *group, const char *name, int64_t otherwise)
{
	struct qn_json_object o;
	int64_t v;

	if (!qn_json_members(a, qn_json_get(config, group), &o) ||
	    !qn_json_i64(qn_json_get(&o, name), &v))
		return otherwise;
	return v;
}

const char *qn_frontend_url(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *config)
{
	const char *url = qn_conf_str(conf, QN_CONF_KEY_QUOIN_PUBLIC_URL);
	struct qn_span *origins;
	size_t n;

	if (!qn_json_str(a, qn_json_get(config, "frontend_url"), &url, NULL) &&
	    qn_json_elements(a, qn_json_get(config, "origins"), &origins, &n) && n > 0)
		qn_json_str(a, origins[0], &url, NULL);
	n = strlen(url);
	while (n > 0 && url[n - 1] == '/')
		n--;
	return qn_strndup(a, url, n);
}

const char *qn_rp_id(
    struct qn_arena *a, const struct qn_json_object *config, const char *frontend_url)
{
	const char *scheme = strstr(frontend_url, "://");
	const char *host = scheme != NULL ? scheme + 3 : frontend_url;

	return qn_strdup(a,
	    config_str(a, config, "webauthn", "rp_id", qn_strndup(a, host, strcspn(host, ":/"))));
}

const char *qn_mail_from(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *config)
{
	return qn_strdup(
	    a, config_str(a, config, "mail", "from", qn_conf_str(conf, QN_CONF_KEY_EMAIL_FROM)));
}

/* Whether the host of an address is on the list. */
static bool is_host_of(struct qn_arena *a, const char *url, const struct qn_span *hosts, size_t n)
{
	const char *at = strstr(url, "://"), *s;

	at = at != NULL ? at + 3 : url;
	for (size_t i = 0; i < n; i++)
		if (qn_json_str(a, hosts[i], &s, NULL) && strlen(s) == strcspn(at, ":/") &&
		    strncmp(at, s, strlen(s)) == 0)
			return true;
	return false;
}

/*
 * Where clients reach this app: the file's public_url, else QUOIN_PUBLIC_URL if its host is one of the app's,
 * else that with the first of the app's hosts.
 */
static const char *public_url(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *config)
{
	const char *url = qn_conf_str(conf, QN_CONF_KEY_QUOIN_PUBLIC_URL), *own, *host;
	struct qn_span *hosts = NULL;
	size_t n = 0;

	if (qn_json_str(a, qn_json_get(config, "public_url"), &own, NULL) && own[0] != '\0')
		return own;
	if (!qn_json_elements(a, qn_json_get(config, "hosts"), &hosts, &n) || n == 0 ||
	    is_host_of(a, url, hosts, n) || !qn_json_str(a, hosts[0], &host, NULL))
		return url;
	const char *scheme = strstr(url, "://");
	size_t lead = scheme != NULL ? (size_t)(scheme - url) + 3 : 0;
	const char *port = url + lead + strcspn(url + lead, ":/");
	return qn_printf(a, "%.*s%s%.*s", (int)lead, url, host, (int)strcspn(port, "/"), port);
}

static const char *callback_url(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *config)
{
	const char *url = public_url(a, conf, config);
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	return qn_printf(a, "%.*s/auth/callback", (int)n, url);
}

/* limits */

static const struct {
	const char *policy, *meter;
	enum qn_setting caller, address;
} rates[QN_RATE__MAX] = {
#define X(name, policy, meter, calls) \
	[QN_RATE_##name] = {policy, meter, QN_CONF_KEY_QUOIN_RATE_##name, \
	    QN_CONF_KEY_QUOIN_RATE_##name##_ADDRESS},
    QN_RATES(X)
#undef X
};

const char *qn_rate_name(enum qn_rate rate)
{
	return (unsigned)rate < QN_RATE__MAX ? rates[rate].policy : "none";
}

void qn_rates_default(const struct qn_conf *conf, bool of_address, int64_t ret[QN_RATE__MAX])
{
	for (int r = 0; r < QN_RATE__MAX; r++)
		ret[r] = qn_conf_int(conf, of_address ? rates[r].address : rates[r].caller);
}

/* The settings' numbers, where a list of the file's does not say otherwise. */
static void read_rates(struct qn_arena *a, const struct qn_conf *conf, struct qn_span limits,
    bool of_address, int64_t per_minute[QN_RATE__MAX])
{
	struct qn_json_object limit;
	struct qn_span *items = NULL;
	size_t n = 0;

	qn_rates_default(conf, of_address, per_minute);
	if (!qn_json_elements(a, limits, &items, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		const char *meter;
		if (!qn_json_members(a, items[i], &limit) ||
		    !qn_json_str(a, qn_json_get(&limit, "meter"), &meter, NULL))
			continue;
		for (int r = 0; r < QN_RATE__MAX; r++)
			if (strcmp(rates[r].meter, meter) == 0)
				qn_json_i64(qn_json_get(&limit, "max"), &per_minute[r]);
	}
}

/* What a list of limits allows of `meter`, or `otherwise`. */
static int64_t most_of(
    struct qn_arena *a, struct qn_span limits, const char *meter, int64_t otherwise)
{
	struct qn_json_object limit;
	struct qn_span *items = NULL;
	const char *name;
	int64_t max = otherwise;
	size_t n = 0;

	if (!qn_json_elements(a, limits, &items, &n))
		return otherwise;
	for (size_t i = 0; i < n; i++)
		if (qn_json_members(a, items[i], &limit) &&
		    qn_json_str(a, qn_json_get(&limit, "meter"), &name, NULL) &&
		    strcmp(name, meter) == 0)
			qn_json_i64(qn_json_get(&limit, "max"), &max);
	return max;
}

static struct qn_plan read_plan(
    struct qn_arena *a, const struct qn_conf *conf, const struct qn_json_object *o)
{
	struct qn_span limits = qn_json_get(o, "limits");
	struct qn_plan p = {.code = "free", .shown = "free"};

	qn_json_str(a, qn_json_get(o, "code"), &p.code, NULL);
	qn_json_str(a, qn_json_get(o, "shown"), &p.shown, NULL);
	qn_json_i64(qn_json_get(o, "rank"), &p.rank);
	read_rates(a, conf, limits, false, p.per_minute);
	p.calls_per_day = most_of(a, limits, "api_calls", -1);
	p.seats = most_of(a, limits, "seats", QN_I64_NULL);
	return p;
}

static void read_plans(struct qn_arena *a, const struct qn_conf *conf,
    const struct qn_json_object *config, struct qn_app *app)
{
	struct qn_json_object plan = {NULL, 0};
	struct qn_span *items = NULL;
	size_t n = 0;

	if (!qn_json_elements(a, qn_json_get(config, "plans"), &items, &n))
		n = 0;
	struct qn_plan *plans = qn_alloc_array(a, n + 1, sizeof(*plans));
	for (size_t i = 0; i < n; i++)
		if (qn_json_members(a, items[i], &plan))
			plans[app->nplans++] = read_plan(a, conf, &plan);
	if (app->nplans == 0)
		plans[app->nplans++] = read_plan(a, conf, &(struct qn_json_object){NULL, 0});
	app->plans = plans;
	read_rates(a, conf, qn_json_get(config, "address_limits"), true, app->address_per_minute);
}

const struct qn_plan *qn_app_plan_or_lowest(const struct qn_app *app, const char *code)
{
	const struct qn_plan *lowest = &app->plans[0];

	for (size_t i = 0; i < app->nplans; i++) {
		if (strcmp(app->plans[i].code, code) == 0)
			return &app->plans[i];
		if (app->plans[i].rank < lowest->rank)
			lowest = &app->plans[i];
	}
	return lowest;
}

/* The file's, else what is left of the slug in capitals. */
static const char *licence_prefix(
    struct qn_arena *a, const struct qn_json_object *config, const char *slug)
{
	char *own = qn_strdup(a, slug), *to = own;

	for (const char *p = slug; *p != '\0' && to - own < QN_LICENCE_PREFIX_MAX; p++)
		if (*p != '-')
			*to++ = (char)toupper((unsigned char)*p);
	*to = '\0';
	return config_str(a, config, "licence", "prefix", own);
}

static bool config_bool(
    struct qn_arena *a, const struct qn_json_object *config, const char *group, const char *name)
{
	struct qn_json_object o;
	bool v = false;

	return qn_json_members(a, qn_json_get(config, group), &o) &&
	       qn_json_bool(qn_json_get(&o, name), &v) && v;
}

static void read_app(
    const struct qn_registry *g, struct snapshot *s, const struct app_row *row, struct qn_app *app)
{
	struct qn_json_object config = {NULL, 0};

	/* What is read of the file is copied; the file itself stays with the row. */
	if (qn_json_scan(s->arena, row->config, &qn_json_default_limits, &config, NULL) !=
	    QN_JSON_OK)
		qn_log(QN_ERROR, "the file of app %s is damaged", row->slug);
	*app = (struct qn_app){
	    .id = qn_strdup(s->arena, row->id),
	    .slug = qn_strdup(s->arena, row->slug),
	    .name = qn_strdup(s->arena, row->name),
	    .own_issuer = qn_own_issuer(s->arena, g->conf, &config, row->slug),
	    .id_prefix = config_str(s->arena, &config, "dialect", "id_prefix", ""),
	    .token_lifetime_s = config_i64(s->arena, &config, "token", "lifetime", 900),
	    .origins = read_origins(g, s->arena, &config),
	    .key_prefix = "",
	    .tier_upper = strcmp(config_str(s->arena, &config, "dialect", "tier_case", "lower"),
			      "upper") == 0,
	    .unauthenticated = config_str(s->arena, &config, "dialect", "unauthenticated", NULL),
	    .frontend_url = qn_frontend_url(s->arena, g->conf, &config),
	    .callback_url = callback_url(s->arena, g->conf, &config),
	    .mail_from = qn_mail_from(s->arena, g->conf, &config),
	    .licence_prefix = licence_prefix(s->arena, &config, row->slug),
	    .licence_each = config_bool(s->arena, &config, "licence", "each_user"),
	    .licence_imports = row->has_imports == 1,
	};
	app->rp_id = qn_rp_id(s->arena, &config, app->frontend_url);
	app->own_audience = qn_own_audience(s->arena, &config, app->own_issuer);
	if (!qn_json_str(s->arena, qn_json_get(&config, "api_key_prefix"), &app->key_prefix, NULL))
		app->key_prefix = "";
	read_plans(s->arena, g->conf, &config, app);
}

static unsigned algorithm_bits(const char *names)
{
	unsigned bits = 0;
	char name[16];

	while (*names != '\0') {
		size_t n = strcspn(names, " ");
		if (n < sizeof(name)) {
			memcpy(name, names, n);
			name[n] = '\0';
			enum qn_alg alg = qn_alg_by_name(name);
			bits |= alg != QN_ALG_NONE ? QN_ALG_BIT(alg) : 0;
		}
		names += n + (names[n] == ' ');
	}
	return bits;
}

static void read_issuer(struct snapshot *s, const struct issuer_row *row, struct qn_issuer *issuer)
{
	const char *why = NULL;

	*issuer = (struct qn_issuer){
	    .id = qn_strdup(s->arena, row->id),
	    .jwks_url = qn_strdup(s->arena, row->jwks_url),
	    .policy = {.issuer = qn_strdup(s->arena, row->issuer),
		.audiences = {qn_strdup(s->arena, row->audience)},
		.algs = algorithm_bits(row->algorithms),
		.skew_s = QN_TOKEN_SKEW_S},
	    .attempted_at = row->attempted_at,
	    .settled_at = row->settled_at,
	};
	if (row->jwks.p == NULL)
		return;
	issuer->fetched_at = row->fetched_at;
	issuer->keys = qn_jwks_parse(row->jwks, &why);
	if (issuer->keys == NULL)
		qn_log(QN_WARNING, "the keys of %s are of no use: %s", row->issuer, why);
}

/* The app's keys of one use as a JWK Set. Returns how many there are. */
static size_t add_keys(struct qn_buf *b, const struct qn_app *app,
    const struct signing_key_row *keys, size_t n, const char *use)
{
	size_t some = 0;

	qn_buf_str(b, "{\"keys\":[");
	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].app_id, app->id) != 0 || strcmp(keys[i].use, use) != 0 ||
		    (keys[i].retired_at != QN_TIME_NULL && keys[i].retired_at <= qn_now()))
			continue;
		qn_buf_str(b, some++ > 0 ? "," : "");
		qn_buf_add(b, keys[i].public_jwk.p, keys[i].public_jwk.n);
	}
	qn_buf_str(b, "]}");
	return some;
}

/* Our own keys for tokens as one more issuer of the app; those for licences are no issuer's. */
static void read_own_keys(
    struct snapshot *s, struct qn_app *app, const struct signing_key_row *keys, size_t n)
{
	struct qn_buf text;

	qn_buf_init(&text, QN_JWKS_BYTES);
	add_keys(&text, app, keys, n, SIGNING_LICENSES);
	app->proof_jwks = qn_strndup(s->arena, text.p, text.n);
	qn_buf_clear(&text);
	size_t some = add_keys(&text, app, keys, n, SIGNING_TOKENS);
	app->own_jwks = qn_strndup(s->arena, text.p, text.n);
	if (some > 0) {
		app->issuers[app->n++] = (struct qn_issuer){
		    .policy = {.issuer = app->own_issuer,
			.audiences = {app->own_audience},
			.algs = QN_ALG_BIT(QN_ALG_ES256),
			.typ = QN_TYP_ACCESS},
		    .keys = qn_jwks_parse((struct qn_span){text.p, text.n}, NULL),
		    .fetched_at = QN_TIME_NULL,
		    .attempted_at = QN_TIME_NULL,
		    .settled_at = QN_TIME_NULL,
		};
	}
	qn_buf_done(&text);
}

static size_t issuers_of(const struct qn_app *app, struct qn_list issuers)
{
	const struct issuer_row *rows = issuers.items;
	size_t n = 0;

	for (size_t i = 0; i < issuers.n; i++)
		n += strcmp(rows[i].app_id, app->id) == 0;
	return n;
}

static void build(const struct qn_registry *g, struct snapshot *s, struct qn_list apps,
    struct qn_list issuers, struct qn_list keys)
{
	const struct issuer_row *rows = issuers.items;

	s->arena = qn_arena_new(SNAPSHOT_BYTES);
	s->apps = qn_alloc_array(s->arena, apps.n, sizeof(*s->apps));
	for (s->n = 0; s->n < apps.n; s->n++) {
		struct qn_app *app = &s->apps[s->n];
		read_app(g, s, (const struct app_row *)apps.items + s->n, app);
		app->issuers =
		    qn_alloc_array(s->arena, issuers_of(app, issuers) + 1, sizeof(*app->issuers));
		for (size_t i = 0; i < issuers.n; i++)
			if (strcmp(rows[i].app_id, app->id) == 0)
				read_issuer(s, &rows[i], &app->issuers[app->n++]);
		read_own_keys(s, app, keys.items, keys.n);
	}
	const struct signing_key_row *key = keys.items;
	for (size_t i = 0; i < keys.n; i++)
		if (key[i].retired_at > qn_now() && key[i].retired_at < s->until)
			s->until = key[i].retired_at;
}

enum qn_err qn_registry_reload(struct qn_registry *g, struct qn_db *db, struct qn_arena *a)
{
	struct qn_list apps, issuers, keys;
	struct snapshot fresh = {.until = INT64_MAX};
	uint32_t generation = g->board != NULL ? atomic_load(&g->board->apps_gen) : 0;

	QN_TRY(app_list(db, a, &apps));
	QN_TRY(issuer_list(db, a, &issuers));
	QN_TRY(signing_key_list(db, a, &keys));
	build(g, &fresh, apps, issuers, keys);
	drop(&g->now);
	g->now = fresh;
	g->generation = generation;
	g->read_at = qn_mono_us();
	return QN_OK;
}

bool qn_registry_fresh(const struct qn_registry *g)
{
	return g->read_at != 0 && qn_mono_us() - g->read_at < FRESH_US;
}

bool qn_registry_stale(const struct qn_registry *g)
{
	if (g->read_at == 0 || g->board == NULL || qn_now() >= g->now.until ||
	    atomic_load(&g->board->apps_gen) != g->generation)
		return true;
	return !qn_board_live(g->board) && qn_mono_us() - g->read_at > UNHEARD_US;
}

enum qn_err qn_registry_refresh(struct qn_registry *g, struct qn_db *db, struct qn_arena *a)
{
	if (!qn_registry_stale(g))
		return QN_OK;
	enum qn_err e = qn_registry_reload(g, db, a);
	return e == QN_OK || g->read_at != 0 ? QN_OK : e;
}

uint32_t qn_registry_generation(const struct qn_registry *g)
{
	return g->generation;
}

const struct qn_app *qn_registry_app(const struct qn_registry *g, const char *slug)
{
	for (size_t i = 0; i < g->now.n; i++)
		if (strcmp(g->now.apps[i].slug, slug) == 0)
			return &g->now.apps[i];
	return NULL;
}

const struct qn_app *qn_registry_app_by_id(const struct qn_registry *g, const char *id)
{
	for (size_t i = 0; i < g->now.n; i++)
		if (strcmp(g->now.apps[i].id, id) == 0)
			return &g->now.apps[i];
	return NULL;
}

const struct qn_plan *qn_app_plan(const struct qn_app *app, const char *code)
{
	for (size_t i = 0; i < app->nplans; i++)
		if (strcmp(app->plans[i].code, code) == 0)
			return &app->plans[i];
	return NULL;
}

int qn_app_rank(const struct qn_app *app, const char *code)
{
	const struct qn_plan *plan = qn_app_plan(app, code);

	return plan != NULL ? (int)plan->rank : 0;
}

const struct qn_jwks *qn_issuer_keys(const struct qn_issuer *issuer, qn_time now)
{
	bool own = issuer->jwks_url == NULL;

	return own || qn_lately(issuer->fetched_at, DAY_US, now) ? issuer->keys : NULL;
}

const struct qn_issuer *qn_app_issuer(const struct qn_app *app, const char *iss)
{
	for (size_t i = 0; i < app->n; i++)
		if (strcmp(app->issuers[i].policy.issuer, iss) == 0)
			return &app->issuers[i];
	return NULL;
}
