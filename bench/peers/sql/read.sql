-- $1 document, $2 app, $3 issuer, $4 subject. The data by a subquery, not a join: a join may be planned to walk
-- all versions.
SELECT d.id, d.name, d.version, d.created_at, d.updated_at,
       (SELECT v.data FROM document_versions v WHERE v.document_id = d.id AND v.version = d.version) AS data
  FROM documents d
  JOIN identities i ON i.app_id = d.app_id AND i.issuer = $3 AND i.subject = $4
  JOIN users u ON u.id = i.user_id AND u.suspended_at IS NULL
 WHERE d.id = $1 AND d.app_id = $2 AND d.kind = 'graph'
   AND EXISTS (SELECT 1 FROM document_access a
                WHERE a.document_id = d.id AND a.app_id = d.app_id AND a.user_id = i.user_id)
