#include "quoin/base/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quoin/base/rand.h"

extern char **environ;

enum { FILE_MAX_BYTES = 64 * 1024 };

struct setting {
	const char *name, *def, *text;
	enum qn_conf_type type;
	int64_t least, most;
	bool reload;
};

static const struct setting settings[QN_CONF__MAX] = {
#define X(key, type_, def_, least_, most_, reload_, text_) \
	[QN_CONF_KEY_##key] = {#key, def_, text_, QN_CONF_##type_, least_, most_, reload_},
    QN_SETTINGS(X)
#undef X
};

/* Where a value is from: each overrides those before, and within one KEY_FILE overrides KEY. */
enum source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_CREDENTIALS };

struct qn_conf {
	char *value[QN_CONF__MAX]; /* owned, never NULL once loaded */
	int64_t number[QN_CONF__MAX];
	enum source source;                /* being read */
	enum source by_path[QN_CONF__MAX]; /* where a KEY_FILE gave the value */
	bool inline_secret;                /* the settings file itself holds one */
};

static bool complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static bool complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("quoin: settings: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return false;
}

static const struct setting *by_name(const char *name, size_t n)
{
	for (size_t i = 0; i < QN_CONF__MAX; i++)
		if (strlen(settings[i].name) == n && memcmp(settings[i].name, name, n) == 0)
			return &settings[i];
	return NULL;
}

static void wipe_free(char *p, size_t n)
{
	if (p != NULL)
		qn_wipe(p, n);
	free(p);
}

/* All of fd with a NUL behind it; NULL and errno on failure, or when it is too long or no text. */
static char *read_all(int fd)
{
	char *p = calloc(1, FILE_MAX_BYTES + 1);
	size_t n = 0;
	ssize_t got = 1;

	if (p == NULL)
		return NULL;
	while (n < FILE_MAX_BYTES && got > 0) {
		got = read(fd, p + n, FILE_MAX_BYTES - n);
		n += got > 0 ? (size_t)got : 0;
	}
	int err = got < 0 ? errno : n == FILE_MAX_BYTES ? EFBIG : 0;
	if (err == 0 && memchr(p, '\0', n) != NULL)
		err = EILSEQ;
	if (err != 0) {
		wipe_free(p, n);
		errno = err;
		return NULL;
	}
	return p;
}

/*
 * The whole of a small text file, owned by the caller; NULL and errno on failure. *ret_public:
 * anybody on this host may read it.
 */
static char *read_file(const char *path, bool *ret_public)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	char *p = fstat(fd, &st) == 0 ? read_all(fd) : NULL;
	int err = errno;
	close(fd);
	errno = err;
	if (p != NULL)
		*ret_public = (st.st_mode & S_IROTH) != 0;
	return p;
}

static bool set(struct qn_conf *c, const struct setting *s, const char *value, size_t n)
{
	char **at = &c->value[s - settings];
	char *copy = strndup(value, n);

	if (copy == NULL)
		return complain("out of memory");
	wipe_free(*at, *at != NULL ? strlen(*at) : 0);
	*at = copy;
	return true;
}

/* KEY_FILE or a systemd credential: one value, its last newline dropped. */
static bool set_from_file(struct qn_conf *c, const struct setting *s, const char *path)
{
	bool public = false;
	char *text = read_file(path, &public);

	if (text == NULL)
		return complain("%s: cannot read %s: %s", s->name, path, strerror(errno));
	size_t all = strlen(text), n = all;
	if (n > 0 && text[n - 1] == '\n')
		n--;
	bool ok = true;
	if (public && s->type == QN_CONF_SECRET)
		ok = complain("%s: %s must not be readable by all", s->name, path);
	ok = ok && set(c, s, text, n);
	wipe_free(text, all);
	return ok;
}

static bool set_value(struct qn_conf *c, const struct setting *s, const char *value, size_t n)
{
	if (c->by_path[s - settings] == c->source)
		return true;
	if (s->type == QN_CONF_SECRET && n > 0 && c->source == FROM_FILE)
		c->inline_secret = true;
	return set(c, s, value, n);
}

static bool set_path(
    struct qn_conf *c, const struct setting *s, const char *value, size_t n, const char *where)
{
	char path[512];

	if (n >= sizeof(path))
		return complain("%s: %s_FILE is too long", where, s->name);
	memcpy(path, value, n);
	path[n] = '\0';
	c->by_path[s - settings] = c->source;
	return set_from_file(c, s, path);
}

static bool starts_with(const char *name, size_t n, const char *start)
{
	return n >= strlen(start) && memcmp(name, start, strlen(start)) == 0;
}

/* NAME=value or NAME_FILE=path. Names that are not ours pass, but not under QUOIN_. */
static bool set_pair(struct qn_conf *c, const char *name, size_t name_n, const char *value,
    size_t n, const char *where)
{
	const struct setting *s = by_name(name, name_n);

	if (s != NULL)
		return set_value(c, s, value, n);
	if (name_n > 5 && starts_with(name + name_n - 5, 5, "_FILE"))
		s = by_name(name, name_n - 5);
	if (s != NULL)
		return set_path(c, s, value, n, where);
	bool is_config = name_n == 12 && starts_with(name, name_n, "QUOIN_CONFIG");
	if (starts_with(name, name_n, "QUOIN_") && !is_config)
		return complain("%s: unknown key %.*s", where, (int)name_n, name);
	return true;
}

/* Bytes that a key may have: others are a slip of the pen (`KEY = value`, `export KEY=value`). */
static bool is_key(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '_')
			return false;
	return n != 0;
}

/* A line as systemd's EnvironmentFile has them: quotes may surround a value. */
static bool parse_line(struct qn_conf *c, char *line, const char *path, int number)
{
	char where[600];

	snprintf(where, sizeof(where), "%s:%d", path, number);
	while (isspace((unsigned char)*line))
		line++;
	if (*line == '\0' || *line == '#' || *line == ';')
		return true;
	char *eq = strchr(line, '=');
	if (eq == NULL || !is_key(line, (size_t)(eq - line)))
		return complain("%s: not KEY=VALUE", where);
	char *value = eq + 1, *end = value + strlen(value);
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	while (value < end && isspace((unsigned char)*value))
		value++;
	if (end - value >= 2 && (*value == '"' || *value == '\'') && end[-1] == *value) {
		value++;
		end--;
	}
	return set_pair(c, line, (size_t)(eq - line), value, (size_t)(end - value), where);
}

static bool load_file(struct qn_conf *c, const char *path)
{
	bool public = false, ok = true;
	char *text = read_file(path, &public), *next;
	int number = 0;

	if (text == NULL)
		return complain("%s: %s", path, strerror(errno));
	size_t n = strlen(text);
	c->source = FROM_FILE;
	for (char *line = text; ok && line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		ok = parse_line(c, line, path, ++number);
	}
	wipe_free(text, n);
	if (ok && public && c->inline_secret)
		return complain("%s holds a secret and must not be readable by all", path);
	return ok;
}

static bool load_environment(struct qn_conf *c)
{
	c->source = FROM_ENVIRONMENT;
	for (char **e = environ; *e != NULL; e++) {
		const char *eq = strchr(*e, '=');
		if (eq != NULL && eq != *e &&
		    !set_pair(c, *e, (size_t)(eq - *e), eq + 1, strlen(eq + 1), "environment"))
			return false;
	}
	return true;
}

static bool load_credentials(struct qn_conf *c)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[1024];

	if (dir == NULL)
		return true;
	c->source = FROM_CREDENTIALS;
	for (size_t i = 0; i < QN_CONF__MAX; i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", dir, settings[i].name);
		if (n < 0 || (size_t)n >= sizeof(path))
			return complain("CREDENTIALS_DIRECTORY is too long");
		if (access(path, F_OK) == 0 && !set_from_file(c, &settings[i], path))
			return false;
	}
	return true;
}

static bool parse_bool(const char *v, int64_t *ret)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < 4; i++) {
		if (strcmp(v, yes[i]) == 0 || strcmp(v, no[i]) == 0) {
			*ret = strcmp(v, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

/* A secret that nobody drew at random: fewer than twelve different characters. */
static bool weak(const char *v)
{
	bool seen[256] = {false};
	int kinds = 0;

	for (; *v != '\0'; v++) {
		if (!seen[(unsigned char)*v])
			kinds++;
		seen[(unsigned char)*v] = true;
	}
	return kinds < 12;
}

static bool parse_int(const char *v, int64_t *ret)
{
	char *end;

	if (*v != '-' && !isdigit((unsigned char)*v)) /* strtoll would skip space and take a plus */
		return false;
	errno = 0;
	*ret = strtoll(v, &end, 10);
	return *end == '\0' && errno == 0;
}

static bool has_control(const char *v)
{
	for (; *v != '\0'; v++)
		if (iscntrl((unsigned char)*v))
			return true;
	return false;
}

static bool check(struct qn_conf *c, const struct setting *s)
{
	const char *v = c->value[s - settings];
	int64_t *number = &c->number[s - settings];
	int64_t n = (int64_t)strlen(v);

	if (has_control(v))
		return complain("%s must be one line without control characters", s->name);
	switch (s->type) {
	case QN_CONF_BOOL:
		if (!parse_bool(v, number))
			return complain("%s is yes or no", s->name);
		return true;
	case QN_CONF_INT:
		if (!parse_int(v, number) || *number < s->least || *number > s->most)
			return complain("%s must be a whole number from %" PRId64 " to %" PRId64,
			    s->name, s->least, s->most);
		return true;
	case QN_CONF_SECRET:
		if (n != 0 && (n < s->least || n > s->most || weak(v)))
			return complain("%s must be %" PRId64 " to %" PRId64 " random characters",
			    s->name, s->least, s->most);
		return true;
	case QN_CONF_STR:
		break;
	}
	if (n < s->least || n > s->most)
		return complain("%s must have %" PRId64 " to %" PRId64 " characters", s->name,
		    s->least, s->most);
	return true;
}

static bool load_all(struct qn_conf *c, const char *path)
{
	for (size_t i = 0; i < QN_CONF__MAX; i++)
		if (!set(c, &settings[i], settings[i].def, strlen(settings[i].def)))
			return false;
	if (path == NULL)
		path = getenv("QUOIN_CONFIG");
	if (path == NULL && access(QUOIN_SYSCONFDIR "/quoin.env", F_OK) == 0)
		path = QUOIN_SYSCONFDIR "/quoin.env";
	if ((path != NULL && !load_file(c, path)) || !load_environment(c) || !load_credentials(c))
		return false;
	for (size_t i = 0; i < QN_CONF__MAX; i++)
		if (!check(c, &settings[i]))
			return false;
	return true;
}

struct qn_conf *qn_conf_load(const char *path)
{
	struct qn_conf *c = calloc(1, sizeof(*c));

	if (c == NULL || load_all(c, path))
		return c;
	qn_conf_free(c);
	return NULL;
}

void qn_conf_free(struct qn_conf *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < QN_CONF__MAX; i++)
		wipe_free(c->value[i], c->value[i] != NULL ? strlen(c->value[i]) : 0);
	free(c);
}

const char *qn_conf_str(const struct qn_conf *c, enum qn_setting key)
{
	return c->value[key];
}

int64_t qn_conf_int(const struct qn_conf *c, enum qn_setting key)
{
	return c->number[key];
}

bool qn_conf_bool(const struct qn_conf *c, enum qn_setting key)
{
	return c->number[key] != 0;
}

/*
 * Where a password stands in a connection string, user:password@host or `password = …`, and how
 * many bytes to hide: rather too many than too few. 0: there is none.
 */
static const char *password_in(const char *v, size_t *ret_n)
{
	const char *scheme = strstr(v, "://"), *word = strstr(v, "password");
	const char *at = strrchr(v, '@');
	const char *colon = scheme != NULL ? strchr(scheme + 3, ':') : NULL;

	*ret_n = 0;
	if (word != NULL) {
		word += strlen("password");
		word += strspn(word, " =");
		*ret_n = strlen(word);
		return word;
	}
	if (colon == NULL || at == NULL || at < colon)
		return v;
	*ret_n = (size_t)(at - colon) - 1;
	return colon + 1;
}

static void print_value(const struct setting *s, const char *v, FILE *out)
{
	size_t hide;
	const char *password = password_in(v, &hide);

	if (s->type == QN_CONF_SECRET && *v != '\0')
		fputs("(hidden)", out);
	else if (hide != 0)
		fprintf(out, "%.*s(hidden)%s", (int)(password - v), v, password + hide);
	else
		fputs(v, out);
}

void qn_conf_print(const struct qn_conf *c, FILE *out)
{
	for (size_t i = 0; i < QN_CONF__MAX; i++) {
		fprintf(out, "%s=", settings[i].name);
		print_value(&settings[i], c->value[i], out);
		fputc('\n', out);
	}
}

static void print_bounds(const struct setting *s, FILE *out)
{
	if (s->type == QN_CONF_BOOL)
		fputs("yes or no", out);
	else if (s->type == QN_CONF_INT)
		fprintf(out, "%" PRId64 " to %" PRId64, s->least, s->most);
	else
		fprintf(out, "%" PRId64 " to %" PRId64 " characters", s->least, s->most);
}

void qn_conf_markdown(FILE *out)
{
	fputs("| key | default | bounds | HUP | meaning |\n| --- | --- | --- | --- | --- |\n", out);
	for (size_t i = 0; i < QN_CONF__MAX; i++) {
		fprintf(out, "| `%s` | %s%s%s | ", settings[i].name, settings[i].def[0] ? "`" : "",
		    settings[i].def, settings[i].def[0] ? "`" : "");
		print_bounds(&settings[i], out);
		fprintf(out, " | %s | %s |\n", settings[i].reload ? "yes" : "no", settings[i].text);
	}
}
