/* licence import and export: a file of comma-separated values, whose keys are kept as they are. */
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "licence.h"
#include "quoin/base/rand.h"

enum { FILE_BYTES = 48 * 1024 * 1024, JSON_BYTES = 32768, PAGE = 500 };

/* One import. */
struct import {
	struct ctl *c;
	char app[QN_UUID_LEN + 1]; /* the arena is emptied after each record */
	struct csv csv;
	int column[CSV_FIELDS]; /* of ctl_licence_columns; KEY the key */
	size_t columns;
	long taken, refused;
};
enum { KEY = -1 };

static char *read_all(const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char block[8192];
	struct qn_buf b;
	size_t n;

	if (in == NULL)
		return NULL;
	qn_buf_init(&b, FILE_BYTES);
	while ((n = fread(block, 1, sizeof(block), in)) > 0)
		qn_buf_add(&b, block, n);
	bool whole = ferror(in) == 0 && !b.over && b.n > 0 && memchr(b.p, '\0', b.n) == NULL;
	if (in != stdin)
		fclose(in);
	char *text = whole ? strndup(b.p, b.n) : NULL;
	qn_buf_done(&b);
	return text;
}

static void refuse(struct import *m, const char *what, const char *why)
{
	fprintf(stderr, "line %ld: %s%s%s\n", m->csv.line, what, what[0] != '\0' ? ": " : "", why);
	m->refused++;
}

static int column_of(const char *name)
{
	for (size_t i = 0; i < ctl_licence_columns_n; i++)
		if (strcmp(ctl_licence_columns[i].name, name) == 0)
			return (int)i;
	return CSV_FIELDS;
}

static bool read_head(struct import *m)
{
	struct csv_record head;
	bool keyed = false;

	if (!csv_next(&m->csv, &head)) {
		refuse(m, "", m->csv.why != NULL ? m->csv.why : "there is nothing in it");
		return false;
	}
	m->columns = head.n;
	for (size_t i = 0; i < head.n; i++) {
		bool key = strcmp(head.field[i], "license_key") == 0;
		m->column[i] = key ? KEY : column_of(head.field[i]);
		keyed = keyed || key;
		if (m->column[i] == CSV_FIELDS)
			refuse(m, head.field[i], "there is no such column");
	}
	if (!keyed)
		refuse(m, "license_key", "this column is missing");
	return m->refused == 0;
}

/* The members of a record as an object, and its key; NULL after saying what is wrong. */
static const char *read_record(struct import *m, const struct csv_record *r, struct qn_buf *b)
{
	const char *key = NULL;

	if (r->n != m->columns) {
		refuse(m, "", "it has another number of fields than the first line");
		return NULL;
	}
	for (size_t i = 0; i < r->n; i++) {
		const char *s = csv_text(r->field[i]);
		if (m->column[i] == KEY)
			key = s;
		else if (*s != '\0' && !ctl_licence_member(
					   b, m->c->arena, &ctl_licence_columns[m->column[i]], s)) {
			refuse(m, ctl_licence_columns[m->column[i]].name, "not one");
			return NULL;
		}
	}
	qn_buf_str(b, b->n > 0 ? "}" : "{}");
	return key;
}

static const char *why_not(enum qn_err e)
{
	switch (e) {
	case QN_CONFLICT:
		return "the key is there already";
	case QN_PLAN_UNKNOWN:
		return "the app's file has no such plan";
	case QN_OWNER_UNKNOWN:
		return "there is no such user or organization";
	case QN_INVALID:
		return "its parts do not fit";
	default:
		return qn_err_text(e);
	}
}

static enum qn_err take(struct import *m, const struct csv_record *r)
{
	struct qn_buf b;

	qn_buf_init(&b, JSON_BYTES);
	const char *key = read_record(m, r, &b);
	enum qn_err e = key == NULL ? QN_OK
	                            : licence_import(m->c->db, m->c->arena, m->app, key,
					  (struct qn_span){b.p, b.n});
	qn_buf_done(&b);
	if (key == NULL)
		return QN_OK;
	if (e == QN_OK)
		m->taken++;
	else if (e == QN_DB_DOWN || e == QN_RETRY || e == QN_INTERNAL)
		return e;
	else
		refuse(m, key, why_not(e));
	return QN_OK;
}

/* All or nothing: every line is tried, so that all that is wrong is said at once. */
static enum qn_err take_all(struct import *m, bool dry_run)
{
	struct csv_record r;

	QN_TX(tx, m->c->db);
	while (csv_next(&m->csv, &r)) {
		QN_TRY(take(m, &r));
		qn_arena_reset(m->c->arena);
	}
	if (m->csv.why != NULL)
		refuse(m, "", m->csv.why);
	return dry_run || m->refused > 0 ? QN_OK : qn_tx_commit(&tx);
}

int ctl_licence_import(struct ctl *c, const char *app, const char *path, bool dry_run)
{
	struct import m = {.c = c};
	char *text = read_all(path);
	enum qn_err e = QN_OK;

	if (text == NULL) {
		fprintf(stderr, "quoinctl: %s: it cannot be read, or is no text\n", path);
		return CTL_FAILED;
	}
	snprintf(m.app, sizeof(m.app), "%s", app);
	csv_open(&m.csv, text);
	if (read_head(&m))
		e = take_all(&m, dry_run);
	free(text);
	if (e != QN_OK)
		return ctl_fail(c, "import", e);
	if (m.refused > 0)
		fprintf(stderr, "quoinctl: %ld of %ld refused, nothing is imported\n", m.refused,
		    m.taken + m.refused);
	else
		printf("%ld %s\n", m.taken, dry_run ? "would be imported" : "imported");
	return m.refused == 0 ? CTL_OK : CTL_FAILED;
}

/* export */

static void put_i64(struct ctl *c, int64_t v)
{
	csv_put(stdout, v != QN_I64_NULL ? qn_printf(c->arena, "%lld", (long long)v) : NULL, false);
}

static void put_time(qn_time t)
{
	char text[QN_RFC3339_MAX];

	if (t != QN_TIME_NULL)
		qn_time_print(text, t);
	csv_put(stdout, t != QN_TIME_NULL ? text : NULL, false);
}

static void put_json(struct ctl *c, struct qn_span v, bool last)
{
	csv_put(stdout, v.p != NULL && !qn_span_is(v, "{}") ? qn_strndup(c->arena, v.p, v.n) : NULL,
	    last);
}

/* As they are read again; what follows from the owner or the clock is left out. */
static void put(struct ctl *c, const struct licence_row *l)
{
	csv_put_text(stdout, l->license_key, false);
	csv_put_text(stdout, l->email, false);
	csv_put_text(stdout, l->organization, false);
	csv_put_text(stdout, l->plan, false);
	csv_put_text(stdout, l->name, false);
	csv_put(stdout, l->status, false);
	csv_put(stdout, l->kind, false);
	put_time(l->expires_at);
	put_i64(c, l->term_days);
	csv_put(stdout, l->renewal, false);
	csv_put(stdout, l->expiry, false);
	put_i64(c, l->max_devices);
	put_i64(c, l->max_leases);
	put_i64(c, l->lease_seconds);
	put_i64(c, l->heartbeat_seconds);
	put_i64(c, l->check_in_days);
	csv_put(stdout, l->max_version, false);
	put_i64(c, l->max_releases);
	csv_put(stdout, l->overage == 1 ? "true" : NULL, false);
	put_time(l->created_at);
	put_json(c, l->limits, false);
	put_json(c, l->features, false);
	put_json(c, l->metadata, true);
}

int ctl_licence_export(struct ctl *c, const char *app)
{
	char of[QN_UUID_LEN + 1], after[QN_UUID_LEN + 1] = "";
	struct qn_list rows;

	snprintf(of, sizeof(of), "%s", app);
	puts(
	    "license_key,email,organization,plan,name,status,kind,expires_at,term_days,renewal,expiry,"
	    "max_devices,max_leases,lease_seconds,heartbeat_seconds,check_in_days,max_version,"
	    "max_releases,overage,created_at,limits,features,metadata");
	do {
		enum qn_err e =
		    licence_rows(c->db, c->arena, of, after[0] != '\0' ? after : NULL, PAGE, &rows);
		if (e != QN_OK)
			return ctl_fail(c, "export", e);
		const struct licence_row *l = rows.items;
		for (size_t i = 0; i < rows.n; i++)
			put(c, &l[i]);
		if (rows.n > 0)
			snprintf(after, sizeof(after), "%s", l[rows.n - 1].id);
		qn_arena_reset(c->arena);
	} while (rows.n == PAGE);
	return CTL_OK;
}
