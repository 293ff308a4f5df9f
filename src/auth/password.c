#include "quoin/auth/password.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "hashroom.h"
#include "quoin/base/log.h"

enum { SALT_CHARS_LEAST = 11, HASH_CHARS_LEAST = 22, KIB = 1024 };

_Static_assert(QN_PASSWORD_HASH_MAX == crypto_pwhash_argon2id_STRBYTES, "libsodium's strings fit");

void qn_hasher_init(
    struct qn_hasher *h, const struct qn_conf *c, struct qn_board *b, int slot, int workers)
{
	if (sodium_init() < 0)
		qn_fatal("libsodium does not start");
	*h = (struct qn_hasher){
	    .passes = (unsigned)qn_conf_int(c, QN_CONF_KEY_QUOIN_PASSWORD_PASSES),
	    .bytes = (size_t)qn_conf_int(c, QN_CONF_KEY_QUOIN_PASSWORD_KIB) * KIB,
	};
	qn_turns_init(&h->turns, QN_TURN_HASH, b, slot, workers);
}

/* A turn at hashing, and the room to do it in. */
static enum qn_err begin(const struct qn_hasher *h)
{
	QN_TRY(qn_turn_take(&h->turns));
	hashroom_enter();
	return QN_OK;
}

static void end(const struct qn_hasher *h)
{
	hashroom_leave();
	qn_turn_end(&h->turns);
}

void qn_hasher_rest(void)
{
	hashroom_close();
}

static bool long_enough(struct qn_span password)
{
	return password.n > 0 && password.n <= QN_PASSWORD_MOST;
}

enum qn_err qn_password_hash(
    const struct qn_hasher *h, struct qn_span password, char ret_hash[QN_PASSWORD_HASH_MAX])
{
	char hash[QN_PASSWORD_HASH_MAX];

	if (!long_enough(password))
		return QN_INVALID;
	QN_TRY(begin(h));
	int failed = crypto_pwhash_argon2id_str(hash, password.p, password.n, h->passes, h->bytes);
	end(h);
	if (failed != 0)
		return QN_INTERNAL;
	memcpy(ret_hash, hash, sizeof(hash));
	return QN_OK;
}

/* As much work as a hash of today, for a password that is nobody's. */
static enum qn_err hash_in_vain(const struct qn_hasher *h, struct qn_span password)
{
	static const unsigned char salt[crypto_pwhash_argon2id_SALTBYTES] = {0};
	unsigned char out[crypto_pwhash_argon2id_BYTES_MIN];

	int failed = crypto_pwhash_argon2id(out, sizeof(out), password.p, password.n, salt,
	    h->passes, h->bytes, crypto_pwhash_argon2id_ALG_ARGON2ID13);
	sodium_memzero(out, sizeof(out));
	return failed ? QN_INTERNAL : QN_OK;
}

/*
 * libsodium says -1 for all that is not right: errno is EINVAL when the hashes differ, ENOMEM when
 * there was no memory, which is no answer, and unchanged when it could not read the string and did
 * no work.
 */
static enum qn_err compare(
    const struct qn_hasher *h, struct qn_span password, const char *stored, bool *ret_right)
{
	errno = 0;
	*ret_right = crypto_pwhash_argon2id_str_verify(stored, password.p, password.n) == 0;
	if (*ret_right || errno == EINVAL)
		return QN_OK;
	if (errno == ENOMEM)
		return QN_INTERNAL;
	return hash_in_vain(h, password);
}

static bool is_old(const struct qn_hasher *h, const char *stored)
{
	return crypto_pwhash_argon2id_str_needs_rehash(stored, h->passes, h->bytes) != 0;
}

enum qn_err qn_password_verify(const struct qn_hasher *h, struct qn_span password,
    const char *stored, bool *ret_right, bool *ret_old)
{
	bool known = stored != NULL && qn_password_hash_sound(stored), right = false;

	if (!long_enough(password)) {
		*ret_right = *ret_old = false;
		return QN_OK;
	}
	QN_TRY(begin(h));
	enum qn_err e = known ? compare(h, password, stored, &right) : hash_in_vain(h, password);
	end(h);
	QN_TRY(e);
	*ret_right = right;
	*ret_old = right && is_old(h, stored);
	return QN_OK;
}

static bool skip(const char **at, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*at, text, n) != 0)
		return false;
	*at += n;
	return true;
}

/* A decimal from `least` to `most`, without a leading zero or sign. */
static bool skip_number(const char **at, long least, long most)
{
	long v = 0;
	const char *p = *at;

	if (*p == '0')
		return false;
	for (; *p >= '0' && *p <= '9' && v <= most; p++)
		v = v * 10 + (*p - '0');
	if (p == *at || v < least || v > most)
		return false;
	*at = p;
	return true;
}

static bool skip_base64(const char **at, size_t least)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strspn(*at, alphabet);

	*at += n;
	return n >= least;
}

bool qn_password_hash_sound(const char *stored)
{
	const char *at = stored;

	return strnlen(stored, QN_PASSWORD_HASH_MAX) < QN_PASSWORD_HASH_MAX &&
	       skip(&at, "$argon2id$v=19$m=") && skip_number(&at, 8, QN_PASSWORD_MOST_KIB) &&
	       skip(&at, ",t=") && skip_number(&at, 1, QN_PASSWORD_MOST_PASSES) &&
	       skip(&at, ",p=1$") && skip_base64(&at, SALT_CHARS_LEAST) && skip(&at, "$") &&
	       skip_base64(&at, HASH_CHARS_LEAST) && *at == '\0';
}
