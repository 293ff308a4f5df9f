#include "quoin/auth/recovery.h"

#include <string.h>

#include "quoin/base/rand.h"

enum { BYTES = 10, CHARS = 16, GROUP = 4, USER_MOST = 64 };

_Static_assert(CHARS * 5 == BYTES * 8, "no spare bits");
_Static_assert(QN_RECOVERY_TEXT_LEN == CHARS + CHARS / GROUP - 1, "recovery.h says so");

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char label[] = "quoin recovery code";

void qn_recovery_new(char ret_text[QN_RECOVERY_TEXT_LEN + 1])
{
	uint8_t random[CHARS]; /* 5 bits of each are used: 32 divides 256 */

	qn_random(random, sizeof(random));
	for (int i = 0; i < CHARS; i++) {
		if (i > 0 && i % GROUP == 0)
			*ret_text++ = '-';
		*ret_text++ = alphabet[random[i] & 31];
	}
	*ret_text = '\0';
	qn_wipe(random, sizeof(random));
}

static char canonical(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	return c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c;
}

static bool read_code(struct qn_span text, char ret[CHARS])
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = canonical(text.p[i]);
		if (c == ' ' || c == '-')
			continue;
		if (n == CHARS || memchr(alphabet, c, sizeof(alphabet) - 1) == NULL)
			return false;
		ret[n++] = c;
	}
	return n == CHARS;
}

bool qn_recovery_hash(const struct qn_secret *secret, struct qn_span user_id, struct qn_span text,
    uint8_t ret_hash[QN_RECOVERY_HASH_LEN])
{
	char message[sizeof(label) + CHARS + USER_MOST]; /* the label's NUL ends it */
	char *code = message + sizeof(label);

	if (secret->id == 0 || secret->bytes.n == 0 || user_id.n == 0 || user_id.n > USER_MOST ||
	    !read_code(text, code))
		return false;
	memcpy(message, label, sizeof(label));
	memcpy(code + CHARS, user_id.p, user_id.n);
	ret_hash[0] = secret->id;
	qn_hmac_sha256(secret->bytes.p, secret->bytes.n, message, sizeof(label) + CHARS + user_id.n,
	    ret_hash + 1);
	qn_wipe(message, sizeof(message));
	return true;
}
