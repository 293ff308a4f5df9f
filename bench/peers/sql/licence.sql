-- What a licence allows on a machine: $1 app, $2 key, $3 machine.
SELECT license_plan(l) AS tier, l.expires_at, license_features(l) AS features, license_quotas(l) AS quotas,
       l.status = 'ACTIVE' AND (l.expires_at IS NULL OR l.expires_at > now()) AND EXISTS (
           SELECT 1 FROM license_devices d WHERE d.license_id = l.id AND d.machine_id = $3) AS valid
  FROM licenses l WHERE l.app_id = $1 AND l.key_hash = sha256(convert_to($2, 'UTF8'))
