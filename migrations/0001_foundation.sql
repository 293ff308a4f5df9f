-- Apps, users, identities, workspaces, versioned documents, shares, executions, jobs
-- (DESIGN.md §3, §6; CONTRACT A5-A10, K8-K11).

-- An app is one product. Its file is kept whole in config; what statements need has its own column.
CREATE TABLE apps (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name text NOT NULL,
    config json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Who may say who somebody is: OIDC issuers of an app, with the last key set that was fetched.
CREATE TABLE issuers (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    issuer text NOT NULL,
    audience text NOT NULL,
    jwks_url text NOT NULL,
    algorithms text[] NOT NULL,
    jwks json,
    fetched_at timestamptz,    -- when jwks was fetched
    attempted_at timestamptz,  -- when the last fetch began: at most one a minute
    settled_at timestamptz,    -- when it ended, well or not: before attempted_at one is under way
    failure text,              -- why the last fetch failed, NULL when it did not
    UNIQUE (app_id, issuer)
);

-- Keys that Quoin itself signs with, per app; the private half is sealed with QUOIN_SECRET_KEY.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    algorithm text NOT NULL CHECK (algorithm IN ('ES256')),
    public_jwk json NOT NULL,
    private_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
CREATE INDEX signing_keys_app ON signing_keys (app_id, created_at DESC);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    email text CHECK (length(email) <= 320),
    email_verified boolean NOT NULL DEFAULT false,
    display_name text CHECK (length(display_name) <= 200),
    plan text NOT NULL DEFAULT 'free',
    suspended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, id)
);
CREATE UNIQUE INDEX users_email ON users (app_id, lower(email));

-- Identity is (issuer, subject): an e-mail address never is (SECURITY T4).
CREATE TABLE identities (
    app_id uuid NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id uuid NOT NULL,
    email text,
    email_verified boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app_id, issuer, subject),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX identities_user ON identities (user_id);

CREATE TABLE workspaces (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description text CHECK (length(description) <= 2000),
    require_base boolean NOT NULL DEFAULT false, -- saves must name the version they edited (428)
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, id),
    FOREIGN KEY (app_id, owner_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX workspaces_owner ON workspaces (owner_id, id DESC);

-- A document's head. What it holds is its current row of document_versions: heads stay small, so
-- lists and saves touch few pages, and a version is written once and never again.
CREATE TABLE documents (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('graph')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    version integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32), -- of the current data
    is_public boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, id),
    FOREIGN KEY (app_id, workspace_id) REFERENCES workspaces (app_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
CREATE INDEX documents_workspace ON documents (workspace_id, kind, id DESC);

-- json, not jsonb: returned byte for byte as the client sent it.
CREATE TABLE document_versions (
    document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version integer NOT NULL CHECK (version >= 1),
    data json NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    size integer NOT NULL, -- bytes of data
    message text CHECK (length(message) <= 2000), -- of the save that made this version
    created_by uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document_id, version)
);
ALTER TABLE document_versions ALTER COLUMN data SET COMPRESSION lz4;

CREATE TABLE document_shares (
    document_id uuid NOT NULL,
    app_id uuid NOT NULL,
    user_id uuid NOT NULL,
    permission text NOT NULL CHECK (permission IN ('read', 'write', 'admin')),
    granted_by uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (document_id, user_id),
    FOREIGN KEY (app_id, document_id) REFERENCES documents (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX document_shares_user ON document_shares (user_id, document_id DESC);

CREATE TABLE executions (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL,
    document_id uuid NOT NULL,
    user_id uuid,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed')),
    version integer NOT NULL, -- of the document when it was started
    progress integer NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    started_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    error text CHECK (length(error) <= 10000),
    results json,
    FOREIGN KEY (app_id, document_id) REFERENCES documents (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL,
    CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL))
);
CREATE INDEX executions_document ON executions (document_id, id DESC);

-- Who may do what: 4 owner, 3 admin, 2 write, 1 read. Every statement reaches a row through these.
CREATE VIEW workspace_access AS
    SELECT w.app_id, w.id AS workspace_id, w.owner_id AS user_id, 4 AS level FROM workspaces w;

CREATE VIEW document_access AS
    SELECT d.app_id, d.id AS document_id, a.user_id, a.level
      FROM documents d JOIN workspace_access a ON a.workspace_id = d.workspace_id
    UNION ALL
    SELECT s.app_id, s.document_id, s.user_id,
           CASE s.permission WHEN 'admin' THEN 3 WHEN 'write' THEN 2 ELSE 1 END
      FROM document_shares s;

-- Replies kept for a day so that a POST sent twice has one effect (SECURITY T39).
CREATE TABLE idempotency_keys (
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    principal text NOT NULL,
    key_hash bytea NOT NULL, -- SHA-256 of route and key
    request_hash bytea NOT NULL,
    status integer NOT NULL,
    reply bytea NOT NULL,
    etag text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app_id, principal, key_hash)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

-- Work for the jobs pool. A job that keeps failing becomes a dead letter and stays to be looked at.
CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    app_id uuid REFERENCES apps (id) ON DELETE CASCADE,
    payload json NOT NULL DEFAULT '{}',
    unique_key text, -- at most one waiting job of this key
    run_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 10,
    failure text,
    dead_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX jobs_due ON jobs (run_at) WHERE dead_at IS NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key) WHERE dead_at IS NULL;

-- What workers may have cached and must forget at once: the listener of each pool hears it.
CREATE FUNCTION announce_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_revoke', 'user:' || OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER users_announce AFTER UPDATE OF plan, suspended_at, email, email_verified OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION announce_user();

CREATE FUNCTION announce_apps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_apps', '');
    RETURN NULL;
END $$;
CREATE TRIGGER apps_announce AFTER INSERT OR UPDATE OR DELETE ON apps
    FOR EACH STATEMENT EXECUTE FUNCTION announce_apps();
CREATE TRIGGER issuers_announce AFTER INSERT OR UPDATE OR DELETE ON issuers
    FOR EACH STATEMENT EXECUTE FUNCTION announce_apps();
CREATE TRIGGER signing_keys_announce AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION announce_apps();

CREATE FUNCTION announce_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_jobs', '');
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_announce AFTER INSERT ON jobs
    FOR EACH STATEMENT EXECUTE FUNCTION announce_job();

-- The user behind an identity, made at first sight. An e-mail address that another user of the app
-- already has is kept with the identity only.
CREATE FUNCTION user_of_identity(p_new_id uuid, p_app uuid, p_issuer text, p_subject text, p_email text,
    p_verified boolean, p_name text)
    RETURNS TABLE (id uuid, email text, plan text, suspended boolean) LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid;
BEGIN
    SELECT i.user_id INTO found_id FROM identities i
     WHERE i.app_id = p_app AND i.issuer = p_issuer AND i.subject = p_subject;
    IF found_id IS NULL THEN
        -- Two first sights at once: the second waits here and then finds the first one's.
        PERFORM pg_advisory_xact_lock(hashtextextended(p_app || ' ' || p_issuer || ' ' || p_subject, 0));
        SELECT i.user_id INTO found_id FROM identities i
         WHERE i.app_id = p_app AND i.issuer = p_issuer AND i.subject = p_subject;
    END IF;
    IF found_id IS NULL THEN
        INSERT INTO users (id, app_id, email, email_verified, display_name)
        VALUES (p_new_id, p_app,
                CASE WHEN p_verified AND NOT EXISTS (
                    SELECT 1 FROM users u WHERE u.app_id = p_app AND lower(u.email) = lower(p_email))
                THEN p_email END,
                p_verified, p_name)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN -- somebody took the address just now
            INSERT INTO users (id, app_id, display_name) VALUES (p_new_id, p_app, p_name);
        END IF;
        INSERT INTO identities (app_id, issuer, subject, user_id, email, email_verified)
        VALUES (p_app, p_issuer, p_subject, p_new_id, p_email, p_verified);
        found_id := p_new_id;
    END IF;
    RETURN QUERY SELECT u.id, u.email, u.plan, u.suspended_at IS NOT NULL FROM users u WHERE u.id = found_id;
END $$;

-- Saves a document: a new version when the data is new, a new name when one is given.
-- outcome: 'missing', 'denied', 'conflict', 'base' (the workspace demands one), 'same', 'saved'.
CREATE FUNCTION document_save(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_base integer[], p_name text,
    p_public boolean, p_data json, p_sha256 bytea, p_size integer, p_message text)
    RETURNS TABLE (outcome text, version integer, updated_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    head documents;
    rights integer;
    demands boolean;
BEGIN
    SELECT max(a.level) INTO rights FROM document_access a
     WHERE a.document_id = p_id AND a.app_id = p_app AND a.user_id = p_user;
    IF rights IS NULL THEN
        RETURN QUERY SELECT 'missing', NULL::integer, NULL::timestamptz;
        RETURN;
    END IF;
    SELECT * INTO head FROM documents d WHERE d.id = p_id AND d.kind = p_kind FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'missing', NULL::integer, NULL::timestamptz;
        RETURN;
    END IF;
    IF rights < 2 OR (p_public IS DISTINCT FROM head.is_public AND p_public IS NOT NULL AND rights < 3) THEN
        RETURN QUERY SELECT 'denied', head.version, head.updated_at;
        RETURN;
    END IF;
    SELECT w.require_base INTO demands FROM workspaces w WHERE w.id = head.workspace_id;
    IF demands AND p_base IS NULL AND p_data IS NOT NULL THEN
        RETURN QUERY SELECT 'base', head.version, head.updated_at;
        RETURN;
    END IF;
    IF p_base IS NOT NULL AND head.version <> ALL (p_base) THEN
        RETURN QUERY SELECT 'conflict', head.version, head.updated_at;
        RETURN;
    END IF;
    IF p_sha256 IS NOT NULL AND p_sha256 <> head.sha256 THEN
        head.version := head.version + 1;
        head.sha256 := p_sha256;
        INSERT INTO document_versions (document_id, version, data, sha256, size, message, created_by)
        VALUES (p_id, head.version, p_data, p_sha256, p_size, p_message, p_user);
    ELSIF coalesce(p_name, head.name) = head.name AND coalesce(p_public, head.is_public) = head.is_public THEN
        RETURN QUERY SELECT 'same', head.version, head.updated_at;
        RETURN;
    END IF;
    RETURN QUERY UPDATE documents d
        SET version = head.version, sha256 = head.sha256, name = coalesce(p_name, d.name),
            is_public = coalesce(p_public, d.is_public), updated_at = clock_timestamp()
        WHERE d.id = p_id
        RETURNING 'saved', d.version, d.updated_at;
END $$;

-- Makes an old version current again, as a new version (CONTRACT A21).
-- outcome: 'missing', 'denied', 'version' (there is no such version), 'saved'.
CREATE FUNCTION document_restore(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_version integer)
    RETURNS TABLE (outcome text, version integer) LANGUAGE plpgsql AS $$
DECLARE
    head documents;
    rights integer;
BEGIN
    SELECT max(a.level) INTO rights FROM document_access a
     WHERE a.document_id = p_id AND a.app_id = p_app AND a.user_id = p_user;
    IF rights IS NOT NULL THEN
        SELECT * INTO head FROM documents d WHERE d.id = p_id AND d.kind = p_kind FOR NO KEY UPDATE;
    END IF;
    IF head.id IS NULL OR rights < 2 THEN
        RETURN QUERY SELECT CASE WHEN head.id IS NULL THEN 'missing' ELSE 'denied' END, NULL::integer;
        RETURN;
    END IF;
    INSERT INTO document_versions (document_id, version, data, sha256, size, message, created_by)
    SELECT p_id, head.version + 1, v.data, v.sha256, v.size,
           'Before restoring to version ' || p_version, p_user
      FROM document_versions v WHERE v.document_id = p_id AND v.version = p_version AND p_version < head.version;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'version', head.version;
        RETURN;
    END IF;
    RETURN QUERY UPDATE documents d
        SET version = d.version + 1,
            sha256 = (SELECT v.sha256 FROM document_versions v WHERE v.document_id = p_id AND v.version = p_version),
            updated_at = clock_timestamp()
        WHERE d.id = p_id
        RETURNING 'saved', d.version;
END $$;

-- Shares a document, or changes a share. p_who is a user of the app, by id or by address.
-- With p_change there must be one already. outcome: 'missing', 'denied', 'share' (there is none to change),
-- 'user' (there is no such user), 'owner' (who needs no share), 'saved'.
CREATE FUNCTION document_share(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_who uuid, p_email text,
    p_permission text, p_change boolean)
    RETURNS TABLE (outcome text, user_id uuid, email text, permission text, created_at timestamptz)
    LANGUAGE plpgsql AS $$
DECLARE
    rights integer;
    target users;
BEGIN
    SELECT max(a.level) INTO rights FROM document_access a JOIN documents d ON d.id = a.document_id
     WHERE a.document_id = p_id AND a.app_id = p_app AND a.user_id = p_user AND d.kind = p_kind;
    IF rights IS NULL OR rights < 3 THEN
        outcome := CASE WHEN rights IS NULL THEN 'missing' ELSE 'denied' END;
        RETURN NEXT;
        RETURN;
    END IF;
    IF p_change AND NOT EXISTS (SELECT 1 FROM document_shares s WHERE s.document_id = p_id AND s.user_id = p_who) THEN
        outcome := 'share';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT * INTO target FROM users u WHERE u.app_id = p_app
       AND (u.id = p_who OR (p_who IS NULL AND u.email_verified AND lower(u.email) = lower(p_email)));
    IF NOT FOUND THEN
        outcome := 'user';
        RETURN NEXT;
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM document_access a
                WHERE a.document_id = p_id AND a.user_id = target.id AND a.level = 4) THEN
        outcome := 'owner';
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY INSERT INTO document_shares AS s (document_id, app_id, user_id, permission, granted_by)
        VALUES (p_id, p_app, target.id, p_permission, p_user)
        ON CONFLICT ON CONSTRAINT document_shares_pkey DO UPDATE SET permission = excluded.permission
        RETURNING 'saved', s.user_id, target.email, s.permission, s.created_at;
END $$;

-- Moves an execution forward: pending, running, then completed or failed; its end is final.
-- Who started it may, and who administers the document. outcome: 'missing', 'denied', 'state', 'saved'.
CREATE FUNCTION execution_update(p_app uuid, p_user uuid, p_id uuid, p_status text, p_progress integer,
    p_results json, p_error text)
    RETURNS TABLE (outcome text) LANGUAGE plpgsql AS $$
DECLARE
    e executions;
    rights integer;
    next_status text;
BEGIN
    SELECT * INTO e FROM executions x WHERE x.id = p_id AND x.app_id = p_app FOR NO KEY UPDATE;
    SELECT max(a.level) INTO rights FROM document_access a
     WHERE a.document_id = e.document_id AND a.app_id = p_app AND a.user_id = p_user;
    next_status := coalesce(p_status, e.status);
    IF rights IS NULL THEN
        outcome := 'missing';
    ELSIF rights < 3 AND e.user_id IS DISTINCT FROM p_user THEN
        outcome := 'denied';
    ELSIF e.status IN ('completed', 'failed') OR (e.status = 'pending' AND next_status = 'completed')
          OR (e.status = 'running' AND next_status = 'pending') THEN
        outcome := 'state';
    ELSE
        UPDATE executions x SET status = next_status,
               progress = CASE next_status WHEN 'completed' THEN 100 ELSE coalesce(p_progress, x.progress) END,
               results = coalesce(p_results, x.results), error = coalesce(p_error, x.error),
               completed_at = CASE WHEN next_status IN ('completed', 'failed') THEN clock_timestamp() END
         WHERE x.id = p_id;
        outcome := 'saved';
    END IF;
    RETURN NEXT;
END $$;
