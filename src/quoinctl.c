/* quoinctl(1): what an operator does by hand, and the tables made visible. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

static const struct ctl_verb verbs[] = {
    {"migrate", "[--dry-run] [--dir DIR] | status", "bring the database up to date", ctl_migrate},
    {"app", "apply FILE... | show SLUG | list", "load, show and list apps", ctl_app},
    {"user", "add|password|list|suspend|unsuspend|sign-out|mfa-reset|staff --app APP [EMAIL]",
	"manage users", ctl_user},
    {"grant",
	"list|set|drop --app APP [--user EMAIL|--org ORG] [--plan P] [--seats N] [--limit METER=MAX] "
	"[--feature WORD] [--until TIME] [--note TEXT]",
	"say what plan and limits somebody has", ctl_grant},
    {"licence",
	"issue|list|show|renew|suspend|reinstate|revoke|transfer|import|export --app APP [KEY ...]",
	"make and change licences", ctl_licence},
    {"org", "list|show|members|create|... --app APP [ORG ...]", "manage organizations", ctl_org},
    {"audit",
	"verify [--app APP] [--org ORG] | "
	"list --app APP [--org ORG] [--user EMAIL] [--action ACTION] [--before SEQ]",
	"prove that no audit log was changed, or read one", ctl_audit},
    {"keys", "rotate --app APP [--use license [--after DAYS] [--overlap DAYS]] | list [--app APP]",
	"sign an app's tokens, or prove its licences, with a new key", ctl_keys},
    {"key", "list --app APP EMAIL | revoke --app APP EMAIL ID", "show a user's API keys, end one",
	ctl_key},
    {"session", "list --app APP EMAIL | revoke --app APP EMAIL ID",
	"show a user's sessions, end one", ctl_session},
    {"token", "--app APP [--minutes N] EMAIL", "print a bearer token for a user", ctl_token},
    {"sso",
	"add --app APP --domain D [--org ORG] (--issuer URL --client-id ID | --metadata FILE) | "
	"list --app APP | remove --app APP --domain D",
	"sign the users of a mail domain in elsewhere; the secret from stdin", ctl_sso},
    {"jobs", "list | retry ID", "show the queue, run a dead job again", ctl_jobs},
    {"mail", "list [--app APP] [--state S] | retry ID | test --app APP [--template T] ADDRESS",
	"show mail, send it now, send a test", ctl_mail},
    {"webhook", "add|list|remove|deliveries|resend --app APP [--org ORG] [URL | ID]",
	"have a server told of events, show what it was told", ctl_webhook},
    {"billing", "reconcile --app APP [EMAIL] | replay --app APP EVENT | show --app APP EMAIL|ORG",
	"look at customers again, act on an event again, show who pays", ctl_billing},
    {"figures", "--app APP [--from DAY] [--to DAY] [--json]",
	"print users, customers and money day by day", ctl_figures},
    {"routes", "[--json]", "list every route and who may call it", ctl_routes},
    {"openapi", "", "print the OpenAPI 3.1 description", ctl_openapi},
    {"nginx", "[--app SLUG]", "print nginx's maps of hosts, origins and pools", ctl_nginx},
    {"config", "[--markdown]", "print the effective settings, secrets hidden", ctl_config},
    {"statements", "[--check]", "list every SQL statement; prepare them all", ctl_statements},
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static int help(void)
{
	puts("Usage: quoinctl [--config FILE] VERB [ARGUMENT]...\n"
	     "Administer Quoin. The settings are those of quoind; see quoin.env(5).\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-10s %-36s %s\n", verbs[i].name, verbs[i].usage, verbs[i].text);
	puts("\n  -h, --help     print this and exit\n  -V, --version  print the version and exit");
	return 0;
}

static int help_on(const struct ctl_verb *v)
{
	printf("Usage: quoinctl %s %s\nTo %s. See quoinctl(1).\n", v->name, v->usage, v->text);
	return 0;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int ctl_usage(const char *verb)
{
	for (size_t i = 0; verb != NULL && i < VERBS; i++)
		if (strcmp(verbs[i].name, verb) == 0)
			fprintf(stderr, "Usage: quoinctl %s %s\n", verb, verbs[i].usage);
	fputs("Try 'quoinctl --help' for more information.\n", stderr);
	return CTL_USAGE;
}

int main(int argc, char **argv)
{
	struct ctl c = {.config = NULL};
	int at = 1;

	if (at + 1 < argc && strcmp(argv[at], "--config") == 0) {
		c.config = argv[at + 1];
		at += 2;
	}
	if (at >= argc)
		return ctl_usage(NULL);
	if (is_help(argv[at]))
		return help();
	if (strcmp(argv[at], "--version") == 0 || strcmp(argv[at], "-V") == 0) {
		puts("quoinctl (" PACKAGE_NAME ") " PACKAGE_VERSION);
		return 0;
	}
	for (size_t i = 0; i < VERBS; i++) {
		if (strcmp(verbs[i].name, argv[at]) != 0)
			continue;
		if (at + 1 < argc && is_help(argv[at + 1]))
			return help_on(&verbs[i]);
		return ctl_run(&c, verbs[i].run, argc - at - 1, argv + at + 1);
	}
	fprintf(stderr, "quoinctl: no such verb: '%s'\n", argv[at]);
	return ctl_usage(NULL);
}
