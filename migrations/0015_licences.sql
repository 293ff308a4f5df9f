-- Licences, the machines they are used on, floating leases, and what was validated (DESIGN.md §3, §6, §7;
-- CONTRACT D14-D22, X10, X11, K13, K23; SECURITY T21, T22).

CREATE TABLE licenses (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    license_key text NOT NULL CHECK (license_key ~ '^[!-~]{8,128}$'), -- shown to its owner again
    key_hash bytea NOT NULL CHECK (key_hash = sha256(convert_to(license_key, 'UTF8'))), -- looked up by
    name text CHECK (length(name) BETWEEN 1 AND 200),
    user_id uuid,         -- whose it is: a user's, an organisation's,
    organization_id uuid, -- or nobody's yet
    plan text CHECK (length(plan) BETWEEN 1 AND 32), -- NULL: that of its owner
    own boolean NOT NULL DEFAULT false,              -- the one that each user of an app has
    imported boolean NOT NULL DEFAULT false,         -- its key was made elsewhere
    status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED')),
    kind text NOT NULL DEFAULT 'perpetual' CHECK (kind IN ('perpetual', 'term', 'trial', 'floating')),
    expires_at timestamptz, -- NULL: never
    term_days integer CHECK (term_days BETWEEN 1 AND 36500), -- that a renewal adds
    renewal text NOT NULL DEFAULT 'from_expiry' CHECK (renewal IN ('from_expiry', 'from_now')),
    expiry text NOT NULL DEFAULT 'restrict' CHECK (expiry IN ('restrict', 'maintain')), -- maintain: goes on being valid
    max_devices integer CHECK (max_devices >= 1 OR max_devices = -1), -- NULL: as the plan says
    max_leases integer CHECK (max_leases >= 1 OR max_leases = -1),
    lease_seconds integer NOT NULL DEFAULT 600 CHECK (lease_seconds BETWEEN 30 AND 2592000),
    overage boolean NOT NULL DEFAULT false,          -- one machine more is let in all the same
    heartbeat_seconds integer CHECK (heartbeat_seconds BETWEEN 30 AND 31536000), -- a machine must be heard of within
    check_in_days integer CHECK (check_in_days BETWEEN 1 AND 3650),              -- somebody must check in within
    checked_in_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    max_version text CHECK (max_version ~ '^[0-9]{1,9}(\.[0-9]{1,9}){0,3}$'),    -- 3: all of 3.x, not 4.0
    max_releases integer NOT NULL DEFAULT 5 CHECK (max_releases >= -1), -- of machines by the holder, in 30 days
    limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object'),     -- meter: max, in place of the plan's
    features jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(features) = 'object'), -- flag: true or false, likewise
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at timestamptz,
    suspended_at timestamptz,
    revoked_at timestamptz,
    expiry_told_at timestamptz, -- when licence.expired was sent
    UNIQUE (app_id, key_hash),
    UNIQUE (app_id, id),
    CHECK (user_id IS NULL OR organization_id IS NULL),
    CHECK (plan IS NOT NULL OR (limits = '{}' AND features = '{}')),
    CHECK ((kind = 'perpetual' AND expires_at IS NULL) OR kind = 'floating'
           OR (kind IN ('term', 'trial') AND expires_at IS NOT NULL)),
    CHECK (kind <> 'floating' OR max_leases IS NOT NULL),
    CHECK (NOT own OR (user_id IS NOT NULL AND plan IS NULL)),
    CHECK ((status = 'SUSPENDED') = (suspended_at IS NOT NULL) AND (status = 'REVOKED') = (revoked_at IS NOT NULL)),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE,
    FOREIGN KEY (app_id, organization_id) REFERENCES organizations (app_id, id) ON DELETE CASCADE
);
CREATE INDEX licenses_list ON licenses (app_id, id DESC);
CREATE INDEX licenses_user ON licenses (user_id, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX licenses_organization ON licenses (organization_id, id DESC) WHERE organization_id IS NOT NULL;
CREATE UNIQUE INDEX licenses_own ON licenses (user_id) WHERE own;
CREATE INDEX licenses_metadata ON licenses USING gin (metadata jsonb_path_ops);
CREATE INDEX licenses_expiry ON licenses (expires_at) WHERE expiry_told_at IS NULL AND status = 'ACTIVE';
CREATE INDEX licenses_refused ON licenses (app_id, id DESC) WHERE status IN ('REVOKED', 'SUSPENDED');
CREATE INDEX licenses_heartbeat ON licenses (id) WHERE heartbeat_seconds IS NOT NULL;
CREATE INDEX licenses_imported ON licenses (app_id) WHERE imported;

-- One row a seat: what may be there together is decided under the lock of the licence's row (T21).
CREATE TABLE license_devices (
    id uuid PRIMARY KEY,
    license_id uuid NOT NULL REFERENCES licenses (id) ON DELETE CASCADE,
    machine_id text NOT NULL CHECK (length(machine_id) BETWEEN 1 AND 256),
    name text CHECK (length(name) BETWEEN 1 AND 100),
    platform text CHECK (length(platform) BETWEEN 1 AND 100),
    version text CHECK (length(version) <= 64), -- of the program, when it was seen first
    ip text,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- to ten minutes
    last_heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (license_id, machine_id)
) WITH (fillfactor = 85);

-- What its holder took away, so that a seat does not go round among many.
CREATE TABLE license_releases (
    license_id uuid NOT NULL REFERENCES licenses (id) ON DELETE CASCADE,
    machine_id text NOT NULL,
    released_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX license_releases_license ON license_releases (license_id, released_at);

CREATE TABLE license_leases (
    id uuid PRIMARY KEY,
    license_id uuid NOT NULL REFERENCES licenses (id) ON DELETE CASCADE,
    machine_id text NOT NULL CHECK (length(machine_id) BETWEEN 1 AND 256),
    ip text,
    acquired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    UNIQUE (license_id, machine_id)
) WITH (fillfactor = 85);
CREATE INDEX license_leases_expiry ON license_leases (expires_at);

-- What was validated, in batches: one row for what one worker saw of one machine in a second, or in ten where much is asked.
-- No foreign key: a check for each row would cost more than the row; the licence takes them with it.
CREATE TABLE license_validations (
    validation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    license_id uuid NOT NULL,
    machine_id text NOT NULL,
    validated_at timestamptz NOT NULL, -- the last time of them
    code text,                         -- why it was refused; NULL: it was not
    times integer NOT NULL DEFAULT 1 CHECK (times >= 1),
    ip_address text,
    version text
);
CREATE INDEX license_validations_license ON license_validations (license_id, validated_at);
CREATE INDEX license_validations_age ON license_validations USING brin (validated_at);

-- Of licences that are nobody's: what has an owner is counted with all that he uses (meter_take).
CREATE TABLE license_usage (
    license_id uuid NOT NULL REFERENCES licenses (id) ON DELETE CASCADE,
    meter text NOT NULL CHECK (meter ~ '^[a-z][a-z0-9_]{0,31}$'),
    period_start date NOT NULL,
    used bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (license_id, meter, period_start)
) WITH (fillfactor = 70);

-- Answers that workers and memcached hold are of one licence; what changes it is told to the board.
CREATE FUNCTION announce_license() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_revoke', 'licence:' || OLD.id);
    IF TG_OP = 'DELETE' THEN
        DELETE FROM license_validations v WHERE v.license_id = OLD.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER licenses_announce AFTER UPDATE OR DELETE ON licenses FOR EACH ROW EXECUTE FUNCTION announce_license();

-- A machine or a lease that goes. That one comes changes nobody's answer, nor does a sign of life.
CREATE FUNCTION announce_license_of() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_revoke', 'licence:' || OLD.license_id);
    RETURN NULL;
END $$;
CREATE TRIGGER license_devices_announce AFTER DELETE ON license_devices
    FOR EACH ROW EXECUTE FUNCTION announce_license_of();
CREATE TRIGGER license_leases_announce AFTER DELETE ON license_leases
    FOR EACH ROW EXECUTE FUNCTION announce_license_of();

CREATE FUNCTION announce_licenses(p_user uuid, p_org uuid) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('quoin_revoke', 'licence:' || l.id) FROM licenses l
     WHERE l.user_id = p_user OR l.organization_id = p_org
$$;
CREATE FUNCTION announce_users_licenses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM announce_licenses(NEW.id, NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER users_announce_licenses AFTER UPDATE OF plan, suspended_at ON users
    FOR EACH ROW EXECUTE FUNCTION announce_users_licenses();
CREATE FUNCTION announce_organizations_licenses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM announce_licenses(NULL, NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER organizations_announce_licenses AFTER UPDATE OF plan ON organizations
    FOR EACH ROW EXECUTE FUNCTION announce_organizations_licenses();
-- A grant may change limits and features, and leave the plan as it is.
CREATE FUNCTION announce_grants_licenses() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    g grants := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM announce_licenses(g.user_id, g.organization_id);
    RETURN NULL;
END $$;
CREATE TRIGGER grants_announce_licenses AFTER INSERT OR UPDATE OR DELETE ON grants
    FOR EACH ROW EXECUTE FUNCTION announce_grants_licenses();
-- An app's file says what its plans allow: all of its licences may have changed.
CREATE FUNCTION announce_app_licenses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('quoin_revoke', 'licences:' || NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER apps_announce_licenses AFTER UPDATE OF config ON apps
    FOR EACH ROW EXECUTE FUNCTION announce_app_licenses();

-- An object of numbers and truths without the spaces that jsonb is printed with: it is sent often.
CREATE FUNCTION license_compact(p jsonb) RETURNS json LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(p::text, '": ', '":'), ', "', ',"')::json
$$;

-- What a licence gives. In plpgsql, whose plans a session keeps: a validation that finds no copy asks all of it.
CREATE FUNCTION license_plan(l licenses) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(l.plan,
        CASE WHEN l.user_id IS NOT NULL THEN (SELECT u.plan FROM users u WHERE u.id = l.user_id)
             WHEN l.organization_id IS NOT NULL THEN (SELECT o.plan FROM organizations o WHERE o.id = l.organization_id) END,
        plan_lowest(l.app_id));
END $$;

-- Meter by meter: of a licence without a plan as its owner's, else the plan's with the licence's own word first.
CREATE FUNCTION license_limits(l licenses) RETURNS TABLE (meter text, period text, max bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_plan text := license_plan(l);
BEGIN
    IF l.plan IS NULL AND (l.user_id IS NOT NULL OR l.organization_id IS NOT NULL) THEN
        RETURN QUERY SELECT o.meter, o.period, o.max FROM limits_of(l.app_id, l.user_id, l.organization_id) o;
        RETURN;
    END IF;
    RETURN QUERY SELECT x.meter, x.period, coalesce((l.limits ->> x.meter)::bigint, x.max) FROM plan_limits x
      WHERE x.app_id = l.app_id AND x.plan = v_plan AND x.period <> 'minute';
    IF l.limits <> '{}' THEN
        RETURN QUERY SELECT o.key, coalesce((SELECT x.period FROM plan_limits x
            WHERE x.app_id = l.app_id AND x.meter = o.key LIMIT 1), 'none'), o.value::bigint
          FROM jsonb_each_text(l.limits) o WHERE NOT EXISTS (SELECT 1 FROM plan_limits x
            WHERE x.app_id = l.app_id AND x.plan = v_plan AND x.meter = o.key AND x.period <> 'minute');
    END IF;
END $$;

-- One (D18) where neither the licence nor the plan says anything.
CREATE FUNCTION license_max_devices(l licenses) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(l.max_devices, (SELECT x.max FROM license_limits(l) x WHERE x.meter = 'devices'), 1);
END $$;

-- {"commands_per_day":-1,"max_devices":3}: what a day or a month allows, and what there may be at all.
CREATE FUNCTION license_quotas(l licenses) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    x record;
    all_of jsonb := jsonb_build_object('commands_per_day', -1, 'max_devices', coalesce(l.max_devices, 1));
BEGIN
    FOR x IN SELECT * FROM license_limits(l) LOOP
        IF x.meter = 'commands' THEN
            all_of := all_of - 'commands_per_day';
        END IF;
        IF x.meter <> 'devices' OR l.max_devices IS NULL THEN
            all_of := all_of || jsonb_build_object(CASE x.period WHEN 'day' THEN x.meter || '_per_day'
                WHEN 'month' THEN x.meter || '_per_month' ELSE 'max_' || x.meter END, x.max);
        END IF;
    END LOOP;
    IF l.kind = 'floating' THEN
        all_of := all_of || jsonb_build_object('max_leases', l.max_leases);
    END IF;
    RETURN license_compact(all_of);
END $$;

-- {"cloud_sync":true,…}: every flag that the app's plans know, and whether this licence has it.
CREATE FUNCTION license_features(l licenses) RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    has text[];
    all_of jsonb;
BEGIN
    IF l.plan IS NULL AND (l.user_id IS NOT NULL OR l.organization_id IS NOT NULL) THEN
        SELECT e.features INTO has FROM entitlement(l.app_id, l.user_id, l.organization_id) e;
    ELSE
        SELECT p.features INTO has FROM plans p WHERE p.app_id = l.app_id AND p.code = license_plan(l);
    END IF;
    SELECT jsonb_object_agg(f.name, f.name = ANY (coalesce(has, '{}'))) INTO all_of FROM (
        SELECT unnest(p.features) FROM plans p WHERE p.app_id = l.app_id UNION SELECT unnest(has)) f (name);
    RETURN license_compact(coalesce(all_of, '{}') || l.features);
END $$;

-- Whether it is good for this version of the program: 3.2 is good for 3.2.9, not for 3.3. One that names no
-- number is not.
CREATE FUNCTION license_covers(p_most text, p_version text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_most IS NULL OR coalesce(
        (string_to_array(substring(p_version FROM '^v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})'), '.')::integer[])
            [1:cardinality(string_to_array(p_most, '.'))] <= string_to_array(p_most, '.')::integer[], false)
$$;

-- The licence by itself, whatever the machine: VALID, or why not. An expired one that is maintained is not refused.
CREATE FUNCTION license_state(l licenses, p_version text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE
        WHEN l.status <> 'ACTIVE' THEN l.status
        WHEN l.user_id IS NOT NULL AND (SELECT u.suspended_at FROM users u WHERE u.id = l.user_id) IS NOT NULL THEN 'SUSPENDED'
        WHEN l.expires_at <= clock_timestamp() AND l.expiry = 'restrict' THEN 'EXPIRED'
        WHEN l.checked_in_at + l.check_in_days * interval '1 day' <= clock_timestamp() THEN 'OVERDUE'
        WHEN NOT license_covers(l.max_version, p_version) THEN 'WRONG_PRODUCT'
        ELSE 'VALID' END;
END $$;

-- Looks at a licence for a machine and changes nothing. code: those of license_state, NOT_FOUND, NEW_DEVICE (it has
-- no seat yet), TOO_MANY_DEVICES (a plan that allows fewer came since: the first stay), HEARTBEAT_MISSED,
-- LEASE_REQUIRED. good_until: what makes a VALID one something else by itself; NULL nothing.
CREATE FUNCTION license_look(p_app uuid, p_hash bytea, p_machine text, p_version text)
    RETURNS TABLE (code text, valid boolean, id uuid, plan text, expires_at timestamptz, features json, quotas json,
                   good_until timestamptz, organization_id uuid, user_id uuid, last_seen_at timestamptz)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    l licenses;
    d license_devices;
    most bigint;
    lease timestamptz;
BEGIN
    SELECT * INTO l FROM licenses x WHERE x.app_id = p_app AND x.key_hash = p_hash;
    IF NOT FOUND THEN
        code := 'NOT_FOUND';
        valid := false;
        RETURN NEXT;
        RETURN;
    END IF;
    code := license_state(l, p_version);
    id := l.id;
    plan := license_plan(l);
    expires_at := l.expires_at;
    organization_id := l.organization_id;
    user_id := l.user_id;
    quotas := license_quotas(l);
    features := license_features(l);
    IF code = 'VALID' AND l.kind = 'floating' THEN
        SELECT x.expires_at INTO lease FROM license_leases x
         WHERE x.license_id = l.id AND x.machine_id = p_machine AND x.expires_at > clock_timestamp();
        IF lease IS NULL THEN
            code := 'LEASE_REQUIRED';
        END IF;
    ELSIF code = 'VALID' THEN
        SELECT * INTO d FROM license_devices x WHERE x.license_id = l.id AND x.machine_id = p_machine;
        most := license_max_devices(l);
        last_seen_at := d.last_seen_at;
        code := CASE
            WHEN d.id IS NULL THEN 'NEW_DEVICE'
            WHEN d.last_heartbeat_at + l.heartbeat_seconds * interval '1 second' <= clock_timestamp() THEN 'HEARTBEAT_MISSED'
            WHEN most >= 0 AND NOT l.overage AND most <= (SELECT count(*) FROM license_devices x
                 WHERE x.license_id = l.id AND (x.first_seen_at, x.id) < (d.first_seen_at, d.id)) THEN 'TOO_MANY_DEVICES'
            ELSE 'VALID' END;
    END IF;
    valid := code = 'VALID';
    IF valid AND l.expires_at <= clock_timestamp() THEN
        code := 'EXPIRED'; -- and maintained: valid all the same
    END IF;
    good_until := least(
        CASE WHEN l.expires_at > clock_timestamp() THEN l.expires_at END,
        l.checked_in_at + l.check_in_days * interval '1 day',
        d.last_heartbeat_at + l.heartbeat_seconds * interval '1 second',
        lease);
    RETURN NEXT;
END $$;

-- What happened to a licence: in the audit log and for whoever listens, with the change or not at all. p_by says
-- who did it: user, ip, agent, request, by.
CREATE FUNCTION license_note(l licenses, p_type text, p_more jsonb, p_by jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM event_emit(l.app_id, p_type, l.organization_id, l.user_id, p_more || jsonb_build_object('license_id', l.id,
        'user_id', l.user_id, 'organization_id', l.organization_id, 'plan', license_plan(l), 'kind', l.kind,
        'status', l.status, 'expires_at', l.expires_at, 'metadata', l.metadata));
    PERFORM audit(gen_random_uuid(), l.app_id, l.organization_id, (p_by ->> 'user')::uuid, p_type, 'licence', l.id::text,
        (p_more || coalesce(jsonb_strip_nulls(jsonb_build_object('by', p_by ->> 'by')), '{}'))::json,
        p_by ->> 'ip', p_by ->> 'agent', p_by ->> 'request');
END $$;

-- Its owner has its plan while it is in force.
CREATE FUNCTION license_settle(l licenses) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF l.plan IS NULL OR (l.user_id IS NULL AND l.organization_id IS NULL) OR l.status <> 'ACTIVE' THEN
        PERFORM grant_drop(l.app_id, 'licence', l.id::text);
        RETURN;
    END IF;
    PERFORM grant_set(l.app_id, l.user_id, l.organization_id, 'licence', l.id::text, l.plan, NULL,
                      CASE WHEN l.expiry = 'restrict' THEN l.expires_at END);
    UPDATE grants g SET limits = l.limits,
           features = ARRAY(SELECT f.key FROM jsonb_each_text(l.features) f WHERE f.value::boolean)
     WHERE g.app_id = l.app_id AND g.source = 'licence' AND g.source_id = l.id::text
       AND (g.limits, g.features) IS DISTINCT FROM
           (l.limits, ARRAY(SELECT f.key FROM jsonb_each_text(l.features) f WHERE f.value::boolean));
END $$;

-- Makes a licence of the members of p_in that are given (columns of licenses); term_days without expires_at counts
-- from now. outcome: 'plan' (the app's file has none of that code), 'owner' (there is no such), 'key' (it is taken),
-- 'limits' (a limit that is no number, a feature that is no truth), 'saved'.
CREATE FUNCTION license_issue(p_app uuid, p_id uuid, p_key text, p_in jsonb, p_by jsonb)
    RETURNS TABLE (outcome text) LANGUAGE plpgsql AS $$
DECLARE
    l licenses := jsonb_populate_record(NULL::licenses, jsonb_strip_nulls(p_in));
BEGIN
    outcome := CASE
        WHEN l.plan IS NOT NULL AND NOT EXISTS (SELECT 1 FROM plans p WHERE p.app_id = p_app AND p.code = l.plan) THEN 'plan'
        WHEN l.user_id IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM users u WHERE u.app_id = p_app AND u.id = l.user_id) THEN 'owner'
        WHEN l.organization_id IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM organizations o WHERE o.app_id = p_app AND o.id = l.organization_id) THEN 'owner'
        WHEN EXISTS (SELECT 1 FROM jsonb_each(l.limits) x WHERE x.value::text !~ '^(-1|[0-9]{1,15})$' OR x.key !~ '^[a-z][a-z0-9_]{0,31}$')
             OR EXISTS (SELECT 1 FROM jsonb_each(l.features) x WHERE jsonb_typeof(x.value) <> 'boolean') THEN 'limits'
        ELSE 'saved' END;
    IF outcome <> 'saved' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    l.kind := coalesce(l.kind, CASE WHEN l.expires_at IS NULL AND l.term_days IS NULL THEN 'perpetual' ELSE 'term' END);
    IF l.expires_at IS NULL AND l.term_days IS NOT NULL THEN
        l.expires_at := clock_timestamp() + l.term_days * interval '1 day';
    END IF;
    INSERT INTO licenses AS t (id, app_id, license_key, key_hash, name, user_id, organization_id, plan, own, imported, status,
        kind, expires_at, term_days, renewal, expiry, max_devices, max_leases, lease_seconds, overage, heartbeat_seconds,
        check_in_days, max_version, max_releases, limits, features, metadata, created_at, suspended_at, revoked_at)
    VALUES (p_id, p_app, p_key, sha256(convert_to(p_key, 'UTF8')), l.name, l.user_id, l.organization_id, l.plan,
        coalesce(l.own, false), coalesce(l.imported, false), coalesce(l.status, 'ACTIVE'), l.kind, l.expires_at, l.term_days,
        coalesce(l.renewal, 'from_expiry'), coalesce(l.expiry, 'restrict'), l.max_devices, l.max_leases,
        coalesce(l.lease_seconds, 600), coalesce(l.overage, false), l.heartbeat_seconds, l.check_in_days, l.max_version,
        coalesce(l.max_releases, 5), coalesce(l.limits, '{}'), coalesce(l.features, '{}'), coalesce(l.metadata, '{}'),
        coalesce(l.created_at, clock_timestamp()), CASE l.status WHEN 'SUSPENDED' THEN clock_timestamp() END,
        CASE l.status WHEN 'REVOKED' THEN clock_timestamp() END)
    ON CONFLICT DO NOTHING RETURNING t.* INTO l;
    IF l.id IS NULL THEN
        outcome := 'key';
        RETURN NEXT;
        RETURN;
    END IF;
    PERFORM license_settle(l);
    PERFORM license_note(l, 'licence.created', '{}', p_by);
    IF l.imported THEN
        PERFORM pg_notify('quoin_apps', ''); -- workers now look for keys of other makers too
    END IF;
    RETURN NEXT;
END $$;

-- One from elsewhere, whose key stays as it is. p_in may name its owner by email or by an organisation's slug; status
-- EXPIRED is what its end says. outcome as of license_issue; 'limits' also for what the table refuses, and the
-- transaction goes on.
CREATE FUNCTION license_import(p_app uuid, p_id uuid, p_key text, p_in jsonb) RETURNS TABLE (outcome text)
    LANGUAGE plpgsql AS $$
DECLARE
    v_in jsonb := p_in || '{"imported": true}';
BEGIN
    v_in := v_in || jsonb_strip_nulls(jsonb_build_object(
        'user_id', (SELECT u.id FROM users u WHERE u.app_id = p_app AND lower(u.email) = lower(p_in ->> 'email')),
        'organization_id', (SELECT o.id FROM organizations o WHERE o.app_id = p_app AND o.slug = p_in ->> 'organization'),
        'status', CASE p_in ->> 'status' WHEN 'EXPIRED' THEN 'ACTIVE' ELSE p_in ->> 'status' END));
    IF (p_in ? 'email' AND NOT v_in ? 'user_id') OR (p_in ? 'organization' AND NOT v_in ? 'organization_id') THEN
        outcome := 'owner';
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY SELECT i.outcome FROM license_issue(p_app, p_id, p_key, v_in, '{"by": "operator"}') i;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    outcome := 'limits';
    RETURN NEXT;
END $$;

-- The key of the licence that each user of an app has; p_key becomes it at first need (X2, X3).
CREATE FUNCTION license_of_user(p_app uuid, p_user uuid, p_id uuid, p_key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found_key text;
BEGIN
    SELECT l.license_key INTO found_key FROM licenses l WHERE l.user_id = p_user AND l.own AND l.app_id = p_app;
    IF found_key IS NULL THEN
        PERFORM license_issue(p_app, p_id, p_key, jsonb_build_object('user_id', p_user, 'own', true), '{}');
        SELECT l.license_key INTO found_key FROM licenses l WHERE l.user_id = p_user AND l.own AND l.app_id = p_app;
    END IF;
    RETURN found_key;
END $$;

-- A seat for a machine that has none, if there is one: whoever comes at the same time waits here and then counts
-- again. Where all are taken, machines that were not heard of in time make room. Answers as license_look does.
CREATE FUNCTION license_seat(p_app uuid, p_hash bytea, p_machine text, p_version text, p_id uuid, p_name text,
    p_platform text, p_ip text)
    RETURNS TABLE (code text, valid boolean, id uuid, plan text, expires_at timestamptz, features json, quotas json,
                   good_until timestamptz, organization_id uuid, user_id uuid, last_seen_at timestamptz)
    LANGUAGE plpgsql AS $$
DECLARE
    l licenses;
    seen record;
    most bigint;
BEGIN
    SELECT * INTO l FROM licenses x WHERE x.app_id = p_app AND x.key_hash = p_hash FOR NO KEY UPDATE;
    SELECT * INTO seen FROM license_look(p_app, p_hash, p_machine, p_version);
    IF seen.code = 'NEW_DEVICE' THEN
        most := license_max_devices(l);
        IF most >= 0 AND NOT l.overage AND (SELECT count(*) FROM license_devices d WHERE d.license_id = l.id) >= most THEN
            DELETE FROM license_devices d WHERE d.license_id = l.id
               AND d.last_heartbeat_at + l.heartbeat_seconds * interval '1 second' <= clock_timestamp();
            IF (SELECT count(*) FROM license_devices d WHERE d.license_id = l.id) >= most THEN
                seen.code := 'TOO_MANY_DEVICES';
            END IF;
        END IF;
    END IF;
    IF seen.code = 'NEW_DEVICE' THEN
        INSERT INTO license_devices (id, license_id, machine_id, name, platform, version, ip)
        VALUES (p_id, l.id, p_machine, p_name, p_platform, p_version, p_ip);
        PERFORM license_note(l, 'device.added', jsonb_strip_nulls(jsonb_build_object('device_id', p_id, 'machine_id', p_machine,
            'name', p_name, 'platform', p_platform)), jsonb_build_object('ip', p_ip));
        seen.code := CASE WHEN l.expires_at <= clock_timestamp() THEN 'EXPIRED' ELSE 'VALID' END;
        seen.valid := true;
        seen.last_seen_at := clock_timestamp();
        seen.good_until := least(seen.good_until, clock_timestamp() + l.heartbeat_seconds * interval '1 second');
    END IF;
    RETURN QUERY SELECT seen.code, seen.valid, seen.id, seen.plan, seen.expires_at, seen.features, seen.quotas,
        seen.good_until, seen.organization_id, seen.user_id, seen.last_seen_at;
END $$;

-- A batch of validations, as json; 'seen' says that the machine's last_seen_at is to be moved on.
CREATE FUNCTION license_validated(p_rows json) RETURNS void LANGUAGE sql AS $$
    WITH r AS MATERIALIZED (
        SELECT * FROM json_to_recordset(p_rows) AS x (l uuid, m text, t bigint, n integer, c text, ip text, v text, seen boolean)),
    moved AS (
        UPDATE license_devices d SET last_seen_at = to_timestamp(r.t / 1000000.0)
          FROM r WHERE r.seen AND d.license_id = r.l AND d.machine_id = r.m)
    INSERT INTO license_validations (license_id, machine_id, validated_at, code, times, ip_address, version)
    SELECT r.l, r.m, to_timestamp(r.t / 1000000.0), r.c, r.n, r.ip, r.v FROM r JOIN licenses l ON l.id = r.l
$$;

-- A sign of life of a machine that has a seat. One that was silent too long has its seat again, if nobody took it.
-- Answers as license_look does; NEW_DEVICE where there is no seat.
CREATE FUNCTION license_heartbeat(p_app uuid, p_hash bytea, p_machine text, p_version text)
    RETURNS TABLE (code text, valid boolean, id uuid, plan text, expires_at timestamptz, features json, quotas json,
                   good_until timestamptz, organization_id uuid, user_id uuid, last_seen_at timestamptz)
    LANGUAGE plpgsql AS $$
DECLARE
    l licenses;
BEGIN
    SELECT * INTO l FROM licenses x WHERE x.app_id = p_app AND x.key_hash = p_hash;
    UPDATE license_devices d SET last_heartbeat_at = clock_timestamp(), last_seen_at = clock_timestamp()
     WHERE d.license_id = l.id AND d.machine_id = p_machine AND license_state(l, p_version) = 'VALID';
    RETURN QUERY SELECT * FROM license_look(p_app, p_hash, p_machine, p_version);
END $$;

-- A floating lease: taken, or made longer by who has it. code VALID: it is held until ret expires_at. NO_LEASE_LEFT
-- when all are taken; LEASE_REQUIRED where p_machine gave it back or has none to give (p_release).
CREATE FUNCTION license_lease(p_app uuid, p_hash bytea, p_machine text, p_version text, p_id uuid, p_ip text, p_release boolean)
    RETURNS TABLE (code text, license_id uuid, until timestamptz, taken bigint, max_leases bigint) LANGUAGE plpgsql AS $$
DECLARE
    l licenses;
BEGIN
    SELECT * INTO l FROM licenses x WHERE x.app_id = p_app AND x.key_hash = p_hash FOR NO KEY UPDATE;
    code := CASE WHEN l.id IS NULL THEN 'NOT_FOUND' ELSE license_state(l, p_version) END;
    IF l.id IS NOT NULL AND l.kind <> 'floating' THEN
        code := 'NOT_FLOATING';
    END IF;
    license_id := l.id;
    max_leases := l.max_leases;
    IF code = 'VALID' OR p_release THEN
        DELETE FROM license_leases x WHERE x.license_id = l.id
           AND (x.expires_at <= clock_timestamp() OR (p_release AND x.machine_id = p_machine));
    END IF;
    SELECT count(*) INTO taken FROM license_leases x WHERE x.license_id = l.id;
    IF code <> 'VALID' OR p_release THEN
        code := CASE WHEN code = 'VALID' THEN 'LEASE_REQUIRED' ELSE code END;
        RETURN NEXT;
        RETURN;
    END IF;
    UPDATE license_leases x SET expires_at = clock_timestamp() + l.lease_seconds * interval '1 second', ip = p_ip
     WHERE x.license_id = l.id AND x.machine_id = p_machine RETURNING x.expires_at INTO until;
    IF until IS NULL AND (l.max_leases = -1 OR l.overage OR taken < l.max_leases) THEN
        INSERT INTO license_leases AS x (id, license_id, machine_id, ip, expires_at)
        VALUES (p_id, l.id, p_machine, p_ip, clock_timestamp() + l.lease_seconds * interval '1 second')
        RETURNING x.expires_at INTO until;
        taken := taken + 1;
    END IF;
    until := least(until, CASE WHEN l.expiry = 'restrict' THEN l.expires_at END);
    IF until IS NULL THEN
        code := 'NO_LEASE_LEFT';
    END IF;
    RETURN NEXT;
END $$;

-- Uses p_n of a meter: of the owner's, or of the licence's own where it has none. code: QUOTA_EXCEEDED when it has
-- not so much left, else as license_state.
CREATE FUNCTION license_take(p_app uuid, p_hash bytea, p_version text, p_meter text, p_n bigint)
    RETURNS TABLE (code text, license_id uuid, used bigint, max bigint, resets_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l licenses;
    lim record;
    start date;
    sum bigint;
    got record;
BEGIN
    SELECT * INTO l FROM licenses x WHERE x.app_id = p_app AND x.key_hash = p_hash;
    code := CASE WHEN l.id IS NULL THEN 'NOT_FOUND' ELSE license_state(l, p_version) END;
    license_id := l.id;
    IF code <> 'VALID' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF l.user_id IS NOT NULL OR l.organization_id IS NOT NULL THEN
        SELECT * INTO got FROM meter_take(p_app, l.user_id, l.organization_id, p_meter, p_n);
        used := got.used;
        max := got.max;
        resets_at := got.resets_at;
        code := CASE WHEN got.taken THEN 'VALID' ELSE 'QUOTA_EXCEEDED' END;
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT x.period, x.max INTO lim FROM license_limits(l) x WHERE x.meter = p_meter;
    lim.period := coalesce(lim.period, 'none');
    max := coalesce(lim.max, -1);
    start := period_start(lim.period, clock_timestamp());
    resets_at := period_end(lim.period, clock_timestamp());
    IF coalesce(lim.max, -1) = -1 OR p_n <= lim.max THEN
        INSERT INTO license_usage AS u (license_id, meter, period_start, used) VALUES (l.id, p_meter, start, p_n)
        ON CONFLICT (license_id, meter, period_start) DO UPDATE SET used = u.used + excluded.used
         WHERE coalesce(lim.max, -1) = -1 OR u.used + excluded.used <= lim.max
        RETURNING u.used INTO sum;
    END IF;
    code := CASE WHEN sum IS NULL THEN 'QUOTA_EXCEEDED' ELSE 'VALID' END;
    used := coalesce(sum, (SELECT u.used FROM license_usage u
        WHERE u.license_id = l.id AND u.meter = p_meter AND u.period_start = start), 0);
    RETURN NEXT;
END $$;

-- Who may look after a licence: its user, the owners and admins of its organisation, staff.
CREATE FUNCTION license_is_of(l licenses, p_who uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT l.user_id = p_who OR EXISTS (SELECT 1 FROM organization_members m
        WHERE m.organization_id = l.organization_id AND m.user_id = p_who AND m.role IN ('owner', 'admin'))
$$;

-- Changes a licence. p_verb: renew (until p_until, else by its term), suspend, reinstate, revoke, check-in, transfer (to
-- a user or an organisation, else to nobody; the seats are free then). outcome: 'missing', 'state' (it cannot
-- be done to it as it is), 'owner' (there is no such), 'saved'.
CREATE FUNCTION license_change(p_app uuid, p_id uuid, p_verb text, p_until timestamptz, p_user uuid, p_org uuid, p_by jsonb)
    RETURNS TABLE (outcome text) LANGUAGE plpgsql AS $$
DECLARE
    l licenses;
    was licenses;
    at timestamptz := clock_timestamp();
    told text := 'licence.' || CASE p_verb WHEN 'renew' THEN 'renewed' WHEN 'suspend' THEN 'suspended'
        WHEN 'reinstate' THEN 'reinstated' WHEN 'revoke' THEN 'revoked' WHEN 'check-in' THEN 'checked_in' ELSE 'transferred' END;
BEGIN
    SELECT * INTO was FROM licenses x WHERE x.app_id = p_app AND x.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'missing';
        RETURN NEXT;
        RETURN;
    END IF;
    l := was;
    IF l.status = (CASE p_verb WHEN 'suspend' THEN 'SUSPENDED' WHEN 'reinstate' THEN 'ACTIVE' WHEN 'revoke' THEN 'REVOKED' END) THEN
        outcome := 'saved'; -- it is so already
        RETURN NEXT;
        RETURN;
    END IF;
    outcome := CASE
        WHEN p_verb = 'transfer' AND (
            (p_user IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users u WHERE u.app_id = p_app AND u.id = p_user))
            OR (p_org IS NOT NULL AND NOT EXISTS (SELECT 1 FROM organizations o WHERE o.app_id = p_app AND o.id = p_org)))
            THEN 'owner'
        WHEN l.status = 'REVOKED' OR (p_verb = 'transfer' AND l.own)
             OR (p_verb = 'renew' AND (l.kind = 'perpetual' OR (p_until IS NULL AND l.term_days IS NULL)
                 OR p_until <= at)) THEN 'state'
        ELSE 'saved' END;
    IF outcome <> 'saved' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    CASE p_verb
    WHEN 'renew' THEN
        l.expires_at := coalesce(p_until, CASE l.renewal WHEN 'from_expiry' THEN coalesce(l.expires_at, at) ELSE at END
            + l.term_days * interval '1 day');
        l.renewed_at := at;
        l.expiry_told_at := NULL;
    WHEN 'suspend' THEN
        l.status := 'SUSPENDED';
        l.suspended_at := at;
    WHEN 'reinstate' THEN
        l.status := 'ACTIVE';
        l.suspended_at := NULL;
    WHEN 'revoke' THEN
        l.status := 'REVOKED';
        l.suspended_at := NULL;
        l.revoked_at := at;
    WHEN 'check-in' THEN
        l.checked_in_at := at;
    WHEN 'transfer' THEN
        l.user_id := p_user;
        l.organization_id := p_org;
        DELETE FROM license_devices d WHERE d.license_id = l.id;
        DELETE FROM license_leases d WHERE d.license_id = l.id;
    END CASE;
    UPDATE licenses x SET status = l.status, user_id = l.user_id, organization_id = l.organization_id,
        expires_at = l.expires_at, renewed_at = l.renewed_at, suspended_at = l.suspended_at, revoked_at = l.revoked_at,
        checked_in_at = l.checked_in_at, expiry_told_at = l.expiry_told_at, updated_at = at WHERE x.id = l.id;
    IF p_verb = 'transfer' THEN
        PERFORM grant_drop(l.app_id, 'licence', l.id::text); -- who had it loses what it gave
    END IF;
    PERFORM license_settle(l);
    PERFORM license_note(l, told, CASE WHEN p_verb = 'transfer'
        THEN jsonb_build_object('from_user_id', was.user_id, 'from_organization_id', was.organization_id) ELSE '{}' END, p_by);
    RETURN NEXT;
END $$;

-- Takes a machine's seat away: by staff or, max_releases times in 30 days, by who may look after the licence (p_who;
-- NULL: by who shows the key). outcome: 'missing', 'limit', 'saved'.
CREATE FUNCTION license_release(p_app uuid, p_license uuid, p_device uuid, p_machine text, p_who uuid, p_staff boolean, p_by jsonb)
    RETURNS TABLE (outcome text) LANGUAGE plpgsql AS $$
DECLARE
    l licenses;
    d license_devices;
BEGIN
    SELECT * INTO l FROM licenses x WHERE x.app_id = p_app AND x.id = p_license FOR NO KEY UPDATE;
    IF l.id IS NOT NULL AND (p_staff OR p_who IS NULL OR license_is_of(l, p_who)) THEN
        SELECT * INTO d FROM license_devices x
         WHERE x.license_id = l.id AND (x.id = p_device OR (p_device IS NULL AND x.machine_id = p_machine)) FOR UPDATE;
    END IF;
    outcome := CASE
        WHEN d.id IS NULL THEN 'missing'
        WHEN NOT p_staff AND l.max_releases >= 0 AND (SELECT count(*) FROM license_releases r
             WHERE r.license_id = l.id AND r.released_at > clock_timestamp() - interval '30 days') >= l.max_releases THEN 'limit'
        ELSE 'saved' END;
    IF outcome = 'saved' THEN
        DELETE FROM license_devices x WHERE x.id = d.id;
        IF NOT p_staff THEN
            INSERT INTO license_releases (license_id, machine_id) VALUES (l.id, d.machine_id);
        END IF;
        PERFORM license_note(l, 'device.released', jsonb_strip_nulls(jsonb_build_object('device_id', d.id,
            'machine_id', d.machine_id, 'name', d.name)), p_by);
    END IF;
    RETURN NEXT;
END $$;

-- Machines that were silent twice as long as they may be.
CREATE VIEW license_devices_gone AS
    SELECT d.* FROM licenses l JOIN license_devices d ON d.license_id = l.id
     WHERE l.heartbeat_seconds IS NOT NULL
       AND d.last_heartbeat_at < clock_timestamp() - 2 * l.heartbeat_seconds * interval '1 second';

CREATE FUNCTION license_sweep_due() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM licenses x WHERE x.expires_at <= now() AND x.expiry_told_at IS NULL AND x.status = 'ACTIVE')
        OR EXISTS (SELECT 1 FROM license_leases x WHERE x.expires_at < now())
        OR EXISTS (SELECT 1 FROM license_devices_gone)
        OR coalesce((SELECT v.validated_at FROM license_validations v ORDER BY v.validation_id LIMIT 1) < now() - interval '90 days', false)
$$;

-- What time alone brings: tells of those that expired, takes the seats of machines and the leases that were given up,
-- and old validations, some hundred at a time. How many.
CREATE FUNCTION license_sweep() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    l licenses;
    d record;
    n bigint := 0;
    m bigint;
BEGIN
    FOR l IN SELECT * FROM licenses x WHERE x.expires_at <= clock_timestamp() AND x.expiry_told_at IS NULL
              AND x.status = 'ACTIVE' ORDER BY x.expires_at LIMIT 200 FOR NO KEY UPDATE SKIP LOCKED LOOP
        UPDATE licenses x SET expiry_told_at = clock_timestamp() WHERE x.id = l.id;
        PERFORM license_note(l, 'licence.expired', '{}', '{}');
        n := n + 1;
    END LOOP;
    FOR l IN SELECT * FROM licenses x WHERE x.id IN (SELECT y.license_id FROM license_devices_gone y)
              ORDER BY x.id LIMIT 200 FOR NO KEY UPDATE SKIP LOCKED LOOP
        FOR d IN DELETE FROM license_devices y WHERE y.license_id = l.id
                    AND y.last_heartbeat_at < clock_timestamp() - 2 * l.heartbeat_seconds * interval '1 second' RETURNING y.* LOOP
            PERFORM license_note(l, 'device.released', jsonb_build_object('device_id', d.id, 'machine_id', d.machine_id,
                'reason', 'not heard of'), '{}');
            n := n + 1;
        END LOOP;
    END LOOP;
    DELETE FROM license_leases x WHERE x.id IN (SELECT y.id FROM license_leases y
        WHERE y.expires_at < clock_timestamp() ORDER BY y.expires_at LIMIT 500 FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS m = ROW_COUNT;
    n := n + m;
    DELETE FROM license_validations v WHERE v.validation_id IN (SELECT w.validation_id FROM license_validations w
        ORDER BY w.validation_id LIMIT 5000) AND v.validated_at < now() - interval '90 days';
    GET DIAGNOSTICS m = ROW_COUNT;
    RETURN n + m;
END $$;
