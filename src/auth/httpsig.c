#include "quoin/auth/httpsig.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "quoin/base/rand.h"

#define SECOND 1000000LL

bool qn_nonce_ok(const char *nonce)
{
	size_t n =
	    strspn(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-");

	return nonce[n] == '\0' && n >= QN_NONCE_LEAST && n <= QN_NONCE_MOST;
}

/* IMF-fixdate (RFC 9110 §5.6.7), whatever the locale. */
static void print_date(qn_time t, char out[32])
{
	static const char days[] = "SunMonTueWedThuFriSat",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t s = (time_t)(t / SECOND);
	struct tm tm;

	gmtime_r(&s, &tm);
	snprintf(out, 32, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
	    tm.tm_mday, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min,
	    tm.tm_sec);
}

static bool print_digest(const struct qn_signed_reply *r, char out[64])
{
	uint8_t digest[QN_SHA256_LEN];
	char text[48];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; i < r->pieces && ok; i++)
		ok = EVP_DigestUpdate(ctx, r->body[i].p, r->body[i].n) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!ok)
		return false;
	qn_b64_encode(digest, sizeof(digest), text);
	snprintf(out, 64, "sha-256=:%s:", text);
	return true;
}

bool qn_sign_reply(
    const struct qn_proof_key *k, const struct qn_signed_reply *r, struct qn_signature_fields *ret)
{
	static const char label[] = "quoin=";
	const char *nonce = r->nonce;
	uint8_t sig[QN_PROOF_SIG_LEN];
	char base[640], text[96];

	if (!print_digest(r, ret->digest))
		return false;
	print_date(r->at, ret->date);
	snprintf(ret->input, sizeof(ret->input),
	    "%s(\"@status\" \"content-digest\" \"date\");created=%lld;keyid=\"%s\";alg=\"ed25519\"%s%s%s",
	    label, (long long)(r->at / SECOND), qn_proof_key_kid(k),
	    nonce != NULL ? ";nonce=\"" : "", nonce != NULL ? nonce : "",
	    nonce != NULL ? "\"" : "");
	int n = snprintf(base, sizeof(base),
	    "\"@status\": %d\n\"content-digest\": %s\n\"date\": %s\n\"@signature-params\": %s",
	    r->status, ret->digest, ret->date, ret->input + sizeof(label) - 1);
	qn_proof_key_sign(k, (struct qn_span){base, (size_t)n}, sig);
	qn_b64_encode(sig, sizeof(sig), text);
	snprintf(ret->signature, sizeof(ret->signature), "%s:%s:", label, text);
	return true;
}
