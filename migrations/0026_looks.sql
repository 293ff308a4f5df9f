-- A half-made schedule is looked for now and then, and not when its subscription is over: one that ended within a quarter
-- of an hour kept the time of it, and Stripe was asked about its customer without a pause (SECURITY F28).

UPDATE subscriptions s SET scheduling_at = NULL WHERE s.scheduling_at IS NOT NULL AND s.status IN ('canceled', 'incomplete_expired');

-- As in 0024.
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
    -- It is looked at half an hour after that: one that Stripe did not let go once in ten minutes, what is over not at all.
    x.scheduling_at := CASE WHEN was.scheduling_at IS NOT NULL AND coming.at IS NULL AND x.status NOT IN ('canceled', 'incomplete_expired')
                             AND (x.schedule IS NOT NULL OR was.scheduling_at > clock_timestamp() - interval '15 min')
                            THEN greatest(was.scheduling_at, clock_timestamp() - interval '20 min') END;
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
