-- What a user's sign-ins leave behind, taken back with them (SECURITY T13, T15).

-- Takes back all sessions of a user but one (NULL: all), and first what could make new ones, or hand the account
-- over: mailed links, a change of address that waits for its new one to confirm it, devices that he approved and that
-- have not asked since. In this order a sign-in that is just taking one of them is waited for, and then seen.
CREATE OR REPLACE FUNCTION sign_out_everywhere(p_app uuid, p_user uuid, p_except uuid, p_why text) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    n integer;
BEGIN
    DELETE FROM one_time_tokens t
     WHERE t.user_id = p_user AND t.purpose IN ('reset-password', 'magic-link', 'mfa', 'cli-code', 'change-email');
    DELETE FROM device_grants d WHERE d.user_id = p_user;
    UPDATE sessions s SET revoked_at = clock_timestamp(), revoked_for = p_why
     WHERE s.app_id = p_app AND s.user_id = p_user AND s.revoked_at IS NULL AND s.id IS DISTINCT FROM p_except;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
