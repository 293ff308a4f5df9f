-- Signing in by SAML 2.0, and joining a domain's organisation (CONTRACT D6, E52; SECURITY T4-T6, T21). Sign-ins under way are one-time tokens.

-- The identity provider of a mail domain, as its metadata says. An entity says its own name in there, so no two
-- of one app have the same: users are known by it, and nobody's provider may speak for the users of another's.
CREATE TABLE saml_connections (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    domain text NOT NULL CHECK (domain = lower(domain) AND length(domain) BETWEEN 3 AND 253),
    idp_entity text NOT NULL CHECK (length(idp_entity) BETWEEN 1 AND 1024),
    idp_metadata text NOT NULL CHECK (octet_length(idp_metadata) <= 65536),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, domain),
    UNIQUE (app_id, idp_entity)
);

-- Assertions that were accepted, until they could be shown no more.
CREATE TABLE saml_assertions (
    connection_id uuid NOT NULL REFERENCES saml_connections (id) ON DELETE CASCADE,
    assertion_id text NOT NULL CHECK (length(assertion_id) <= 255),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (connection_id, assertion_id)
);
CREATE INDEX saml_assertions_expiry ON saml_assertions (expires_at);

-- Who was let in to an organisation because its domain's provider signed him in. It happens once: who was taken
-- out since does not come back by signing in again.
CREATE TABLE organization_sso_joins (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    app_id uuid NOT NULL,
    PRIMARY KEY (organization_id, user_id),
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
);
CREATE INDEX organization_sso_joins_user ON organization_sso_joins (user_id);

-- Somebody was signed in by the provider of p_domain. outcome: 'none' (it is no organisation's, or has let him in
-- before), 'member' (he is one already), 'seats' (he may join when one is free), 'saved'.
CREATE FUNCTION organization_sso_join(p_app uuid, p_domain text, p_user uuid)
    RETURNS TABLE (outcome text, organization uuid) LANGUAGE plpgsql AS $$
BEGIN
    SELECT o.id INTO organization FROM organizations o
     WHERE o.app_id = p_app AND o.sso_domain = p_domain AND o.sso_enabled
       AND NOT EXISTS (SELECT 1 FROM organization_sso_joins j WHERE j.organization_id = o.id AND j.user_id = p_user)
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'none';
    ELSE
        outcome := coalesce(organization_full(organization, p_user), 'saved');
    END IF;
    IF outcome = 'saved' THEN
        INSERT INTO organization_members (organization_id, user_id, app_id, role)
        VALUES (organization, p_user, p_app, 'member');
    END IF;
    IF outcome IN ('saved', 'member') THEN
        INSERT INTO organization_sso_joins (organization_id, user_id, app_id) VALUES (organization, p_user, p_app)
        ON CONFLICT DO NOTHING; -- his other sign-in was quicker
    END IF;
    RETURN NEXT;
END $$;
