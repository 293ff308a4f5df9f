/* keys: those that an app's tokens are signed with, and those that its licences are proved with. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/auth/appkey.h"
#include "quoin/base/json.h"
#include "quoin/store/app.h"

enum { DAY_S = 86400, MOST_DAYS = 3650, AFTER_DAYS = 1, OVERLAP_DAYS = 400 };

/* Days of an option, or `otherwise` when it was not given; -1: they are none. */
static int64_t days_of(const char *text, int64_t otherwise)
{
	int64_t n = otherwise;

	if (text != NULL && (!qn_json_i64(qn_span_of(text), &n) || n < 0 || n > MOST_DAYS))
		return -1;
	return n;
}

static int rotate_tokens(struct ctl *c, const char *slug, const char *id)
{
	enum qn_err e = qn_app_key_rotate(c->conf, c->db, c->arena, id);

	if (e != QN_OK)
		return ctl_fail(c, slug, e);
	printf(
	    "%s: a new key signs in ten seconds; the ones before are good for two hours\n", slug);
	return CTL_OK;
}

static int rotate_licenses(
    struct ctl *c, const char *slug, const char *id, int64_t after, int64_t overlap)
{
	enum qn_err e =
	    qn_app_proof_key_rotate(c->conf, c->db, c->arena, id, after * DAY_S, overlap * DAY_S);

	if (e != QN_OK)
		return ctl_fail(c, slug, e);
	printf("%s: a new key for licences is published now and signs in ", slug);
	if (after > 0)
		printf("%" PRId64 " days; ", after);
	else
		printf("ten seconds; ");
	printf("the one before it is published for %" PRId64 " days more\n", after + overlap);
	return CTL_OK;
}

static int rotate(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app"),
		   *use = ctl_option(&argc, argv, "--use"),
		   *after = ctl_option(&argc, argv, "--after"),
		   *overlap = ctl_option(&argc, argv, "--overlap");
	bool licenses = use != NULL && strcmp(use, SIGNING_LICENSES) == 0;
	int64_t after_days = days_of(after, AFTER_DAYS),
		overlap_days = days_of(overlap, OVERLAP_DAYS);

	if (slug == NULL || argc != 1 || after_days < 0 || overlap_days < 0 ||
	    (use != NULL && !licenses && strcmp(use, SIGNING_TOKENS) != 0) ||
	    (!licenses && (after != NULL || overlap != NULL)))
		return ctl_usage("keys");
	const char *id = ctl_has_secret(c) ? ctl_app_id(c, slug) : NULL;
	if (id == NULL)
		return CTL_FAILED;
	return licenses ? rotate_licenses(c, slug, id, after_days, overlap_days)
	                : rotate_tokens(c, slug, id);
}

static bool is_of(const struct signing_key_row *k, const char *app, const char *use)
{
	return strcmp(k->app_id, app) == 0 && strcmp(k->use, use) == 0;
}

static bool is_retired(const struct signing_key_row *k)
{
	return k->retired_at != QN_TIME_NULL && k->retired_at <= qn_now();
}

/* The key that signs, as signing_key_current() finds it among keys that come newest first; NULL: there is none. */
static const struct signing_key_row *signer(
    const struct signing_key_row *keys, size_t n, const char *app, const char *use)
{
	const struct signing_key_row *next = NULL;
	qn_time now = qn_now();

	for (size_t i = 0; i < n; i++) {
		if (!is_of(&keys[i], app, use) || is_retired(&keys[i]))
			continue;
		if (keys[i].signs_at < now)
			return &keys[i];
		if (next == NULL || keys[i].signs_at < next->signs_at)
			next = &keys[i];
	}
	return next;
}

static const char *state_of(const struct signing_key_row *k, const struct signing_key_row *current)
{
	if (k == current)
		return "signing";
	if (is_retired(k))
		return "retired";
	return k->signs_at > qn_now() ? "waiting" : "published";
}

static void print_keys(
    const struct signing_key_row *keys, size_t n, const char *app, const char *use)
{
	const struct signing_key_row *current = signer(keys, n, app, use);
	char signs[QN_RFC3339_MAX], ends[QN_RFC3339_MAX];

	for (size_t i = 0; i < n; i++) {
		if (!is_of(&keys[i], app, use))
			continue;
		qn_time_print(signs, keys[i].signs_at);
		snprintf(ends, sizeof(ends), "-");
		if (keys[i].retired_at != QN_TIME_NULL)
			qn_time_print(ends, keys[i].retired_at);
		printf("  %-8s %-44s %-10s %-28s %s\n", use, keys[i].kid,
		    state_of(&keys[i], current), signs, ends);
	}
}

static int list(struct ctl *c, int argc, char **argv)
{
	const char *slug = ctl_option(&argc, argv, "--app");
	struct qn_list apps, keys;

	if (argc != 1)
		return ctl_usage("keys");
	if (slug != NULL && ctl_app_id(c, slug) == NULL)
		return CTL_FAILED;
	enum qn_err e = app_list(c->db, c->arena, &apps);
	if (e == QN_OK)
		e = signing_key_list(c->db, c->arena, &keys);
	if (e != QN_OK)
		return ctl_fail(c, "keys", e);
	const struct app_row *app = apps.items;
	for (size_t i = 0; i < apps.n; i++) {
		if (slug != NULL && strcmp(app[i].slug, slug) != 0)
			continue;
		puts(app[i].slug);
		print_keys(keys.items, keys.n, app[i].id, SIGNING_TOKENS);
		print_keys(keys.items, keys.n, app[i].id, SIGNING_LICENSES);
	}
	return CTL_OK;
}

int ctl_keys(struct ctl *c, int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "rotate") == 0)
		return rotate(c, argc, argv);
	if (argc > 0 && strcmp(argv[0], "list") == 0)
		return list(c, argc, argv);
	return ctl_usage("keys");
}
