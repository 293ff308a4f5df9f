-- Plans, grants and meters. Each line that comes out begins with "ok - " or "not ok - "; t.is is in functions.sql.
\set app '00000000-0000-7000-8000-0000000000cc'
\set una '00000000-0000-7000-8000-000000000101'
\set vic '00000000-0000-7000-8000-000000000102'
\set org '00000000-0000-7000-8000-000000000141'
INSERT INTO apps (id, slug, name, config) VALUES (:'app', 'planned', 'P', '{"plans": [
    {"code": "free", "shown": "FREE", "rank": 0, "limits": [{"meter": "commands", "period": "day", "max": 10}, {"meter": "boxes", "period": "none", "max": 5}]},
    {"code": "pro", "shown": "PRO", "rank": 1, "features": ["sync", "mfa"], "prices": [{"stripe": "price_pro", "amount": 4900, "interval": "year"}, {"stripe": ""}],
     "limits": [{"meter": "commands", "period": "day", "max": -1}, {"meter": "boxes", "period": "none", "max": 7}]},
    {"code": "team", "rank": 2, "features": ["sync"], "limits": [{"meter": "seats", "period": "none", "max": 3}]}]}');
INSERT INTO users (id, app_id, email) VALUES (:'una', :'app', 'una@example.com'), (:'vic', :'app', 'vic@example.com');
INSERT INTO organizations (id, app_id, name, slug) VALUES (:'org', :'app', 'O', 'o');

CREATE FUNCTION t.plans() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(p, ' ') FROM (SELECT plan AS p FROM users WHERE email IN ('una@example.com', 'vic@example.com') ORDER BY email) u
$$;
CREATE FUNCTION t.take(who uuid, org uuid, meter text, n bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', taken::text, used, max, (resets_at IS NOT NULL)::text) FROM meter_take('00000000-0000-7000-8000-0000000000cc', who, org, meter, n)
$$;
CREATE FUNCTION t.told(type text) RETURNS text LANGUAGE sql AS $$
    SELECT count(*)::text FROM events e WHERE e.app_id = '00000000-0000-7000-8000-0000000000cc' AND e.type = told.type
$$;

-- The file is unfolded, and unfolded again when it changes.
SELECT t.is((SELECT string_agg(concat_ws(' ', code, rank, shown, features), ', ' ORDER BY rank) FROM plans WHERE app_id = :'app'),
    'free 0 FREE {}, pro 1 PRO {sync,mfa}, team 2 team {sync}', 'plans are those of the file');
SELECT t.is((SELECT concat_ws(' ', price, plan, interval, amount, currency, per) FROM plan_prices WHERE app_id = :'app'),
    'price_pro pro year 4900 usd plan', 'and prices, but for those without an id');
UPDATE apps SET config = replace(config::text, '"max": 7', '"max": 8')::json WHERE id = :'app';
SELECT t.is((SELECT max::text FROM plan_limits WHERE app_id = :'app' AND plan = 'pro' AND meter = 'boxes'), '8', 'a new file counts at once');

-- Grants decide the plan.
SELECT grant_set(:'app', :'una', NULL, 'subscription', 'sub_1', 'pro', NULL, NULL) \gset
SELECT t.is(t.plans(), 'pro free', 'a subscription gives its plan');
SELECT grant_set(:'app', :'una', NULL, 'purchase', 'pi_1', 'team', NULL, now() + interval '1 day') \gset
SELECT t.is(t.plans(), 'team free', 'the highest counts');
SELECT t.is((SELECT count(*)::text FROM jobs WHERE kind = 'grants.end' AND run_at > now()), '1', 'its end is on the calendar');
UPDATE grants SET ends_at = clock_timestamp() - interval '1 s' WHERE source = 'purchase';
SELECT t.is(grants_end()::text, '1', 'one that is over is noticed');
SELECT t.is(grants_end()::text, '0', 'once');
SELECT t.is(t.plans(), 'pro free', 'and counts no more');
SELECT grant_set(:'app', :'una', NULL, 'override', :'una', 'free', NULL, NULL) \gset
SELECT t.is(t.plans(), 'free free', 'an override has the last word, downwards too');
SELECT t.is(grant_drop(:'app', 'override', :'una')::text, 'true', 'until it is taken back');
SELECT t.is(t.plans(), 'pro free', 'then the rest counts again');
SELECT t.is(t.told('entitlement.changed'), '5', 'each change was told, and nothing else');
SELECT grant_set(:'app', :'una', NULL, 'subscription', 'sub_1', 'pro', NULL, NULL) \gset
SELECT t.is(t.told('entitlement.changed'), '5', 'the same again is no change');

-- Organisations give their plan to whoever is in them.
INSERT INTO organization_members (organization_id, user_id, app_id, role) VALUES (:'org', :'vic', :'app', 'owner');
SELECT grant_set(:'app', NULL, :'org', 'subscription', 'sub_2', 'team', NULL, NULL) \gset
SELECT t.is((SELECT plan || ' ' || max_seats FROM organizations WHERE id = :'org'), 'team 3', 'an organisation has its plan''s seats');
SELECT t.is(t.plans(), 'pro team', 'and its members its plan');
SELECT grant_set(:'app', NULL, :'org', 'subscription', 'sub_2', 'team', 9, NULL) \gset
SELECT t.is((SELECT max_seats::text FROM organizations WHERE id = :'org'), '9', 'seats that were bought count');
INSERT INTO organization_members (organization_id, user_id, app_id, role) VALUES (:'org', :'una', :'app', 'member');
SELECT t.is(t.plans(), 'team team', 'who joins has it too');
DELETE FROM organization_members WHERE organization_id = :'org' AND user_id = :'una';
SELECT t.is(t.plans(), 'pro team', 'who leaves has it no more');
SELECT t.is((SELECT concat_ws(' ', plan, rank, shown, features, source) FROM entitlement(:'app', :'una', NULL)), 'pro 1 PRO {mfa,sync} subscription', 'what counts is told');
SELECT t.is((SELECT concat_ws(' ', plan, source) FROM entitlement(:'app', :'vic', NULL)), 'team organization', 'and where it comes from');
SELECT t.is((SELECT concat_ws(' ', plan, source, seats) FROM entitlement(:'app', NULL, :'org')), 'team subscription 9', 'of an organisation too');
SELECT grant_drop(:'app', 'subscription', 'sub_2') \gset
SELECT t.is(t.plans() || (SELECT ' ' || plan || ' ' || max_seats FROM organizations WHERE id = :'org'), 'pro free free 5', 'all of it goes with the grant');
SELECT t.fails(format('SELECT grant_set(%L, %L, %L, %L, %L, %L, NULL, NULL)', :'app', :'una', :'org', 'licence', 'x', 'pro'), '23514', 'a grant is somebody''s, not two''s');
SELECT t.fails(format('SELECT grant_set(%L, %L, NULL, %L, %L, %L, NULL, NULL)', '00000000-0000-7000-8000-0000000000bb', :'una', 'licence', 'x', 'pro'), '23503', 'nor somebody''s of another app (T17)');

-- Meters: all or nothing, never above.
SELECT t.is(t.take(:'vic', NULL, 'commands', 7), 'true 7 10 true', 'is taken');
SELECT t.is(t.take(:'vic', NULL, 'commands', 4), 'false 7 10 true', 'not above the limit');
SELECT t.is(t.take(:'vic', NULL, 'commands', 11), 'false 7 10 true', 'nor in one');
SELECT t.is(t.told('usage.warning'), '0', 'seven tenths are no reason to warn');
SELECT t.is(t.take(:'vic', NULL, 'commands', 1), 'true 8 10 true', 'four fifths are');
SELECT t.is(t.take(:'vic', NULL, 'commands', 1), 'true 9 10 true', 'but once');
SELECT t.is(t.told('usage.warning'), '1', 'is told once');
SELECT t.is(t.take(:'vic', NULL, 'commands', 1), 'true 10 10 true', 'up to the last');
SELECT t.is(t.told('usage.warning'), '2', 'which is told again');
SELECT t.is((SELECT string_agg(payload ->> 'percent', ' ' ORDER BY payload ->> 'percent') FROM jobs WHERE kind = 'usage.warning'), '100 80', 'by mail too');
SELECT t.is(t.take(:'una', NULL, 'commands', 1000000), 'true 1000000 -1 true', 'who has no limit is counted all the same');
SELECT t.is(t.take(:'una', NULL, 'nothing_of_this', 3), 'true 3 -1 false', 'what no plan limits is free');
SELECT t.is(t.take(:'vic', NULL, 'boxes', 5), 'true 5 5 false', 'a balance has no end');
SELECT t.is(t.take(:'vic', NULL, 'boxes', 1), 'false 5 5 false', 'is full');
SELECT meter_give(:'app', :'vic', NULL, 'boxes', 2) \gset
SELECT t.is(t.take(:'vic', NULL, 'boxes', 1), 'true 4 5 false', 'and goes down again');
SELECT meter_give(:'app', :'vic', NULL, 'boxes', 100) \gset
SELECT t.is((SELECT used::text FROM usage_meters WHERE meter = 'boxes'), '0', 'not below nothing');
UPDATE usage_meters SET period_start = period_start - 1 WHERE meter = 'commands' AND user_id = :'vic';
SELECT t.is(t.take(:'vic', NULL, 'commands', 1), 'true 1 10 true', 'a new day begins by itself');
SELECT grant_set(:'app', :'vic', NULL, 'override', :'vic', NULL, NULL, NULL) \gset
UPDATE grants SET limits = '{"commands": 3, "extra": 2}' WHERE source_id = :'vic';
SELECT t.is(t.take(:'vic', NULL, 'commands', 3), 'false 1 3 true', 'an operator''s limit counts in the plan''s place');
SELECT t.is(t.take(:'vic', NULL, 'extra', 2), 'true 2 2 false', 'and where the plan has none');
SELECT t.is((SELECT string_agg(concat_ws(' ', meter, period, used, max), ', ') FROM entitlement_limits(:'app', :'vic', NULL)),
    'boxes none 0 5, commands day 1 3, extra none 2 2', 'what is left can be read');
SELECT t.is((SELECT string_agg(concat_ws(' ', meter, used, max), ', ') FROM entitlement_limits(:'app', NULL, :'org') WHERE meter = 'seats'), NULL, 'seats only where the plan has them');
UPDATE usage_meters SET period_start = period_start - 500 WHERE meter = 'commands';
SELECT t.is(usage_meters_prune()::text, '3', 'what is long over is forgotten, balances are not');
DELETE FROM users WHERE id IN (:'una', :'vic');
SELECT t.is((SELECT (SELECT count(*) FROM grants) || ' ' || (SELECT count(*) FROM usage_meters)), '0 0', 'all goes with its user');
DELETE FROM apps WHERE id = :'app';
