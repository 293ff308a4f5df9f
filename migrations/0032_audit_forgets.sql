-- Who was erased stays in the audit log as an id that leads to nobody: where he was and by what program goes with him
-- (SECURITY T37). Neither is in the hash of a row, so the chains hold.
CREATE FUNCTION audit_forget() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('quoin.audit_door', 'open', true);
    UPDATE audit_logs a SET ip_address = NULL, user_agent = NULL
     WHERE a.user_id = OLD.id AND (a.ip_address IS NOT NULL OR a.user_agent IS NOT NULL);
    PERFORM set_config('quoin.audit_door', '', true);
    RETURN NULL;
END $$;
CREATE TRIGGER users_forget AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION audit_forget();
