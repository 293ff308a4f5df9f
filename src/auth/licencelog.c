#include "licencelog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quoin/base/buf.h"
#include "quoin/base/log.h"
#include "quoin/store/licence.h"

enum { ROWS = 8192, FULL = ROWS / 4 * 3, BUCKETS = 2 * ROWS, BATCH = 512, ROW_BYTES = 1024 };
enum { FEW = 64, SOON_US = 900000, LATE_US = 10000000 };

/* Strings one behind the other, each with its NUL: machine, version, ip, code. */
struct row {
	uint8_t place[QN_SHA256_LEN / 2];
	char id[QN_UUID_LEN + 1];
	bool seen;
	uint16_t length; /* of the text, NULs included */
	uint32_t n;
	qn_time at;
	char text[244];
};

/* As it is in the file. Written by one process at a time: who has the worker's slot. */
struct waiting {
	uint64_t layout;
	uint32_t from, n; /* rows from..n-1 wait; those before are stored */
	struct row row[ROWS];
};
#define LAYOUT (UINT64_C(0x514e4c3100000000) ^ sizeof(struct waiting))

struct qn_licence_log {
	char *path;
	struct waiting *w;        /* NULL: nothing was counted yet */
	uint16_t bucket[BUCKETS]; /* of a row's place, plus one: 0 is none */
	int64_t since;            /* monotonic: of the first, or of the last failure */
	bool draining;
	uint64_t lost;
	bool silent; /* what could not be stored was said already */
};

static struct waiting *map(const char *path, bool make)
{
	void *p = MAP_FAILED;

	if (path == NULL)
		return make ? calloc(1, sizeof(struct waiting)) : NULL;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0640);
	struct stat st;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && (st.st_size == (off_t)sizeof(struct waiting) ||
				       (make && ftruncate(fd, 0) == 0 &&
					   ftruncate(fd, (off_t)sizeof(struct waiting)) == 0)))
		p = mmap(NULL, sizeof(struct waiting), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p != MAP_FAILED ? p : NULL;
}

static void unmap(struct qn_licence_log *g)
{
	if (g->path == NULL)
		free(g->w);
	else if (g->w != NULL)
		munmap(g->w, sizeof(*g->w));
	g->w = NULL;
}

/* What a worker before this one left, if it is of this build and whole. */
static bool sound(const struct waiting *w)
{
	if (w->layout != LAYOUT || w->from > w->n || w->n > ROWS)
		return false;
	for (uint32_t i = w->from; i < w->n; i++) {
		const struct row *r = &w->row[i];
		size_t strings = 0;
		if (r->length > sizeof(r->text) || r->id[QN_UUID_LEN] != '\0')
			return false;
		for (size_t k = 0; k < r->length; k++)
			strings += r->text[k] == '\0';
		if (strings != 4)
			return false;
	}
	return true;
}

static void clear(struct qn_licence_log *g)
{
	memset(g->bucket, 0, sizeof(g->bucket));
	g->w->from = g->w->n = 0;
	g->draining = false;
}

static bool open_file(struct qn_licence_log *g)
{
	g->w = map(g->path, true);
	if (g->w == NULL) { /* it is only counted in memory then */
		qn_log(QN_WARNING, "%s cannot be made: validations are kept in memory", g->path);
		free(g->path);
		g->path = NULL;
		g->w = map(NULL, true);
	}
	if (g->w == NULL)
		qn_fatal("out of memory");
	g->w->layout = LAYOUT;
	clear(g);
	return true;
}

struct qn_licence_log *qn_licence_log_new(const char *path)
{
	struct qn_licence_log *g = calloc(1, sizeof(*g));

	if (g == NULL || (path != NULL && (g->path = strdup(path)) == NULL))
		qn_fatal("out of memory");
	g->w = map(g->path, false);
	if (g->w != NULL && !sound(g->w))
		unmap(g);
	g->draining = g->w != NULL && g->w->n > g->w->from;
	return g;
}

void qn_licence_log_free(struct qn_licence_log *g)
{
	if (g == NULL)
		return;
	unmap(g);
	free(g->path);
	free(g);
}

size_t qn_licence_log_waiting(const struct qn_licence_log *g)
{
	return g->w != NULL ? g->w->n - g->w->from : 0;
}

/* The bucket of a place, or the free one where it belongs. */
static uint16_t *bucket_of(struct qn_licence_log *g, const struct qn_tokencache_key *place)
{
	uint32_t at;

	memcpy(&at, place->digest, sizeof(at));
	for (;; at++) { /* half of them are free at least */
		uint16_t *b = &g->bucket[at % BUCKETS];
		if (*b == 0 ||
		    memcmp(g->w->row[*b - 1].place, place->digest, sizeof(g->w->row[0].place)) == 0)
			return b;
	}
}

static bool append(struct row *r, const char *s)
{
	size_t n = s != NULL ? strlen(s) + 1 : 1;

	if (r->length + n > sizeof(r->text))
		return false;
	memcpy(r->text + r->length, s != NULL ? s : "", n);
	r->length = (uint16_t)(r->length + n);
	return true;
}

/* What of a long machine id does not fit is left out here; the seat has it whole. */
static void begin(
    struct row *r, const struct qn_tokencache_key *place, const struct qn_licence_used *used)
{
	char machine[sizeof(r->text)];
	size_t others = (used->version != NULL ? strlen(used->version) : 0) + strlen(used->ip) +
	                (used->code != NULL ? strlen(used->code) : 0) + 4;

	memset(r, 0, sizeof(*r));
	memcpy(r->place, place->digest, sizeof(r->place));
	snprintf(r->id, sizeof(r->id), "%s", used->id);
	snprintf(machine, sizeof(machine) - others, "%s", used->machine);
	(void)(append(r, machine) && append(r, used->version) && append(r, used->ip) &&
	       append(r, used->code));
}

void qn_licence_log_add(struct qn_licence_log *g, const struct qn_tokencache_key *place,
    const struct qn_licence_used *used)
{
	if (g->w == NULL)
		open_file(g);
	struct waiting *w = g->w;
	uint16_t *b = bucket_of(g, place);
	bool waits = *b != 0 && *b > w->from;
	if (!waits && w->n == ROWS) {
		g->lost++;
		return;
	}
	if (w->n == w->from)
		g->since = qn_mono_us();
	struct row *r = &w->row[waits ? *b - 1U : w->n];
	if (!waits)
		begin(r, place, used);
	r->at = used->at;
	r->seen = r->seen || used->seen;
	r->n++;
	if (!waits)
		*b = (uint16_t)++w->n; /* it counts from now on, whoever reads it */
}

static void member(struct qn_buf *b, const char *name, const char *s)
{
	if (s[0] == '\0')
		return;
	qn_buf_printf(b, ",\"%s\":", name);
	qn_buf_json(b, s, strlen(s));
}

static void print(struct qn_buf *b, const struct row *r, size_t n)
{
	static const char *const names[] = {"m", "v", "ip", "c"};

	for (size_t i = 0; i < n; i++) {
		const char *s = r[i].text;
		qn_buf_printf(b, "%c{\"l\":\"%s\",\"t\":%" PRId64 ",\"n\":%" PRIu32 ",\"seen\":%s",
		    i > 0 ? ',' : '[', r[i].id, r[i].at, r[i].n, r[i].seen ? "true" : "false");
		for (size_t k = 0; k < 4; k++, s += strlen(s) + 1)
			member(b, names[k], s);
		qn_buf_char(b, '}');
	}
	qn_buf_char(b, ']');
}

/* Some of them. What Postgres will not take however often it is asked goes too. */
static enum qn_err store_some(struct qn_licence_log *g, struct qn_db *db, struct qn_arena *a)
{
	struct waiting *w = g->w;
	uint32_t n = w->n - w->from < BATCH ? w->n - w->from : BATCH;
	struct qn_buf b;

	qn_buf_init(&b, BATCH * ROW_BYTES);
	print(&b, &w->row[w->from], n);
	enum qn_err e = b.over ? QN_INTERNAL : licence_validated(db, a, (struct qn_span){b.p, b.n});
	qn_buf_done(&b);
	if (e == QN_OK || e == QN_UNCERTAIN || e == QN_INTERNAL || e == QN_INVALID)
		w->from += n;
	else
		g->since = qn_mono_us();
	if (w->from == w->n)
		clear(g);
	return e;
}

enum qn_err qn_licence_log_store(struct qn_licence_log *g, struct qn_db *db, struct qn_arena *a)
{
	while (qn_licence_log_waiting(g) > 0)
		QN_TRY(store_some(g, db, a));
	return QN_OK;
}

static bool due(const struct qn_licence_log *g)
{
	size_t n = qn_licence_log_waiting(g);
	int64_t age = qn_mono_us() - g->since;

	if (n == 0)
		return false;
	if (g->silent) /* the last time failed */
		return age >= SOON_US;
	return g->draining || n >= FULL || age >= (n <= FEW ? SOON_US : LATE_US);
}

bool qn_licence_log_tick(struct qn_licence_log *g, struct qn_db *db, struct qn_arena *a)
{
	if (g->lost > 0)
		qn_log(QN_WARNING, "%" PRIu64 " validations were not counted", g->lost);
	g->lost = 0;
	if (!due(g))
		return false;
	g->draining = true;
	bool failed = store_some(g, db, a) != QN_OK;
	if (failed && !g->silent)
		qn_log(QN_WARNING, "validations were not stored yet: %s", qn_db_why(db));
	g->silent = failed;
	return true;
}
