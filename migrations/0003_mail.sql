-- Mail that is on its way or was (CONTRACT B4, C29, D11; SECURITY F29). A mail is added in the transaction of
-- its effect, together with its job, so it leaves at least once if that commits, and never if it does not.

CREATE TABLE mails (
    id uuid PRIMARY KEY,
    app_id uuid NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE SET NULL,
    to_address text NOT NULL CHECK (length(to_address) BETWEEN 3 AND 320 AND to_address !~ '[[:cntrl:]]'),
    template text NOT NULL CHECK (template ~ '^[a-z][a-z-]{0,39}$'),
    variables bytea, -- what the template puts in: sealed, as there are tokens among it, and kept only while it is needed
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'failed', 'bounced')),
    attempts integer NOT NULL DEFAULT 0,
    last_error text CHECK (length(last_error) <= 1000),
    message_id text, -- of the mail that was sent
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    CHECK ((state = 'queued') = (variables IS NOT NULL)),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX mails_app ON mails (app_id, id DESC);
CREATE INDEX mails_user ON mails (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX mails_age ON mails USING brin (created_at);
