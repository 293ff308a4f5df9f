/* Keys for licences with the real schema: which one signs, which are published, and what a worker keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pg.h"
#include "quoin/auth/appkey.h"
#include "quoin/auth/proofring.h"
#include "quoin/base/log.h"
#include "quoin/store/app.h"
#include "quoin/store/migrate.h"
#include "settings.h"

#define APP   "00000000-0000-7000-8000-0000000000aa"
#define OTHER "00000000-0000-7000-8000-0000000000bb"
#define DAY   86400

static struct pg pg;
static struct qn_conf *conf;
static struct qn_arena *arena;
static struct qn_db *db;
static struct qn_registry *registry;
static struct qn_proof_ring *ring;
static struct qn_board *board; /* on which nothing is ever posted */
static char url[160];

static int start(void **state)
{
	(void)state;
	qn_log_init("test", QN_ERROR + 1);
	pg_start(&pg);
	struct migrate_options o = {.url = pg.url, .dir = TEST_MIGRATIONS, .role = ""};
	FILE *null = fopen("/dev/null", "w");
	assert_int_equal(migrate_run(&o, null), QN_OK);
	fclose(null);
	snprintf(url, sizeof(url), "DATABASE_URL=%s", pg.url);
	conf = test_settings((const char *const[]){url, NULL});
	arena = qn_arena_new((size_t)16 << 20);
	board = qn_board_create(NULL, QN_POOL_API);
	db = qn_db_new(pg.url, "", 10000, "test", NULL);
	pg_do(&pg,
	    "INSERT INTO apps (id, slug, name, config) VALUES ('" APP "', 'one', 'One', '{}'), "
	    "('" OTHER "', 'other', 'Other', '{}')");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	qn_db_free(db);
	qn_board_unmap(board);
	qn_arena_free(arena);
	qn_conf_free(conf);
	pg_stop(&pg);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	qn_db_reset(db);
	qn_arena_reset(arena);
	pg_do(&pg, "DELETE FROM signing_keys");
	registry = qn_registry_new(conf, board);
	ring = qn_proof_ring_new(conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	qn_proof_ring_free(ring);
	qn_registry_free(registry);
	return 0;
}

/* The app as a worker has read it now. */
static const struct qn_app *app_of(const char *id)
{
	assert_int_equal(qn_registry_reload(registry, db, arena), QN_OK);
	return qn_registry_app_by_id(registry, id);
}

/* Name of the key that signs for the app, as it was read in that generation. */
static const char *signer(const char *id, uint32_t generation)
{
	const struct qn_proof_key *key = NULL;

	assert_int_equal(qn_proof_ring_get(ring, db, arena, app_of(id), generation, &key), QN_OK);
	return qn_strdup(arena, qn_proof_key_kid(key));
}

static void rotate(int64_t after_s, int64_t overlap_s)
{
	assert_int_equal(qn_app_proof_key_rotate(conf, db, arena, APP, after_s, overlap_s), QN_OK);
}

static void age(const char *kid)
{
	pg_do(&pg,
	    "UPDATE signing_keys SET signs_at = now() - interval '1 second' WHERE kid = '%s'", kid);
}

static size_t published(const char *id)
{
	const char *p = app_of(id)->proof_jwks;
	size_t n = 0;

	for (; (p = strstr(p, "\"kid\"")) != NULL; p++)
		n++;
	return n;
}

static void test_first(void **state)
{
	(void)state;
	assert_string_equal(app_of(APP)->proof_jwks, "{\"keys\":[]}");
	const char *kid = signer(APP, 1);
	assert_string_equal(signer(APP, 1), kid);
	assert_non_null(strstr(app_of(APP)->proof_jwks, kid));
	assert_string_equal(app_of(APP)->own_jwks, "{\"keys\":[]}");
	assert_int_equal(app_of(APP)->n, 0); /* no issuer of tokens */
	assert_string_not_equal(signer(OTHER, 1), kid);
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM signing_keys"), 2);
	assert_int_equal(
	    pg_ask_i(&pg, "SELECT count(*) FROM signing_keys WHERE algorithm = 'EdDSA'"), 2);
}

/* The two uses do not see each other's keys. */
static void test_uses(void **state)
{
	struct qn_signing_key *token = NULL;

	(void)state;
	const char *kid = signer(APP, 1);
	assert_int_equal(qn_app_key(conf, db, arena, APP, &token), QN_OK);
	assert_non_null(strstr(app_of(APP)->own_jwks, qn_signing_key_kid(token)));
	assert_null(strstr(app_of(APP)->own_jwks, kid));
	assert_null(strstr(app_of(APP)->proof_jwks, qn_signing_key_kid(token)));
	assert_int_equal(qn_app_key_rotate(conf, db, arena, APP), QN_OK);
	assert_string_equal(
	    pg_ask(&pg, "SELECT retired_at IS NULL FROM signing_keys WHERE kid = '%s'", kid), "t");
	assert_int_equal(published(APP), 1);
	qn_signing_key_free(token);
}

/* What was made in a transaction that is given up is kept by nobody, and signs nothing later. */
static void test_rolled_back(void **state)
{
	const struct qn_proof_key *key = NULL;
	const char *lost;

	(void)state;
	const struct qn_app *app = app_of(APP);
	{
		QN_TX(tx, db);
		assert_int_equal(qn_proof_ring_get(ring, db, arena, app, 1, &key), QN_OK);
		lost = qn_strdup(arena, qn_proof_key_kid(key));
		assert_int_equal(qn_proof_ring_get(ring, db, arena, app, 1, &key), QN_OK);
		assert_string_equal(qn_proof_key_kid(key), lost);
	}
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM signing_keys"), 0);
	assert_string_not_equal(signer(APP, 1), lost);
	assert_int_equal(published(APP), 1);
}

static void test_rotation(void **state)
{
	(void)state;
	rotate(30 * DAY, 0); /* nobody waits for the first */
	const char *first = signer(APP, 1);
	age(first);
	rotate(30 * DAY, 60 * DAY);
	assert_int_equal(published(APP), 2);
	assert_string_equal(signer(APP, 2), first);
	const char *second =
	    qn_strdup(arena, pg_ask(&pg, "SELECT kid FROM signing_keys WHERE retired_at IS NULL"));
	age(second);
	assert_string_equal(signer(APP, 2), first); /* kept, until it is read again */
	assert_string_equal(signer(APP, 3), second);
	assert_int_equal(published(APP), 2);
	assert_int_equal(
	    pg_ask_i(&pg,
		"SELECT round(extract(epoch FROM retired_at - now()) / 86400) FROM signing_keys WHERE kid = '%s'",
		first),
	    90);
	rotate(0, 0); /* others have them */
	assert_int_equal(published(APP), 1);
	const char *third = signer(APP, 4);
	assert_string_not_equal(third, first);
	assert_string_not_equal(third, second);
}

/* The snapshot is over when a key of it is. */
static void test_retires(void **state)
{
	(void)state;
	const char *first = signer(APP, 1);
	rotate(0, 60);
	assert_int_equal(published(APP), 2);
	pg_do(&pg,
	    "UPDATE signing_keys SET retired_at = now() + interval '500 ms' WHERE kid = '%s'",
	    first);
	assert_int_equal(published(APP), 2);
	assert_false(qn_registry_stale(registry));
	pg_until(&pg, "SELECT max(retired_at) < clock_timestamp() FROM signing_keys");
	assert_true(qn_registry_stale(registry));
	assert_int_equal(qn_registry_refresh(registry, db, arena), QN_OK);
	assert_false(qn_registry_stale(registry));
	assert_null(strstr(qn_registry_app_by_id(registry, APP)->proof_jwks, first));
}

/* Postgres is away: the last key serves, and an app that was not seen has none. */
static void test_outage(void **state)
{
	const struct qn_proof_key *key = NULL;

	(void)state;
	signer(APP, 1);
	const char *kid = signer(APP, 1);
	const struct qn_app *app = app_of(APP), *other = qn_registry_app_by_id(registry, OTHER);
	pg_server_down(&pg, SIGQUIT);
	assert_int_equal(qn_proof_ring_get(ring, db, arena, app, 2, &key), QN_OK);
	assert_string_equal(qn_proof_key_kid(key), kid);
	assert_int_equal(qn_proof_ring_get(ring, db, arena, other, 2, &key), QN_DB_DOWN);
	pg_server_up(&pg);
	/* A failed connection rests before the next. */
	for (int64_t began = qn_mono_us(); qn_db_ping(db) != QN_OK; poll(NULL, 0, 1))
		assert_in_range(qn_mono_us() - began, 0, 10000000);
}

static void test_other_secret(void **state)
{
	struct qn_conf *changed = test_settings((const char *const[]){
	    url, "QUOIN_SECRET_KEY=another-PzQ0vXw7LmNs41RtYbHcJe9UgA", NULL});
	struct qn_proof_key *key = NULL;

	(void)state;
	signer(APP, 1);
	assert_int_equal(qn_app_proof_key(changed, db, arena, APP, &key), QN_INTERNAL);
	qn_conf_free(changed);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {CASE(test_first), CASE(test_uses),
	    CASE(test_rolled_back), CASE(test_rotation), CASE(test_retires), CASE(test_outage),
	    CASE(test_other_secret)};

	if (!pg_installed())
		return 77;
	return cmocka_run_group_tests(tests, start, stop);
}
