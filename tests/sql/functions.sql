-- What the functions of the database decide. Each line that comes out begins with "ok - " or "not ok - ".
CREATE SCHEMA t;
CREATE FUNCTION t.is(got text, want text, what text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN got IS NOT DISTINCT FROM want THEN 'ok - ' || what
           ELSE 'not ok - ' || what || ': ' || coalesce(got, 'NULL') || ', not ' || coalesce(want, 'NULL') END
$$;
-- What a statement fails with.
CREATE FUNCTION t.fails(statement text, want text, what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN t.is('no failure', want, what);
EXCEPTION WHEN OTHERS THEN
    RETURN t.is(SQLSTATE, want, what);
END $$;

-- Two apps with an Ann each; Bob, Eve and Zoe are the first one's.
\set app '00000000-0000-7000-8000-0000000000aa'
\set other '00000000-0000-7000-8000-0000000000bb'
\set ann '00000000-0000-7000-8000-000000000001'
\set bob '00000000-0000-7000-8000-000000000002'
\set eve '00000000-0000-7000-8000-000000000003'
\set zoe '00000000-0000-7000-8000-000000000004'
\set ann2 '00000000-0000-7000-8000-000000000005'
\set ws '00000000-0000-7000-8000-000000000011'
\set doc '00000000-0000-7000-8000-000000000021'
\set none '00000000-0000-7000-8000-0000000000ff'
INSERT INTO apps (id, slug, name, config) VALUES (:'app', 'fig-nodes', 'F', '{}'), (:'other', 'cue', 'C', '{}');
INSERT INTO users (id, app_id, email, email_verified) VALUES
    (:'ann', :'app', 'ann@example.com', true), (:'bob', :'app', 'Bob@Example.com', true),
    (:'eve', :'app', 'eve@example.com', true), (:'zoe', :'app', 'zoe@example.com', false), (:'ann2', :'other', 'ann@example.com', true);
INSERT INTO workspaces (id, app_id, owner_id, name) VALUES (:'ws', :'app', :'ann', 'w');
INSERT INTO documents (id, app_id, workspace_id, kind, name, sha256) VALUES (:'doc', :'app', :'ws', 'graph', 'd', sha256('one'));
INSERT INTO document_versions (document_id, version, data, sha256, size, created_by) VALUES (:'doc', 1, '"one"', sha256('one'), 5, :'ann');

-- document_save(app, user, kind, id, bases, name, public, data, sha256, size, message)
CREATE FUNCTION t.save(app uuid, who uuid, doc uuid, base integer, name text, public boolean, data text) RETURNS text
    LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, version::text) FROM document_save(app, who, 'graph', doc, CASE WHEN base IS NOT NULL THEN ARRAY[base, 0] END, name, public,
        to_json(data), sha256(data::bytea), length(data), 'm')
$$;
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, NULL, NULL, 'two'), 'saved 2', 'new data is a new version');
SELECT t.is((SELECT data::text || message || created_by FROM document_versions WHERE document_id = :'doc' AND version = 2),
    '"two"m' || :'ann', 'which is kept with its message and its maker');
SELECT t.is((SELECT data::text FROM document_versions WHERE document_id = :'doc' AND version = 1), '"one"', 'beside the old one');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, NULL, NULL, 'two'), 'same 2', 'equal data is none');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, 'new name', NULL, NULL), 'saved 2', 'a name alone is none');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, 'new name', NULL, NULL), 'same 2', 'an equal name changes nothing');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, NULL, NULL, NULL), 'same 2', 'nothing changes nothing');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, NULL, true, NULL), 'saved 2', 'its owner makes it public');
SELECT t.is((SELECT is_public::text || name FROM documents WHERE id = :'doc'), 'truenew name', 'and it is, and has its name');
SELECT t.is(t.save(:'app', :'ann', :'doc', 1, NULL, NULL, 'three'), 'conflict 2', 'the wrong base is a conflict');
SELECT t.is(t.save(:'app', :'ann', :'doc', 1, 'x', NULL, NULL), 'conflict 2', 'also for a name');
SELECT t.is(t.save(:'app', :'ann', :'doc', 1, NULL, NULL, 'two'), 'conflict 2', 'also for equal data');
SELECT t.is(t.save(:'app', :'ann', :'doc', 2, 'third', NULL, 'three'), 'saved 3', 'the right base is not');
SELECT t.is(t.save(:'app', :'bob', :'doc', NULL, NULL, NULL, 'x'), 'missing', 'for a stranger it is not there, though it is public');
SELECT t.is(t.save(:'other', :'ann', :'doc', NULL, NULL, NULL, 'x'), 'missing', 'nor in another app');
SELECT t.is(t.save(:'other', :'ann2', :'doc', NULL, NULL, NULL, 'x'), 'missing', 'nor for its namesake there');
SELECT t.is(t.save(:'app', :'ann', :'none', NULL, NULL, NULL, 'x'), 'missing', 'one that is not there is missing');
SELECT t.is((SELECT outcome FROM document_save(:'app', :'ann', 'flow', :'doc', NULL, 'x', NULL, NULL, NULL, NULL, NULL)),
    'missing', 'one of another kind too');
UPDATE workspaces SET require_base = true WHERE id = :'ws';
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, NULL, NULL, 'four'), 'base 3', 'a workspace may demand the base');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, 'name', NULL, NULL), 'saved 3', 'but not for a name');
SELECT t.is(t.save(:'app', :'ann', :'doc', 3, NULL, NULL, 'four'), 'saved 4', 'and with it saves');
UPDATE workspaces SET require_base = false WHERE id = :'ws';
SELECT t.fails(format('SELECT t.save(%L, %L, %L, NULL, %L, NULL, NULL)', :'app', :'ann', :'doc', ''), '23514', 'an empty name is refused');

-- and with tags: the version, and what was changed besides since
SELECT t.is((SELECT concat_ws(' ', outcome, tag) FROM document_save(:'app', :'ann', 'graph', :'doc', NULL, '{none,v4}', 'n1', NULL, NULL, NULL, NULL, NULL)),
    'saved v4.1', 'the right tag saves, and is another then');
SELECT t.is((SELECT concat_ws(' ', outcome, tag) FROM document_save(:'app', :'ann', 'graph', :'doc', NULL, '{v4}', 'n2', NULL, NULL, NULL, NULL, NULL)),
    'conflict v4.1', 'the one before does not');
SELECT t.is((SELECT concat_ws(' ', outcome, tag) FROM document_restore(:'app', :'ann', 'graph', :'doc', 1, '{v4}')), 'conflict v4.1', 'nor does it restore');

-- document_share(app, user, kind, id, who, email, permission, change)
CREATE FUNCTION t.share(app uuid, who uuid, doc uuid, target uuid, address text, permission text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, right(user_id::text, 1), s.permission) FROM document_share(app, who, 'graph', doc, target, address, permission, false) s
$$;
SELECT t.is(t.share(:'app', :'bob', :'doc', :'eve', NULL, 'read'), 'missing', 'a stranger shares nothing');
SELECT t.is(t.share(:'app', :'ann', :'doc', :'bob', NULL, 'read'), 'saved 2 read', 'the owner shares by id');
SELECT t.is(t.save(:'app', :'bob', :'doc', NULL, NULL, NULL, 'x'), 'denied 4', 'a reader may not save');
SELECT t.is(t.share(:'app', :'bob', :'doc', :'eve', NULL, 'read'), 'denied', 'nor share');
SELECT t.is(t.share(:'app', :'ann', :'doc', NULL, 'BOB@EXAMPLE.COM', 'write'), 'saved 2 write', 'by address, whatever its case, and changes it');
SELECT t.is((SELECT count(*)::text FROM document_shares WHERE document_id = :'doc'), '1', 'which is still one');
SELECT t.is(t.save(:'app', :'bob', :'doc', NULL, NULL, NULL, 'five'), 'saved 5', 'a writer may save');
SELECT t.is(t.save(:'app', :'bob', :'doc', NULL, NULL, false, NULL), 'denied 5', 'but not make it public or private');
SELECT t.is(t.save(:'app', :'bob', :'doc', NULL, NULL, true, 'six'), 'saved 6', 'to say what it is changes nothing');
SELECT t.is(t.share(:'app', :'bob', :'doc', :'eve', NULL, 'read'), 'denied', 'a writer does not share');
SELECT t.is(t.share(:'app', :'ann', :'doc', :'bob', NULL, 'admin'), 'saved 2 admin', 'an administrator');
SELECT t.is(t.share(:'app', :'bob', :'doc', :'eve', NULL, 'read'), 'saved 3 read', 'does');
SELECT t.is(t.save(:'app', :'bob', :'doc', NULL, NULL, false, NULL), 'saved 6', 'and makes it private');
SELECT t.is(t.share(:'app', :'bob', :'doc', :'ann', NULL, 'read'), 'owner', 'but the owner stays what he is');
SELECT t.is(t.share(:'app', :'ann', :'doc', :'none', NULL, 'read'), 'user', 'nobody is no user');
SELECT t.is(t.share(:'app', :'ann', :'doc', NULL, 'nobody@example.com', 'read'), 'user', 'nor is an address that nobody has');
SELECT t.is(t.share(:'app', :'ann', :'doc', NULL, 'zoe@example.com', 'read'), 'user', 'nor one that was not verified');
SELECT t.is(t.share(:'app', :'ann', :'doc', :'ann2', NULL, 'read'), 'user', 'nor a user of another app');
SELECT t.is(t.share(:'app', :'ann', :'doc', NULL, NULL, 'read'), 'user', 'nor nothing at all');
SELECT t.is(t.share(:'app', :'ann', :'doc', :'eve', 'bob@example.com', 'read'), 'saved 3 read', 'the id goes before the address');
SELECT t.fails(format('SELECT t.share(%L, %L, %L, %L, NULL, %L)', :'app', :'ann', :'doc', :'eve', 'owner'), '23514', 'there is no other permission');

-- document_restore(app, user, kind, id, version)
CREATE FUNCTION t.restore(app uuid, who uuid, doc uuid, v integer) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, version::text) FROM document_restore(app, who, 'graph', doc, v)
$$;
SELECT t.is(t.restore(:'app', :'ann', :'doc', 1), 'saved 7', 'an old version comes back as a new one');
SELECT t.is((SELECT v.data::text || ' ' || message || ' ' || (v.sha256 = d.sha256) FROM documents d JOIN document_versions v ON
    v.document_id = d.id AND v.version = d.version WHERE d.id = :'doc'), '"one" Before restoring to version 1 true', 'with its data and the words for it');
SELECT t.is((SELECT data::text FROM document_versions WHERE document_id = :'doc' AND version = 6), '"six"', 'the one that it replaced is kept');
SELECT t.is(t.restore(:'app', :'ann', :'doc', 7), 'version 7', 'the present one is no old one');
SELECT t.is(t.restore(:'app', :'ann', :'doc', 8), 'version 7', 'nor is one to come');
SELECT t.is(t.restore(:'app', :'ann', :'doc', 0), 'version 7', 'nor is none');
SELECT t.is(t.restore(:'app', :'eve', :'doc', 1), 'denied', 'a reader may not');
SELECT t.is(t.restore(:'app', :'zoe', :'doc', 1), 'missing', 'for a stranger there is nothing');
SELECT t.is(t.restore(:'other', :'ann2', :'doc', 1), 'missing', 'nor for another app');
SELECT t.is(t.restore(:'app', :'ann', :'none', 1), 'missing', 'nor where nothing is');
SELECT t.is(t.save(:'app', :'ann', :'doc', NULL, NULL, NULL, 'one'), 'same 7', 'what was restored is known as the same');

-- execution_update(app, user, id, status, progress, results, error)
\set run '00000000-0000-7000-8000-000000000031'
INSERT INTO executions (id, app_id, document_id, user_id, version) VALUES (:'run', :'app', :'doc', :'bob', 7);
CREATE FUNCTION t.update(app uuid, who uuid, run uuid, status text, progress integer, results json, error text) RETURNS text
    LANGUAGE sql AS $$ SELECT outcome FROM execution_update(app, who, run, status, progress, results, error) $$;
CREATE FUNCTION t.state(run uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', status, progress, results::text, error, CASE WHEN completed_at IS NOT NULL THEN 'ended' END) FROM executions WHERE id = run
$$;
SELECT t.is(t.update(:'app', :'zoe', :'run', 'running', NULL, NULL, NULL), 'missing', 'for a stranger there is no execution');
SELECT t.is(t.update(:'other', :'ann2', :'run', 'running', NULL, NULL, NULL), 'missing', 'nor in another app');
SELECT t.is(t.update(:'app', :'ann', :'none', 'running', NULL, NULL, NULL), 'missing', 'nor where none is');
SELECT t.is(t.update(:'app', :'eve', :'run', 'running', NULL, NULL, NULL), 'denied', 'a reader who did not start it may not');
SELECT t.is(t.update(:'app', :'bob', :'run', 'completed', NULL, NULL, NULL), 'state', 'what has not run is not complete');
SELECT t.is(t.update(:'app', :'bob', :'run', NULL, 5, NULL, NULL), 'saved', 'who started it may say how far it is');
SELECT t.is(t.state(:'run'), 'pending 5', 'and it is');
SELECT t.is(t.update(:'app', :'ann', :'run', 'running', NULL, NULL, NULL), 'saved', 'who administers the document may');
SELECT t.is(t.update(:'app', :'bob', :'run', 'pending', NULL, NULL, NULL), 'state', 'there is no way back');
SELECT t.is(t.update(:'app', :'bob', :'run', 'running', 50, '{"a":1}', NULL), 'saved', 'it runs on');
SELECT t.is(t.state(:'run'), 'running 50 {"a":1}', 'with what it has');
SELECT t.is(t.update(:'app', :'bob', :'run', 'completed', 60, NULL, NULL), 'saved', 'and completes');
SELECT t.is(t.state(:'run'), 'completed 100 {"a":1} ended', 'at a hundred, with its results');
SELECT t.is(t.update(:'app', :'bob', :'run', 'failed', NULL, NULL, 'x'), 'state', 'the end is final');
SELECT t.is(t.update(:'app', :'bob', :'run', NULL, 3, NULL, NULL), 'state', 'in all of it');
\set run '00000000-0000-7000-8000-000000000032'
INSERT INTO executions (id, app_id, document_id, user_id, version) VALUES (:'run', :'app', :'doc', :'eve', 7);
SELECT t.is(t.update(:'app', :'eve', :'run', 'failed', NULL, NULL, 'why'), 'saved', 'one that never ran may fail');
SELECT t.is(t.state(:'run'), 'failed 0 why ended', 'and says why');
SELECT t.is(t.update(:'app', :'ann', :'run', 'odd', NULL, NULL, NULL), 'state', 'after its end nothing is looked at');
\set run '00000000-0000-7000-8000-000000000033'
INSERT INTO executions (id, app_id, document_id, user_id, version) VALUES (:'run', :'app', :'doc', :'eve', 7);
SELECT t.fails(format('SELECT t.update(%L, %L, %L, %L, NULL, NULL, NULL)', :'app', :'ann', :'run', 'odd'), '23514', 'before it there is no other state');
SELECT t.fails(format('SELECT t.update(%L, %L, %L, NULL, 101, NULL, NULL)', :'app', :'ann', :'run'), '23514', 'and no more than a hundred per cent');

-- user_of_identity(new_id, app, issuer, subject, email, verified, name)
CREATE FUNCTION t.who(app uuid, issuer text, subject text, address text, verified boolean) RETURNS text LANGUAGE sql AS $$
    SELECT u.id::text FROM user_of_identity(gen_random_uuid(), app, issuer, subject, address, verified, 'N') u
$$;
SELECT t.who(:'app', 'https://i/', 's1', 'new@example.com', true) AS first \gset
SELECT t.is(t.who(:'app', 'https://i/', 's1', 'changed@example.com', true), :'first', 'the same identity is the same user');
SELECT t.is((SELECT email || email_verified || display_name || plan FROM users WHERE id = :'first'), 'new@example.comtrueNfree', 'made with what was said first');
SELECT t.is((t.who(:'other', 'https://i/', 's1', 'new@example.com', true) <> :'first')::text, 'true', 'in another app it is another');
SELECT t.is((t.who(:'app', 'https://i', 's1', NULL, false) <> :'first')::text, 'true', 'and of another issuer, be it by a slash');
SELECT t.who(:'app', 'https://i/', 's2', 'NEW@example.com', true) AS second \gset
SELECT t.is((:'second' <> :'first')::text, 'true', 'an address makes nobody somebody else (T4)');
SELECT t.is((SELECT coalesce(email, 'none') FROM users WHERE id = :'second'), 'none', 'who does not get it then');
SELECT t.is((SELECT email FROM identities WHERE user_id = :'second'), 'NEW@example.com', 'though it is known of the identity');
SELECT t.who(:'app', 'https://i/', 's3', 'third@example.com', false) AS third \gset
SELECT t.is((SELECT coalesce(email, 'none') || email_verified FROM users WHERE id = :'third'), 'nonefalse', 'an address that is not verified is none');
UPDATE users SET suspended_at = now() WHERE id = :'third';
SELECT t.is((SELECT suspended::text FROM user_of_identity(gen_random_uuid(), :'app', 'https://i/', 's3', NULL, false, NULL)), 'true', 'who is suspended is told so');

-- Tenants: a row of one app cannot point at a row of another, whoever asks (T17).
SELECT t.fails(format('INSERT INTO workspaces (id, app_id, owner_id, name) VALUES (gen_random_uuid(), %L, %L, %L)', :'app', :'ann2', 'x'), '23503', 'no workspace of a stranger');
SELECT t.fails(format('INSERT INTO documents (id, app_id, workspace_id, kind, name, sha256) VALUES (gen_random_uuid(), %L, %L, %L, %L, sha256(%L))', :'other', :'ws', 'graph', 'x', ''), '23503', 'no document in a workspace of another app');
SELECT t.fails(format('INSERT INTO document_shares (document_id, app_id, user_id, permission) VALUES (%L, %L, %L, %L)', :'doc', :'app', :'ann2', 'read'), '23503', 'no share with a user of another app');
SELECT t.fails(format('INSERT INTO executions (id, app_id, document_id, version) VALUES (gen_random_uuid(), %L, %L, 1)', :'other', :'doc'), '23503', 'no execution in another app');
SELECT t.fails(format('INSERT INTO identities (app_id, issuer, subject, user_id) VALUES (%L, %L, %L, %L)', :'other', 'i', 's', :'ann'), '23503', 'no identity of a user of another app');

-- What is announced to the workers.
SELECT t.is((SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),
    'api_keys_changed api_keys_deleted apps_announce apps_announce_licenses apps_unfold audit_heads_closed audit_heads_kept audit_logs_closed audit_logs_kept billing_customers_applied billing_customers_orphan grants_announce_licenses grants_settle ' ||
    'issuers_announce jobs_announce license_devices_announce license_leases_announce licenses_announce organization_members_announce organization_members_settle organization_members_tell organizations_announce_licenses passkeys_settle sessions_changed sessions_deleted sessions_seen sessions_seen_again ' ||
    'signing_keys_announce totp_factors_settle users_announce users_announce_licenses users_forget users_leave users_tell webhook_endpoints_forget', 'changes are announced, what follows from them is settled, and the audit log is closed');

-- Organisations: ann owns one, of three seats; bob is an admin.
\set org '00000000-0000-7000-8000-000000000041'
\set org2 '00000000-0000-7000-8000-000000000042'
\set teamws '00000000-0000-7000-8000-000000000051'
\set teamdoc '00000000-0000-7000-8000-000000000061'
INSERT INTO organizations (id, app_id, name, slug, max_seats) VALUES (:'org', :'app', 'O', 'o', 3), (:'org2', :'app', 'P', 'p', 5);
INSERT INTO organization_members (organization_id, user_id, app_id, role, joined_at) VALUES
    (:'org', :'ann', :'app', 'owner', now() - interval '3 h'), (:'org', :'bob', :'app', 'admin', now() - interval '2 h'),
    (:'org2', :'zoe', :'app', 'owner', now());
SELECT t.fails(format('INSERT INTO organizations (id, app_id, name, slug) VALUES (gen_random_uuid(), %L, %L, %L)', :'app', 'x', gen_random_uuid()), '23514', 'a slug cannot look like an id (T40)');
SELECT t.fails(format('INSERT INTO organizations (id, app_id, name, slug) VALUES (gen_random_uuid(), %L, %L, %L)', :'app', 'x', replace(gen_random_uuid()::text, '-', '')), '23514', 'nor without its dashes');
SELECT t.fails(format('INSERT INTO organizations (id, app_id, name, slug) VALUES (gen_random_uuid(), %L, %L, %L)', :'app', 'x', 'o'), '23505', 'nor be another''s of the app');
SELECT t.fails(format('INSERT INTO organization_members (organization_id, user_id, app_id, role) VALUES (%L, %L, %L, %L)', :'org', :'ann2', :'app', 'member'), '23503', 'no member of another app (T17)');
SELECT t.fails(format('INSERT INTO organization_members (organization_id, user_id, app_id, role) VALUES (%L, %L, %L, %L)', :'org', :'ann2', :'other', 'member'), '23503', 'whichever app is said');
SELECT t.fails(format('INSERT INTO workspaces (id, app_id, owner_id, name, organization_id) VALUES (gen_random_uuid(), %L, %L, %L, %L)', :'app', :'zoe', 'x', :'org'), '23503', 'no workspace there of who is no member');
SELECT t.fails(format('INSERT INTO workspaces (id, app_id, owner_id, name, visibility) VALUES (gen_random_uuid(), %L, %L, %L, %L)', :'app', :'ann', 'x', 'team'), '23514', 'a personal one has no team');

-- organization_add(app, org, user, role)
CREATE FUNCTION t.add(app uuid, org uuid, who uuid, role text) RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM organization_add(app, org, who, role) $$;
SELECT t.is(t.add(:'app', :'org', :'eve', 'member'), 'saved', 'the last seat is taken');
SELECT t.is(t.add(:'app', :'org', :'zoe', 'member'), 'seats', 'and there is none more');
SELECT t.is(t.add(:'app', :'org', :'eve', 'admin'), 'member', 'a member is one already');
SELECT t.is(t.add(:'other', :'org', :'zoe', 'member'), 'missing', 'in another app there is no such organisation');

-- workspace_access, document_access
INSERT INTO workspaces (id, app_id, owner_id, name, organization_id, visibility) VALUES (:'teamws', :'app', :'bob', 'w', :'org', 'team');
INSERT INTO documents (id, app_id, workspace_id, kind, name, sha256) VALUES (:'teamdoc', :'app', :'teamws', 'graph', 'd', sha256('one'));
INSERT INTO document_versions (document_id, version, data, sha256, size, created_by) VALUES (:'teamdoc', 1, '"one"', sha256('one'), 5, :'bob');
CREATE FUNCTION t.levels(ws uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(right(user_id::text, 1) || ':' || level, ' ' ORDER BY user_id) FROM workspace_access WHERE workspace_id = ws
$$;
CREATE FUNCTION t.doc_levels(doc uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(right(user_id::text, 1) || ':' || level, ' ' ORDER BY user_id, level) FROM document_access WHERE document_id = doc
$$;
SELECT t.is(t.levels(:'ws'), '1:4', 'a personal workspace is its owner''s');
SELECT t.is(t.levels(:'teamws'), '1:3 2:4 3:2', 'a team''s is its maker''s, the owner''s and each member''s');
SELECT t.is(t.doc_levels(:'teamdoc'), '1:3 2:4 3:2', 'and so are its documents');
SELECT t.is(t.save(:'app', :'eve', :'teamdoc', NULL, NULL, NULL, 'two'), 'saved 2', 'a member saves');
SELECT t.is(t.save(:'app', :'zoe', :'teamdoc', NULL, NULL, NULL, 'x'), 'missing', 'a member of another does not');
UPDATE workspaces SET visibility = 'private' WHERE id = :'teamws';
SELECT t.is(t.levels(:'teamws'), '2:4', 'a private one is nobody else''s, be he the owner of all');
SELECT t.is(t.doc_levels(:'teamdoc'), '2:4', 'nor are its documents');
UPDATE workspaces SET visibility = 'public' WHERE id = :'teamws';
SELECT t.is(t.levels(:'teamws'), '1:3 2:4 3:2', 'a public one is the team''s');

-- organization_set_role(app, org, actor, user, role)
CREATE FUNCTION t.role(org uuid, actor uuid, who uuid, role text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, was) FROM organization_set_role('00000000-0000-7000-8000-0000000000aa', org, actor, who, role)
$$;
CREATE FUNCTION t.members(org uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(right(user_id::text, 1) || ':' || role, ' ' ORDER BY user_id) FROM organization_members WHERE organization_id = org
$$;
SELECT t.is(t.role(:'org', :'bob', :'eve', 'owner'), 'role member', 'an admin makes no owner (T18)');
SELECT t.is(t.role(:'org', :'bob', :'bob', 'owner'), 'role admin', 'of himself least of all');
SELECT t.is(t.role(:'org', :'bob', :'ann', 'member'), 'role owner', 'nor does he touch one');
SELECT t.is(t.role(:'org', :'eve', :'eve', 'admin'), 'role member', 'a member changes nothing');
SELECT t.is(t.role(:'org', :'zoe', :'eve', 'admin'), 'missing member', 'for a stranger it is not there');
SELECT t.is(t.role(:'org', :'ann', :'zoe', 'admin'), 'nobody', 'who is no member has no role');
SELECT t.is(t.role(:'org', :'ann', :'ann', 'admin'), 'owner owner', 'the last owner stays');
SELECT t.is(t.role(:'org', :'bob', :'eve', 'admin'), 'saved member', 'an admin makes an admin');
SELECT t.is(t.members(:'org'), '1:owner 2:admin 3:admin', 'and that is all that changed');
SELECT t.fails(format('SELECT t.role(%L, %L, %L, %L)', :'org', :'ann', :'eve', 'king'), '23514', 'there is no other role');

-- organization_invite, organization_reinvite, organization_accept
CREATE FUNCTION t.invite(org uuid, actor uuid, address text, role text, token text) RETURNS text LANGUAGE sql AS $$
    SELECT outcome FROM organization_invite(gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', org, actor, address, role, sha256(token::bytea), 7)
$$;
CREATE FUNCTION t.accept(app uuid, who uuid, token text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, role) FROM organization_accept(app, who, sha256(token::bytea))
$$;
SELECT t.is(t.invite(:'org', :'bob', 'new@example.com', 'owner', 'a'), 'role', 'an admin invites no owner');
SELECT t.is(t.invite(:'org', :'zoe', 'new@example.com', 'member', 'a'), 'missing', 'a stranger invites nobody');
SELECT t.is(t.invite(:'org', :'bob', 'EVE@example.com', 'member', 'a'), 'member', 'nobody invites a member');
SELECT t.is(t.invite(:'org', :'eve', 'Zoe@example.com', 'admin', 'a'), 'saved', 'an admin invites an admin');
SELECT t.is(t.invite(:'org', :'ann', 'zoe@EXAMPLE.com', 'member', 'b'), 'invited', 'nobody is invited twice');
SELECT t.is(t.accept(:'app', :'zoe', 'a'), 'unverified', 'an address that was not verified accepts nothing');
UPDATE users SET email_verified = true WHERE id = :'zoe';
SELECT t.is(t.accept(:'app', :'zoe', 'b'), 'invalid', 'nor does another token');
SELECT t.is(t.accept(:'app', :'ann', 'a'), 'invalid', 'nor another address');
SELECT t.is(t.accept(:'other', :'ann2', 'a'), 'invalid', 'nor another app');
SELECT t.is(t.accept(:'app', :'zoe', 'a'), 'seats', 'nor is there a seat');
SELECT t.is((SELECT count(*)::text FROM organization_invitations WHERE organization_id = :'org'), '1', 'all of which leaves it as it was');
UPDATE organization_invitations SET expires_at = now() WHERE organization_id = :'org';
UPDATE organizations SET max_seats = 4 WHERE id = :'org';
SELECT t.is(t.accept(:'app', :'zoe', 'a'), 'invalid', 'one that is over is none');
SELECT t.is(t.invite(:'org', :'eve', 'zoe@example.com', 'admin', 'c'), 'saved', 'and another takes its place');
SELECT t.is((SELECT string_agg(r.outcome || ' ' || r.role, ' ') FROM organization_invitations i,
    LATERAL organization_reinvite(:'app', :'org', :'bob', i.id, sha256('d'), 7) r WHERE i.organization_id = :'org'), 'saved admin', 'it is sent again');
SELECT t.is(t.accept(:'app', :'zoe', 'c'), 'invalid', 'the old token is void then');
SELECT t.is(t.accept(:'app', :'zoe', 'd'), 'saved admin', 'the new one is taken');
SELECT t.is(t.accept(:'app', :'zoe', 'd'), 'invalid', 'once');
SELECT t.is((SELECT outcome FROM organization_reinvite(:'app', :'org', :'ann', :'none', sha256('e'), 7)), 'invitation', 'what was accepted is not sent again');
-- What somebody may not grant any more he has not granted either.
SELECT t.is(t.invite(:'org', :'bob', 'x@example.com', 'admin', 'x') || t.invite(:'org', :'bob', 'y@example.com', 'member', 'y') ||
    t.invite(:'org', :'ann', 'z@example.com', 'owner', 'z'), 'savedsavedsaved', 'three are invited');
SELECT t.is(t.role(:'org', :'ann', :'bob', 'member'), 'saved admin', 'an admin becomes a member');
SELECT t.is((SELECT string_agg(email, ' ') FROM organization_invitations WHERE organization_id = :'org'), 'z@example.com', 'and his invitations are void');

-- organization_transfer(app, org, actor, user)
CREATE FUNCTION t.transfer(org uuid, actor uuid, who uuid) RETURNS text LANGUAGE sql AS $$
    SELECT outcome FROM organization_transfer('00000000-0000-7000-8000-0000000000aa', org, actor, who)
$$;
SELECT t.is(t.transfer(:'org', :'zoe', :'zoe'), 'role', 'an admin does not take it');
SELECT t.is(t.transfer(:'org', :'ann', :'none'), 'nobody', 'who is no member does not get it');
SELECT t.is(t.transfer(:'org', :'ann', :'ann'), 'saved', 'the owner may hand it to himself');
SELECT t.is(t.transfer(:'org', :'ann', :'bob'), 'saved', 'and to another');
SELECT t.is(t.members(:'org'), '1:admin 2:owner 3:admin 4:admin', 'whose place he takes');
SELECT t.is((SELECT count(*)::text FROM organization_invitations WHERE organization_id = :'org'), '0', 'an admin invites no owner');

-- organization_remove(app, org, actor, user)
CREATE FUNCTION t.remove(org uuid, actor uuid, who uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, was) FROM organization_remove('00000000-0000-7000-8000-0000000000aa', org, actor, who)
$$;
SELECT t.is(t.remove(:'org', :'bob', :'bob'), 'owner owner', 'the last owner does not leave');
SELECT t.is(t.remove(:'org', :'ann', :'bob'), 'role owner', 'nor does an admin put him out');
SELECT t.is(t.remove(:'org', :'ann', :'none'), 'nobody', 'who is no member cannot be put out');
SELECT t.is(t.role(:'org', :'bob', :'ann', 'owner'), 'saved admin', 'a second owner');
SELECT t.is(t.share(:'app', :'bob', :'teamdoc', :'eve', NULL, 'admin'), 'saved 3 admin', 'a document of the team is shared');
SELECT t.is(t.remove(:'org', :'ann', :'eve'), 'saved admin', 'who is put out');
SELECT t.is(t.doc_levels(:'teamdoc'), '1:3 2:4 4:3', 'has nothing left, not by a share either');
SELECT t.is(t.remove(:'org', :'bob', :'bob'), 'saved owner', 'one of two owners may leave');
SELECT t.is(t.levels(:'teamws'), '1:4 4:3', 'and what he made there stays with the other');
SELECT t.is(t.members(:'org'), '1:owner 4:admin', 'who goes on');

-- organization_sso_join(app, domain, user)
CREATE FUNCTION t.sso(app uuid, domain text, who uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', outcome, right(organization::text, 1)) FROM organization_sso_join(app, domain, who)
$$;
BEGIN;
SELECT t.is(t.sso(:'app', 'example.com', :'bob'), 'none', 'a domain without an organisation');
UPDATE organizations SET sso_domain = 'example.com', max_seats = 2 WHERE id = :'org';
SELECT t.is(t.sso(:'app', 'example.com', :'bob'), 'none', 'nor with one that does not want it');
UPDATE organizations SET sso_enabled = true WHERE id = :'org';
SELECT t.is(t.sso(:'app', 'example.com', :'bob'), 'seats 1', 'nobody joins without a seat (T21)');
UPDATE organizations SET max_seats = 5 WHERE id = :'org';
SELECT t.is(t.sso(:'other', 'example.com', :'ann2'), 'none', 'nor in another app');
SELECT t.is(t.sso(:'app', 'sub.example.com', :'bob'), 'none', 'nor from another domain');
SELECT t.is(t.sso(:'app', 'example.com', :'bob'), 'saved 1', 'who signs in joins');
SELECT t.is(t.sso(:'app', 'example.com', :'bob'), 'none', 'once');
SELECT t.is(t.sso(:'app', 'example.com', :'zoe'), 'member 1', 'a member is one already');
SELECT t.is(t.members(:'org'), '1:owner 2:member 4:admin', 'and stays what he is');
SELECT t.remove(:'org', :'ann', :'bob'), t.remove(:'org', :'ann', :'zoe') \gset gone_
SELECT t.is(t.sso(:'app', 'example.com', :'bob') || t.sso(:'app', 'example.com', :'zoe'), 'nonenone', 'who was put out does not come back');
SELECT t.fails(format('UPDATE organizations SET sso_domain = %L, sso_enabled = true WHERE id = %L', 'example.com', :'org2'), '23505', 'a domain has one organisation');
SELECT t.fails(format('INSERT INTO organization_sso_joins VALUES (%L, %L, %L)', :'org', :'ann2', :'app'), '23503', 'nobody of another app');
DELETE FROM users WHERE id = :'bob';
SELECT t.is((SELECT count(*)::text FROM organization_sso_joins), '1', 'nothing is kept of who is erased');
ROLLBACK;

-- An erased owner is followed by the next in rank; what was private goes with him, the rest stays.
INSERT INTO workspaces (id, app_id, owner_id, name, organization_id) VALUES ('00000000-0000-7000-8000-000000000052', :'app', :'ann', 'p', :'org');
BEGIN;
DELETE FROM users WHERE id = :'ann';
SELECT t.is(t.members(:'org'), '4:owner', 'the next becomes the owner');
SELECT t.is((SELECT string_agg(name || right(owner_id::text, 1), ' ') FROM workspaces WHERE organization_id = :'org'), 'w4', 'of what was the team''s');
SELECT t.is((SELECT string_agg(action, ' ' ORDER BY seq) FROM audit_logs WHERE chain = :'org'), 'org.owner.inherit org.member.erase', 'and it is written down');
DELETE FROM users WHERE id = :'zoe';
SELECT t.is((SELECT count(*)::text FROM organizations WHERE id IN (:'org', :'org2')), '0', 'where he was alone it goes');
ROLLBACK;
DELETE FROM organizations WHERE id = :'org';
SELECT t.is((SELECT count(*)::text FROM workspaces WHERE id = :'teamws'), '0', 'an organisation takes its workspaces along');

-- The audit log: chained, closed, shortened only at its old end.
\set chain '00000000-0000-7000-8000-000000000042'
CREATE FUNCTION t.audit(chain uuid, what text) RETURNS void LANGUAGE sql AS $$
    SELECT audit(gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', chain, '00000000-0000-7000-8000-000000000004', what, 'x', 'y', '{"a": 1}', '192.0.2.1', 'agent', 'r')
$$;
CREATE FUNCTION t.verify(chain uuid) RETURNS text LANGUAGE sql AS $$ SELECT coalesce((SELECT seq || ' ' || why FROM audit_verify(chain)), 'whole') $$;
-- Past its guards, as somebody could who owns the machine.
CREATE FUNCTION t.tamper(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE audit_logs DISABLE TRIGGER USER;
    ALTER TABLE audit_heads DISABLE TRIGGER USER;
    EXECUTE statement;
    ALTER TABLE audit_logs ENABLE TRIGGER USER;
    ALTER TABLE audit_heads ENABLE TRIGGER USER;
    RETURN NULL;
END $$;
SELECT t.is(t.verify(:'chain'), 'whole', 'a chain without rows is whole');
SELECT count(t.audit(:'chain', 'try.' || n)) AS n FROM generate_series(1, 20) n \gset
SELECT t.is(t.verify(:'chain'), 'whole', 'what was written is whole');
SELECT t.fails('UPDATE audit_logs SET action = ''x''', '42501', 'no row can be changed');
SELECT t.fails('DELETE FROM audit_logs', '42501', 'or deleted');
SELECT t.fails('TRUNCATE audit_logs', '42501', 'or all of them');
SELECT t.fails('INSERT INTO audit_logs SELECT * FROM audit_logs LIMIT 1', '42501', 'or slipped in');
SELECT t.fails('UPDATE audit_heads SET seq = 0', '42501', 'nor the ends of the chains');
CREATE ROLE worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA t TO worker;
GRANT USAGE ON SCHEMA t TO worker;
SET ROLE worker;
SET quoin.audit_door = 'open';
SELECT t.fails('UPDATE audit_logs SET action = ''x''', '42501', 'a worker does not have the key, whatever it says');
SELECT t.fails('DELETE FROM audit_heads', '42501', 'for neither table');
SELECT count(t.audit(:'chain', 'try.worker')) AS n \gset
SELECT t.is((SELECT action FROM audit_logs WHERE chain = :'chain' ORDER BY seq DESC LIMIT 1), 'try.worker', 'but it writes through the door');
RESET ROLE;
RESET quoin.audit_door;
BEGIN; SELECT t.tamper(format('UPDATE audit_logs SET resource_id = %L WHERE chain = %L AND seq = 7', 'z', :'chain'));
SELECT t.is(t.verify(:'chain'), '7 it was changed', 'a changed row is found'); ROLLBACK;
BEGIN; SELECT t.tamper(format('UPDATE audit_logs SET details = %L WHERE chain = %L AND seq = 1', '{"a":1}', :'chain'));
SELECT t.is(t.verify(:'chain'), '1 it was changed', 'be it by a space'); ROLLBACK;
BEGIN; SELECT t.tamper(format('UPDATE audit_logs SET resource_id = %L WHERE chain = %L AND seq = 7', 'z', :'chain'));
SELECT t.tamper(format('UPDATE audit_logs a SET hash = audit_hash((SELECT b.hash FROM audit_logs b WHERE b.chain = a.chain AND b.seq = 6), a) WHERE a.chain = %L AND a.seq = 7', :'chain'));
SELECT t.is(t.verify(:'chain'), '8 it was changed', 'or the one after it, when its hash was made anew'); ROLLBACK;
BEGIN; SELECT t.tamper(format('DELETE FROM audit_logs WHERE chain = %L AND seq = 7', :'chain'));
SELECT t.is(t.verify(:'chain'), '8 rows before it are missing', 'a row that is gone is found'); ROLLBACK;
BEGIN; SELECT t.tamper(format('DELETE FROM audit_logs WHERE chain = %L AND seq = 1', :'chain'));
SELECT t.is(t.verify(:'chain'), '2 rows before it are missing', 'the first too'); ROLLBACK;
BEGIN; SELECT t.tamper(format('DELETE FROM audit_logs WHERE chain = %L AND seq > 18', :'chain'));
SELECT t.is(t.verify(:'chain'), '18 rows after it are missing', 'and the last'); ROLLBACK;
BEGIN; SELECT t.tamper(format('DELETE FROM audit_logs WHERE chain = %L', :'chain'));
SELECT t.is(t.verify(:'chain'), '0 rows after it are missing', 'and all of them'); ROLLBACK;
BEGIN; SELECT t.tamper(format('UPDATE audit_logs SET user_id = NULL, ip_address = NULL, user_agent = NULL WHERE chain = %L', :'chain'));
SELECT t.is(t.verify(:'chain'), 'whole', 'who it was may be forgotten'); ROLLBACK;

-- Retention: rows are made old past the guards, with hashes to fit, as time would have made them.
CREATE FUNCTION t.age(p_chain uuid, days integer, below bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a audit_logs;
    before bytea;
BEGIN
    SELECT anchor INTO before FROM audit_heads h WHERE h.chain = p_chain;
    FOR a IN SELECT * FROM audit_logs x WHERE x.chain = p_chain ORDER BY x.seq LOOP
        IF a.seq < below THEN a.created_at := a.created_at - days * interval '1 day'; END IF;
        a.hash := audit_hash(before, a);
        UPDATE audit_logs x SET created_at = a.created_at, hash = a.hash WHERE x.chain = p_chain AND x.seq = a.seq;
        before := a.hash;
    END LOOP;
    UPDATE audit_heads h SET hash = before WHERE h.chain = p_chain;
END $$;
SELECT t.is(audit_prune(1000)::text, '0', 'what is young is kept');
SELECT t.tamper(format('SELECT t.age(%L, 31, 12)', :'chain'));
SELECT t.is(t.verify(:'chain'), 'whole', 'an old chain');
SELECT t.is(audit_prune(1000)::text, '0', 'is kept for ninety days');
UPDATE organizations SET audit_log_retention_days = 30 WHERE id = :'org2';
SELECT t.is(audit_prune(5)::text, '5', 'or thirty, where that is enough: then its old end is taken');
SELECT t.is(t.verify(:'chain'), 'whole', 'and what is left is whole');
SELECT t.is(audit_prune(1000)::text, '6', 'the rest of it the next time');
SELECT t.is((SELECT min(seq) || ' ' || max(seq) FROM audit_logs WHERE chain = :'chain'), '12 21', 'up to the first that is young');
SELECT t.is(t.verify(:'chain'), 'whole', 'whole again');
BEGIN; SELECT t.tamper(format('DELETE FROM audit_logs WHERE chain = %L AND seq = 12', :'chain'));
SELECT t.is(t.verify(:'chain'), '13 rows before it are missing', 'its new beginning is guarded like the old'); ROLLBACK;
BEGIN; SELECT t.tamper(format('UPDATE audit_logs SET action = %L WHERE chain = %L AND seq = 12', 'x', :'chain'));
SELECT t.is(t.verify(:'chain'), '12 it was changed', 'in what it says too'); ROLLBACK;
SELECT count(t.audit(:'chain', 'try.after')) AS n \gset
SELECT t.is(t.verify(:'chain'), 'whole', 'and it goes on');
UPDATE organizations SET audit_log_retention_days = 1 WHERE id = :'org2';
SELECT t.tamper(format('SELECT t.age(%L, 2, 100)', :'chain'));
SELECT t.is(audit_prune(1000)::text, '11', 'all of it may be old');
SELECT t.is(t.verify(:'chain'), 'whole', 'and nothing is whole too');
SELECT t.is((SELECT seq || ' ' || anchor_seq FROM audit_heads WHERE chain = :'chain'), '22 22', 'the next one knows its place');
SELECT count(audit(gen_random_uuid(), :'app', NULL, NULL, 'app.try', NULL, NULL, NULL, NULL, NULL, NULL)) AS n \gset
SELECT t.tamper(format('SELECT t.age(%L, 3650, 100)', :'app'));
SELECT t.is(audit_prune(1000)::text, '0', 'the app''s own is kept for ever');

-- session_begin(id, app, user, method, cookie, aal, days, device, device name, ip, agent, right, free, audit, details, request)
CREATE FUNCTION t.begins(app uuid, who uuid, device text, ip text, agent text, right_ones bytea[] DEFAULT NULL) RETURNS boolean LANGUAGE sql AS $$
    SELECT session_begin(gen_random_uuid(), app, who, 'password', NULL, 1, 30, device, NULL, ip, agent, right_ones,
        ARRAY[100, NULL, 30], gen_random_uuid(), '{"aal":1}', 'r')
$$;
SELECT t.is(t.begins(:'app', :'zoe', NULL, '203.0.113.7', 'one')::text, 'false', 'a first session is like all of none');
SELECT t.is(t.begins(:'app', :'zoe', NULL, '203.0.200.9', 'one')::text, 'false', 'the same program from about there is alike');
SELECT t.is(t.begins(:'app', :'zoe', NULL, '198.51.100.9', 'one')::text, 'true', 'from elsewhere it is not');
SELECT t.is(t.begins(:'app', :'zoe', 'd1', '203.0.113.7', 'two')::text, 'true', 'nor is another program');
SELECT t.is(t.begins(:'app', :'zoe', 'd1', '2001:db8::1', 'three')::text, 'false', 'the same device is, wherever it is');
SELECT t.is(t.begins(:'app', :'zoe', NULL, '2001:db8:0:9::2', 'three')::text, 'false', 'IPv6 has its own idea of about there');
SELECT t.is((SELECT count(*)::text FROM sessions WHERE user_id = :'zoe'), '6', 'each is kept');
SELECT t.is((SELECT count(*)::text FROM audit_logs WHERE user_id = :'zoe' AND action = 'session.begin'), '6', 'and noted');
SELECT t.is((SELECT (last_login_at > now() - interval '1 minute')::text FROM users WHERE id = :'zoe'), 'true', 'with the time');
SELECT t.is(guess(:'app', ARRAY[sha256('n'), sha256('c'), sha256('a')], ARRAY[100, 5, 30])::text, '0', 'a guess is counted');
SELECT t.is((SELECT count(*)::text FROM attempts WHERE app_id = :'app' AND subject = ANY (ARRAY[sha256('n'), sha256('c'), sha256('a')]) AND tried = 1), '3', 'three times');
SELECT t.is(t.begins(:'app', :'zoe', 'd1', '203.0.113.7', 'one', ARRAY[sha256('n'), sha256('c'), sha256('a')])::text, 'false', 'one that was right is taken back');
SELECT t.is((SELECT string_agg(tried::text, ' ') FROM attempts WHERE app_id = :'app' AND subject = ANY (ARRAY[sha256('n'), sha256('c'), sha256('a')])), '0 0', 'and is counted no more');
SELECT t.is((SELECT bool_or(t.begins(:'app', :'zoe', NULL, '203.0.113.7', 'one'))::text FROM generate_series(1, 100)), 'false', 'a hundred more');
SELECT t.is((SELECT count(*)::text FROM sessions WHERE user_id = :'zoe'), '100', 'end the oldest');

-- Deleting takes along what belongs to it, and nothing else.
DELETE FROM workspaces WHERE id = :'ws';
SELECT t.is((SELECT count(*)::text FROM documents), '0', 'documents go with their workspace');
SELECT t.is((SELECT (SELECT count(*) FROM document_versions) || ' ' || (SELECT count(*) FROM document_shares) || ' ' || (SELECT count(*) FROM executions)),
    '0 0 0', 'versions, shares and executions with them');
SELECT t.is((SELECT count(*)::text FROM users WHERE id IN (:'ann', :'bob', :'eve')), '3', 'users do not');
DELETE FROM apps WHERE id = :'app';
SELECT t.is((SELECT (SELECT count(*) FROM users WHERE app_id = :'app') || ' ' || (SELECT count(*) FROM organizations WHERE app_id = :'app')), '0 0', 'an app takes all along');
