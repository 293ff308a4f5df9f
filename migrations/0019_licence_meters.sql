-- What a program may count with nothing but a licence's key (CONTRACT D16, K13; SECURITY T22). What Quoin counts itself is
-- not among it: a key is on every machine, and would use up the storage and the calls of its owner. Nor is a word that
-- nobody knows: misspelt, it would have no limit.
CREATE FUNCTION license_counts(l licenses, p_meter text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN p_meter NOT IN ('api_calls', 'devices', 'memories', 'seats', 'storage_bytes', 'traces') AND (
        p_meter = 'commands'
        OR EXISTS (SELECT 1 FROM plan_limits x WHERE x.app_id = l.app_id AND x.meter = p_meter AND x.period <> 'minute')
        OR EXISTS (SELECT 1 FROM license_limits(l) x WHERE x.meter = p_meter));
END $$;

-- As before, and UNKNOWN_METER for what is not counted so.
CREATE OR REPLACE FUNCTION license_take(p_app uuid, p_hash bytea, p_version text, p_meter text, p_n bigint)
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
    IF code = 'VALID' AND NOT license_counts(l, p_meter) THEN
        code := 'UNKNOWN_METER';
    END IF;
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
