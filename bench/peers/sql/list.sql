-- $1 workspace, $2 app, $3 user, $4 limit. No row: no such workspace. One row of NULLs: an empty one.
SELECT d.id, d.name, d.version, d.created_at, d.updated_at
  FROM workspace_access a
  LEFT JOIN LATERAL (
       SELECT d.id, d.name, d.version, d.created_at, d.updated_at
         FROM documents d
        WHERE d.workspace_id = a.workspace_id AND d.kind = 'graph'
        ORDER BY d.id DESC LIMIT $4) d ON true
 WHERE a.workspace_id = $1 AND a.app_id = $2 AND a.user_id = $3
