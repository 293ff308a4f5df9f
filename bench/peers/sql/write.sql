-- $1 document, $2 app, $3 issuer, $4 subject, $5 name, $6 data, $7 its SHA-256, $8 its size, $9 message
-- No row: no such user.
SELECT s.outcome, s.version
  FROM identities i
  JOIN users u ON u.id = i.user_id AND u.suspended_at IS NULL
  CROSS JOIN LATERAL document_save(i.app_id, i.user_id, 'graph', $1, NULL, $5, NULL, $6, $7, $8, $9) s
 WHERE i.app_id = $2 AND i.issuer = $3 AND i.subject = $4
