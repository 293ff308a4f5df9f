-- $1 app, $2 issuer, $3 subject
SELECT i.user_id FROM identities i JOIN users u ON u.id = i.user_id
 WHERE i.app_id = $1 AND i.issuer = $2 AND i.subject = $3 AND u.suspended_at IS NULL
