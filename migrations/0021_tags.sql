-- A document's entity tag says all that a reply shows of it (RFC 9110 §8.8.1): its version, and how often it was renamed
-- or published since that was made. What says If-Match is held to it on every change.

ALTER TABLE documents ADD COLUMN touched integer NOT NULL DEFAULT 0; -- changes since the present version, but for its data

CREATE FUNCTION document_tag(p_version integer, p_touched integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'v' || p_version || CASE WHEN p_touched > 0 THEN '.' || p_touched ELSE '' END
$$;

-- Saves a document: a new version when the data is new, a new name when one is given. p_base: versions that may have
-- been edited; p_tags: entity tags, one of which must be the present one; NULL: any.
-- outcome: 'missing', 'denied', 'conflict', 'base' (the workspace demands one), 'same', 'saved'.
CREATE FUNCTION document_save(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_base integer[], p_tags text[],
    p_name text, p_public boolean, p_data json, p_sha256 bytea, p_size integer, p_message text)
    RETURNS TABLE (outcome text, version integer, updated_at timestamptz, tag text) LANGUAGE plpgsql AS $$
DECLARE
    head documents;
    rights integer;
    demands boolean;
BEGIN
    SELECT max(a.level) INTO rights FROM document_access a
     WHERE a.document_id = p_id AND a.app_id = p_app AND a.user_id = p_user;
    IF rights IS NOT NULL THEN
        SELECT * INTO head FROM documents d WHERE d.id = p_id AND d.kind = p_kind FOR NO KEY UPDATE;
    END IF;
    IF head.id IS NULL THEN
        outcome := 'missing';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT w.require_base INTO demands FROM workspaces w WHERE w.id = head.workspace_id;
    outcome := CASE
        WHEN rights < 2 OR (p_public <> head.is_public AND rights < 3) THEN 'denied'
        WHEN demands AND p_base IS NULL AND p_tags IS NULL AND p_data IS NOT NULL THEN 'base'
        WHEN head.version <> ALL (p_base) OR document_tag(head.version, head.touched) <> ALL (p_tags) THEN 'conflict'
        WHEN p_sha256 <> head.sha256 THEN 'version'
        WHEN p_name <> head.name OR p_public <> head.is_public THEN 'touch'
        ELSE 'same' END;
    IF outcome = 'version' THEN
        head.version := head.version + 1;
        head.touched := 0;
        head.sha256 := p_sha256;
        INSERT INTO document_versions (document_id, version, data, sha256, size, message, created_by)
        VALUES (p_id, head.version, p_data, p_sha256, p_size, p_message, p_user);
    ELSIF outcome = 'touch' THEN
        head.touched := head.touched + 1;
    END IF;
    IF outcome IN ('version', 'touch') THEN
        outcome := 'saved';
        head.updated_at := clock_timestamp();
        UPDATE documents d
           SET version = head.version, touched = head.touched, sha256 = head.sha256, updated_at = head.updated_at,
               name = coalesce(p_name, d.name), is_public = coalesce(p_public, d.is_public)
         WHERE d.id = p_id;
    END IF;
    version := head.version;
    updated_at := head.updated_at;
    tag := document_tag(head.version, head.touched);
    RETURN NEXT;
END $$;

-- Makes an old version current again, as a new version (CONTRACT A21).
-- outcome: 'missing', 'denied', 'conflict', 'version' (there is no such version), 'saved'.
CREATE FUNCTION document_restore(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_version integer, p_tags text[])
    RETURNS TABLE (outcome text, version integer, tag text) LANGUAGE plpgsql AS $$
DECLARE
    head documents;
    rights integer;
BEGIN
    SELECT max(a.level) INTO rights FROM document_access a
     WHERE a.document_id = p_id AND a.app_id = p_app AND a.user_id = p_user;
    IF rights IS NOT NULL THEN
        SELECT * INTO head FROM documents d WHERE d.id = p_id AND d.kind = p_kind FOR NO KEY UPDATE;
    END IF;
    outcome := CASE
        WHEN head.id IS NULL THEN 'missing'
        WHEN rights < 2 THEN 'denied'
        WHEN document_tag(head.version, head.touched) <> ALL (p_tags) THEN 'conflict'
        ELSE 'saved' END;
    IF outcome = 'saved' THEN
        INSERT INTO document_versions (document_id, version, data, sha256, size, message, created_by)
        SELECT p_id, head.version + 1, v.data, v.sha256, v.size, 'Before restoring to version ' || p_version, p_user
          FROM document_versions v WHERE v.document_id = p_id AND v.version = p_version AND p_version < head.version;
        outcome := CASE WHEN FOUND THEN 'saved' ELSE 'version' END;
    END IF;
    IF outcome = 'saved' THEN
        head.version := head.version + 1;
        head.touched := 0;
        UPDATE documents d
           SET version = head.version, touched = 0, updated_at = clock_timestamp(),
               sha256 = (SELECT v.sha256 FROM document_versions v WHERE v.document_id = p_id AND v.version = p_version)
         WHERE d.id = p_id;
    END IF;
    IF outcome NOT IN ('missing', 'denied') THEN
        version := head.version;
        tag := document_tag(head.version, head.touched);
    END IF;
    RETURN NEXT;
END $$;

-- As the programs before this migration call them.
CREATE OR REPLACE FUNCTION document_save(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_base integer[], p_name text,
    p_public boolean, p_data json, p_sha256 bytea, p_size integer, p_message text)
    RETURNS TABLE (outcome text, version integer, updated_at timestamptz) LANGUAGE sql AS $$
    SELECT s.outcome, s.version, s.updated_at FROM document_save(p_app, p_user, p_kind, p_id, p_base, NULL, p_name,
        p_public, p_data, p_sha256, p_size, p_message) s
$$;
CREATE OR REPLACE FUNCTION document_restore(p_app uuid, p_user uuid, p_kind text, p_id uuid, p_version integer)
    RETURNS TABLE (outcome text, version integer) LANGUAGE sql AS $$
    SELECT s.outcome, s.version FROM document_restore(p_app, p_user, p_kind, p_id, p_version, NULL) s
$$;
