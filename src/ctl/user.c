/* user: what an operator does of accounts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "quoin/auth/password.h"
#include "quoin/base/rand.h"
#include "quoin/net/address.h"
#include "quoin/store/account.h"
#include "quoin/store/audit.h"
#include "quoin/store/factor.h"
#include "quoin/store/session.h"
#include "quoin/store/staff.h"
#include "quoin/store/user.h"

enum { LIST_MOST = 1000 };

/* In the transaction of what it tells of. That it was an operator shows by the user who is not there. */
static enum qn_err note(
    struct ctl *c, const char *app_id, const char *action, const char *id, const char *details)
{
	return audit_write(c->db, c->arena,
	    &(struct audit_event){.app = app_id,
		.action = action,
		.resource_type = "user",
		.resource_id = id,
		.details = qn_span_of(details)});
}

/* The first line of standard input, without its end. */
static bool read_password(char *out, size_t size, struct qn_span *ret)
{
	if (fgets(out, (int)size, stdin) == NULL)
		return false;
	*ret = (struct qn_span){out, strcspn(out, "\r\n")};
	return true;
}

static enum qn_err put_password(
    struct ctl *c, const char *app_id, const char *id, const char *hash, int64_t *ret_ended)
{
	QN_TX(tx, c->db);
	QN_TRY(account_set_password(c->db, c->arena, app_id, id, hash));
	QN_TRY(session_revoke_all(
	    c->db, c->arena, app_id, id, NULL, "password set by an operator", ret_ended));
	QN_TRY(note(c, app_id, "password.set", id, "{}"));
	return qn_tx_commit(&tx);
}

/* An operator's choice is not judged, but for its length. */
static int set_password(struct ctl *c, const char *app_id, const char *email)
{
	char text[QN_PASSWORD_MOST + 3], hash[QN_PASSWORD_HASH_MAX];
	struct qn_hasher hasher;
	struct qn_span password;
	struct user user;
	int64_t ended;

	enum qn_err e = user_by_email(c->db, c->arena, app_id, email, &user);
	if (e == QN_OK && !read_password(text, sizeof(text), &password))
		e = QN_INVALID;
	qn_hasher_init(&hasher, c->conf, NULL, 0, 1);
	if (e == QN_OK)
		e = qn_password_hash(&hasher, password, hash);
	qn_wipe(text, sizeof(text));
	if (e == QN_OK)
		e = put_password(c, app_id, user.id, hash, &ended);
	if (e != QN_OK)
		return ctl_fail(c, email, e);
	printf("%s: the password is set; %" PRId64 " sessions ended\n", email, ended);
	return CTL_OK;
}

static enum qn_err make(struct ctl *c, const char *app_id, const char *email, struct user *ret)
{
	QN_TX(tx, c->db);
	QN_TRY(user_add(c->db, c->arena, app_id, email, ret));
	QN_TRY(note(c, app_id, "account.create", ret->id, "{}"));
	return qn_tx_commit(&tx);
}

static int add(struct ctl *c, const char *app_id, const char *email)
{
	struct user user;

	if (!qn_address_ok(qn_span_of(email))) {
		fprintf(stderr, "quoinctl: '%s' is no e-mail address\n", email);
		return CTL_FAILED;
	}
	enum qn_err e = make(c, app_id, email, &user);
	if (e == QN_CONFLICT) {
		fprintf(
		    stderr, "quoinctl: the app has a user with the address %s already\n", email);
		return CTL_FAILED;
	}
	if (e != QN_OK)
		return ctl_fail(c, email, e);
	printf("%s %s\n", user.id, user.email);
	return CTL_OK;
}

static void print_user(const struct staff_user *u)
{
	printf("%s %-40s %-10s%s%s%s%s%s\n", u->id, u->email != NULL ? u->email : "-", u->plan,
	    u->email_verified == 1 ? "" : " unverified", u->mfa_enabled == 1 ? " mfa" : "",
	    u->suspended == 1 ? " suspended" : "", u->platform_role != NULL ? " staff:" : "",
	    u->platform_role != NULL ? u->platform_role : "");
}

/* The newest; those whose address begins with `email`, when it is given. */
static int list(struct ctl *c, const char *app_id, const char *email)
{
	struct qn_list users;
	enum qn_err e =
	    staff_users(c->db, c->arena, app_id, email, (struct page){NULL, LIST_MOST}, &users);
	const struct staff_user *rows = users.items;

	if (e != QN_OK)
		return ctl_fail(c, "users", e);
	for (size_t i = 0; i < users.n; i++)
		print_user(&rows[i]);
	return CTL_OK;
}

static enum qn_err put_suspended(
    struct ctl *c, const char *app_id, const char *id, bool suspended, struct staff_user *ret)
{
	QN_TX(tx, c->db);
	QN_TRY(staff_suspend(c->db, c->arena, app_id, id, suspended, ret));
	QN_TRY(note(c, app_id, suspended ? "user.suspend" : "user.unsuspend", id, "{}"));
	return qn_tx_commit(&tx);
}

static int set_suspended(struct ctl *c, const char *app_id, const char *id, bool suspended)
{
	struct staff_user u;
	enum qn_err e = put_suspended(c, app_id, id, suspended, &u);

	if (e == QN_OK)
		print_user(&u);
	return e == QN_OK ? CTL_OK : ctl_fail(c, id, e);
}

static int suspend(struct ctl *c, const char *app_id, const char *id)
{
	return set_suspended(c, app_id, id, true);
}

static int unsuspend(struct ctl *c, const char *app_id, const char *id)
{
	return set_suspended(c, app_id, id, false);
}

static enum qn_err end_sessions(
    struct ctl *c, const char *app_id, const char *id, int64_t *ret_ended)
{
	QN_TX(tx, c->db);
	QN_TRY(session_revoke_all(
	    c->db, c->arena, app_id, id, NULL, "ended by an operator", ret_ended));
	QN_TRY(note(c, app_id, "user.sign-out", id, "{}"));
	return qn_tx_commit(&tx);
}

static int sign_out(struct ctl *c, const char *app_id, const char *id)
{
	int64_t ended;
	enum qn_err e = end_sessions(c, app_id, id, &ended);

	if (e != QN_OK)
		return ctl_fail(c, id, e);
	printf("%" PRId64 " sessions ended\n", ended);
	return CTL_OK;
}

/* For who lost the second factor and the recovery codes: the password alone signs in again. */
static enum qn_err take_factors(
    struct ctl *c, const char *app_id, const char *id, int64_t *ret_ended)
{
	QN_TX(tx, c->db);
	QN_TRY(factors_reset(c->db, c->arena, app_id, id));
	QN_TRY(session_revoke_all(c->db, c->arena, app_id, id, NULL,
	    "second factor taken away by an operator", ret_ended));
	QN_TRY(note(c, app_id, "mfa.reset", id, "{}"));
	return qn_tx_commit(&tx);
}

static int mfa_reset(struct ctl *c, const char *app_id, const char *id)
{
	int64_t ended;
	enum qn_err e = take_factors(c, app_id, id, &ended);

	if (e != QN_OK)
		return ctl_fail(c, id, e);
	printf("no second factor any more; %" PRId64 " sessions ended\n", ended);
	return CTL_OK;
}

/* `role` is one of three words. */
static enum qn_err put_role(
    struct ctl *c, const char *app_id, const char *id, const char *role, struct staff_user *ret)
{
	QN_TX(tx, c->db);
	QN_TRY(staff_set_role(
	    c->db, c->arena, app_id, id, strcmp(role, "none") == 0 ? NULL : role, ret));
	QN_TRY(note(c, app_id, "user.staff", id, qn_printf(c->arena, "{\"role\":\"%s\"}", role)));
	return qn_tx_commit(&tx);
}

static int set_role(struct ctl *c, const char *app_id, const char *id, const char *role)
{
	struct staff_user u;
	enum qn_err e = put_role(c, app_id, id, role, &u);

	if (e == QN_OK)
		print_user(&u);
	return e == QN_OK ? CTL_OK : ctl_fail(c, id, e);
}

/* By address; list takes none, or what addresses begin with. */
static const struct {
	const char *name;
	int (*run)(struct ctl *c, const char *app_id, const char *what);
	bool by_id;
} verbs[] = {
    {"add", add, false},
    {"password", set_password, false},
    {"list", list, false},
    {"suspend", suspend, true},
    {"unsuspend", unsuspend, true},
    {"sign-out", sign_out, true},
    {"mfa-reset", mfa_reset, true},
};

static int run(struct ctl *c, const char *app_id, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[0], verbs[i].name) != 0)
			continue;
		if (argc == 1)
			return verbs[i].run == list ? list(c, app_id, NULL) : ctl_usage("user");
		const char *what = verbs[i].by_id ? ctl_user_id(c, app_id, argv[1]) : argv[1];
		return what != NULL ? verbs[i].run(c, app_id, what) : CTL_FAILED;
	}
	return ctl_usage("user");
}

int ctl_user(struct ctl *c, int argc, char **argv)
{
	const char *app = ctl_option(&argc, argv, "--app"),
		   *role = ctl_option(&argc, argv, "--role");

	if (app == NULL || argc < 1 || argc > 2)
		return ctl_usage("user");
	const char *app_id = ctl_app_id(c, app);
	if (app_id == NULL)
		return CTL_FAILED;
	if (strcmp(argv[0], "staff") != 0)
		return run(c, app_id, argc, argv);
	if (argc != 2 || role == NULL ||
	    (strcmp(role, "none") != 0 && strcmp(role, "support") != 0 &&
		strcmp(role, "admin") != 0))
		return ctl_usage("user");
	const char *id = ctl_user_id(c, app_id, argv[1]);
	return id != NULL ? set_role(c, app_id, id, role) : CTL_FAILED;
}
