-- $1 workspace, $2 app, $3 issuer, $4 subject, $5 limit. No row: no such workspace. One row of NULLs: an empty one.
SELECT d.id, d.name, d.version, d.created_at, d.updated_at
  FROM identities i
  JOIN users u ON u.id = i.user_id AND u.suspended_at IS NULL
  JOIN workspace_access a ON a.workspace_id = $1 AND a.app_id = i.app_id AND a.user_id = i.user_id
  LEFT JOIN LATERAL (
       SELECT d.id, d.name, d.version, d.created_at, d.updated_at
         FROM documents d
        WHERE d.workspace_id = a.workspace_id AND d.kind = 'graph'
        ORDER BY d.id DESC LIMIT $5) d ON true
 WHERE i.app_id = $2 AND i.issuer = $3 AND i.subject = $4
