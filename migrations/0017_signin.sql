-- A sign-in in two round trips: what is counted before the password is looked at, and all that follows.

-- As in 0013. What it counts is there for everybody when it answers, whatever becomes of who asked; the disk is not
-- waited for. A machine that dies takes the guesses of its last moment with it, and nobody was promised to be refused.
CREATE OR REPLACE FUNCTION guess(p_app uuid, p_subjects bytea[], p_free integer[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    wait integer := 0;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR i IN 1 .. cardinality(p_subjects) LOOP
        wait := attempt(p_app, p_subjects[i], p_free[i]);
        EXIT WHEN wait > 0;
    END LOOP;
    RETURN wait;
END $$;

-- Begins a session and notes it. The user's oldest beyond a hundred end. p_right: subjects of a guess that was right,
-- as guessed() has them, or NULL. Returns whether it is like none of the user's others: neither their device, nor
-- their program from about there. With p_hash, which was just found to be right, the sign-in begins anew when it is the
-- user's no more: a change under way is waited for, and one that comes after finds the session. What everybody's
-- sign-ins have in common is locked last.
CREATE FUNCTION session_begin(p_id uuid, p_app uuid, p_user uuid, p_method text, p_cookie bytea, p_aal integer,
    p_days integer, p_device text, p_device_name text, p_ip text, p_agent text, p_right bytea[], p_free integer[],
    p_audit uuid, p_details json, p_request text, p_hash text DEFAULT NULL) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    others boolean;
    alike boolean;
BEGIN
    others := EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = p_user);
    alike := others AND EXISTS (SELECT 1 FROM (SELECT * FROM sessions x WHERE x.user_id = p_user ORDER BY x.id DESC LIMIT 99) s
        WHERE s.device_id = left(p_device, 200) OR (s.user_agent IS NOT DISTINCT FROM left(p_agent, 500)
          AND network(set_masklen(s.ip::inet, CASE family(s.ip::inet) WHEN 4 THEN 16 ELSE 48 END)) >>= p_ip::inet));
    IF others THEN
        DELETE FROM sessions WHERE id IN (
            SELECT s.id FROM sessions s WHERE s.user_id = p_user AND s.app_id = p_app ORDER BY s.id DESC OFFSET 99);
    END IF;
    INSERT INTO sessions (id, app_id, user_id, method, cookie_hash, aal, expires_at, device_id, device_name, ip, user_agent)
    VALUES (p_id, p_app, p_user, p_method, p_cookie, p_aal, now() + p_days * interval '1 day',
            left(p_device, 200), left(p_device_name, 200), p_ip, left(p_agent, 500));
    UPDATE users u SET last_login_at = clock_timestamp()
     WHERE u.app_id = p_app AND u.id = p_user AND (p_hash IS NULL OR u.password_hash = p_hash);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the password has changed meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    IF p_right IS NOT NULL THEN
        PERFORM guessed(p_app, p_right, p_free);
    END IF;
    PERFORM audit(p_audit, p_app, NULL, p_user, 'session.begin', 'session', p_id::text, p_details, p_ip, p_agent, p_request);
    RETURN others AND NOT alike;
END $$;
