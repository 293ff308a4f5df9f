/* Replies as text: structs by their tables, JSON that is passed through, problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoin/base/json.h"
#include "quoin/http/reply.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const colours[] = {"red", "green", NULL};

struct part {
	const char *part_name;
	int64_t n;
};

struct all {
	const char *text, *some_id, *colour, *maybe, *left_out;
	int64_t whole_number, no_number;
	qn_tri yes, no, no_truth;
	qn_time at, no_time;
	struct qn_span json, no_json, gone;
	const struct part *part, *no_part;
	struct qn_list parts, no_parts;
};

static const struct qn_field part_fields[] = {
    QN_FIELD(struct part, part_name, STR, 0, 0, 0, "Name."),
    QN_FIELD(struct part, n, I64, 0, 0, 0, "Number."),
};
static const struct qn_object part_object = QN_OBJECT("Part", struct part, part_fields);

static const struct qn_field all_fields[] = {
    QN_FIELD(struct all, text, STR, 0, 0, 0, "Text."),
    QN_FIELD(struct all, some_id, UUID, 0, 0, 0, "Id."),
    QN_FIELD_ENUM(struct all, colour, 0, colours, NULL, "Colour."),
    QN_FIELD(struct all, maybe, STR, QN_F_NULLABLE, 0, 0, "Null."),
    QN_FIELD(struct all, left_out, STR, QN_F_OPTIONAL, 0, 0, "Left out."),
    QN_FIELD(struct all, whole_number, I64, 0, 0, 0, "Number."),
    QN_FIELD(struct all, no_number, I64, QN_F_NULLABLE, 0, 0, "Null."),
    QN_FIELD(struct all, yes, BOOL, 0, 0, 0, "True."),
    QN_FIELD(struct all, no, BOOL, 0, 0, 0, "False."),
    QN_FIELD(struct all, no_truth, BOOL, QN_F_NULLABLE, 0, 0, "Null."),
    QN_FIELD(struct all, at, TIME, 0, 0, 0, "Time."),
    QN_FIELD(struct all, no_time, TIME, QN_F_NULLABLE, 0, 0, "Null."),
    QN_FIELD(struct all, json, JSON, 0, 0, 0, "JSON."),
    QN_FIELD(struct all, no_json, JSON, QN_F_NULLABLE, 0, 0, "Null."),
    QN_FIELD(struct all, gone, JSON, QN_F_OPTIONAL, 0, 0, "Left out."),
    QN_FIELD_SUB(struct all, part, OBJ, 0, &part_object, "Object."),
    QN_FIELD_SUB(struct all, no_part, OBJ, QN_F_NULLABLE, &part_object, "Null."),
    QN_FIELD_SUB(struct all, parts, LIST, 0, &part_object, "List."),
    QN_FIELD_SUB(struct all, no_parts, LIST, 0, &part_object, "Empty list."),
};
static const struct qn_object all_object = QN_OBJECT("All", struct all, all_fields);

/* All of it in one piece. */
static char *whole(const struct qn_reply_text *t)
{
	size_t n = qn_reply_text_n(t), at = 0, o = 0;
	char *out = malloc(n + 1);

	assert_non_null(out);
	for (size_t i = 0; i < t->gaps; i++) {
		memcpy(out + o, t->text.p + at, t->gap[i].at - at);
		o += t->gap[i].at - at;
		memcpy(out + o, t->gap[i].bytes.p, t->gap[i].bytes.n);
		o += t->gap[i].bytes.n;
		at = t->gap[i].at;
	}
	memcpy(out + o, t->text.p + at, t->text.n - at);
	o += t->text.n - at;
	assert_int_equal(o, n);
	out[o] = '\0';
	return out;
}

/* It is JSON. */
static void well_formed(const char *text)
{
	struct qn_arena *a = qn_arena_new((size_t)64 << 20);
	size_t offset = 0;
	enum qn_json_err e =
	    qn_json_scan(a, qn_span_of(text), &qn_json_default_limits, NULL, &offset);

	qn_arena_free(a);
	if (e != QN_JSON_OK)
		fail_msg("%s at byte %zu of %.200s", qn_json_err_text(e), offset, text);
}

static void prints(const struct qn_object *o, const void *src, bool camel, const char *want)
{
	struct qn_reply_text t;

	qn_reply_text_init(&t, NULL);
	qn_reply_object(&t, o, src, camel);
	char *got = whole(&t);
	well_formed(got);
	assert_string_equal(got, want);
	free(got);
	qn_reply_text_done(&t);
}

static struct all sample(void)
{
	static const struct part parts[] = {{"a", 1}, {"b", -2}};
	struct all all;

	qn_object_init(&all_object, &all);
	all.text = "t";
	all.some_id = "0190a2b3-0000-7000-8000-000000000001";
	all.colour = "green";
	all.whole_number = INT64_C(-9223372036854775807);
	all.yes = 1;
	all.no = 0;
	all.at = INT64_C(1700000000123456);
	all.json = QN_SPAN_LIT("{\"a\" : [1,2.50]}");
	all.part = &parts[0];
	all.parts = (struct qn_list){parts, 2};
	return all;
}

static void every_type_is_printed(void **state)
{
	struct all all = sample();

	(void)state;
	prints(&all_object, &all, false,
	    "{\"text\":\"t\",\"some_id\":\"0190a2b3-0000-7000-8000-000000000001\",\"colour\":\"green\","
	    "\"maybe\":null,\"whole_number\":-9223372036854775807,\"no_number\":null,\"yes\":true,"
	    "\"no\":false,\"no_truth\":null,\"at\":\"2023-11-14T22:13:20.123456Z\",\"no_time\":null,"
	    "\"json\":{\"a\" : [1,2.50]},\"no_json\":null,\"part\":{\"part_name\":\"a\",\"n\":1},"
	    "\"no_part\":null,\"parts\":[{\"part_name\":\"a\",\"n\":1},{\"part_name\":\"b\",\"n\":-2}],"
	    "\"no_parts\":[]}");
}

static void names_turn_to_camel_all_the_way_down(void **state)
{
	struct all all = sample();

	(void)state;
	prints(&all_object, &all, true,
	    "{\"text\":\"t\",\"someId\":\"0190a2b3-0000-7000-8000-000000000001\",\"colour\":\"green\","
	    "\"maybe\":null,\"wholeNumber\":-9223372036854775807,\"noNumber\":null,\"yes\":true,"
	    "\"no\":false,\"noTruth\":null,\"at\":\"2023-11-14T22:13:20.123456Z\",\"noTime\":null,"
	    "\"json\":{\"a\" : [1,2.50]},\"noJson\":null,\"part\":{\"partName\":\"a\",\"n\":1},"
	    "\"noPart\":null,\"parts\":[{\"partName\":\"a\",\"n\":1},{\"partName\":\"b\",\"n\":-2}],"
	    "\"noParts\":[]}");
}

static void all_null_is_still_json(void **state)
{
	struct all all;

	(void)state;
	qn_object_init(&all_object, &all);
	prints(&all_object, &all, false,
	    "{\"text\":null,\"some_id\":null,\"colour\":null,\"maybe\":null,\"whole_number\":null,"
	    "\"no_number\":null,\"yes\":null,\"no\":null,\"no_truth\":null,\"at\":null,\"no_time\":null,"
	    "\"json\":null,\"no_json\":null,\"part\":null,\"no_part\":null,\"parts\":[],\"no_parts\":[]}");
}

static const struct {
	const char *name, *text, *json;
} strings[] = {
    {"empty", "", "\"\""},
    {"quote and backslash", "\"\\", "\"\\\"\\\\\""},
    {"slash stays", "</script>", "\"</script>\""},
    {"line ends", "\r\n\t", "\"\\r\\n\\t\""},
    {"control bytes", "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\""},
    {"UTF-8 stays", "\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
    {"no UTF-8", "a\xff\xc3", "\"a\\ufffd\\ufffd\""},
};

static void strings_are_escaped(void **state)
{
	char want[128];

	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		struct part part = {strings[i].text, 0};
		snprintf(want, sizeof(want), "{\"part_name\":%s,\"n\":0}", strings[i].json);
		prints(&part_object, &part, false, want);
	}
}

struct wide {
	struct qn_span a, b, c, d, e, f;
};
static const struct qn_field wide_fields[] = {
    QN_FIELD(struct wide, a, JSON, 0, 0, 0, "."),
    QN_FIELD(struct wide, b, JSON, 0, 0, 0, "."),
    QN_FIELD(struct wide, c, JSON, 0, 0, 0, "."),
    QN_FIELD(struct wide, d, JSON, 0, 0, 0, "."),
    QN_FIELD(struct wide, e, JSON, 0, 0, 0, "."),
    QN_FIELD(struct wide, f, JSON, 0, 0, 0, "."),
};
static const struct qn_object wide_object = QN_OBJECT("Wide", struct wide, wide_fields);

/* [1,1,…] of n bytes, n odd. */
static struct qn_span long_json(size_t n)
{
	char *p = malloc(n + 1);

	assert_non_null(p);
	memset(p, '1', n);
	for (size_t i = 2; i < n - 1; i += 2)
		p[i] = ',';
	p[0] = '[';
	p[n - 1] = ']';
	p[n] = '\0';
	return (struct qn_span){p, n};
}

static void large_json_is_not_copied(void **state)
{
	struct qn_reply_text t;
	struct qn_span large = long_json(100001), small = QN_SPAN_LIT("[0]");
	struct wide wide = {large, small, large, small, large, small};

	(void)state;
	qn_reply_text_init(&t, NULL);
	qn_reply_object(&t, &wide_object, &wide, false);
	assert_int_equal(t.gaps, 3);
	assert_in_range(t.text.n, 1, 100);
	for (size_t i = 0; i < t.gaps; i++)
		assert_ptr_equal(t.gap[i].bytes.p, large.p);
	char *got = whole(&t);
	well_formed(got);
	assert_int_equal(strlen(got), 3 * 100001 + 3 * 3 + 6 * 4 + 5 + 2);
	free(got);
	qn_reply_text_done(&t);
	free((void *)(uintptr_t)large.p);
}

static void more_than_there_are_gaps_is_copied(void **state)
{
	struct qn_reply_text t;
	struct qn_span large = long_json(10001);
	struct wide wide = {large, large, large, large, large, large};

	(void)state;
	qn_reply_text_init(&t, NULL);
	qn_reply_object(&t, &wide_object, &wide, false);
	assert_int_equal(t.gaps, QN_REPLY_GAPS);
	char *got = whole(&t);
	well_formed(got);
	assert_int_equal(strlen(got), 6 * 10001 + 6 * 4 + 5 + 2);
	free(got);
	qn_reply_text_done(&t);
	free((void *)(uintptr_t)large.p);
}

static void problem_is(const struct qn_request *r, enum qn_err e, int status, const char *want)
{
	struct qn_reply_text t;

	qn_reply_text_init(&t, NULL);
	qn_reply_problem(&t, r, e, status);
	char *got = whole(&t);
	well_formed(got);
	assert_string_equal(got, want);
	free(got);
	qn_reply_text_done(&t);
}

static void problems_say_what_and_where(void **state)
{
	struct qn_request r = {.id = "req-1"};

	(void)state;
	problem_is(&r, QN_GRAPH_NOT_FOUND, 404,
	    "{\"type\":\"urn:quoin:error:graph-not-found\",\"title\":\"Not Found\",\"status\":404,"
	    "\"detail\":\"Graph not found\",\"error\":\"Graph not found\",\"code\":\"graph-not-found\","
	    "\"request_id\":\"req-1\"}");
	qn_fault_add(&r, "body", "na\"me", "Bad.", "string");
	qn_fault_add(&r, "query", "", "Worse.", "object");
	problem_is(&r, QN_INVALID, 422,
	    "{\"type\":\"urn:quoin:error:invalid-body\",\"title\":\"Unprocessable Content\",\"status\":422,"
	    "\"detail\":\"The request does not match the schema.\","
	    "\"error\":\"The request does not match the schema.\",\"code\":\"invalid-body\","
	    "\"request_id\":\"req-1\",\"errors\":[{\"loc\":[\"body\",\"na\\\"me\"],\"msg\":\"Bad.\","
	    "\"type\":\"string\"},{\"loc\":[\"query\"],\"msg\":\"Worse.\",\"type\":\"object\"}]}");
}

/* A status without a title of its own would be shown as another's. */
static void every_error_has_a_title(void **state)
{
	(void)state;
	for (int e = 0; e < QN_ERR__MAX; e++) {
		struct qn_request r = {.id = "x"};
		struct qn_reply_text t;
		int status = qn_err_status((enum qn_err)e);
		qn_reply_text_init(&t, NULL);
		qn_reply_problem(&t, &r, (enum qn_err)e, status);
		if (strstr(t.text.p, "Internal Server Error\",\"status") != NULL && status != 500)
			fail_msg("status %d has no title", status);
		qn_reply_text_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_type_is_printed),
	    cmocka_unit_test(names_turn_to_camel_all_the_way_down),
	    cmocka_unit_test(all_null_is_still_json),
	    cmocka_unit_test(strings_are_escaped),
	    cmocka_unit_test(large_json_is_not_copied),
	    cmocka_unit_test(more_than_there_are_gaps_is_copied),
	    cmocka_unit_test(problems_say_what_and_where),
	    cmocka_unit_test(every_error_has_a_title),
	};
	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
