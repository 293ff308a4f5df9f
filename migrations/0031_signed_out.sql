-- Signing out everywhere also ends tokens that name no session of ours: those of other issuers, and those that an
-- operator vouched for (SECURITY T15).

ALTER TABLE users ADD COLUMN signed_out_at timestamptz; -- no token that was issued until then is taken

DROP TRIGGER users_announce ON users;
CREATE TRIGGER users_announce
    AFTER UPDATE OF plan, suspended_at, email, email_verified, mfa_enabled, platform_role, delete_after, signed_out_at OR DELETE
    ON users FOR EACH ROW EXECUTE FUNCTION announce_user();

-- As in 0020. Sessions go first: a sign-in that takes what is taken back here has the user's row last, too.
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
    UPDATE users u SET signed_out_at = clock_timestamp() WHERE u.app_id = p_app AND u.id = p_user;
    RETURN n;
END $$;
