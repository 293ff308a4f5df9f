-- Licences. Each line that comes out begins with "ok - " or "not ok - "; t.is is in functions.sql.
\set app '00000000-0000-7000-8000-0000000000ee'
\set una '00000000-0000-7000-8000-000000000301'
\set vic '00000000-0000-7000-8000-000000000302'
\set org '00000000-0000-7000-8000-000000000341'
\set lic '00000000-0000-7000-8000-000000000351'
INSERT INTO apps (id, slug, name, config) VALUES (:'app', 'licensed', 'L', '{"plans": [
    {"code": "free", "shown": "FREE", "rank": 0, "limits": [{"meter": "commands", "period": "day", "max": 10}]},
    {"code": "pro", "shown": "PRO", "rank": 1, "features": ["sync", "mfa"],
     "limits": [{"meter": "requests", "period": "minute", "max": 9}, {"meter": "commands", "period": "day", "max": -1}, {"meter": "devices", "period": "none", "max": 2}, {"meter": "builds", "period": "month", "max": 5}]}]}');
INSERT INTO users (id, app_id, email) VALUES (:'una', :'app', 'una2@example.com'), (:'vic', :'app', 'vic2@example.com');
INSERT INTO organizations (id, app_id, name, slug) VALUES (:'org', :'app', 'O', 'o');

CREATE FUNCTION t.issue(key text, policy jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT outcome FROM license_issue('00000000-0000-7000-8000-0000000000ee', gen_random_uuid(), key, policy, '{}')
$$;
CREATE FUNCTION t.key(key text) RETURNS bytea LANGUAGE sql AS $$ SELECT sha256(convert_to(key, 'UTF8')) $$;
CREATE FUNCTION t.look(key text, machine text, version text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT code || ' ' || valid FROM license_look('00000000-0000-7000-8000-0000000000ee', t.key(key), machine, version)
$$;
CREATE FUNCTION t.seat(key text, machine text) RETURNS text LANGUAGE sql AS $$
    SELECT code FROM license_seat('00000000-0000-7000-8000-0000000000ee', t.key(key), machine, NULL, gen_random_uuid(), 'n', 'linux', '::1')
$$;
CREATE FUNCTION t.change(key text, verb text, until timestamptz DEFAULT NULL, who uuid DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    SELECT c.outcome INTO said FROM licenses l, license_change(l.app_id, l.id, verb, until, who, NULL, '{}') c WHERE l.license_key = key;
    RETURN said || ' ' || (SELECT l.status FROM licenses l WHERE l.license_key = key);
END $$;

-- What may be issued.
SELECT t.is(t.issue('key-of-una', jsonb_build_object('plan', 'pro', 'user_id', :'una')), 'saved', 'a licence with a plan and an owner');
SELECT t.is(t.issue('key-of-una', '{"plan": "pro"}'), 'key', 'a key is there once');
SELECT t.is(t.issue('key-gold', '{"plan": "gold"}'), 'plan', 'of a plan that is none');
SELECT t.is(t.issue('key-else', jsonb_build_object('plan', 'pro', 'user_id', '00000000-0000-7000-8000-000000000001')), 'owner', 'of a user of another app');
SELECT t.is(t.issue('key-many', '{"plan": "pro", "limits": {"commands": "x"}}'), 'limits', 'a limit is a number');
SELECT t.is(t.issue('key-flag', '{"plan": "pro", "features": {"sync": 1}}'), 'limits', 'a flag is true or false');
SELECT t.fails($$SELECT t.issue('key-both', '{"kind": "term", "plan": "pro"}')$$, '23514', 'a term has an end');
SELECT t.fails($$SELECT t.issue('key-both', '{"limits": {"commands": 1}}')$$, '23514', 'its own limits are of its own plan');
SELECT t.fails($$SELECT t.issue('short', '{"plan": "pro"}')$$, '23514', 'a key has eight characters');
SELECT t.fails($$INSERT INTO licenses (id, app_id, license_key, key_hash) SELECT gen_random_uuid(), id, 'key-other', sha256('x') FROM apps LIMIT 1$$, '23514', 'a hash is that of its key');

-- Its owner has its plan while it is in force.
SELECT t.is((SELECT plan FROM users WHERE id = :'una'), 'pro', 'its owner has its plan');
SELECT t.is(t.change('key-of-una', 'transfer', NULL, :'vic'), 'saved ACTIVE', 'it is given to another');
SELECT t.is((SELECT string_agg(plan, ' ' ORDER BY email) FROM users WHERE app_id = :'app'), 'free pro', 'who has it now, and the first has not');
SELECT t.is(t.change('key-of-una', 'suspend'), 'saved SUSPENDED', 'suspended');
SELECT t.is((SELECT plan FROM users WHERE id = :'vic'), 'free', 'it gives nothing');
SELECT t.is(t.look('key-of-una', 'm'), 'SUSPENDED false', 'and says why');
SELECT t.is(t.change('key-of-una', 'suspend'), 'saved SUSPENDED', 'once more is nothing');
SELECT t.is(t.change('key-of-una', 'reinstate'), 'saved ACTIVE', 'reinstated');
SELECT t.is((SELECT plan FROM users WHERE id = :'vic'), 'pro', 'it gives it again');
SELECT t.is((SELECT string_agg(e.type, ' ' ORDER BY e.seq) FROM events e WHERE e.app_id = :'app' AND e.type LIKE 'licence.%'),
    'licence.created licence.transferred licence.suspended licence.reinstated', 'each change is told once');
SELECT t.is((SELECT count(*)::text FROM audit_logs WHERE app_id = :'app' AND resource_type = 'licence'), '4', 'and stands in the audit log');

-- What it gives.
SELECT t.is((SELECT quotas::text || features FROM license_look(:'app', t.key('key-of-una'), 'm', NULL)),
    '{"max_devices":2,"builds_per_month":5,"commands_per_day":-1}{"mfa":true,"sync":true}', 'limits by day and month, flags of all plans');
SELECT t.is(t.issue('key-own-limits', '{"plan": "pro", "limits": {"commands": 7}, "features": {"sync": false, "beta": true}, "max_devices": -1}'), 'saved', 'its own words');
SELECT t.is((SELECT quotas::text || features FROM license_look(:'app', t.key('key-own-limits'), 'm', NULL)),
    '{"max_devices":-1,"builds_per_month":5,"commands_per_day":7}{"mfa":true,"beta":true,"sync":false}', 'come before the plan''s');
SELECT t.is(t.issue('key-follows', jsonb_build_object('user_id', :'una')), 'saved', 'one without a plan');
SELECT t.is((SELECT plan || quotas FROM license_look(:'app', t.key('key-follows'), 'm', NULL)), 'free{"max_devices":1,"commands_per_day":10}', 'follows its owner''s');
SELECT grant_set(:'app', :'una', NULL, 'override', :'una', 'pro', NULL, NULL);
SELECT t.is((SELECT plan || quotas FROM license_look(:'app', t.key('key-follows'), 'm', NULL)),
    'pro{"max_devices":2,"builds_per_month":5,"commands_per_day":-1}', 'wherever it goes');
SELECT t.is(license_of_user(:'app', :'una', gen_random_uuid(), 'key-of-each') || license_of_user(:'app', :'una', gen_random_uuid(), 'key-of-each-2'),
    'key-of-eachkey-of-each', 'each user has one');

-- Versions.
SELECT t.is(string_agg(v || license_covers('3.2', v), ' ' ORDER BY n), '3.2true 3.2.9true v2.0true 3true 3.3false 10false xfalse', 'of versions')
  FROM unnest(ARRAY['3.2', '3.2.9', 'v2.0', '3', '3.3', '10', 'x']) WITH ORDINALITY AS x (v, n);
SELECT t.is(license_covers(NULL, NULL)::text || license_covers('1', NULL), 'truefalse', 'one that is not said is covered only where none is asked for');

-- Seats.
SELECT t.is(t.look('key-of-una', 'a'), 'NEW_DEVICE false', 'a look gives no seat');
SELECT t.is(t.seat('key-of-una', 'a') || ' ' || t.seat('key-of-una', 'b') || ' ' || t.seat('key-of-una', 'a') || ' ' || t.seat('key-of-una', 'c'),
    'VALID VALID VALID TOO_MANY_DEVICES', 'as many as the plan says');
SELECT t.is((SELECT count(*)::text FROM license_devices d JOIN licenses l ON l.id = d.license_id WHERE l.license_key = 'key-of-una'), '2', 'and no more');
UPDATE licenses SET max_devices = 1 WHERE license_key = 'key-of-una';
SELECT t.is(t.look('key-of-una', 'a') || t.look('key-of-una', 'b'), 'VALID trueTOO_MANY_DEVICES false', 'of fewer the first stays');
UPDATE licenses SET heartbeat_seconds = 30 WHERE license_key = 'key-of-una';
UPDATE license_devices SET last_heartbeat_at = now() - interval '31 s' WHERE machine_id = 'a';
SELECT t.is(t.look('key-of-una', 'a'), 'HEARTBEAT_MISSED false', 'one that was silent is missed');
SELECT t.is((SELECT outcome FROM license_release(:'app', (SELECT id FROM licenses WHERE license_key = 'key-of-una'), NULL, 'b', :'una', false, '{}')), 'missing', 'who had it frees no seat');
SELECT t.is((SELECT outcome FROM license_release(:'app', (SELECT id FROM licenses WHERE license_key = 'key-of-una'), NULL, 'b', :'vic', false, '{}')), 'saved', 'its owner does');
SELECT t.is(t.seat('key-of-una', 'c'), 'VALID', 'and the silent one made room');
SELECT t.is((SELECT string_agg(machine_id, ' ') FROM license_devices d JOIN licenses l ON l.id = d.license_id WHERE l.license_key = 'key-of-una'), 'c', 'so that there is one');

-- Time.
SELECT t.is(t.issue('key-ended', '{"plan": "pro", "expires_at": "2026-01-01T00:00:00Z", "term_days": 30}'), 'saved', 'one that has ended');
SELECT t.is(t.issue('key-maintained', '{"plan": "pro", "expires_at": "2026-01-01T00:00:00Z", "expiry": "maintain"}'), 'saved', 'one that is maintained');
SELECT t.is(t.look('key-ended', 'a') || ' ' || t.seat('key-maintained', 'a') || ' ' || t.look('key-maintained', 'a'), 'EXPIRED false EXPIRED EXPIRED true', 'is refused, or is not');
SELECT t.is((license_sweep() > 0)::text, 'true', 'what time brings');
SELECT t.is((SELECT count(*)::text FROM events e WHERE e.app_id = :'app' AND e.type = 'licence.expired'), '2', 'is told');
SELECT t.is((license_sweep() = 0)::text, 'true', 'once');
SELECT t.is(license_sweep_due()::text, 'false', 'and then nothing is due');
SELECT t.is(t.change('key-ended', 'renew'), 'saved ACTIVE', 'renewed');
SELECT t.is((SELECT (expires_at = '2026-01-31T00:00:00Z')::text FROM licenses WHERE license_key = 'key-ended'), 'true', 'from its end');
SELECT t.is(t.change('key-ended', 'renew', now() - interval '1 s'), 'state ACTIVE', 'not into the past');
SELECT t.is(t.change('key-of-una', 'renew'), 'state ACTIVE', 'what has no end is not renewed');
SELECT t.is(t.change('key-ended', 'revoke') || ' ' || t.change('key-ended', 'renew') || ' ' || t.change('key-ended', 'reinstate'), 'saved REVOKED state REVOKED state REVOKED', 'revoked is for ever');

-- Use, of a licence that is nobody's.
CREATE FUNCTION t.use(n bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', code, used, max) FROM license_take('00000000-0000-7000-8000-0000000000ee', t.key('key-own-limits'), NULL, 'commands', n)
$$;
SELECT t.is(t.use(5) || ', ' || t.use(3) || ', ' || t.use(2) || ', ' || t.use(1) || ', ' || t.use(8),
    'VALID 5 7, QUOTA_EXCEEDED 5 7, VALID 7 7, QUOTA_EXCEEDED 7 7, QUOTA_EXCEEDED 7 7', 'all of it or nothing');

-- What was validated goes with the licence.
SELECT license_validated(json_build_array(json_build_object('l', id, 'm', 'c', 't', 1700000000000000, 'n', 3, 'seen', true),
    json_build_object('l', gen_random_uuid(), 'm', 'c', 't', 0, 'n', 1))) FROM licenses WHERE license_key = 'key-of-una';
SELECT t.is((SELECT count(*) || ' ' || sum(times) FROM license_validations), '1 3', 'a batch is stored, but for what is not there any more');
SELECT t.is((SELECT extract(epoch FROM last_seen_at)::bigint::text FROM license_devices WHERE machine_id = 'c'), '1700000000', 'and the machine was seen');
DELETE FROM users WHERE id = :'vic';
SELECT t.is((SELECT count(*)::text FROM license_validations), '0', 'and is gone with its owner');
