#include "quoin/net/mailtext.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	FILE_BYTES = 64 * 1024,
	TEXT_BYTES = 128 * 1024,
	HTML_BYTES = 256 * 1024,
	SUBJECT_BYTES = 300,
	MADE_VARS = 4, /* app_name, app_url, address, link */
	MOST_VARS = MADE_VARS + QN_MAIL_VAR__MAX,
};

#define FOOTER "\n\n{{app_name}}\n{{app_url}}\n"
#define NOT_ME "If it was not you, "

/* Subject, empty line, text; as in an app's own file. */
static const char *const builtin[QN_MAIL__MAX] = {
    [QN_MAIL_WELCOME] =
	"Subject: Welcome to {{app_name}}\n\n"
	"Hello,\n\nyour {{app_name}} account is ready. You sign in with {{address}}.\n\n"
	"{{link}}\n\nGlad to have you here." FOOTER,
    [QN_MAIL_VERIFY_EMAIL] =
	"Subject: Confirm your address for {{app_name}}\n\n"
	"Hello,\n\nplease confirm that {{address}} is yours. The link works for {{expires}}.\n\n"
	"{{link}}\n\n"
	"If you did not sign up for {{app_name}}, do nothing and the address is not used." FOOTER,
    [QN_MAIL_RESET_PASSWORD] =
	"Subject: Set a new {{app_name}} password\n\n"
	"Hello,\n\nsomebody, we hope you, asked to set a new password for your {{app_name}} "
	"account. The link works once, for {{expires}}.\n\n"
	"{{link}}\n\n" NOT_ME "do nothing: your password stays as it is." FOOTER,
    [QN_MAIL_PASSWORD_CHANGED] =
	"Subject: Your {{app_name}} password was changed\n\n"
	"Hello,\n\nthe password of your {{app_name}} account was changed on {{when}}.\n\n" NOT_ME
	"set a new one now:\n\n{{link}}" FOOTER,
    [QN_MAIL_MAGIC_LINK] =
	"Subject: Sign in to {{app_name}}\n\n"
	"Hello,\n\nthis link signs you in to {{app_name}}. It works once, for "
	"{{expires}}.\n\n{{link}}\n\n" NOT_ME "do nothing, and give the link to nobody." FOOTER,
    [QN_MAIL_CHANGE_EMAIL] =
	"Subject: Confirm your new address for {{app_name}}\n\n"
	"Hello,\n\nplease confirm that your {{app_name}} account shall use {{address}} from now "
	"on. The link works for {{expires}}.\n\n"
	"{{link}}\n\nIf you did not ask for this, do nothing and nothing changes." FOOTER,
    [QN_MAIL_EMAIL_CHANGED] =
	"Subject: The address of your {{app_name}} account was changed\n\n"
	"Hello,\n\nyour {{app_name}} account uses {{new_address}} since {{when}}, and no longer "
	"{{address}}.\n\n" NOT_ME "get in touch with us at once:\n\n{{link}}" FOOTER,
    [QN_MAIL_ACCOUNT_EXISTS] =
	"Subject: You already have a {{app_name}} account\n\n"
	"Hello,\n\nsomebody, perhaps you, tried to sign up for {{app_name}} with {{address}}, which "
	"already has an account. Nothing was changed. If you forgot your password, set a new "
	"one:\n\n{{link}}\n\n" NOT_ME "there is nothing to do." FOOTER,
    [QN_MAIL_INVITATION] =
	"Subject: {{inviter}} invites you to {{organization}} on {{app_name}}\n\n"
	"Hello,\n\n{{inviter}} invites {{address}} to join {{organization}} on {{app_name}}. The "
	"invitation stands for {{expires}}.\n\n"
	"{{link}}\n\nIf you know nobody of that name, do nothing." FOOTER,
    [QN_MAIL_NEW_SIGN_IN] =
	"Subject: New sign-in to your {{app_name}} account\n\n"
	"Hello,\n\nyour {{app_name}} account was signed in to from a new place.\n\n"
	"When: {{when}}\nDevice: {{device}}\nAddress: {{ip}}\n\n" NOT_ME
	"end that session and change your password:\n\n{{link}}" FOOTER,
    [QN_MAIL_MFA_CHANGED] =
	"Subject: Two-step sign-in of your {{app_name}} account was {{change}}\n\n"
	"Hello,\n\ntwo-step sign-in of your {{app_name}} account was {{change}} on "
	"{{when}}.\n\n" NOT_ME "look at your account now:\n\n{{link}}" FOOTER,
    [QN_MAIL_ACCOUNT_DELETION] =
	"Subject: Your {{app_name}} account will be deleted\n\n"
	"Hello,\n\nas you asked, your {{app_name}} account and what it holds will be deleted on "
	"{{when}}. Until then you can change your mind:\n\n{{link}}" FOOTER,
    [QN_MAIL_QUOTA_NEAR] =
	"Subject: {{app_name}}: {{used}} of {{limit}} {{meter}} used\n\n"
	"Hello,\n\nyou have used {{used}} of the {{limit}} {{meter}} of your {{app_name}} plan. "
	"When they are used up, further ones are refused. Here you can see and change your "
	"plan:\n\n{{link}}" FOOTER,
    [QN_MAIL_WEBHOOK_DISABLED] =
	"Subject: A webhook of {{app_name}} was switched off\n\n"
	"Hello,\n\nthe webhook {{url}} is not called any more: {{reason}}. What happens from now on "
	"is not sent there. When it works again, switch it on:\n\n{{link}}" FOOTER,
    [QN_MAIL_RECEIPT] =
	"Subject: {{app_name}}: your payment of {{amount}}\n\n"
	"Hello,\n\nthank you. On {{when}} we received {{amount}} for {{plan}} of {{app_name}}. Invoices "
	"and receipts are here:\n\n{{link}}" FOOTER,
    [QN_MAIL_PAYMENT_FAILED] =
	"Subject: {{app_name}}: your payment of {{amount}} did not go through\n\n"
	"Hello,\n\nwe could not collect {{amount}} for {{plan}} of {{app_name}}. We will try again, and "
	"nothing changes until {{when}}. Please look at your payment method:\n\n{{link}}" FOOTER,
    [QN_MAIL_PAYMENT_RETURNED] =
	"Subject: {{app_name}}: your payment of {{amount}} was returned\n\n"
	"Hello,\n\nyour payment of {{amount}} was refunded or is disputed, so what it was for "
	"({{plan}} of {{app_name}}) is suspended. Here you can see what you have:\n\n{{link}}" FOOTER,
    [QN_MAIL_PAID_TWICE] =
	"Subject: {{app_name}}: {{amount}} is paid back\n\n"
	"Hello,\n\ntwo subscriptions to {{app_name}} were paid for at once. The one that was paid first stays. "
	"The other one, of {{plan}}, has ended, and its {{amount}} is on its way back to you. "
	"What you have, and all invoices:\n\n{{link}}" FOOTER,
    [QN_MAIL_TRIAL_ENDING] =
	"Subject: {{app_name}}: your trial ends soon\n\n"
	"Hello,\n\nyour trial of {{plan}} of {{app_name}} ends on {{when}}. From then on it is paid for, "
	"unless you cancel before:\n\n{{link}}" FOOTER,
    [QN_MAIL_PLAN_CHANGING] =
	"Subject: {{app_name}}: your plan will change\n\n"
	"Hello,\n\nyour subscription to {{app_name}} changes to {{plan}} on {{when}}. "
	"Until then you keep what you paid for. If you change your mind before:\n\n{{link}}" FOOTER,
    [QN_MAIL_SUBSCRIPTION_ENDED] =
	"Subject: {{app_name}}: your subscription has ended\n\n"
	"Hello,\n\nyour subscription to {{plan}} of {{app_name}} has ended, and nothing more will be "
	"charged for it. Your account stays. If you change your mind:\n\n{{link}}" FOOTER,
    [QN_MAIL_TEST] =
	"Subject: A test of {{app_name}}'s mail\n\n"
	"Hello,\n\nmail of {{app_name}} reaches {{address}}. There is nothing to do.\n\n"
	"{{link}}" FOOTER,
};

static const struct template
{
	const char *name, *path;
	unsigned vars;
}
templates[QN_MAIL__MAX] = {
#define X(template_, name_, vars_, path_) [QN_MAIL_##template_] = {name_, path_, vars_},
    QN_MAIL_TEMPLATES(X)
#undef X
};

static const struct variable {
	const char *name, *example;
} variables[QN_MAIL_VAR__MAX] = {
#define X(var, name_, example_) [QN_MAIL_VAR_##var] = {name_, example_},
    QN_MAIL_VARS(X)
#undef X
};

const char *qn_mail_template_name(enum qn_mail_template t)
{
	return templates[t].name;
}

enum qn_mail_template qn_mail_template_by_name(const char *name)
{
	int t = 0;

	while (t < QN_MAIL__MAX && strcmp(templates[t].name, name) != 0)
		t++;
	return (enum qn_mail_template)t;
}

const char *qn_mail_var_name(enum qn_mail_var v)
{
	return variables[v].name;
}

const char *qn_mail_var_example(enum qn_mail_var v)
{
	return variables[v].example;
}

bool qn_mail_template_has(enum qn_mail_template t, enum qn_mail_var v)
{
	return (templates[t].vars >> v & 1) != 0;
}

/* One mail being filled in. */
struct filling {
	struct qn_arena *arena;
	struct qn_template_var vars[MOST_VARS];
	size_t n;
	char why[QN_TEMPLATE_WHY];
};

/* Unreserved characters (RFC 3986 §2.3) stay, others are escaped. */
static const char *link_to(struct qn_arena *a, const char *url, const char *path, const char *token)
{
	struct qn_buf b;

	if (token == NULL)
		return qn_printf(a, "%s%s", url, path);
	qn_buf_init(&b, TEXT_BYTES);
	for (; *token != '\0'; token++) {
		unsigned char c = (unsigned char)*token;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c) != NULL)
			qn_buf_char(&b, (char)c);
		else
			qn_buf_printf(&b, "%%%02X", c);
	}
	const char *link = qn_printf(a, "%s%s#token=%s", url, path, b.p != NULL ? b.p : "");
	qn_buf_done(&b);
	return link;
}

static void add(struct filling *f, const char *name, const char *value)
{
	f->vars[f->n++] = (struct qn_template_var){name, value != NULL ? value : ""};
}

static void set_up(struct filling *f, struct qn_arena *a, const struct qn_mail_app *app,
    enum qn_mail_template t, const char *address, const struct qn_mail_vars *vars)
{
	f->arena = a;
	f->n = 0;
	add(f, "app_name", app->name);
	add(f, "app_url", app->url);
	add(f, "address", address);
	add(f, "link", link_to(a, app->url, templates[t].path, vars->v[QN_MAIL_VAR_TOKEN]));
	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++)
		if (qn_mail_template_has(t, (enum qn_mail_var)v))
			add(f, variables[v].name, vars->v[v]);
}

/* NULL, and why is filled in. */
static const char *fill(struct filling *f, struct qn_span text, bool html, size_t most)
{
	const char *ret = NULL;
	struct qn_buf b;

	qn_buf_init(&b, most);
	if (qn_template_fill(text, f->vars, f->n, html, &b, f->why))
		ret = qn_strndup(f->arena, b.p != NULL ? b.p : "", b.n);
	if (b.p != NULL)
		explicit_bzero(b.p, b.n);
	qn_buf_done(&b);
	return ret;
}

/* Cut between characters where it is longer than a subject should be. */
static const char *subject_of(struct qn_arena *a, struct qn_span s)
{
	if (s.n <= SUBJECT_BYTES)
		return qn_strndup(a, s.p, s.n);
	s.n = SUBJECT_BYTES;
	while (((unsigned char)s.p[s.n] & 0xc0) == 0x80)
		s.n--;
	return qn_printf(a, "%.*s…", (int)s.n, s.p);
}

/*
 * "Subject: …", an empty line, the text. It is filled in whole, so that a reason counts its lines, and cut then:
 * no value has a line of its own.
 */
static bool fill_text(struct filling *f, struct qn_span file, struct qn_mailtext *ret)
{
	static const char head[] = "Subject: ";
	const size_t n = sizeof(head) - 1;
	const char *all = fill(f, file, false, TEXT_BYTES);
	const char *gap = all != NULL ? strstr(all, "\n\n") : NULL;

	if (all == NULL)
		return false;
	if (strncmp(all, head, n) != 0 || gap == NULL || strchr(all, '\n') != gap) {
		snprintf(f->why, sizeof(f->why),
		    "line 1: it must be \"Subject: …\" with an empty line after it");
		return false;
	}
	ret->subject = subject_of(f->arena, (struct qn_span){all + n, (size_t)(gap - all) - n});
	ret->text = gap + 2;
	return true;
}

/* The HTML part that is made of a plain template. */
static bool fill_derived(struct filling *f, struct qn_span file, struct qn_mailtext *ret)
{
	const char *gap = memmem(file.p, file.n, "\n\n", 2);
	struct qn_buf b;

	qn_buf_init(&b, HTML_BYTES);
	qn_template_html((struct qn_span){gap + 2, file.n - (size_t)(gap + 2 - file.p)}, &b);
	ret->html = b.over ? NULL : fill(f, (struct qn_span){b.p, b.n}, true, HTML_BYTES);
	qn_buf_done(&b);
	return ret->html != NULL;
}

static bool read_all(int fd, struct qn_buf *out)
{
	char block[4096];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno != EINTR)
			return false;
		for (ssize_t i = 0; i < n; i++)
			if (block[i] != '\r')
				qn_buf_char(out, block[i]);
	}
	return true;
}

/* {NULL, 0} when there is no such file, and also when it cannot be read: then with a reason. */
static struct qn_span read_file(struct filling *f, const char *path)
{
	struct qn_span ret = {NULL, 0};
	struct qn_buf b;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	f->why[0] = '\0';
	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			snprintf(f->why, sizeof(f->why), "%s", strerror(errno));
		return ret;
	}
	qn_buf_init(&b, FILE_BYTES);
	if (!read_all(fd, &b))
		snprintf(f->why, sizeof(f->why), "%s", strerror(errno));
	else if (b.over || b.n == 0)
		snprintf(f->why, sizeof(f->why), "it is empty or larger than 64 KiB");
	else
		ret = (struct qn_span){qn_strndup(f->arena, b.p, b.n), b.n};
	qn_buf_done(&b);
	close(fd);
	return ret;
}

/* An app's own file of this template: false when there is none, or none that can be used (and why not). */
static bool own(struct filling *f, const char *dir, const char *slug, const char *name,
    const char *ending, struct qn_mailtext *ret, const char **ret_why)
{
	const char *path = qn_printf(f->arena, "%s/%s/%s.%s", dir, slug, name, ending);
	struct qn_span file = read_file(f, path);
	bool html = strcmp(ending, "html") == 0, ok = file.p != NULL;

	if (ok && html) {
		const char *filled = fill(f, file, true, HTML_BYTES);
		ok = filled != NULL;
		ret->html = ok ? filled : ret->html;
	} else if (ok) {
		struct qn_mailtext made;
		ok = fill_text(f, file, &made) && fill_derived(f, file, &made);
		if (ok)
			*ret = made;
	}
	if (!ok && f->why[0] != '\0')
		*ret_why = qn_printf(f->arena, "%s: %s", path, f->why);
	return ok;
}

bool qn_mailtext(struct qn_arena *a, const char *dir, const struct qn_mail_app *app,
    enum qn_mail_template t, const char *address, const struct qn_mail_vars *vars,
    struct qn_mailtext *ret, const char **ret_why)
{
	struct qn_span text = qn_span_of(builtin[t]);
	struct qn_mailtext made = {NULL, NULL, NULL};
	struct filling f;

	*ret_why = NULL;
	set_up(&f, a, app, t, address, vars);
	bool theirs =
	    dir[0] != '\0' && own(&f, dir, app->slug, templates[t].name, "txt", &made, ret_why);
	if (!theirs && (!fill_text(&f, text, &made) || !fill_derived(&f, text, &made)))
		return false;
	if (dir[0] != '\0')
		own(&f, dir, app->slug, templates[t].name, "html", &made, ret_why);
	*ret = made;
	return true;
}

/* One file of an app, filled in with the examples. */
static const char *file_fault(
    struct qn_arena *a, const char *dir, const char *slug, const char *file)
{
	const struct qn_mail_app app = {slug, "Example", "https://example.com"};
	const char *dot = strrchr(file, '.'), *ending = dot != NULL ? dot + 1 : "", *why = NULL;
	const char *name = dot != NULL ? qn_strndup(a, file, (size_t)(dot - file)) : "";
	enum qn_mail_template t = qn_mail_template_by_name(name);
	struct qn_mailtext made = {NULL, NULL, NULL};
	struct qn_mail_vars vars;
	struct filling f;

	if (t == QN_MAIL__MAX || (strcmp(ending, "txt") != 0 && strcmp(ending, "html") != 0))
		return qn_printf(a, "%s/%s/%s: there is no such template", dir, slug, file);
	for (unsigned v = 0; v < QN_MAIL_VAR__MAX; v++)
		vars.v[v] = variables[v].example;
	set_up(&f, a, &app, t, "ann@example.com", &vars);
	own(&f, dir, slug, name, ending, &made, &why);
	return why;
}

static const char *folder_fault(struct qn_arena *a, const char *dir, const char *slug)
{
	const char *why = NULL;
	DIR *d = opendir(qn_printf(a, "%s/%s", dir, slug));

	if (d == NULL)
		return qn_printf(a, "%s/%s: %s", dir, slug, strerror(errno));
	for (const struct dirent *e; why == NULL && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			why = file_fault(a, dir, slug, e->d_name);
	closedir(d);
	return why;
}

const char *qn_mailtext_fault(struct qn_arena *a, const char *dir)
{
	const char *why = NULL;
	DIR *d = opendir(dir);

	if (d == NULL)
		return qn_printf(a, "%s: %s", dir, strerror(errno));
	for (const struct dirent *e; why == NULL && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			why = folder_fault(a, dir, e->d_name);
	closedir(d);
	return why;
}
