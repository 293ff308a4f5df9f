-- Signing in by SAML 2.0 (CONTRACT D6, E52; SECURITY T4-T6). Sign-ins under way are one-time tokens.

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
