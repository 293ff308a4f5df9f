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
#define X(key, type_, def_, least_, most_, reload_, text_)                                         \
	[QN_CONF_KEY_##key] = {#key, def_, text_, QN_CONF_##type_, least_, most_, reload_},
	QN_SETTINGS(X)
#undef X
};

struct qn_conf {
	char *value[QN_CONF__MAX]; /* owned, never NULL once loaded */
	int64_t number[QN_CONF__MAX];
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

/* The whole of a small file, NUL-terminated and owned by the caller; NULL and errno on failure. */
static char *read_file(const char *path, bool secret)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) != 0 || (secret && (st.st_mode & S_IROTH) != 0)) {
		close(fd);
		errno = EACCES;
		return NULL;
	}
	char *p = calloc(1, FILE_MAX_BYTES + 1);
	size_t n = 0;
	ssize_t got = 0;
	while (p != NULL && n < FILE_MAX_BYTES && (got = read(fd, p + n, FILE_MAX_BYTES - n)) > 0)
		n += (size_t)got;
	close(fd);
	if (p == NULL || got < 0 || n == FILE_MAX_BYTES) {
		free(p);
		errno = got < 0 ? EIO : EFBIG;
		return NULL;
	}
	return p;
}

static bool set(struct qn_conf *c, const struct setting *s, const char *value, size_t n)
{
	char **at = &c->value[s - settings];
	char *copy = strndup(value, n);

	if (copy == NULL)
		return complain("out of memory");
	free(*at);
	*at = copy;
	return true;
}

/* KEY_FILE or a systemd credential: one value, its last newline dropped. */
static bool set_from_file(struct qn_conf *c, const struct setting *s, const char *path)
{
	char *text = read_file(path, s->type == QN_CONF_SECRET);

	if (text == NULL)
		return complain("%s: cannot use %s: %s%s", s->name, path, strerror(errno),
		    s->type == QN_CONF_SECRET && errno == EACCES ? " (it must not be readable by all)" : "");
	size_t n = strlen(text);
	if (n > 0 && text[n - 1] == '\n')
		n--;
	bool ok = set(c, s, text, n);
	qn_wipe(text, strlen(text));
	free(text);
	return ok;
}

/* NAME=value or NAME_FILE=path. Names that are not ours pass, but not under QUOIN_. */
static bool set_pair(struct qn_conf *c, const char *name, size_t name_n, const char *value, size_t n,
    const char *where)
{
	const struct setting *s = by_name(name, name_n);
	char path[512];

	if (s != NULL)
		return set(c, s, value, n);
	if (name_n > 5 && memcmp(name + name_n - 5, "_FILE", 5) == 0 &&
	    (s = by_name(name, name_n - 5)) != NULL) {
		if (n >= sizeof(path))
			return complain("%s: %s_FILE is too long", where, s->name);
		memcpy(path, value, n);
		path[n] = '\0';
		return set_from_file(c, s, path);
	}
	if (name_n > 6 && memcmp(name, "QUOIN_", 6) == 0 && !(name_n == 12 && memcmp(name, "QUOIN_CONFIG", 12) == 0))
		return complain("%s: unknown key %.*s", where, (int)name_n, name);
	return true;
}

/* A line of the settings file, as systemd's EnvironmentFile has them: quotes may surround a value. */
static bool parse_line(struct qn_conf *c, char *line, const char *path, int number)
{
	char where[600];

	snprintf(where, sizeof(where), "%s:%d", path, number);
	while (isspace((unsigned char)*line))
		line++;
	if (*line == '\0' || *line == '#' || *line == ';')
		return true;
	char *eq = strchr(line, '=');
	if (eq == NULL || eq == line)
		return complain("%s: not KEY=VALUE", where);
	char *value = eq + 1, *end = value + strlen(value);
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	if (end - value >= 2 && (*value == '"' || *value == '\'') && end[-1] == *value) {
		value++;
		end--;
	}
	return set_pair(c, line, (size_t)(eq - line), value, (size_t)(end - value), where);
}

static bool load_file(struct qn_conf *c, const char *path)
{
	char *text = read_file(path, false), *next;
	int number = 0;
	bool ok = true;

	if (text == NULL)
		return complain("%s: %s", path, strerror(errno));
	size_t n = strlen(text);
	for (char *line = text; ok && line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		ok = parse_line(c, line, path, ++number);
	}
	qn_wipe(text, n);
	free(text);
	return ok;
}

static bool load_environment(struct qn_conf *c)
{
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
	for (size_t i = 0; i < QN_CONF__MAX; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, settings[i].name);
		if (access(path, R_OK) == 0 && !set_from_file(c, &settings[i], path))
			return false;
	}
	return true;
}

static bool parse_bool(const char *v, int64_t *ret)
{
	static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};

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

static bool check(struct qn_conf *c, const struct setting *s)
{
	const char *v = c->value[s - settings];
	int64_t *number = &c->number[s - settings];
	int64_t n = (int64_t)strlen(v);
	char *end;

	switch (s->type) {
	case QN_CONF_BOOL:
		if (!parse_bool(v, number))
			return complain("%s is yes or no", s->name);
		return true;
	case QN_CONF_INT:
		errno = 0;
		*number = strtoll(v, &end, 10);
		if (*v == '\0' || *end != '\0' || errno != 0 || *number < s->least || *number > s->most)
			return complain("%s must be a whole number from %" PRId64 " to %" PRId64, s->name,
			    s->least, s->most);
		return true;
	case QN_CONF_SECRET:
		if (n != 0 && (n < s->least || n > s->most || weak(v)))
			return complain("%s must be %" PRId64 " to %" PRId64 " random characters", s->name,
			    s->least, s->most);
		return true;
	case QN_CONF_STR:
		break;
	}
	if (n < s->least || n > s->most)
		return complain("%s must have %" PRId64 " to %" PRId64 " characters", s->name, s->least, s->most);
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
	for (size_t i = 0; i < QN_CONF__MAX; i++) {
		if (c->value[i] != NULL)
			qn_wipe(c->value[i], strlen(c->value[i]));
		free(c->value[i]);
	}
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

void qn_conf_print(const struct qn_conf *c, FILE *out)
{
	for (size_t i = 0; i < QN_CONF__MAX; i++) {
		bool hidden = settings[i].type == QN_CONF_SECRET && c->value[i][0] != '\0';
		fprintf(out, "%s=%s\n", settings[i].name, hidden ? "(hidden)" : c->value[i]);
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
