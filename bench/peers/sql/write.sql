-- $1 document, $2 app, $3 user, $4 name, $5 data, $6 its SHA-256, $7 its size, $8 message
SELECT outcome, version FROM document_save($2, $3, 'graph', $1, NULL, $4, NULL, $5, $6, $7, $8)
