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
    'api_keys_changed api_keys_deleted apps_announce issuers_announce jobs_announce sessions_changed sessions_deleted signing_keys_announce users_announce', 'changes are announced');

-- Deleting takes along what belongs to it, and nothing else.
DELETE FROM workspaces WHERE id = :'ws';
SELECT t.is((SELECT count(*)::text FROM documents), '0', 'documents go with their workspace');
SELECT t.is((SELECT (SELECT count(*) FROM document_versions) || ' ' || (SELECT count(*) FROM document_shares) || ' ' || (SELECT count(*) FROM executions)),
    '0 0 0', 'versions, shares and executions with them');
SELECT t.is((SELECT count(*)::text FROM users WHERE id IN (:'ann', :'bob', :'eve')), '3', 'users do not');
