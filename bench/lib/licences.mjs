// Licences of the bench: BENCH-LICENCE- and a number, each with a machine, as lua/load.lua asks for them.
import { psql } from './seed.mjs';

export const LICENCES = 5000;

export async function seed_licences({ admin, owner }) {
  await psql(admin, `SELECT count(*) FROM generate_series(1, ${LICENCES}) i, LATERAL license_issue('${owner.app}', gen_random_uuid(),
      'BENCH-LICENCE-' || (100000000000 + i), '{"imported":true,"max_devices":3}', '{}');
    INSERT INTO license_devices (id, license_id, machine_id) SELECT gen_random_uuid(), id, 'sha256:' || license_key FROM licenses
     WHERE license_key LIKE 'BENCH-LICENCE-%' ON CONFLICT DO NOTHING; ANALYZE licenses, license_devices;`);
}
