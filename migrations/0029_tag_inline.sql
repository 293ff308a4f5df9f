-- The tag of a document, written so that Postgres puts the expression into the statement: || of a text and a number is only
-- STABLE, so the function could not be inlined, and each call planned it anew, which was a third of the read of a document.

CREATE OR REPLACE FUNCTION document_tag(p_version integer, p_touched integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'v' || p_version::text || CASE WHEN p_touched > 0 THEN '.' || p_touched::text ELSE '' END
$$;
