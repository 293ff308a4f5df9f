-- A key of another maker's may carry its proof in itself, as CODITECT-ENT-{COMPANY}-{SEATS}-{YYYYMMDD}-{RSA SIG} does
-- (CONTRACT X10): a signature of 4,096 bits is 684 characters of base64. Checked without a pause: the old rule is the
-- narrower one.

ALTER TABLE licenses DROP CONSTRAINT licenses_license_key_check;
ALTER TABLE licenses ADD CONSTRAINT licenses_license_key_check CHECK (license_key ~ '^[!-~]+$' AND length(license_key) BETWEEN 8 AND 750) NOT VALID;
