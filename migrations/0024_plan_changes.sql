-- Changes of a subscription that come with the end of what is paid for (CONTRACT B22, D26, D36; SECURITY F28).
--
-- What is to come stands at Stripe as a schedule of the subscription, and is fetched with it: here it is only shown.

ALTER TABLE subscriptions
    ADD COLUMN pending_plan text,     -- what it will be of; NULL: no price of the app's, or it stays as it is
    ADD COLUMN pending_price text,
    ADD COLUMN pending_seats integer,
    ADD COLUMN pending_at timestamptz, -- from when on; NULL: it stays as it is
    ADD COLUMN schedule text,         -- of Stripe's, that it is under
    ADD COLUMN schedule_ours boolean NOT NULL DEFAULT false,
    ADD COLUMN scheduling_at timestamptz; -- when we last began one, until it is seen to be whole

-- Takes an event: it and the job that acts on it, or neither. false: it was there before.
CREATE OR REPLACE FUNCTION billing_event_take(p_app uuid, p_id text, p_type text, p_created double precision, p_customer text,
    p_payment text, p_hash bytea, p_job uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    handled boolean := p_type ~ '^(checkout\.session|customer\.subscription|subscription_schedule|invoice|charge\.dispute)\.'
        OR p_type IN ('payment_intent.succeeded', 'payment_intent.payment_failed', 'charge.refunded', 'charge.refund.updated');
BEGIN
    handled := handled AND num_nonnulls(p_customer, p_payment) > 0;
    INSERT INTO billing_events (app_id, id, type, created, customer, payment, payload_hash, applied_at, outcome)
    VALUES (p_app, p_id, p_type, to_timestamp(p_created), p_customer, p_payment, p_hash,
            CASE WHEN NOT handled THEN clock_timestamp() END, CASE WHEN NOT handled THEN 'not handled' END)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF handled THEN
        INSERT INTO jobs (id, kind, app_id, payload, unique_key)
        VALUES (p_job, 'billing.event', p_app, json_build_object('event', p_id), 'billing.event:' || p_app || ':' || p_id)
        ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING;
    END IF;
    RETURN true;
END $$;

-- What a subscription stands for: of its lines the one that says the plan, and the seats of all.
CREATE FUNCTION billing_stands(p_app uuid, s jsonb)
    RETURNS TABLE (item text, price text, plan text, rank integer, quantity integer, seats integer, length interval) LANGUAGE sql STABLE AS $$
    SELECT m.item, m.price, m.plan, m.rank, m.quantity, (SELECT sum(l.seats)::integer FROM billing_lines(p_app, s) l),
           m.every_count * ('1 ' || m.every)::interval
      FROM billing_lines(p_app, s) m ORDER BY m.rank DESC, m.plan IS NULL, m.per = 'seat', m.item LIMIT 1
$$;

-- What the next phase of its schedule makes of it.
CREATE FUNCTION billing_pending(p_app uuid, s jsonb)
    RETURNS TABLE (plan text, price text, quantity integer, seats integer, at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT b.plan, b.price, b.quantity, b.seats, stripe_time(f -> 'start_date')
      FROM (SELECT p FROM jsonb_array_elements(CASE WHEN s #>> '{schedule,status}' = 'active' THEN s #> '{schedule,phases}' END) p
             WHERE (p ->> 'start_date')::bigint >= (s #>> '{schedule,current_phase,end_date}')::bigint
             ORDER BY (p ->> 'start_date')::bigint LIMIT 1) following (f),
           billing_stands(p_app, jsonb_build_object('items', jsonb_build_object('data', (
               SELECT jsonb_agg(i || jsonb_build_object('price', jsonb_build_object('id', stripe_id(i -> 'price'))))
                 FROM jsonb_array_elements(f -> 'items') i)))) b
$$;

-- Whether what is paid for would be lost by going over to a price at once, and which line says the plan now: of a lower
-- plan, or of the same for a shorter time, or with fewer seats.
CREATE FUNCTION billing_comes_later(p_app uuid, p_items jsonb, p_price text, p_quantity integer, p_more integer)
    RETURNS TABLE (item text, later boolean) LANGUAGE sql STABLE AS $$
    SELECT b.item, CASE
           WHEN b.plan IS NULL THEN false
           WHEN plan_rank(p_app, n.plan) <> b.rank THEN plan_rank(p_app, n.plan) < b.rank
           WHEN ('1 ' || n.interval)::interval < b.length THEN true
           ELSE (CASE n.per WHEN 'seat' THEN p_quantity ELSE coalesce(n.seats, 0) + p_more END) < coalesce(b.seats, 0) END
      FROM billing_stands(p_app, jsonb_build_object('items', jsonb_build_object('data', p_items))) b, plan_prices n
     WHERE n.app_id = p_app AND n.price = p_price
$$;

-- A subscription as Stripe has it. Periods stood at its top until 2025-03-31, and are with its lines since.
CREATE OR REPLACE FUNCTION billing_put_subscription(c billing_customers, s jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    was subscriptions;
    x subscriptions;
    main record;
    coming record;
    data jsonb;
BEGIN
    SELECT * INTO was FROM subscriptions o WHERE o.app_id = c.app_id AND o.stripe_subscription_id = s ->> 'id';
    IF was.customer_id <> c.id OR was.status IN ('canceled', 'incomplete_expired') THEN
        RETURN; -- another's, or at its end, which is final
    END IF;
    SELECT * INTO main FROM billing_lines(c.app_id, s) l ORDER BY l.rank DESC, l.plan IS NULL, l.per = 'seat', l.item LIMIT 1;
    x := was;
    x.plan := main.plan;
    x.price := main.price;
    x.item := main.item;
    x.quantity := coalesce(main.quantity, 0);
    SELECT sum(l.seats), coalesce(sum(l.amount), 0), coalesce(bool_or(l.metered), false) INTO x.seats, x.amount, x.metered
      FROM billing_lines(c.app_id, s) l;
    x.status := s ->> 'status';
    x.current_period_start := coalesce(main.period_start, stripe_time(s -> 'current_period_start'));
    x.current_period_end := coalesce(main.period_end, stripe_time(s -> 'current_period_end'));
    x.cancel_at_period_end := coalesce((s ->> 'cancel_at_period_end')::boolean, false);
    x.cancel_at := stripe_time(s -> 'cancel_at');
    x.canceled_at := stripe_time(s -> 'canceled_at');
    x.ended_at := stripe_time(s -> 'ended_at');
    x.trial_end := stripe_time(s -> 'trial_end');
    x.currency := coalesce(main.currency, 'usd');
    x.interval := coalesce(main.every, 'month');
    x.interval_count := coalesce(main.every_count, 1);
    SELECT * INTO coming FROM billing_pending(c.app_id, s) p
     WHERE (p.price, p.quantity, p.seats) IS DISTINCT FROM (x.price, x.quantity, x.seats);
    x.pending_plan := coming.plan;
    x.pending_price := coming.price;
    x.pending_seats := coming.seats;
    x.pending_at := coming.at;
    x.schedule := stripe_id(s -> 'schedule');
    x.schedule_ours := coalesce(s #>> '{schedule,metadata,quoin}' = 'change', false);
    x.scheduling_at := CASE WHEN coming.at IS NULL AND (x.schedule IS NOT NULL OR was.scheduling_at > clock_timestamp() - interval '15 min')
                            THEN was.scheduling_at END;
    data := jsonb_build_object('stripe_subscription_id', s ->> 'id',
        'plan', x.plan, 'previous_plan', was.plan, 'status', x.status, 'previous_status', was.status, 'seats', x.seats,
        'current_period_end', x.current_period_end, 'cancel_at_period_end', x.cancel_at_period_end,
        'pending_plan', x.pending_plan, 'pending_seats', x.pending_seats, 'pending_at', x.pending_at);
    -- What it is under is nobody's news.
    UPDATE subscriptions o SET schedule = x.schedule, schedule_ours = x.schedule_ours, scheduling_at = x.scheduling_at
     WHERE o.id = was.id AND (o.schedule, o.schedule_ours, o.scheduling_at) IS DISTINCT FROM (x.schedule, x.schedule_ours, x.scheduling_at);
    was.schedule := x.schedule;
    was.schedule_ours := x.schedule_ours;
    was.scheduling_at := x.scheduling_at;
    IF was.id IS NULL THEN
        x.id := gen_random_uuid();
        x.app_id := c.app_id;
        x.customer_id := c.id;
        x.stripe_subscription_id := s ->> 'id';
        x.created_at := coalesce(stripe_time(s -> 'created'), clock_timestamp());
        x.updated_at := clock_timestamp();
        INSERT INTO subscriptions SELECT (x).*;
        data := data || jsonb_build_object('subscription_id', x.id);
        PERFORM billing_tell(c, 'subscription.created', s ->> 'id', data);
    ELSIF x IS DISTINCT FROM was THEN
        x.updated_at := clock_timestamp();
        UPDATE subscriptions o SET plan = x.plan, price = x.price, item = x.item, quantity = x.quantity, seats = x.seats,
            status = x.status, current_period_start = x.current_period_start, current_period_end = x.current_period_end,
            cancel_at_period_end = x.cancel_at_period_end, cancel_at = x.cancel_at, canceled_at = x.canceled_at,
            ended_at = x.ended_at, trial_end = x.trial_end, amount = x.amount, currency = x.currency, interval = x.interval,
            interval_count = x.interval_count, metered = x.metered, pending_plan = x.pending_plan, pending_price = x.pending_price,
            pending_seats = x.pending_seats, pending_at = x.pending_at, updated_at = x.updated_at WHERE o.id = x.id;
        data := data || jsonb_build_object('subscription_id', x.id);
        IF x.status <> 'canceled' THEN
            PERFORM billing_tell(c, 'subscription.updated', s ->> 'id', data);
        END IF;
    END IF;
    IF x.metered AND NOT coalesce(was.metered, false) THEN
        PERFORM billing_usage_begin(c);
    END IF;
    IF x.status = 'canceled' THEN
        PERFORM billing_tell(c, 'subscription.deleted', s ->> 'id', data);
        IF billing_notice(c, 'subscription-ended', s ->> 'id', coalesce(x.ended_at, x.canceled_at, clock_timestamp())) THEN
            RETURN NEXT jsonb_build_object('template', 'subscription-ended', 'plan', x.plan);
        END IF;
    ELSIF x.status = 'trialing' AND NOT x.cancel_at_period_end AND x.trial_end > clock_timestamp()
        AND x.trial_end < clock_timestamp() + interval '73 hours'
        AND billing_notice(c, 'trial-ending', (s ->> 'id') || ' ' || x.trial_end, clock_timestamp()) THEN
        RETURN NEXT jsonb_build_object('template', 'trial-ending', 'plan', x.plan, 'when', x.trial_end);
    END IF;
    IF x.pending_at > clock_timestamp() AND x.pending_plan IS NOT NULL AND x.status <> 'canceled'
        AND billing_notice(c, 'plan-changing', concat_ws(' ', s ->> 'id', x.pending_price, x.pending_seats, x.pending_at), clock_timestamp()) THEN
        RETURN NEXT jsonb_build_object('template', 'plan-changing', 'plan', x.pending_plan, 'seats', x.pending_seats, 'when', x.pending_at);
    END IF;
END $$;

-- Makes the tables like what Stripe answered to the p_seq-th time that it was asked for this customer. A list that is
-- not in p_state was not asked for. Nothing is done when a later answer was applied before: it knew all that this one
-- knows, for its question was put after the events that this one answers. Returns the mail that is to be sent.
CREATE OR REPLACE FUNCTION billing_apply(p_customer uuid, p_seq bigint, p_events text[], p_state jsonb)
    RETURNS TABLE (template text, user_id uuid, email text, plan text, amount text, at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c billing_customers;
    x jsonb;
    news jsonb[] := '{}';
BEGIN
    SELECT * INTO c FROM billing_customers b WHERE b.id = p_customer FOR NO KEY UPDATE;
    IF c.applied < p_seq THEN
        FOR x IN SELECT e FROM jsonb_array_elements(coalesce(p_state -> 'subscriptions', '[]')) e ORDER BY e -> 'created', e ->> 'id' LOOP
            news := news || ARRAY(SELECT billing_put_subscription(c, x));
        END LOOP;
        FOR x IN SELECT e FROM jsonb_array_elements(coalesce(p_state -> 'invoices', '[]')) e ORDER BY e -> 'created', e ->> 'id' LOOP
            news := news || ARRAY(SELECT billing_put_invoice(c, x));
        END LOOP;
        FOR x IN SELECT jsonb_build_object('p', e, 's', (SELECT s FROM jsonb_array_elements(coalesce(p_state -> 'sessions', '[]')) s
                    WHERE s ->> 'mode' = 'payment' AND stripe_id(s -> 'payment_intent') = e ->> 'id' LIMIT 1))
                   FROM jsonb_array_elements(coalesce(p_state -> 'payments', '[]')) e ORDER BY e -> 'created', e ->> 'id' LOOP
            news := news || ARRAY(SELECT billing_put_payment(c, x -> 'p', nullif(x -> 's', 'null'), p_state -> 'disputes'));
        END LOOP;
        FOR x IN SELECT s FROM jsonb_array_elements(coalesce(p_state -> 'sessions', '[]')) s WHERE s ->> 'mode' = 'payment'
                    AND s ->> 'status' = 'complete' AND s ->> 'payment_status' = 'no_payment_required' LOOP
            news := news || ARRAY(SELECT billing_put_payment(c, NULL, x, NULL));
        END LOOP;
        PERFORM billing_settle(c);
        UPDATE billing_customers b SET applied = p_seq, synced_at = clock_timestamp(), look_at = least(clock_timestamp() + CASE
            WHEN b.watch_until > clock_timestamp() THEN interval '1 hour'
            WHEN EXISTS (SELECT 1 FROM subscriptions s WHERE s.customer_id = b.id AND s.status NOT IN ('canceled', 'incomplete_expired'))
            THEN interval '1 day' ELSE interval '7 days' END,
            -- a minute after another plan was to begin; an hour later again when it has not
            (SELECT min(CASE WHEN s.pending_at > clock_timestamp() THEN s.pending_at + interval '1 min' ELSE clock_timestamp() + interval '1 hour' END)
               FROM subscriptions s WHERE s.customer_id = b.id AND s.pending_at IS NOT NULL AND s.status <> 'canceled'),
            -- half an hour after a schedule was begun that may be half made
            (SELECT min(s.scheduling_at) + interval '30 min' FROM subscriptions s WHERE s.customer_id = b.id))
         WHERE b.id = p_customer;
    END IF;
    UPDATE billing_events e SET applied_at = clock_timestamp(), outcome = 'applied'
     WHERE e.app_id = c.app_id AND e.id = ANY (p_events) AND e.applied_at IS NULL;
    RETURN QUERY SELECT n ->> 'template', a.user_id, a.email, coalesce(p.shown, n ->> 'plan', '') || coalesce(' with ' || (n ->> 'seats') || ' seats', ''),
           coalesce(n ->> 'amount', ''),
           (n ->> 'when')::timestamptz
      FROM unnest(news) n CROSS JOIN billing_addressee(c) a
      LEFT JOIN plans p ON p.app_id = c.app_id AND p.code = n ->> 'plan';
END $$;
