/*
 * A signer for tests: the keys of RFC 7515 A.2 and A.3 and of RFC 8037 A.1, whose private halves
 * are published there, and hands that will sign anything under any header.
 */
#ifndef TESTS_LIB_JOSE_H
#define TESTS_LIB_JOSE_H

#include <openssl/evp.h>
#include <stddef.h>

#include "quoin/base/arena.h"
#include "quoin/base/span.h"

enum jose_by {
	JOSE_RSA,
	JOSE_EC,
	JOSE_ED,
	JOSE_HMAC /* HS256 under the RSA key's public PEM */,
	JOSE__MAX
};

/* Members of the public JWKs, without braces and without kid. */
#define JOSE_RSA_N \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt" \
	"0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX" \
	"ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5" \
	"IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define JOSE_EC_X    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define JOSE_EC_Y    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define JOSE_ED_X    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define JOSE_RSA_JWK "\"kty\":\"RSA\",\"n\":\"" JOSE_RSA_N "\",\"e\":\"AQAB\""
#define JOSE_EC_JWK \
	"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" JOSE_EC_X "\",\"y\":\"" JOSE_EC_Y "\""
#define JOSE_ED_JWK "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" JOSE_ED_X "\""

/* All three, as kid "rsa", "ec" and "ed". */
#define JOSE_JWKS \
	"{\"keys\":[{\"kid\":\"rsa\"," JOSE_RSA_JWK "},{\"kid\":\"ec\"," JOSE_EC_JWK \
	"},{\"kid\":\"ed\"," JOSE_ED_JWK "}]}"

/* The private key; the caller frees it. Ends the process on failure, as all here do. */
EVP_PKEY *jose_key(enum jose_by by);

/* What `by` makes of `text`, as it stands in a JWS (ES256: r||s). Returns its length, at most 256.
 */
size_t jose_sign_raw(enum jose_by by, struct qn_span text, unsigned char out[256]);

/* header.payload.signature, in the arena. */
char *jose_sign(struct qn_arena *a, enum jose_by by, struct qn_span header, struct qn_span payload);

#endif
