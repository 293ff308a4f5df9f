-- What was used, by day: counted in shared memory and added here in batches (CONTRACT B33, K13).
CREATE TABLE usage_daily (
    app_id uuid NOT NULL,
    user_id uuid NOT NULL,
    day date NOT NULL, -- UTC
    api_calls bigint NOT NULL DEFAULT 0 CHECK (api_calls >= 0),
    PRIMARY KEY (app_id, user_id, day),
    FOREIGN KEY (app_id, user_id) REFERENCES users (app_id, id) ON DELETE CASCADE
) WITH (fillfactor = 80);
