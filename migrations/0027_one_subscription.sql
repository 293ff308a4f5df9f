-- One subscription of a customer (CONTRACT A22, C12; SECURITY T23, F28).
--
-- Who begins to pay for a subscription ends what was begun before, one at a time; of two that are paid for all the same,
-- the first that was paid stays. The other is marked here, with the state that shows both, and what is marked is ended
-- and paid back at Stripe by whoever looks next, until the tables say that it is done: a job that dies repeats it.

ALTER TABLE billing_customers
    ADD COLUMN till uuid,              -- who is at it: no other begins a subscription until then
    ADD COLUMN till_until timestamptz, -- or until this, should it have died
    ADD CHECK ((till IS NULL) = (till_until IS NULL));
ALTER TABLE subscriptions
    ADD COLUMN surplus_of text,        -- Stripe's id of the one that was paid before: this one gives nothing
    ADD COLUMN surplus_at timestamptz,
    ADD CHECK ((surplus_of IS NULL) = (surplus_at IS NULL));

-- What is still to be done about those: to end one that goes on, and to give back a payment. What somebody gave back in
-- part, or disputes, is left to people.
CREATE FUNCTION billing_surplus_due(p_customer uuid) RETURNS TABLE (stripe_subscription_id text, status text, payment text) LANGUAGE sql STABLE AS $$
    SELECT s.stripe_subscription_id, s.status, p.stripe_payment_id
      FROM subscriptions s
      LEFT JOIN (invoices i JOIN payments p ON p.app_id = i.app_id AND p.stripe_payment_id = i.payment AND p.customer_id = i.customer_id
                                           AND p.amount > 0 AND p.refunded = 0 AND p.dispute IS NULL)
        ON i.subscription_id = s.id AND i.status = 'paid'
     WHERE s.customer_id = p_customer AND s.surplus_of IS NOT NULL
       AND (s.status NOT IN ('canceled', 'incomplete_expired') OR p.stripe_payment_id IS NOT NULL)
     ORDER BY s.stripe_subscription_id, p.stripe_payment_id
$$;

-- Marks all but the first that was paid of those that were begun here and live; what the vendor makes at Stripe is his.
-- Says so once it is ended and paid back, in place of the mail that either would bring.
CREATE FUNCTION billing_surplus(c billing_customers, p_state jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    s subscriptions;
    refunded bigint;
BEGIN
    FOR s IN
        UPDATE subscriptions o SET surplus_of = f.stays, surplus_at = clock_timestamp()
          FROM (SELECT l.id, l.stripe_subscription_id, first_value(l.stripe_subscription_id) OVER (ORDER BY coalesce(
                       (SELECT min(i.paid_at) FROM invoices i WHERE i.subscription_id = l.id AND i.status = 'paid'), l.created_at),
                       l.created_at, l.stripe_subscription_id) AS stays
                  FROM subscriptions l
                 WHERE l.customer_id = c.id AND l.surplus_of IS NULL AND l.status IN ('active', 'trialing', 'past_due', 'unpaid', 'paused')
                   AND EXISTS (SELECT 1 FROM jsonb_array_elements(p_state) e
                                WHERE e ->> 'id' = l.stripe_subscription_id AND e #>> '{metadata,quoin}' IN ('checkout', 'element'))) f
         WHERE o.id = f.id AND f.stripe_subscription_id <> f.stays
        RETURNING o.*
    LOOP
        PERFORM billing_tell(c, 'subscription.duplicate', s.stripe_subscription_id, jsonb_build_object('subscription_id', s.id,
            'stripe_subscription_id', s.stripe_subscription_id, 'plan', s.plan, 'status', s.status, 'duplicate_of', s.surplus_of));
        INSERT INTO billing_notices (customer_id, kind, object) VALUES (c.id, 'subscription-ended', s.stripe_subscription_id) ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO billing_notices (customer_id, kind, object)
    SELECT c.id, 'payment-returned', d.payment FROM billing_surplus_due(c.id) d WHERE d.payment IS NOT NULL ON CONFLICT DO NOTHING;
    FOR s IN SELECT * FROM subscriptions o WHERE o.customer_id = c.id AND o.surplus_of IS NOT NULL
                AND o.stripe_subscription_id NOT IN (SELECT d.stripe_subscription_id FROM billing_surplus_due(c.id) d) LOOP
        SELECT sum(p.refunded) INTO refunded FROM invoices i JOIN payments p ON p.app_id = i.app_id AND p.stripe_payment_id = i.payment
         WHERE i.subscription_id = s.id;
        IF refunded > 0 AND billing_notice(c, 'paid-twice', s.stripe_subscription_id, s.surplus_at) THEN
            RETURN NEXT jsonb_build_object('template', 'paid-twice', 'plan', s.plan, 'amount', money(refunded, s.currency));
        END IF;
    END LOOP;
END $$;

-- As before, and not with one that is surplus.
CREATE OR REPLACE FUNCTION billing_good_until(s subscriptions, p_grace integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN s.plan IS NULL OR s.surplus_of IS NOT NULL OR (SELECT coalesce(p.returned, false) FROM invoices i
                LEFT JOIN payments p ON p.app_id = i.app_id AND p.stripe_payment_id = i.payment
             WHERE i.subscription_id = s.id AND i.status = 'paid'
             ORDER BY i.paid_at DESC, coalesce(p.returned, false) LIMIT 1) THEN NULL
        WHEN s.status IN ('active', 'trialing') THEN least(s.cancel_at, CASE WHEN s.cancel_at_period_end
            THEN s.current_period_end ELSE s.current_period_end + greatest(p_grace, 3) * interval '1 day' END)
        WHEN s.status = 'past_due' THEN least(s.cancel_at, p_grace * interval '1 day' + coalesce(
            (SELECT min(i.invoice_date) FROM invoices i WHERE i.subscription_id = s.id AND i.status = 'open' AND i.attempts > 0),
            s.current_period_start))
    END
$$;

-- As before, and one that is surplus is none.
CREATE OR REPLACE FUNCTION subscription_state(s subscriptions) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN s.surplus_of IS NOT NULL THEN 'none'
        WHEN s.status = 'trialing' THEN 'trialing'
        WHEN s.status IN ('active', 'past_due') AND NOT coalesce(
            (SELECT coalesce(p.returned, false) FROM invoices i
               LEFT JOIN payments p ON p.app_id = i.app_id AND p.stripe_payment_id = i.payment
              WHERE i.subscription_id = s.id AND i.status = 'paid' AND i.amount_cents > 0
              ORDER BY i.paid_at DESC, coalesce(p.returned, false) LIMIT 1), true)
            THEN CASE s.status WHEN 'active' THEN 'paying' ELSE 'past_due' END
        ELSE 'none' END
$$;

-- As before, and of subscriptions that are paid for twice the first is found before it is said what is good.
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
        news := news || ARRAY(SELECT billing_surplus(c, p_state -> 'subscriptions'));
        PERFORM billing_settle(c);
        UPDATE billing_customers b SET applied = p_seq, synced_at = clock_timestamp(), look_at = least(clock_timestamp() + CASE
            WHEN b.watch_until > clock_timestamp() THEN interval '1 hour'
            WHEN EXISTS (SELECT 1 FROM subscriptions s WHERE s.customer_id = b.id AND s.status NOT IN ('canceled', 'incomplete_expired'))
            THEN interval '1 day' ELSE interval '7 days' END,
            -- a minute after another plan was to begin; an hour later again when it has not
            (SELECT min(CASE WHEN s.pending_at > clock_timestamp() THEN s.pending_at + interval '1 min' ELSE clock_timestamp() + interval '1 hour' END)
               FROM subscriptions s WHERE s.customer_id = b.id AND s.pending_at IS NOT NULL AND s.status <> 'canceled'),
            -- a minute later when a second subscription is still to be ended, or a day later when Stripe would not do it
            (SELECT min(clock_timestamp() + CASE WHEN s.surplus_at > clock_timestamp() - interval '10 min' THEN interval '1 min' ELSE interval '1 day' END)
               FROM subscriptions s JOIN billing_surplus_due(p_customer) d ON d.stripe_subscription_id = s.stripe_subscription_id WHERE s.customer_id = p_customer),
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
