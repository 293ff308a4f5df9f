/*
 * What people type to sign in, and what operators import. The first byte of the input says what the
 * rest is:
 *   o  a one-time password
 *   r  a recovery code
 *   p  a new password, a line end, an address
 *   h  a stored hash
 *   l  a licence's key
 *   b  a file of breached passwords, searched for "password" (5BAA61E4…)
 * What must hold beside not crashing is asserted.
 */
#include <openssl/err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quoin/auth/breached.h"
#include "quoin/auth/licencekey.h"
#include "quoin/auth/passrule.h"
#include "quoin/auth/password.h"
#include "quoin/auth/recovery.h"
#include "quoin/auth/totp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void one_time(struct qn_span text)
{
	static const uint8_t secret[QN_TOTP_SECRET_LEN] = "12345678901234567890";
	int64_t step = -1;
	bool ok = qn_totp_verify(secret, text, 59 * INT64_C(1000000), &step);

	must(ok == (step >= 0) && step <= 2);
}

static void recovery(struct qn_span text)
{
	static const struct qn_secret secret = {1, {"0123456789abcdef0123456789abcdef", 32}};
	uint8_t hash[QN_RECOVERY_HASH_LEN] = {0};

	must(qn_recovery_hash(&secret, QN_SPAN_LIT("user"), text, hash) == (hash[0] == 1));
}

static void rule(struct qn_span text)
{
	const char *end = memchr(text.p, '\n', text.n);
	struct qn_span password = {text.p, end != NULL ? (size_t)(end - text.p) : text.n};
	struct qn_span email = {end != NULL ? end + 1 : NULL, 0};
	enum qn_password_fault fault = QN_PASSWORD__MAX;

	if (end != NULL)
		email.n = text.n - password.n - 1;
	must(qn_password_judge(NULL, password, email, &fault) == QN_OK);
	must(fault < QN_PASSWORD_BREACHED);
	must(fault != QN_PASSWORD_OK ||
	     (password.n >= QN_PASSWORD_LEAST && password.n <= QN_PASSWORD_MOST));
}

/* What is sound is within the bounds, by another reading. */
static void stored(struct qn_span text)
{
	char *hash = strndup(text.p, text.n);

	if (qn_password_hash_sound(hash)) {
		unsigned kib = 0, passes = 0, lanes = 0;
		must(sscanf(hash, "$argon2id$v=19$m=%u,t=%u,p=%u$", &kib, &passes, &lanes) == 3);
		must(kib >= 8 && kib <= QN_PASSWORD_MOST_KIB && passes >= 1);
		must(passes <= QN_PASSWORD_MOST_PASSES && lanes == 1);
		must(strlen(hash) < QN_PASSWORD_HASH_MAX);
	}
	free(hash);
}

/* What was understood reads the same again, whatever it was typed like. */
static void licence(struct qn_span text)
{
	struct qn_licence_key key, again;
	enum qn_licence_key_kind kind = qn_licence_key_read("CODITECT", text, &key);

	if (kind == QN_LICENCE_KEY_NONE)
		return;
	must(strlen(key.text) >= 8 && strlen(key.text) <= QN_LICENCE_KEY_MAX);
	must(qn_licence_key_read("CODITECT", qn_span_of(key.text), &again) == kind);
	must(strcmp(key.text, again.text) == 0 &&
	     memcmp(key.hash, again.hash, sizeof(key.hash)) == 0);
	must(kind != QN_LICENCE_KEY_OWN || strncmp(key.text, "CODITECT-", 9) == 0);
}

static void breached(struct qn_span text)
{
	static int fd = -1;
	static char path[64];
	const char *why = NULL;
	bool found = false;

	if (fd < 0) {
		fd = memfd_create("breached", 0);
		must(fd >= 0 && snprintf(path, sizeof(path), "/proc/self/fd/%d", fd) > 0);
	}
	must(ftruncate(fd, 0) == 0 && pwrite(fd, text.p, text.n, 0) == (ssize_t)text.n);
	struct qn_breached *b = qn_breached_open(path, &why);
	if (b == NULL)
		must(why != NULL && *why != '\0');
	else if (qn_breached_find(b, QN_SPAN_LIT("password"), &found) == QN_OK && found)
		must(memmem(text.p, text.n, "0682250", 7) != NULL); /* of its hash */
	qn_breached_close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	char *copy = malloc(size); /* ends where its memory ends */
	memcpy(copy, data + 1, size - 1);
	struct qn_span text = {copy, size - 1};
	switch (data[0]) {
	case 'o':
		one_time(text);
		break;
	case 'r':
		recovery(text);
		break;
	case 'p':
		rule(text);
		break;
	case 'h':
		stored(text);
		break;
	case 'l':
		licence(text);
		break;
	case 'b':
		breached(text);
		break;
	default:
		break;
	}
	must(ERR_peek_error() == 0);
	free(copy);
	return 0;
}
