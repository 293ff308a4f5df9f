#include "quoin/auth/totp.h"

#include <liboath/oath.h>

#include "quoin/base/rand.h"

enum { ISSUER_MOST = 100, LABEL_MOST = 320, STEPS_AROUND = 1 };

_Static_assert(QN_TOTP_BASE32_LEN * 5 == QN_TOTP_SECRET_LEN * 8, "no padding");

void qn_totp_new(uint8_t ret_secret[QN_TOTP_SECRET_LEN])
{
	qn_random(ret_secret, QN_TOTP_SECRET_LEN);
}

/* Not liboath's: it would leave a copy on the heap. */
void qn_totp_base32(const uint8_t secret[QN_TOTP_SECRET_LEN], char ret_text[QN_TOTP_BASE32_LEN + 1])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648 §6 */
	uint32_t bits = 0;
	int have = 0;

	for (int i = 0; i < QN_TOTP_SECRET_LEN; i++) {
		bits = (bits << 8 | secret[i]) & 0xfff;
		for (have += 8; have >= 5; have -= 5)
			*ret_text++ = alphabet[bits >> (have - 5) & 31];
	}
	*ret_text = '\0';
}

static bool unreserved(char c) /* RFC 3986 §2.3 */
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static const char *percent(struct qn_arena *a, struct qn_span s)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = qn_alloc(a, 3 * s.n + 1), *o = out;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (unreserved(s.p[i])) {
			*o++ = s.p[i];
			continue;
		}
		*o++ = '%';
		*o++ = hex[c >> 4];
		*o++ = hex[c & 15];
	}
	return out;
}

const char *qn_totp_uri(struct qn_arena *a, const uint8_t secret[QN_TOTP_SECRET_LEN],
    struct qn_span issuer, struct qn_span label)
{
	char text[QN_TOTP_BASE32_LEN + 1];

	if (issuer.n == 0 || issuer.n > ISSUER_MOST || label.n == 0 || label.n > LABEL_MOST)
		return NULL;
	qn_totp_base32(secret, text);
	const char *who = percent(a, issuer);
	const char *uri = qn_printf(a,
	    "otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d", who,
	    percent(a, label), text, who, QN_TOTP_DIGITS, QN_TOTP_PERIOD_S);
	qn_wipe(text, sizeof(text));
	return uri;
}

static bool read_code(struct qn_span text, char ret[QN_TOTP_DIGITS])
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == ' ')
			continue;
		if (n == QN_TOTP_DIGITS || text.p[i] < '0' || text.p[i] > '9')
			return false;
		ret[n++] = text.p[i];
	}
	return n == QN_TOTP_DIGITS;
}

static bool is_code_of(
    const uint8_t secret[QN_TOTP_SECRET_LEN], int64_t step, const char code[QN_TOTP_DIGITS])
{
	char right[QN_TOTP_DIGITS + 1];
	int failed = oath_hotp_generate((const char *)secret, QN_TOTP_SECRET_LEN, (uint64_t)step,
	    QN_TOTP_DIGITS, false, OATH_HOTP_DYNAMIC_TRUNCATION, right);
	bool is = failed == OATH_OK && qn_equal_ct(right, code, QN_TOTP_DIGITS);

	qn_wipe(right, sizeof(right));
	return is;
}

/* Every step is tried, whichever fits: the time says nothing. */
bool qn_totp_verify(
    const uint8_t secret[QN_TOTP_SECRET_LEN], struct qn_span code, qn_time now, int64_t *ret_step)
{
	int64_t step = now / (QN_TOTP_PERIOD_S * INT64_C(1000000)), found = -1;
	char digits[QN_TOTP_DIGITS];

	if (now < 0 || !read_code(code, digits) || oath_init() != OATH_OK)
		return false;
	for (int64_t s = step - STEPS_AROUND; s <= step + STEPS_AROUND; s++)
		if (s >= 0 && is_code_of(secret, s, digits))
			found = s;
	qn_wipe(digits, sizeof(digits));
	if (found < 0)
		return false;
	*ret_step = found;
	return true;
}
