/* What the verbs of quoinctl licence share. */
#ifndef QUOIN_CTL_LICENCE_H
#define QUOIN_CTL_LICENCE_H

#include "ctl.h"
#include "quoin/auth/registry.h"
#include "quoin/store/licence.h"

/* What a licence is made of, by the name of its column: the options of issue, the columns of a file. */
enum ctl_licence_type {
	CTL_LICENCE_TEXT,
	CTL_LICENCE_NUMBER,
	CTL_LICENCE_TIME,
	CTL_LICENCE_TRUTH,
	CTL_LICENCE_JSON
};

struct ctl_licence_column {
	const char *name, *option; /* option NULL: none */
	enum ctl_licence_type type;
};
extern const struct ctl_licence_column ctl_licence_columns[];
extern const size_t ctl_licence_columns_n;

/* Adds "name":value to an object that is begun; false when it is none of that type. */
bool ctl_licence_member(struct qn_buf *b, struct qn_arena *a,
    const struct ctl_licence_column *column, const char *text);

/* FILE, - for standard input. */
int ctl_licence_import(struct ctl *c, const char *app, const char *path, bool dry_run);
int ctl_licence_export(struct ctl *c, const char *app);

#endif
