// Licences of the bench, as lua/load.lua asks for them: BENCH-LICENCE- and a number, each with a machine, and
// BENCH-ROOM- and a number, each with room for more machines than ever come.
import { fileURLToPath } from 'node:url';
import { checkpoint, psql } from './seed.mjs';
import { pgbench, wrk } from './wrk.mjs';

export const LICENCES = 5000;
const ROOM = 10_000;
const DEVICE = fileURLToPath(new URL('../pgbench/device.sql', import.meta.url));

const issue = (owner, prefix, machines) => `SELECT count(*) FROM generate_series(1, ${LICENCES}) i, LATERAL license_issue(
  '${owner.app}', gen_random_uuid(), '${prefix}' || (100000000000 + i), '{"imported":true,"max_devices":${machines}}', '{}');`;

export async function seed_licences({ admin, owner }) {
  await psql(admin, `${issue(owner, 'BENCH-LICENCE-', 3)}
    INSERT INTO license_devices (id, license_id, machine_id) SELECT gen_random_uuid(), id, 'sha256:' || license_key FROM licenses
     WHERE license_key LIKE 'BENCH-LICENCE-%' ON CONFLICT DO NOTHING; ANALYZE licenses, license_devices;`);
}

// Each round begins with licences that have no machine.
export async function device_contenders(stack) {
  const { admin, owner, quoin } = stack;
  await psql(admin, issue(owner, 'BENCH-ROOM-', ROOM));
  const before = async () => {
    await psql(admin, `DELETE FROM license_devices WHERE machine_id LIKE 'bench-machine-%'; VACUUM ANALYZE licenses;
      VACUUM ANALYZE license_devices;`);
    await checkpoint(admin);
  };
  const seats = async () => Number(await psql(admin, "SELECT count(*) FROM license_devices WHERE machine_id LIKE 'bench-machine-%'"));
  return [
    {
      name: 'pgbench',
      before,
      run: (seconds) => pgbench(stack.db, { file: DEVICE, variables: { app: owner.app } }, { seconds, docs: LICENCES, clients: stack.workers }),
    },
    {
      name: 'quoin',
      serving: quoin.serving,
      before,
      async run(seconds) {
        const r = await wrk(quoin, 'device', { seconds, docs: LICENCES });
        const given = await seats();
        if (given < r.answered) throw new Error(`${r.answered} machines were let in and ${given} have a seat`);
        return r;
      },
    },
  ];
}
