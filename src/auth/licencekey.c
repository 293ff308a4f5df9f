#include "quoin/auth/licencekey.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { RANDOM_LEN = 12, CHECK_LEN = 4, TAIL_LEN = 1 + RANDOM_LEN + 1 + CHECK_LEN };

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* no I, L, O, U */
static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static void checksum(const char *text, size_t n, char out[CHECK_LEN])
{
	uint8_t digest[QN_SHA256_LEN];

	qn_sha256(text, n, digest);
	uint32_t v = (uint32_t)digest[0] << 12 | (uint32_t)digest[1] << 4 | digest[2] >> 4;
	for (int i = CHECK_LEN - 1; i >= 0; i--, v >>= 5)
		out[i] = alphabet[v & 31];
}

/* What of a plan's spelling may stand in a key. */
static void tier_of(const char *shown, char out[QN_LICENCE_TIER_MAX + 1])
{
	size_t n = 0;

	for (; *shown != '\0' && n < QN_LICENCE_TIER_MAX; shown++) {
		char c = (char)toupper((unsigned char)*shown);
		if (strchr(capitals, c) != NULL)
			out[n++] = c;
	}
	out[n] = '\0';
	if (n == 0)
		memcpy(out, "PLAN", 5);
}

void qn_licence_key_new(const char *prefix, const char *shown, struct qn_licence_key *ret)
{
	char tier[QN_LICENCE_TIER_MAX + 1];
	uint8_t random[RANDOM_LEN];

	tier_of(shown, tier);
	size_t n = (size_t)snprintf(
	    ret->text, sizeof(ret->text), "%.*s-%s-", QN_LICENCE_PREFIX_MAX, prefix, tier);
	qn_random(random, sizeof(random));
	for (int i = 0; i < RANDOM_LEN; i++)
		ret->text[n++] = alphabet[random[i] & 31]; /* 256 is a multiple of 32: no bias */
	qn_wipe(random, sizeof(random));
	checksum(ret->text, n, ret->text + n + 1);
	ret->text[n] = '-';
	n += 1 + CHECK_LEN;
	ret->text[n] = '\0';
	qn_sha256(ret->text, n, ret->hash);
}

static struct qn_span trimmed(struct qn_span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\n' || s.p[0] == '\r')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL && s.p[s.n - 1] != '\0')
		s.n--;
	return s;
}

/* A character of the random part as it was meant; 0 when it is none. */
static char meant(char c)
{
	c = (char)toupper((unsigned char)c);
	if (c == 'O')
		return '0';
	if (c == 'I' || c == 'L')
		return '1';
	return c != '\0' && strchr(alphabet, c) != NULL ? c : '\0';
}

/* PREFIX-TIER: two words of capitals and digits. */
static bool good_head(char *s, size_t n)
{
	size_t dash = 0;

	for (size_t i = 0; i < n; i++) {
		s[i] = (char)toupper((unsigned char)s[i]);
		if (s[i] == '-' && dash == 0 && i > 0)
			dash = i;
		else if (s[i] == '\0' || strchr(capitals, s[i]) == NULL)
			return false;
	}
	return dash > 0 && dash + 1 < n && dash <= QN_LICENCE_PREFIX_MAX &&
	       n - dash - 1 <= QN_LICENCE_TIER_MAX;
}

/* Whether it is of our form; then it is made canonical. */
static bool canonical(char *s, size_t n)
{
	if (n <= TAIL_LEN)
		return false;
	size_t head = n - TAIL_LEN;
	if (s[head] != '-' || s[head + 1 + RANDOM_LEN] != '-' || !good_head(s, head))
		return false;
	for (size_t i = head + 1; i < n; i++) {
		if (i == head + 1 + RANDOM_LEN)
			continue;
		s[i] = meant(s[i]);
		if (s[i] == '\0')
			return false;
	}
	return true;
}

static enum qn_licence_key_kind judge(const char *prefix, const char *s, size_t n)
{
	size_t lead = strlen(prefix);
	bool own = strncmp(s, prefix, lead) == 0 && s[lead] == '-';
	char check[CHECK_LEN];

	checksum(s, n - 1 - CHECK_LEN, check);
	if (memcmp(check, s + n - CHECK_LEN, CHECK_LEN) != 0)
		return own ? QN_LICENCE_KEY_BROKEN : QN_LICENCE_KEY_FOREIGN;
	return own ? QN_LICENCE_KEY_OWN : QN_LICENCE_KEY_OTHER;
}

enum qn_licence_key_kind qn_licence_key_read(
    const char *prefix, struct qn_span text, struct qn_licence_key *ret)
{
	struct qn_span s = trimmed(text);
	char copy[QN_LICENCE_KEY_MAX + 1];
	enum qn_licence_key_kind kind = QN_LICENCE_KEY_FOREIGN;

	if (s.n < 8 || s.n > QN_LICENCE_KEY_MAX)
		return QN_LICENCE_KEY_NONE;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '!' || s.p[i] > '~')
			return QN_LICENCE_KEY_NONE;
	memcpy(ret->text, s.p, s.n);
	ret->text[s.n] = '\0';
	memcpy(copy, ret->text, s.n + 1);
	if (canonical(copy, s.n))
		kind = judge(prefix, copy, s.n);
	if (kind == QN_LICENCE_KEY_OWN || kind == QN_LICENCE_KEY_OTHER)
		memcpy(ret->text, copy, s.n + 1);
	qn_sha256(ret->text, s.n, ret->hash);
	return kind;
}
