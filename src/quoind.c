/* quoind(8): one pool of workers. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quoin/base/arena.h"
#include "quoin/base/conf.h"
#include "quoin/net/mail.h"
#include "quoin/pool/master.h"
#include "quoin/pool/worker.h"

enum { EXIT_USAGE = 2, SOCKET_MODE = 0660, ARENA_BYTES = 16 * 1024 * 1024 };

struct options {
	enum qn_pool pool;
	const char *listen, *config, *workers; /* NULL: not given */
};

struct pool {
	enum qn_setting workers;
	const char *key; /* its name */
	int (*worker)(const struct qn_child *child);
};

#define WORKERS(name) QN_CONF_KEY_##name, #name
static const struct pool pools[QN_POOL__MAX] = {
    [QN_POOL_API] = {WORKERS(QUOIN_API_WORKERS), qn_worker_main},
    [QN_POOL_SLOW] = {WORKERS(QUOIN_SLOW_WORKERS), qn_worker_main},
    [QN_POOL_INGEST] = {WORKERS(QUOIN_INGEST_WORKERS), qn_worker_main},
    [QN_POOL_JOBS] = {WORKERS(QUOIN_JOBS_WORKERS), qn_jobs_main},
};

static const char help[] =
    "Usage: quoind --pool=POOL [OPTION]...\n"
    "Run one pool of Quoin's workers in the foreground.\n"
    "\n"
    "  -p, --pool=POOL     api, slow, ingest or jobs\n"
    "  -l, --listen=PATH   Unix socket to serve; otherwise the listening socket on\n"
    "                      standard input, or else POOL.sock in QUOIN_RUN_DIR\n"
    "  -c, --config=FILE   settings file; otherwise $QUOIN_CONFIG, or else\n"
    "                      " QUOIN_SYSCONFDIR "/quoin.env if there is one\n"
    "  -w, --workers=N     number of workers, in place of the setting\n"
    "  -h, --help          print this and exit\n"
    "  -V, --version       print the version and exit\n"
    "\n"
    "TERM stops after the requests in hand, HUP reads the settings anew. See quoind(8).\n";

static void usage_error(void)
{
	fputs("Try 'quoind --help' for more information.\n", stderr);
	exit(EXIT_USAGE);
}

static enum qn_pool pool_or_exit(const char *name)
{
	enum qn_pool p = qn_pool_by_name(name);

	if (p == QN_POOL_NONE) {
		fprintf(stderr, "quoind: no such pool: '%s'\n", name);
		usage_error();
	}
	return p;
}

static void print_and_exit(const char *text)
{
	fputs(text, stdout);
	exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"pool", required_argument, NULL, 'p'},
	    {"listen", required_argument, NULL, 'l'}, {"config", required_argument, NULL, 'c'},
	    {"workers", required_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};

	for (int c; (c = getopt_long(argc, argv, "p:l:c:w:hV", longs, NULL)) != -1;) {
		switch (c) {
		case 'p':
			o->pool = pool_or_exit(optarg);
			break;
		case 'l':
			o->listen = optarg;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'w':
			o->workers = optarg;
			break;
		case 'h':
			print_and_exit(help);
			break;
		case 'V':
			print_and_exit("quoind (" PACKAGE_NAME ") " PACKAGE_VERSION "\n");
			break;
		default:
			usage_error();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "quoind: unexpected argument '%s'\n", argv[optind]);
		usage_error();
	}
	if (o->pool == QN_POOL_NONE) {
		fputs("quoind: --pool is missing\n", stderr);
		usage_error();
	}
	if (o->pool == QN_POOL_JOBS && o->listen != NULL) {
		fputs("quoind: the jobs pool serves no socket: --listen is not for it\n", stderr);
		usage_error();
	}
}

static bool stdin_is_socket(void)
{
	struct stat st;
	return fstat(STDIN_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A socket that does not listen is not passed over: the master refuses it and says what is wrong.
 */
static const char *listen_path(const struct options *o, const struct qn_conf *conf)
{
	static char path[256];

	if (o->listen != NULL || o->pool == QN_POOL_JOBS || stdin_is_socket())
		return o->listen;
	snprintf(path, sizeof(path), "%s/%s.sock", qn_conf_str(conf, QN_CONF_KEY_QUOIN_RUN_DIR),
	    qn_pool_name(o->pool));
	return path;
}

/* Mail that could never go out is found at the start, not when somebody waits for it. */
static bool mail_is_well(const struct qn_conf *conf)
{
	struct qn_arena *a = qn_arena_new(ARENA_BYTES);
	const char *why = qn_mail_fault(conf, a);

	if (why != NULL)
		fprintf(stderr, "quoind: mail: %s\n", why);
	qn_arena_free(a);
	return why == NULL;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct qn_conf *conf;

	parse(argc, argv, &o);
	const struct pool *pool = &pools[o.pool];
	/* The environment goes before the file, on HUP too, and the number is checked like any
	 * other. */
	if (o.workers != NULL && setenv(pool->key, o.workers, 1) != 0) {
		perror("quoind: --workers");
		return EXIT_FAILURE;
	}
	conf = qn_conf_load(o.config);
	if (conf == NULL)
		return EXIT_FAILURE;
	/* There is no default secret: cursors that anybody can sign would be no cursors (T20, T38). */
	if (qn_conf_str(conf, QN_CONF_KEY_QUOIN_SECRET_KEY)[0] == '\0') {
		fputs("quoind: QUOIN_SECRET_KEY is not set; see quoin.env(5)\n", stderr);
		qn_conf_free(conf);
		return EXIT_FAILURE;
	}
	if (o.pool == QN_POOL_JOBS && !mail_is_well(conf)) {
		qn_conf_free(conf);
		return EXIT_FAILURE;
	}
	struct qn_pool_spec spec = {
	    .pool = o.pool,
	    .config_path = o.config,
	    .listen_path = listen_path(&o, conf),
	    .listen_mode = SOCKET_MODE,
	    .workers = pool->workers,
	    .worker = pool->worker,
	    .listener = qn_listener_main,
	};
	return qn_master_run(&spec, conf);
}
