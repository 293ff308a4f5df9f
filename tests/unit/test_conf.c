#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "quoin/base/conf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECRET   "kD8f2-PzQ0vXw7LmNs41RtYbHcJe9UgA"

extern char **environ;

static char **inherited;     /* the environment of this process */
static char dir[256];        /* of the test's files */
static char said[64 * 1024]; /* what the last load wrote to stderr */

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	inherited = environ;
	snprintf(dir, sizeof(dir), "%s/quoin-conf-XXXXXX", tmp != NULL ? tmp : "/tmp");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

/* The environment is these, up to a NULL, and nothing else. */
static void environment(const char *const *set)
{
	static char *now[8];

	for (size_t i = 0; i < COUNT(now); i++) {
		memcpy(&now[i], &set[i], sizeof(now[i])); /* environ forgot a const */
		if (set[i] == NULL)
			break;
	}
	environ = now;
}

static int restore(void **state)
{
	(void)state;
	environ = inherited;
	return 0;
}

static int clean(void **state)
{
	static const char *const none[] = {NULL};

	(void)state;
	environment(none);
	return 0;
}

/* DIR/name with this text and mode; the path stays valid for the next fifteen calls. */
static const char *file_of(const char *name, const char *text, size_t n, mode_t mode)
{
	static char paths[16][512];
	static int turn;
	char *path = paths[turn++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* qn_conf_load with stderr kept in `said`. */
static struct qn_conf *load(const char *path)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(f);
	assert_true(saved >= 0);
	fflush(stderr);
	dup2(fileno(f), STDERR_FILENO);
	struct qn_conf *c = qn_conf_load(path);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(f);
	said[fread(said, 1, sizeof(said) - 1, f)] = '\0';
	fclose(f);
	return c;
}

static struct qn_conf *load_text(const char *text)
{
	const char *path = file_of("quoin.env", text, strlen(text), 0600);
	struct qn_conf *c = load(path);

	unlink(path);
	return c;
}

/* The load must fail and say `why`, and never show the secret. */
static void refused(struct qn_conf *c, const char *why)
{
	if (c != NULL || strstr(said, why) == NULL)
		print_error("wanted \"%s\", said \"%s\"\n", why, said);
	assert_null(c);
	assert_non_null(strstr(said, why));
	assert_null(strstr(said, SECRET));
}

static void test_defaults(void **state)
{
	struct qn_conf *c = load_text("");

	(void)state;
	assert_non_null(c);
	assert_string_equal(said, "");
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_DATABASE_URL), "postgresql:///quoin");
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_SECRET_KEY), "");
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_API_WORKERS), 4);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_DATABASE_TIMEOUT_MS), 4000);
	assert_false(qn_conf_bool(c, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL));
	qn_conf_free(c);
	qn_conf_free(NULL);
}

static void test_file(void **state)
{
	struct qn_conf *c = load_text("# a comment\n; another\n\n   \n"
				      "QUOIN_API_WORKERS=7\n"
				      "  QUOIN_SLOW_WORKERS=8  \r\n"
				      "QUOIN_PUBLIC_URL=\"https://example.org/a b\"\n"
				      "MEMCACHED_PREFIX='x'\n"
				      "DATABASE_APP_ROLE= app\n"
				      "DATABASE_URL=host=/run dbname=q\n"
				      "MEMCACHED_SERVERS=\n"
				      "QUOIN_JOBS_WORKERS=2\nQUOIN_JOBS_WORKERS=3\n"
				      "SOMETHING_ELSE=1\n"
				      "QUOIN_OUTBOUND_LOCAL=on");

	(void)state;
	assert_non_null(c);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_API_WORKERS), 7);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_SLOW_WORKERS), 8);
	assert_string_equal(
	    qn_conf_str(c, QN_CONF_KEY_QUOIN_PUBLIC_URL), "https://example.org/a b");
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_MEMCACHED_PREFIX), "x");
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_DATABASE_APP_ROLE), "app");
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_DATABASE_URL), "host=/run dbname=q");
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_MEMCACHED_SERVERS), "");
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_JOBS_WORKERS), 3);
	assert_true(qn_conf_bool(c, QN_CONF_KEY_QUOIN_OUTBOUND_LOCAL));
	qn_conf_free(c);
}

static void test_file_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	    {"QUOIN_API_WORKER=1", "quoin.env:1: unknown key QUOIN_API_WORKER"},
	    {"\n\nQUOIN_TYPO=1", "quoin.env:3: unknown key QUOIN_TYPO"},
	    {"QUOIN_=1", "unknown key QUOIN_"},
	    {"QUOIN_TYPO_FILE=/dev/null", "unknown key QUOIN_TYPO_FILE"},
	    {"quoin_api_workers", "quoin.env:1: not KEY=VALUE"},
	    {"=1", "not KEY=VALUE"},
	    {"DATABASE_URL = x", "not KEY=VALUE"},
	    {"export DATABASE_URL=x", "not KEY=VALUE"},
	    {"QUOIN_API_WORKERS=", "QUOIN_API_WORKERS must be a whole number from 1 to 512"},
	    {"QUOIN_API_WORKERS=0", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=513", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=-1", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=+4", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=4x", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=4.0", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=0x4", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=\" 4\"", "from 1 to 512"},
	    {"QUOIN_API_WORKERS=99999999999999999999", "from 1 to 512"},
	    {"QUOIN_OUTBOUND_LOCAL=maybe", "QUOIN_OUTBOUND_LOCAL is yes or no"},
	    {"QUOIN_OUTBOUND_LOCAL=", "is yes or no"},
	    {"DATABASE_URL=", "DATABASE_URL must have 1 to 1000 characters"},
	    {"QUOIN_PUBLIC_URL=http://", "QUOIN_PUBLIC_URL must have 8 to 200 characters"},
	    {"DATABASE_URL=\"a\tb\"", "DATABASE_URL must be one line without control characters"},
	    {"DATABASE_URL=a\x7f", "without control characters"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		refused(load_text(cases[i].text), cases[i].why);
}

static void test_bounds(void **state)
{
	static const char *const good[] = {"QUOIN_API_WORKERS=1", "QUOIN_API_WORKERS=512",
	    "QUOIN_WORKER_REQUESTS=0", "QUOIN_WORKER_REQUESTS=100000000",
	    "QUOIN_OUTBOUND_LOCAL=yes", "QUOIN_OUTBOUND_LOCAL=true", "QUOIN_OUTBOUND_LOCAL=1",
	    "QUOIN_OUTBOUND_LOCAL=off", "QUOIN_OUTBOUND_LOCAL=false", "QUOIN_OUTBOUND_LOCAL=0",
	    "QUOIN_PUBLIC_URL=http://a"};
	char text[1200];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct qn_conf *c = load_text(good[i]);
		assert_non_null(c);
		qn_conf_free(c);
	}
	snprintf(text, sizeof(text), "DATABASE_URL=%0*d", 1000, 0);
	struct qn_conf *c = load_text(text);
	assert_non_null(c);
	qn_conf_free(c);
	snprintf(text, sizeof(text), "DATABASE_URL=%0*d", 1001, 0);
	refused(load_text(text), "DATABASE_URL must have 1 to 1000 characters");
}

static void test_environment(void **state)
{
	const char *set[] = {
	    "QUOIN_API_WORKERS=9", "QUOIN_CONFIG=/nowhere", "PATH=/bin", "=odd", "odd", NULL};
	const char *unknown[] = {"QUOIN_API_WORKER=9", NULL};
	const char *bad[] = {"QUOIN_API_WORKERS=none", NULL};

	(void)state;
	environment(set);
	struct qn_conf *c = load_text("QUOIN_API_WORKERS=7\nQUOIN_SLOW_WORKERS=8\n");
	assert_non_null(c);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_API_WORKERS), 9);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_SLOW_WORKERS), 8);
	qn_conf_free(c);
	environment(unknown);
	refused(load_text(""), "environment: unknown key QUOIN_API_WORKER");
	environment(bad);
	refused(load_text(""), "QUOIN_API_WORKERS must be");
}

static void test_config_variable(void **state)
{
	char variable[600];
	const char *set[] = {variable, NULL};
	const char *path = file_of("other.env", "QUOIN_API_WORKERS=11\n", 21, 0600);

	(void)state;
	environment(set);
	snprintf(variable, sizeof(variable), "QUOIN_CONFIG=%s", path);
	struct qn_conf *c = load(NULL);
	assert_non_null(c);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_API_WORKERS), 11);
	qn_conf_free(c);
	unlink(path);
	refused(load(NULL), "other.env: No such file");
	refused(load(dir), "Is a directory");
}

/* What KEY_FILE names wins over KEY of the same place, whatever the order. */
static void test_key_file(void **state)
{
	char variable[600], text[1024];
	const char *after[] = {"QUOIN_PUBLIC_URL=http://plain", variable, NULL};
	const char *before[] = {variable, "QUOIN_PUBLIC_URL=http://plain", NULL};
	const char *plain[] = {"QUOIN_PUBLIC_URL=http://plain", NULL};
	const char *path = file_of("url", "http://from-file\n", 17, 0644);

	(void)state;
	snprintf(variable, sizeof(variable), "QUOIN_PUBLIC_URL_FILE=%s", path);
	environment(after);
	struct qn_conf *c = load_text("");
	assert_non_null(c);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_PUBLIC_URL), "http://from-file");
	qn_conf_free(c);
	environment(before);
	c = load_text("");
	assert_non_null(c);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_PUBLIC_URL), "http://from-file");
	qn_conf_free(c);
	clean(NULL);
	snprintf(text, sizeof(text), "%s\nQUOIN_PUBLIC_URL=http://plain\n", variable);
	c = load_text(text);
	assert_non_null(c);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_PUBLIC_URL), "http://from-file");
	qn_conf_free(c);
	environment(plain); /* the environment is above the settings file */
	c = load_text(text);
	assert_non_null(c);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_PUBLIC_URL), "http://plain");
	qn_conf_free(c);
	unlink(path);
	environment(after);
	refused(load_text(""), "QUOIN_PUBLIC_URL: cannot read ");
}

static void test_odd_files(void **state)
{
	static char large[70000];
	char variable[600];
	const char *set[] = {variable, NULL};

	(void)state;
	memset(large, '#', sizeof(large));
	const char *path = file_of("value", "http://a\n\n", 10, 0600);
	snprintf(variable, sizeof(variable), "QUOIN_PUBLIC_URL_FILE=%s", path);
	environment(set);
	refused(load_text(""), "without control characters");
	file_of("value", "http://a\0b", 10, 0600);
	refused(load_text(""), "QUOIN_PUBLIC_URL: cannot read ");
	file_of("value", large, sizeof(large), 0600);
	refused(load_text(""), "File too large");
	snprintf(variable, sizeof(variable), "QUOIN_PUBLIC_URL_FILE=/%0*d", 550, 0);
	refused(load_text(""), "QUOIN_PUBLIC_URL_FILE is too long");
	clean(NULL);
	refused(load(file_of("value", large, sizeof(large), 0600)), "File too large");
	refused(load(file_of("value", "A=1\0\nQUOIN_TYPO=1\n", 18, 0600)), "value: ");
	unlink(path);
}

static void test_secrets(void **state)
{
	static const struct {
		const char *value, *why;
	} bad[] = {
	    {"short", "QUOIN_SECRET_KEY must be 32 to 128 random characters"},
	    {"kD8f2-PzQ0vXw7LmNs41RtYbHcJe9Ug", "32 to 128"}, /* 31 */
	    {"changemechangemechangemechangeme", "32 to 128"},
	    {"00000000000000000000000000000000", "32 to 128"},
	    {"12345678901234567890123456789012", "32 to 128"},
	    {"secret-secret-secret-secret-secret", "32 to 128"},
	};
	char text[400];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof(text), "QUOIN_SECRET_KEY=%s", bad[i].value);
		refused(load_text(text), bad[i].why);
		assert_null(strstr(said, bad[i].value));
	}
	snprintf(text, sizeof(text), "QUOIN_SECRET_KEY=" SECRET "%097d", 0);
	refused(load_text(text), "32 to 128");
	struct qn_conf *c = load_text("QUOIN_SECRET_KEY=" SECRET);
	assert_non_null(c);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_SECRET_KEY), SECRET);
	qn_conf_free(c);
}

static void test_readable_secrets(void **state)
{
	char variable[600];
	const char *set[] = {variable, NULL};
	const char *path = file_of("secret", SECRET "\n", sizeof(SECRET), 0640);

	(void)state;
	snprintf(variable, sizeof(variable), "QUOIN_SECRET_KEY_FILE=%s", path);
	environment(set);
	struct qn_conf *c = load_text("");
	assert_non_null(c);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_SECRET_KEY), SECRET);
	qn_conf_free(c);
	assert_int_equal(chmod(path, 0644), 0);
	refused(load_text(""), "must not be readable by all");
	unlink(path);
	clean(NULL);
	path = file_of("public.env", "QUOIN_SECRET_KEY=" SECRET "\n", sizeof(SECRET) + 17, 0604);
	refused(load(path), "public.env holds a secret and must not be readable by all");
	assert_int_equal(chmod(path, 0640), 0);
	c = load(path);
	assert_non_null(c);
	qn_conf_free(c);
	path = file_of("public.env", "QUOIN_SECRET_KEY=\nQUOIN_API_WORKERS=2\n", 38, 0644);
	c = load(path);
	assert_non_null(c);
	qn_conf_free(c);
	unlink(path);
}

static void test_credentials(void **state)
{
	char variable[600];
	const char *set[] = {variable, "QUOIN_API_WORKERS=9", "QUOIN_SLOW_WORKERS=9", NULL};
	const char *workers = file_of("QUOIN_API_WORKERS", "12\n", 3, 0400);
	const char *secret = file_of("QUOIN_SECRET_KEY", SECRET, strlen(SECRET), 0400);

	(void)state;
	environment(set);
	snprintf(variable, sizeof(variable), "CREDENTIALS_DIRECTORY=%s", dir);
	struct qn_conf *c = load_text("QUOIN_API_WORKERS=7\n");
	assert_non_null(c);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_API_WORKERS), 12);
	assert_int_equal(qn_conf_int(c, QN_CONF_KEY_QUOIN_SLOW_WORKERS), 9);
	assert_string_equal(qn_conf_str(c, QN_CONF_KEY_QUOIN_SECRET_KEY), SECRET);
	qn_conf_free(c);
	assert_int_equal(chmod(secret, 0444), 0);
	refused(load_text(""), "must not be readable by all");
	unlink(secret);
	/* What is there but cannot be read is not passed over. */
	assert_int_equal(mkdir(secret, 0700), 0);
	refused(load_text(""), "QUOIN_SECRET_KEY: cannot read ");
	rmdir(secret);
	unlink(workers);
	snprintf(variable, sizeof(variable), "CREDENTIALS_DIRECTORY=/nowhere");
	c = load_text("");
	assert_non_null(c);
	qn_conf_free(c);
}

/* All that a function writes to a stream, in a static buffer. */
static const char *printed(const struct qn_conf *c)
{
	static char out[64 * 1024];
	FILE *f = tmpfile();

	assert_non_null(f);
	if (c != NULL)
		qn_conf_print(c, f);
	else
		qn_conf_markdown(f);
	rewind(f);
	out[fread(out, 1, sizeof(out) - 1, f)] = '\0';
	fclose(f);
	return out;
}

static void test_print(void **state)
{
	struct qn_conf *c = load_text("QUOIN_SECRET_KEY=" SECRET "\nQUOIN_API_WORKERS=3\n");

	(void)state;
	assert_non_null(c);
	const char *out = printed(c);
	assert_non_null(strstr(out, "\nQUOIN_API_WORKERS=3\n"));
	assert_non_null(strstr(out, "\nQUOIN_SECRET_KEY=(hidden)\n"));
	assert_non_null(strstr(out, "DATABASE_URL=postgresql:///quoin\n"));
	assert_null(strstr(out, SECRET));
	qn_conf_free(c);
	c = load_text("");
	assert_non_null(strstr(printed(c), "\nQUOIN_SECRET_KEY=\n"));
	qn_conf_free(c);
	out = printed(NULL);
	assert_non_null(strstr(out, "| `QUOIN_API_WORKERS` | `4` | 1 to 512 | yes |"));
	assert_non_null(strstr(out, "| `QUOIN_SECRET_KEY` |  | 32 to 128 characters | no |"));
	assert_non_null(strstr(out, "| `QUOIN_OUTBOUND_LOCAL` | `no` | yes or no | no |"));
}

static void test_print_hides_passwords(void **state)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
	    {"postgresql://u:p4ss@h:5432/d", "postgresql://u:(hidden)@h:5432/d"},
	    {"postgresql://u:p4ss@x@h/d", "postgresql://u:(hidden)@h/d"},
	    {"postgresql://u@h:5432/d", "postgresql://u@h:5432/d"},
	    {"postgresql://h:5432/d", "postgresql://h:5432/d"},
	    {"postgresql:///d?host=/run", "postgresql:///d?host=/run"},
	    {"postgresql://h/d?password=p4ss", "postgresql://h/d?password=(hidden)"},
	    {"host=h password=p4ss", "host=h password=(hidden)"},
	    {"host=h password = 'p4ss x' dbname=d", "host=h password = (hidden)"},
	    {"host=h dbname=d", "host=h dbname=d"},
	};
	char text[200], line[200];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "DATABASE_URL=%s\n", cases[i].url);
		snprintf(line, sizeof(line), "DATABASE_URL=%s\n", cases[i].shown);
		struct qn_conf *c = load_text(text);
		assert_non_null(c);
		assert_memory_equal(printed(c), line, strlen(line));
		assert_null(strstr(printed(c), "p4ss"));
		qn_conf_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_defaults, clean, restore),
	    cmocka_unit_test_setup_teardown(test_file, clean, restore),
	    cmocka_unit_test_setup_teardown(test_file_refused, clean, restore),
	    cmocka_unit_test_setup_teardown(test_bounds, clean, restore),
	    cmocka_unit_test_setup_teardown(test_environment, clean, restore),
	    cmocka_unit_test_setup_teardown(test_config_variable, clean, restore),
	    cmocka_unit_test_setup_teardown(test_key_file, clean, restore),
	    cmocka_unit_test_setup_teardown(test_odd_files, clean, restore),
	    cmocka_unit_test_setup_teardown(test_secrets, clean, restore),
	    cmocka_unit_test_setup_teardown(test_readable_secrets, clean, restore),
	    cmocka_unit_test_setup_teardown(test_credentials, clean, restore),
	    cmocka_unit_test_setup_teardown(test_print, clean, restore),
	    cmocka_unit_test_setup_teardown(test_print_hides_passwords, clean, restore),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
