#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "quoin/base/buf.h"
#include "quoin/base/json.h"

#define BODY_MAX ((size_t)8 << 20)
#define CEILING  ((size_t)48 << 20) /* what a worker has */

struct text {
	const char *name, *p;
	size_t n;
};
#define T(name, s) \
	{ \
		(name), (s), sizeof(s) - 1 \
	}

static struct qn_arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = qn_arena_new(CEILING);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	qn_arena_free(arena);
	return 0;
}

/* From a copy that ends where the text does, so that reading past it is seen. */
static enum qn_json_err scan_copy(const char *p, size_t n, size_t *ret_offset)
{
	char *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	struct qn_json_object root;
	enum qn_json_err err = qn_json_scan(
	    arena, (struct qn_span){copy, n}, &qn_json_default_limits, &root, ret_offset);
	free(copy);
	return err;
}

static enum qn_json_err scan_root(struct qn_span text, struct qn_json_object *ret)
{
	return qn_json_scan(arena, text, &qn_json_default_limits, ret, NULL);
}

static const struct text accepted[] = {
    T("null", "null"),
    T("true", "true"),
    T("false", "false"),
    T("zero", "0"),
    T("minus zero", "-0"),
    T("minus zero point", "-0.0"),
    T("one digit", "7"),
    T("integer", "1234567890"),
    T("negative", "-42"),
    T("fraction", "123.456"),
    T("zero fraction", "0.1"),
    T("fraction of zeros", "1.000"),
    T("exponent", "1e2"),
    T("exponent capital", "1E2"),
    T("exponent plus", "1e+2"),
    T("exponent capital plus", "1E+2"),
    T("exponent minus", "1e-2"),
    T("exponent with zeros", "1e0002"),
    T("fraction and exponent", "123.456e78"),
    T("zero exponent", "0e1"),
    T("zero exponent plus", "0e+1"),
    T("zero to a huge power", "0e999999999999999999999"),
    T("zero point to a huge power", "-0.000e400"),
    T("tiny number reads as zero", "1e-400"),
    T("tiny to a huge power", "123e-10000000"),
    T("smallest double", "4.9e-324"),
    T("largest double", "1.7976931348623157e308"),
    T("largest double, other point", "17976931348623157e292"),
    T("rounds down to the largest double", "1.79769313486231580793e308"),
    T("309 digits, the largest double",
	"17976931348623157081452742373170435679807056752584499659891747680315726078002853"
	"87605895586327668781715404589535143824642343213268894641827684675467035375169860"
	"49910576551282076245490090389328944075868508455133942304583236903222948165808559"
	"332123348274797826204144723168738177180919299881250404026184124858368"),
    T("integer over 64 bits", "18446744073709551616"),
    T("integer of 23 digits", "12345678901234567890123"),
    T("negative over 64 bits", "-9223372036854775809"),
    T("zeros before a huge power", "0.00000000001e310"),
    T("long zeros against a power",
	"0.0000000000000000000000000000000000000000000000000000001e360"),
    T("empty string", "\"\""),
    T("string", "\"hello\""),
    T("string of one space", "\" \""),
    T("eight plain bytes", "\"12345678\""),
    T("nine plain bytes", "\"123456789\""),
    T("all short escapes", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    T("slash unescaped", "\"a/b\""),
    T("delete is no control", "\"a\x7f\""),
    T("escaped control", "\"\\u001f\""),
    T("escaped letters lower", "\"\\u00e9\\u20ac\""),
    T("escaped letters capital", "\"\\u00E9\\u20AC\""),
    T("escaped surrogate pair", "\"\\ud83d\\ude00\""),
    T("escaped pair capital", "\"\\uD83D\\uDE00\""),
    T("lowest pair", "\"\\ud800\\udc00\""),
    T("highest pair", "\"\\udbff\\udfff\""),
    T("two pairs", "\"\\ud83d\\ude00\\ud83d\\ude01\""),
    T("escaped noncharacter", "\"\\uffff\""),
    T("escaped byte order mark", "\"\\ufeff\""),
    T("backslash before u", "\"\\\\u0000\""),
    T("backslashes before u", "\"\\\\\\\\u0000\""),
    T("two bytes of UTF-8", "\"\xc3\xa9\""),
    T("lowest of two bytes", "\"\xc2\x80\""),
    T("three bytes of UTF-8", "\"\xe2\x82\xac\""),
    T("lowest of three bytes", "\"\xe0\xa0\x80\""),
    T("before the surrogates", "\"\xed\x9f\xbf\""),
    T("after the surrogates", "\"\xee\x80\x80\""),
    T("raw noncharacter", "\"\xef\xbf\xbf\""),
    T("raw byte order mark in a string", "\"\xef\xbb\xbf\""),
    T("lowest of four bytes", "\"\xf0\x90\x80\x80\""),
    T("four bytes of UTF-8", "\"\xf0\x9f\x98\x80\""),
    T("highest code point", "\"\xf4\x8f\xbf\xbf\""),
    T("line separator", "\"\xe2\x80\xa8\""),
    T("empty array", "[]"),
    T("empty array with space", "[ \t\r\n ]"),
    T("array of null", "[null]"),
    T("array of all kinds", "[null, 1, \"1\", {}, [], true, false]"),
    T("array in array", "[[[]]]"),
    T("empty arrays", "[[],[],[[]]]"),
    T("spaces everywhere", " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n"),
    T("long indentation", "[\n                        1,\n                         2\n         ]"),
    T("trailing newline", "1\n"),
    T("leading space", "   1"),
    T("empty object", "{}"),
    T("empty object with space", "{ \n }"),
    T("object", "{\"a\":1}"),
    T("empty name", "{\"\":0}"),
    T("members", "{\"a\":1,\"b\":[],\"c\":{},\"d\":null}"),
    T("spaced members", " { \"a\" : 1 , \"b\" : 2 } "),
    T("name with escapes", "{\"a\\nb\":1}"),
    T("name in UTF-8", "{\"\xc3\xa9\":1}"),
    T("same name in inner object", "{\"a\":{\"a\":{\"a\":1}}}"),
    T("same name in siblings", "[{\"a\":1},{\"a\":1}]"),
    T("same name after inner object", "{\"a\":{\"b\":1},\"b\":2}"),
    T("names differ by case", "{\"a\":1,\"A\":2}"),
    T("names differ by length", "{\"a\":1,\"aa\":2,\"aaa\":3}"),
    T("names differ at the end", "{\"abcdefgh1\":1,\"abcdefgh2\":2}"),
    T("names differ in the middle", "{\"aaaaaaaa1bbbbbbbb\":1,\"aaaaaaaa2bbbbbbbb\":2}"),
    T("names differ by form", "{\"\xc3\xa9\":1,\"e\xcc\x81\":2}"), /* no normalisation */
    T("names differ by escape of an escape", "{\"\\\\n\":1,\"\\n\":2}"),
    T("a graph",
	"{\"last_node_id\":2,\"nodes\":[{\"id\":1,\"type\":\"basic/const\",\"pos\":[200,200.5],"
	"\"size\":{\"0\":210,\"1\":46},\"flags\":{},\"outputs\":[{\"name\":\"value\",\"links\":[1]}],"
	"\"properties\":{\"value\":-1.5e-3}}],\"links\":[[1,1,0,2,0,\"number\"]],\"version\":0.4}"),
};

static void test_accepted(void **state)
{
	size_t bad = 0, offset = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		enum qn_json_err err = scan_copy(accepted[i].p, accepted[i].n, &offset);
		if (err == QN_JSON_OK)
			continue;
		print_error(
		    "accepted: %s: %s (at %zu)\n", accepted[i].name, qn_json_err_text(err), offset);
		bad++;
	}
	assert_int_equal(bad, 0);
	assert_int_equal(offset, 77);
}

struct refusal {
	enum qn_json_err err;
	struct text text;
};
#define R(err, name, s) \
	{ \
		QN_JSON_##err, T(name, s) \
	}

static const struct refusal refused[] = {
    R(SYNTAX, "nothing", ""),
    R(SYNTAX, "only space", " \n"),
    R(SYNTAX, "byte order mark", "\xef\xbb\xbf{}"),
    R(SYNTAX, "byte order mark alone", "\xef\xbb\xbf"),
    R(SYNTAX, "half a byte order mark", "\xef\xbb{}"),
    R(SYNTAX, "UTF-16", "\xff\xfe[\0]\0"),
    R(SYNTAX, "NUL after a value", "123\0"),
    R(SYNTAX, "NUL before a value", "\0 123"),
    R(SYNTAX, "NUL in an array", "[1\0]"),
    R(SYNTAX, "form feed as space", "[\f]"),
    R(SYNTAX, "vertical tab as space", "[\v]"),
    R(SYNTAX, "no-break space", "[\xc2\xa0]"),
    R(SYNTAX, "line separator as space", "[\xe2\x80\xa8]"),
    R(SYNTAX, "word joiner as space", "[\xe2\x81\xa0]"),
    R(SYNTAX, "two values", "1 2"),
    R(SYNTAX, "two objects", "{}{}"),
    R(SYNTAX, "trailing bracket", "[]]"),
    R(SYNTAX, "trailing brace", "{}}"),
    R(SYNTAX, "trailing comma", "[],"),
    R(SYNTAX, "trailing hash", "{\"a\":\"b\"}#"),
    R(SYNTAX, "trailing comment", "{\"a\":\"b\"}/**/"),
    R(SYNTAX, "trailing line comment", "{\"a\":\"b\"}//"),
    R(SYNTAX, "comment inside", "[1/*x*/]"),
    R(SYNTAX, "trailing word", "[]x"),
    R(SYNTAX, "trailing raw byte", "[]\xe5"),
    R(SYNTAX, "double quote only", "\""),
    R(SYNTAX, "word", "abc"),
    R(SYNTAX, "star", "*"),
    R(SYNTAX, "angle bracket", "<null>"),
    R(SYNTAX, "true cut short", "tru"),
    R(SYNTAX, "false cut short", "fals"),
    R(SYNTAX, "null cut short", "nul"),
    R(SYNTAX, "n alone", "n"),
    R(SYNTAX, "true capital", "True"),
    R(SYNTAX, "true all capital", "TRUE"),
    R(SYNTAX, "null capital", "Null"),
    R(SYNTAX, "true and more", "truex"),
    R(SYNTAX, "true twice", "truetrue"),
    R(SYNTAX, "true in array cut short", "[tru]"),
    R(SYNTAX, "undefined", "undefined"),
    R(SYNTAX, "NaN", "NaN"),
    R(SYNTAX, "nan", "nan"),
    R(SYNTAX, "minus NaN", "-NaN"),
    R(SYNTAX, "NaN in array", "[NaN]"),
    R(SYNTAX, "Infinity", "Infinity"),
    R(SYNTAX, "minus Infinity", "-Infinity"),
    R(SYNTAX, "plus Infinity", "+Infinity"),
    R(SYNTAX, "Inf", "[Inf]"),
    R(SYNTAX, "infinity sign", "\xe2\x88\x9e"),
    R(SYNTAX, "minus", "-"),
    R(SYNTAX, "minus in array", "[-]"),
    R(SYNTAX, "minus letter", "-a"),
    R(SYNTAX, "minus minus", "--1"),
    R(SYNTAX, "minus space", "- 1"),
    R(SYNTAX, "minus leading zero", "-01"),
    R(SYNTAX, "leading zero", "01"),
    R(SYNTAX, "leading zeros", "[0012]"),
    R(SYNTAX, "double zero", "00"),
    R(SYNTAX, "plus", "+1"),
    R(SYNTAX, "plus plus", "[++1234]"),
    R(SYNTAX, "point first", ".5"),
    R(SYNTAX, "minus point", "-.5"),
    R(SYNTAX, "point last", "2."),
    R(SYNTAX, "minus point last", "-2."),
    R(SYNTAX, "zero point last", "0."),
    R(SYNTAX, "point then exponent", "2.e3"),
    R(SYNTAX, "point then exponent plus", "2.e+3"),
    R(SYNTAX, "point then exponent minus", "2.e-3"),
    R(SYNTAX, "point in array", "[1.]"),
    R(SYNTAX, "two points", "1.2.3"),
    R(SYNTAX, "exponent empty", "1e"),
    R(SYNTAX, "exponent plus empty", "1e+"),
    R(SYNTAX, "exponent minus empty", "1E-"),
    R(SYNTAX, "exponent of zero empty", "0e"),
    R(SYNTAX, "exponent of fraction empty", "0.3e+"),
    R(SYNTAX, "exponent twice", "1e2e3"),
    R(SYNTAX, "exponent with point", "1e2.5"),
    R(SYNTAX, "exponent with two signs", "1e+-2"),
    R(SYNTAX, "exponent alone", "e9"),
    R(SYNTAX, "exponent of minus", "-e9"),
    R(SYNTAX, "hexadecimal", "0x1f"),
    R(SYNTAX, "hexadecimal no digits", "[0x]"),
    R(SYNTAX, "octal", "0o7"),
    R(SYNTAX, "space in number", "1 000"),
    R(SYNTAX, "underscore in number", "1_000"),
    R(SYNTAX, "comma as point", "1,5"),
    R(SYNTAX, "letter after number", "1a"),
    R(SYNTAX, "letter after minus number", "[-123foo]"),
    R(SYNTAX, "suffix", "10L"),
    R(SYNTAX, "expression", "[1+2]"),
    R(SYNTAX, "full-width digit", "\xef\xbc\x91"),
    R(SYNTAX, "raw byte after number", "[123\xe5]"),
    R(SYNTAX, "number then string", "1\"a\""),
    R(NUMBER, "overflow", "1e400"),
    R(NUMBER, "negative overflow", "-1e400"),
    R(NUMBER, "overflow with plus", "1.5e+9999"),
    R(NUMBER, "overflow by a hair", "1.7976931348623159e308"),
    R(NUMBER, "overflow by digits", "17976931348623159e292"),
    R(NUMBER, "overflow by power 309", "1e309"),
    R(NUMBER, "overflow from a fraction", "0.00001e314"),
    R(NUMBER, "exponent over 64 bits", "1e99999999999999999999999999"),
    R(NUMBER, "fraction with a huge exponent", "0.0000000001e99999999999999999999999999"),
    R(NUMBER, "in an array", "[1,2,1e999]"),
    R(SYNTAX, "string unclosed", "\"abc"),
    R(SYNTAX, "string unclosed, eight bytes", "\"12345678"),
    R(SYNTAX, "string unclosed by escape", "\"abc\\\""),
    R(SYNTAX, "single quotes", "'a'"),
    R(SYNTAX, "single quotes in array", "['a']"),
    R(SYNTAX, "single quote for a double", "\"a'"),
    R(SYNTAX, "typographic quotes", "\xe2\x80\x9cx\xe2\x80\x9d"),
    R(SYNTAX, "backquotes", "`a`"),
    R(SYNTAX, "string without quotes", "[abc]"),
    R(SYNTAX, "strings side by side", "\"a\" \"b\""),
    R(SYNTAX, "raw tab", "\"\t\""),
    R(SYNTAX, "raw newline", "\"a\nb\""),
    R(SYNTAX, "raw carriage return", "\"a\rb\""),
    R(SYNTAX, "raw unit separator", "\"\x1f\""),
    R(SYNTAX, "raw escape byte", "\"\x1b[0m\""),
    R(SYNTAX, "raw control behind plain bytes", "\"0123456789\x01\""),
    R(SYNTAX, "raw newline in a name", "{\"a\nb\":1}"),
    R(SYNTAX, "escape x", "\"\\x00\""),
    R(SYNTAX, "escape a", "\"\\a\""),
    R(SYNTAX, "escape quote", "\"\\'\""),
    R(SYNTAX, "escape zero", "\"\\0\""),
    R(SYNTAX, "escape v", "\"\\v\""),
    R(SYNTAX, "escape capital", "\"\\N\""),
    R(SYNTAX, "escape capital U", "\"\\U00e9\""),
    R(SYNTAX, "escape space", "\"\\ \""),
    R(SYNTAX, "escape newline", "\"\\\n\""),
    R(SYNTAX, "escape NUL", "\"\\\0\""),
    R(SYNTAX, "escape raw byte", "\"\\\xe5\""),
    R(SYNTAX, "escape UTF-8", "\"\\\xc3\xa9\""),
    R(SYNTAX, "escape at the end", "\"\\"),
    R(SYNTAX, "escape outside a string", "[\\n]"),
    R(SYNTAX, "unicode escape empty", "\"\\u\""),
    R(SYNTAX, "unicode escape of one", "\"\\u1\""),
    R(SYNTAX, "unicode escape of three", "\"\\u00A\""),
    R(SYNTAX, "unicode escape of zeros, three", "\"\\u000\""),
    R(SYNTAX, "unicode escape cut short", "\"\\u00"),
    R(SYNTAX, "unicode escape not hexadecimal", "\"\\u00g0\""),
    R(SYNTAX, "unicode escape with sign", "\"\\u+123\""),
    R(SYNTAX, "unicode escape with space", "\"\\u 123\""),
    R(SYNTAX, "unicode escape in braces", "\"\\u{1f600}\""),
    R(NUL, "raw NUL", "\"\0\""),
    R(NUL, "raw NUL behind text", "\"abc\0def\""),
    R(NUL, "raw NUL in a name", "{\"a\0\":1}"),
    R(NUL, "escaped NUL", "\"\\u0000\""),
    R(NUL, "escaped NUL behind text", "\"admin\\u0000x\""),
    R(NUL, "escaped NUL in a name", "{\"\\u0000admin\":1}"),
    R(NUL, "escaped NUL deep", "[[{\"a\":[\"\\u0000\"]}]]"),
    R(SURROGATE, "high alone", "\"\\ud800\""),
    R(SURROGATE, "high capital alone", "\"\\uDBFF\""),
    R(SURROGATE, "low alone", "\"\\udc00\""),
    R(SURROGATE, "highest low alone", "\"\\udfff\""),
    R(SURROGATE, "high then text", "\"test\\ud888rest of it\""),
    R(SURROGATE, "high then letter", "\"\\ud800\\u0041\""),
    R(SURROGATE, "high then high", "\"\\ud800\\ud800\""),
    R(SURROGATE, "high twice then low", "\"\\ud800\\ud800\\udc00\""),
    R(SURROGATE, "pair the wrong way round", "\"\\udc00\\ud800\""),
    R(SURROGATE, "high then newline", "\"\\ud800\\n\""),
    R(SURROGATE, "high then short escape", "\"\\ud800\\u\""),
    R(SURROGATE, "high then bad escape", "\"\\ud800\\u1x\""),
    R(SURROGATE, "high cut short", "\"\\ud83d\\ude0"),
    R(SURROGATE, "high at the end", "\"\\ud800"),
    R(SURROGATE, "high in a name", "{\"\\ud800\":1}"),
    R(SURROGATE, "pair then low", "\"\\ud83d\\ude00\\ude00\""),
    R(UTF8, "lone continuation", "\"\x80\""),
    R(UTF8, "lone continuation high", "\"\xbf\""),
    R(UTF8, "Latin 1", "\"\xe9\""),
    R(UTF8, "Latin 1 then text", "\"\xe9t\xe9\""),
    R(UTF8, "two bytes cut short", "\"\xc3\""),
    R(UTF8, "two bytes at the end", "\"\xc3"),
    R(UTF8, "three bytes cut short", "\"\xe2\x82\""),
    R(UTF8, "three bytes at the end", "\"\xe2\x82"),
    R(UTF8, "four bytes cut short", "\"\xf0\x9f\x98\""),
    R(UTF8, "four bytes at the end", "\"\xf0\x9f\x98"),
    R(UTF8, "overlong NUL", "\"\xc0\x80\""),
    R(UTF8, "overlong slash", "\"\xc0\xaf\""),
    R(UTF8, "overlong of two bytes", "\"\xc1\xbf\""),
    R(UTF8, "overlong of three bytes", "\"\xe0\x80\xaf\""),
    R(UTF8, "overlong of three bytes, highest", "\"\xe0\x9f\xbf\""),
    R(UTF8, "overlong of four bytes", "\"\xf0\x80\x80\xaf\""),
    R(UTF8, "overlong of four bytes, highest", "\"\xf0\x8f\xbf\xbf\""),
    R(UTF8, "overlong of six bytes", "\"\xfc\x83\xbf\xbf\xbf\xbf\""),
    R(UTF8, "surrogate", "\"\xed\xa0\x80\""),
    R(UTF8, "highest surrogate", "\"\xed\xbf\xbf\""),
    R(UTF8, "pair of surrogates", "\"\xed\xa0\xbd\xed\xb8\x80\""),
    R(UTF8, "above the last code point", "\"\xf4\x90\x80\x80\""),
    R(UTF8, "far above", "\"\xf5\x80\x80\x80\""),
    R(UTF8, "five bytes", "\"\xf8\x88\x80\x80\x80\""),
    R(UTF8, "byte fe", "\"\xfe\""),
    R(UTF8, "byte ff", "\"\xff\""),
    R(UTF8, "second byte no continuation", "\"\xc3(\""),
    R(UTF8, "third byte no continuation", "\"\xe2\x82(\""),
    R(UTF8, "in a name", "{\"\xff\":1}"),
    R(UTF8, "behind an escape", "\"\\u00e9\xff\""),
    R(UTF8, "behind plain bytes", "\"0123456789abcdef\xff\""),
    R(SYNTAX, "array unclosed", "["),
    R(SYNTAX, "array unclosed with value", "[1"),
    R(SYNTAX, "array unclosed with comma", "[1,"),
    R(SYNTAX, "array unclosed inside", "[[]"),
    R(SYNTAX, "array closed by brace", "[1}"),
    R(SYNTAX, "array closed without opening", "]"),
    R(SYNTAX, "array closed twice", "[1]]"),
    R(SYNTAX, "array trailing comma", "[1,]"),
    R(SYNTAX, "array trailing commas", "[1,,]"),
    R(SYNTAX, "array comma only", "[,]"),
    R(SYNTAX, "array comma first", "[,1]"),
    R(SYNTAX, "array two commas", "[1,,2]"),
    R(SYNTAX, "array without comma", "[1 2]"),
    R(SYNTAX, "array colon for comma", "[\"a\":1]"),
    R(SYNTAX, "array semicolon", "[1;2]"),
    R(SYNTAX, "array inner without comma", "[3[4]]"),
    R(SYNTAX, "array with a name", "[a:1]"),
    R(SYNTAX, "array comma behind it", "[1],"),
    R(SYNTAX, "object unclosed", "{"),
    R(SYNTAX, "object unclosed in name", "{\"a"),
    R(SYNTAX, "object unclosed behind name", "{\"a\""),
    R(SYNTAX, "object unclosed behind colon", "{\"a\":"),
    R(SYNTAX, "object unclosed behind value", "{\"a\":1"),
    R(SYNTAX, "object unclosed behind comma", "{\"a\":1,"),
    R(SYNTAX, "object closed by bracket", "{\"a\":1]"),
    R(SYNTAX, "object closed without opening", "}"),
    R(SYNTAX, "object trailing comma", "{\"a\":1,}"),
    R(SYNTAX, "object trailing commas", "{\"a\":1,,}"),
    R(SYNTAX, "object comma only", "{,}"),
    R(SYNTAX, "object comma first", "{,\"a\":1}"),
    R(SYNTAX, "object two commas", "{\"a\":1,,\"b\":2}"),
    R(SYNTAX, "object without comma", "{\"a\":1 \"b\":2}"),
    R(SYNTAX, "object without colon", "{\"a\" 1}"),
    R(SYNTAX, "object without value", "{\"a\":}"),
    R(SYNTAX, "object value missing before comma", "{\"a\":,\"b\":1}"),
    R(SYNTAX, "object name only", "{\"a\"}"),
    R(SYNTAX, "object two colons", "{\"a\"::1}"),
    R(SYNTAX, "object equals sign", "{\"a\"=1}"),
    R(SYNTAX, "object arrow", "{\"a\"=>1}"),
    R(SYNTAX, "object name without quotes", "{a:1}"),
    R(SYNTAX, "object name in single quotes", "{'a':1}"),
    R(SYNTAX, "object name half quoted", "{\"a:1}"),
    R(SYNTAX, "object number as name", "{1:1}"),
    R(SYNTAX, "object null as name", "{null:null}"),
    R(SYNTAX, "object array as name", "{[]:1}"),
    R(SYNTAX, "object value only", "{1}"),
    R(SYNTAX, "object comma for colon", "{\"a\",1}"),
    R(SYNTAX, "object two values", "{\"a\":1 2}"),
    R(SYNTAX, "object comment", "{\"a\":/*x*/1}"),
    R(SYNTAX, "object emoji", "{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}"),
    R(DUPLICATE, "name twice", "{\"a\":1,\"a\":2}"),
    R(DUPLICATE, "name twice, same value", "{\"a\":1,\"a\":1}"),
    R(DUPLICATE, "name thrice", "{\"a\":1,\"b\":2,\"b\":3,\"a\":4}"),
    R(DUPLICATE, "empty name twice", "{\"\":1,\"\":2}"),
    R(DUPLICATE, "name twice around an object", "{\"a\":{\"b\":1,\"c\":2},\"a\":2}"),
    R(DUPLICATE, "name twice around an array", "{\"a\":[{\"a\":1}],\"a\":2}"),
    R(DUPLICATE, "inner name twice", "{\"a\":{\"b\":1,\"b\":2}}"),
    R(DUPLICATE, "deep name twice", "[[[{\"x\":[{\"k\":0,\"k\":0}]}]]]"),
    R(DUPLICATE, "escaped letter", "{\"a\":1,\"\\u0061\":2}"),
    R(DUPLICATE, "escaped letter first", "{\"\\u0061\":1,\"a\":2}"),
    R(DUPLICATE, "escaped twice, spelling differs", "{\"\\u006a\":1,\"\\u006A\":2}"),
    R(DUPLICATE, "escaped slash", "{\"a/b\":1,\"a\\/b\":2}"),
    R(DUPLICATE, "escaped quote", "{\"\\\"\":1,\"\\u0022\":2}"),
    R(DUPLICATE, "escaped backslash", "{\"\\\\\":1,\"\\u005c\":2}"),
    R(DUPLICATE, "escaped newline", "{\"\\n\":1,\"\\u000a\":2}"),
    R(DUPLICATE, "escaped tab", "{\"\\t\":1,\"\\u0009\":2}"),
    R(DUPLICATE, "escaped backspace and feeds", "{\"\\b\\f\\r\":1,\"\\u0008\\u000c\\u000D\":2}"),
    R(DUPLICATE, "escaped two bytes", "{\"\xc3\xa9\":1,\"\\u00e9\":2}"),
    R(DUPLICATE, "escaped three bytes", "{\"\xe2\x82\xac\":1,\"\\u20ac\":2}"),
    R(DUPLICATE, "escaped four bytes", "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"),
    R(DUPLICATE, "escaped highest", "{\"\\udbff\\udfff\":1,\"\xf4\x8f\xbf\xbf\":2}"),
    R(DUPLICATE, "escaped in a long name",
	"{\"abcdefghijklmnopqrstuvwxyz\":1,"
	"\"abcdefghijklm\\u006eopqrstuvwxyz\":2}"),
    R(DUPLICATE, "escapes around an inner object",
	"{\"\\u0061\":{\"\\u0062\":1,\"\\u0063\":2},\"a\":3}"),
};

static void test_refused(void **state)
{
	size_t bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const struct text *t = &refused[i].text;
		size_t offset = SIZE_MAX;
		enum qn_json_err err = scan_copy(t->p, t->n, &offset);
		if (err == refused[i].err && offset <= t->n)
			continue;
		print_error("refused: %s: got \"%s\" (at %zu), wanted \"%s\"\n", t->name,
		    qn_json_err_text(err), offset, qn_json_err_text(refused[i].err));
		bad++;
	}
	assert_int_equal(bad, 0);
}

static void test_offsets(void **state)
{
	static const struct {
		const char *text;
		size_t offset;
	} cases[] = {
	    {"", 0},
	    {"  ", 2},
	    {"[1,x]", 3},
	    {"{\"a\":1,\"a\":2}", 7},
	    {"\"ab\\q\"", 3},
	    {"\"ab\xff\"", 3},
	    {"[1]]", 3},
	    {"[1e400]", 1},
	    {"\"abc", 4},
	    {"[[1],[2}", 7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t offset = SIZE_MAX;
		assert_int_not_equal(
		    scan_copy(cases[i].text, strlen(cases[i].text), &offset), QN_JSON_OK);
		assert_int_equal(offset, cases[i].offset);
	}
}

static void test_err_texts(void **state)
{
	(void)state;
	for (int e = QN_JSON_OK + 1; e < QN_JSON_ERR__MAX; e++) {
		assert_non_null(qn_json_err_text((enum qn_json_err)e));
		assert_true(strlen(qn_json_err_text((enum qn_json_err)e)) > 10);
	}
	assert_non_null(qn_json_err_text(QN_JSON_ERR__MAX));
}

/* Every cut of a text that holds one of everything is refused; every change of a byte is survived.
 */
static const char everything[] =
    "{\"name\": \"caf\xc3\xa9 \\u00e9\\ud83d\\ude00\\n\", \"n\\u0061\": [0, -1.5e+3, 12345678901234567890],"
    " \"t\": [true, false, null, {}, []], \"o\": {\"a\": {\"a\": \"a\"}, \"b\": [[[1]]]}}";

static void test_cut_short(void **state)
{
	size_t n = sizeof(everything) - 1;

	(void)state;
	assert_int_equal(scan_copy(everything, n, NULL), QN_JSON_OK);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(scan_copy(everything, i, NULL), QN_JSON_OK);
}

static void test_changed_bytes(void **state)
{
	char copy[sizeof(everything)];
	size_t n = sizeof(everything) - 1;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (int c = 0; c < 256; c++) {
			memcpy(copy, everything, n);
			copy[i] = (char)c;
			enum qn_json_err err = scan_copy(copy, n, NULL);
			assert_true((unsigned)err < QN_JSON_ERR__MAX);
			if (c < ' ' && strchr("\t\n\r", c) == NULL)
				assert_int_not_equal(err, QN_JSON_OK);
			qn_arena_reset(arena);
		}
	}
}

/* `open` depth times, then `middle`, then `close` as often. */
static struct qn_span nested(const char *open, const char *middle, const char *close, size_t depth)
{
	struct qn_buf b;

	qn_buf_init(&b, BODY_MAX);
	for (size_t i = 0; i < depth; i++)
		qn_buf_str(&b, open);
	qn_buf_str(&b, middle);
	for (size_t i = 0; i < depth; i++)
		qn_buf_str(&b, close);
	assert_false(b.over);
	struct qn_span text = {qn_strndup(arena, b.p ? b.p : "", b.n), b.n};
	qn_buf_done(&b);
	return text;
}

static void test_depth(void **state)
{
	static const struct qn_json_limits three = {.depth = 3, .nodes = 100},
					   none = {.depth = 0, .nodes = 100};
	size_t offset = 0;

	(void)state;
	assert_int_equal(scan_root(nested("[", "", "]", 64), NULL), QN_JSON_OK);
	assert_int_equal(scan_root(nested("[", "", "]", 65), NULL), QN_JSON_DEPTH);
	assert_int_equal(scan_root(nested("{\"a\":", "1", "}", 64), NULL), QN_JSON_OK);
	assert_int_equal(scan_root(nested("{\"a\":", "1", "}", 65), NULL), QN_JSON_DEPTH);
	assert_int_equal(scan_root(nested("{\"a\":", "[]", "}", 63), NULL), QN_JSON_OK);
	assert_int_equal(scan_root(nested("{\"a\":", "[]", "}", 64), NULL), QN_JSON_DEPTH);
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("[[],[[]],{\"a\":{}}]"), &three, NULL, NULL),
	    QN_JSON_OK);
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("[[],[[ {}]]]"), &three, NULL, &offset), QN_JSON_DEPTH);
	assert_int_equal(offset, 7);
	assert_int_equal(qn_json_scan(arena, QN_SPAN_LIT("1"), &none, NULL, NULL), QN_JSON_OK);
	assert_int_equal(qn_json_scan(arena, QN_SPAN_LIT("[]"), &none, NULL, NULL), QN_JSON_DEPTH);
}

static void test_depth_bombs(void **state)
{
	static const struct qn_json_limits deep = {.depth = 200000, .nodes = 1000000};

	(void)state;
	assert_int_equal(scan_root(nested("[", "", "", 100000), NULL), QN_JSON_DEPTH);
	assert_int_equal(scan_root(nested("{\"a\":", "", "", 100000), NULL), QN_JSON_DEPTH);
	/* Without recursion the limit is only a number. */
	assert_int_equal(
	    qn_json_scan(arena, nested("[", "", "]", 100000), &deep, NULL, NULL), QN_JSON_OK);
	assert_int_equal(
	    qn_json_scan(arena, nested("{\"a\":", "1", "}", 100000), &deep, NULL, NULL),
	    QN_JSON_OK);
	assert_int_equal(
	    qn_json_scan(arena, nested("[", "", "", 100000), &deep, NULL, NULL), QN_JSON_SYNTAX);
}

static void test_nodes(void **state)
{
	static const struct qn_json_limits four = {.depth = 9, .nodes = 4},
					   zero = {.depth = 9, .nodes = 0};
	size_t offset = 0;

	(void)state;
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("[1,2,3]"), &four, NULL, NULL), QN_JSON_OK);
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("[1,2,3,4]"), &four, NULL, &offset), QN_JSON_NODES);
	assert_int_equal(offset, 7);
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("[[],{},[]]"), &four, NULL, NULL), QN_JSON_OK);
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("[[],{},[[]]]"), &four, NULL, NULL), QN_JSON_NODES);
	assert_int_equal(
	    qn_json_scan(arena, QN_SPAN_LIT("{\"a\":{\"b\":{\"c\":1}}}"), &four, NULL, NULL),
	    QN_JSON_OK);
	assert_int_equal(qn_json_scan(arena, QN_SPAN_LIT("1"), &zero, NULL, NULL), QN_JSON_NODES);
}

/* An object of n members named PREFIX0, PREFIX1, …, one of them, if `again` < n, named as another
 * is. */
static struct qn_span wide(size_t n, const char *prefix, size_t again, const char *as)
{
	struct qn_buf b;

	qn_buf_init(&b, 2 * BODY_MAX);
	qn_buf_char(&b, '{');
	for (size_t i = 0; i < n; i++) {
		if (i == again)
			qn_buf_printf(&b, "%s\"%s\":0", i ? "," : "", as);
		else
			qn_buf_printf(&b, "%s\"%s%zu\":0", i ? "," : "", prefix, i);
	}
	qn_buf_char(&b, '}');
	assert_false(b.over);
	struct qn_span text = {qn_strndup(arena, b.p, b.n), b.n};
	qn_buf_done(&b);
	return text;
}

/* Around the sizes where names are looked for in another way, each pair of places. */
static void test_duplicate_places(void **state)
{
	char as[32];

	(void)state;
	for (size_t n = 2; n < 80; n++) {
		assert_int_equal(scan_root(wide(n, "k", n, ""), NULL), QN_JSON_OK);
		for (size_t i = 0; i < n; i++) {
			size_t other = (i * 7 + 1) % n;
			if (other == i)
				continue;
			snprintf(as, sizeof(as), "k%zu", other);
			assert_int_equal(scan_root(wide(n, "k", i, as), NULL), QN_JSON_DUPLICATE);
			snprintf(as, sizeof(as), "\\u006b%zu", other);
			assert_int_equal(scan_root(wide(n, "k", i, as), NULL), QN_JSON_DUPLICATE);
			snprintf(as, sizeof(as), "\\u006c%zu", other);
			assert_int_equal(scan_root(wide(n, "k", i, as), NULL), QN_JSON_OK);
		}
		qn_arena_reset(arena);
	}
}

static void test_wide(void **state)
{
	struct qn_json_object root;

	(void)state;
	assert_int_equal(scan_root(wide(200000, "k", SIZE_MAX, ""), &root), QN_JSON_OK);
	assert_int_equal(root.n, 200000);
	assert_true(qn_span_is(root.members[123456].name, "k123456"));
	assert_true(qn_span_is(root.members[199999].name, "k199999"));
	qn_arena_reset(arena);
	assert_int_equal(scan_root(wide(200000, "k", 199999, "k0"), &root), QN_JSON_DUPLICATE);
	qn_arena_reset(arena);
	assert_int_equal(
	    scan_root(wide(200000, "\\u006b", 150000, "k149999"), NULL), QN_JSON_DUPLICATE);
	qn_arena_reset(arena);
	assert_int_equal(scan_root(wide(200000, "\\u006b", SIZE_MAX, ""), &root), QN_JSON_OK);
	assert_true(qn_span_is(root.members[199999].name, "k199999"));
}

/* Only what is listed is bounded: a document may be wider. */
static void test_list_max(void **state)
{
	struct qn_json_object root;
	struct qn_span *items;
	size_t n;

	(void)state;
	struct qn_span text = wide(QN_JSON_LIST_MAX, "", SIZE_MAX, "");
	assert_int_equal(scan_root(text, &root), QN_JSON_OK);
	assert_int_equal(root.n, QN_JSON_LIST_MAX);
	qn_arena_reset(arena);
	text = wide(QN_JSON_LIST_MAX + 1, "", SIZE_MAX, "");
	assert_int_equal(scan_root(text, &root), QN_JSON_NODES);
	assert_int_equal(scan_root(text, NULL), QN_JSON_OK);
	assert_false(qn_json_members(arena, text, &root));
	qn_arena_reset(arena);
	for (size_t more = 0; more < 2; more++) {
		text = nested("1,", "1]", "", QN_JSON_LIST_MAX - 1 + more);
		text = (struct qn_span){qn_printf(arena, "[%s", text.p), text.n + 1};
		assert_int_equal(scan_root(text, &root), QN_JSON_OK);
		assert_int_equal(qn_json_elements(arena, text, &items, &n), more == 0);
	}
	assert_int_equal(n, QN_JSON_LIST_MAX);
}

/* A large table below other objects, and names with escapes on every level. */
static void test_nested_tables(void **state)
{
	struct qn_buf b;

	(void)state;
	qn_buf_init(&b, BODY_MAX);
	qn_buf_char(&b, '{');
	for (int i = 0; i < 300; i++) {
		qn_buf_printf(&b, "\"\\u006b%d\":{", i);
		for (int j = 0; j < i; j++)
			qn_buf_printf(&b, "\"\\u006a%d\":{\"\\u006b%d\":%d,\"k\":{}},", j, i, j);
		qn_buf_str(&b, "\"last\":[]},");
	}
	size_t n = b.n;
	qn_buf_str(&b, "\"k300\":1}");
	assert_int_equal(scan_copy(b.p, b.n, NULL), QN_JSON_OK);
	b.n = n;
	qn_buf_str(&b, "\"k7\":1}");
	assert_int_equal(scan_copy(b.p, b.n, NULL), QN_JSON_DUPLICATE);
	qn_buf_done(&b);
}

/* Eight mebibytes of each shape that costs most, in the arena that a worker has. */
static void test_worst_bodies(void **state)
{
	static const struct {
		const char *open, *item, *close;
	} shapes[] = {
	    {"[", "[],", "0]"},
	    {"[", "{},", "0]"},
	    {"[", "\"\\u00e9\",", "0]"},
	    {"[", "1e308,", "0]"},
	    {"[", "{\"a\":1},", "0]"},
	    {"", " ", "0"},
	    {"\"", "\\n", "\""},
	    {"\"", "\xc3\xa9", "\""},
	    {"0.", "0", "1"},
	    {"1", "0", "e-9000000"},
	    {"1e-", "0", "9"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		size_t per = strlen(shapes[i].item), n = 0;
		char *p = qn_alloc(arena, BODY_MAX);
		n += (size_t)sprintf(p, "%s", shapes[i].open);
		for (; n + per + 16 < BODY_MAX; n += per)
			memcpy(p + n, shapes[i].item, per);
		n += (size_t)sprintf(p + n, "%s", shapes[i].close);
		assert_int_equal(scan_root((struct qn_span){p, n}, NULL), QN_JSON_OK);
		qn_arena_reset(arena);
	}
	struct qn_span text = wide(700000, "", SIZE_MAX, "");
	assert_int_equal(scan_root(text, NULL), QN_JSON_OK);
	assert_true(qn_arena_peak(arena) < text.n + 65536);
}

static void test_listing(void **state)
{
	struct qn_span text = QN_SPAN_LIT(
	    " { \"a\" : 1 ,\"b\\u0062\\n\":\"x\",\"\xc3\xa9\": [1, {\"q\":2} ] ,\"d\":{ }\n,\"\":null } ");
	struct qn_json_object root = {NULL, 99};

	(void)state;
	assert_int_equal(scan_root(text, &root), QN_JSON_OK);
	assert_int_equal(root.n, 5);
	assert_true(qn_span_is(root.members[0].name, "a"));
	assert_true(qn_span_is(root.members[0].value, "1"));
	assert_true(qn_span_is(root.members[1].name, "bb\n"));
	assert_true(qn_span_is(root.members[1].value, "\"x\""));
	assert_true(qn_span_is(root.members[2].name, "\xc3\xa9"));
	assert_true(qn_span_is(root.members[2].value, "[1, {\"q\":2} ]"));
	assert_true(qn_span_is(root.members[3].value, "{ }"));
	assert_true(qn_span_is(root.members[4].name, ""));
	assert_true(qn_span_is(root.members[4].value, "null"));
	assert_ptr_equal(root.members[0].value.p, text.p + 9); /* the text's own bytes */
	assert_true(qn_span_is(qn_json_get(&root, "bb\n"), "\"x\""));
	assert_true(qn_span_is(qn_json_get(&root, ""), "null"));
	assert_null(qn_json_get(&root, "q").p);
	assert_null(qn_json_get(&root, "aa").p);
}

static void test_listing_of_others(void **state)
{
	static const char *const others[] = {"[]", "[{\"a\":1}]", "1", "\"a\"", "null"};
	struct qn_json_object root;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		memset(&root, 0xff, sizeof(root));
		assert_int_equal(scan_root(qn_span_of(others[i]), &root), QN_JSON_OK);
		assert_null(root.members);
		assert_int_equal(root.n, 0);
	}
	assert_int_equal(scan_root(qn_span_of("{ }"), &root), QN_JSON_OK);
	assert_non_null(root.members);
	assert_int_equal(root.n, 0);
	assert_null(qn_json_get(&root, "a").p);
}

static void test_nothing_written_on_error(void **state)
{
	struct qn_json_object root = {NULL, 99};
	size_t n = 5;
	int64_t i = 6;
	bool t = true;
	const char *s = "s";
	struct qn_span *items = NULL;

	(void)state;
	assert_int_equal(scan_root(QN_SPAN_LIT("{\"a\":1}x"), &root), QN_JSON_SYNTAX);
	assert_int_equal(root.n, 99);
	assert_int_equal(scan_root((struct qn_span){NULL, 0}, &root), QN_JSON_SYNTAX);
	assert_false(qn_json_members(arena, QN_SPAN_LIT("[]"), &root));
	assert_int_equal(root.n, 99);
	assert_false(qn_json_elements(arena, QN_SPAN_LIT("{}"), &items, &n));
	assert_false(qn_json_str(arena, QN_SPAN_LIT("1"), &s, &n));
	assert_int_equal(n, 5);
	assert_string_equal(s, "s");
	assert_false(qn_json_i64(QN_SPAN_LIT("1.5"), &i));
	assert_int_equal(i, 6);
	assert_false(qn_json_bool(QN_SPAN_LIT("null"), &t));
	assert_true(t);
}

static void test_kind(void **state)
{
	static const struct {
		const char *value;
		char kind;
	} cases[] = {{"{}", '{'}, {"[1]", '['}, {"\"a\"", '"'}, {"0", '0'}, {"-1", '0'},
	    {"9.5", '0'}, {"true", 't'}, {"false", 'f'}, {"null", 'n'}, {"", '\0'}, {NULL, '\0'}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(qn_json_kind(qn_span_of(cases[i].value)), cases[i].kind);
}

static void test_i64(void **state)
{
	static const struct {
		const char *value;
		int64_t v;
	} good[] = {
	    {"0", 0},
	    {"-0", 0},
	    {"1", 1},
	    {"-1", -1},
	    {"42", 42},
	    {"9007199254740993", 9007199254740993},
	    {"9223372036854775807", INT64_MAX},
	    {"-9223372036854775807", -INT64_MAX},
	    {"-9223372036854775808", INT64_MIN},
	    {"9223372036854775806", INT64_MAX - 1},
	};
	static const char *const bad[] = {"9223372036854775808", "-9223372036854775809",
	    "9223372036854775810", "18446744073709551615", "18446744073709551616",
	    "-18446744073709551616", "92233720368547758070", "12345678901234567890123", "1.0",
	    "1e2", "1E2", "-1.5", "0.0", "0e0", "\"1\"", "true", "null", "[1]", "{}", "", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t v = 77;
		assert_true(qn_json_i64(qn_span_of(good[i].value), &v));
		assert_true(v == good[i].v);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t v = 77;
		assert_false(qn_json_i64(qn_span_of(bad[i]), &v));
		assert_int_equal(v, 77);
	}
	int64_t v = 0;
	assert_true(qn_json_i64((struct qn_span){"12345", 3}, &v)); /* the span ends it */
	assert_int_equal(v, 123);
}

/* 2^1024 - 2^970, from which a double is infinite, without its last digit 2. */
#define INFINITE_BUT_LAST \
	"17976931348623158079372897140530341507993413271003782693617377898044496829276475" \
	"09466490179775872070963302864166928879109465555478519404026306574886715058206819" \
	"08902000708383676273854845817711531764475730270069855571366959622842914819860834" \
	"93647529271907416844436551070434271155969950809304288017790417449779"

/* The scan knows without strtod what strtod would say. */
static void test_overflow_agrees(void **state)
{
	static const char *const mantissas[] = {"1", "9", "1.7976931348623157",
	    "1.7976931348623158", "1.7976931348623159", "0.17976931348623158",
	    INFINITE_BUT_LAST "1.99", INFINITE_BUT_LAST "2.00",
	    "0.0000000000000000000000000017976931"};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(mantissas) / sizeof(mantissas[0]); i++) {
		for (int e = -40; e < 400; e++) {
			int n = snprintf(text, sizeof(text), "%se%d", mantissas[i], e);
			assert_true(n > 0 && (size_t)n < sizeof(text));
			bool finite = isfinite(strtod(text, NULL)) != 0;
			assert_int_equal(
			    scan_copy(text, (size_t)n, NULL), finite ? QN_JSON_OK : QN_JSON_NUMBER);
		}
	}
}

static void test_bool(void **state)
{
	bool v = false;

	(void)state;
	assert_true(qn_json_bool(QN_SPAN_LIT("true"), &v));
	assert_true(v);
	assert_true(qn_json_bool(QN_SPAN_LIT("false"), &v));
	assert_false(v);
	assert_false(qn_json_bool(QN_SPAN_LIT("\"true\""), &v));
	assert_false(qn_json_bool(QN_SPAN_LIT("1"), &v));
}

static void test_strings(void **state)
{
	static const struct {
		const char *value, *s;
	} cases[] = {
	    {"\"\"", ""},
	    {"\"a\"", "a"},
	    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
	    {"\"\\u0041\\u00e9\\u20ac\\uffff\"", "A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf"},
	    {"\"\\u0001\\u001f\\u007f\\u0080\\u07ff\\u0800\"",
		"\x01\x1f\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"},
	    {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
	    {"\"\\uD800\\uDC00\"", "\xf0\x90\x80\x80"},
	    {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf"},
	    {"\"x\\ud83d\\ude00\\ud83d\\ude01y\"", "x\xf0\x9f\x98\x80\xf0\x9f\x98\x81y"},
	    {"\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80"},
	    {"\"\\\\u0000\"", "\\u0000"},
	    {"\"\xf0\x9f\x98\x80\\n\xc3\xa9\"", "\xf0\x9f\x98\x80\n\xc3\xa9"},
	    {"\"'single'\"", "'single'"},
	    {"\"\\ufeff\"", "\xef\xbb\xbf"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *s = NULL;
		size_t n = 0;
		assert_int_equal(
		    scan_copy(cases[i].value, strlen(cases[i].value), NULL), QN_JSON_OK);
		assert_true(qn_json_str(arena, qn_span_of(cases[i].value), &s, &n));
		assert_int_equal(n, strlen(cases[i].s));
		assert_string_equal(s, cases[i].s);
		assert_true(qn_json_str(arena, qn_span_of(cases[i].value), &s, NULL));
	}
}

static const char *utf8_of(uint32_t c)
{
	if (c < 0x80)
		return qn_printf(arena, "%c", (int)c);
	if (c < 0x800)
		return qn_printf(arena, "%c%c", (int)(0xc0 + c / 64), (int)(0x80 + c % 64));
	if (c < 0x10000)
		return qn_printf(arena, "%c%c%c", (int)(0xe0 + c / 4096), (int)(0x80 + c / 64 % 64),
		    (int)(0x80 + c % 64));
	return qn_printf(arena, "%c%c%c%c", (int)(0xf0 + c / 262144), (int)(0x80 + c / 4096 % 64),
	    (int)(0x80 + c / 64 % 64), (int)(0x80 + c % 64));
}

/* Each code point, raw and escaped, in a name and in a value. */
static void test_code_points(void **state)
{
	(void)state;
	for (uint32_t c = 1; c <= 0x10ffff; c += c < 0x1000 ? 1 : 61) {
		struct qn_json_object root;
		const char *s, *raw = utf8_of(c), *escaped = qn_printf(arena, "\\u%04x", c);
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		if (c >= 0x10000)
			escaped = qn_printf(
			    arena, "\\u%04x\\u%04X", 0xd7c0 + c / 1024, 0xdc00 + c % 1024);
		const char *text = qn_printf(arena, "{\"a%sz\":\"a%sz\"}", escaped, escaped);
		assert_int_equal(scan_root(qn_span_of(text), &root), QN_JSON_OK);
		assert_true(qn_json_str(arena, root.members[0].value, &s, NULL));
		assert_string_equal(s, qn_printf(arena, "a%sz", raw));
		assert_true(qn_span_is(root.members[0].name, s));
		if (c >= 0x20 && c != '"' && c != '\\') {
			text = qn_printf(arena, "{\"a%sz\":0,\"a%sz\":0}", escaped, raw);
			assert_int_equal(scan_root(qn_span_of(text), NULL), QN_JSON_DUPLICATE);
		}
		qn_arena_reset(arena);
	}
}

/* Whatever ends a run of plain bytes is seen wherever it stands in a word of the scan. */
static void test_string_positions(void **state)
{
	static const struct {
		const char *special;
		enum qn_json_err err;
	} cases[] = {{"\x01", QN_JSON_SYNTAX}, {"\x1f", QN_JSON_SYNTAX}, {"\"", QN_JSON_SYNTAX},
	    {"\\q", QN_JSON_SYNTAX}, {"\\n", QN_JSON_OK}, {"\xff", QN_JSON_UTF8},
	    {"\x80", QN_JSON_UTF8}, {"\xc3\xa9", QN_JSON_OK}, {"\x7f", QN_JSON_OK},
	    {" ", QN_JSON_OK}, {"!", QN_JSON_OK}, {"#", QN_JSON_OK}, {"[", QN_JSON_OK},
	    {"]", QN_JSON_OK}};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int before = 0; before < 40; before++) {
			for (int after = 0; after < 20; after++) {
				int n = snprintf(text, sizeof(text), "\"%.*s%s%.*s\"", before,
				    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
				    cases[i].special, after,
				    "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~");
				assert_int_equal(scan_copy(text, (size_t)n, NULL), cases[i].err);
			}
		}
	}
}

static void test_long_strings(void **state)
{
	size_t n = 4u << 20;
	struct qn_span inner = nested("\xe2\x82\xac\\u20ac", "", "", 100000);
	char *text = qn_alloc(arena, n);
	const char *s;

	(void)state;
	memset(text, 'x', n);
	text[0] = text[n - 1] = '"';
	assert_int_equal(scan_root((struct qn_span){text, n}, NULL), QN_JSON_OK);
	assert_true(qn_json_str(arena, (struct qn_span){text, n}, &s, &n));
	assert_int_equal(n, (4u << 20) - 2);
	assert_int_equal(strlen(s), n);
	struct qn_span quoted = {qn_printf(arena, "\"%s\"", inner.p), inner.n + 2};
	assert_int_equal(scan_root(quoted, NULL), QN_JSON_OK);
	assert_true(qn_json_str(arena, quoted, &s, &n));
	assert_int_equal(n, 600000);
	assert_memory_equal(s + 599994, "\xe2\x82\xac\xe2\x82\xac", 6);
}

static void test_children(void **state)
{
	struct qn_json_object root, inner;
	struct qn_span *items = NULL;
	size_t n = 0;
	int64_t v = 0;

	(void)state;
	assert_int_equal(
	    scan_root(QN_SPAN_LIT("{\"list\":[ 1 ,\"a\",{\"k\":[2]},[],null ],\"e\":[ ]}"), &root),
	    QN_JSON_OK);
	assert_true(qn_json_elements(arena, qn_json_get(&root, "list"), &items, &n));
	assert_int_equal(n, 5);
	assert_true(qn_span_is(items[0], "1"));
	assert_true(qn_span_is(items[1], "\"a\""));
	assert_true(qn_span_is(items[3], "[]"));
	assert_true(qn_span_is(items[4], "null"));
	assert_true(qn_json_members(arena, items[2], &inner));
	assert_int_equal(inner.n, 1);
	assert_true(qn_json_elements(arena, qn_json_get(&inner, "k"), &items, &n));
	assert_true(n == 1 && qn_json_i64(items[0], &v) && v == 2);
	assert_true(qn_json_elements(arena, qn_json_get(&root, "e"), &items, &n));
	assert_int_equal(n, 0);
	assert_true(qn_json_members(arena, QN_SPAN_LIT("{}"), &inner));
	assert_int_equal(inner.n, 0);
	assert_false(qn_json_members(arena, qn_json_get(&root, "absent"), &inner));
	assert_false(qn_json_elements(arena, qn_json_get(&root, "absent"), &items, &n));
}

/* Only that nothing is quadratic: eight times the names take nowhere near 64 times as long. */
static void test_linear(void **state)
{
	clock_t took[2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct qn_span text =
		    wide(i == 0 ? 40000 : 320000, "the_same_beginning_", SIZE_MAX, "");
		clock_t t = clock();
		assert_int_equal(scan_root(text, NULL), QN_JSON_OK);
		took[i] = clock() - t;
		qn_arena_reset(arena);
	}
	assert_true(took[1] < 40 * (took[0] + CLOCKS_PER_SEC / 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_accepted, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_offsets, set_up, tear_down),
	    cmocka_unit_test(test_err_texts),
	    cmocka_unit_test_setup_teardown(test_cut_short, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_changed_bytes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_depth_bombs, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_nodes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_duplicate_places, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_wide, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_list_max, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_nested_tables, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_worst_bodies, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_listing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_listing_of_others, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_nothing_written_on_error, set_up, tear_down),
	    cmocka_unit_test(test_kind),
	    cmocka_unit_test(test_i64),
	    cmocka_unit_test_setup_teardown(test_overflow_agrees, set_up, tear_down),
	    cmocka_unit_test(test_bool),
	    cmocka_unit_test_setup_teardown(test_strings, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_code_points, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_string_positions, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_long_strings, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_children, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_linear, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
