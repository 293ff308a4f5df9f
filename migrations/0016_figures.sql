-- Business figures: what there was of users, validations, customers and money on each day, per app and by UTC
-- (CONTRACT D55; DESIGN.md §6). docs/figures.md says what each of them is and how it is checked.

-- The first day that is counted: what was sold before is known only as it stands.
ALTER TABLE apps ADD COLUMN figures_since date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date;

-- Who was there on a day has a row of that day, with no calls where there were none: sessions see to it here.
CREATE INDEX usage_daily_day ON usage_daily (app_id, day, user_id);

CREATE FUNCTION sessions_seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_daily (app_id, user_id, day)
    VALUES (NEW.app_id, NEW.user_id, (NEW.last_used_at AT TIME ZONE 'UTC')::date) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_seen AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION sessions_seen();
CREATE TRIGGER sessions_seen_again AFTER UPDATE OF last_used_at ON sessions FOR EACH ROW
    WHEN ((OLD.last_used_at AT TIME ZONE 'UTC')::date <> (NEW.last_used_at AT TIME ZONE 'UTC')::date)
    EXECUTE FUNCTION sessions_seen();

-- What was sold, as it changed: a row for a subscription or a purchase whenever figures would see another one.
-- subscriptions and payments say only how they are now, and a day that is over cannot be asked of them.
CREATE TABLE billing_states (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    object text NOT NULL,    -- Stripe's id of the subscription, or of the payment
    at timestamptz NOT NULL, -- when it was known here
    state text NOT NULL CHECK (state IN ('trialing', 'paying', 'past_due', 'bought', 'none')),
    plan text,
    currency text NOT NULL,
    arr bigint NOT NULL CHECK (arr >= 0), -- a year of it, in the currency's smallest unit
    FOREIGN KEY (app_id, customer_id) REFERENCES billing_customers (app_id, id) ON DELETE CASCADE,
    CHECK (arr = 0 OR state IN ('paying', 'past_due'))
);
CREATE INDEX billing_states_customer ON billing_states (app_id, customer_id, object, at DESC, id DESC);

CREATE FUNCTION yearly(p_amount bigint, p_interval text, p_count integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT round(p_amount * CASE p_interval WHEN 'year' THEN 1.0 WHEN 'month' THEN 12.0 WHEN 'week' THEN 52.0 ELSE 365.0 END
                 / greatest(p_count, 1))::bigint
$$;

-- Nothing is paying before money came, nor while all of what came last was given back or is disputed: the same as
-- billing_good_until says of the plan.
CREATE FUNCTION subscription_state(s subscriptions) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN s.status = 'trialing' THEN 'trialing'
        WHEN s.status IN ('active', 'past_due') AND NOT coalesce(
            (SELECT coalesce(p.returned, false) FROM invoices i
               LEFT JOIN payments p ON p.app_id = i.app_id AND p.stripe_payment_id = i.payment
              WHERE i.subscription_id = s.id AND i.status = 'paid' AND i.amount_cents > 0
              ORDER BY i.paid_at DESC, coalesce(p.returned, false) LIMIT 1), true)
            THEN CASE s.status WHEN 'active' THEN 'paying' ELSE 'past_due' END
        ELSE 'none' END
$$;

CREATE FUNCTION billing_states_note(p_customer uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_is timestamptz := clock_timestamp(); -- one for all: what changes together is one step
BEGIN
    -- By a clock that was ahead and was put right: it is before what comes now (SECURITY F23).
    UPDATE billing_states b SET at = now_is WHERE b.customer_id = p_customer AND b.at > now_is
       AND b.app_id = (SELECT c.app_id FROM billing_customers c WHERE c.id = p_customer);
    INSERT INTO billing_states (app_id, customer_id, object, at, state, plan, currency, arr)
    SELECT n.app_id, p_customer, n.object, now_is, n.state, n.plan, n.currency, n.arr
      FROM (SELECT s.app_id, s.stripe_subscription_id AS object, x.state, s.plan, s.currency,
                   CASE WHEN x.state IN ('paying', 'past_due') THEN yearly(s.amount, s.interval, s.interval_count) ELSE 0 END AS arr
              FROM subscriptions s, subscription_state(s) x (state) WHERE s.customer_id = p_customer
            UNION ALL
            SELECT p.app_id, p.stripe_payment_id, CASE WHEN p.returned THEN 'none' ELSE 'bought' END, p.plan, p.currency, 0
              FROM payments p WHERE p.customer_id = p_customer AND p.price IS NOT NULL AND p.amount > 0) n
      LEFT JOIN LATERAL (
            SELECT b.state, b.plan, b.currency, b.arr FROM billing_states b
             WHERE b.app_id = n.app_id AND b.customer_id = p_customer AND b.object = n.object
             ORDER BY b.at DESC, b.id DESC LIMIT 1) was ON true
     WHERE (n.state, n.plan, n.currency, n.arr) IS DISTINCT FROM (was.state, was.plan, was.currency, was.arr)
       AND (was.state IS NOT NULL OR n.state <> 'none');
END $$;

-- billing_apply says last of all that it has applied what Stripe answered.
CREATE FUNCTION billing_customers_applied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing_states_note(NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER billing_customers_applied AFTER UPDATE OF applied ON billing_customers FOR EACH ROW
    EXECUTE FUNCTION billing_customers_applied();

-- What was sold until now, as far as it can still be told: who paid once is no new customer later.
INSERT INTO billing_states (app_id, customer_id, object, at, state, plan, currency, arr)
SELECT s.app_id, s.customer_id, s.stripe_subscription_id, s.created_at, 'paying', s.plan, s.currency,
       yearly(s.amount, s.interval, s.interval_count)
  FROM subscriptions s WHERE subscription_state(s) NOT IN ('paying', 'past_due')
   AND EXISTS (SELECT 1 FROM invoices i WHERE i.subscription_id = s.id AND i.status = 'paid' AND i.amount_cents > 0);
SELECT billing_states_note(c.id) FROM billing_customers c;
UPDATE billing_states b SET at = CASE b.state WHEN 'none' THEN least(b.at, coalesce(s.ended_at, s.canceled_at, s.updated_at))
                                 ELSE least(b.at, s.created_at) END
  FROM subscriptions s WHERE s.app_id = b.app_id AND s.stripe_subscription_id = b.object;
UPDATE billing_states b SET at = least(b.at, p.created_at)
  FROM payments p WHERE p.app_id = b.app_id AND p.stripe_payment_id = b.object;

-- The days. One that is not complete is counted again, every hour.
CREATE TABLE figures_daily (
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    day date NOT NULL, -- UTC
    complete boolean NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signups bigint NOT NULL,
    dau bigint NOT NULL,
    mau bigint NOT NULL,
    validations bigint NOT NULL,
    validations_refused bigint NOT NULL,
    conversions bigint NOT NULL,
    conversions_by_plan jsonb NOT NULL CHECK (jsonb_typeof(conversions_by_plan) = 'object'),
    paying_customers bigint NOT NULL,
    new_customers bigint NOT NULL,
    churned_customers bigint NOT NULL,
    trials bigint NOT NULL,
    past_due bigint NOT NULL,
    PRIMARY KEY (app_id, day)
);
-- Money, by currency: a year of it, so that it is divided, and rounded, when it is shown.
CREATE TABLE figures_money (
    app_id uuid NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    arr bigint NOT NULL,
    arr_new bigint NOT NULL,
    arr_expanded bigint NOT NULL,
    arr_contracted bigint NOT NULL,
    arr_lost bigint NOT NULL,
    arr_past_due bigint NOT NULL,
    PRIMARY KEY (app_id, day, currency),
    FOREIGN KEY (app_id, day) REFERENCES figures_daily (app_id, day) ON DELETE CASCADE
);

CREATE FUNCTION day_begin(p_day date) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT p_day::timestamp AT TIME ZONE 'UTC'
$$;

-- What was sold until the end of a day, step by step: the state that each step leads to, and what it adds.
CREATE FUNCTION figures_steps(p_app uuid, p_day date)
    RETURNS TABLE (customer_id uuid, object text, at timestamptz, state text, plan text, currency text, arr bigint, last boolean,
                   more_paying integer, more_arr bigint) LANGUAGE sql STABLE AS $$
    SELECT b.customer_id, b.object, b.at, b.state, b.plan, b.currency, b.arr, lead(b.id) OVER o IS NULL,
           (b.state IN ('paying', 'past_due'))::integer - coalesce(lag((b.state IN ('paying', 'past_due'))::integer) OVER o, 0),
           b.arr - coalesce(lag(b.arr) OVER o, 0)
      FROM billing_states b WHERE b.app_id = p_app AND b.at < day_begin(p_day + 1)
    WINDOW o AS (PARTITION BY b.customer_id, b.object ORDER BY b.at, b.id)
$$;

-- Of a customer who came and went within the day, the most that there was counts as new and as lost.
CREATE FUNCTION figures_count_money(p_app uuid, p_day date) RETURNS SETOF figures_money LANGUAGE sql STABLE AS $$
    WITH steps AS MATERIALIZED (SELECT * FROM figures_steps(p_app, p_day)),
    sums AS (
        SELECT s.customer_id, s.currency, s.at, sum(s.more_arr) OVER (PARTITION BY s.customer_id, s.currency ORDER BY s.at)::bigint AS arr
          FROM steps s),
    spans AS (
        SELECT s.customer_id, s.currency, coalesce((array_agg(s.arr ORDER BY s.at DESC) FILTER (WHERE s.at < day_begin(p_day)))[1], 0) AS was,
               (array_agg(s.arr ORDER BY s.at DESC))[1] AS now_is,
               coalesce(max(s.arr) FILTER (WHERE s.at >= day_begin(p_day)), 0) AS peak
          FROM sums s GROUP BY s.customer_id, s.currency)
    SELECT p_app, p_day, x.currency, sum(x.now_is)::bigint,
           sum(CASE WHEN x.was > 0 THEN 0 WHEN x.now_is > 0 THEN x.now_is ELSE x.peak END)::bigint,
           sum(CASE WHEN x.was > 0 THEN greatest(x.now_is - x.was, 0) ELSE 0 END)::bigint,
           sum(CASE WHEN x.now_is > 0 THEN greatest(x.was - x.now_is, 0) ELSE 0 END)::bigint,
           sum(CASE WHEN x.now_is > 0 THEN 0 WHEN x.was > 0 THEN x.was ELSE x.peak END)::bigint,
           coalesce((SELECT sum(s.arr) FROM steps s WHERE s.last AND s.state = 'past_due' AND s.currency = x.currency), 0)::bigint
      FROM spans x GROUP BY x.currency HAVING bool_or(x.now_is > 0 OR x.was > 0 OR x.peak > 0)
$$;

CREATE FUNCTION figures_count(p_app uuid, p_day date) RETURNS SETOF figures_daily LANGUAGE sql STABLE AS $$
    WITH steps AS MATERIALIZED (SELECT * FROM figures_steps(p_app, p_day)),
    sums AS (
        SELECT s.customer_id, s.at, sum(s.more_paying) OVER (PARTITION BY s.customer_id ORDER BY s.at) AS n FROM steps s),
    spans AS (
        SELECT s.customer_id, coalesce((array_agg(s.n ORDER BY s.at DESC) FILTER (WHERE s.at < day_begin(p_day)))[1], 0) > 0 AS was,
               (array_agg(s.n ORDER BY s.at DESC))[1] > 0 AS now_is,
               coalesce(bool_or(s.n > 0) FILTER (WHERE s.at >= day_begin(p_day)), false) AS meanwhile
          FROM sums s GROUP BY s.customer_id),
    first AS (
        SELECT DISTINCT ON (s.customer_id) s.customer_id, s.at, s.plan FROM steps s WHERE s.state IN ('paying', 'past_due', 'bought')
         ORDER BY s.customer_id, s.at, s.plan),
    won AS (
        SELECT coalesce(f.plan, 'unknown') AS plan, count(*) AS n FROM first f WHERE f.at >= day_begin(p_day) GROUP BY 1),
    asked AS MATERIALIZED (
        SELECT l.user_id, v.times, v.code FROM license_validations v JOIN licenses l ON l.id = v.license_id
         WHERE l.app_id = p_app AND v.validated_at >= day_begin(p_day) AND v.validated_at < day_begin(p_day + 1)),
    seen AS (
        SELECT u.user_id, u.day FROM usage_daily u WHERE u.app_id = p_app AND u.day > p_day - 30 AND u.day <= p_day
        UNION ALL
        SELECT a.user_id, p_day FROM asked a WHERE a.user_id IS NOT NULL AND a.code IS NULL)
    SELECT p_app, p_day, p_day < ((clock_timestamp() - interval '10 min') AT TIME ZONE 'UTC')::date, clock_timestamp(),
           (SELECT count(*) FROM users u WHERE u.app_id = p_app AND u.created_at >= day_begin(p_day) AND u.created_at < day_begin(p_day + 1)),
           (SELECT count(DISTINCT s.user_id) FROM seen s WHERE s.day = p_day),
           (SELECT count(DISTINCT s.user_id) FROM seen s),
           (SELECT coalesce(sum(a.times), 0) FROM asked a),
           (SELECT coalesce(sum(a.times), 0) FROM asked a WHERE a.code IS NOT NULL),
           (SELECT coalesce(sum(w.n), 0)::bigint FROM won w),
           (SELECT coalesce(jsonb_object_agg(w.plan, w.n), '{}') FROM won w),
           (SELECT count(*) FROM spans x WHERE x.now_is),
           (SELECT count(*) FROM spans x WHERE NOT x.was AND (x.now_is OR x.meanwhile)),
           (SELECT count(*) FROM spans x WHERE NOT x.now_is AND (x.was OR x.meanwhile)),
           (SELECT count(DISTINCT s.customer_id) FROM steps s WHERE s.last AND s.state = 'trialing'),
           (SELECT count(DISTINCT s.customer_id) FROM steps s WHERE s.last AND s.state = 'past_due')
$$;

-- Counts some of the days that are not there, and those that are not complete, as they are now. A day is complete ten
-- minutes after its end, when what hosts had in memory has been stored. How many; 0: there is nothing more to do.
CREATE FUNCTION figures_roll() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    now_is timestamptz := clock_timestamp();
    today date := (now_is AT TIME ZONE 'UTC')::date;
    d record;
    n bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('figures', 0)); -- one at a time, also when a job is taken twice
    DELETE FROM figures_daily f WHERE f.day > today; -- by a clock that was ahead (SECURITY F23)
    FOR d IN SELECT a.id AS app, g::date AS day
               FROM apps a CROSS JOIN generate_series(a.figures_since::timestamp, today::timestamp, interval '1 day') g
               LEFT JOIN figures_daily f ON f.app_id = a.id AND f.day = g::date
              WHERE f.app_id IS NULL OR f.computed_at > now_is
                 OR (NOT f.complete AND (f.day < ((now_is - interval '10 min') AT TIME ZONE 'UTC')::date
                                         OR f.computed_at < now_is - interval '10 min'))
              ORDER BY g, a.id LIMIT 20 LOOP
        INSERT INTO usage_daily (app_id, user_id, day)
        SELECT DISTINCT l.app_id, l.user_id, d.day FROM license_validations v JOIN licenses l ON l.id = v.license_id
         WHERE l.app_id = d.app AND l.user_id IS NOT NULL AND v.code IS NULL
           AND v.validated_at >= day_begin(d.day) AND v.validated_at < day_begin(d.day + 1)
         ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
        DELETE FROM figures_daily f WHERE f.app_id = d.app AND f.day = d.day;
        INSERT INTO figures_daily SELECT * FROM figures_count(d.app, d.day);
        INSERT INTO figures_money SELECT * FROM figures_count_money(d.app, d.day);
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;
