-- A clock that was ahead and was put right (SECURITY F23): what it noted must not shut a door until its time has come.

-- When a job was last put somewhere in the queue: what is put off is so by the clock of then.
ALTER TABLE jobs ADD COLUMN touched_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- As before, but nobody waits longer than a back-off may last.
CREATE OR REPLACE FUNCTION attempt(p_app uuid, p_subject bytea, p_free integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    longest constant integer := 900; -- seconds
    now_is timestamptz := clock_timestamp();
    a attempts;
BEGIN
    INSERT INTO attempts (app_id, subject) VALUES (p_app, p_subject) ON CONFLICT DO NOTHING;
    SELECT * INTO a FROM attempts t WHERE t.app_id = p_app AND t.subject = p_subject FOR UPDATE;
    now_is := clock_timestamp();
    a.blocked_until := least(a.blocked_until, now_is + longest * interval '1 second');
    IF a.blocked_until > now_is THEN
        UPDATE attempts t SET refused = t.refused + 1, blocked_until = a.blocked_until
         WHERE t.app_id = p_app AND t.subject = p_subject;
        RETURN ceil(extract(epoch FROM a.blocked_until - now_is));
    END IF;
    a.tried := CASE WHEN a.last_at < now_is - interval '1 hour' THEN 1 ELSE a.tried + 1 END;
    UPDATE attempts t
       SET tried = a.tried, last_at = now_is,
           blocked_until = CASE WHEN a.tried >= p_free
               THEN now_is + least(power(2, least(a.tried - p_free, 20)), longest) * interval '1 second'
               ELSE '-infinity' END
     WHERE t.app_id = p_app AND t.subject = p_subject;
    RETURN 0;
END $$;
