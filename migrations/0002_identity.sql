-- Accounts: passwords, sessions, one-time tokens, second factors, API keys, counted attempts, the audit
-- log (DESIGN.md §5, §6; CONTRACT B2-B6, C1, C10, C30, D4-D12, D23, E8, E10, X1-X9).

ALTER TABLE users
    ADD COLUMN password_hash text CHECK (length(password_hash) <= 256), -- Argon2id; NULL: signs in by other means
    ADD COLUMN first_name text CHECK (length(first_name) <= 100),
    ADD COLUMN last_name text CHECK (length(last_name) <= 100),
    ADD COLUMN avatar_url text CHECK (length(avatar_url) <= 2000),
    ADD COLUMN company_name text CHECK (length(company_name) <= 200),
    ADD COLUMN industry text CHECK (length(industry) <= 100),
    ADD COLUMN job_role text CHECK (length(job_role) <= 100),
    ADD COLUMN usage_purpose text CHECK (length(usage_purpose) <= 500),
    ADD COLUMN mfa_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN platform_role text CHECK (platform_role IN ('support', 'admin')), -- of this deployment's staff
    ADD COLUMN last_login_at timestamptz,
    ADD COLUMN delete_after timestamptz; -- the account was given up; it is erased then

CREATE INDEX users_delete_after ON users (delete_after) WHERE delete_after IS NOT NULL;

DROP TRIGGER users_announce ON users;
CREATE TRIGGER users_announce
    AFTER UPDATE OF plan, suspended_at, email, email_verified, mfa_enabled, platform_role, delete_after OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION announce_user();

-- The last few, so that none of them comes back (X8).
CREATE TABLE password_history (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, created_at)
);

-- A sign-in that lasts. A browser's is a cookie of which only the SHA-256 is here; a program's is a
-- refresh token, which names the row and its generation and carries a MAC: nothing of it is stored.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL,
    user_id uuid NOT NULL,
    cookie_hash bytea UNIQUE CHECK (length(cookie_hash) = 32), -- NULL: it has refresh tokens
    generation integer NOT NULL DEFAULT 1,                     -- of the refresh token that is good
    rotated_at timestamptz,
    method text NOT NULL,                                      -- password, magic-link, google, …
    aal smallint NOT NULL DEFAULT 1 CHECK (aal IN (1, 2)),     -- 2: with a second factor
    proved_at timestamptz NOT NULL DEFAULT now(),              -- when a factor was shown last
    device_id text CHECK (length(device_id) <= 200),
    device_name text CHECK (length(device_name) <= 200),
    ip text,
    user_agent text CHECK (length(user_agent) <= 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_for text,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_user ON sessions (user_id, id DESC);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- What is mailed or shown once: only its SHA-256 is here, and taking it deletes it (SECURITY T6, T13).
CREATE TABLE one_time_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose ~ '^[a-z][a-z-]{0,31}$'),
    payload json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX one_time_tokens_user ON one_time_tokens (user_id, purpose);
CREATE INDEX one_time_tokens_expiry ON one_time_tokens (expires_at);

-- Second factors (D10, X6, SECURITY T14).
CREATE TABLE totp_factors (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret_sealed bytea NOT NULL,
    confirmed_at timestamptz,
    last_step bigint NOT NULL DEFAULT 0, -- no code of this step or before is taken again
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);
CREATE TABLE passkeys (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL,
    user_id uuid NOT NULL,
    credential_id bytea NOT NULL CHECK (length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea NOT NULL, -- COSE
    sign_count bigint NOT NULL DEFAULT 0,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    UNIQUE (app_id, credential_id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX passkeys_user ON passkeys (user_id);

-- prefix + public_id + secret + checksum is a key; the SHA-256 of the whole of it is here (T35).
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    public_id text NOT NULL,
    key_prefix text NOT NULL, -- its first characters, to be told apart by (E10)
    key_hash bytea NOT NULL CHECK (length(key_hash) = 32),
    scopes text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 32),
    ip_allow cidr[] NOT NULL DEFAULT '{}', -- empty: from anywhere
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, public_id),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_user ON api_keys (user_id, id DESC);

-- Guesses are counted before anything is verified, in one committed statement (SECURITY T9).
CREATE TABLE attempts (
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    subject bytea NOT NULL, -- SHA-256 of what is guessed at, and by whom
    tried integer NOT NULL DEFAULT 0,
    refused integer NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    blocked_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (app_id, subject)
);
CREATE INDEX attempts_age ON attempts (last_at);

-- Seconds to wait, 0 to go on. The first p_free are free within an hour of each other; then each must wait
-- twice as long as the one before, up to a quarter of an hour. Who is refused does not wait longer for it.
CREATE FUNCTION attempt(p_app uuid, p_subject bytea, p_free integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    now_is timestamptz := clock_timestamp();
    a attempts;
BEGIN
    INSERT INTO attempts (app_id, subject) VALUES (p_app, p_subject) ON CONFLICT DO NOTHING;
    SELECT * INTO a FROM attempts t WHERE t.app_id = p_app AND t.subject = p_subject FOR UPDATE;
    now_is := clock_timestamp();
    IF a.blocked_until > now_is THEN
        UPDATE attempts t SET refused = t.refused + 1 WHERE t.app_id = p_app AND t.subject = p_subject;
        RETURN ceil(extract(epoch FROM a.blocked_until - now_is));
    END IF;
    a.tried := CASE WHEN a.last_at < now_is - interval '1 hour' THEN 1 ELSE a.tried + 1 END;
    UPDATE attempts t
       SET tried = a.tried, last_at = now_is,
           blocked_until = CASE WHEN a.tried >= p_free
               THEN now_is + least(power(2, least(a.tried - p_free, 20)), 900) * interval '1 second'
               ELSE '-infinity' END
     WHERE t.app_id = p_app AND t.subject = p_subject;
    RETURN 0;
END $$;

-- What happened to whose rights. Appended only; each row carries the hash of the one before it in its
-- chain: the organisation's, or the app's for what concerns none. No foreign keys: it outlives all.
CREATE TABLE audit_logs (
    chain uuid NOT NULL, -- of the organisation, else of the app
    seq bigint NOT NULL,
    id uuid NOT NULL,
    app_id uuid NOT NULL,
    organization_id uuid,
    user_id uuid, -- who did it; NULL: nobody signed in, or an operator
    action text NOT NULL CHECK (action ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    resource_type text,
    resource_id text,
    details json NOT NULL DEFAULT '{}',
    ip_address text,
    user_agent text,
    request_id text,
    created_at timestamptz NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_logs_user ON audit_logs (user_id, created_at);
CREATE INDEX audit_logs_time ON audit_logs (chain, created_at);

CREATE TABLE audit_heads (
    chain uuid PRIMARY KEY,
    seq bigint NOT NULL,
    hash bytea NOT NULL
);

-- The hash of a row and the one before. ip_address, user_agent and user_id are not in it: retention and
-- erasure may blank them and the chain still holds.
CREATE FUNCTION audit_hash(p_before bytea, a audit_logs) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(p_before || convert_to(json_build_array(a.chain, a.seq, a.id, a.app_id, a.organization_id, a.action,
        a.resource_type, a.resource_id, a.details, a.request_id, extract(epoch FROM a.created_at))::text, 'UTF8'))
$$;

CREATE FUNCTION audit(p_id uuid, p_app uuid, p_organization uuid, p_user uuid, p_action text, p_type text,
    p_resource text, p_details json, p_ip text, p_agent text, p_request text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head audit_heads;
    a audit_logs;
BEGIN
    a.chain := coalesce(p_organization, p_app);
    INSERT INTO audit_heads (chain, seq, hash) VALUES (a.chain, 0, '') ON CONFLICT DO NOTHING;
    SELECT * INTO head FROM audit_heads h WHERE h.chain = a.chain FOR UPDATE;
    a.seq := head.seq + 1;
    a.id := p_id;
    a.app_id := p_app;
    a.organization_id := p_organization;
    a.user_id := p_user;
    a.action := p_action;
    a.resource_type := p_type;
    a.resource_id := p_resource;
    a.details := coalesce(p_details, '{}');
    a.ip_address := p_ip;
    a.user_agent := left(p_agent, 500);
    a.request_id := p_request;
    a.created_at := clock_timestamp();
    a.hash := audit_hash(head.hash, a);
    INSERT INTO audit_logs SELECT (a).*;
    UPDATE audit_heads h SET seq = a.seq, hash = a.hash WHERE h.chain = a.chain;
END $$;

-- A credential that was taken back is forgotten by every worker, like its user's rights.
CREATE FUNCTION announce_credential() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_revoke', 'user:' || OLD.user_id);
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_changed AFTER UPDATE OF revoked_at, aal, proved_at ON sessions
    FOR EACH ROW EXECUTE FUNCTION announce_credential();
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND OLD.expires_at > now()) EXECUTE FUNCTION announce_credential();
CREATE TRIGGER api_keys_changed AFTER UPDATE OF revoked_at, scopes, ip_allow, expires_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION announce_credential();
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION announce_credential();

-- Takes back all sessions of a user but one (NULL: all), and what could make new ones.
CREATE FUNCTION sign_out_everywhere(p_app uuid, p_user uuid, p_except uuid, p_why text) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    UPDATE sessions s SET revoked_at = clock_timestamp(), revoked_for = p_why
     WHERE s.app_id = p_app AND s.user_id = p_user AND s.revoked_at IS NULL AND s.id IS DISTINCT FROM p_except;
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM one_time_tokens t
     WHERE t.user_id = p_user AND t.purpose IN ('reset-password', 'magic-link', 'mfa', 'cli-code');
    RETURN n;
END $$;
