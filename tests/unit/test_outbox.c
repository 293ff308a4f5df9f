/*
 * The outbox of mail, with the real schema: nothing leaves without the commit of its effect, nothing that was
 * committed is lost, and what was in a mail is unreadable while it waits and gone afterwards (SECURITY F29, T33).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg.h"
#include "quoin/auth/outbox.h"
#include "quoin/base/log.h"
#include "quoin/store/mail.h"
#include "quoin/store/migrate.h"
#include "settings.h"

#define APP   "00000000-0000-7000-8000-0000000000aa"
#define USER  "00000000-0000-7000-8000-000000000001"
#define TOKEN "a-token-that-nobody-may-read"

static struct pg pg;
static struct qn_conf *conf;
static struct qn_arena *arena;
static struct qn_db *db;
static char dir[64], url[160], box[100];

static struct qn_conf *settings(const char *more)
{
	return test_settings((const char *const[]){url, box, more, NULL});
}

static int start(void **state)
{
	(void)state;
	qn_log_init("test", QN_ERROR + 1);
	pg_start(&pg);
	struct migrate_options o = {.url = pg.url, .dir = TEST_MIGRATIONS, .role = ""};
	FILE *null = fopen("/dev/null", "w");
	assert_int_equal(migrate_run(&o, null), QN_OK);
	fclose(null);
	strcpy(dir, "/tmp/quoin-outbox-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(url, sizeof(url), "DATABASE_URL=%s", pg.url);
	snprintf(box, sizeof(box), "QUOIN_MAIL_DIR=%s", dir);
	conf = settings(NULL);
	arena = qn_arena_new((size_t)16 << 20);
	db = qn_db_new(pg.url, "", 10000, "test", NULL);
	pg_do(&pg,
	    "INSERT INTO apps (id, slug, name, config) VALUES ('" APP
	    "', 'fig-nodes', 'Fig Nodes', '{\"origins\":[\"https://first.example\",\"https://x\"],"
	    "\"mail\":{\"from\":\"Fig Nodes <no-reply@fignodes.com>\"}}');"
	    "INSERT INTO users (id, app_id, email) VALUES ('" USER "', '" APP
	    "', 'ann@example.com')");
	return 0;
}

static int stop(void **state)
{
	pid_t rm = fork();

	(void)state;
	if (rm == 0) {
		execlp("rm", "rm", "-rf", dir, NULL);
		_exit(1);
	}
	waitpid(rm, NULL, 0);
	qn_db_free(db);
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
	pg_do(&pg, "DELETE FROM mails; DELETE FROM jobs");
	return 0;
}

static struct qn_mail_order order(const char *to)
{
	return (struct qn_mail_order){.app_id = APP,
	    .user_id = USER,
	    .to = to,
	    .template = QN_MAIL_RESET_PASSWORD,
	    .vars = {.v = {[QN_MAIL_VAR_TOKEN] = TOKEN, [QN_MAIL_VAR_EXPIRES] = "one \"hour\""}}};
}

static const char *queued(void)
{
	const struct qn_mail_order o = order("ann@example.com");
	const char *id = NULL;

	assert_int_equal(qn_mail_queue(conf, db, arena, &o, &id), QN_OK);
	return id;
}

static void is(const char *id, const char *what)
{
	assert_string_equal(
	    pg_ask(&pg,
		"SELECT state || ' ' || attempts || ' ' || (variables IS NULL) || ' ' || "
		"coalesce(last_error, '-') FROM mails WHERE id = '%s'",
		id),
	    what);
}

static const char *file_of(const char *id)
{
	char *text = qn_alloc(arena, 16384);
	FILE *f = fopen(qn_printf(arena, "%s/%s.eml", dir, id), "r");

	if (f == NULL)
		return NULL;
	assert_true(fread(text, 1, 16383, f) > 0);
	fclose(f);
	return text;
}

static void a_mail_comes_with_its_job_or_not_at_all(void **state)
{
	const struct qn_mail_order o = order("ann@example.com");

	(void)state;
	{
		QN_TX(tx, db);
		assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_OK);
	}
	assert_int_equal(
	    pg_ask_i(&pg, "SELECT (SELECT count(*) FROM mails) + (SELECT count(*) FROM jobs)"), 0);
	{
		QN_TX(tx, db);
		assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_OK);
		assert_int_equal(qn_tx_commit(&tx), QN_OK);
	}
	assert_string_equal(
	    pg_ask(&pg,
		"SELECT m.app_id::text || m.user_id || m.to_address || m.template || m.state || j.kind "
		"|| j.max_attempts FROM mails m JOIN jobs j ON j.payload ->> 'mail' = m.id::text"),
	    APP USER "ann@example.comreset-passwordqueuedmail.send58");
	/* About two days. */
	assert_in_range(pg_ask_i(&pg, "SELECT sum(least(3600, 2 ^ least(n, 12)))::int / 3600 "
				      "FROM generate_series(1, 57) n"),
	    46, 50);
}

static void what_is_in_it_is_sealed(void **state)
{
	const char *id = queued();

	(void)state;
	assert_string_equal(
	    pg_ask(&pg,
		"SELECT position('" TOKEN "'::bytea IN variables) + "
		"position('" TOKEN "' IN mails::text) + "
		"(SELECT position('" TOKEN "' IN j::text) FROM jobs j) FROM mails WHERE id = '%s'",
		id),
	    "0");
	/* In another row it does not open. */
	const char *other = queued();
	pg_do(&pg,
	    "UPDATE mails SET variables = (SELECT variables FROM mails WHERE id = '%s') WHERE id = '%s'",
	    id, other);
	struct qn_delivery d;
	assert_int_equal(qn_mail_deliver(conf, db, arena, other, false, &d), QN_OK);
	is(other,
	    "failed 1 true its variables do not open: of another QUOIN_SECRET_KEY, or damaged");
	assert_null(file_of(other));
}

static void orders_that_cannot_be_change_nothing(void **state)
{
	static const char *const bad[] = {"", "ann", "ann@example.com\r\nBcc: x@example.com",
	    "ann@example.com, bob@example.com", "Ann <ann@example.com>"};
	char longest[QN_MAIL_VAR_MAX + 2];
	struct qn_mail_order o;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = order(bad[i]);
		assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_INVALID);
	}
	memset(longest, 'x', sizeof(longest));
	longest[QN_MAIL_VAR_MAX + 1] = '\0';
	o = order("ann@example.com");
	o.vars.v[QN_MAIL_VAR_EXPIRES] = longest;
	assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_INVALID);
	o.vars.v[QN_MAIL_VAR_EXPIRES] = NULL;
	assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_INTERNAL);
	o = order("ann@example.com");
	o.vars.v[QN_MAIL_VAR_IP] = "192.0.2.7";
	assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_INTERNAL);
	struct qn_conf *none = settings("QUOIN_SECRET_KEY=");
	o = order("ann@example.com");
	assert_int_equal(qn_mail_queue(none, db, arena, &o, NULL), QN_INTERNAL);
	qn_conf_free(none);
	assert_int_equal(
	    pg_ask_i(&pg, "SELECT (SELECT count(*) FROM mails) + (SELECT count(*) FROM jobs)"), 0);
	/* The longest that may be, of bytes that take six each in JSON. */
	memset(longest, 1, QN_MAIL_VAR_MAX);
	longest[QN_MAIL_VAR_MAX] = '\0';
	o.vars.v[QN_MAIL_VAR_EXPIRES] = longest;
	assert_int_equal(qn_mail_queue(conf, db, arena, &o, NULL), QN_OK);
}

static void it_is_sent_and_forgotten(void **state)
{
	const char *id = queued();
	struct qn_delivery d;

	(void)state;
	assert_int_equal(qn_mail_deliver(conf, db, arena, id, false, &d), QN_OK);
	assert_int_equal(d.outcome.result, QN_MAIL_SENT);
	assert_string_equal(d.template, "reset-password");
	is(id, "sent 1 true -");
	assert_string_equal(pg_ask(&pg, "SELECT message_id FROM mails WHERE id = '%s'", id),
	    qn_printf(arena, "<%s@fignodes.com>", id));
	const char *text = file_of(id);
	assert_non_null(text);
	/* Links are made of the app's file. */
	assert_non_null(strstr(text, "https://first.example/reset-password#token=3D" TOKEN));
	assert_non_null(strstr(text, "for one \"hour\"."));
	/* A job that runs once more has nothing to do. */
	assert_return_code(unlink(qn_printf(arena, "%s/%s.eml", dir, id)), errno);
	assert_int_equal(qn_mail_deliver(conf, db, arena, id, false, &d), QN_OK);
	assert_null(d.template);
	assert_null(file_of(id));
	assert_int_equal(qn_mail_deliver(conf, db, arena, USER, false, &d), QN_OK);
	assert_null(d.template);
}

static void links_lead_where_the_app_says(void **state)
{
	static const struct {
		const char *config, *link;
	} cases[] = {
	    {"{\"frontend_url\":\"https://web.example/app/\",\"origins\":[\"https://no.example\"]",
		"\nhttps://web.example/app/reset-password#"},
	    {"{\"origins\":[]", "\nhttp://localhost:8080/reset-password#"},
	    {"{\"hosts\":[\"no.example\"]", "\nhttp://localhost:8080/reset-password#"},
	};
	const char *was = qn_strdup(arena, pg_ask(&pg, "SELECT config FROM apps"));
	struct qn_delivery d;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pg_do(&pg, "UPDATE apps SET config = '%s,\"mail\":{\"from\":\"a@b.co\"}}'",
		    cases[i].config);
		const char *id = queued();
		assert_int_equal(qn_mail_deliver(conf, db, arena, id, false, &d), QN_OK);
		assert_non_null(strstr(file_of(id), cases[i].link));
	}
	pg_do(&pg, "UPDATE apps SET config = '%s'", was);
}

static void without_a_sender_it_waits(void **state)
{
	const char *was = qn_strdup(arena, pg_ask(&pg, "SELECT config FROM apps"));
	struct qn_delivery d;

	(void)state;
	pg_do(&pg, "UPDATE apps SET config = '{}'");
	const char *id = queued();
	assert_int_equal(qn_mail_deliver(conf, db, arena, id, false, &d), QN_DB_DOWN);
	is(id,
	    "queued 1 false there is no sender: mail.from of the app's file, or EMAIL_FROM, must be one");
	struct qn_conf *named = settings("EMAIL_FROM=Ours <ours@example.com>");
	assert_int_equal(qn_mail_deliver(named, db, arena, id, false, &d), QN_OK);
	is(id, "sent 2 true -");
	assert_non_null(strstr(file_of(id), "From: \"Ours\"\r\n <ours@example.com>"));
	qn_conf_free(named);
	pg_do(&pg, "UPDATE apps SET config = '%s'", was);
}

static void after_the_last_attempt_it_is_given_up(void **state)
{
	struct qn_conf *nowhere = settings("QUOIN_MAIL_DIR=/nonexistent/box");
	struct qn_delivery d;

	(void)state;
	const char *id = queued();
	assert_int_equal(qn_mail_deliver(nowhere, db, arena, id, false, &d), QN_DB_DOWN);
	is(id, "queued 1 false QUOIN_MAIL_DIR: No such file or directory");
	assert_int_equal(qn_mail_deliver(nowhere, db, arena, id, true, &d), QN_OK);
	is(id, "failed 2 true QUOIN_MAIL_DIR: No such file or directory");
	qn_conf_free(nowhere);
}

static void another_key_opens_nothing(void **state)
{
	struct qn_conf *other =
	    settings("QUOIN_SECRET_KEY=another-secret-of-0123456789-characters");
	struct qn_delivery d;

	(void)state;
	const char *id = queued();
	assert_int_equal(qn_mail_deliver(other, db, arena, id, false, &d), QN_OK);
	is(id, "failed 1 true its variables do not open: of another QUOIN_SECRET_KEY, or damaged");
	qn_conf_free(other);
}

static void one_that_waits_can_be_sent_now(void **state)
{
	const char *id = queued();

	(void)state;
	pg_do(&pg, "UPDATE jobs SET run_at = now() + interval '1 hour', attempts = 50");
	assert_int_equal(mail_retry(db, arena, id), QN_OK);
	assert_string_equal(
	    pg_ask(&pg, "SELECT run_at <= clock_timestamp() AND attempts = 0 FROM jobs"), "t");
	assert_int_equal(mail_retry(db, arena, USER), QN_NOT_FOUND);
}

static void they_are_listed_and_forgotten(void **state)
{
	struct qn_list list;
	struct qn_delivery d;
	int64_t n;

	(void)state;
	const char *first = queued(), *second = queued();
	assert_int_equal(qn_mail_deliver(conf, db, arena, first, false, &d), QN_OK);
	assert_int_equal(mail_list(db, arena, NULL, NULL, &list), QN_OK);
	const struct mail *m = list.items;
	assert_int_equal(list.n, 2);
	assert_string_equal(m[0].id, second);
	assert_string_equal(m[1].state, "sent");
	assert_string_equal(m[1].app_slug, "fig-nodes");
	assert_int_equal(mail_list(db, arena, APP, "queued", &list), QN_OK);
	assert_int_equal(list.n, 1);
	assert_int_equal(mail_list(db, arena, USER, NULL, &list), QN_OK);
	assert_int_equal(list.n, 0);
	pg_do(
	    &pg, "UPDATE mails SET created_at = now() - interval '31 days' WHERE id = '%s'", first);
	assert_int_equal(mail_prune(db, arena, &n), QN_OK);
	assert_int_equal(n, 1);
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM mails WHERE id = '%s'", second), 1);
	/* A user that is erased leaves no name behind, but what was promised to them goes out. */
	pg_do(&pg, "DELETE FROM users");
	assert_int_equal(pg_ask_i(&pg, "SELECT count(*) FROM mails WHERE user_id IS NULL"), 1);
	pg_do(&pg, "INSERT INTO users (id, app_id, email) VALUES ('" USER "', '" APP
		   "', 'ann@example.com')");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_mail_comes_with_its_job_or_not_at_all, set_up),
	    cmocka_unit_test_setup(what_is_in_it_is_sealed, set_up),
	    cmocka_unit_test_setup(orders_that_cannot_be_change_nothing, set_up),
	    cmocka_unit_test_setup(it_is_sent_and_forgotten, set_up),
	    cmocka_unit_test_setup(links_lead_where_the_app_says, set_up),
	    cmocka_unit_test_setup(without_a_sender_it_waits, set_up),
	    cmocka_unit_test_setup(after_the_last_attempt_it_is_given_up, set_up),
	    cmocka_unit_test_setup(another_key_opens_nothing, set_up),
	    cmocka_unit_test_setup(one_that_waits_can_be_sent_now, set_up),
	    cmocka_unit_test_setup(they_are_listed_and_forgotten, set_up),
	};

	if (!pg_installed())
		return 77;
	return cmocka_run_group_tests(tests, start, stop);
}
