/* Stripe-Signature: "t=SECONDS,v1=HEX[,v1=HEX…]" over "SECONDS.BODY" (SECURITY T23). */
#include <stdlib.h>
#include <string.h>

#include "billing.h"
#include "quoin/base/rand.h"

enum { TOLERANCE_S = 300, HEADER_MOST = 4096, HEX = 2 * QN_SHA256_LEN, STAMP_MOST = 15 };

/* The value of the n-th element of that name; {NULL, 0}: there are not so many. */
static struct qn_span element(const char *header, const char *name, size_t nth)
{
	size_t lead = strlen(name);

	for (const char *p = header; *p != '\0';) {
		size_t n = strcspn(p, ",");
		if (n > lead && memcmp(p, name, lead) == 0 && p[lead] == '=' && nth-- == 0)
			return (struct qn_span){p + lead + 1, n - lead - 1};
		p += n + (p[n] == ',');
	}
	return (struct qn_span){NULL, 0};
}

/* Every signature is compared with every secret's: while one is changed for another both are good. */
static bool matches(const char *header, const char wanted[HEX + 1])
{
	bool good = false;
	struct qn_span v1;

	for (size_t i = 0; (v1 = element(header, "v1", i)).p != NULL; i++)
		good |= v1.n == HEX && qn_equal_ct(v1.p, wanted, HEX);
	return good;
}

static void sign(
    struct qn_span stamp, struct qn_span body, struct qn_span secret, char out[HEX + 1])
{
	uint8_t mac[QN_SHA256_LEN];
	struct qn_buf text;

	qn_buf_init(&text, stamp.n + body.n + 2);
	qn_buf_add(&text, stamp.p, stamp.n);
	qn_buf_char(&text, '.');
	qn_buf_add(&text, body.p, body.n);
	qn_hmac_sha256(secret.p, secret.n, text.p, text.n, mac);
	qn_buf_done(&text);
	qn_hex(mac, sizeof(mac), out);
}

static bool is_timely(struct qn_span stamp, int64_t now)
{
	char digits[STAMP_MOST + 1];

	if (stamp.p == NULL || stamp.n == 0 || stamp.n > STAMP_MOST)
		return false;
	memcpy(digits, stamp.p, stamp.n);
	digits[stamp.n] = '\0';
	if (strspn(digits, "0123456789") != stamp.n)
		return false;
	return llabs(now - strtoll(digits, NULL, 10)) <= TOLERANCE_S;
}

bool qn_billing_signed(const char *header, struct qn_span body, const char *secrets, int64_t now)
{
	bool good = false;
	char wanted[HEX + 1];

	if (header == NULL || strlen(header) > HEADER_MOST)
		return false;
	struct qn_span stamp = element(header, "t", 0);
	if (!is_timely(stamp, now))
		return false;
	for (const char *p = secrets + strspn(secrets, " "); *p != '\0'; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		sign(stamp, body, (struct qn_span){p, n}, wanted);
		good |= matches(header, wanted);
		p += n;
	}
	qn_wipe(wanted, sizeof(wanted));
	return good;
}
