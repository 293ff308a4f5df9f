-- No answer and no file outlives what it rests on: an owner's plan that ends, a lease, a sign of life, a check-in
-- (CONTRACT D15, D22, X11; SECURITY T22).

-- When the plan that a licence has of its owner may be another by itself: the first end of a grant that counts. One whose
-- end came and was not seen to yet is over already.
CREATE FUNCTION license_plan_until(l licenses) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF l.plan IS NOT NULL OR (l.user_id IS NULL AND l.organization_id IS NULL) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT min(g.ends_at) FROM (
        SELECT * FROM grants x WHERE x.user_id = l.user_id
        UNION ALL
        SELECT * FROM grants x WHERE x.organization_id = l.organization_id
        UNION ALL
        SELECT x.* FROM organization_members m JOIN grants x ON x.organization_id = m.organization_id
         WHERE m.user_id = l.user_id) g
     WHERE g.in_force AND (g.plan = license_plan(l) OR g.limits <> '{}' OR g.features <> '{}'));
END $$;

-- As before, and good_until knows of the owner's plan.
CREATE OR REPLACE FUNCTION license_look(p_app uuid, p_hash bytea, p_machine text, p_version text)
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
        lease, license_plan_until(l));
    RETURN NEXT;
END $$;

-- When a file ends at the latest, whatever life was asked for: with the licence, and when a validation of this machine
-- (NULL: of any) would not say VALID any more. NULL: never; before now: there is to be none, as of a floating licence
-- where no lease is held, or of an owner who is suspended.
CREATE FUNCTION license_file_until(l licenses, p_machine text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id AND u.suspended_at IS NOT NULL) THEN
        RETURN timestamptz 'epoch';
    END IF;
    RETURN least(
        CASE WHEN l.expiry = 'restrict' THEN l.expires_at END,
        l.checked_in_at + l.check_in_days * interval '1 day',
        (SELECT d.last_heartbeat_at + l.heartbeat_seconds * interval '1 second' FROM license_devices d
          WHERE d.license_id = l.id AND d.machine_id = p_machine),
        CASE WHEN l.kind = 'floating' THEN coalesce((SELECT x.expires_at FROM license_leases x
          WHERE x.license_id = l.id AND x.machine_id = p_machine), timestamptz 'epoch') END,
        license_plan_until(l));
END $$;

-- Whose licences are on the list of what may not be used.
CREATE INDEX users_suspended ON users (app_id, id) WHERE suspended_at IS NOT NULL;
