/*
 * Mail: whom it may go to, what no value can do to it, what it says, and where it goes without a server (CONTRACT
 * B4, C29; SECURITY T12, T33, T36). What servers do with it is tested over real ones, in tests/api.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quoin/net/mail.h"
#include "quoin/net/mailtext.h"
#include "settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ID       "01a1fcc9-9805-790a-a896-365bf2d2a0c3"

static struct qn_arena *arena;
static char dir[64];

static int start(void **state)
{
	(void)state;
	arena = qn_arena_new((size_t)16 << 20);
	strcpy(dir, "/tmp/quoin-mail-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	pid_t rm = fork();
	if (rm == 0) {
		execlp("rm", "rm", "-rf", dir, NULL);
		_exit(1);
	}
	waitpid(rm, NULL, 0);
	qn_arena_free(arena);
	return 0;
}

/* addresses */

static void addresses_that_are(void **state)
{
	static const char *const good[] = {"a@b.co", "ann@example.com", "ann+tag@example.com",
	    "first.last@sub.example.co.uk", "o'brien@example.com",
	    "!#$%&'*+-/=?^_`{|}~@example.com", "a@xn--bcher-kva.example", "A@EXAMPLE.COM", "1@2.a3",
	    "1234567890123456789012345678901234567890123456789012345678901234@example.com"};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		if (!qn_address_ok(qn_span_of(good[i])))
			fail_msg("refused: %s", good[i]);
}

static void addresses_that_are_not(void **state)
{
	static const char *const bad[] = {"", "@", "a", "a@", "@b.co", "a@b", "a@@b.co", "a@b@c.co",
	    "a b@c.co", " a@b.co", "a@b.co ", "a@b .co", "\"a b\"@c.co", "a(comment)@b.co",
	    "a@b.co(comment)", "<a@b.co>", "Ann <a@b.co>", "a@[127.0.0.1]", "a@127.0.0.1",
	    "a@b..co", "a@.b.co", "a@b.co.", "a@-b.co", "a@b-.co", "a@b_c.co", ".a@b.co", "a.@b.co",
	    "a..b@c.co", "a,b@c.co", "a@b.co,c@d.co", "a;b@c.co", "a:b@c.co", "a\\b@c.co",
	    "a\r\nBcc: x@y.co@b.co", "a@b.co\r\nBcc: x@y.co", "a@b.co\n", "a\tb@c.co", "a\x7f@b.co",
	    "\xc3\xa4@b.co", "a@b\xc3\xbc.co", "a@b.co\xff", "a@b.123",
	    "12345678901234567890123456789012345678901234567890123456789012345@example.com",
	    "a@1234567890123456789012345678901234567890123456789012345678901234.com"};
	char longest[400];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (qn_address_ok(qn_span_of(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(qn_address_ok((struct qn_span){"a@b.co\0x", 8}));
	assert_false(qn_address_ok((struct qn_span){"a\0b@c.co", 8}));
	assert_false(qn_address_ok((struct qn_span){NULL, 0}));
	memcpy(longest, "a@", 2);
	for (size_t i = 2; i < sizeof(longest); i++)
		longest[i] = i % 50 == 0 ? '.' : 'a';
	assert_true(qn_address_ok((struct qn_span){longest, 255}));
	assert_false(qn_address_ok((struct qn_span){longest, 256}));
	assert_false(qn_address_ok((struct qn_span){longest, sizeof(longest)}));
}

static void senders(void **state)
{
	static const struct {
		const char *text, *name, *address; /* address NULL: refused */
	} cases[] = {
	    {"a@b.co", NULL, "a@b.co"},
	    {"Fig Nodes <no-reply@fignodes.com>", "Fig Nodes", "no-reply@fignodes.com"},
	    {"\"Fig, Nodes\" <a@b.co>", "Fig, Nodes", "a@b.co"},
	    {"B\xc3\xbc"
	     "cher <a@b.co>",
		"B\xc3\xbc"
		"cher",
		"a@b.co"},
	    {"", NULL, NULL},
	    {"<a@b.co>", NULL, NULL},
	    {"Name", NULL, NULL},
	    {"Name <a@b.co", NULL, NULL},
	    {"Name <a@b.co> more", NULL, NULL},
	    {"Name <a@b.co>, <c@d.co>", NULL, NULL},
	    {"Name <x> <a@b.co>", NULL, NULL},
	    {"Name\r\nBcc: x@y.co <a@b.co>", NULL, NULL},
	    {"Na\x01me <a@b.co>", NULL, NULL},
	    {"Na\xffme <a@b.co>", NULL, NULL},
	    {"Name <a@b.co\r\n>", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct qn_sender s = {"untouched", "untouched"};
		bool ok = qn_sender_parse(arena, cases[i].text, &s);
		if (ok != (cases[i].address != NULL))
			fail_msg("%s: %d", cases[i].text, ok);
		assert_string_equal(s.address, ok ? cases[i].address : "untouched");
		if (ok && cases[i].name == NULL)
			assert_null(s.name);
		else if (ok)
			assert_string_equal(s.name, cases[i].name);
	}
}

/* templates */

static const struct qn_template_var vars[] = {
    {"name", "Ann <b>&\"'</b>"},
    {"link", "https://example.com/x#token=a-b_c"},
    {"lines", "one\r\nBcc: two\x01\x7f\xc2\x85\xe2\x80\xa8three"},
    {"broken", "a\xff\xc3"},
    {"holes", "{{name}} {{"},
};

static const char *filled(const char *text, bool html)
{
	char why[QN_TEMPLATE_WHY];
	struct qn_buf b;

	qn_buf_init(&b, 4096);
	const char *ret = qn_template_fill(qn_span_of(text), vars, COUNT(vars), html, &b, why)
	                      ? qn_strndup(arena, b.p != NULL ? b.p : "", b.n)
	                      : qn_strdup(arena, why);
	qn_buf_done(&b);
	return ret;
}

static void templates_are_filled(void **state)
{
	static const struct {
		const char *text, *plain, *html;
	} cases[] = {
	    {"", "", ""},
	    {"no holes { } }} {", "no holes { } }} {", "no holes { } }} {"},
	    {"{{name}}", "Ann <b>&\"'</b>", "Ann &lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;"},
	    {"<{{ name }}>{{link}}", "<Ann <b>&\"'</b>>https://example.com/x#token=a-b_c",
		"<Ann &lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;>https://example.com/x#token=a-b_c"},
	    {"{{lines}}", "one  Bcc: two    three", "one  Bcc: two    three"},
	    {"{{broken}}", "a\xef\xbf\xbd\xef\xbf\xbd", "a\xef\xbf\xbd\xef\xbf\xbd"},
	    {"{{holes}}", "{{name}} {{", "{{name}} {{"},
	    {"a{b}{{name}}}", "a{b}Ann <b>&\"'</b>}",
		"a{b}Ann &lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;}"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(filled(cases[i].text, false), cases[i].plain);
		assert_string_equal(filled(cases[i].text, true), cases[i].html);
	}
}

static void templates_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	    {"{{nobody}}", "line 1: there is no variable nobody"},
	    {"a\nb\n{{nobody}}", "line 3: there is no variable nobody"},
	    {"{{name", "line 1: {{ has no }}"},
	    {"{{name}} {{", "line 1: {{ has no }}"},
	    {"{{}}", "line 1: {{ is not followed by a name and }}"},
	    {"{{{name}}}", "line 1: {{ is not followed by a name and }}"},
	    {"{{name|raw}}", "line 1: {{ is not followed by a name and }}"},
	    {"{{na\nme}}", "line 1: {{ is not followed by a name and }}"},
	    {"a\n\xff", "line 2: it is no UTF-8 text"},
	};
	char why[QN_TEMPLATE_WHY], nul[] = "a\0b";
	struct qn_buf b;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(filled(cases[i].text, i % 2 == 0), cases[i].why);
	qn_buf_init(&b, 10);
	assert_false(qn_template_fill((struct qn_span){nul, 3}, vars, COUNT(vars), false, &b, why));
	assert_string_equal(why, "line 1: it is no UTF-8 text");
	qn_buf_clear(&b);
	assert_false(qn_template_fill(qn_span_of("{{link}}"), vars, COUNT(vars), false, &b, why));
	assert_string_equal(why, "line 1: it is too long");
	qn_buf_done(&b);
}

static void plain_becomes_html(void **state)
{
	struct qn_buf b;

	(void)state;
	qn_buf_init(&b, 8192);
	qn_template_html(qn_span_of("A <b> & {{name}}\nnext\n\n\n\n{{link}}\n\nend\n"), &b);
	assert_non_null(strstr(b.p, "<p>A &lt;b&gt; &amp; {{name}}<br>\nnext</p>\n"));
	assert_non_null(strstr(b.p, "<a href=\"{{link}}\""));
	assert_null(strstr(b.p, "<p>{{link}}</p>"));
	assert_non_null(strstr(b.p, "<p>end</p>\n</div>"));
	qn_buf_done(&b);
}

/* messages */

static const char *composed(const struct qn_message *m)
{
	struct qn_buf b;

	qn_buf_init(&b, QN_MESSAGE_MAX);
	assert_true(qn_message_compose(arena, m, &b));
	const char *ret = qn_strndup(arena, b.p, b.n);
	qn_buf_done(&b);
	return ret;
}

static struct qn_message message(const char *name, const char *subject, const char *text)
{
	return (struct qn_message){.id = ID,
	    .from = {name, "no-reply@example.com"},
	    .to = "ann@example.org",
	    .subject = subject,
	    .text = text,
	    .html = "<p>",
	    .date = INT64_C(1795249800000000)};
}

static const char *header(const char *all, const char *name)
{
	const char *p = strstr(all, name);

	assert_non_null(p);
	p += strlen(name);
	const char *end = strstr(p, "\r\n");
	while (end[2] == ' ')
		end = strstr(end + 2, "\r\n");
	return qn_strndup(arena, p, (size_t)(end - p));
}

static void no_line_is_too_long(const char *all, size_t most)
{
	for (const char *p = all, *end; (end = strstr(p, "\r\n")) != NULL; p = end + 2)
		if ((size_t)(end - p) > most)
			fail_msg("a line of %zu: %.*s", (size_t)(end - p), (int)(end - p), p);
}

static void a_whole_message(void **state)
{
	struct qn_message m = message("Example", "Hello", "a\n");

	(void)state;
	assert_string_equal(composed(&m),
	    "From: \"Example\"\r\n <no-reply@example.com>\r\nTo: ann@example.org\r\n"
	    "Subject: Hello\r\nDate: Sat, 21 Nov 2026 08:30:00 +0000\r\n"
	    "Message-ID: <" ID "@example.com>\r\nAuto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/alternative;\r\n boundary=\"=_" ID "\"\r\n\r\n"
	    "--=_" ID "\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\na\r\n\r\n"
	    "--=_" ID "\r\nContent-Type: text/html; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>\r\n\r\n--=_" ID "--\r\n");
}

static void headers_are_encoded(void **state)
{
	static const struct {
		const char *subject, *header;
	} cases[] = {
	    {"Hello", "Hello"},
	    {"Gr\xc3\xbc\xc3\x9f Gott", "=?UTF-8?Q?Gr=C3=BC=C3=9F_Gott?="},
	    {"=?UTF-8?Q?x?=", "=?UTF-8?Q?=3D=3FUTF=2D8=3FQ=3Fx=3F=3D?="},
	    {"a\r\nBcc: x@y.co", "=?UTF-8?Q?a=0D=0ABcc=3A_x=40y=2Eco?="},
	    {"a\x7f_", "=?UTF-8?Q?a=7F=5F?="},
	};
	struct qn_message m = message("Q\"uo\\te", "x", "x");

	(void)state;
	assert_string_equal(
	    header(composed(&m), "From: "), "\"Q\\\"uo\\\\te\"\r\n <no-reply@example.com>");
	m = message("B\xc3\xbc\r\nBcc: x@y.co", "x", "x");
	assert_string_equal(header(composed(&m), "From: "),
	    "=?UTF-8?Q?B=C3=BC=0D=0ABcc=3A_x=40y=2Eco?=\r\n <no-reply@example.com>");
	m = message(NULL, "x", "x");
	assert_string_equal(header(composed(&m), "From: "), "no-reply@example.com");
	for (size_t i = 0; i < COUNT(cases); i++) {
		m = message("N", cases[i].subject, "x");
		assert_string_equal(header(composed(&m), "Subject: "), cases[i].header);
	}
}

/* However long, no encoded word is over 75 characters, and none ends inside of a character. */
static void long_subjects_are_cut_between_characters(void **state)
{
	char subject[301];

	(void)state;
	for (size_t i = 0; i < 300; i += 3)
		memcpy(subject + i, "\xe2\x82\xac", 3);
	subject[300] = '\0';
	struct qn_message m = message("N", subject, "x");
	const char *text = header(composed(&m), "Subject: ");
	size_t words = 0, euros = 0;
	for (const char *p = text; (p = strstr(p, "=?UTF-8?Q?")) != NULL; words++) {
		p += 10;
		size_t n = strcspn(p, "?");
		assert_true(n + 12 <= 75 && n % 9 == 0);
		euros += n / 9;
	}
	assert_int_equal(words, 17);
	assert_int_equal(euros, 100);
	no_line_is_too_long(composed(&m), 76);
}

static void bodies_are_quoted_printable(void **state)
{
	static const struct {
		const char *text, *body;
	} cases[] = {
	    {"", ""},
	    {"a=b", "a=3Db\r\n"},
	    {"tail \nend\t", "tail=20\r\nend=09\r\n"},
	    {"\n.dot\nFrom me\nFree", "\r\n=2Edot\r\n=46rom me\r\nFree\r\n"},
	    {"--=_" ID "--\n", "--=3D_" ID "--\r\n"},
	    {"\xc3\xa4\x01\r", "=C3=A4=01=0D\r\n"},
	};
	char wide[1001];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct qn_message m = message("N", "S", cases[i].text);
		const char *p = strstr(composed(&m), "printable\r\n\r\n") + 13;
		assert_int_equal(strncmp(p, cases[i].body, strlen(cases[i].body)), 0);
		assert_int_equal(strncmp(p + strlen(cases[i].body), "\r\n--=_", 6), 0);
	}
	for (size_t i = 0; i < 1000; i++)
		wide[i] = i % 3 == 0 ? '=' : i % 7 == 0 ? ' ' : '.';
	wide[1000] = '\0';
	struct qn_message m = message("N", "S", wide);
	no_line_is_too_long(composed(&m), 76);
}

/* texts */

static const struct qn_mail_app app = {"fig-nodes", "Fig <Nodes>", "https://example.com/app"};

static struct qn_mail_vars examples(enum qn_mail_template t)
{
	struct qn_mail_vars v = {{NULL}};

	for (int i = 0; i < QN_MAIL_VAR__MAX; i++)
		if (qn_mail_template_has(t, (enum qn_mail_var)i))
			v.v[i] = qn_mail_var_example((enum qn_mail_var)i);
	return v;
}

static struct qn_mailtext text_of(
    const char *folder, enum qn_mail_template t, const struct qn_mail_vars *v, const char **ret_why)
{
	struct qn_mailtext ret;
	const char *why;

	assert_true(qn_mailtext(arena, folder, &app, t, "ann@example.com", v, &ret, &why));
	if (ret_why != NULL)
		*ret_why = why;
	else
		assert_null(why);
	return ret;
}

static void every_template_has_a_text(void **state)
{
	(void)state;
	for (int t = 0; t < QN_MAIL__MAX; t++) {
		struct qn_mail_vars v = examples((enum qn_mail_template)t);
		struct qn_mailtext m = text_of("", (enum qn_mail_template)t, &v, NULL);
		assert_int_equal(
		    qn_mail_template_by_name(qn_mail_template_name((enum qn_mail_template)t)), t);
		assert_non_null(strstr(m.subject, "Fig <Nodes>"));
		assert_non_null(strstr(m.text, "Fig <Nodes>"));
		assert_non_null(strstr(m.html, "Fig &lt;Nodes&gt;"));
		assert_null(strstr(m.html, "Fig <Nodes>"));
		assert_null(strstr(m.text, "{{"));
		assert_null(strstr(m.html, "{{"));
		assert_non_null(strstr(m.text, "\n\nhttps://example.com/app/"));
		/* Whatever it is given, it says. */
		for (int i = 0; i < QN_MAIL_VAR__MAX; i++)
			if (v.v[i] != NULL && strstr(m.text, v.v[i]) == NULL)
				fail_msg("%s says nothing of %s",
				    qn_mail_template_name((enum qn_mail_template)t), v.v[i]);
	}
	assert_int_equal(qn_mail_template_by_name("nothing"), QN_MAIL__MAX);
}

static void links_hold_what_they_are_given(void **state)
{
	struct qn_mail_vars v = examples(QN_MAIL_RESET_PASSWORD);

	(void)state;
	v.v[QN_MAIL_VAR_TOKEN] = "aZ9-._~ &\"<\r\n#?";
	struct qn_mailtext m = text_of("", QN_MAIL_RESET_PASSWORD, &v, NULL);
	const char *link =
	    "https://example.com/app/reset-password#token=aZ9-._~%20%26%22%3C%0D%0A%23%3F";
	assert_non_null(strstr(m.text, link));
	assert_non_null(strstr(m.html, qn_printf(arena, "href=\"%s\"", link)));
}

static void a_long_subject_is_cut(void **state)
{
	struct qn_mail_vars v = examples(QN_MAIL_INVITATION);
	char name[901];

	(void)state;
	for (size_t i = 0; i < 900; i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	name[900] = '\0';
	v.v[QN_MAIL_VAR_ORGANIZATION] = name;
	struct qn_mailtext m = text_of("", QN_MAIL_INVITATION, &v, NULL);
	assert_in_range(strlen(m.subject), 295, 303);
	assert_string_equal(m.subject + strlen(m.subject) - 5, "\xc3\xa4\xe2\x80\xa6");
}

static void put_file(const char *name, const char *text)
{
	const char *folder = qn_printf(arena, "%s/fig-nodes", dir);

	assert_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
	FILE *f = fopen(qn_printf(arena, "%s/%s", folder, name), "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void drop_file(const char *name)
{
	assert_return_code(unlink(qn_printf(arena, "%s/fig-nodes/%s", dir, name)), errno);
}

static void an_app_has_its_own_texts(void **state)
{
	struct qn_mail_vars v = examples(QN_MAIL_MAGIC_LINK);

	(void)state;
	put_file(
	    "magic-link.txt", "Subject: In to {{app_name}}\r\n\r\nCome <in>:\r\n\r\n{{link}}\r\n");
	struct qn_mailtext m = text_of(dir, QN_MAIL_MAGIC_LINK, &v, NULL);
	assert_string_equal(m.subject, "In to Fig <Nodes>");
	assert_string_equal(m.text,
	    "Come <in>:\n\nhttps://example.com/app/magic-link#token=an-example-and-no-token\n");
	assert_non_null(strstr(m.html, "<p>Come &lt;in&gt;:</p>"));
	put_file(
	    "magic-link.html", "<h1>{{app_name}}</h1><a href='{{app_url}}/in?t={{token}}'>in</a>");
	m = text_of(dir, QN_MAIL_MAGIC_LINK, &v, NULL);
	assert_string_equal(m.html,
	    "<h1>Fig &lt;Nodes&gt;</h1><a href='https://example.com/app/in?t=an-example-and-no-token'>in</a>");
	assert_string_equal(m.subject, "In to Fig <Nodes>");
	drop_file("magic-link.txt");
	m = text_of(dir, QN_MAIL_MAGIC_LINK, &v, NULL);
	assert_string_equal(m.subject, "Sign in to Fig <Nodes>");
	assert_non_null(strstr(m.html, "<h1>"));
	assert_null(qn_mailtext_fault(arena, dir));
	drop_file("magic-link.html");
}

static void a_bad_text_of_an_app_is_refused(void **state)
{
	static const struct {
		const char *file, *text, *why;
	} cases[] = {
	    {"welcome.txt", "Subject: S\n\n{{token}}", "line 3: there is no variable token"},
	    {"welcome.txt", "S\n\nx",
		"line 1: it must be \"Subject: \xe2\x80\xa6\" with an empty line after it"},
	    {"welcome.txt", "Subject: S\nx",
		"line 1: it must be \"Subject: \xe2\x80\xa6\" with an empty line after it"},
	    {"welcome.txt", "Subject: S\nBcc: x@y.co\n\nx",
		"line 1: it must be \"Subject: \xe2\x80\xa6\" with an empty line after it"},
	    {"welcome.txt", "", "it is empty or larger than 64 KiB"},
	    {"welcome.html", "<p>{{nobody}}", "line 1: there is no variable nobody"},
	};
	struct qn_mail_vars v = {{NULL}};
	const char *why;

	(void)state;
	struct qn_mailtext plain = text_of("", QN_MAIL_WELCOME, &v, NULL);
	for (size_t i = 0; i < COUNT(cases); i++) {
		put_file(cases[i].file, cases[i].text);
		const char *said =
		    qn_printf(arena, "%s/fig-nodes/%s: %s", dir, cases[i].file, cases[i].why);
		assert_string_equal(qn_mailtext_fault(arena, dir), said);
		/* The mail goes out all the same, with the built-in text. */
		struct qn_mailtext m = text_of(dir, QN_MAIL_WELCOME, &v, &why);
		assert_string_equal(why, said);
		assert_string_equal(m.text, plain.text);
		assert_string_equal(m.html, plain.html);
		drop_file(cases[i].file);
	}
	put_file("wellcome.txt", "Subject: S\n\nx");
	assert_non_null(strstr(qn_mailtext_fault(arena, dir), "there is no such template"));
	drop_file("wellcome.txt");
	put_file("welcome.md", "Subject: S\n\nx");
	assert_non_null(strstr(qn_mailtext_fault(arena, dir), "there is no such template"));
	drop_file("welcome.md");
	assert_null(qn_mailtext_fault(arena, dir));
	assert_non_null(qn_mailtext_fault(arena, "/nonexistent"));
}

/* files */

static void without_a_server_mail_is_a_file(void **state)
{
	char setting[100];
	struct qn_message m = message("N", "S", "text");
	struct qn_mail_outcome out;
	struct stat st;

	(void)state;
	snprintf(setting, sizeof(setting), "QUOIN_MAIL_DIR=%s/box", dir);
	struct qn_conf *conf = test_settings((const char *const[]){setting, NULL});
	for (int i = 0; i < 2; i++) { /* a second sending is the same file */
		qn_mail_send(conf, arena, &m, "secret", &out);
		assert_int_equal(out.result, QN_MAIL_SENT);
		assert_string_equal(out.why, "");
	}
	const char *folder = qn_printf(arena, "%s/box", dir),
		   *file = qn_printf(arena, "%s/" ID ".eml", folder);
	assert_return_code(stat(folder, &st), errno);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_return_code(stat(file, &st), errno);
	assert_int_equal(st.st_mode & 0777, 0600);
	char bytes[4096] = "";
	FILE *f = fopen(file, "r");
	assert_non_null(f);
	size_t n = fread(bytes, 1, sizeof(bytes) - 1, f);
	fclose(f);
	assert_string_equal(bytes, composed(&m));
	assert_int_equal(n, st.st_size);
	DIR *d = opendir(folder);
	int files = 0;
	while (readdir(d) != NULL)
		files++;
	closedir(d);
	assert_int_equal(files, 3);
	qn_conf_free(conf);
}

static void a_folder_that_cannot_be_is_tried_again(void **state)
{
	struct qn_message m = message("N", "S", "text");
	struct qn_mail_outcome out;
	struct qn_conf *conf =
	    test_settings((const char *const[]){"QUOIN_MAIL_DIR=/nonexistent/box", NULL});

	(void)state;
	qn_mail_send(conf, arena, &m, NULL, &out);
	assert_int_equal(out.result, QN_MAIL_LATER);
	assert_string_equal(out.why, "QUOIN_MAIL_DIR: No such file or directory");
	qn_conf_free(conf);
}

/* settings */

static void settings_that_cannot_work_are_told(void **state)
{
	static const struct {
		const char *setting;
		bool ok;
	} cases[] = {
	    {"EMAIL_SERVER=", true},
	    {"EMAIL_SERVER=smtp://mail.example.com", true},
	    {"EMAIL_SERVER=smtp://ann:p%40ss@mail.example.com:587", true},
	    {"EMAIL_SERVER=smtps://mail.example.com:465", true},
	    {"EMAIL_SERVER=mail.example.com", false},
	    {"EMAIL_SERVER=http://mail.example.com", false},
	    {"EMAIL_SERVER=file:///etc/passwd", false},
	    {"EMAIL_SERVER=smtp://", false},
	    {"EMAIL_SERVER=smtp://ann@mail.example.com", false},
	    {"EMAIL_SERVER=smtp://mail.example.com:99999", false},
	    {"EMAIL_SERVER=smtp://ann:%0d%0aRSET@mail.example.com", false},
	    {"SENDGRID_URL=https://api.eu.sendgrid.com", true},
	    {"SENDGRID_URL=http://127.0.0.1:9129", true},
	    {"SENDGRID_URL=http://api.sendgrid.com", false},
	    {"SENDGRID_URL=ftp://api.sendgrid.com", false},
	    {"EMAIL_FROM=Quoin <a@b.co>", true},
	    {"EMAIL_FROM=Quoin", false},
	    {"QUOIN_MAIL_TEMPLATES=/nonexistent", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct qn_conf *conf = test_settings((const char *const[]){cases[i].setting, NULL});
		const char *why = qn_mail_fault(conf, arena);
		if ((why == NULL) != cases[i].ok)
			fail_msg("%s: %s", cases[i].setting, why != NULL ? why : "taken");
		/* A server that is none sends nothing, and its password is not told. */
		if (!cases[i].ok && strncmp(cases[i].setting, "EMAIL_SERVER=", 13) == 0) {
			struct qn_message m = message("N", "S", "text");
			struct qn_mail_outcome out;
			qn_mail_send(conf, arena, &m, NULL, &out);
			assert_int_equal(out.result, QN_MAIL_LATER);
			assert_string_equal(out.why, why);
			assert_null(strstr(out.why, "RSET"));
		}
		qn_conf_free(conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_that_are),
	    cmocka_unit_test(addresses_that_are_not),
	    cmocka_unit_test(senders),
	    cmocka_unit_test(templates_are_filled),
	    cmocka_unit_test(templates_are_refused),
	    cmocka_unit_test(plain_becomes_html),
	    cmocka_unit_test(a_whole_message),
	    cmocka_unit_test(headers_are_encoded),
	    cmocka_unit_test(long_subjects_are_cut_between_characters),
	    cmocka_unit_test(bodies_are_quoted_printable),
	    cmocka_unit_test(every_template_has_a_text),
	    cmocka_unit_test(links_hold_what_they_are_given),
	    cmocka_unit_test(a_long_subject_is_cut),
	    cmocka_unit_test(an_app_has_its_own_texts),
	    cmocka_unit_test(a_bad_text_of_an_app_is_refused),
	    cmocka_unit_test(without_a_server_mail_is_a_file),
	    cmocka_unit_test(a_folder_that_cannot_be_is_tried_again),
	    cmocka_unit_test(settings_that_cannot_work_are_told),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
