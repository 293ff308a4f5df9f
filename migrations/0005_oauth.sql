-- Signing in by others: identity providers of apps and of mail domains, flows under way, device logins
-- (CONTRACT C3-C7, C30, D4-D6, E14, E52, X4; SECURITY T4-T7, T9, T12; RFC 8628).

-- A client of ours at a provider. It is offered by its name to all of an app, or to the users of one mail
-- domain. The key set of an OpenID provider is kept as that of an issuer is; it verifies ID tokens and
-- nothing else: no bearer token is believed for it.
CREATE TABLE identity_providers (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name text CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    domain text CHECK (domain = lower(domain) AND length(domain) BETWEEN 3 AND 253),
    kind text NOT NULL CHECK (kind IN ('oidc', 'github')),
    issuer text NOT NULL CHECK (length(issuer) <= 500),
    client_id text NOT NULL CHECK (length(client_id) <= 500),
    secret_sealed bytea NOT NULL, -- with QUOIN_SECRET_KEY
    token_auth text NOT NULL CHECK (token_auth IN ('basic', 'post')),
    authorize_url text NOT NULL CHECK (length(authorize_url) <= 500),
    token_url text NOT NULL CHECK (length(token_url) <= 500),
    userinfo_url text CHECK (length(userinfo_url) <= 500),
    emails_url text CHECK (length(emails_url) <= 500),
    jwks_url text CHECK (length(jwks_url) <= 500),
    scopes text NOT NULL CHECK (length(scopes) <= 500),
    trusted_email boolean NOT NULL DEFAULT false, -- what it says of an address is believed (T4)
    jwks json,
    fetched_at timestamptz,
    attempted_at timestamptz,
    settled_at timestamptz,
    failure text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, name),
    UNIQUE (app_id, domain),
    CHECK ((name IS NULL) <> (domain IS NULL)),
    CHECK (kind <> 'oidc' OR jwks_url IS NOT NULL)
);

-- Somebody was sent to a provider and has not come back yet. Only digests of what the address bar and the
-- cookie of the browser hold are here; coming back deletes the row (T6).
CREATE TABLE oauth_flows (
    state_hash bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    provider_id uuid NOT NULL REFERENCES identity_providers (id) ON DELETE CASCADE,
    browser_hash bytea NOT NULL CHECK (length(browser_hash) = 32),
    nonce text NOT NULL,
    verifier_sealed bytea NOT NULL, -- of PKCE
    return_path text NOT NULL DEFAULT '/' CHECK (return_path ~ '^/([^/\\]|$)' AND length(return_path) <= 200),
    expires_at timestamptz NOT NULL
);
CREATE INDEX oauth_flows_expiry ON oauth_flows (expires_at);
CREATE INDEX oauth_flows_provider ON oauth_flows (provider_id);

-- A program without a browser waits for somebody to approve it elsewhere (RFC 8628).
CREATE TABLE device_grants (
    device_hash bytea PRIMARY KEY CHECK (length(device_hash) = 32),
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_code text NOT NULL CHECK (user_code ~ '^[BCDFGHJKLMNPQRSTVWXZ]{8}$'),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'denied')),
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    aal smallint CHECK (aal IN (1, 2)), -- of the session that approved
    device_id text CHECK (length(device_id) <= 200),
    device_name text CHECK (length(device_name) <= 200),
    ip text,
    interval_s integer NOT NULL DEFAULT 5,
    polled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    UNIQUE (app_id, user_code),
    CHECK ((status = 'approved') = (user_id IS NOT NULL AND aal IS NOT NULL))
);
CREATE INDEX device_grants_expiry ON device_grants (expires_at);
CREATE INDEX device_grants_user ON device_grants (user_id);

-- Asks once more (RFC 8628 §3.5). outcome: 'gone', 'slow', 'pending', 'expired', 'denied', 'approved'; the
-- last three are said once.
CREATE FUNCTION device_poll(p_app uuid, p_hash bytea)
    RETURNS TABLE (outcome text, account uuid, aal integer, device_id text, device_name text) LANGUAGE plpgsql AS $$
DECLARE
    g device_grants;
    now_is timestamptz;
BEGIN
    SELECT * INTO g FROM device_grants d WHERE d.app_id = p_app AND d.device_hash = p_hash FOR UPDATE;
    now_is := clock_timestamp();
    IF g.device_hash IS NULL THEN
        outcome := 'gone';
    ELSIF g.polled_at > now_is - g.interval_s * interval '1 second' THEN
        outcome := 'slow';
        UPDATE device_grants d SET interval_s = least(d.interval_s + 5, 60), polled_at = now_is
         WHERE d.device_hash = p_hash;
    ELSIF g.status = 'pending' AND g.expires_at > now_is THEN
        outcome := 'pending';
        UPDATE device_grants d SET polled_at = now_is WHERE d.device_hash = p_hash;
    ELSE
        outcome := CASE WHEN g.expires_at <= now_is THEN 'expired' ELSE g.status END;
        account := g.user_id;
        aal := g.aal;
        device_id := g.device_id;
        device_name := g.device_name;
        DELETE FROM device_grants d WHERE d.device_hash = p_hash;
    END IF;
    RETURN NEXT;
END $$;

-- The user behind an identity that a provider of ours has just vouched for (T4). p_verified: the provider
-- is trusted with addresses and says that this one is verified. An address leads to a user who is there
-- already only if both sides have verified it; so a password that somebody set on an address that is not
-- theirs is never linked to its owner.
-- outcome: 'known', 'linked', 'new', 'exists' (the address is another's: nothing was done).
CREATE FUNCTION sign_in_identity(p_new_id uuid, p_app uuid, p_issuer text, p_subject text, p_email text,
    p_verified boolean, p_first text, p_last text, p_name text, p_avatar text)
    RETURNS TABLE (outcome text, account uuid) LANGUAGE plpgsql AS $$
DECLARE
    owner users;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_app || ' ' || p_issuer || ' ' || p_subject, 0));
    SELECT i.user_id INTO account FROM identities i
     WHERE i.app_id = p_app AND i.issuer = p_issuer AND i.subject = p_subject;
    IF FOUND THEN
        outcome := 'known';
        UPDATE identities i SET email = p_email, email_verified = p_verified
         WHERE i.app_id = p_app AND i.issuer = p_issuer AND i.subject = p_subject
           AND (i.email, i.email_verified) IS DISTINCT FROM (p_email, p_verified);
    ELSE
        SELECT * INTO owner FROM users u WHERE u.app_id = p_app AND lower(u.email) = lower(p_email)
           FOR NO KEY UPDATE;
        IF owner.id IS NULL THEN
            INSERT INTO users (id, app_id, email, email_verified)
            VALUES (p_new_id, p_app, CASE WHEN p_verified THEN p_email END, p_verified)
            ON CONFLICT DO NOTHING;
            outcome := CASE WHEN FOUND THEN 'new' ELSE 'exists' END; -- somebody took the address just now
            account := p_new_id;
        ELSIF p_verified AND owner.email_verified THEN
            outcome := 'linked';
            account := owner.id;
        ELSE
            outcome := 'exists';
        END IF;
        IF outcome = 'exists' THEN
            account := NULL;
            RETURN NEXT;
            RETURN;
        END IF;
        INSERT INTO identities (app_id, issuer, subject, user_id, email, email_verified)
        VALUES (p_app, p_issuer, p_subject, account, p_email, p_verified);
    END IF;
    -- What the user has not said is as the provider has it (C7).
    UPDATE users u
       SET first_name = coalesce(u.first_name, left(p_first, 100)),
           last_name = coalesce(u.last_name, left(p_last, 100)),
           display_name = coalesce(u.display_name, left(p_name, 200)),
           avatar_url = coalesce(u.avatar_url, p_avatar), updated_at = clock_timestamp()
     WHERE u.id = account
       AND ((u.first_name IS NULL AND p_first IS NOT NULL) OR (u.last_name IS NULL AND p_last IS NOT NULL)
         OR (u.display_name IS NULL AND p_name IS NOT NULL) OR (u.avatar_url IS NULL AND p_avatar IS NOT NULL));
    RETURN NEXT;
END $$;
