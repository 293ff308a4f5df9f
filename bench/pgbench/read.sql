-- The document read as the store has it: --define=docs=N, app=ID, user=ID.
\set i random(100000000001, 100000000000 + :docs)
SELECT d.id, d.workspace_id, d.name, d.version, d.is_public, d.created_at, d.updated_at, document_tag(d.version, d.touched) AS tag,
       (SELECT v.data FROM document_versions v WHERE v.document_id = d.id AND v.version = d.version) AS data
  FROM documents d
 WHERE d.id = ('01930000-0000-7000-8000-' || CAST(:i AS text))::uuid AND d.app_id = :app AND d.kind = 'graph'
   AND EXISTS (SELECT 1 FROM document_access a
                WHERE a.document_id = d.id AND a.app_id = :app AND a.user_id = :user AND a.level >= 1);
