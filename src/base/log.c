#include "quoin/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quoin/base/clock.h"

enum { LINE_MAX_BYTES = 8192 };

static const char *log_logger = "quoin";
static enum qn_level log_least = QN_INFO;

void qn_log_init(const char *logger, enum qn_level least)
{
	log_logger = logger;
	log_least = least;
}

enum qn_level qn_log_level(void)
{
	return log_least;
}

static const char *level_name(enum qn_level level)
{
	static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
	return names[level];
}

/* Whole or not at all: a log that blocks or fails must not stop the service. */
static void write_line(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		p += done;
		n -= (size_t)done;
	}
}

void qn_log_begin(struct qn_logline *l, enum qn_level level, const char *message)
{
	char now[QN_RFC3339_MAX];

	l->level = level;
	qn_buf_init(&l->buf, LINE_MAX_BYTES);
	qn_time_print(now, qn_now());
	qn_buf_str(&l->buf, "{\"timestamp\":\"");
	qn_buf_str(&l->buf, now);
	qn_buf_str(&l->buf, "\",\"level\":\"");
	qn_buf_str(&l->buf, level_name(level));
	qn_buf_str(&l->buf, "\",\"logger\":\"");
	qn_buf_str(&l->buf, log_logger);
	qn_buf_str(&l->buf, "\",\"message\":");
	qn_buf_json(&l->buf, message, strnlen(message, LINE_MAX_BYTES / 8));
}

/* A member that would not fit is left out whole, so the line stays JSON. */
static bool fits(const struct qn_logline *l, size_t more)
{
	return l->buf.n + more + 64 < LINE_MAX_BYTES;
}

static void add_name(struct qn_logline *l, const char *name)
{
	qn_buf_str(&l->buf, ",\"");
	qn_buf_str(&l->buf, name);
	qn_buf_str(&l->buf, "\":");
}

void qn_log_str(struct qn_logline *l, const char *name, const char *value)
{
	if (value == NULL)
		return;
	size_t n = strnlen(value, 512);
	if (!fits(l, strlen(name) + 6 * n))
		return;
	add_name(l, name);
	qn_buf_json(&l->buf, value, n);
}

void qn_log_i64(struct qn_logline *l, const char *name, int64_t value)
{
	if (!fits(l, strlen(name) + 24))
		return;
	add_name(l, name);
	qn_buf_i64(&l->buf, value);
}

void qn_log_end(struct qn_logline *l)
{
	qn_buf_str(&l->buf, "}\n");
	if (l->level >= log_least)
		write_line(l->buf.p, l->buf.n);
	qn_buf_done(&l->buf);
}

static void vlog(enum qn_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void vlog(enum qn_level level, const char *fmt, va_list ap)
{
	char message[1024];
	struct qn_logline l;

	if (level < log_least)
		return;
	vsnprintf(message, sizeof(message), fmt, ap);
	qn_log_begin(&l, level, message);
	qn_log_end(&l);
}

void qn_log(enum qn_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(level, fmt, ap);
	va_end(ap);
}

void qn_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(QN_ERROR, fmt, ap);
	va_end(ap);
	_exit(1);
}
