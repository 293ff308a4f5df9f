-- The arithmetic of business figures (docs/figures.md). Each line that comes out begins with "ok - " or "not ok - ".
\set app '00000000-0000-7000-8000-0000000000f1'
\set other '00000000-0000-7000-8000-0000000000f2'
-- Wherever the server thinks it is: days are those of UTC.
SET TimeZone = 'Pacific/Kiritimati';
INSERT INTO apps (id, slug, name, config, figures_since) VALUES (:'app', 'figures', 'F', '{"plans": [
    {"code": "free", "rank": 0}, {"code": "pro", "rank": 1, "prices": [{"stripe": "f_pro"}, {"stripe": "f_once", "interval": "once"}]},
    {"code": "team", "rank": 2, "prices": [{"stripe": "f_team", "seats": 5}, {"stripe": "f_seat", "per": "seat"}]}]}', '2026-01-30'),
    (:'other', 'elsewhere', 'E', '{}', '2026-01-30');
CREATE FUNCTION t.who(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8000-0000000f' || lpad(n::text, 4, '0'))::uuid $$;
INSERT INTO users (id, app_id, email, created_at) SELECT t.who(n), :'app', 'f' || n || '@example.com', '2026-01-01' FROM generate_series(1, 9) n;
INSERT INTO billing_customers (id, app_id, user_id, stripe_customer_id) SELECT t.who(n), :'app', t.who(n), 'cus_f' || n FROM generate_series(1, 9) n;
INSERT INTO stripe_accounts VALUES (:'app', '', '', '', '/', '/', '/', 0, 7, false, '{}');

-- What a day says, in the order in which it is asked for.
CREATE FUNCTION t.day(p_day date, VARIADIC names text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(to_jsonb(f) ->> n, ' ' ORDER BY o) FROM figures_count('00000000-0000-7000-8000-0000000000f1', p_day) f, unnest(names) WITH ORDINALITY x (n, o)
$$;
CREATE FUNCTION t.money(p_day date) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', currency, arr, '+' || arr_new, '+' || arr_expanded, '-' || arr_contracted, '-' || arr_lost), ', ' ORDER BY currency), '')
      FROM figures_count_money('00000000-0000-7000-8000-0000000000f1', p_day)
$$;
CREATE FUNCTION t.customers(p_day date) RETURNS text LANGUAGE sql AS $$
    SELECT t.day(p_day, 'conversions', 'paying_customers', 'new_customers', 'churned_customers', 'trials', 'past_due')
$$;
-- What Stripe says of somebody, and when it was heard.
CREATE FUNCTION t.fsub(n integer, name text, status text, amount integer, quantity integer, every text, currency text, more text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', name, 'status', status, 'created', 1700000000, 'cancel_at_period_end', false, 'items', jsonb_build_object('data', jsonb_build_array(
        jsonb_build_object('id', 'si_' || name, 'quantity', quantity, 'price', jsonb_build_object('id', CASE WHEN quantity > 1 THEN 'f_seat' ELSE 'f_pro' END, 'unit_amount', amount, 'currency', currency,
        'recurring', every::jsonb))))) || more::jsonb
$$;
CREATE FUNCTION t.finv(name text, sub text, amount integer, status text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', name, 'status', status, 'total', amount, 'currency', 'usd', 'attempt_count', 1, 'created', 1700000000,
        'payment_intent', 'pi_' || name, 'subscription', sub)
$$;
CREATE FUNCTION t.hear(n integer, heard timestamptz, state jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    newest bigint := (SELECT coalesce(max(id), 0) FROM billing_states);
BEGIN
    PERFORM billing_apply(t.who(n), (SELECT seq FROM billing_ask(t.who(n))), '{}', state);
    UPDATE billing_states b SET at = heard WHERE b.id > newest;
END $$;
CREATE FUNCTION t.sold(n integer, heard timestamptz, sub jsonb, VARIADIC invoices jsonb[] DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
    SELECT t.hear(n, heard, jsonb_build_object('subscriptions', jsonb_build_array(sub), 'invoices', to_jsonb(invoices)))
$$;
\set monthly '{"interval": "month"}'
\set yearly '{"interval": "year"}'

SELECT t.is(concat_ws(' ', yearly(2000, 'month', 1), yearly(20000, 'year', 1), yearly(1000, 'week', 2), yearly(10, 'day', 1), yearly(3000, 'month', 3), yearly(100, 'year', 3)),
    '24000 20000 26000 3650 12000 33', 'a year of a price, whatever its interval');
SELECT t.is(t.money('2026-01-30') || t.customers('2026-01-30'), '0 0 0 0 0 0', 'where nothing is sold there is nothing');

-- 1: a month, paid; 2: a year, paid; 3: seats; 4: euro.
SELECT t.sold(1, '2026-01-30 10:00Z', t.fsub(1, 'sf1', 'active', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if1', 'sf1', 2000, 'paid'));
SELECT t.sold(2, '2026-01-30 11:00Z', t.fsub(2, 'sf2', 'active', 20000, 1, :'yearly', 'usd', '{}'), t.finv('if2', 'sf2', 20000, 'paid'));
SELECT t.sold(3, '2026-01-30 12:00Z', t.fsub(3, 'sf3', 'active', 1500, 4, :'monthly', 'usd', '{}'), t.finv('if3', 'sf3', 6000, 'paid'));
SELECT t.sold(4, '2026-01-30 13:00Z', t.fsub(4, 'sf4', 'active', 900, 1, :'monthly', 'eur', '{}'), t.finv('if4', 'sf4', 900, 'paid'));
SELECT t.is(t.money('2026-01-30'), 'eur 10800 +10800 +0 -0 -0, usd 116000 +116000 +0 -0 -0', 'a month twelve times, a year once, seats each, a currency beside another');
SELECT t.is(t.customers('2026-01-30'), '4 4 4 0 0 0', 'four convert');
SELECT t.is(t.day('2026-01-30', 'conversions_by_plan'), '{"pro": 3, "team": 1}', 'each to a plan');
SELECT t.is(t.money('2026-01-31') || ' ' || t.customers('2026-01-31'), 'eur 10800 +0 +0 -0 -0, usd 116000 +0 +0 -0 -0 0 4 0 0 0 0', 'the day after it is there still, and not new');
SELECT t.is(t.money('2026-01-29') || t.customers('2026-01-29'), '0 0 0 0 0 0', 'the day before it is not');
SELECT t.is((SELECT round(arr / 12.0)::text FROM figures_count_money(:'app', '2026-01-30') WHERE currency = 'usd'), '9667', 'a month is rounded once, of the sum');

-- A border of days and of a month: heard in the last and in the first microsecond.
SELECT t.sold(1, '2026-01-31 23:59:59.999999Z', t.fsub(1, 'sf1', 'active', 3000, 1, :'monthly', 'usd', '{}'));
SELECT t.sold(3, '2026-02-01 00:00:00Z', t.fsub(3, 'sf3', 'active', 1500, 2, :'monthly', 'usd', '{}'));
SELECT t.is(t.money('2026-01-31'), 'eur 10800 +0 +0 -0 -0, usd 128000 +0 +12000 -0 -0', 'a dearer plan in the last moment of January is January''s');
SELECT t.is(t.money('2026-02-01'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -36000 -0', 'fewer seats in the first of February are February''s');
SELECT t.is(t.customers('2026-01-31') || '/' || t.customers('2026-02-01'), '0 4 0 0 0 0/0 4 0 0 0 0', 'and nobody came or went');

-- Notice was given: it counts until the end.
SELECT t.sold(4, '2026-02-02 10:00Z', t.fsub(4, 'sf4', 'active', 900, 1, :'monthly', 'eur', '{"cancel_at_period_end": true}'));
SELECT t.is(t.money('2026-02-02') || ' ' || t.customers('2026-02-02'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -0 -0 0 4 0 0 0 0', 'who gave notice pays until then');
SELECT t.sold(4, '2026-02-03 10:00Z', t.fsub(4, 'sf4', 'canceled', 900, 1, :'monthly', 'eur', '{}'));
SELECT t.is(t.money('2026-02-03') || ' ' || t.customers('2026-02-03'), 'eur 0 +0 +0 -0 -10800, usd 92000 +0 +0 -0 -0 0 3 0 1 0 0', 'and is lost then, in his currency');
SELECT t.is(t.money('2026-02-04'), 'usd 92000 +0 +0 -0 -0', 'once');
SELECT t.sold(4, '2026-02-04 10:00Z', t.fsub(4, 'sf4b', 'active', 900, 1, :'monthly', 'eur', '{}'), t.finv('if4b', 'sf4b', 900, 'paid'));
SELECT t.is(t.money('2026-02-04') || ' ' || t.customers('2026-02-04'), 'eur 10800 +10800 +0 -0 -0, usd 92000 +0 +0 -0 -0 0 4 1 0 0 0', 'who comes back is new, and no conversion');

-- A trial is nothing until it is paid.
SELECT t.sold(5, '2026-02-05 10:00Z', t.fsub(5, 'sf5', 'trialing', 2000, 1, :'monthly', 'usd', '{"trial_end": 1700000000}'), t.finv('if5', 'sf5', 0, 'paid'));
SELECT t.is(t.money('2026-02-05') || ' ' || t.customers('2026-02-05'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -0 -0 0 4 0 0 1 0', 'a trial is a trial');
SELECT t.sold(5, '2026-02-06 10:00Z', t.fsub(5, 'sf5', 'active', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if5b', 'sf5', 2000, 'open'));
SELECT t.is(t.customers('2026-02-06'), '0 4 0 0 0 0', 'and nothing while its first invoice is open');
SELECT t.sold(5, '2026-02-07 10:00Z', t.fsub(5, 'sf5', 'past_due', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if5b', 'sf5', 2000, 'open'));
SELECT t.is(t.customers('2026-02-07'), '0 4 0 0 0 0', 'or owed');
SELECT t.sold(5, '2026-02-08 10:00Z', t.fsub(5, 'sf5', 'active', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if5b', 'sf5', 2000, 'paid'));
SELECT t.is(t.money('2026-02-08') || ' ' || t.customers('2026-02-08'), 'eur 10800 +0 +0 -0 -0, usd 116000 +24000 +0 -0 -0 1 5 1 0 0 0', 'paid it is a conversion');

-- Debts are money still, until Stripe gives up.
SELECT t.sold(5, '2026-02-09 10:00Z', t.fsub(5, 'sf5', 'past_due', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if5c', 'sf5', 2000, 'open'));
SELECT t.is(t.money('2026-02-09') || ' ' || t.customers('2026-02-09'), 'eur 10800 +0 +0 -0 -0, usd 116000 +0 +0 -0 -0 0 5 0 0 0 1', 'who owes is a customer, and past due');
SELECT t.is((SELECT arr_past_due::text FROM figures_count_money(:'app', '2026-02-09') WHERE currency = 'usd'), '24000', 'with so much');
SELECT t.sold(5, '2026-02-10 10:00Z', t.fsub(5, 'sf5', 'unpaid', 2000, 1, :'monthly', 'usd', '{}'));
SELECT t.is(t.money('2026-02-10') || ' ' || t.customers('2026-02-10'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -0 -24000 0 4 0 1 0 0', 'until it is given up');

-- One-time purchases, and what is paid back.
CREATE FUNCTION t.fpay(name text, refunded integer, price text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('payments', jsonb_build_array(jsonb_build_object('id', name, 'status', 'succeeded', 'amount', 9900, 'amount_received', 9900, 'currency', 'usd', 'created', 1700000000,
        'latest_charge', jsonb_build_object('id', 'ch', 'amount_refunded', refunded))),
        'sessions', CASE WHEN price IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('id', 'cs', 'mode', 'payment', 'payment_intent', name, 'line_items',
            jsonb_build_object('data', jsonb_build_array(jsonb_build_object('price', jsonb_build_object('id', price)))))) END)
$$;
SELECT t.hear(6, '2026-02-11 10:00Z', t.fpay('pi_f6', 0, 'f_once'));
SELECT t.is(t.money('2026-02-11') || ' ' || t.customers('2026-02-11'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -0 -0 1 4 0 0 0 0', 'a purchase converts, and does not recur');
SELECT t.hear(6, '2026-02-12 10:00Z', t.fpay('pi_f6', 9900, 'f_once'));
SELECT t.is(t.customers('2026-02-11') || '/' || t.customers('2026-02-12'), '1 4 0 0 0 0/0 4 0 0 0 0', 'paid back, the day that is over stays as it was');
SELECT t.hear(1, '2026-02-13 10:00Z', t.fpay('pi_if1', 100, NULL));
SELECT t.is(t.money('2026-02-13') || ' ' || t.customers('2026-02-13'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -0 -0 0 4 0 0 0 0', 'a part that is paid back takes nothing');
SELECT t.hear(1, '2026-02-14 10:00Z', t.fpay('pi_if1', 9900, NULL));
SELECT t.is(t.money('2026-02-14') || ' ' || t.customers('2026-02-14'), 'eur 10800 +0 +0 -0 -0, usd 56000 +0 +0 -0 -36000 0 3 0 1 0 0', 'all of what came last, and it is no customer''s any more');
SELECT t.sold(1, '2026-02-15 10:00Z', t.fsub(1, 'sf1', 'active', 3000, 1, :'monthly', 'usd', '{}'), t.finv('if1b', 'sf1', 3000, 'paid') || '{"status_transitions": {"paid_at": 1710000000}}');
SELECT t.is(t.money('2026-02-15'), 'eur 10800 +0 +0 -0 -0, usd 92000 +36000 +0 -0 -0', 'until the next is paid');

-- Nobody pays for what an operator gave, nor for nothing.
SELECT grant_set(:'app', t.who(7), NULL, 'override', t.who(7)::text, 'team', NULL, NULL);
SELECT t.sold(8, '2026-02-16 10:00Z', t.fsub(8, 'sf8', 'active', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if8', 'sf8', 0, 'paid'));
SELECT t.is(t.money('2026-02-16') || ' ' || t.customers('2026-02-16'), 'eur 10800 +0 +0 -0 -0, usd 92000 +0 +0 -0 -0 0 4 0 0 0 0', 'an override, or a coupon for all of it, is no money');

-- Came and went within a day; one subscription in place of another.
SELECT t.sold(9, '2026-02-17 10:00Z', t.fsub(9, 'sf9', 'active', 2000, 1, :'monthly', 'usd', '{}'), t.finv('if9', 'sf9', 2000, 'paid'));
SELECT t.sold(9, '2026-02-17 11:00Z', t.fsub(9, 'sf9', 'canceled', 2000, 1, :'monthly', 'usd', '{}'));
SELECT t.is(t.money('2026-02-17') || ' ' || t.customers('2026-02-17'), 'eur 10800 +0 +0 -0 -0, usd 92000 +24000 +0 -0 -24000 1 4 1 1 0 0', 'who came and went within a day is won and lost');
SELECT t.hear(1, '2026-02-18 10:00Z', jsonb_build_object('subscriptions', jsonb_build_array(t.fsub(1, 'sf1', 'canceled', 3000, 1, :'monthly', 'usd', '{}'), t.fsub(1, 'sf1b', 'active', 4000, 1, :'monthly', 'usd', '{}')),
    'invoices', jsonb_build_array(t.finv('if1c', 'sf1b', 4000, 'paid'))));
SELECT t.is(t.money('2026-02-18') || ' ' || t.customers('2026-02-18'), 'eur 10800 +0 +0 -0 -0, usd 104000 +0 +12000 -0 -0 0 4 0 0 0 0', 'who changed the subscription for a dearer one neither came nor went');
SELECT t.is((SELECT count(*)::text FROM billing_states WHERE object = 'sf1b'), '1', 'what is heard again is no step');
SELECT t.hear(1, '2026-02-19 10:00Z', '{}');
SELECT t.is((SELECT count(*)::text FROM billing_states WHERE at = '2026-02-19 10:00Z'), '0', 'nor is what did not change');
SELECT t.is((SELECT count(*)::text FROM figures_count_money(:'other', '2026-02-18')) || (SELECT concat_ws(' ', '', conversions, paying_customers) FROM figures_count(:'other', '2026-02-18')), '0 0 0', 'another app has nothing of it');

-- A clock that was ahead: what it noted is before what comes now.
UPDATE billing_states SET at = now() + interval '1 day' WHERE object = 'sf1b';
SELECT t.hear(1, now(), '{"subscriptions": []}');
SELECT t.is((SELECT count(*)::text FROM billing_states WHERE at > clock_timestamp()), '0', 'nothing that was noted is to come');
UPDATE billing_states SET at = '2026-02-18 10:00Z' WHERE object = 'sf1b';

-- Users.
INSERT INTO users (id, app_id, created_at) VALUES (t.who(21), :'app', '2026-02-01 00:00Z'), (t.who(22), :'app', '2026-02-01 23:59:59.999Z'), (t.who(23), :'app', '2026-02-02 00:00Z'), (t.who(24), :'other', '2026-02-01 10:00Z');
SELECT t.is(t.day('2026-01-31', 'signups') || t.day('2026-02-01', 'signups') || t.day('2026-02-02', 'signups'), '021', 'accounts are of the day on which they were made, by UTC');
INSERT INTO sessions (id, app_id, user_id, method, expires_at, created_at, last_used_at) VALUES (t.who(31), :'app', t.who(1), 'password', '2027-01-01', '2026-02-01 23:30Z', '2026-02-01 23:30Z');
SELECT t.is(t.day('2026-02-01', 'dau', 'mau'), '1 1', 'who signs in is there');
UPDATE sessions SET last_used_at = '2026-02-02 00:40Z' WHERE id = t.who(31);
UPDATE sessions SET last_used_at = '2026-02-02 09:40Z', generation = 2 WHERE id = t.who(31);
INSERT INTO usage_daily (app_id, user_id, day, api_calls) VALUES (:'app', t.who(2), '2026-02-02', 7), (:'other', t.who(24), '2026-02-02', 7);
SELECT t.is(t.day('2026-02-01', 'dau', 'mau') || '/' || t.day('2026-02-02', 'dau', 'mau'), '1 1/2 2', 'and on the next day once more, beside who calls');
SELECT t.is((SELECT string_agg(day || ':' || api_calls, ' ' ORDER BY day) FROM usage_daily WHERE user_id = t.who(1)), '2026-02-01:0 2026-02-02:0', 'without having called');
SELECT t.is(t.day('2026-03-02', 'dau', 'mau') || '/' || t.day('2026-03-03', 'dau', 'mau') || '/' || t.day('2026-03-04', 'dau', 'mau'), '0 2/0 2/0 0', 'a month is 30 days, over the border of two');

-- Validations.
INSERT INTO licenses (id, app_id, license_key, key_hash, user_id) SELECT t.who(40 + n), :'app', 'figures-' || n, sha256(('figures-' || n)::bytea), CASE WHEN n < 3 THEN t.who(n + 2) END FROM generate_series(1, 3) n;
INSERT INTO licenses (id, app_id, license_key, key_hash) VALUES (t.who(49), :'other', 'figures-9', sha256('figures-9'));
INSERT INTO license_validations (license_id, machine_id, validated_at, code, times) VALUES
    (t.who(41), 'm', '2026-02-20 00:00Z', NULL, 5), (t.who(41), 'n', '2026-02-20 10:00Z', NULL, 1), (t.who(42), 'm', '2026-02-20 23:59:59.999Z', 'EXPIRED', 3),
    (t.who(43), 'm', '2026-02-20 12:00Z', NULL, 10), (t.who(49), 'm', '2026-02-20 12:00Z', NULL, 100), (t.who(41), 'm', '2026-02-21 00:00Z', NULL, 1000);
SELECT t.is(t.day('2026-02-20', 'validations', 'validations_refused', 'dau'), '19 3 1', 'each time counts, what is refused too; whose licence is good is there');
SELECT t.is(t.day('2026-02-19', 'validations', 'validations_refused', 'dau'), '0 0 0', 'on its own day');

-- Kept days. Today is far from all of the above: only some of it is looked at.
CREATE FUNCTION t.roll() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint := 0;
    got bigint;
BEGIN
    LOOP
        got := figures_roll();
        n := n + got;
        EXIT WHEN got = 0;
    END LOOP;
    RETURN n;
END $$;
DELETE FROM apps WHERE id NOT IN (:'app', :'other');
SELECT t.is(figures_roll()::text, '1', 'a statement counts one day, which stays counted when the next takes too long');
DELETE FROM figures_daily;
SELECT t.is(t.roll()::text, (2 * ((now() AT TIME ZONE 'UTC')::date - date '2026-01-30' + 1))::text, 'each day of each app is counted');
SELECT t.is(t.roll()::text, '0', 'once');
SELECT t.is((SELECT count(*)::text FROM figures_daily f WHERE f.app_id = :'app' AND (to_jsonb(f) - 'computed_at') IS DISTINCT FROM (SELECT to_jsonb(c) - 'computed_at' FROM figures_count(f.app_id, f.day) c)), '0', 'as it would be counted now');
SELECT t.is((SELECT string_agg(concat_ws(' ', currency, arr, arr_new), ', ' ORDER BY currency) FROM figures_money WHERE app_id = :'app' AND day = '2026-02-15'), 'eur 10800 0, usd 92000 36000', 'money too');
SELECT t.is((SELECT string_agg(DISTINCT complete::text, ' ') FROM figures_daily WHERE day < (now() AT TIME ZONE 'UTC')::date - 1), 'true', 'what is over is complete');
SELECT t.is((SELECT string_agg(DISTINCT complete::text, ' ') FROM figures_daily WHERE day = (now() AT TIME ZONE 'UTC')::date), 'false', 'today is not');
-- MRR of a day is that of the day before, and what came and went: of each day.
SELECT t.is((SELECT count(*)::text FROM figures_money m JOIN figures_money b ON b.app_id = m.app_id AND b.currency = m.currency AND b.day = m.day - 1
    WHERE m.arr <> b.arr + m.arr_new + m.arr_expanded - m.arr_contracted - m.arr_lost), '0', 'money is what it was, and what came and went');
SELECT t.is((SELECT count(*)::text FROM figures_daily m JOIN figures_daily b ON b.app_id = m.app_id AND b.day = m.day - 1
    WHERE m.paying_customers <> b.paying_customers + m.new_customers - m.churned_customers), '0', 'and so are customers');
DELETE FROM figures_daily WHERE day IN ('2026-02-14', '2026-02-15');
SELECT t.is(t.roll()::text, '4', 'days that are missed are counted later');
SELECT t.is((SELECT concat_ws(' ', f.paying_customers, m.arr_lost) FROM figures_daily f JOIN figures_money m USING (app_id, day) WHERE f.day = '2026-02-14' AND m.currency = 'usd'), '3 36000', 'as they were');
SELECT t.is((SELECT dau::text FROM figures_daily WHERE app_id = :'app' AND day = '2026-02-20'), '1', 'who validated was there');
DELETE FROM license_validations;
DELETE FROM figures_daily WHERE day > '2026-02-20';
UPDATE figures_daily SET complete = false, computed_at = now() - interval '11 min' WHERE day = '2026-02-20' AND app_id = :'app';
DO $$ BEGIN PERFORM t.roll(); END $$;
SELECT t.is((SELECT concat_ws(' ', complete, dau, validations) FROM figures_daily WHERE app_id = :'app' AND day = '2026-02-20'), 't 1 0', 'and is known to have been');
UPDATE figures_daily SET validations = 5 WHERE app_id = :'app' AND day = '2026-02-20';
DO $$ BEGIN PERFORM t.roll(); END $$;
SELECT t.is((SELECT validations::text FROM figures_daily WHERE app_id = :'app' AND day = '2026-02-20'), '5', 'a complete day stays as it is, whatever is pruned');
INSERT INTO figures_daily SELECT (jsonb_populate_record(f, jsonb_build_object('day', (now() AT TIME ZONE 'UTC')::date + 3, 'complete', true))).* FROM figures_daily f WHERE f.app_id = :'app' AND f.day = '2026-02-20';
UPDATE figures_daily SET computed_at = now() + interval '3 days', complete = true WHERE app_id = :'app' AND day = (now() AT TIME ZONE 'UTC')::date;
DO $$ BEGIN PERFORM t.roll(); END $$;
SELECT t.is((SELECT concat_ws(' ', max(day) - (now() AT TIME ZONE 'UTC')::date, bool_or(complete) FILTER (WHERE day = (now() AT TIME ZONE 'UTC')::date)) FROM figures_daily WHERE app_id = :'app'), '0 f', 'days of a clock that was ahead are not kept');
DELETE FROM users WHERE id = t.who(1);
SELECT t.is((SELECT concat_ws(' ', dau, paying_customers) FROM figures_daily WHERE app_id = :'app' AND day = '2026-02-01'), '1 4', 'who is erased stays in the count');
RESET TimeZone;
