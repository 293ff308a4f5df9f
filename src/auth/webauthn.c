#include "quoin/auth/webauthn.h"

#include <string.h>

#include "cbor.h"
#include "cosekey.h"
#include "quoin/base/json.h"
#include "quoin/base/rand.h"
#include "transport.h"

enum {
	CLIENT_DATA_MOST = 4096, /* bytes; browsers write some 150 */
	ATTESTATION_MOST = 32768,
	AUTHDATA_MOST = 4096,
	SIGNATURE_MOST = 512,
	HASH_LEN = QN_SHA256_LEN,
	FLAGS_AT = HASH_LEN,
	COUNT_AT = FLAGS_AT + 1,
	HEAD_LEN = COUNT_AT + 4,
	FMT_MOST = 32,
};

enum { /* §6.1, and BE, BS of Level 3 */
	FLAG_UP = 0x01,
	FLAG_UV = 0x04,
	FLAG_BE = 0x08,
	FLAG_BS = 0x10,
	FLAG_AT = 0x40,
	FLAG_ED = 0x80,
};

static const struct qn_json_limits limits = {.depth = 8, .nodes = 512};

const char *const qn_transport_names[QN_TRANSPORT__MAX] = {
    "usb", "nfc", "ble", "smart-card", "hybrid", "internal"};

static bool fail(const char **ret_why, const char *why)
{
	*ret_why = why;
	return false;
}

static bool same(struct qn_span a, struct qn_span b)
{
	return a.n == b.n && (a.n == 0 || qn_equal_ct(a.p, b.p, a.n));
}

/* reading */

/* A base64url member of 1 to `most` bytes. */
static bool get_bytes(struct qn_arena *a, const struct qn_json_object *o, const char *name,
    size_t most, struct qn_span *ret)
{
	const char *text;
	size_t n;

	if (!qn_json_str(a, qn_json_get(o, name), &text, &n) || n > most * 4 / 3 + 3)
		return false;
	uint8_t *out = qn_alloc(a, 3 * n / 4 + 1);
	long len = qn_b64url_decode(text, n, out);
	if (len <= 0 || (size_t)len > most)
		return false;
	*ret = (struct qn_span){(const char *)out, (size_t)len};
	return true;
}

/* Hints, and nothing else: what is unknown or of another form is left out. */
static unsigned get_transports(struct qn_arena *a, const struct qn_json_object *o)
{
	struct qn_span *list;
	unsigned bits = 0;
	size_t n;

	if (!qn_json_elements(a, qn_json_get(o, "transports"), &list, &n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		const char *name;
		size_t len;
		if (!qn_json_str(a, list[i], &name, &len))
			continue;
		for (unsigned t = 0; t < QN_TRANSPORT__MAX; t++)
			if (qn_span_is((struct qn_span){name, len}, qn_transport_names[t]))
				bits |= QN_TRANSPORT_BIT(t);
	}
	return bits;
}

static bool read_id(struct qn_arena *a, const struct qn_json_object *o, struct qn_webauthn_reply *r)
{
	struct qn_span raw;

	if (!get_bytes(a, o, "id", QN_PASSKEY_ID_MOST, &r->id))
		return false;
	return qn_json_get(o, "rawId").p == NULL ||
	       (get_bytes(a, o, "rawId", QN_PASSKEY_ID_MOST, &raw) && same(raw, r->id));
}

static bool read_response(
    struct qn_arena *a, const struct qn_json_object *o, struct qn_webauthn_reply *r)
{
	struct qn_span handle = qn_json_get(o, "userHandle");

	if (!get_bytes(a, o, "clientDataJSON", CLIENT_DATA_MOST, &r->client_data))
		return false;
	if (r->kind == QN_WEBAUTHN_CREATE) {
		r->transports = get_transports(a, o);
		return get_bytes(a, o, "attestationObject", ATTESTATION_MOST, &r->attestation);
	}
	if (qn_json_kind(handle) != 'n' && handle.p != NULL &&
	    !get_bytes(a, o, "userHandle", QN_PASSKEY_USER_MOST, &r->user_handle))
		return false;
	return get_bytes(a, o, "authenticatorData", AUTHDATA_MOST, &r->authdata) &&
	       get_bytes(a, o, "signature", SIGNATURE_MOST, &r->signature);
}

bool qn_webauthn_read(struct qn_arena *a, enum qn_webauthn_kind kind, struct qn_span json,
    struct qn_webauthn_reply *ret, const char **ret_why)
{
	struct qn_webauthn_reply r = {.kind = kind, .arena = a};
	struct qn_json_object all, response;
	const char *type;
	size_t n;

	if (json.n > QN_WEBAUTHN_REPLY_MOST)
		return fail(ret_why, "the reply is too long");
	if (qn_json_scan(a, json, &limits, &all, NULL) != QN_JSON_OK || all.members == NULL)
		return fail(ret_why, "the reply is no JSON object");
	if (!qn_json_str(a, qn_json_get(&all, "type"), &type, &n) ||
	    !qn_span_is((struct qn_span){type, n}, "public-key"))
		return fail(ret_why, "the reply is of another type");
	if (!read_id(a, &all, &r))
		return fail(ret_why, "the reply has no id, or two");
	if (!qn_json_members(a, qn_json_get(&all, "response"), &response) ||
	    !read_response(a, &response, &r))
		return fail(ret_why, "the response lacks a member, or has one of another form");
	*ret = r;
	return true;
}

/* client data (§5.8.1) */

static bool text_is(struct qn_arena *a, struct qn_span value, const char *wanted)
{
	const char *text;
	size_t n;

	return qn_json_str(a, value, &text, &n) && qn_span_is((struct qn_span){text, n}, wanted);
}

static bool is_our_origin(
    struct qn_arena *a, struct qn_span value, const struct qn_webauthn_party *party)
{
	for (const char *const *origin = party->origins; *origin != NULL; origin++)
		if (text_is(a, value, *origin))
			return true;
	return false;
}

static bool is_challenge(
    struct qn_arena *a, struct qn_span value, const struct qn_webauthn_terms *t)
{
	char wanted[QN_WEBAUTHN_CHALLENGE_LEN * 4 / 3 + 3];
	size_t n = qn_b64url_encode(t->challenge, sizeof(t->challenge), wanted);
	struct qn_span text = {NULL, 0};

	return qn_json_str(a, value, &text.p, &text.n) && same(text, (struct qn_span){wanted, n});
}

static bool check_client_data(const struct qn_webauthn_reply *r, const struct qn_webauthn_terms *t,
    const char *type, const char **ret_why)
{
	struct qn_json_object o;
	struct qn_span cross;
	bool is_cross = false;

	if (qn_json_scan(r->arena, r->client_data, &limits, &o, NULL) != QN_JSON_OK ||
	    o.members == NULL)
		return fail(ret_why, "the client data is no JSON object");
	if (!text_is(r->arena, qn_json_get(&o, "type"), type))
		return fail(ret_why, "the client data is of another type");
	if (!is_challenge(r->arena, qn_json_get(&o, "challenge"), t))
		return fail(ret_why, "another challenge");
	if (!is_our_origin(r->arena, qn_json_get(&o, "origin"), t->party))
		return fail(ret_why, "another origin");
	cross = qn_json_get(&o, "crossOrigin");
	if ((cross.p != NULL && (!qn_json_bool(cross, &is_cross) || is_cross)) ||
	    qn_json_get(&o, "topOrigin").p != NULL)
		return fail(ret_why, "asked inside a page of another origin");
	return true;
}

/* authenticator data (§6.1) */

struct authdata {
	uint8_t flags;
	uint32_t count;
	uint8_t aaguid[QN_AAGUID_LEN];
	struct qn_span id, key;
	bool hmac_secret;
};

static bool read_credential(struct cbor *c, struct authdata *d)
{
	size_t head = QN_AAGUID_LEN + 2;

	if ((size_t)(c->end - c->p) < head)
		return false;
	memcpy(d->aaguid, c->p, QN_AAGUID_LEN);
	d->id.n = (size_t)c->p[QN_AAGUID_LEN] << 8 | c->p[QN_AAGUID_LEN + 1];
	c->p += head;
	if (d->id.n == 0 || d->id.n > QN_PASSKEY_ID_MOST || (size_t)(c->end - c->p) < d->id.n)
		return false;
	d->id.p = (const char *)c->p;
	c->p += d->id.n;
	return cbor_at_map(c) && cbor_skip(c, &d->key);
}

/* One map of names and anything. We ask for no extension, and heed none. */
static bool read_extensions(struct cbor *c, struct authdata *d)
{
	size_t pairs;

	if (!cbor_map(c, &pairs))
		return false;
	for (size_t i = 0; i < pairs; i++) {
		struct qn_span name;
		if (!cbor_text(c, &name) || !cbor_skip(c, NULL))
			return false;
		d->hmac_secret = d->hmac_secret || qn_span_is(name, "hmac-secret");
	}
	return true;
}

static bool read_authdata(struct qn_span raw, struct authdata *ret)
{
	const uint8_t *p = (const uint8_t *)raw.p;
	struct authdata d = {0};
	struct cbor c;

	if (raw.n < HEAD_LEN || raw.n > AUTHDATA_MOST)
		return false;
	d.flags = p[FLAGS_AT];
	for (int i = 0; i < 4; i++)
		d.count = d.count << 8 | p[COUNT_AT + i];
	c = (struct cbor){p + HEAD_LEN, p + raw.n};
	if (((d.flags & FLAG_AT) != 0 && !read_credential(&c, &d)) ||
	    ((d.flags & FLAG_ED) != 0 && !read_extensions(&c, &d)) || c.p != c.end)
		return false;
	*ret = d;
	return true;
}

static bool check_authdata(struct qn_span raw, const struct qn_webauthn_terms *t,
    struct authdata *ret, const char **ret_why)
{
	uint8_t hash[HASH_LEN];

	if (!read_authdata(raw, ret))
		return fail(ret_why, "the authenticator data is malformed");
	qn_sha256(t->party->id, strlen(t->party->id), hash);
	if (!qn_equal_ct(raw.p, hash, HASH_LEN))
		return fail(ret_why, "made for another party");
	if ((ret->flags & FLAG_UP) == 0)
		return fail(ret_why, "nobody was present");
	if (t->user_verification && (ret->flags & FLAG_UV) == 0)
		return fail(ret_why, "the user was not verified");
	if ((ret->flags & FLAG_BS) != 0 && (ret->flags & FLAG_BE) == 0)
		return fail(ret_why, "backed up, and not to be backed up");
	return true;
}

/* registration (§7.1) */

/* The attestation object (§6.5.4): a format, its statement, the authenticator data. The statement is
 * read over, but one of "none" is empty. */
static bool read_attestation(struct qn_span raw, struct qn_span *ret_authdata)
{
	struct qn_span name, fmt = {NULL, 0}, statement = {NULL, 0}, authdata = {NULL, 0};
	struct cbor c = cbor_of(raw);
	size_t pairs;

	if (!cbor_map(&c, &pairs))
		return false;
	for (size_t i = 0; i < pairs; i++) {
		bool ok = cbor_text(&c, &name);
		if (ok && qn_span_is(name, "fmt"))
			ok = fmt.p == NULL && cbor_text(&c, &fmt);
		else if (ok && qn_span_is(name, "attStmt"))
			ok = statement.p == NULL && cbor_at_map(&c) && cbor_skip(&c, &statement);
		else if (ok && qn_span_is(name, "authData"))
			ok = authdata.p == NULL && cbor_bytes(&c, &authdata);
		else
			ok = ok && cbor_skip(&c, NULL);
		if (!ok)
			return false;
	}
	if (c.p != c.end || fmt.n == 0 || fmt.n > FMT_MOST || statement.p == NULL ||
	    authdata.p == NULL || (qn_span_is(fmt, "none") && statement.n != 1))
		return false;
	*ret_authdata = authdata;
	return true;
}

bool qn_webauthn_register(const struct qn_webauthn_reply *r, const struct qn_webauthn_terms *t,
    struct qn_passkey *ret, const char **ret_why)
{
	struct qn_span raw;
	struct cose_key key;
	struct authdata d;

	if (r->kind != QN_WEBAUTHN_CREATE)
		return fail(ret_why, "a reply to another question");
	if (!check_client_data(r, t, "webauthn.create", ret_why))
		return false;
	if (!read_attestation(r->attestation, &raw))
		return fail(ret_why, "the attestation object is malformed");
	if (!check_authdata(raw, t, &d, ret_why))
		return false;
	if ((d.flags & FLAG_AT) == 0 || !same(d.id, r->id))
		return fail(ret_why, "no credential, or another than its id says");
	if (!cose_key_read(d.key, &key))
		return fail(ret_why, "a key of a kind that we did not ask for, or a damaged one");
	*ret = (struct qn_passkey){
	    .id = d.id,
	    .key = d.key,
	    .count = d.count,
	    .transports = r->transports,
	    .user_verified = (d.flags & FLAG_UV) != 0,
	    .backup_eligible = (d.flags & FLAG_BE) != 0,
	    .backed_up = (d.flags & FLAG_BS) != 0,
	};
	memcpy(ret->aaguid, d.aaguid, QN_AAGUID_LEN);
	return true;
}

/* authentication (§7.2) */

static bool check_owner(const struct qn_webauthn_reply *r, const struct qn_passkey *kept,
    bool named, const char **ret_why)
{
	if (r->kind != QN_WEBAUTHN_GET)
		return fail(ret_why, "a reply to another question");
	if (kept->id.n == 0 || !same(r->id, kept->id))
		return fail(ret_why, "another passkey");
	if (r->user_handle.p == NULL ? !named : !same(r->user_handle, kept->user))
		return fail(ret_why, "another user's passkey");
	return true;
}

static bool check_signature(const struct qn_webauthn_reply *r, const struct qn_webauthn_terms *t,
    const struct qn_passkey *kept, const struct authdata *d)
{
	uint8_t hash[QN_SHA256_LEN];
	struct cose_key key;
	struct cose_signed s = {.rp_id = t->party->id,
	    .authdata = r->authdata,
	    .client_hash = hash,
	    .signature = r->signature,
	    .user_verification = t->user_verification,
	    .hmac_secret = d->hmac_secret};

	qn_sha256(r->client_data.p, r->client_data.n, hash);
	return cose_key_read(kept->key, &key) && cose_key_verify(&key, &s);
}

bool qn_webauthn_verify(const struct qn_webauthn_reply *r, const struct qn_webauthn_terms *t,
    const struct qn_passkey *kept, bool named, struct qn_passkey_use *ret, const char **ret_why)
{
	struct authdata d;

	if (!check_owner(r, kept, named, ret_why) ||
	    !check_client_data(r, t, "webauthn.get", ret_why) ||
	    !check_authdata(r->authdata, t, &d, ret_why))
		return false;
	if ((d.flags & FLAG_AT) != 0)
		return fail(ret_why, "a credential where none belongs");
	if (((d.flags & FLAG_BE) != 0) != kept->backup_eligible)
		return fail(ret_why, "the passkey has changed its kind");
	if (!check_signature(r, t, kept, &d))
		return fail(ret_why, "the signature is not the passkey's");
	*ret = (struct qn_passkey_use){
	    .count = d.count,
	    .regressed = (d.count != 0 || kept->count != 0) && d.count <= kept->count,
	    .user_verified = (d.flags & FLAG_UV) != 0,
	    .backed_up = (d.flags & FLAG_BS) != 0,
	};
	return true;
}
