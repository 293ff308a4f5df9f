/* quoin-verify(1): the verifier for shells, and an example of its use. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <time.h>

#include "quoin-verify.h"

enum { VERIFIED, REFUSED, USAGE };

static const char usage[] =
    "Usage: quoin-verify --keys FILE --product APP [OPTION]... FILE\n"
    "Prove a licence file, a machine file or a revocation list of Quoin.\n\n"
    "  -k, --keys FILE             the published key set, /.well-known/quoin-licence-keys.json\n"
    "  -p, --product APP           the product that it must be for\n"
    "  -m, --machine ID            a machine file is expected, for this device\n"
    "  -l, --list                  a revocation list is expected\n"
    "  -r, --revocations FILE      a revocation list that the licence must not be in\n"
    "  -K, --license-key-file FILE its first line is the licence key: opens an encrypted file\n"
    "  -e, --encrypted             refuse a file that is not encrypted\n"
    "  -n, --nonce TEXT            of the activation request that it must answer\n"
    "  -s, --sequence N            the highest sequence number of a list that was seen\n"
    "  -S, --last-seen SECONDS     the latest time that was seen, since 1970-01-01 UTC\n"
    "  -t, --now SECONDS           the time it is; the clock's unless given\n"
    "  -h, --help                  print this and exit\n"
    "  -V, --version               print the version and exit\n\n"
    "Prints the payload and exits with 0, or says why not: 1 refused, 2 wrong arguments.\n";

static const struct option options[] = {
    {"keys", required_argument, NULL, 'k'},
    {"product", required_argument, NULL, 'p'},
    {"machine", required_argument, NULL, 'm'},
    {"list", no_argument, NULL, 'l'},
    {"revocations", required_argument, NULL, 'r'},
    {"license-key-file", required_argument, NULL, 'K'},
    {"encrypted", no_argument, NULL, 'e'},
    {"nonce", required_argument, NULL, 'n'},
    {"sequence", required_argument, NULL, 's'},
    {"last-seen", required_argument, NULL, 'S'},
    {"now", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

struct job {
	struct quoin_expect want;
	const char *keys, *revocations, *license_key, *file;
};

/* The whole of a file, with a NUL behind it; NULL after saying why not. */
static char *read_file(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL, *more;
	size_t n = 0, room = 0, got = 1;

	for (; f != NULL && got > 0 && n <= QUOIN_FILE_MOST; n += got) {
		if (n + 1 >= room && (more = realloc(text, room = 2 * room + 65536)) != NULL)
			text = more;
		else if (n + 1 >= room)
			break;
		got = fread(text + n, 1, room - n - 1, f);
	}
	if (f == NULL || ferror(f) || got > 0) {
		fprintf(
		    stderr, "quoin-verify: %s: %s\n", path, f != NULL && !ferror(f) ? "too large" : strerror(errno));
		free(text);
		text = NULL;
	} else {
		text[n] = '\0';
	}
	if (f != NULL)
		fclose(f);
	*ret_n = n;
	return text;
}

static int number(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && *text != '\0' && *end == '\0' && *ret >= 0 && *ret <= INT64_MAX / 2;
}

/* Fills what the options say; 0 when they are wrong. */
static int option(struct job *job, int c, const char *arg)
{
	struct quoin_expect *want = &job->want;

	switch (c) {
	case 'k':
		job->keys = arg;
		return 1;
	case 'p':
		want->product = arg;
		return 1;
	case 'm':
		want->machine = arg;
		want->kind = QUOIN_MACHINE;
		return 1;
	case 'l':
		want->kind = QUOIN_REVOCATIONS;
		return 1;
	case 'r':
		job->revocations = arg;
		return 1;
	case 'K':
		job->license_key = arg;
		return 1;
	case 'e':
		want->encrypted = 1;
		return 1;
	case 'n':
		want->nonce = arg;
		return 1;
	case 's':
		return number(arg, &want->sequence);
	case 'S':
		return number(arg, &want->last_seen);
	case 't':
		return number(arg, &want->now);
	default:
		return 0;
	}
}

static int copy(char *out, size_t room, struct quoin_slice s)
{
	if (s.p == NULL || s.n >= room)
		return 0;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return 1;
}

/* One element of "keys"; those that are not Ed25519 are left alone. */
static int read_key(struct quoin_keys *keys, const char *text, size_t n)
{
	struct quoin_proof jwk;
	char kty[8], crv[16], alg[16], kid[64], x[64];

	if (!quoin_read_object(&jwk, text, n))
		return 0;
	if (!copy(kty, sizeof(kty), quoin_text(&jwk, "kty")) || strcmp(kty, "OKP") != 0 ||
	    !copy(crv, sizeof(crv), quoin_text(&jwk, "crv")) || strcmp(crv, "Ed25519") != 0 ||
	    !copy(alg, sizeof(alg), quoin_text(&jwk, "alg")) || strcmp(alg, "EdDSA") != 0)
		return 1;
	return quoin_member(&jwk, "d").p == NULL && copy(kid, sizeof(kid), quoin_text(&jwk, "kid")) &&
	       copy(x, sizeof(x), quoin_text(&jwk, "x")) && quoin_key_add(keys, kid, x);
}

/* A JWK Set. Spaces between its parts are left out first: people print it nicely, and no string of it has one. */
static int read_keys(struct quoin_keys *keys, const char *path)
{
	struct quoin_proof set;
	size_t n, kept = 0;
	char *text = read_file(path, &n);

	if (text == NULL)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (text[i] == '\0' || strchr(" \t\r\n", text[i]) == NULL)
			text[kept++] = text[i];
	struct quoin_slice list = {NULL, 0};
	if (quoin_read_object(&set, text, kept))
		list = quoin_member(&set, "keys");
	int ok = list.n > 2 && list.p[0] == '[';
	for (const char *p = list.p + 1, *end; ok && p < list.p + list.n; p = end + 2) {
		end = memchr(p, '}', (size_t)(list.p + list.n - p)); /* a key has nothing nested that we read */
		ok = end != NULL && read_key(keys, p, (size_t)(end + 1 - p));
	}
	free(text);
	if (!ok || keys->n == 0)
		fprintf(stderr, "quoin-verify: %s: it is no key set, or has no Ed25519 key\n", path);
	return ok && keys->n > 0;
}

static int prove(
    const char *path, struct quoin_proof *ret, const struct quoin_keys *keys, const struct quoin_expect *want)
{
	size_t n;
	char *text = read_file(path, &n);

	if (text == NULL)
		return 0;
	enum quoin_code code = quoin_verify(ret, text, n, keys, want);
	if (code != QUOIN_OK)
		fprintf(stderr, "quoin-verify: %s: %s\n", path, quoin_code_name(code));
	free(text);
	return code == QUOIN_OK;
}

static int run(const struct job *job)
{
	struct quoin_expect want = job->want;
	struct quoin_keys keys = {0};
	struct quoin_proof list = {.payload = NULL}, proof;
	struct quoin_expect of_list = {.kind = QUOIN_REVOCATIONS, .product = want.product, .now = want.now};
	char *key = NULL;
	size_t n;

	of_list.last_seen = want.last_seen;
	of_list.sequence = want.sequence;
	if (job->license_key != NULL && (key = read_file(job->license_key, &n)) == NULL)
		return REFUSED;
	if (key != NULL) {
		key[strcspn(key, "\r\n")] = '\0';
		want.license_key = key;
	}
	int ok = read_keys(&keys, job->keys);
	if (ok && job->revocations != NULL) {
		ok = prove(job->revocations, &list, &keys, &of_list);
		want.revocations = &list;
	}
	if (ok && (ok = prove(job->file, &proof, &keys, &want))) {
		ok = puts(proof.payload) >= 0 && fflush(stdout) == 0;
		quoin_proof_free(&proof);
	}
	quoin_proof_free(&list);
	free(key);
	return ok ? VERIFIED : REFUSED;
}

int main(int argc, char **argv)
{
	struct job job = {.want = {.now = (int64_t)time(NULL)}};
	int c;

	while ((c = getopt_long(argc, argv, "k:p:m:lr:K:en:s:S:t:hV", options, NULL)) != -1) {
		if (c == 'h' || c == 'V')
			return fputs(c == 'h' ? usage : "quoin-verify (" PACKAGE_NAME ") " PACKAGE_VERSION "\n",
				   stdout) < 0;
		if (c != '?' && !option(&job, c, optarg)) {
			fprintf(stderr, "quoin-verify: '%s' is no number of seconds, nor a sequence number\n", optarg);
			c = '?';
		}
		if (c == '?') {
			fputs("Try 'quoin-verify --help' for more information.\n", stderr);
			return USAGE;
		}
	}
	if (job.keys == NULL || job.want.product == NULL || optind + 1 != argc) {
		fputs("quoin-verify: it takes --keys, --product and a file\n"
		      "Try 'quoin-verify --help' for more information.\n",
		    stderr);
		return USAGE;
	}
	job.file = argv[optind];
	return run(&job);
}
