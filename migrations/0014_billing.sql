-- Stripe billing: accounts, customers, subscriptions, invoices, payments, the ledger of events
-- (CONTRACT A22-A27, C11-C19, D25-D36, E35-E40, K1, K2, K12, K18, section S; SECURITY T23, F28).
--
-- Nothing here believes what an event says of its object: an event says that something changed, the customer's state
-- is then fetched whole from Stripe, and billing_apply makes the tables like it. So order and repetition of events
-- cannot matter, and looking again without any event heals what was missed.

-- What an app is at Stripe, from its file.
CREATE TABLE stripe_accounts (
    app_id uuid PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    key_sealed bytea NOT NULL,      -- the secret key, with QUOIN_SECRET_KEY
    webhooks_sealed bytea NOT NULL, -- the secrets of its webhooks, with spaces between
    api_base text NOT NULL,         -- empty: STRIPE_API_BASE
    success_path text NOT NULL,
    cancel_path text NOT NULL,
    portal_path text NOT NULL,
    trial_days integer NOT NULL CHECK (trial_days BETWEEN 0 AND 730),
    grace_days integer NOT NULL CHECK (grace_days BETWEEN 0 AND 90),
    promotion_codes boolean NOT NULL,
    meters jsonb NOT NULL           -- meter of plans: event_name of a Stripe meter
);

-- One for each user or organisation that ever went to pay, and never two. It outlives both, as invoices do.
CREATE TABLE billing_customers (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    organization_id uuid REFERENCES organizations (id) ON DELETE SET NULL,
    stripe_customer_id text CHECK (length(stripe_customer_id) BETWEEN 1 AND 255),
    asked bigint NOT NULL DEFAULT 0,   -- how often its state was asked for
    applied bigint NOT NULL DEFAULT 0, -- which of these was applied last
    synced_at timestamptz,
    look_at timestamptz,               -- when it is looked at again, event or not
    watch_until timestamptz,           -- somebody is at the till: look every hour until then
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (app_id, user_id),
    UNIQUE (app_id, organization_id),
    UNIQUE (app_id, stripe_customer_id),
    UNIQUE (app_id, id),
    CHECK (num_nonnulls(user_id, organization_id) <= 1)
);
CREATE INDEX billing_customers_due ON billing_customers (look_at) WHERE look_at IS NOT NULL;

-- Whose payer is gone is looked at at once: nobody pays for what nobody has.
CREATE FUNCTION billing_customers_orphan() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.look_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER billing_customers_orphan BEFORE UPDATE OF user_id, organization_id ON billing_customers FOR EACH ROW
    WHEN (num_nonnulls(NEW.user_id, NEW.organization_id) = 0) EXECUTE FUNCTION billing_customers_orphan();

CREATE TABLE subscriptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    stripe_subscription_id text NOT NULL,
    plan text,                  -- NULL: no price of it is in the app's file
    price text,                 -- the one that says the plan
    item text,                  -- its line of the subscription
    quantity integer NOT NULL,
    seats integer,              -- that all lines include together
    status text NOT NULL,       -- as Stripe spells it
    current_period_start timestamptz,
    current_period_end timestamptz,
    cancel_at_period_end boolean NOT NULL,
    cancel_at timestamptz,
    canceled_at timestamptz,
    ended_at timestamptz,
    trial_end timestamptz,
    amount bigint NOT NULL,     -- of a period, in the currency's smallest unit
    currency text NOT NULL,
    interval text NOT NULL,     -- day, week, month, year
    interval_count integer NOT NULL,
    metered boolean NOT NULL,   -- a line of it is paid for by use (D28)
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (app_id, stripe_subscription_id),
    FOREIGN KEY (app_id, customer_id) REFERENCES billing_customers (app_id, id) ON DELETE CASCADE
);
CREATE INDEX subscriptions_customer ON subscriptions (customer_id);

CREATE TABLE invoices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    subscription_id uuid REFERENCES subscriptions (id) ON DELETE SET NULL,
    stripe_invoice_id text NOT NULL,
    number text,
    amount_cents bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,       -- open, paid, void, uncollectible
    attempts integer NOT NULL,
    payment text,               -- the payment intent that paid it
    hosted_url text,
    pdf_url text,
    invoice_date timestamptz NOT NULL,
    due_date timestamptz,
    paid_at timestamptz,
    UNIQUE (app_id, stripe_invoice_id),
    FOREIGN KEY (app_id, customer_id) REFERENCES billing_customers (app_id, id) ON DELETE CASCADE
);
CREATE INDEX invoices_customer ON invoices (customer_id, invoice_date DESC);
CREATE INDEX invoices_subscription ON invoices (subscription_id);

-- Payments that succeeded: those of invoices, and purchases, which have a price.
CREATE TABLE payments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    stripe_payment_id text NOT NULL, -- of the payment intent; of the checkout session when nothing had to be paid
    price text,
    plan text,
    amount bigint NOT NULL,
    refunded bigint NOT NULL,
    currency text NOT NULL,
    dispute text,                    -- its status
    created_at timestamptz NOT NULL,
    returned boolean GENERATED ALWAYS AS (
        (amount > 0 AND refunded >= amount) OR coalesce(dispute IN ('needs_response', 'under_review', 'lost'), false)) STORED,
    UNIQUE (app_id, stripe_payment_id),
    FOREIGN KEY (app_id, customer_id) REFERENCES billing_customers (app_id, id) ON DELETE CASCADE
);
CREATE INDEX payments_customer ON payments (customer_id);

-- Every event that Stripe sent, once.
CREATE TABLE billing_events (
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id text NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
    type text NOT NULL CHECK (length(type) BETWEEN 1 AND 255),
    created timestamptz NOT NULL,
    customer text, -- whose object it is about: Stripe's id
    payment text,  -- of an object that has no customer: the payment intent
    payload_hash bytea NOT NULL CHECK (length(payload_hash) = 32),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at timestamptz,
    outcome text CHECK (outcome IN ('applied', 'not handled', 'unknown customer')),
    PRIMARY KEY (app_id, id),
    CHECK ((applied_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX billing_events_waiting ON billing_events (app_id, customer) WHERE applied_at IS NULL;
CREATE INDEX billing_events_age ON billing_events USING brin (received_at);

-- What somebody was told, so that it is said once.
CREATE TABLE billing_notices (
    customer_id uuid NOT NULL REFERENCES billing_customers (id) ON DELETE CASCADE,
    kind text NOT NULL,
    object text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (customer_id, kind, object)
);

-- What Stripe was told of the use of a meter in a period. A row says first what is on its way, so that after a lost
-- answer the very same is sent again, under the same key.
CREATE TABLE billing_usage (
    customer_id uuid NOT NULL REFERENCES billing_customers (id) ON DELETE CASCADE,
    meter text NOT NULL,
    period_start date NOT NULL,
    reported bigint NOT NULL DEFAULT 0,
    sending bigint CHECK (sending > reported), -- up to which; NULL: nothing is on its way
    sending_at timestamptz,                    -- the time that Stripe is told
    PRIMARY KEY (customer_id, meter, period_start),
    CHECK ((sending IS NULL) = (sending_at IS NULL))
);
CREATE INDEX billing_usage_sending ON billing_usage (customer_id) WHERE sending IS NOT NULL;

-- The use of the meters that an app reports, by user or organisation, of the last 34 days (Stripe takes 35).
CREATE FUNCTION billing_used(p_app uuid)
    RETURNS TABLE (subject uuid, meter text, period_start date, used bigint) LANGUAGE sql STABLE AS $$
    SELECT m.subject_id, m.meter, m.period_start, m.used
      FROM stripe_accounts a, jsonb_object_keys(a.meters) k, billing_customers c, usage_meters m
     WHERE a.app_id = p_app AND c.app_id = p_app AND m.subject_id = coalesce(c.organization_id, c.user_id) AND m.meter = k
       AND m.period_start >= (now() AT TIME ZONE 'UTC')::date - 34 AND m.used > 0
    UNION ALL
    SELECT d.user_id, 'api_calls', d.day, d.api_calls
      FROM stripe_accounts a, billing_customers c, usage_daily d
     WHERE a.app_id = p_app AND a.meters ? 'api_calls' AND c.app_id = p_app AND d.app_id = p_app AND d.user_id = c.user_id
       AND d.day >= (now() AT TIME ZONE 'UTC')::date - 34 AND d.api_calls > 0
$$;

-- What was used before somebody paid for it by use is not charged.
CREATE FUNCTION billing_usage_begin(c billing_customers) RETURNS void LANGUAGE sql AS $$
    INSERT INTO billing_usage (customer_id, meter, period_start, reported)
    SELECT c.id, u.meter, u.period_start, u.used FROM billing_used(c.app_id) u
     WHERE u.subject = coalesce(c.organization_id, c.user_id) ON CONFLICT DO NOTHING
$$;

-- What is to be sent now: what was on its way, and what came on top of what was reported.
CREATE FUNCTION billing_usage_due(p_app uuid, p_most integer)
    RETURNS TABLE (customer uuid, stripe_customer_id text, meter text, event_name text, period_start date, reported bigint,
                   sending bigint, at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO billing_usage AS b (customer_id, meter, period_start, sending, sending_at)
    SELECT c.id, u.meter, u.period_start, u.used, least(now(), period_end(coalesce((SELECT l.period FROM plan_limits l
               WHERE l.app_id = p_app AND l.meter = u.meter AND l.period IN ('day', 'month') LIMIT 1), 'day'),
               u.period_start::timestamp AT TIME ZONE 'UTC') - interval '1 s')
      FROM billing_used(p_app) u
      JOIN billing_customers c ON c.app_id = p_app AND coalesce(c.organization_id, c.user_id) = u.subject AND c.stripe_customer_id IS NOT NULL
     WHERE EXISTS (SELECT 1 FROM subscriptions s WHERE s.customer_id = c.id AND s.metered AND s.status IN ('active', 'trialing', 'past_due'))
       AND NOT EXISTS (SELECT 1 FROM billing_usage o WHERE o.customer_id = c.id AND o.meter = u.meter
            AND o.period_start = u.period_start AND (o.sending IS NOT NULL OR o.reported >= u.used))
     ORDER BY c.id, u.meter, u.period_start LIMIT p_most
    ON CONFLICT (customer_id, meter, period_start) DO UPDATE SET sending = excluded.sending, sending_at = excluded.sending_at
     WHERE b.sending IS NULL AND b.reported < excluded.sending;
    RETURN QUERY SELECT b.customer_id, c.stripe_customer_id, b.meter, a.meters ->> b.meter, b.period_start, b.reported, b.sending,
           b.sending_at
      FROM billing_customers c JOIN stripe_accounts a ON a.app_id = c.app_id JOIN billing_usage b ON b.customer_id = c.id
     WHERE c.app_id = p_app AND b.sending IS NOT NULL AND a.meters ? b.meter
     ORDER BY b.customer_id, b.meter, b.period_start LIMIT p_most;
END $$;

-- Takes an event: it and the job that acts on it, or neither. false: it was there before.
CREATE FUNCTION billing_event_take(p_app uuid, p_id text, p_type text, p_created double precision, p_customer text,
    p_payment text, p_hash bytea, p_job uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    handled boolean := p_type ~ '^(checkout\.session|customer\.subscription|invoice|charge\.dispute)\.'
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

-- The customer whom an event is about, unless it is applied already.
-- outcome: 'gone' (there is nothing to do), 'sync'.
CREATE FUNCTION billing_event_open(p_app uuid, p_id text) RETURNS TABLE (outcome text, customer uuid) LANGUAGE plpgsql AS $$
DECLARE
    e billing_events;
BEGIN
    SELECT * INTO e FROM billing_events b WHERE b.app_id = p_app AND b.id = p_id;
    outcome := 'gone';
    IF e.id IS NOT NULL AND e.applied_at IS NULL THEN
        SELECT c.id INTO customer FROM billing_customers c WHERE c.app_id = p_app AND c.stripe_customer_id = e.customer;
        IF customer IS NULL AND e.customer IS NULL THEN
            SELECT p.customer_id INTO customer FROM payments p WHERE p.app_id = p_app AND p.stripe_payment_id = e.payment;
        END IF;
        IF customer IS NULL THEN
            UPDATE billing_events b SET applied_at = clock_timestamp(), outcome = 'unknown customer'
             WHERE b.app_id = p_app AND b.id = p_id AND b.applied_at IS NULL;
        ELSE
            outcome := 'sync';
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- The customer of a user or an organisation, made at first sight. Of two first sights at once the second waits.
CREATE FUNCTION billing_customer(p_id uuid, p_app uuid, p_user uuid, p_org uuid)
    RETURNS TABLE (id uuid, stripe_customer_id text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO billing_customers (id, app_id, user_id, organization_id)
    VALUES (p_id, p_app, CASE WHEN p_org IS NULL THEN p_user END, p_org) ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT c.id, c.stripe_customer_id FROM billing_customers c
     WHERE c.app_id = p_app AND (CASE WHEN p_org IS NULL THEN c.user_id = p_user ELSE c.organization_id = p_org END);
END $$;

-- Somebody is about to ask Stripe for a customer's state: which time that is, and the events that it will answer.
CREATE FUNCTION billing_ask(p_customer uuid)
    RETURNS TABLE (seq bigint, app_id uuid, stripe_customer_id text, events text[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE billing_customers c SET asked = c.asked + 1 WHERE c.id = p_customer AND c.stripe_customer_id IS NOT NULL
    RETURNING c.asked, c.app_id, c.stripe_customer_id INTO seq, app_id, stripe_customer_id;
    IF FOUND THEN
        events := ARRAY(SELECT e.id FROM billing_events e WHERE e.app_id = billing_ask.app_id AND e.applied_at IS NULL
            AND (e.customer = billing_ask.stripe_customer_id OR e.customer IS NULL AND EXISTS (
                SELECT 1 FROM payments p WHERE p.customer_id = p_customer AND p.stripe_payment_id = e.payment)));
        RETURN NEXT;
    END IF;
END $$;

CREATE FUNCTION stripe_time(p jsonb) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(p) = 'number' THEN to_timestamp((p #>> '{}')::double precision) END
$$;
-- The id of what may have come whole.
CREATE FUNCTION stripe_id(p jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(p) WHEN 'string' THEN p #>> '{}' WHEN 'object' THEN p ->> 'id' END
$$;
-- 2000 and 'usd' as '20.00 USD'. Some currencies have no smaller unit, some a thousandth.
CREATE FUNCTION money(p_amount bigint, p_currency text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_currency IN ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf')
                THEN p_amount::text
                WHEN p_currency IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN to_char(p_amount / 1000.0, 'FM999999999990.000')
                ELSE to_char(p_amount / 100.0, 'FM9999999999990.00') END || ' ' || upper(p_currency)
$$;

-- Notes that something is to be said, unless it was before or is too old to be news.
CREATE FUNCTION billing_notice(c billing_customers, p_kind text, p_object text, p_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_notices (customer_id, kind, object) VALUES (c.id, p_kind, p_object) ON CONFLICT DO NOTHING;
    RETURN FOUND AND p_at > clock_timestamp() - interval '4 days';
END $$;

-- In the audit log and for outbound webhooks.
CREATE FUNCTION billing_tell(c billing_customers, p_type text, p_object text, p_data jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit(gen_random_uuid(), c.app_id, c.organization_id, c.user_id, 'billing.' || p_type, split_part(p_type, '.', 1),
                  p_object, p_data::json, NULL, NULL, NULL);
    PERFORM event_emit(c.app_id, p_type, c.organization_id, c.user_id,
                       p_data || jsonb_build_object('user_id', c.user_id, 'organization_id', c.organization_id));
END $$;

-- The lines of a subscription with what the app's file says of their prices.
CREATE FUNCTION billing_lines(p_app uuid, s jsonb)
    RETURNS TABLE (item text, price text, plan text, rank integer, per text, quantity integer, seats integer, amount bigint,
                   currency text, every text, every_count integer, metered boolean, period_start timestamptz, period_end timestamptz)
    LANGUAGE sql STABLE AS $$
    SELECT i ->> 'id', i #>> '{price,id}', p.plan, plan_rank(p_app, p.plan), p.per, coalesce((i ->> 'quantity')::integer, 1),
           CASE WHEN p.per = 'seat' THEN coalesce((i ->> 'quantity')::integer, 1)
                ELSE p.seats * coalesce((i ->> 'quantity')::integer, 1) END,
           CASE WHEN i #>> '{price,recurring,usage_type}' = 'metered' THEN 0
                ELSE coalesce((i #>> '{price,unit_amount}')::bigint, 0) * coalesce((i ->> 'quantity')::integer, 1) END,
           coalesce(i #>> '{price,currency}', 'usd'), coalesce(i #>> '{price,recurring,interval}', 'month'),
           coalesce((i #>> '{price,recurring,interval_count}')::integer, 1),
           coalesce(i #>> '{price,recurring,usage_type}' = 'metered', false),
           stripe_time(i -> 'current_period_start'), stripe_time(i -> 'current_period_end')
      FROM jsonb_array_elements(coalesce(s #> '{items,data}', '[]')) i
      LEFT JOIN plan_prices p ON p.app_id = p_app AND p.price = i #>> '{price,id}'
$$;

-- A subscription as Stripe has it. Periods stood at its top until 2025-03-31, and are with its lines since.
CREATE FUNCTION billing_put_subscription(c billing_customers, s jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    was subscriptions;
    x subscriptions;
    main record;
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
    data := jsonb_build_object('stripe_subscription_id', s ->> 'id',
        'plan', x.plan, 'previous_plan', was.plan, 'status', x.status, 'previous_status', was.status, 'seats', x.seats,
        'current_period_end', x.current_period_end, 'cancel_at_period_end', x.cancel_at_period_end);
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
            interval_count = x.interval_count, metered = x.metered, updated_at = x.updated_at WHERE o.id = x.id;
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
END $$;

-- An invoice. The subscription, and the payment, stood at its top until 2025-03-31.
CREATE FUNCTION billing_put_invoice(c billing_customers, i jsonb) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE
    was invoices;
    x invoices;
    sub subscriptions;
    data jsonb;
BEGIN
    SELECT * INTO was FROM invoices o WHERE o.app_id = c.app_id AND o.stripe_invoice_id = i ->> 'id';
    IF was.customer_id <> c.id OR i ->> 'status' IS NULL OR i ->> 'status' = 'draft' THEN
        RETURN;
    END IF;
    SELECT * INTO sub FROM subscriptions o WHERE o.customer_id = c.id AND o.stripe_subscription_id =
        coalesce(stripe_id(i #> '{parent,subscription_details,subscription}'), stripe_id(i -> 'subscription'));
    x := was;
    x.subscription_id := sub.id;
    x.number := i ->> 'number';
    x.amount_cents := coalesce((i ->> 'total')::bigint, (i ->> 'amount_due')::bigint, 0);
    x.currency := coalesce(i ->> 'currency', 'usd');
    x.status := i ->> 'status';
    x.attempts := coalesce((i ->> 'attempt_count')::integer, 0);
    x.payment := coalesce((SELECT stripe_id(p #> '{payment,payment_intent}')
        FROM jsonb_array_elements(coalesce(i #> '{payments,data}', '[]')) p
       ORDER BY p ->> 'status' = 'paid' DESC LIMIT 1), stripe_id(i -> 'payment_intent'));
    x.hosted_url := i ->> 'hosted_invoice_url';
    x.pdf_url := i ->> 'invoice_pdf';
    x.invoice_date := coalesce(stripe_time(i #> '{status_transitions,finalized_at}'), stripe_time(i -> 'created'), clock_timestamp());
    x.due_date := stripe_time(i -> 'due_date');
    x.paid_at := CASE WHEN x.status = 'paid' THEN coalesce(stripe_time(i #> '{status_transitions,paid_at}'), x.invoice_date) END;
    IF was.id IS NULL THEN
        x.id := gen_random_uuid();
        x.app_id := c.app_id;
        x.customer_id := c.id;
        x.stripe_invoice_id := i ->> 'id';
        INSERT INTO invoices SELECT (x).*;
    ELSIF x IS DISTINCT FROM was THEN
        UPDATE invoices o SET subscription_id = x.subscription_id, number = x.number, amount_cents = x.amount_cents,
            currency = x.currency, status = x.status, attempts = x.attempts, payment = x.payment, hosted_url = x.hosted_url,
            pdf_url = x.pdf_url, invoice_date = x.invoice_date, due_date = x.due_date, paid_at = x.paid_at WHERE o.id = x.id;
    ELSE
        RETURN;
    END IF;
    data := jsonb_build_object('invoice_id', x.id, 'stripe_invoice_id', i ->> 'id', 'number', x.number, 'amount_cents', x.amount_cents,
        'currency', x.currency, 'status', x.status, 'subscription_id', x.subscription_id, 'attempts', x.attempts);
    IF x.status = 'paid' AND was.status IS DISTINCT FROM 'paid' THEN
        PERFORM billing_tell(c, 'invoice.paid', i ->> 'id', data);
        IF billing_notice(c, 'receipt', i ->> 'id', x.paid_at) AND x.amount_cents > 0 THEN
            RETURN NEXT jsonb_build_object('template', 'receipt', 'plan', sub.plan, 'amount', money(x.amount_cents, x.currency),
                'when', x.paid_at);
        END IF;
    ELSIF x.status = 'open' AND x.attempts > coalesce(was.attempts, 0) AND i ->> 'billing_reason' IS DISTINCT FROM 'subscription_create' THEN
        PERFORM billing_tell(c, 'invoice.payment_failed', i ->> 'id', data);
        IF billing_notice(c, 'payment-failed', (i ->> 'id') || ' ' || x.attempts, clock_timestamp()) THEN
            RETURN NEXT jsonb_build_object('template', 'payment-failed', 'plan', sub.plan, 'amount', money(x.amount_cents, x.currency),
                'when', x.invoice_date + (SELECT a.grace_days FROM stripe_accounts a WHERE a.app_id = c.app_id) * interval '1 day');
        END IF;
    END IF;
END $$;

-- A payment that succeeded, and what it was for when a checkout led to it: p NULL when that cost nothing.
CREATE FUNCTION billing_put_payment(c billing_customers, p jsonb, p_session jsonb, p_disputes jsonb) RETURNS SETOF jsonb
    LANGUAGE plpgsql AS $$
DECLARE
    was payments;
    x payments;
    charge jsonb := p -> 'latest_charge';
    name text := coalesce(p ->> 'id', p_session ->> 'id');
BEGIN
    SELECT * INTO was FROM payments o WHERE o.app_id = c.app_id AND o.stripe_payment_id = name;
    IF was.customer_id <> c.id OR p ->> 'status' <> 'succeeded' THEN
        RETURN;
    END IF;
    x := was;
    x.price := coalesce(p_session #>> '{line_items,data,0,price,id}', was.price);
    x.plan := coalesce((SELECT r.plan FROM plan_prices r WHERE r.app_id = c.app_id AND r.price = x.price), was.plan);
    x.amount := coalesce((p ->> 'amount_received')::bigint, (p ->> 'amount')::bigint, 0);
    x.refunded := CASE WHEN jsonb_typeof(charge) = 'object' THEN coalesce((charge ->> 'amount_refunded')::bigint, 0) ELSE coalesce(was.refunded, 0) END;
    x.currency := coalesce(p ->> 'currency', p_session ->> 'currency', 'usd');
    x.dispute := coalesce((SELECT d ->> 'status' FROM jsonb_array_elements(coalesce(p_disputes, '[]')) d
        WHERE stripe_id(d -> 'payment_intent') = name ORDER BY d ->> 'created' DESC LIMIT 1), was.dispute);
    x.created_at := coalesce(was.created_at, stripe_time(p -> 'created'), stripe_time(p_session -> 'created'), clock_timestamp());
    x.id := coalesce(was.id, gen_random_uuid());
    x.returned := NULL; -- the table's own to say
    INSERT INTO payments AS o (id, app_id, customer_id, stripe_payment_id, price, plan, amount, refunded, currency, dispute, created_at)
    VALUES (x.id, c.app_id, c.id, name, x.price, x.plan, x.amount, x.refunded, x.currency, x.dispute, x.created_at)
    ON CONFLICT (app_id, stripe_payment_id) DO UPDATE SET price = excluded.price, plan = excluded.plan, amount = excluded.amount,
        refunded = excluded.refunded, dispute = excluded.dispute
    RETURNING o.returned INTO x.returned;
    IF x.plan IS NOT NULL AND billing_notice(c, 'receipt', name, x.created_at) AND x.amount > 0 THEN
        PERFORM billing_tell(c, 'payment.succeeded', name, jsonb_build_object('payment_id', x.id, 'plan', x.plan, 'price', x.price,
            'amount', x.amount, 'currency', x.currency));
        RETURN NEXT jsonb_build_object('template', 'receipt', 'plan', x.plan, 'amount', money(x.amount, x.currency), 'when', x.created_at);
    END IF;
    IF x.returned IS DISTINCT FROM coalesce(was.returned, false) THEN
        PERFORM billing_tell(c, CASE WHEN x.returned THEN 'payment.returned' ELSE 'payment.restored' END, name,
            jsonb_build_object('payment_id', x.id, 'refunded', x.refunded, 'dispute', x.dispute, 'amount', x.amount, 'currency', x.currency));
        IF x.returned AND billing_notice(c, 'payment-returned', name, clock_timestamp()) THEN
            RETURN NEXT jsonb_build_object('template', 'payment-returned', 'plan', coalesce(x.plan, (SELECT s.plan FROM invoices i
                JOIN subscriptions s ON s.id = i.subscription_id WHERE i.customer_id = c.id AND i.payment = name LIMIT 1)),
                'amount', money(x.amount, x.currency));
        END IF;
    END IF;
END $$;

-- Until when a subscription is good: NULL when it is not at all. Over its period there are some days for the news of
-- the next to come; who owes money has the app's days of grace; who gave notice has until then.
CREATE FUNCTION billing_good_until(s subscriptions, p_grace integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN s.plan IS NULL OR (SELECT coalesce(p.returned, false) FROM invoices i
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

-- The grants that follow from subscriptions and payments.
CREATE FUNCTION billing_settle(c billing_customers) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    grace integer := coalesce((SELECT a.grace_days FROM stripe_accounts a WHERE a.app_id = c.app_id), 0);
    s subscriptions;
    p payments;
    until timestamptz;
BEGIN
    IF num_nonnulls(c.user_id, c.organization_id) = 0 THEN
        RETURN; -- whoever it was is gone
    END IF;
    FOR s IN SELECT * FROM subscriptions o WHERE o.customer_id = c.id ORDER BY o.stripe_subscription_id LOOP
        until := billing_good_until(s, grace);
        IF until IS NOT NULL THEN
            PERFORM grant_set(c.app_id, c.user_id, c.organization_id, 'subscription', s.stripe_subscription_id, s.plan, s.seats, until);
        ELSE
            PERFORM grant_drop(c.app_id, 'subscription', s.stripe_subscription_id);
        END IF;
    END LOOP;
    FOR p IN SELECT * FROM payments o WHERE o.customer_id = c.id AND o.plan IS NOT NULL ORDER BY o.stripe_payment_id LOOP
        IF NOT p.returned THEN
            PERFORM grant_set(c.app_id, c.user_id, c.organization_id, 'purchase', p.stripe_payment_id, p.plan, NULL, NULL);
        ELSE
            PERFORM grant_drop(c.app_id, 'purchase', p.stripe_payment_id);
        END IF;
    END LOOP;
END $$;

-- Whom mail about a customer goes to: the user, of an organisation its first owner.
CREATE FUNCTION billing_addressee(c billing_customers) RETURNS TABLE (user_id uuid, email text) LANGUAGE sql STABLE AS $$
    SELECT u.id, u.email FROM users u
     WHERE u.id = coalesce(c.user_id, (SELECT m.user_id FROM organization_members m
         WHERE m.organization_id = c.organization_id AND m.role = 'owner' ORDER BY m.joined_at, m.user_id LIMIT 1))
       AND u.email IS NOT NULL
$$;

-- Makes the tables like what Stripe answered to the p_seq-th time that it was asked for this customer. A list that is
-- not in p_state was not asked for. Nothing is done when a later answer was applied before: it knew all that this one
-- knows, for its question was put after the events that this one answers. Returns the mail that is to be sent.
CREATE FUNCTION billing_apply(p_customer uuid, p_seq bigint, p_events text[], p_state jsonb)
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
        UPDATE billing_customers b SET applied = p_seq, synced_at = clock_timestamp(), look_at = clock_timestamp() + CASE
            WHEN b.watch_until > clock_timestamp() THEN interval '1 hour'
            WHEN EXISTS (SELECT 1 FROM subscriptions s WHERE s.customer_id = b.id AND s.status NOT IN ('canceled', 'incomplete_expired'))
            THEN interval '1 day' ELSE interval '7 days' END
         WHERE b.id = p_customer;
    END IF;
    UPDATE billing_events e SET applied_at = clock_timestamp(), outcome = 'applied'
     WHERE e.app_id = c.app_id AND e.id = ANY (p_events) AND e.applied_at IS NULL;
    RETURN QUERY SELECT n ->> 'template', a.user_id, a.email, coalesce(p.shown, n ->> 'plan', ''), coalesce(n ->> 'amount', ''),
           (n ->> 'when')::timestamptz
      FROM unnest(news) n CROSS JOIN billing_addressee(c) a
      LEFT JOIN plans p ON p.app_id = c.app_id AND p.code = n ->> 'plan';
END $$;
