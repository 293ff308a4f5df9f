-- Plans, grants, meters: why somebody has a plan, what it allows, and what was used of it
-- (DESIGN.md §3, §6; CONTRACT K6, K13, B34-B39, E40-E46; SECURITY T21).

-- What the apps' files say of plans, in rows that statements can join: kept by a trigger, never written by hand.
CREATE TABLE plans (
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    code text NOT NULL,
    rank integer NOT NULL DEFAULT 0,
    shown text NOT NULL,
    features text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (app_id, code)
);
CREATE TABLE plan_limits (
    app_id uuid NOT NULL,
    plan text NOT NULL,
    meter text NOT NULL,
    period text NOT NULL CHECK (period IN ('minute', 'day', 'month', 'none')), -- none: a balance, which goes down again
    max bigint NOT NULL CHECK (max >= -1),                                     -- -1: no limit
    PRIMARY KEY (app_id, plan, meter),
    FOREIGN KEY (app_id, plan) REFERENCES plans (app_id, code) ON DELETE CASCADE
);
CREATE TABLE plan_prices (
    app_id uuid NOT NULL,
    price text NOT NULL, -- id of the price at Stripe
    plan text NOT NULL,
    interval text NOT NULL DEFAULT 'month' CHECK (interval IN ('month', 'year', 'once')),
    amount bigint,       -- in the currency's smallest unit; NULL: only Stripe knows it
    currency text NOT NULL DEFAULT 'usd',
    per text NOT NULL DEFAULT 'plan' CHECK (per IN ('plan', 'seat')),
    seats integer,       -- that one unit of it includes
    PRIMARY KEY (app_id, price),
    FOREIGN KEY (app_id, plan) REFERENCES plans (app_id, code) ON DELETE CASCADE
);

CREATE FUNCTION app_unfold(p_app uuid, p_config jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM plans p WHERE p.app_id = p_app;
    INSERT INTO plans (app_id, code, rank, shown, features)
    SELECT p_app, p ->> 'code', coalesce((p ->> 'rank')::integer, 0), coalesce(p ->> 'shown', p ->> 'code'),
           ARRAY(SELECT jsonb_array_elements_text(coalesce(p -> 'features', '[]')))
      FROM jsonb_array_elements(coalesce(p_config -> 'plans', '[]')) p;
    INSERT INTO plan_limits (app_id, plan, meter, period, max)
    SELECT p_app, p ->> 'code', l ->> 'meter', l ->> 'period', (l ->> 'max')::bigint
      FROM jsonb_array_elements(coalesce(p_config -> 'plans', '[]')) p,
           jsonb_array_elements(coalesce(p -> 'limits', '[]')) l;
    INSERT INTO plan_prices (app_id, price, plan, interval, amount, currency, per, seats)
    SELECT p_app, s ->> 'stripe', p ->> 'code', coalesce(s ->> 'interval', 'month'), (s ->> 'amount')::bigint,
           coalesce(s ->> 'currency', 'usd'), coalesce(s ->> 'per', 'plan'), (s ->> 'seats')::integer
      FROM jsonb_array_elements(coalesce(p_config -> 'plans', '[]')) p,
           jsonb_array_elements(coalesce(p -> 'prices', '[]')) s
     WHERE s ->> 'stripe' <> '';
END $$;

CREATE FUNCTION apps_unfold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app_unfold(NEW.id, NEW.config::jsonb);
    RETURN NULL;
END $$;
CREATE TRIGGER apps_unfold AFTER INSERT OR UPDATE OF config ON apps FOR EACH ROW EXECUTE FUNCTION apps_unfold();

-- Facts that others may want to hear of, in the order in which they became true.
CREATE TABLE events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    type text NOT NULL CHECK (type ~ '^[a-z_]+(\.[a-z_]+)+$'),
    organization_id uuid,
    user_id uuid,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX events_app ON events (app_id, seq DESC);
CREATE INDEX events_age ON events USING brin (created_at);

CREATE FUNCTION event_emit(p_app uuid, p_type text, p_org uuid, p_user uuid, p_data jsonb) RETURNS void
    LANGUAGE sql AS $$
    INSERT INTO events (app_id, type, organization_id, user_id, data) VALUES (p_app, p_type, p_org, p_user, p_data)
$$;

-- Why somebody has a plan. What is in force decides users.plan, organizations.plan and max_seats, nothing else does.
CREATE TABLE grants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app_id uuid NOT NULL,
    user_id uuid,
    organization_id uuid,
    source text NOT NULL CHECK (source IN ('subscription', 'purchase', 'licence', 'override')),
    source_id text NOT NULL CHECK (length(source_id) BETWEEN 1 AND 255), -- of an override: its user or organisation
    plan text CHECK (plan IS NOT NULL OR source = 'override'),
    seats integer CHECK (seats >= 1 OR seats = -1),
    limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'), -- meter: max, in place of the plan's
    features text[] NOT NULL DEFAULT '{}',                                      -- beside the plan's
    note text CHECK (length(note) <= 500),
    ends_at timestamptz,
    in_force boolean NOT NULL DEFAULT true, -- whether ends_at was still to come when it was last looked at
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (app_id, source, source_id),
    CHECK ((user_id IS NULL) <> (organization_id IS NULL)),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE
);
CREATE INDEX grants_user ON grants (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX grants_organization ON grants (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX grants_ends ON grants (ends_at) WHERE in_force AND ends_at IS NOT NULL;

CREATE VIEW grants_in_force AS
    SELECT * FROM grants g WHERE g.ends_at IS NULL OR g.ends_at > clock_timestamp();

CREATE FUNCTION plan_rank(p_app uuid, p_plan text) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT p.rank FROM plans p WHERE p.app_id = p_app AND p.code = p_plan), 0)
$$;

-- The plan of who has none.
CREATE FUNCTION plan_lowest(p_app uuid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT p.code FROM plans p WHERE p.app_id = p_app ORDER BY p.rank, p.code LIMIT 1), 'free')
$$;

-- An override says what counts; else the highest plan does: of its own grants and, of a user, of his organisations.
CREATE FUNCTION plan_of(p_app uuid, p_user uuid, p_org uuid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT g.plan FROM grants_in_force g WHERE g.source = 'override' AND g.plan IS NOT NULL
            AND (g.user_id = p_user OR g.organization_id = p_org) LIMIT 1),
        (SELECT c.plan FROM (
            SELECT g.plan FROM grants_in_force g WHERE g.user_id = p_user OR g.organization_id = p_org
            UNION ALL
            SELECT o.plan FROM organization_members m JOIN organizations o ON o.id = m.organization_id
             WHERE m.user_id = p_user) c
          WHERE c.plan IS NOT NULL ORDER BY plan_rank(p_app, c.plan) DESC, c.plan LIMIT 1),
        plan_lowest(p_app))
$$;

-- Seats: an override's, else what the grants include together, else the plan's, else five (E45).
CREATE FUNCTION seats_of(p_app uuid, p_org uuid, p_plan text) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT g.seats FROM grants_in_force g WHERE g.organization_id = p_org AND g.source = 'override'),
        (SELECT CASE WHEN bool_or(g.seats = -1) THEN -1 ELSE sum(g.seats)::integer END
           FROM grants_in_force g WHERE g.organization_id = p_org AND g.seats IS NOT NULL),
        (SELECT CASE WHEN l.max = 0 THEN 1 ELSE l.max::integer END FROM plan_limits l
          WHERE l.app_id = p_app AND l.plan = p_plan AND l.meter = 'seats'),
        5)
$$;

CREATE FUNCTION entitlement_settle_user(p_app uuid, p_user uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before text;
    after text;
BEGIN
    SELECT u.plan INTO before FROM users u WHERE u.app_id = p_app AND u.id = p_user FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN; -- it is being erased
    END IF;
    after := plan_of(p_app, p_user, NULL);
    IF after <> before THEN
        UPDATE users u SET plan = after, updated_at = clock_timestamp() WHERE u.id = p_user;
        PERFORM event_emit(p_app, 'entitlement.changed', NULL, p_user,
            jsonb_build_object('user_id', p_user, 'plan', after, 'previous_plan', before));
    END IF;
END $$;

CREATE FUNCTION entitlement_settle_org(p_app uuid, p_org uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before organizations;
    after text;
    seats integer;
    member uuid;
BEGIN
    SELECT * INTO before FROM organizations o WHERE o.app_id = p_app AND o.id = p_org FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    after := plan_of(p_app, NULL, p_org);
    seats := seats_of(p_app, p_org, after);
    IF after = before.plan AND seats = before.max_seats THEN
        RETURN;
    END IF;
    UPDATE organizations o SET plan = after, max_seats = seats, updated_at = clock_timestamp() WHERE o.id = p_org;
    PERFORM event_emit(p_app, 'entitlement.changed', p_org, NULL, jsonb_build_object('organization_id', p_org,
        'plan', after, 'seats', seats, 'previous_plan', before.plan, 'previous_seats', before.max_seats));
    -- In one order, so that two organisations that share members do not wait for each other in a ring.
    FOR member IN SELECT m.user_id FROM organization_members m WHERE m.organization_id = p_org ORDER BY m.user_id LOOP
        PERFORM entitlement_settle_user(p_app, member);
    END LOOP;
END $$;

CREATE FUNCTION grants_settle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    g grants := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    IF g.user_id IS NOT NULL THEN
        PERFORM entitlement_settle_user(g.app_id, g.user_id);
    ELSE
        PERFORM entitlement_settle_org(g.app_id, g.organization_id);
    END IF;
    IF TG_OP <> 'DELETE' AND g.ends_at > clock_timestamp() THEN
        INSERT INTO jobs (id, kind, app_id, unique_key, run_at)
        VALUES (gen_random_uuid(), 'grants.end', g.app_id, 'grants.end:' || g.id || extract(epoch FROM g.ends_at), g.ends_at)
        ON CONFLICT (unique_key) WHERE dead_at IS NULL DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER grants_settle AFTER INSERT OR UPDATE OR DELETE ON grants FOR EACH ROW EXECUTE FUNCTION grants_settle();

-- Who joins an organisation gets its plan, who leaves it loses it.
CREATE FUNCTION members_settle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m organization_members := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM entitlement_settle_user(m.app_id, m.user_id);
    RETURN NULL;
END $$;
CREATE TRIGGER organization_members_settle AFTER INSERT OR DELETE ON organization_members
    FOR EACH ROW EXECUTE FUNCTION members_settle();

CREATE FUNCTION grant_set(p_app uuid, p_user uuid, p_org uuid, p_source text, p_source_id text, p_plan text,
    p_seats integer, p_ends timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO grants AS g (app_id, user_id, organization_id, source, source_id, plan, seats, ends_at, in_force)
    VALUES (p_app, p_user, p_org, p_source, p_source_id, p_plan, p_seats, p_ends,
            coalesce(p_ends > clock_timestamp(), true))
    ON CONFLICT (app_id, source, source_id) DO UPDATE
       SET user_id = excluded.user_id, organization_id = excluded.organization_id, plan = excluded.plan,
           seats = excluded.seats, ends_at = excluded.ends_at, in_force = excluded.in_force,
           updated_at = clock_timestamp()
     WHERE (g.user_id, g.organization_id, g.plan, g.seats, g.ends_at) IS DISTINCT FROM
           (excluded.user_id, excluded.organization_id, excluded.plan, excluded.seats, excluded.ends_at)
$$;

CREATE FUNCTION grant_drop(p_app uuid, p_source text, p_source_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM grants g WHERE g.app_id = p_app AND g.source = p_source AND g.source_id = p_source_id;
    RETURN FOUND;
END $$;

-- Settles whose grants came to their end since it last ran. How many.
CREATE FUNCTION grants_end() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    UPDATE grants g SET in_force = false
     WHERE g.id IN (SELECT e.id FROM grants e WHERE e.in_force AND e.ends_at <= clock_timestamp()
                     ORDER BY e.id LIMIT 500 FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- What was used of a meter in a period; of a balance, which has none, the period is 1970-01-01.
CREATE TABLE usage_meters (
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id uuid,
    organization_id uuid,
    subject_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(organization_id, user_id)) STORED,
    meter text NOT NULL CHECK (meter ~ '^[a-z][a-z0-9_]{0,31}$'),
    period_start date NOT NULL, -- UTC
    used bigint NOT NULL CHECK (used >= 0),
    warned smallint NOT NULL DEFAULT 0, -- per cent, of which somebody was told
    PRIMARY KEY (subject_id, meter, period_start),
    CHECK ((user_id IS NULL) <> (organization_id IS NULL)),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX usage_meters_age ON usage_meters (period_start) WHERE period_start > '1970-01-01';

-- What a subject may use, meter by meter: the plan's limits, and in their place what a grant says; an
-- override's word is the last.
CREATE FUNCTION limits_of(p_app uuid, p_user uuid, p_org uuid)
    RETURNS TABLE (meter text, period text, max bigint) LANGUAGE sql STABLE AS $$
    WITH own AS (
        SELECT g.source, e.key AS meter, e.value::bigint AS max
          FROM grants_in_force g, jsonb_each_text(g.limits) e
         WHERE g.user_id = p_user AND p_org IS NULL OR g.organization_id = p_org),
    decided AS (
        SELECT DISTINCT ON (o.meter) o.meter, o.max FROM own o
         ORDER BY o.meter, o.source = 'override' DESC, o.max = -1 DESC, o.max DESC),
    subject AS (
        SELECT coalesce((SELECT o.plan FROM organizations o WHERE o.app_id = p_app AND o.id = p_org),
                        (SELECT u.plan FROM users u WHERE u.app_id = p_app AND u.id = p_user)) AS plan),
    planned AS (
        SELECT l.meter, l.period, l.max FROM plan_limits l, subject s
         WHERE l.app_id = p_app AND l.plan = s.plan AND l.period <> 'minute')
    SELECT coalesce(p.meter, d.meter),
           coalesce(p.period, (SELECT l.period FROM plan_limits l WHERE l.app_id = p_app AND l.meter = d.meter LIMIT 1), 'none'),
           coalesce(d.max, p.max)
      FROM planned p FULL JOIN decided d ON d.meter = p.meter
$$;

CREATE FUNCTION period_start(p_period text, p_at timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_period WHEN 'day' THEN (p_at AT TIME ZONE 'UTC')::date
                         WHEN 'month' THEN date_trunc('month', p_at AT TIME ZONE 'UTC')::date
                         ELSE date '1970-01-01' END
$$;

CREATE FUNCTION period_end(p_period text, p_at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_period
        WHEN 'day' THEN (date_trunc('day', p_at AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'
        WHEN 'month' THEN (date_trunc('month', p_at AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' END
$$;

-- Tells once a period that four fifths, and that all of it, is used.
CREATE FUNCTION meter_warn(p_app uuid, p_user uuid, p_org uuid, p_meter text, p_start date, p_used bigint, p_max bigint)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reached smallint := CASE WHEN p_used >= p_max THEN 100 WHEN p_used * 5 >= p_max * 4 THEN 80 ELSE 0 END;
BEGIN
    UPDATE usage_meters m SET warned = reached
     WHERE m.subject_id = coalesce(p_org, p_user) AND m.meter = p_meter AND m.period_start = p_start AND m.warned < reached;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM event_emit(p_app, 'usage.warning', p_org, CASE WHEN p_org IS NULL THEN p_user END,
        jsonb_build_object('meter', p_meter, 'percent', reached, 'used', p_used, 'max', p_max,
                           'user_id', p_user, 'organization_id', p_org));
    INSERT INTO jobs (id, kind, app_id, payload) VALUES (gen_random_uuid(), 'usage.warning', p_app,
        jsonb_build_object('user', p_user, 'org', p_org, 'meter', p_meter, 'percent', reached, 'used', p_used, 'max', p_max));
END $$;

-- Takes p_n of a meter, all or nothing, in the transaction of what it is used for: one conditional write, so
-- no two callers can share the last one. The organisation pays when one is named.
CREATE FUNCTION meter_take(p_app uuid, p_user uuid, p_org uuid, p_meter text, p_n bigint)
    RETURNS TABLE (taken boolean, used bigint, max bigint, resets_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();
    lim record;
    start date;
    sum bigint;
BEGIN
    SELECT l.period, l.max INTO lim FROM limits_of(p_app, p_user, p_org) l WHERE l.meter = p_meter;
    lim.period := coalesce(lim.period, 'none');
    lim.max := coalesce(lim.max, -1);
    start := period_start(lim.period, at);
    max := lim.max;
    resets_at := period_end(lim.period, at);
    IF lim.max = -1 OR p_n <= lim.max THEN
        INSERT INTO usage_meters AS m (app_id, user_id, organization_id, meter, period_start, used)
        VALUES (p_app, CASE WHEN p_org IS NULL THEN p_user END, p_org, p_meter, start, p_n)
        ON CONFLICT (subject_id, meter, period_start) DO UPDATE SET used = m.used + excluded.used
         WHERE lim.max = -1 OR m.used + excluded.used <= lim.max
        RETURNING m.used INTO sum;
    END IF;
    taken := sum IS NOT NULL;
    used := coalesce(sum, (SELECT m.used FROM usage_meters m
        WHERE m.subject_id = coalesce(p_org, p_user) AND m.meter = p_meter AND m.period_start = start), 0);
    IF taken AND lim.max > 0 AND sum * 5 >= lim.max * 4 THEN
        PERFORM meter_warn(p_app, p_user, p_org, p_meter, start, sum, lim.max);
    END IF;
    RETURN NEXT;
END $$;

-- Gives back of a balance; what a period counted stays counted.
CREATE FUNCTION meter_give(p_app uuid, p_user uuid, p_org uuid, p_meter text, p_n bigint) RETURNS void
    LANGUAGE sql AS $$
    UPDATE usage_meters m SET used = greatest(m.used - p_n, 0),
           warned = CASE WHEN m.used - p_n <= 0 THEN 0 ELSE m.warned END
     WHERE m.app_id = p_app AND m.subject_id = coalesce(p_org, p_user) AND m.meter = p_meter AND m.period_start = date '1970-01-01'
$$;

CREATE FUNCTION usage_meters_prune() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    DELETE FROM usage_meters m WHERE (m.subject_id, m.meter, m.period_start) IN (
        SELECT e.subject_id, e.meter, e.period_start FROM usage_meters e
         WHERE e.period_start > date '1970-01-01' AND e.period_start < (now() - interval '400 days')::date LIMIT 500);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- What counts now.
CREATE FUNCTION entitlement(p_app uuid, p_user uuid, p_org uuid)
    RETURNS TABLE (plan text, rank integer, shown text, features text[], source text, ends_at timestamptz, seats integer)
    LANGUAGE sql STABLE AS $$
    SELECT s.plan, plan_rank(p_app, s.plan), coalesce(p.shown, s.plan),
           ARRAY(SELECT DISTINCT f FROM (SELECT unnest(p.features) UNION ALL
               SELECT unnest(g.features) FROM grants_in_force g
                WHERE g.user_id = p_user AND p_org IS NULL OR g.organization_id = p_org) x (f) ORDER BY f),
           why.source, why.ends_at, s.seats
      FROM (SELECT o.plan, o.max_seats AS seats FROM organizations o WHERE o.app_id = p_app AND o.id = p_org
            UNION ALL
            SELECT u.plan, NULL FROM users u WHERE p_org IS NULL AND u.app_id = p_app AND u.id = p_user) s
      LEFT JOIN plans p ON p.app_id = p_app AND p.code = s.plan
      LEFT JOIN LATERAL (
        SELECT c.source, c.ends_at FROM (
            SELECT g.source, g.ends_at, g.source = 'override' AS first FROM grants_in_force g
             WHERE g.plan = s.plan AND (g.user_id = p_user AND p_org IS NULL OR g.organization_id = p_org)
            UNION ALL
            SELECT 'organization', NULL, false FROM organization_members m JOIN organizations o ON o.id = m.organization_id
             WHERE p_org IS NULL AND m.user_id = p_user AND o.plan = s.plan AND s.plan <> plan_lowest(p_app)) c
         ORDER BY c.first DESC, c.ends_at DESC NULLS FIRST LIMIT 1) why ON true
$$;

-- Each meter with what was used of it in the present period; seats are counted where they are.
CREATE FUNCTION entitlement_limits(p_app uuid, p_user uuid, p_org uuid)
    RETURNS TABLE (meter text, period text, max bigint, used bigint, resets_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT l.meter, l.period, l.max,
           CASE WHEN l.meter = 'seats' AND p_org IS NOT NULL
                THEN (SELECT count(*) FROM organization_members m WHERE m.organization_id = p_org)
                WHEN l.meter = 'api_calls'
                THEN coalesce((SELECT d.api_calls FROM usage_daily d WHERE d.app_id = p_app AND d.user_id = p_user
                                  AND d.day = period_start('day', now())), 0)
                ELSE coalesce((SELECT m.used FROM usage_meters m WHERE m.subject_id = coalesce(p_org, p_user)
                                  AND m.meter = l.meter AND m.period_start = period_start(l.period, now())), 0) END,
           period_end(l.period, now())
      FROM limits_of(p_app, p_user, p_org) l ORDER BY l.meter
$$;

SELECT app_unfold(a.id, a.config::jsonb) FROM apps a;
-- Until now a plan stood only where it counts: it goes on as the operator's word.
INSERT INTO grants (app_id, organization_id, source, source_id, plan, seats)
SELECT o.app_id, o.id, 'override', o.id::text, o.plan, o.max_seats FROM organizations o WHERE o.plan <> 'free' OR o.max_seats <> 5;
INSERT INTO grants (app_id, user_id, source, source_id, plan)
SELECT u.app_id, u.id, 'override', u.id::text, u.plan FROM users u WHERE u.plan <> 'free';
