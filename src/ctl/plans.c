/* Plans and their limits in an app's file (docs/apps.md): what is misspelt would be no limit at all. */
#include <string.h>

#include "ctl.h"
#include "quoin/auth/rate.h"
#include "quoin/base/json.h"
#include "quoin/store/entitlement.h"

/* ^[a-z][a-z0-9_]{0,31}$ */
static bool is_word(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= 32 && s[0] >= 'a' && s[0] <= 'z' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* Which period a meter is counted by: of requests it is what workers enforce. */
static const char *period_fault(const char *meter, const char *period)
{
	static const char *const by_minute[] = {
#define X(name, policy, meter, calls) meter,
	    QN_RATES(X)
#undef X
	};
	bool minute = strcmp(period, "minute") == 0;

	for (size_t i = 0; i < sizeof(by_minute) / sizeof(by_minute[0]); i++)
		if (strcmp(by_minute[i], meter) == 0)
			return minute ? NULL : "requests are limited by the \"minute\"";
	if (minute)
		return "only requests are limited by the \"minute\"";
	if (strcmp(meter, "api_calls") == 0)
		return strcmp(period, "day") == 0 ? NULL
		                                  : "\"api_calls\" are limited by the \"day\"";
	return strcmp(period, "day") == 0 || strcmp(period, "month") == 0 ||
	               strcmp(period, "none") == 0
	           ? NULL
	           : "\"period\" must be minute, day, month or none";
}

/* One limit, whose meter is not among those of `before`. */
static const char *limit_fault(
    struct qn_arena *a, struct qn_span text, const struct qn_span *before, size_t nbefore)
{
	struct qn_json_object o, other;
	const char *meter, *period, *s;
	int64_t max;

	if (!qn_json_members(a, text, &o) || o.n != 3 ||
	    !qn_json_str(a, qn_json_get(&o, "meter"), &meter, NULL) ||
	    !qn_json_str(a, qn_json_get(&o, "period"), &period, NULL) ||
	    !qn_json_i64(qn_json_get(&o, "max"), &max))
		return "a limit has \"meter\", \"period\" and a whole \"max\", and no more";
	if (!is_word(meter))
		return "\"meter\" is no word";
	if (max < -1 || max > METER_MOST)
		return "\"max\" is -1 or more, of 15 digits at most";
	for (size_t i = 0; i < nbefore; i++)
		if (qn_json_members(a, before[i], &other) &&
		    qn_json_str(a, qn_json_get(&other, "meter"), &s, NULL) && strcmp(s, meter) == 0)
			return "a meter has one limit";
	return period_fault(meter, period);
}

static const char *limits_fault(struct qn_arena *a, struct qn_span list)
{
	struct qn_span *items = NULL;
	size_t n = 0;

	if (list.p == NULL)
		return NULL;
	if (!qn_json_elements(a, list, &items, &n) || n > 50)
		return "must be a list of at most 50";
	for (size_t i = 0; i < n; i++) {
		const char *fault = limit_fault(a, items[i], items, i);
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

/* Codes and ranks as the workers look for them: each once, and one plan for who bought nothing. */
static const char *plan_fault(
    struct qn_arena *a, struct qn_span text, const struct qn_span *before, size_t nbefore)
{
	struct qn_json_object o, other;
	const char *code, *s;
	int64_t rank, r;

	if (!qn_json_members(a, text, &o))
		return "each must be an object";
	if (!qn_json_str(a, qn_json_get(&o, "code"), &code, NULL) || !is_word(code))
		return "\"code\" is no word";
	if (!qn_json_i64(qn_json_get(&o, "rank"), &rank) || rank < 0 || rank > 100)
		return "\"rank\" is 0 to 100";
	for (size_t i = 0; i < nbefore; i++)
		if (qn_json_members(a, before[i], &other) &&
		    qn_json_str(a, qn_json_get(&other, "code"), &s, NULL) &&
		    qn_json_i64(qn_json_get(&other, "rank"), &r) &&
		    (strcmp(s, code) == 0 || r == rank))
			return "a code or a rank stands twice";
	return limits_fault(a, qn_json_get(&o, "limits"));
}

static const char *plans_fault(struct qn_arena *a, struct qn_span list)
{
	struct qn_span *items = NULL;
	struct qn_json_object o;
	int64_t rank;
	size_t n = 0, lowest = 0;

	if (list.p == NULL)
		return NULL;
	if (!qn_json_elements(a, list, &items, &n) || n < 1 || n > 20)
		return "must be a list of 1 to 20";
	for (size_t i = 0; i < n; i++) {
		const char *fault = plan_fault(a, items[i], items, i);
		if (fault != NULL)
			return qn_printf(a, "plan %zu: %s", i + 1, fault);
		lowest += qn_json_members(a, items[i], &o) &&
		          qn_json_i64(qn_json_get(&o, "rank"), &rank) && rank == 0;
	}
	return lowest == 1 ? NULL : "one must have the rank 0";
}

static const char *addresses_fault(struct qn_arena *a, struct qn_span list)
{
	const char *fault = limits_fault(a, list), *period;
	struct qn_span *items = NULL;
	struct qn_json_object o;
	size_t n = 0;

	if (fault != NULL || !qn_json_elements(a, list, &items, &n))
		return fault;
	for (size_t i = 0; i < n; i++)
		if (!qn_json_members(a, items[i], &o) ||
		    !qn_json_str(a, qn_json_get(&o, "period"), &period, NULL) ||
		    strcmp(period, "minute") != 0)
			return "are by the \"minute\"";
	return NULL;
}

static const char *licence_fault(struct qn_arena *a, struct qn_span text)
{
	struct qn_json_object o;
	const char *prefix;
	size_t n;
	bool each;

	if (!qn_json_members(a, text, &o))
		return NULL;
	for (size_t i = 0; i < o.n; i++) {
		if (qn_span_is(o.members[i].name, "each_user")) {
			if (!qn_json_bool(o.members[i].value, &each))
				return "\"each_user\" is true or false";
		} else if (!qn_span_is(o.members[i].name, "prefix")) {
			return "has \"prefix\" and \"each_user\", and no more";
		} else if (!qn_json_str(a, o.members[i].value, &prefix, &n) || n < 2 || n > 16 ||
			   prefix[0] < 'A' || prefix[0] > 'Z' ||
			   strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != n) {
			return "\"prefix\" is 2 to 16 capitals and digits, a capital first";
		}
	}
	return NULL;
}

const char *ctl_plans_fault(
    struct qn_arena *a, const struct qn_json_object *app, const char **ret_where)
{
	const char *fault = plans_fault(a, qn_json_get(app, "plans"));

	*ret_where = "plans";
	if (fault != NULL)
		return fault;
	*ret_where = "licence";
	fault = licence_fault(a, qn_json_get(app, "licence"));
	if (fault != NULL)
		return fault;
	*ret_where = "address_limits";
	return addresses_fault(a, qn_json_get(app, "address_limits"));
}
