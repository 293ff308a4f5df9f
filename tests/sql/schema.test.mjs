// The schema and the statements, on a copy that ./dev test has started: what is migrated, what the workers' role may
// not do, and that every statement is understood and finds its rows by an index.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const DEV = process.env.TEST_DEV ?? path.join(root, 'dev');
const STATE = process.env.TEST_STATE ?? path.join(root, 'var');
const migrations = path.join(root, 'migrations');

const scratch = mkdtempSync(path.join(os.tmpdir(), 'quoin-sql-'));
after(() => rmSync(scratch, { recursive: true }));

function dev(verb, args, input) {
  const r = spawnSync(DEV, [verb, '--state', STATE, ...args], { input, encoding: 'utf8' });
  return { ok: r.status === 0, out: r.stdout, text: r.stdout + r.stderr };
}

const psql = (sql, user = 'quoin_owner') =>
  dev('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-U', user, '-f', '-'], sql);

function rows(sql) {
  const r = psql(sql);
  assert.ok(r.ok, r.text);
  return r.out.split('\n').filter((line) => line !== '');
}

// Name, kind, number of parameters, text, as `quoinctl statements` lists them.
function statements() {
  const lines = dev('ctl', ['statements']).out.split('\n');
  const all = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [name, kind, n] = lines[i].split(' ');
    all.push({ name, kind, n: Number(n), text: lines[i + 1].trim() });
  }
  return all;
}

const names = readdirSync(migrations).filter((name) => name.endsWith('.sql')).sort();
const next = `${String(names.length + 1).padStart(4, '0')}_try.sql`;

// A folder with the migrations and this text in one of them.
function folder(name, text) {
  const dir = mkdtempSync(path.join(scratch, 'migrations-'));
  cpSync(migrations, dir, { recursive: true });
  appendFileSync(path.join(dir, name), text);
  return dir;
}

const migrate = (dir, ...args) => dev('ctl', ['migrate', ...args, '--dir', dir]);
const applied = () => rows('SELECT version FROM schema_migrations ORDER BY version');

describe('migrations', () => {
  test('all are applied, and again is nothing', () => {
    assert.deepEqual(applied().map(Number), names.map((name) => Number(name.slice(0, 4))));
    const r = migrate(migrations);
    assert.ok(r.ok, r.text);
    assert.match(r.text, /up to date/);
  });

  test('one that was changed after it was applied is refused', () => {
    const r = migrate(folder(names.at(-1), '-- a word more\n'));
    assert.ok(!r.ok, r.text);
    assert.match(r.text, new RegExp(names.at(-1)));
  });

  test('one that fails leaves nothing behind', () => {
    const before = applied();
    const r = migrate(folder(next, 'CREATE TABLE try (a int);\nSELECT 1 / 0;\n'));
    assert.ok(!r.ok, r.text);
    assert.match(r.text, /division by zero/);
    assert.deepEqual(applied(), before);
    assert.deepEqual(rows("SELECT to_regclass('try') IS NULL"), ['t']);
  });

  test('a dry run changes nothing', () => {
    const before = applied();
    const r = migrate(folder(next, 'CREATE TABLE try (a int);\n'), '--dry-run');
    assert.ok(r.ok, r.text);
    assert.match(r.text, new RegExp(next));
    assert.deepEqual(applied(), before);
  });
});

describe("the workers' role", () => {
  const may_not = [
    'CREATE TABLE mine (a int)',
    'CREATE SCHEMA mine',
    'ALTER TABLE users ADD COLUMN mine int',
    'DROP TABLE users',
    'TRUNCATE users',
    'CREATE OR REPLACE FUNCTION announce_job() RETURNS trigger LANGUAGE sql AS $$ SELECT NULL $$',
    'DROP TRIGGER users_announce ON users',
    "INSERT INTO schema_migrations (version, name, sha256) VALUES (9999, 'mine', '')",
    'SET ROLE quoin_owner',
    'CREATE ROLE mine',
    "COPY users TO '/tmp/mine'",
    "COPY users TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
  ];
  for (const sql of may_not)
    test(`may not ${sql.slice(0, 50)}`, () => {
      const r = psql(`${sql};`, 'quoin');
      assert.ok(!r.ok, 'it could');
      assert.match(r.text, /permission denied|must be owner|must be superuser/);
    });

  test('may read and write rows', () => {
    const r = psql('BEGIN; SELECT count(*) FROM users; DELETE FROM jobs; ROLLBACK;', 'quoin');
    assert.ok(r.ok, r.text);
  });

  test('has deadlines', () => {
    const r = psql("SELECT count(*) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND setting::int > 0;", 'quoin');
    assert.equal(r.out.trim(), '3', r.text);
  });
});

describe('statements', () => {
  test('Postgres understands every one', () => {
    const r = dev('ctl', ['statements', '--check']);
    assert.ok(r.ok, r.text);
  });

  // Tables that have few rows however many users there are.
  const small = new Set(['apps', 'stripe_accounts', 'identity_providers', 'issuers', 'saml_connections', 'signing_keys', 'schema_migrations']);

  // Asked by an operator now and then, not by a worker.
  const rare = new Set(['JOB_LIST', 'MAIL_LIST', 'AUDIT_CHAINS']);
  const all = statements();
  test('are listed', () => assert.ok(all.length > 20));
  for (const s of all.filter((x) => !rare.has(x.name)))
    test(`${s.name} finds its rows by an index`, () => {
      const args = s.n > 0 ? `(${Array(s.n).fill('NULL').join(', ')})` : '';
      const plan = rows(`SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
        PREPARE it AS ${s.text};
        EXPLAIN EXECUTE it${args};`);
      const scanned = plan.map((line) => /Seq Scan on (\w+)/.exec(line)?.[1]).filter((t) => t && !small.has(t));
      assert.deepEqual(scanned, [], plan.join('\n'));
    });
});
