-- Second factors (X6, SECURITY T14): what passkeys say of themselves, guesses that use up a sign-in that waits for
-- its second factor, and users.mfa_enabled, which follows from what there is.

ALTER TABLE passkeys
    ADD COLUMN transports integer NOT NULL DEFAULT 0, -- bits of QN_TRANSPORT_BIT: hints for the browser
    ADD COLUMN aaguid bytea CHECK (length(aaguid) = 16), -- the model, as it says itself
    ADD COLUMN backup_eligible boolean NOT NULL DEFAULT false,
    ADD COLUMN backed_up boolean NOT NULL DEFAULT false;

ALTER TABLE one_time_tokens ADD COLUMN tried integer NOT NULL DEFAULT 0; -- guesses made under it

-- Who has a factor must show it; recovery codes are for who has one. The user's row is locked before anything is
-- counted, so that of two factors that go at once the second sees the first gone.
CREATE FUNCTION settle_mfa() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whose uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
    has_one boolean;
BEGIN
    PERFORM 1 FROM users WHERE id = whose FOR NO KEY UPDATE;
    has_one := EXISTS (SELECT 1 FROM totp_factors WHERE user_id = whose AND confirmed_at IS NOT NULL)
        OR EXISTS (SELECT 1 FROM passkeys WHERE user_id = whose);
    UPDATE users SET mfa_enabled = has_one WHERE id = whose AND mfa_enabled IS DISTINCT FROM has_one;
    IF NOT has_one THEN
        DELETE FROM recovery_codes WHERE user_id = whose;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER totp_factors_settle AFTER INSERT OR DELETE OR UPDATE OF confirmed_at ON totp_factors
    FOR EACH ROW EXECUTE FUNCTION settle_mfa();
CREATE TRIGGER passkeys_settle AFTER INSERT OR DELETE ON passkeys
    FOR EACH ROW EXECUTE FUNCTION settle_mfa();
