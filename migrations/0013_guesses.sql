-- Guesses at a secret, counted in one round trip (SECURITY T9).

-- A guess at a secret: of a network, of a subject from there, of the subject from everywhere, in that order. Who has
-- to wait for one of them is not counted by the next. One commit for all three, and its rows are locked in one order.
CREATE FUNCTION guess(p_app uuid, p_subjects bytea[], p_free integer[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    wait integer := 0;
BEGIN
    FOR i IN 1 .. cardinality(p_subjects) LOOP
        wait := attempt(p_app, p_subjects[i], p_free[i]);
        EXIT WHEN wait > 0;
    END LOOP;
    RETURN wait;
END $$;

-- It was right: the subject from there begins anew; what others guessed stays counted.
CREATE FUNCTION guessed(p_app uuid, p_subjects bytea[], p_free integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(p_subjects) LOOP
        IF p_free[i] IS NULL THEN
            DELETE FROM attempts t WHERE t.app_id = p_app AND t.subject = p_subjects[i];
        ELSE
            UPDATE attempts t SET tried = greatest(t.tried - 1, 0),
                   blocked_until = CASE WHEN t.tried - 1 < p_free[i] THEN '-infinity' ELSE t.blocked_until END
             WHERE t.app_id = p_app AND t.subject = p_subjects[i];
        END IF;
    END LOOP;
END $$;
