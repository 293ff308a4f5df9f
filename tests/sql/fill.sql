-- A schema as it is after a while: 2,000 users, 20,000 documents in 4,000 workspaces, 30,000 versions. User 0 has a
-- quarter of the documents, so that plans for the many and for the one who has much are both seen.
CREATE FUNCTION t.user_id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0190a2b3-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
CREATE FUNCTION t.workspace_id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0190a2b4-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
CREATE FUNCTION t.organization_id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0190a2b6-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
CREATE FUNCTION t.document_id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0190a2b5-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;

SET client_min_messages = warning;
TRUNCATE apps CASCADE;
INSERT INTO apps (id, slug, name, config) VALUES
    ('00000000-0000-7000-8000-0000000000aa', 'fig-nodes', 'F', '{}'), ('00000000-0000-7000-8000-0000000000bb', 'cue', 'C', '{}');
INSERT INTO users (id, app_id, email, email_verified)
    SELECT t.user_id(n), '00000000-0000-7000-8000-0000000000aa', 'user' || n || '@example.com', true FROM generate_series(0, 1999) n;
INSERT INTO identities (app_id, issuer, subject, user_id)
    SELECT '00000000-0000-7000-8000-0000000000aa', 'https://issuer.example/', 'subject' || n, t.user_id(n) FROM generate_series(0, 1999) n;
INSERT INTO workspaces (id, app_id, owner_id, name)
    SELECT t.workspace_id(n), '00000000-0000-7000-8000-0000000000aa', t.user_id(n % 2000), 'w' || n FROM generate_series(0, 3999) n;
-- Every fourth is user 0's, in his first workspace.
INSERT INTO documents (id, app_id, workspace_id, kind, name, sha256)
    SELECT t.document_id(n), '00000000-0000-7000-8000-0000000000aa',
           t.workspace_id(CASE WHEN n % 4 = 0 THEN 0 ELSE n % 4000 END), 'graph', 'd' || n, sha256(n::text::bytea)
      FROM generate_series(0, 19999) n;
INSERT INTO document_versions (document_id, version, data, sha256, size, created_by)
    SELECT t.document_id(n), 1, '{"n":1}', sha256(n::text::bytea), 7, t.user_id(n % 2000) FROM generate_series(0, 19999) n;
UPDATE documents SET version = 2 WHERE id IN (SELECT t.document_id(2 * n) FROM generate_series(0, 9999) n);
INSERT INTO document_versions (document_id, version, data, sha256, size, created_by)
    SELECT t.document_id(2 * n), 2, '{"n":2}', sha256(n::text::bytea), 7, t.user_id(n % 2000) FROM generate_series(0, 9999) n;
INSERT INTO document_shares (document_id, app_id, user_id, permission)
    SELECT t.document_id(n), '00000000-0000-7000-8000-0000000000aa', t.user_id((n * 7 + 1) % 2000), 'read'
      FROM generate_series(0, 9999) n;
INSERT INTO executions (id, app_id, document_id, user_id, version)
    SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', t.document_id(n), t.user_id(n % 2000), 1
      FROM generate_series(0, 19999) n;
INSERT INTO idempotency_keys (app_id, principal, key_hash, request_hash, status, reply, created_at)
    SELECT '00000000-0000-7000-8000-0000000000aa', t.user_id(n % 2000)::text, sha256(n::text::bytea), '', 200, '',
           now() - n * interval '8 s'
      FROM generate_series(0, 19999) n;
INSERT INTO jobs (id, kind, payload, run_at, dead_at)
    SELECT gen_random_uuid(), 'x', '{}', now() + (n - 100) * interval '1 s', CASE WHEN n % 2 = 0 THEN now() END
      FROM generate_series(0, 19999) n;
INSERT INTO mails (id, app_id, user_id, to_address, template, variables, state, sent_at, created_at)
    SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', t.user_id(n % 2000), 'a@example.com', 'welcome',
           CASE WHEN n % 20 = 0 THEN 'x'::bytea END, CASE WHEN n % 20 = 0 THEN 'queued' ELSE 'sent' END,
           CASE WHEN n % 20 <> 0 THEN now() END, now() - n * interval '2.2 min'
      FROM generate_series(0, 19999) n;
-- 200 organisations of ten users, and one of a thousand with a workspace each; the others are
-- nobody's. The second workspace of each user is his organisation's.
INSERT INTO organizations (id, app_id, name, slug, max_seats)
    SELECT t.organization_id(n), '00000000-0000-7000-8000-0000000000aa', 'o' || n, 'o' || n, -1 FROM generate_series(0, 4999) n;
INSERT INTO organization_members (organization_id, user_id, app_id, role)
    SELECT t.organization_id(n % 200), t.user_id(n), '00000000-0000-7000-8000-0000000000aa'::uuid,
           CASE WHEN n < 200 THEN 'owner' WHEN n < 400 THEN 'admin' ELSE 'member' END FROM generate_series(0, 1999) n
    UNION ALL SELECT t.organization_id(200), t.user_id(n), '00000000-0000-7000-8000-0000000000aa',
           CASE n WHEN 0 THEN 'owner' ELSE 'member' END FROM generate_series(0, 999) n;
UPDATE workspaces SET organization_id = t.organization_id(substring(name, 2)::integer % 200), visibility = 'team'
 WHERE substring(name, 2)::integer >= 2000;
INSERT INTO workspaces (id, app_id, owner_id, name, organization_id, visibility)
    SELECT t.workspace_id(n), '00000000-0000-7000-8000-0000000000aa', t.user_id(n - 4000), 'w' || n, t.organization_id(200), 'team'
      FROM generate_series(4000, 4999) n;
INSERT INTO organization_invitations (id, app_id, organization_id, email, role, token_hash, invited_by, expires_at)
    SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', t.organization_id(n % 201), 'guest' || n || '@example.com',
           'member', sha256(n::text::bytea), t.user_id(n % 200), now() + interval '1 day' FROM generate_series(0, 4999) n;
SELECT count(audit(gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', t.organization_id(n % 201), t.user_id(n % 2000),
    'fill', NULL, NULL, NULL, NULL, NULL, NULL)) AS audited FROM generate_series(0, 9999) n \gset
INSERT INTO grants (app_id, user_id, source, source_id, plan)
    SELECT '00000000-0000-7000-8000-0000000000aa', t.user_id(n), 'subscription', 'sub_' || n, 'pro' FROM generate_series(0, 1999) n;
INSERT INTO grants (app_id, organization_id, source, source_id, plan)
    SELECT '00000000-0000-7000-8000-0000000000aa', t.organization_id(n), 'subscription', 'sub_o' || n, 'pro' FROM generate_series(1000, 2999) n;
INSERT INTO usage_meters (app_id, user_id, meter, period_start, used)
    SELECT '00000000-0000-7000-8000-0000000000aa', t.user_id(n), 'commands', date '2026-01-01' + d, 1 FROM generate_series(0, 1999) n, generate_series(0, 4) d;
INSERT INTO usage_daily (app_id, user_id, day, api_calls)
    SELECT '00000000-0000-7000-8000-0000000000aa', t.user_id(n), date '2026-01-01' + d, 1 FROM generate_series(0, 1999) n, generate_series(0, 4) d;
-- 2,000 organisations have an endpoint and heard of ten events each; that of the first has been down for a while, with
-- 10,000 behind it and 1,000 beside it, and a hundred have one that is due.
INSERT INTO webhook_endpoints (id, app_id, organization_id, url, secret_sealed, rest_until)
    SELECT t.organization_id(n), '00000000-0000-7000-8000-0000000000aa', t.organization_id(n), 'https://example.com/', 'x',
           CASE n WHEN 0 THEN now() + interval '1 day' ELSE '-infinity' END
      FROM generate_series(0, 1999) n;
INSERT INTO webhook_deliveries (id, endpoint_id, event_id, seq, type, order_key, state, next_at, ended_at)
    SELECT gen_random_uuid(), t.organization_id(n % 2000), e.id, e.seq, e.type, t.organization_id(n % 2000), 'delivered', now(), now()
      FROM generate_series(0, 19999) n, (SELECT * FROM events ORDER BY seq LIMIT 1) e;
INSERT INTO webhook_deliveries (id, endpoint_id, event_id, seq, type, order_key, state)
    SELECT gen_random_uuid(), t.organization_id(0), gen_random_uuid(), n, 'licence.created', t.organization_id(0),
           CASE n WHEN 0 THEN 'pending' ELSE 'waiting' END FROM generate_series(0, 9999) n;
INSERT INTO webhook_deliveries (id, endpoint_id, event_id, seq, type, order_key, state)
    SELECT gen_random_uuid(), t.organization_id(0), gen_random_uuid(), n, 'licence.created', t.user_id(n), 'pending'
      FROM generate_series(10000, 10999) n;
INSERT INTO webhook_deliveries (id, endpoint_id, event_id, seq, type, order_key, state)
    SELECT gen_random_uuid(), t.organization_id(n), e.id, e.seq, e.type, t.organization_id(n), 'pending'
      FROM generate_series(1, 100) n, (SELECT * FROM events ORDER BY seq LIMIT 1) e;
VACUUM ANALYZE;
-- Ten licences each, with a machine, and one that was released; every fifth floats.
INSERT INTO licenses (id, app_id, license_key, key_hash, user_id, plan, kind, max_leases, metadata)
    SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', 'licence-' || n, sha256(('licence-' || n)::bytea), t.user_id(n % 2000), 'free',
           CASE WHEN n % 5 = 4 THEN 'floating' ELSE 'perpetual' END, CASE WHEN n % 5 = 4 THEN 5 END, jsonb_build_object('n', n)
      FROM generate_series(0, 19999) n;
INSERT INTO license_devices (id, license_id, machine_id) SELECT gen_random_uuid(), l.id, 'm' FROM licenses l;
INSERT INTO license_leases (id, license_id, machine_id, expires_at) SELECT gen_random_uuid(), l.id, 'm', now() + interval '1 h' FROM licenses l WHERE kind = 'floating';
INSERT INTO license_releases (license_id, machine_id) SELECT l.id, 'old' FROM licenses l;
ANALYZE licenses, license_devices, license_leases, license_releases;
