-- A key that was rerolled keeps the end that it had before, for a successor that is asked for again (CONTRACT B26).
ALTER TABLE api_keys
    ADD COLUMN rerolled boolean NOT NULL DEFAULT false,
    ADD COLUMN own_expires_at timestamptz; -- of a rerolled one: the end that its successors have
