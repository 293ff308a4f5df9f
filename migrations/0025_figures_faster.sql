-- Days are counted one by one, and of what was sold only who moved on a day is followed step by step: the hourly count must
-- stay within what a statement may take, and nobody who signs in waits for it (CONTRACT D55; docs/figures.md).

CREATE INDEX billing_states_at ON billing_states (app_id, at);
CREATE INDEX users_created ON users (app_id, created_at);

-- As each subscription and purchase stood at the end of a day.
CREATE FUNCTION figures_standing(p_app uuid, p_day date) RETURNS SETOF billing_states LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (b.app_id, b.customer_id, b.object) b.* FROM billing_states b
     WHERE b.app_id = p_app AND b.at < day_begin(p_day + 1)
     ORDER BY b.app_id, b.customer_id, b.object, b.at DESC, b.id DESC
$$;

-- As before, and only of customers of whom something changed on the day.
DROP FUNCTION figures_steps(uuid, date);
CREATE FUNCTION figures_steps(p_app uuid, p_day date)
    RETURNS TABLE (customer_id uuid, at timestamptz, state text, plan text, currency text, more_paying integer, more_arr bigint)
    LANGUAGE sql STABLE AS $$
    SELECT b.customer_id, b.at, b.state, b.plan, b.currency,
           (b.state IN ('paying', 'past_due'))::integer - coalesce(lag((b.state IN ('paying', 'past_due'))::integer) OVER o, 0),
           b.arr - coalesce(lag(b.arr) OVER o, 0)
      FROM billing_states b WHERE b.app_id = p_app AND b.at < day_begin(p_day + 1) AND b.customer_id IN (
           SELECT m.customer_id FROM billing_states m
            WHERE m.app_id = p_app AND m.at >= day_begin(p_day) AND m.at < day_begin(p_day + 1))
    WINDOW o AS (PARTITION BY b.customer_id, b.object ORDER BY b.at, b.id)
$$;

CREATE OR REPLACE FUNCTION figures_count_money(p_app uuid, p_day date) RETURNS SETOF figures_money LANGUAGE sql STABLE AS $$
    WITH standing AS (
        SELECT s.currency, sum(s.arr) AS arr, coalesce(sum(s.arr) FILTER (WHERE s.state = 'past_due'), 0) AS past_due
          FROM figures_standing(p_app, p_day) s WHERE s.arr > 0 GROUP BY s.currency),
    sums AS (
        SELECT s.customer_id, s.currency, s.at, sum(s.more_arr) OVER (PARTITION BY s.customer_id, s.currency ORDER BY s.at)::bigint AS arr
          FROM figures_steps(p_app, p_day) s),
    spans AS (
        SELECT s.customer_id, s.currency, coalesce((array_agg(s.arr ORDER BY s.at DESC) FILTER (WHERE s.at < day_begin(p_day)))[1], 0) AS was,
               (array_agg(s.arr ORDER BY s.at DESC))[1] AS now_is,
               coalesce(max(s.arr) FILTER (WHERE s.at >= day_begin(p_day)), 0) AS peak
          FROM sums s GROUP BY s.customer_id, s.currency),
    moves AS (
        SELECT x.currency,
               sum(CASE WHEN x.was > 0 THEN 0 WHEN x.now_is > 0 THEN x.now_is ELSE x.peak END) AS new,
               sum(CASE WHEN x.was > 0 THEN greatest(x.now_is - x.was, 0) ELSE 0 END) AS expanded,
               sum(CASE WHEN x.now_is > 0 THEN greatest(x.was - x.now_is, 0) ELSE 0 END) AS contracted,
               sum(CASE WHEN x.now_is > 0 THEN 0 WHEN x.was > 0 THEN x.was ELSE x.peak END) AS lost
          FROM spans x GROUP BY x.currency HAVING bool_or(x.now_is > 0 OR x.was > 0 OR x.peak > 0))
    SELECT p_app, p_day, currency, coalesce(s.arr, 0)::bigint, coalesce(m.new, 0)::bigint, coalesce(m.expanded, 0)::bigint,
           coalesce(m.contracted, 0)::bigint, coalesce(m.lost, 0)::bigint, coalesce(s.past_due, 0)::bigint
      FROM standing s FULL JOIN moves m USING (currency)
$$;

CREATE OR REPLACE FUNCTION figures_count(p_app uuid, p_day date) RETURNS SETOF figures_daily LANGUAGE sql STABLE AS $$
    WITH standing AS MATERIALIZED (
        SELECT count(DISTINCT s.customer_id) FILTER (WHERE s.state IN ('paying', 'past_due')) AS paying,
               count(DISTINCT s.customer_id) FILTER (WHERE s.state = 'trialing') AS trialing,
               count(DISTINCT s.customer_id) FILTER (WHERE s.state = 'past_due') AS owing
          FROM figures_standing(p_app, p_day) s),
    steps AS MATERIALIZED (SELECT * FROM figures_steps(p_app, p_day)),
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
        SELECT l.user_id, v.times, v.refused FROM (
            SELECT x.license_id, sum(x.times) AS times, sum(x.times) FILTER (WHERE x.code IS NOT NULL) AS refused FROM license_validations x
             WHERE x.validated_at >= day_begin(p_day) AND x.validated_at < day_begin(p_day + 1) GROUP BY x.license_id) v
          JOIN licenses l ON l.id = v.license_id AND l.app_id = p_app),
    here AS (SELECT a.user_id FROM asked a WHERE a.user_id IS NOT NULL AND a.times > coalesce(a.refused, 0))
    SELECT p_app, p_day, p_day < ((clock_timestamp() - interval '10 min') AT TIME ZONE 'UTC')::date, clock_timestamp(),
           (SELECT count(*) FROM users u WHERE u.app_id = p_app AND u.created_at >= day_begin(p_day) AND u.created_at < day_begin(p_day + 1)),
           (SELECT count(*) FROM (SELECT u.user_id FROM usage_daily u WHERE u.app_id = p_app AND u.day = p_day
                                  UNION SELECT h.user_id FROM here h) x),
           (SELECT count(*) FROM (SELECT u.user_id FROM usage_daily u WHERE u.app_id = p_app AND u.day > p_day - 30 AND u.day <= p_day
                                  UNION SELECT h.user_id FROM here h) x),
           (SELECT coalesce(sum(a.times), 0)::bigint FROM asked a),
           (SELECT coalesce(sum(a.refused), 0)::bigint FROM asked a),
           (SELECT coalesce(sum(w.n), 0)::bigint FROM won w),
           (SELECT coalesce(jsonb_object_agg(w.plan, w.n), '{}') FROM won w),
           (SELECT s.paying FROM standing s),
           (SELECT count(*) FROM spans x WHERE NOT x.was AND (x.now_is OR x.meanwhile)),
           (SELECT count(*) FROM spans x WHERE NOT x.now_is AND (x.was OR x.meanwhile)),
           (SELECT s.trialing FROM standing s),
           (SELECT s.owing FROM standing s)
$$;

-- Counts one of the days that are not there, or are not complete, as it is now. A day is complete ten minutes after its
-- end, when what hosts had in memory has been stored. 0: there is nothing more to do. One day and no more: what was
-- counted is kept, however many are missing. Who validated is noted last: who signs in waits for that note.
CREATE OR REPLACE FUNCTION figures_roll() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    now_is timestamptz := clock_timestamp();
    today date := (now_is AT TIME ZONE 'UTC')::date;
    d record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('figures', 0)); -- one at a time, also when a job is taken twice
    DELETE FROM figures_daily f WHERE f.day > today; -- by a clock that was ahead (SECURITY F23)
    SELECT a.id AS app, g::date AS day INTO d
      FROM apps a CROSS JOIN generate_series(a.figures_since::timestamp, today::timestamp, interval '1 day') g
      LEFT JOIN figures_daily f ON f.app_id = a.id AND f.day = g::date
     WHERE f.app_id IS NULL OR f.computed_at > now_is
        OR (NOT f.complete AND (f.day < ((now_is - interval '10 min') AT TIME ZONE 'UTC')::date
                                OR f.computed_at < now_is - interval '10 min'))
     ORDER BY g, f.computed_at NULLS FIRST, a.id LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM figures_daily f WHERE f.app_id = d.app AND f.day = d.day;
    INSERT INTO figures_daily SELECT * FROM figures_count(d.app, d.day);
    INSERT INTO figures_money SELECT * FROM figures_count_money(d.app, d.day);
    INSERT INTO usage_daily (app_id, user_id, day)
    SELECT DISTINCT l.app_id, l.user_id, d.day FROM license_validations v JOIN licenses l ON l.id = v.license_id
     WHERE l.app_id = d.app AND l.user_id IS NOT NULL AND v.code IS NULL
       AND v.validated_at >= day_begin(d.day) AND v.validated_at < day_begin(d.day + 1)
       AND NOT EXISTS (SELECT 1 FROM usage_daily u WHERE u.app_id = l.app_id AND u.user_id = l.user_id AND u.day = d.day)
     ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    RETURN 1;
END $$;
