-- What states of Stripe's mean. Each line that comes out begins with "ok - " or "not ok - "; t.is and t.fails are in functions.sql.
\set app '00000000-0000-7000-8000-0000000000dd'
\set other '00000000-0000-7000-8000-0000000000de'
\set wim '00000000-0000-7000-8000-000000000201'
\set xia '00000000-0000-7000-8000-000000000202'
\set team '00000000-0000-7000-8000-000000000241'
\set cust '00000000-0000-7000-8000-000000000251'
\set tcust '00000000-0000-7000-8000-000000000252'
INSERT INTO apps (id, slug, name, config) VALUES (:'app', 'selling', 'S', '{"plans": [
    {"code": "free", "rank": 0}, {"code": "pro", "shown": "Pro Plan", "rank": 1, "prices": [{"stripe": "price_pro", "amount": 2000}, {"stripe": "price_once", "interval": "once", "amount": 500}]},
    {"code": "team", "rank": 2, "prices": [{"stripe": "price_team", "amount": 9900, "seats": 5}, {"stripe": "price_seat", "per": "seat", "amount": 1900}]}]}'),
    (:'other', 'buying', 'B', '{}');
INSERT INTO users (id, app_id, email) VALUES (:'wim', :'app', 'wim@example.com'), (:'xia', :'app', 'xia@example.com');
INSERT INTO organizations (id, app_id, name, slug) VALUES (:'team', :'app', 'T', 't');
INSERT INTO organization_members (organization_id, user_id, app_id, role) VALUES (:'team', :'xia', :'app', 'owner');
INSERT INTO stripe_accounts VALUES (:'app', '', '', '', '/', '/', '/', 0, 7, false, '{}');

-- One customer for each, and no third kind.
SELECT t.is((SELECT stripe_customer_id FROM billing_customer(:'cust', :'app', :'wim', NULL)), NULL, 'a customer is made at first sight');
SELECT t.is((SELECT id::text FROM billing_customer(gen_random_uuid(), :'app', :'wim', NULL)), :'cust', 'and is the same one then');
SELECT t.is((SELECT id::text FROM billing_customer(:'tcust', :'app', :'wim', :'team')), :'tcust', 'an organization has its own, whoever asks');
SELECT t.fails('INSERT INTO billing_customers (id, app_id, user_id) VALUES (gen_random_uuid(), ''' || :'app' || ''', ''' || :'wim' || ''')', '23505', 'there are never two');
SELECT t.fails('INSERT INTO billing_customers (id, app_id, user_id, organization_id) VALUES (gen_random_uuid(), ''' || :'app' || ''', ''' || :'xia' || ''', ''' || :'team' || ''')', '23514', 'nor one of both');
SELECT t.is((SELECT count(*)::text FROM billing_ask(:'cust')), '0', 'who has no name at Stripe is not asked for');
UPDATE billing_customers SET stripe_customer_id = 'cus_wim' WHERE id = :'cust';
UPDATE billing_customers SET stripe_customer_id = 'cus_team' WHERE id = :'tcust';

-- Events: once, with their job, or as what they are.
CREATE FUNCTION t.event(id text, type text, customer text, payment text) RETURNS text LANGUAGE sql AS $$
    SELECT billing_event_take('00000000-0000-7000-8000-0000000000dd', id, type, 1700000000, customer, payment, sha256('x'), gen_random_uuid())::text
$$;
SELECT t.is(t.event('evt_1', 'invoice.paid', 'cus_wim', NULL), 'true', 'an event is taken');
SELECT t.is(t.event('evt_1', 'invoice.paid', 'cus_wim', NULL), 'false', 'once');
SELECT t.is((SELECT count(*)::text FROM jobs WHERE unique_key LIKE 'billing.event:%:evt_1'), '1', 'with one job');
SELECT t.is(t.event('evt_2', 'product.created', NULL, NULL), 'true', 'what is nobody''s business is kept');
SELECT t.is((SELECT outcome FROM billing_events WHERE id = 'evt_2'), 'not handled', 'and not handled');
SELECT t.is(t.event('evt_3', 'invoice.paid', 'cus_none', NULL), 'true', 'of nobody we know too');
SELECT t.is((SELECT outcome || coalesce(customer::text, '-') FROM billing_event_open(:'app', 'evt_3')), 'gone-', 'for which there is nothing to do');
SELECT t.is((SELECT outcome FROM billing_events WHERE id = 'evt_3'), 'unknown customer', 'and says so');
SELECT t.is((SELECT outcome || customer FROM billing_event_open(:'app', 'evt_1')), 'sync' || :'cust', 'what is somebody''s is to be looked at');
SELECT t.is((SELECT count(*)::text FROM billing_event_open(:'other', 'evt_1') WHERE outcome = 'sync'), '0', 'in its own app only');

-- States. t.state asks, applies, and says plan, status, whether and how long the grant is good, and which mail follows.
CREATE FUNCTION t.sub(id text, status text, items text, more text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', id, 'status', status, 'created', 1700000000, 'cancel_at_period_end', false,
        'items', jsonb_build_object('data', items::jsonb)) || more::jsonb
$$;
CREATE FUNCTION t.item(price text, n integer, days integer) RETURNS text LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', 'si_' || price, 'quantity', n, 'price', jsonb_build_object('id', price, 'unit_amount', 100, 'currency', 'usd', 'recurring', '{"interval": "month"}'::jsonb),
        'current_period_start', extract(epoch FROM now())::bigint, 'current_period_end', extract(epoch FROM now() + days * interval '1 day')::bigint)::text
$$;
CREATE FUNCTION t.apply(customer uuid, seq bigint, state jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', template, email, plan, amount), ', '), '') FROM billing_apply(customer, coalesce(seq, (SELECT q.seq FROM billing_ask(customer) q)),
        (SELECT coalesce(array_agg(id), '{}') FROM billing_events WHERE applied_at IS NULL), state)
$$;
CREATE FUNCTION t.good(customer uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', coalesce(u.plan, o.plan), (SELECT string_agg(concat_ws('/', g.plan, g.seats, round(extract(epoch FROM g.ends_at - now()) / 86400)), ' ' ORDER BY g.source_id)
        FROM grants g WHERE g.user_id = c.user_id OR g.organization_id = c.organization_id))
      FROM billing_customers c LEFT JOIN users u ON u.id = c.user_id LEFT JOIN organizations o ON o.id = c.organization_id WHERE c.id = customer
$$;
CREATE FUNCTION t.subs(VARIADIC s jsonb[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('subscriptions', to_jsonb(s)) $$;

SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'incomplete', '[' || t.item('price_pro', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'free', 'what is not paid yet gives nothing');
SELECT t.is((SELECT outcome FROM billing_events WHERE id = 'evt_1'), 'applied', 'the events that were waiting are applied');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'pro pro/37', 'a paid period is good, and some days over it');
SELECT t.is((SELECT concat_ws(' ', amount, currency, interval, quantity) FROM subscriptions WHERE stripe_subscription_id = 'sub_1'), '100 usd month 1', 'what it costs is kept');
SELECT t.is(t.apply(:'cust', 1, t.subs(t.sub('sub_1', 'canceled', '[]', '{}'))) || t.good(:'cust'), 'pro pro/37', 'an answer to an earlier question is nothing against that to a later one');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'active', '[' || t.item('price_pro', 1, 20) || ']', '{"cancel_at_period_end": true}'))) || t.good(:'cust'), 'pro pro/20', 'who gave notice has until the period''s end');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'past_due', '[' || t.item('price_pro', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'pro pro/7', 'who owes has the days of grace');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'past_due', '[' || t.item('price_pro', 1, 30) || ']', '{}')) || jsonb_build_object('invoices', jsonb_build_array(jsonb_build_object('id', 'in_1', 'status', 'open', 'total', 2000, 'currency', 'usd',
    'attempt_count', 1, 'created', extract(epoch FROM now() - interval '3 days')::bigint, 'parent', '{"subscription_details": {"subscription": "sub_1"}}'::jsonb)))) || ' ' || t.good(:'cust'),
    'payment-failed wim@example.com Pro Plan 20.00 USD pro pro/4', 'from the day of the invoice on, and is told');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'unpaid', '[' || t.item('price_pro', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'free', 'in the end there is nothing');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'active', '[' || t.item('price_gone', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'free', 'a price that is in no file gives nothing');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{}'), t.sub('sub_2', 'active', '[' || t.item('price_team', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'team pro/37 team/5/37', 'of two the higher plan counts');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_2', 'canceled', '[' || t.item('price_team', 1, 30) || ']', '{"ended_at": 1700000000}'))) || t.good(:'cust'), 'pro pro/37', 'what ended long ago is no news');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_2', 'active', '[' || t.item('price_team', 1, 30) || ']', '{}'))) || t.good(:'cust'), 'pro pro/37', 'and its end is final');
SELECT t.is(t.apply(:'tcust', NULL, t.subs(t.sub('sub_1', 'canceled', '[]', '{}'))) || (SELECT status FROM subscriptions WHERE stripe_subscription_id = 'sub_1'), 'active', 'nobody else''s is touched');
SELECT t.is(t.apply(:'tcust', NULL, t.subs(t.sub('sub_3', 'active', '[' || t.item('price_team', 1, 30) || ',' || t.item('price_seat', 3, 30) || ']', '{}'))) || t.good(:'tcust'), 'team team/8/37', 'seats are those of all lines together');
SELECT t.is((SELECT plan FROM users WHERE id = :'xia'), 'team', 'and the plan is the members'' too');
SELECT t.is((SELECT count(*)::text FROM audit_logs WHERE organization_id = :'team' AND action = 'billing.subscription.created'), '1', 'its log has it');

-- A schedule that was begun and may be half made is looked for: not in the past, and not of what is over.
CREATE FUNCTION t.look(customer uuid) RETURNS text LANGUAGE sql AS $$
    SELECT round(extract(epoch FROM look_at - now()) / 60)::text FROM billing_customers WHERE id = customer
$$;
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_look', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{}'))), '', 'a subscription is there');
UPDATE subscriptions SET scheduling_at = now() - interval '1 min' WHERE stripe_subscription_id = 'sub_look';
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_look', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{"schedule": "sub_sched_1"}'))) || t.look(:'cust'), '29', 'a schedule that was just begun is looked for soon');
UPDATE subscriptions SET scheduling_at = now() - interval '40 min' WHERE stripe_subscription_id = 'sub_look';
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_look', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{"schedule": "sub_sched_1"}'))) || t.look(:'cust'), '10', 'one that cannot be let go now and then');
UPDATE subscriptions SET scheduling_at = now() - interval '1 min' WHERE stripe_subscription_id = 'sub_look';
SELECT t.is((SELECT count(*)::text FROM billing_apply(:'cust', (SELECT seq FROM billing_ask(:'cust')), '{}', t.subs(t.sub('sub_look', 'canceled', '[' || t.item('price_pro', 1, 30) || ']', '{"ended_at": 1700000000}')))), '0', 'it ends');
UPDATE subscriptions SET scheduling_at = scheduling_at - interval '1 hour' WHERE stripe_subscription_id = 'sub_look';
SELECT t.is(t.apply(:'cust', NULL, '{}') || (t.look(:'cust')::integer > 60)::text, 'true', 'and is looked for no more');
DELETE FROM subscriptions WHERE stripe_subscription_id = 'sub_look';

-- Two that were begun here, and both paid: the first that was paid stays, whichever was made first.
CREATE FUNCTION t.two(refunded integer, five text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT t.subs(t.sub('sub_4', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{"metadata": {"quoin": "checkout"}}'),
                  t.sub('sub_5', five, '[' || t.item('price_team', 1, 30) || ']', '{"created": 1600000000, "metadata": {"quoin": "element"}}'))
        || jsonb_build_object('invoices', (SELECT jsonb_agg(jsonb_build_object('id', 'in_' || n, 'status', 'paid', 'total', 100, 'payment_intent', 'pi_' || n, 'subscription', 'sub_' || n,
               'status_transitions', jsonb_build_object('paid_at', 1700000000 + n * 10))) FROM generate_series(4, 5) n),
           'payments', (SELECT jsonb_agg(jsonb_build_object('id', 'pi_' || n, 'status', 'succeeded', 'amount', 100, 'currency', 'usd', 'created', 1700000000,
               'latest_charge', jsonb_build_object('amount_refunded', CASE n WHEN 5 THEN refunded ELSE 0 END))) FROM generate_series(4, 5) n))
$$;
CREATE FUNCTION t.due() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', stripe_subscription_id, status, payment), ', '), '') FROM billing_surplus_due('00000000-0000-7000-8000-000000000252')
$$;
SELECT t.is(t.apply(:'tcust', NULL, t.two(0, 'active')) || t.good(:'tcust') || ': ' || t.due(), 'team team/8/37 pro/37: sub_5 active pi_5', 'the later one gives nothing, and is to be ended and paid back');
SELECT t.is((SELECT string_agg(stripe_subscription_id, ' ') FROM subscriptions WHERE surplus_of = 'sub_4'), 'sub_5', 'what was not begun here is neither');
SELECT t.is((SELECT (look_at < clock_timestamp() + interval '2 min')::text FROM billing_customers WHERE id = :'tcust'), 'true', 'it is looked at again at once');
SELECT t.is(t.apply(:'tcust', NULL, t.two(0, 'canceled')) || t.due(), 'sub_5 canceled pi_5', 'ended, it is still to be paid back, and is no news');
SELECT t.is(t.apply(:'tcust', NULL, t.two(100, 'canceled')) || t.due(), 'paid-twice xia@example.com team 1.00 USD', 'paid back, it is said');
SELECT t.is(t.apply(:'tcust', NULL, t.two(100, 'canceled')) || t.due(), '', 'once');
SELECT t.is((SELECT count(*)::text FROM audit_logs WHERE organization_id = :'team' AND action = 'billing.subscription.duplicate'), '1', 'and noted once');

-- Payments.
CREATE FUNCTION t.pay(id text, refunded integer, session boolean, dispute text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('payments', jsonb_build_array(jsonb_build_object('id', id, 'status', 'succeeded', 'amount', 500, 'amount_received', 500, 'currency', 'usd', 'created', extract(epoch FROM now())::bigint,
        'latest_charge', jsonb_build_object('id', 'ch', 'amount_refunded', refunded))),
        'sessions', CASE WHEN session THEN jsonb_build_array(jsonb_build_object('id', 'cs', 'mode', 'payment', 'payment_intent', id, 'line_items', '{"data": [{"price": {"id": "price_once"}}]}'::jsonb)) ELSE '[]' END,
        'disputes', CASE WHEN dispute IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('payment_intent', id, 'status', dispute, 'created', 1)) END)
$$;
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'unpaid', '[' || t.item('price_pro', 1, 30) || ']', '{}')) || t.pay('pi_1', 0, false, NULL)) || t.good(:'cust'), 'free', 'a payment that no checkout led to gives nothing');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 0, true, NULL)) || ' ' || t.good(:'cust'), 'receipt wim@example.com Pro Plan 5.00 USD pro pro', 'a purchase is for good, and has a receipt');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 0, true, NULL)) || t.good(:'cust'), 'pro pro', 'once');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 499, true, NULL)) || t.good(:'cust'), 'pro pro', 'a part that is paid back takes nothing');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 0, false, 'needs_response')) || t.good(:'cust'), 'payment-returned wim@example.com Pro Plan 5.00 USDfree', 'a dispute suspends');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 0, false, 'won')) || t.good(:'cust'), 'pro pro', 'until it is won');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 0, false, 'warning_under_review')) || t.good(:'cust'), 'pro pro', 'a question is no dispute');
SELECT t.is(t.apply(:'cust', NULL, t.pay('pi_2', 500, false, NULL)) || t.good(:'cust'), 'free', 'all of it paid back is');

-- Somebody who is gone: the books stay.
DELETE FROM users WHERE id = :'wim';
SELECT t.is((SELECT count(*)::text FROM subscriptions WHERE customer_id = :'cust'), '2', 'who is gone leaves what was sold');
SELECT t.is(t.apply(:'cust', NULL, t.subs(t.sub('sub_1', 'active', '[' || t.item('price_pro', 1, 30) || ']', '{}'))) || (SELECT count(*) FROM grants WHERE app_id = :'app' AND user_id IS NOT NULL), '0', 'and gets nothing');

SELECT t.is(concat_ws(' ', money(2000, 'usd'), money(5, 'eur'), money(2000, 'jpy'), money(1234, 'kwd')), '20.00 USD 0.05 EUR 2000 JPY 1.234 KWD', 'amounts are shown as their currencies have them');
