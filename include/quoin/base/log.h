/*
 * One JSON object a line on stderr (CONTRACT A30, B40): time, level, logger, message and fields.
 * Control bytes are escaped, secrets are never fields. Level and pool name are set once at start.
 */
#ifndef QUOIN_BASE_LOG_H
#define QUOIN_BASE_LOG_H

#include <stdint.h>

#include "quoin/base/buf.h"

enum qn_level { QN_DEBUG, QN_INFO, QN_WARNING, QN_ERROR };

void qn_log_init(
    const char *logger /* "quoind.api"; must outlive the process */, enum qn_level least);
enum qn_level qn_log_level(void);

/* A line in one write(2). The message is printf's; it is escaped as JSON. */
void qn_log(enum qn_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line with fields: begin, add members with qn_log_*, end writes it. Needs no allocation. */
struct qn_logline {
	struct qn_buf buf;
	enum qn_level level;
};
void qn_log_begin(struct qn_logline *l, enum qn_level level, const char *message);
void qn_log_str(struct qn_logline *l, const char *name, const char *value); /* NULL: left out */
void qn_log_i64(struct qn_logline *l, const char *name, int64_t value);
void qn_log_end(struct qn_logline *l);

/* Log and end the process with status 1: for what start-up cannot go on without. */
void qn_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
