-- Webhooks that tell of events (DESIGN.md §8; SECURITY T17, T24, T33, F30). An event is written in the
-- transaction of its effect together with a delivery for each endpoint that listens; its id is the webhook-id. The
-- deliveries are a queue of their own, in which an endpoint that does not answer holds up nobody else.

CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    organization_id uuid, -- hears of its own events; NULL: the vendor's, hears of all of the app's
    owner_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(organization_id, app_id)) STORED,
    url text NOT NULL CHECK (length(url) BETWEEN 8 AND 2000 AND url !~ '[[:cntrl:][:space:]]'),
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 500),
    events text[] NOT NULL DEFAULT '{}', -- types; empty: all
    ordered boolean NOT NULL DEFAULT true, -- events of one subject one after the other
    secret_sealed bytea NOT NULL,
    old_secret_sealed bytea, -- signs too, until then
    old_secret_until timestamptz,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text CHECK (disabled_reason IN ('paused', 'gone', 'failing')),
    failing_since timestamptz, -- the first failure since the last success
    silent integer NOT NULL DEFAULT 0, -- calls in a row without an answer worth the name
    rest_until timestamptz NOT NULL DEFAULT '-infinity',
    created_by uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE,
    CHECK (enabled = (disabled_reason IS NULL)),
    CHECK ((old_secret_sealed IS NULL) = (old_secret_until IS NULL))
);
CREATE INDEX webhook_endpoints_app ON webhook_endpoints (app_id, owner_id, id);
CREATE INDEX webhook_endpoints_by ON webhook_endpoints (created_by) WHERE created_by IS NOT NULL;

-- pending: due at next_at (a call under way: taken again then); waiting: for an earlier one of the same order_key.
-- No foreign key to the endpoint: who emits an event would lock it, and fail when it is just being deleted.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    endpoint_id uuid NOT NULL,
    event_id uuid NOT NULL,
    seq bigint NOT NULL, -- of the event
    type text NOT NULL,  -- likewise
    order_key uuid,      -- NULL: in any order
    state text NOT NULL CHECK (state IN ('pending', 'waiting', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status integer, -- of the last answer; NULL: there was none
    error text CHECK (length(error) <= 200),
    response text CHECK (octet_length(response) <= 1024),
    duration_ms integer,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    CHECK ((state IN ('delivered', 'failed')) = (ended_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_soon ON webhook_deliveries (next_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (endpoint_id, order_key, seq)
    WHERE order_key IS NOT NULL AND state IN ('pending', 'waiting');
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (next_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_list ON webhook_deliveries (endpoint_id, seq DESC);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries USING brin (created_at);

CREATE FUNCTION forget_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM webhook_deliveries d WHERE d.endpoint_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_endpoints_forget AFTER DELETE ON webhook_endpoints
    FOR EACH ROW EXECUTE FUNCTION forget_deliveries();

-- Says that something happened. To be called in the transaction of the effect: it waits for nobody
-- and finds no reason to fail; of an app that is being deleted it says nothing. p_org and p_user may be NULL; the order
-- is kept by organisation, else by user. What stands in p_data leaves the house: never a secret.
CREATE OR REPLACE FUNCTION event_emit(p_app uuid, p_type text, p_org uuid, p_user uuid, p_data jsonb) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    e events;
    key uuid := coalesce(p_org, p_user, p_app);
BEGIN
    INSERT INTO events (app_id, organization_id, user_id, type, data)
    SELECT p_app, p_org, p_user, p_type, coalesce(p_data, '{}') WHERE EXISTS (SELECT 1 FROM apps a WHERE a.id = p_app)
    RETURNING * INTO e;
    INSERT INTO webhook_deliveries (endpoint_id, event_id, seq, type, order_key, state)
    SELECT w.id, e.id, e.seq, e.type, CASE WHEN w.ordered THEN key END,
           CASE WHEN w.ordered AND EXISTS (
                SELECT 1 FROM webhook_deliveries d
                 WHERE d.endpoint_id = w.id AND d.order_key = key AND d.state IN ('pending', 'waiting'))
           THEN 'waiting' ELSE 'pending' END
      FROM webhook_endpoints w
     WHERE w.app_id = e.app_id AND w.owner_id IN (e.app_id, e.organization_id) AND w.enabled
       AND (w.events = '{}' OR e.type = ANY (w.events));
    IF FOUND THEN
        PERFORM pg_notify('quoin_jobs', '');
    END IF;
END $$;

-- A delivery to try out one endpoint of the app's or the organisation's; its id, NULL when there is none.
CREATE FUNCTION webhook_test(p_app uuid, p_org uuid, p_endpoint uuid) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    e events;
    made uuid;
BEGIN
    PERFORM 1 FROM webhook_endpoints w
     WHERE w.id = p_endpoint AND w.app_id = p_app AND w.owner_id = coalesce(p_org, p_app);
    IF FOUND THEN
        INSERT INTO events (app_id, organization_id, type, data)
        VALUES (p_app, p_org, 'webhook.test', jsonb_build_object('webhook_id', p_endpoint)) RETURNING * INTO e;
        INSERT INTO webhook_deliveries (endpoint_id, event_id, seq, type, state)
        VALUES (p_endpoint, e.id, e.seq, e.type, 'pending') RETURNING id INTO made;
        PERFORM pg_notify('quoin_jobs', '');
    END IF;
    RETURN made;
END $$;

-- Whether an earlier delivery of the same subject is still to be made.
CREATE FUNCTION webhook_is_behind(d webhook_deliveries) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT d.order_key IS NOT NULL AND EXISTS (
        SELECT 1 FROM webhook_deliveries x
         WHERE x.endpoint_id = d.endpoint_id AND x.order_key = d.order_key AND x.seq < d.seq
           AND x.state IN ('pending', 'waiting'))
$$;

CREATE FUNCTION webhook_is_awake(p_endpoint uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM webhook_endpoints w
                    WHERE w.id = p_endpoint AND w.enabled AND w.rest_until <= clock_timestamp())
$$;

-- The first that is due at each endpoint that has any and is awake: it costs the same however much waits behind one that
-- is not.
CREATE FUNCTION webhook_heads() RETURNS uuid[] LANGUAGE sql STABLE AS $$
    WITH RECURSIVE busy AS (
        (SELECT d.endpoint_id FROM webhook_deliveries d WHERE d.state = 'pending' ORDER BY d.endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.endpoint_id FROM webhook_deliveries d
                 WHERE d.state = 'pending' AND d.endpoint_id > b.endpoint_id ORDER BY d.endpoint_id LIMIT 1)
          FROM busy b WHERE b.endpoint_id IS NOT NULL)
    SELECT ARRAY(
        SELECT due.id FROM busy b CROSS JOIN LATERAL (
            SELECT x.id, x.next_at FROM webhook_deliveries x
             WHERE x.endpoint_id = b.endpoint_id AND x.state = 'pending' AND x.next_at <= clock_timestamp()
               AND NOT webhook_is_behind(x)
             ORDER BY x.next_at LIMIT 1) due
         WHERE webhook_is_awake(b.endpoint_id)
         ORDER BY due.next_at LIMIT 32)
$$;

-- Takes the delivery that is due longest, for a minute; no row when none is. Where those that are due longest are all of
-- endpoints that rest, it goes from endpoint to endpoint.
CREATE FUNCTION webhook_take() RETURNS SETOF webhook_deliveries LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    due webhook_deliveries[] := ARRAY(
        SELECT d FROM webhook_deliveries d WHERE d.state = 'pending' AND d.next_at <= clock_timestamp()
         ORDER BY d.next_at LIMIT 32);
    ready uuid[] := ARRAY(SELECT d.id FROM unnest(due) d WHERE webhook_is_awake(d.endpoint_id) AND NOT webhook_is_behind(d));
BEGIN
    IF cardinality(ready) = 0 AND cardinality(due) = 32 THEN
        ready := webhook_heads();
    END IF;
    RETURN QUERY UPDATE webhook_deliveries u
       SET attempts = u.attempts + 1, next_at = clock_timestamp() + interval '1 min'
     WHERE u.id = (
        SELECT d.id FROM webhook_deliveries d
         WHERE d.id = ANY (ready) AND d.state = 'pending' AND d.next_at <= clock_timestamp()
         ORDER BY d.next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING u.*;
END $$;

-- What came of attempt p_attempt at a delivery. p_silent: the endpoint itself is unwell, and rests a while before
-- anything else is tried there. outcome: 'stale' (somebody else has it by now), 'delivered', 'later', 'failed';
-- disabled: why the endpoint was just disabled, and then notify is whom that is to be told.
CREATE FUNCTION webhook_settle(p_id uuid, p_attempt integer, p_ok boolean, p_status integer, p_error text,
    p_response text, p_ms integer, p_silent boolean)
    RETURNS TABLE (outcome text, disabled text, app_id uuid, user_id uuid, notify text, url text) LANGUAGE plpgsql AS $$
DECLARE
    -- Of Standard Webhooks: three days and three hours in all.
    pauses CONSTANT integer[] := ARRAY[5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400];
    d webhook_deliveries;
    w webhook_endpoints;
    now_is timestamptz;
BEGIN
    SELECT x.* INTO w FROM webhook_endpoints x JOIN webhook_deliveries y ON y.endpoint_id = x.id
     WHERE y.id = p_id FOR NO KEY UPDATE OF x;
    SELECT * INTO d FROM webhook_deliveries x WHERE x.id = p_id FOR UPDATE;
    now_is := clock_timestamp();
    IF w.id IS NULL OR d.id IS NULL OR d.state <> 'pending' OR (d.attempts <> p_attempt AND NOT p_ok) THEN
        outcome := 'stale';
        RETURN NEXT;
        RETURN;
    END IF;
    outcome := CASE WHEN p_ok THEN 'delivered' WHEN p_status = 410 OR d.attempts > cardinality(pauses) THEN 'failed'
        ELSE 'later' END;
    UPDATE webhook_deliveries x
       SET state = CASE outcome WHEN 'later' THEN 'pending' ELSE outcome END,
           ended_at = CASE WHEN outcome <> 'later' THEN now_is END,
           next_at = CASE outcome WHEN 'later'
               THEN now_is + pauses[d.attempts] * (1 + random() / 5) * interval '1 second' ELSE x.next_at END,
           status = p_status, error = p_error, response = p_response, duration_ms = p_ms
     WHERE x.id = p_id;
    IF outcome <> 'later' AND d.order_key IS NOT NULL THEN
        UPDATE webhook_deliveries x SET state = 'pending', next_at = now_is
         WHERE x.state = 'waiting' AND x.id = (
            SELECT y.id FROM webhook_deliveries y
             WHERE y.endpoint_id = d.endpoint_id AND y.order_key = d.order_key AND y.state IN ('pending', 'waiting')
             ORDER BY y.seq LIMIT 1);
    END IF;
    disabled := CASE WHEN w.enabled AND p_status = 410 THEN 'gone'
        WHEN w.enabled AND NOT p_ok AND w.failing_since < now_is - interval '5 days' THEN 'failing' END;
    IF NOT p_ok THEN
        UPDATE webhook_endpoints x
           SET failing_since = coalesce(x.failing_since, now_is),
               silent = CASE WHEN p_silent THEN x.silent + 1 ELSE 0 END,
               rest_until = CASE WHEN p_silent
                   THEN now_is + least(5 * 2 ^ least(x.silent, 10), 300) * interval '1 second' ELSE x.rest_until END,
               enabled = x.enabled AND disabled IS NULL,
               disabled_reason = coalesce(disabled, x.disabled_reason)
         WHERE x.id = w.id;
    ELSIF w.failing_since IS NOT NULL THEN
        UPDATE webhook_endpoints x SET failing_since = NULL, silent = 0, rest_until = '-infinity' WHERE x.id = w.id;
    END IF;
    IF disabled IS NOT NULL THEN
        app_id := w.app_id;
        url := w.url;
        SELECT t.user_id, t.email INTO user_id, notify FROM webhook_owner(w) t;
    END IF;
    RETURN NEXT;
END $$;

-- Who is told of what befalls an endpoint: who made it, as long as he may; else the organisation's first owner.
CREATE FUNCTION webhook_owner(w webhook_endpoints) RETURNS TABLE (user_id uuid, email text) LANGUAGE sql STABLE AS $$
    SELECT u.id, u.email
      FROM (SELECT w.created_by, NULL::timestamptz WHERE w.organization_id IS NULL
            UNION ALL
            SELECT m.user_id, m.joined_at FROM organization_members m
             WHERE m.organization_id = w.organization_id
               AND (m.role = 'owner' OR (m.role = 'admin' AND m.user_id = w.created_by))) who (id, joined_at)
      JOIN LATERAL (SELECT * FROM users x WHERE x.id = who.id LIMIT 1) u ON true
     WHERE u.email_verified AND u.email IS NOT NULL AND (w.organization_id IS NOT NULL OR u.platform_role = 'admin')
     ORDER BY u.id IS DISTINCT FROM w.created_by, who.joined_at, u.id LIMIT 1
$$;

-- Those that wait for nothing any more: the one before ended while they were written, and neither saw the other.
CREATE FUNCTION webhook_release() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    UPDATE webhook_deliveries d SET state = 'pending', next_at = clock_timestamp()
     WHERE d.state = 'waiting' AND NOT webhook_is_behind(d);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Once more from the start, or now instead of later. Out of order, as somebody asked for this one. outcome:
-- 'missing', 'conflict' (the endpoint is disabled, or an earlier one comes first), 'saved'.
CREATE FUNCTION webhook_resend(p_app uuid, p_org uuid, p_endpoint uuid, p_id uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    d webhook_deliveries;
    w webhook_endpoints;
BEGIN
    SELECT * INTO w FROM webhook_endpoints x
     WHERE x.id = p_endpoint AND x.app_id = p_app AND x.owner_id = coalesce(p_org, p_app) FOR NO KEY UPDATE;
    SELECT * INTO d FROM webhook_deliveries x WHERE x.id = p_id AND x.endpoint_id = w.id FOR UPDATE;
    IF d.id IS NULL OR NOT EXISTS (SELECT 1 FROM events e WHERE e.id = d.event_id) THEN
        RETURN 'missing';
    END IF;
    IF NOT w.enabled OR d.state = 'waiting' THEN
        RETURN 'conflict';
    END IF;
    UPDATE webhook_deliveries x
       SET state = 'pending', next_at = clock_timestamp(), ended_at = NULL,
           attempts = CASE d.state WHEN 'pending' THEN x.attempts ELSE 0 END,
           order_key = CASE d.state WHEN 'pending' THEN x.order_key END
     WHERE x.id = p_id;
    UPDATE webhook_endpoints x SET rest_until = '-infinity' WHERE x.id = w.id AND x.rest_until > '-infinity';
    PERFORM pg_notify('quoin_jobs', '');
    RETURN 'saved';
END $$;

-- What is told of users and members, whoever makes them. Who is erased takes along what was kept of his address (T37).
CREATE INDEX events_of_user ON events (user_id) WHERE type = 'user.created';
CREATE FUNCTION tell_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    u users;
BEGIN
    u := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    IF TG_OP = 'DELETE' THEN
        UPDATE events e SET data = jsonb_build_object('user_id', u.id) WHERE e.user_id = u.id AND e.type = 'user.created';
    END IF;
    PERFORM event_emit(u.app_id, CASE TG_OP WHEN 'DELETE' THEN 'user.deleted' ELSE 'user.created' END, NULL, u.id,
        CASE TG_OP WHEN 'DELETE' THEN jsonb_build_object('user_id', u.id)
        ELSE jsonb_build_object('user_id', u.id, 'email', u.email, 'email_verified', u.email_verified, 'plan', u.plan) END);
    RETURN NULL;
END $$;
CREATE TRIGGER users_tell AFTER INSERT OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION tell_of_user();

CREATE FUNCTION tell_of_member() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m organization_members;
BEGIN
    m := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    PERFORM event_emit(m.app_id,
        CASE TG_OP WHEN 'INSERT' THEN 'member.added' WHEN 'UPDATE' THEN 'member.updated' ELSE 'member.removed' END,
        m.organization_id, m.user_id,
        jsonb_build_object('organization_id', m.organization_id, 'user_id', m.user_id, 'role', m.role));
    RETURN NULL;
END $$;
CREATE TRIGGER organization_members_tell AFTER INSERT OR UPDATE OF role OR DELETE ON organization_members
    FOR EACH ROW EXECUTE FUNCTION tell_of_member();
