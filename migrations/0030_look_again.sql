-- Who asks for a look while one is under way is not forgotten: what was fetched may be older than the reason to ask. So a look
-- that has become due stays due (and is not taken in hand before the one under way has ended, store/job.c).

-- When a customer of whom no event comes is looked at next.
CREATE FUNCTION billing_next_look(c billing_customers) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT least(clock_timestamp() + CASE
            WHEN c.watch_until > clock_timestamp() THEN interval '1 hour'
            WHEN EXISTS (SELECT 1 FROM subscriptions s WHERE s.customer_id = c.id AND s.status NOT IN ('canceled', 'incomplete_expired'))
            THEN interval '1 day' ELSE interval '7 days' END,
        -- a minute after another plan was to begin; an hour later again when it has not
        (SELECT min(CASE WHEN s.pending_at > clock_timestamp() THEN s.pending_at + interval '1 min' ELSE clock_timestamp() + interval '1 hour' END)
           FROM subscriptions s WHERE s.customer_id = c.id AND s.pending_at IS NOT NULL AND s.status <> 'canceled'),
        -- a minute later when a second subscription is still to be ended, or a day later when Stripe would not do it
        (SELECT min(clock_timestamp() + CASE WHEN s.surplus_at > clock_timestamp() - interval '10 min' THEN interval '1 min' ELSE interval '1 day' END)
           FROM subscriptions s JOIN billing_surplus_due(c.id) d ON d.stripe_subscription_id = s.stripe_subscription_id WHERE s.customer_id = c.id),
        -- half an hour after a schedule was begun that may be half made
        (SELECT min(s.scheduling_at) + interval '30 min' FROM subscriptions s WHERE s.customer_id = c.id))
$$;

-- As before, but for what is due.
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
        UPDATE billing_customers b SET applied = p_seq, synced_at = clock_timestamp(),
            look_at = CASE WHEN b.look_at <= clock_timestamp() THEN b.look_at ELSE billing_next_look(b) END
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
