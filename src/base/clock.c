#include "quoin/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US 1000000

qn_time qn_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * US + ts.tv_nsec / 1000;
}

int64_t qn_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * US + ts.tv_nsec / 1000;
}

bool qn_lately(qn_time at, int64_t within_us, qn_time now)
{
	return at != QN_TIME_NULL && at >= now - within_us && at <= now + INT64_C(60) * US;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back (H. Hinnant). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

static void date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t doe = days - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = yoe + era * 400 + (*m <= 2);
}

/* The first and last microsecond of the years 1 to 9999, which RFC 3339 and Postgres both write. */
static qn_time least_time(void)
{
	return days_of(1, 1, 1) * 86400 * US;
}

static qn_time most_time(void)
{
	return days_of(10000, 1, 1) * 86400 * US - 1;
}

static char *digits(char *p, int64_t v, int width)
{
	for (int i = width - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + width;
}

size_t qn_time_print(char out[QN_RFC3339_MAX], qn_time t)
{
	if (t < least_time() || t > most_time()) /* Postgres' infinity ends here */
		t = t < 0 ? least_time() : most_time();
	int64_t days = (t >= 0 ? t : t - (86400LL * US - 1)) / (86400LL * US);
	int64_t us = t - days * 86400LL * US;
	int64_t sec = us / US, y, m, d;
	char *p = out;

	date_of(days, &y, &m, &d);
	p = digits(p, y, 4);
	*p++ = '-';
	p = digits(p, m, 2);
	*p++ = '-';
	p = digits(p, d, 2);
	*p++ = 'T';
	p = digits(p, sec / 3600, 2);
	*p++ = ':';
	p = digits(p, sec / 60 % 60, 2);
	*p++ = ':';
	p = digits(p, sec % 60, 2);
	if (us % US != 0) {
		*p++ = '.';
		p = digits(p, us % US, 6);
	}
	*p++ = 'Z';
	*p = '\0';
	return (size_t)(p - out);
}

/* `width` digits at *s, moved past them; -1 when there are not so many. */
static int64_t take(const char **s, const char *end, int width)
{
	int64_t v = 0;

	if (end - *s < width)
		return -1;
	for (int i = 0; i < width; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool take_char(const char **s, const char *end, const char *set)
{
	if (*s >= end || **s == '\0' || strchr(set, **s) == NULL)
		return false;
	(*s)++;
	return true;
}

static int64_t take_fraction(const char **s, const char *end)
{
	int64_t us = 0, unit = US / 10;
	const char *start = *s;

	for (; *s < end && **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
		us += (**s - '0') * unit;
	return *s == start ? -1 : us;
}

static int64_t month_days(int64_t y, int64_t m)
{
	return m == 12 ? 31 : days_of(y, m + 1, 1) - days_of(y, m, 1);
}

bool qn_time_parse(const char *s, size_t n, qn_time *ret)
{
	const char *end = s + n;
	int64_t y = take(&s, end, 4), offset = 0, us = 0;
	if (y < 0 || !take_char(&s, end, "-"))
		return false;
	int64_t m = take(&s, end, 2);
	if (m < 1 || m > 12 || !take_char(&s, end, "-"))
		return false;
	int64_t d = take(&s, end, 2);
	if (d < 1 || d > month_days(y, m) || !take_char(&s, end, "Tt "))
		return false;
	int64_t hh = take(&s, end, 2);
	if (hh < 0 || hh > 23 || !take_char(&s, end, ":"))
		return false;
	int64_t mm = take(&s, end, 2);
	if (mm < 0 || mm > 59 || !take_char(&s, end, ":"))
		return false;
	int64_t ss = take(&s, end, 2);
	if (ss < 0 || ss > 60)
		return false;
	if (take_char(&s, end, ".") && (us = take_fraction(&s, end)) < 0)
		return false;
	if (!take_char(&s, end, "Zz")) {
		int sign = s < end && *s == '-' ? -1 : 1;
		if (!take_char(&s, end, "+-"))
			return false;
		int64_t oh = take(&s, end, 2);
		if (oh < 0 || oh > 23 || !take_char(&s, end, ":"))
			return false;
		int64_t om = take(&s, end, 2);
		if (om < 0 || om > 59)
			return false;
		offset = sign * (oh * 60 + om) * 60;
	}
	if (s != end)
		return false;
	qn_time t = (days_of(y, m, d) * 86400 + hh * 3600 + mm * 60 + ss - offset) * US + us;
	if (t < least_time() || t > most_time())
		return false;
	*ret = t;
	return true;
}
