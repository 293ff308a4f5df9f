/*
 * Migrations: NNNN_name.sql, forward only, one transaction each, under an advisory lock, with their
 * checksums kept: a file that changed after it was applied refuses the run.
 */
#ifndef QUOIN_STORE_MIGRATE_H
#define QUOIN_STORE_MIGRATE_H

#include <stdbool.h>
#include <stdio.h>

#include "quoin/base/err.h"

struct migrate_options {
	const char *url;  /* of the schema's owner */
	const char *dir;  /* of the files */
	const char *role; /* that is granted DML on everything; "" none */
	bool dry_run;     /* say what would be done, and change nothing */
	bool status;      /* say what was done, and change nothing */
};

/*
 * Says on `out` what it does and on stderr what went wrong. QN_OK, QN_DB_DOWN (Postgres), QN_INVALID:
 * a gap or a repetition in the numbers, a .sql file of another name, one that changed after it was
 * applied, or one too few.
 */
enum qn_err migrate_run(const struct migrate_options *o, FILE *out) QN_MUST_CHECK;

#endif
