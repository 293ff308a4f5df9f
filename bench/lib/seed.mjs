// The data: document i has the id DOCUMENT + (10^11 + i), a thousand of them to a workspace, all of one user.
// Twelve decimal digits at the end of a UUIDv7 count up like its time stamp does, and wrk's script and
// pgbench can make them without a list.
import { run } from './sh.mjs';
import { make_document } from './document.mjs';

export const DOCUMENT = '01930000-0000-7000-8000-';
export const WORKSPACE = '01930000-0000-7000-8001-';
export const VERSIONED = '01930000-0000-7000-8002-';
const FIRST = 100_000_000_000;
const PER_WORKSPACE = 1000;
const PER_STATEMENT = 50_000;

export const id = (prefix, i) => prefix + (FIRST + i);

export function psql(db, sql) {
  return run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', db.host, '-p', String(db.port), '-U', db.user,
    '-d', db.name, '-f', '-'], { input: sql });
}

const quote = (s) => `'${String(s).replaceAll("'", "''")}'`;

// The template as SQL: its twelve digits replaced by the expression `digits`.
function document_sql(digits) {
  const [before, after] = JSON.stringify(make_document()).split('999999999999');
  return `${quote(before)} || ${digits} || ${quote(after)}`;
}

// Documents up to `count`, beyond those that are there.
export async function seed_documents(db, owner, count) {
  let have = Number(await psql(db, `SELECT count(*) FROM documents WHERE id >= '${id(DOCUMENT, 1)}'
    AND id <= '${id(DOCUMENT, 99_999_999)}'`));
  if (have > count) throw new Error(`there are ${have} documents already, more than ${count}: use a fresh --state`);
  await psql(db, `INSERT INTO workspaces (id, app_id, owner_id, name)
    SELECT ('${WORKSPACE}' || (${FIRST} + w))::uuid, ${quote(owner.app)}, ${quote(owner.user)}, 'Bench ' || w
      FROM generate_series(1, ${Math.ceil(count / PER_WORKSPACE)}) w ON CONFLICT DO NOTHING;`);
  while (have < count) {
    const upto = Math.min(count, have + PER_STATEMENT);
    await psql(db, `WITH made AS MATERIALIZED (
        SELECT i, ('${DOCUMENT}' || (${FIRST}::bigint + i))::uuid AS id, ${document_sql(`(${FIRST}::bigint + i)`)} AS data
          FROM generate_series(${have + 1}, ${upto}) i),
      heads AS (
        INSERT INTO documents (id, app_id, workspace_id, kind, name, sha256)
        SELECT id, ${quote(owner.app)}, ('${WORKSPACE}' || (${FIRST}::bigint + (i + 999) / 1000))::uuid, 'graph',
               'Graph ' || i, sha256(convert_to(data, 'UTF8')) FROM made)
      INSERT INTO document_versions (document_id, version, data, sha256, size, created_by)
      SELECT id, 1, data::json, sha256(convert_to(data, 'UTF8')), octet_length(data), ${quote(owner.user)} FROM made;`);
    have = upto;
  }
  await settle(db);
}

// One document of `count` versions per number in `counts`; gives their ids.
export async function seed_versions(db, owner, counts) {
  const ids = counts.map((n) => id(VERSIONED, n));
  await psql(db, `INSERT INTO workspaces (id, app_id, owner_id, name)
    VALUES ('${id(WORKSPACE, 0)}', ${quote(owner.app)}, ${quote(owner.user)}, 'Bench versions') ON CONFLICT DO NOTHING;`);
  for (const [k, count] of counts.entries()) {
    await psql(db, `DELETE FROM documents WHERE id = '${ids[k]}';
      INSERT INTO documents (id, app_id, workspace_id, kind, name, version, sha256)
      SELECT '${ids[k]}', ${quote(owner.app)}, '${id(WORKSPACE, 0)}', 'graph', 'Versions ${count}', ${count},
             sha256(convert_to(${document_sql(`(${FIRST}::bigint + ${count})`)}, 'UTF8'));
      INSERT INTO document_versions (document_id, version, data, sha256, size, created_by)
      SELECT '${ids[k]}', i, data::json, sha256(convert_to(data, 'UTF8')), octet_length(data), ${quote(owner.user)}
        FROM (SELECT i, ${document_sql(`(${FIRST}::bigint + i)`)} AS data FROM generate_series(1, ${count}) i) v;`);
  }
  await settle(db);
  return ids;
}

// What Postgres would do later by itself, in the middle of a round.
export async function settle(db) {
  await psql(db, 'VACUUM (ANALYZE) workspaces; VACUUM (ANALYZE) documents; VACUUM (ANALYZE) document_versions;');
  await checkpoint(db);
}

export async function checkpoint(db) {
  await psql(db, 'CHECKPOINT').catch((e) => {
    if (!/permission|privilege|superuser/i.test(e.message)) throw e;
  });
}
