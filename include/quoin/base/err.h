/*
 * The closed list of outcomes (DESIGN §8, CONTRACT K14-K16). Each has one HTTP status, one code and
 * the one sentence that a client may read. A function returns its error or logs it, never both. Those that
 * RFC 6749 and RFC 8628 name have the name for a sentence, as their clients look for it in "error".
 */
#ifndef QUOIN_BASE_ERR_H
#define QUOIN_BASE_ERR_H

#define QN_ERRORS(X) \
	X(OK, 200, "ok", "") \
	X(NOT_MODIFIED, 304, "not-modified", "") \
	X(BAD_REQUEST, 400, "bad-request", "The request is malformed.") \
	X(BAD_JSON, 400, "bad-json", "The body is not acceptable JSON.") \
	X(BAD_PAYLOAD, 400, "invalid-payload", "Invalid payload") \
	X(BAD_SIGNATURE, 400, "invalid-signature", "Invalid signature") \
	X(PRICE, 400, "unknown-price", "There is no such price.") \
	X(PAYMENT_REFUSED, 400, "payment-refused", "The payment provider refused the request.") \
	X(MIXED_CREDENTIALS, 400, "mixed-credentials", \
	    "The request carries more than one kind of credential.") \
	X(NO_FIELDS, 400, "no-valid-fields", "No valid fields to update") \
	X(GRANT_PENDING, 400, "authorization-pending", "authorization_pending") \
	X(SLOW_DOWN, 400, "slow-down", "slow_down") \
	X(GRANT_EXPIRED, 400, "expired-token", "expired_token") \
	X(GRANT_DENIED, 400, "access-denied", "access_denied") \
	X(BAD_GRANT, 400, "invalid-grant", "invalid_grant") \
	X(UNAUTHENTICATED, 401, "not-authenticated", "Not authenticated") \
	X(KEY_UNKNOWN, 401, "signing-key-unknown", "Unable to find appropriate key") \
	X(TOKEN_MALFORMED, 401, "token-malformed", "Invalid token: it is malformed.") \
	X(TOKEN_ALGORITHM, 401, "token-algorithm", \
	    "Invalid token: The specified alg value is not allowed") \
	X(TOKEN_SIGNATURE, 401, "token-signature", \
	    "Invalid token: Signature verification failed.") \
	X(TOKEN_EXPIRED, 401, "token-expired", "Invalid token: Signature has expired.") \
	X(TOKEN_EARLY, 401, "token-not-yet-valid", "Invalid token: The token is not yet valid.") \
	X(TOKEN_ISSUER, 401, "token-issuer", "Invalid token: Invalid issuer") \
	X(TOKEN_AUDIENCE, 401, "token-audience", "Invalid token: Invalid audience") \
	X(TOKEN_CLAIMS, 401, "token-claims", \
	    "Invalid token: a required claim is missing or wrong.") \
	X(BAD_CREDENTIALS, 401, "invalid-credentials", "Invalid email or password") \
	X(BAD_REFRESH, 401, "invalid-refresh-token", \
	    "The refresh token is invalid or has expired.") \
	X(BAD_CODE, 401, "invalid-code", "The code is wrong or has expired.") \
	X(BAD_MFA_TOKEN, 401, "invalid-mfa-token", \
	    "This sign-in was given up or has expired. Sign in again.") \
	X(BAD_PASSKEY, 401, "invalid-passkey", "The passkey was not accepted.") \
	X(BAD_KEY, 401, "invalid-api-key", "Invalid or expired API key") \
	X(KEY_REQUIRED, 401, "api-key-required", "API key required") \
	X(KEY_REFUSED, 403, "api-key-refused", "An API key cannot be used here.") \
	X(SCOPE, 403, "insufficient-scope", "The API key does not have the scope for that.") \
	X(ORIGIN, 403, "origin-refused", "Requests of this origin are refused.") \
	X(MFA_REQUIRED, 403, "mfa-required", "A second factor is required.") \
	X(REAUTHENTICATE, 403, "reauthentication-required", "Sign in again to do that.") \
	X(EMAIL_UNVERIFIED, 403, "email-unverified", "Verify your address first.") \
	X(TIER, 403, "insufficient-tier", "Insufficient subscription tier") \
	X(ROLE, 403, "insufficient-role", "Insufficient organization permissions") \
	X(SUSPENDED, 403, "account-suspended", "This account is suspended.") \
	X(DENIED, 403, "denied", "You do not have permission to do that.") \
	X(NOT_FOUND, 404, "not-found", "Not Found") \
	X(WORKSPACE_NOT_FOUND, 404, "workspace-not-found", "Workspace not found") \
	X(GRAPH_NOT_FOUND, 404, "graph-not-found", "Graph not found") \
	X(VERSION_NOT_FOUND, 404, "version-not-found", "Version not found") \
	X(SHARE_NOT_FOUND, 404, "share-not-found", "Share not found") \
	X(EXECUTION_NOT_FOUND, 404, "execution-not-found", "Execution not found") \
	X(USER_NOT_FOUND, 404, "user-not-found", "User not found") \
	X(SESSION_NOT_FOUND, 404, "session-not-found", "Session not found") \
	X(KEY_NOT_FOUND, 404, "api-key-not-found", "API key not found") \
	X(DEVICE_NOT_FOUND, 404, "device-code-not-found", \
	    "There is no such code, or it has expired.") \
	X(PROVIDER, 404, "provider-not-configured", "This way of signing in is not configured.") \
	X(SSO, 404, "sso-not-configured", "Single sign-on is not configured for this address.") \
	X(ORGANIZATION_NOT_FOUND, 404, "organization-not-found", "Organization not found") \
	X(MEMBER_NOT_FOUND, 404, "member-not-found", "Member not found") \
	X(INVITATION_NOT_FOUND, 404, "invitation-not-found", "Invitation not found") \
	X(LICENCE_NOT_FOUND, 404, "license-not-found", "License not found") \
	X(MACHINE_NOT_FOUND, 404, "device-not-found", "Device not found") \
	X(PASSKEY_NOT_FOUND, 404, "passkey-not-found", "Passkey not found") \
	X(WEBHOOK_NOT_FOUND, 404, "webhook-not-found", "Webhook not found") \
	X(DELIVERY_NOT_FOUND, 404, "delivery-not-found", "Delivery not found") \
	X(SUBSCRIPTION_NOT_FOUND, 404, "subscription-not-found", "No subscription found") \
	X(SUBSCRIPTION_OVER, 404, "subscription-over", "No active subscription found") \
	X(METHOD, 405, "method-not-allowed", "Method Not Allowed") \
	X(CONFLICT, 409, "conflict", "The request conflicts with the present state.") \
	X(VERSION_CONFLICT, 409, "version-conflict", \
	    "The document has changed since the version that you edited.") \
	X(EXECUTION_STATE, 409, "execution-state", "An execution cannot change to that state.") \
	X(IN_PROGRESS, 409, "request-in-progress", \
	    "A request with this Idempotency-Key is still being handled.") \
	X(LIMIT, 409, "limit-reached", "There are as many as there may be.") \
	X(KEY_OVER, 409, "api-key-expired", "The API key has expired; make another one.") \
	X(LAST_OWNER, 409, "last-owner", "An organization keeps at least one owner.") \
	X(SEATS, 409, "no-seats-left", "All seats of the organization are taken.") \
	X(SUBSCRIBED, 409, "already-subscribed", \
	    "There is a subscription already: change that one.") \
	X(LICENCE_STATE, 409, "license-state", "That cannot be done to the license as it is.") \
	X(PLAN_UNKNOWN, 409, "plan-unknown", "The app has no such plan.") \
	X(OWNER_UNKNOWN, 409, "owner-unknown", "There is no such user or organization.") \
	X(RELEASES, 409, "release-limit", \
	    "No more devices of this license can be released this month.") \
	X(LINK_INVALID, 410, "link-invalid", "The link is invalid or has expired.") \
	X(PRECONDITION, 412, "precondition-failed", \
	    "The document has changed since the version named in If-Match.") \
	X(TOO_LARGE, 413, "body-too-large", "The body is larger than this route accepts.") \
	X(MEDIA_TYPE, 415, "unsupported-media-type", "The body must be application/json.") \
	X(INVALID, 422, "invalid-body", "The request does not match the schema.") \
	X(KEY_REUSED, 422, "idempotency-key-reused", \
	    "This Idempotency-Key was used with another request.") \
	X(PRECONDITION_REQUIRED, 428, "precondition-required", \
	    "This workspace demands If-Match or base_version on every save.") \
	X(TOO_MANY, 429, "too-many-attempts", "Too many attempts. Try again later.") \
	X(RATE_LIMITED, 429, "rate-limited", "Rate limit exceeded. Try again later.") \
	X(INTERNAL, 500, "internal", "Internal Server Error") \
	X(UNCERTAIN, 503, "uncertain", \
	    "The outcome is not known. Retry with the same Idempotency-Key.") \
	X(DB_DOWN, 503, "try-later", "Try again later.") \
	X(BILLING, 503, "billing-not-configured", "Billing is not configured.") \
	X(PAYMENT_DOWN, 503, "payment-provider-down", \
	    "The payment provider cannot be reached. Try again later.") \
	X(BUSY, 503, "busy", "Too many ask for this at once. Try again in a moment.") \
	X(RETRY, 503, "contention", "Too much contention. Try again later.")

enum qn_err {
#define X(name, status, code, text) QN_##name,
	QN_ERRORS(X)
#undef X
	    QN_ERR__MAX
};

/* All static strings. `e` outside the list reads as QN_INTERNAL. */
int qn_err_status(enum qn_err e);
const char *qn_err_code(enum qn_err e); /* "not-found" */
const char *qn_err_text(enum qn_err e);

/* Leave the function with the error of `expr`, if it has one. */
#define QN_TRY(expr) \
	do { \
		enum qn_err qn_try_ = (expr); \
		if (qn_try_ != QN_OK) \
			return qn_try_; \
	} while (0)

#define QN_MUST_CHECK   __attribute__((warn_unused_result))
#define QN_PRINTF(f, a) __attribute__((format(printf, f, a)))

#endif
