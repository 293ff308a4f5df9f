/*
 * Passkeys: Web Authentication Level 2 (W3C), the relying party's side. What a browser is asked for and
 * what it replies are the JSON forms of Level 3 §5.1 (PublicKeyCredential.toJSON and parse…FromJSON),
 * which the browsers have. Nothing is read from or written to a store here: the caller keeps the
 * challenge, uses it once, and keeps the passkeys.
 */
#ifndef QUOIN_AUTH_WEBAUTHN_H
#define QUOIN_AUTH_WEBAUTHN_H

#include <stdbool.h>
#include <stdint.h>

#include "quoin/base/arena.h"
#include "quoin/base/span.h"

#define QN_WEBAUTHN_CHALLENGE_LEN 32              /* bytes, from qn_random() */
#define QN_WEBAUTHN_REPLY_MOST    ((size_t)65536) /* bytes of JSON; a longer reply is refused */
#define QN_PASSKEY_ID_MOST        1023            /* bytes (§4, credential id) */
#define QN_PASSKEY_USER_MOST      64              /* bytes (§5.4.3, user handle) */
#define QN_PASSKEY_LIST_MOST      64              /* passkeys named in one question */
#define QN_AAGUID_LEN             16

/* Who asks. */
struct qn_webauthn_party {
	const char *id;             /* a domain: that of the origins, or a parent of it */
	const char *name;           /* shown by some authenticators */
	const char *const *origins; /* exact, "https://example.com"; ends with NULL */
};

/* What is asked; the same when the reply is judged. */
struct qn_webauthn_terms {
	const struct qn_webauthn_party *party;
	uint8_t challenge[QN_WEBAUTHN_CHALLENGE_LEN];
	bool
	    user_verification; /* demanded: a PIN or a finger, so that the passkey is two factors */
};

enum qn_transport {
	QN_TRANSPORT_USB,
	QN_TRANSPORT_NFC,
	QN_TRANSPORT_BLE,
	QN_TRANSPORT_SMART_CARD,
	QN_TRANSPORT_HYBRID,
	QN_TRANSPORT_INTERNAL,
	QN_TRANSPORT__MAX
};
#define QN_TRANSPORT_BIT(t) (1u << (t))

/* A passkey as it is to be kept, with the account. */
struct qn_passkey {
	struct qn_span id;   /* at most QN_PASSKEY_ID_MOST bytes; unique in the deployment */
	struct qn_span key;  /* COSE_Key as it came: ES256, EdDSA (Ed25519) or RS256 (2048 bits) */
	struct qn_span user; /* the user handle it was made for */
	uint32_t count;      /* of signatures; 0: this authenticator does not count */
	unsigned transports; /* QN_TRANSPORT_BIT()s: hints for the browser, of no other worth */
	uint8_t
	    aaguid[QN_AAGUID_LEN]; /* the model, says the authenticator; nobody vouches for it */
	bool user_verified;
	bool backup_eligible, backed_up; /* it may be, it is copied to other devices of its owner */
};

struct qn_webauthn_user {
	struct qn_span handle; /* 1 to QN_PASSKEY_USER_MOST bytes that tell nothing of the person */
	const char *name;      /* the address, for the user to choose by */
	const char *display_name;
};

/*
 * The argument of navigator.credentials.create() or get(): PublicKeyCredentialCreationOptionsJSON or
 * …RequestOptionsJSON, in the arena. `known` (n of them): for creation those that the account has
 * already, so that no device gets a second one; for a request those that may answer, and none where
 * the device is to find the account. NULL: n is over QN_PASSKEY_LIST_MOST, or the handle is empty or
 * too long.
 */
const char *qn_webauthn_creation(struct qn_arena *a, const struct qn_webauthn_terms *t,
    const struct qn_webauthn_user *user, const struct qn_passkey *known, size_t n);
const char *qn_webauthn_request(struct qn_arena *a, const struct qn_webauthn_terms *t,
    const struct qn_passkey *known, size_t n);

enum qn_webauthn_kind { QN_WEBAUTHN_CREATE, QN_WEBAUTHN_GET };

/* What came back, decoded into the arena. Nothing of it is true before it has been judged. */
struct qn_webauthn_reply {
	enum qn_webauthn_kind kind;
	struct qn_arena *arena;
	struct qn_span id;
	struct qn_span client_data;
	struct qn_span attestation;         /* only of a creation */
	struct qn_span authdata, signature; /* only of a request */
	struct qn_span user_handle;         /* only of a request; {NULL, 0}: none */
	unsigned transports;
};

/*
 * Takes a reply apart: RegistrationResponseJSON or AuthenticationResponseJSON. Unknown members are
 * ignored. false: it is no such object; *ret_why is then a static text for the log.
 */
bool qn_webauthn_read(struct qn_arena *a, enum qn_webauthn_kind kind, struct qn_span json,
    struct qn_webauthn_reply *ret, const char **ret_why) __attribute__((warn_unused_result));

/*
 * Whether a new passkey may be kept (§7.1): type, challenge, origin and not in a foreign frame; the
 * party, user presence and verification; one whole credential with a sound key of an algorithm that we
 * ask for. Attestation of any format is taken for "none": who made the authenticator is not our
 * question, and a statement that nobody checks is worth as much as none. The caller fills ret->user, and
 * refuses an id that is taken.
 */
bool qn_webauthn_register(const struct qn_webauthn_reply *reply, const struct qn_webauthn_terms *t,
    struct qn_passkey *ret, const char **ret_why) __attribute__((warn_unused_result));

struct qn_passkey_use {
	uint32_t count;
	bool regressed; /* not above the count kept (where either is not 0): there may be a copy */
	bool user_verified, backed_up;
};

/*
 * Whether the owner of this passkey is there (§7.2): all of the above and the signature. `kept` is the
 * passkey with reply->id. A user handle must be that of `kept`; it may be missing only when the
 * request named the passkeys, `named`. A regressed count is for the caller to judge.
 */
bool qn_webauthn_verify(const struct qn_webauthn_reply *reply, const struct qn_webauthn_terms *t,
    const struct qn_passkey *kept, bool named, struct qn_passkey_use *ret, const char **ret_why)
    __attribute__((warn_unused_result));

#endif
