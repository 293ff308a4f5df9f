/*
 * Signed replies (CONTRACT X10; SECURITY T22): HTTP message signatures (RFC 9421) by an app's key for licences, with
 * ed25519, over the status, the digest of the body (RFC 9530) and the date, so that a name server that lies cannot
 * make a program believe in a licence. The nonce of the request, when it sent one, is a parameter of the signature:
 * then the reply is to this request and no other.
 */
#ifndef QUOIN_AUTH_HTTPSIG_H
#define QUOIN_AUTH_HTTPSIG_H

#include "quoin/auth/proofkey.h"
#include "quoin/base/clock.h"

#define QN_NONCE_LEAST 8
#define QN_NONCE_MOST  128

/* Whether a nonce is well formed: 8 to 128 of A-Z a-z 0-9 + / = _ - */
bool qn_nonce_ok(const char *nonce);

struct qn_signed_reply {
	int status;
	const struct qn_span *body; /* in pieces */
	size_t pieces;
	const char *nonce; /* NULL: none; else qn_nonce_ok() */
	qn_time at;        /* Date, and `created` */
};

/* Values of the header fields Date, Content-Digest, Signature-Input and Signature. */
struct qn_signature_fields {
	char date[32], digest[64], input[320], signature[112];
};

/* false: OpenSSL failed. */
bool qn_sign_reply(const struct qn_proof_key *k, const struct qn_signed_reply *r,
    struct qn_signature_fields *ret) __attribute__((warn_unused_result));

#endif
