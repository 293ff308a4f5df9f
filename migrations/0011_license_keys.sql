-- Keys that licences are proved with, beside those that tokens are signed with (CONTRACT X10, X11): published
-- before they sign, so that programs can be shipped with them, and long after.
ALTER TABLE signing_keys
    ADD COLUMN use text NOT NULL DEFAULT 'token' CHECK (use IN ('token', 'license')),
    ADD COLUMN signs_at timestamptz NOT NULL DEFAULT now() + interval '10 seconds';
UPDATE signing_keys SET signs_at = created_at + interval '10 seconds';
ALTER TABLE signing_keys
    DROP CONSTRAINT signing_keys_algorithm_check,
    ADD CONSTRAINT signing_keys_algorithm_check
        CHECK (algorithm = CASE use WHEN 'license' THEN 'EdDSA' ELSE 'ES256' END);

-- Two that make the first key at once make one: what is built into programs must not be there twice.
CREATE UNIQUE INDEX signing_keys_license ON signing_keys (app_id) WHERE use = 'license' AND retired_at IS NULL;
