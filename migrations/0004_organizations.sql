-- Teams: organisations, members, invitations, their workspaces; the audit log closed against changes
-- (CONTRACT E2-E4, E8, E15, K10, D13; SECURITY T17, T18, T21, T40).

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- Shorter than a UUID in any spelling, so that it is never taken for an id (T40).
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$'),
    plan text NOT NULL DEFAULT 'free',
    sso_domain text CHECK (sso_domain = lower(sso_domain) AND length(sso_domain) BETWEEN 3 AND 253),
    sso_enabled boolean NOT NULL DEFAULT false,
    audit_log_retention_days integer NOT NULL DEFAULT 90 CHECK (audit_log_retention_days BETWEEN 1 AND 3650),
    max_seats integer NOT NULL DEFAULT 5 CHECK (max_seats >= 1 OR max_seats = -1), -- -1: no limit
    settings json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, id),
    UNIQUE (app_id, slug),
    CHECK (NOT sso_enabled OR sso_domain IS NOT NULL)
);
-- A domain's users are sent to one organisation.
CREATE UNIQUE INDEX organizations_sso ON organizations (app_id, sso_domain) WHERE sso_enabled;

CREATE TABLE organization_members (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    app_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, user_id),
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX organization_members_user ON organization_members (user_id, organization_id DESC);

-- Of the token that was mailed only the SHA-256 is here; who accepts it deletes the row (T6).
CREATE TABLE organization_invitations (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 320),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    invited_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (invited_by) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX organization_invitations_email ON organization_invitations (organization_id, lower(email));
CREATE INDEX organization_invitations_list ON organization_invitations (organization_id, id DESC);
CREATE INDEX organization_invitations_by ON organization_invitations (invited_by);
CREATE INDEX organization_invitations_expiry ON organization_invitations (expires_at);

-- NULL: personal. The owner of an organisation's workspace is one of its members, so nobody who left
-- keeps a right by having made it.
ALTER TABLE workspaces
    ADD COLUMN organization_id uuid,
    ADD COLUMN visibility text NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'team', 'public')),
    ADD COLUMN project_type text CHECK (length(project_type) <= 100),
    ADD COLUMN git_repository text CHECK (length(git_repository) <= 2000),
    ADD COLUMN local_path text CHECK (length(local_path) <= 2000),
    ADD COLUMN settings json NOT NULL DEFAULT '{}',
    ADD FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE,
    ADD FOREIGN KEY (organization_id, owner_id) REFERENCES organization_members (organization_id, user_id),
    ADD CHECK (organization_id IS NOT NULL OR visibility <> 'team');
CREATE INDEX workspaces_organization ON workspaces (organization_id, id DESC) WHERE organization_id IS NOT NULL;

-- Besides the owner, the members of its organisation, but not where it is private: owners and admins
-- administer it (3), members write (2).
CREATE VIEW team_access AS
    SELECT m.app_id, w.id AS workspace_id, m.user_id, CASE m.role WHEN 'member' THEN 2 ELSE 3 END AS level,
           w.organization_id
      FROM workspaces w JOIN organization_members m ON m.organization_id = w.organization_id
     WHERE w.visibility <> 'private' AND m.user_id <> w.owner_id;

CREATE OR REPLACE VIEW workspace_access AS
    SELECT w.app_id, w.id AS workspace_id, w.owner_id AS user_id, 4 AS level, w.organization_id FROM workspaces w
    UNION ALL
    SELECT t.app_id, t.workspace_id, t.user_id, t.level, t.organization_id FROM team_access t;

-- Its arms are joins of their own: into a union inside of a union the planner would bring no condition.
CREATE OR REPLACE VIEW document_access AS
    SELECT d.app_id, d.id AS document_id, w.owner_id AS user_id, 4 AS level
      FROM documents d JOIN workspaces w ON w.id = d.workspace_id
    UNION ALL
    SELECT s.app_id, s.document_id, s.user_id,
           CASE s.permission WHEN 'admin' THEN 3 WHEN 'write' THEN 2 ELSE 1 END
      FROM document_shares s
    UNION ALL
    SELECT d.app_id, d.id, t.user_id, t.level
      FROM documents d JOIN team_access t ON t.workspace_id = d.workspace_id;

CREATE FUNCTION role_rank(p_role text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_role WHEN 'owner' THEN 3 WHEN 'admin' THEN 2 WHEN 'member' THEN 1 END
$$;

-- Takes the lock under which members and seats are decided. The rank of p_actor's role there, NULL when it
-- is not there for him; NULL for p_actor is an operator, who may all.
CREATE FUNCTION organization_enter(p_app uuid, p_org uuid, p_actor uuid) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM organizations o WHERE o.app_id = p_app AND o.id = p_org FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_actor IS NULL THEN
        RETURN 3;
    END IF;
    RETURN (SELECT role_rank(m.role) FROM organization_members m
             WHERE m.organization_id = p_org AND m.user_id = p_actor);
END $$;

-- Why somebody cannot join: 'member' (he is one), 'seats' (all are taken), NULL (he can). Under the lock.
CREATE FUNCTION organization_full(p_org uuid, p_user uuid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM organization_members m WHERE m.organization_id = p_org AND m.user_id = p_user) THEN 'member'
        WHEN o.max_seats >= 0 AND (SELECT count(*) FROM organization_members m WHERE m.organization_id = p_org) >= o.max_seats
        THEN 'seats' END
      FROM organizations o WHERE o.id = p_org
$$;

-- An operator's: outcome 'missing', 'member', 'seats', 'saved'.
CREATE FUNCTION organization_add(p_app uuid, p_org uuid, p_user uuid, p_role text)
    RETURNS TABLE (outcome text) LANGUAGE plpgsql AS $$
BEGIN
    IF organization_enter(p_app, p_org, NULL) IS NULL THEN
        outcome := 'missing';
    ELSE
        outcome := coalesce(organization_full(p_org, p_user), 'saved');
    END IF;
    IF outcome = 'saved' THEN
        INSERT INTO organization_members (organization_id, user_id, app_id, role)
        VALUES (p_org, p_user, p_app, p_role);
    END IF;
    RETURN NEXT;
END $$;

-- Invites an address, or again when the last invitation is over. outcome: 'missing', 'role' (above the own),
-- 'member' (who has that address is one), 'invited' (already), 'limit' (a hundred are waiting), 'saved'.
CREATE FUNCTION organization_invite(p_id uuid, p_app uuid, p_org uuid, p_actor uuid, p_email text, p_role text,
    p_hash bytea, p_days integer)
    RETURNS TABLE (outcome text, expires_at timestamptz, created_at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    rights integer := organization_enter(p_app, p_org, p_actor);
BEGIN
    outcome := CASE
        WHEN rights IS NULL THEN 'missing'
        WHEN rights < greatest(2, role_rank(p_role)) THEN 'role'
        WHEN EXISTS (SELECT 1 FROM users u JOIN organization_members m ON m.user_id = u.id AND m.organization_id = p_org
                      WHERE u.app_id = p_app AND lower(u.email) = lower(p_email)) THEN 'member'
        WHEN EXISTS (SELECT 1 FROM organization_invitations i WHERE i.organization_id = p_org
                      AND lower(i.email) = lower(p_email) AND i.expires_at > clock_timestamp()) THEN 'invited'
        WHEN (SELECT count(*) FROM organization_invitations i WHERE i.organization_id = p_org
                AND i.expires_at > clock_timestamp()) >= 100 THEN 'limit'
        ELSE 'saved' END;
    IF outcome = 'saved' THEN
        DELETE FROM organization_invitations i WHERE i.organization_id = p_org AND lower(i.email) = lower(p_email);
        INSERT INTO organization_invitations AS i (id, app_id, organization_id, email, role, token_hash, invited_by, expires_at)
        VALUES (p_id, p_app, p_org, p_email, p_role, p_hash, p_actor, clock_timestamp() + p_days * interval '1 day')
        RETURNING i.expires_at, i.created_at INTO expires_at, created_at;
    END IF;
    RETURN NEXT;
END $$;

-- A new token for an invitation: the old one is void. outcome: 'missing', 'invitation' (there is none), 'role',
-- 'saved'.
CREATE FUNCTION organization_reinvite(p_app uuid, p_org uuid, p_actor uuid, p_id uuid, p_hash bytea, p_days integer)
    RETURNS TABLE (outcome text, id uuid, email text, role text, invited_by uuid, expires_at timestamptz, created_at timestamptz)
    LANGUAGE plpgsql AS $$
DECLARE
    rights integer := organization_enter(p_app, p_org, p_actor);
BEGIN
    SELECT i.id, i.email, i.role, i.created_at INTO id, email, role, created_at
      FROM organization_invitations i WHERE i.organization_id = p_org AND i.id = p_id;
    outcome := CASE
        WHEN rights IS NULL THEN 'missing'
        WHEN id IS NULL THEN 'invitation'
        WHEN rights < greatest(2, role_rank(role)) THEN 'role'
        ELSE 'saved' END;
    IF outcome = 'saved' THEN
        UPDATE organization_invitations i
           SET token_hash = p_hash, invited_by = p_actor, expires_at = clock_timestamp() + p_days * interval '1 day'
         WHERE i.id = p_id RETURNING i.invited_by, i.expires_at INTO invited_by, expires_at;
    END IF;
    RETURN NEXT;
END $$;

-- Accepts an invitation for the user to whose verified address it was sent. outcome: 'unverified', 'invalid'
-- (unknown, over, used, or another's: nobody is told which), 'member', 'seats', 'saved'.
CREATE FUNCTION organization_accept(p_app uuid, p_user uuid, p_hash bytea)
    RETURNS TABLE (outcome text, organization_id uuid, role text, invitation_id uuid) LANGUAGE plpgsql AS $$
DECLARE
    who users;
BEGIN
    SELECT * INTO who FROM users u WHERE u.app_id = p_app AND u.id = p_user;
    IF who.email IS NULL OR NOT who.email_verified THEN
        outcome := 'unverified';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT i.organization_id INTO organization_id FROM organization_invitations i
     WHERE i.token_hash = p_hash AND i.app_id = p_app AND i.expires_at > clock_timestamp()
       AND lower(i.email) = lower(who.email);
    IF NOT FOUND OR organization_enter(p_app, organization_id, NULL) IS NULL THEN
        outcome := 'invalid';
        RETURN NEXT;
        RETURN;
    END IF;
    -- Once more, now that nobody else decides about it.
    IF EXISTS (SELECT 1 FROM organization_invitations i WHERE i.token_hash = p_hash) THEN
        outcome := organization_full(organization_id, p_user);
    ELSE
        outcome := 'invalid';
    END IF;
    IF outcome IS NULL THEN
        DELETE FROM organization_invitations i WHERE i.token_hash = p_hash RETURNING i.role, i.id INTO role, invitation_id;
        outcome := CASE WHEN invitation_id IS NULL THEN 'invalid' ELSE 'saved' END;
    END IF;
    IF outcome = 'saved' THEN
        INSERT INTO organization_members (organization_id, user_id, app_id, role)
        VALUES (organization_accept.organization_id, p_user, p_app, organization_accept.role);
    END IF;
    RETURN NEXT;
END $$;

-- What p_user invited others to and may not any more, his role being p_role (NULL: none).
CREATE FUNCTION organization_uninvite(p_org uuid, p_user uuid, p_role text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM organization_invitations i
     WHERE i.organization_id = p_org AND i.invited_by = p_user
       AND (coalesce(role_rank(p_role), 0) < 2 OR role_rank(i.role) > role_rank(p_role))
$$;

CREATE FUNCTION organization_is_last_owner(p_org uuid, p_user uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(m.user_id = p_user), false) FROM organization_members m
     WHERE m.organization_id = p_org AND m.role = 'owner'
$$;

-- Nobody grants a role above the own, or changes whose role is above it. outcome: 'missing', 'nobody' (p_user is
-- no member), 'role', 'owner' (the last one stays), 'saved'; was: the role before.
CREATE FUNCTION organization_set_role(p_app uuid, p_org uuid, p_actor uuid, p_user uuid, p_role text)
    RETURNS TABLE (outcome text, was text) LANGUAGE plpgsql AS $$
DECLARE
    rights integer := organization_enter(p_app, p_org, p_actor);
BEGIN
    SELECT m.role INTO was FROM organization_members m WHERE m.organization_id = p_org AND m.user_id = p_user;
    outcome := CASE
        WHEN rights IS NULL THEN 'missing'
        WHEN rights < 2 THEN 'role'
        WHEN was IS NULL THEN 'nobody'
        WHEN greatest(role_rank(was), role_rank(p_role)) > rights THEN 'role'
        WHEN p_role <> 'owner' AND organization_is_last_owner(p_org, p_user) THEN 'owner'
        ELSE 'saved' END;
    IF outcome = 'saved' THEN
        UPDATE organization_members m SET role = p_role WHERE m.organization_id = p_org AND m.user_id = p_user;
        PERFORM organization_uninvite(p_org, p_user, p_role);
    END IF;
    RETURN NEXT;
END $$;

-- Makes a member an owner and the caller, who was one, an admin. Outcomes as above.
CREATE FUNCTION organization_transfer(p_app uuid, p_org uuid, p_actor uuid, p_user uuid)
    RETURNS TABLE (outcome text, was text) LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.outcome, s.was INTO outcome, was FROM organization_set_role(p_app, p_org, p_actor, p_user, 'owner') s;
    IF outcome = 'saved' AND p_actor <> p_user THEN
        SELECT s.outcome INTO outcome FROM organization_set_role(p_app, p_org, p_actor, p_actor, 'admin') s;
    END IF;
    RETURN NEXT;
END $$;

-- Takes a member out, by his own will (p_actor = p_user) or another's. The workspaces that he has there pass to
-- the owner of longest standing; what was shared with him there, and whom he invited, is taken back.
CREATE FUNCTION organization_remove(p_app uuid, p_org uuid, p_actor uuid, p_user uuid)
    RETURNS TABLE (outcome text, was text) LANGUAGE plpgsql AS $$
DECLARE
    rights integer := organization_enter(p_app, p_org, p_actor);
    heir uuid;
BEGIN
    -- FOR UPDATE: a workspace that he is just making is seen below, or not made.
    SELECT m.role INTO was FROM organization_members m
     WHERE m.organization_id = p_org AND m.user_id = p_user FOR UPDATE;
    outcome := CASE
        WHEN rights IS NULL THEN 'missing'
        WHEN p_actor IS DISTINCT FROM p_user AND rights < 2 THEN 'role'
        WHEN was IS NULL THEN 'nobody'
        WHEN p_actor IS DISTINCT FROM p_user AND role_rank(was) > rights THEN 'role'
        WHEN organization_is_last_owner(p_org, p_user) THEN 'owner'
        ELSE 'saved' END;
    IF outcome = 'saved' THEN
        SELECT m.user_id INTO heir FROM organization_members m
         WHERE m.organization_id = p_org AND m.role = 'owner' AND m.user_id <> p_user
         ORDER BY m.joined_at, m.user_id LIMIT 1;
        UPDATE workspaces w SET owner_id = heir, updated_at = clock_timestamp()
         WHERE w.organization_id = p_org AND w.owner_id = p_user;
        DELETE FROM document_shares s USING documents d, workspaces w
         WHERE s.user_id = p_user AND d.id = s.document_id AND w.id = d.workspace_id AND w.organization_id = p_org;
        PERFORM organization_uninvite(p_org, p_user, NULL);
        DELETE FROM organization_members m WHERE m.organization_id = p_org AND m.user_id = p_user;
    END IF;
    RETURN NEXT;
END $$;

-- A user who is erased leaves his organisations in order: his private workspaces go with him, the others
-- stay; where he was the last owner the next in rank and standing becomes one; where he was alone, it goes.
CREATE FUNCTION leave_organizations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    org uuid;
    next uuid;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM apps a WHERE a.id = OLD.app_id) THEN
        RETURN OLD; -- all of the app goes
    END IF;
    FOR org IN SELECT m.organization_id FROM organization_members m WHERE m.user_id = OLD.id ORDER BY 1 LOOP
        PERFORM organization_enter(OLD.app_id, org, NULL);
        DELETE FROM workspaces w WHERE w.organization_id = org AND w.owner_id = OLD.id AND w.visibility = 'private';
        IF organization_is_last_owner(org, OLD.id) THEN
            SELECT m.user_id INTO next FROM organization_members m
             WHERE m.organization_id = org AND m.user_id <> OLD.id
             ORDER BY role_rank(m.role) DESC, m.joined_at, m.user_id LIMIT 1;
            IF next IS NULL THEN
                PERFORM audit(gen_random_uuid(), OLD.app_id, org, NULL, 'org.delete', 'organization', org::text,
                    '{"reason":"its only member was erased"}', NULL, NULL, NULL);
                DELETE FROM organizations o WHERE o.id = org;
                CONTINUE;
            END IF;
            UPDATE organization_members m SET role = 'owner' WHERE m.organization_id = org AND m.user_id = next;
            PERFORM audit(gen_random_uuid(), OLD.app_id, org, NULL, 'org.owner.inherit', 'user', next::text,
                '{"reason":"the last owner was erased"}', NULL, NULL, NULL);
        END IF;
        PERFORM organization_remove(OLD.app_id, org, NULL, OLD.id);
        PERFORM audit(gen_random_uuid(), OLD.app_id, org, NULL, 'org.member.erase', 'user', OLD.id::text,
            '{}', NULL, NULL, NULL);
    END LOOP;
    RETURN OLD;
END $$;
CREATE TRIGGER users_leave BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION leave_organizations();

-- The session tells the user's organisations and roles (E15): what is kept of them is forgotten.
CREATE FUNCTION announce_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_revoke', 'user:' || coalesce(NEW.user_id, OLD.user_id));
    RETURN NULL;
END $$;
CREATE TRIGGER organization_members_announce AFTER INSERT OR UPDATE OF role OR DELETE ON organization_members
    FOR EACH ROW EXECUTE FUNCTION announce_member();

-- The audit log has two doors, audit() and audit_prune(). Both run as the owner of the schema, whom the workers'
-- role is not, and with a setting that only they turn on, which stops the owner's own slip of the hand.
ALTER TABLE audit_heads
    ADD COLUMN app_id uuid,
    ADD COLUMN organization_id uuid,                   -- NULL: the chain is the app's
    ADD COLUMN anchor_seq bigint NOT NULL DEFAULT 0,   -- of the last row that retention took,
    ADD COLUMN anchor bytea NOT NULL DEFAULT '';       -- and its hash: the chain begins behind it
UPDATE audit_heads h SET app_id = a.app_id, organization_id = a.organization_id
  FROM audit_logs a WHERE a.chain = h.chain AND a.seq = h.seq;

CREATE FUNCTION audit_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('quoin.audit_door', true), '') <> 'open'
       OR current_user <> (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = TG_RELID) THEN
        RAISE EXCEPTION 'the audit log cannot be changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER audit_logs_closed BEFORE INSERT OR UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION audit_is_closed();
CREATE TRIGGER audit_logs_kept BEFORE TRUNCATE ON audit_logs EXECUTE FUNCTION audit_is_closed();
CREATE TRIGGER audit_heads_closed BEFORE INSERT OR UPDATE OR DELETE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION audit_is_closed();
CREATE TRIGGER audit_heads_kept BEFORE TRUNCATE ON audit_heads EXECUTE FUNCTION audit_is_closed();

CREATE OR REPLACE FUNCTION audit(p_id uuid, p_app uuid, p_organization uuid, p_user uuid, p_action text, p_type text,
    p_resource text, p_details json, p_ip text, p_agent text, p_request text) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head audit_heads;
    a audit_logs;
BEGIN
    PERFORM set_config('quoin.audit_door', 'open', true);
    a.chain := coalesce(p_organization, p_app);
    INSERT INTO audit_heads (chain, seq, hash, app_id, organization_id)
    VALUES (a.chain, 0, '', p_app, p_organization) ON CONFLICT DO NOTHING;
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
    PERFORM set_config('quoin.audit_door', '', true);
END $$;

-- The first row of a chain that is not what was written, and why; no row when all is well.
CREATE FUNCTION audit_verify(p_chain uuid) RETURNS TABLE (seq bigint, id uuid, why text) LANGUAGE sql STABLE AS $$
    WITH head AS (SELECT * FROM audit_heads h WHERE h.chain = p_chain),
    rows AS (
        SELECT a.seq, a.id,
               CASE WHEN a.seq <> lag(a.seq, 1, h.anchor_seq) OVER w + 1 THEN 'rows before it are missing'
                    WHEN a.hash <> audit_hash(lag(a.hash, 1, h.anchor) OVER w, a) THEN 'it was changed' END AS why
          FROM head h JOIN audit_logs a ON a.chain = h.chain
        WINDOW w AS (ORDER BY a.seq)),
    ends AS (
        SELECT coalesce(l.seq, h.anchor_seq) AS seq, l.id, 'rows after it are missing' AS why
          FROM head h LEFT JOIN LATERAL (
               SELECT a.seq, a.id, a.hash FROM audit_logs a WHERE a.chain = h.chain ORDER BY a.seq DESC LIMIT 1) l ON true
         WHERE coalesce(l.seq, h.anchor_seq) <> h.seq OR coalesce(l.hash, h.anchor) <> h.hash)
    SELECT * FROM (SELECT * FROM rows r WHERE r.why IS NOT NULL UNION ALL SELECT * FROM ends) x
     ORDER BY x.seq, x.why <> 'it was changed' LIMIT 1
$$;

-- Takes up to p_most rows that are older than their organisation keeps them (90 days when it is gone; the app's
-- own for ever), oldest first, and leaves the hash that the next one builds on. Returns how many.
CREATE FUNCTION audit_prune(p_most integer) RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    old record;
    last record;
    n integer;
    total integer := 0;
BEGIN
    PERFORM set_config('quoin.audit_door', 'open', true);
    FOR old IN
        SELECT h.chain, now() - coalesce(o.audit_log_retention_days, 90) * interval '1 day' AS before
          FROM audit_heads h LEFT JOIN organizations o ON o.id = h.organization_id
         WHERE h.organization_id IS NOT NULL
           AND EXISTS (SELECT 1 FROM audit_logs a WHERE a.chain = h.chain
                AND a.created_at < now() - coalesce(o.audit_log_retention_days, 90) * interval '1 day')
         ORDER BY h.chain
    LOOP
        EXIT WHEN total >= p_most;
        PERFORM 1 FROM audit_heads h WHERE h.chain = old.chain FOR UPDATE;
        SELECT a.seq, a.hash INTO last FROM (
            SELECT x.seq, x.hash, x.created_at FROM audit_logs x WHERE x.chain = old.chain
             ORDER BY x.seq LIMIT p_most - total) a
         WHERE a.created_at < old.before ORDER BY a.seq DESC LIMIT 1;
        CONTINUE WHEN last.seq IS NULL;
        DELETE FROM audit_logs a WHERE a.chain = old.chain AND a.seq <= last.seq;
        GET DIAGNOSTICS n = ROW_COUNT;
        total := total + n;
        UPDATE audit_heads h SET anchor_seq = last.seq, anchor = last.hash WHERE h.chain = old.chain;
    END LOOP;
    PERFORM set_config('quoin.audit_door', '', true);
    RETURN total;
END $$;
