// F31: a migration killed in the middle.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

import { fault, kinds, ms, times } from '../lib/fault.mjs';
import { root } from '../lib/stack.mjs';
import { until } from '../lib/wait.mjs';
import { Wire } from '../lib/wire.mjs';

const run = promisify(execFile);
const DB = 'fault_migrations';
const PAUSE = 4711; // an advisory lock: whoever migrates waits for it where it is told to

const shipped = path.join(root, 'migrations');
const files = readdirSync(shipped).filter((f) => f.endsWith('.sql')).sort();

/** The shipped migrations, and more. */
function withMore(b, texts) {
	const dir = mkdtempSync(path.join(os.tmpdir(), 'quoin-faults-'));
	b.defer(() => rmSync(dir, { recursive: true }));
	cpSync(shipped, dir, { recursive: true });
	for (const [i, sql] of texts.entries())
		writeFileSync(path.join(dir, `${String(files.length + 1 + i).padStart(4, '0')}_fault.sql`), sql);
	return dir;
}

/** quoinctl migrate on `db`; {child, over: exit code or signal, and what it said}. */
function migrate({ copy }, { db = DB, dir = shipped, host = copy.run } = {}) {
	const child = spawn(path.join(copy.build, 'quoinctl'), ['migrate', '--dir', dir], {
		env: { PATH: process.env.PATH, QUOIN_CONFIG: path.join(copy.state, 'quoin.env'), DATABASE_ADMIN_URL: `host=${host} dbname=${db} user=quoin_owner` },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	let said = '';
	child.stdout.on('data', (d) => (said += d));
	child.stderr.on('data', (d) => (said += d));
	return { child, over: new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal, said }))) };
}

/** As an operator would: where it met a request's locks and gave way (a deadlock, lock_timeout), again. */
async function whole(b, options) {
	for (let i = 1; ; i++) {
		const { code, said } = await migrate(b, options).over;
		if (code === 0)
			return i;
		assert.match(said, /deadlock detected|lock timeout/);
		assert.ok(i < 10, said);
	}
}

/** All that migrations make, as text. */
const schema = async ({ copy }) => (await copy.sql(`
	SELECT concat_ws(' ', table_name, column_name, data_type, column_default, is_nullable) FROM information_schema.columns WHERE table_schema = 'public'
	UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
	UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
	UNION ALL SELECT concat(viewname, definition) FROM pg_views WHERE schemaname = 'public'
	UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
	UNION ALL SELECT concat(pg_get_functiondef(oid), proacl) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname <> 'fault_pause'
	UNION ALL SELECT concat_ws(' ', relname, relkind, relowner::regrole, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`, { db: DB })).join('\n');

/** A pause before statement `n` of those that change the schema is over, in the sessions of quoin_owner. */
async function pauseAt({ copy }, db, n) {
	await copy.sql(`CREATE OR REPLACE FUNCTION fault_pause() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE k integer; BEGIN
			IF session_user <> 'quoin_owner' THEN RETURN; END IF;
			k := coalesce(current_setting('fault.n', true), '0')::integer + 1;
			PERFORM set_config('fault.n', k::text, false);
			IF k = ${n} THEN PERFORM pg_advisory_lock_shared(${PAUSE}); END IF;
		END $$;
		DROP EVENT TRIGGER IF EXISTS fault_pause; CREATE EVENT TRIGGER fault_pause ON ddl_command_end EXECUTE FUNCTION fault_pause()`, { db });
}

const unpause = ({ copy }, db) => copy.sql('DROP EVENT TRIGGER IF EXISTS fault_pause; DROP FUNCTION IF EXISTS fault_pause()', { db });

/** Runs a migration to its n-th change and kills it there: the client, or else its backend. false: it has not so many. */
async function killAt(b, n, { db = DB, dir, backend = false } = {}) {
	const { copy } = b;
	const lock = b.session({ db });
	await lock.run(`SELECT pg_advisory_lock(${PAUSE})`);
	await pauseAt(b, db, n);
	const first = migrate(b, { db, dir });
	let ended;
	first.over.then((x) => (ended = x));
	const pid = await until('it waits, or is over', async () => ended ?? (await lock.run(`SELECT pid FROM pg_stat_activity WHERE datname = '${db}' AND usename = 'quoin_owner' AND wait_event = 'advisory'`)), { every: 2 });
	let second;
	if (ended === undefined) {
		if (backend)
			await lock.run(`SELECT pg_terminate_backend(${pid})`);
		else
			first.child.kill('SIGKILL');
		const { code, signal } = await first.over;
		assert.ok(backend ? code > 0 : signal === 'SIGKILL', 'a migration that was killed did not notice');
		second = whole(b, { db, dir }); // at once: the killed one's session may still be at work, and is waited for
	}
	await lock.end();
	if (second === undefined && ended.code !== 0)
		await whole(b, { db, dir });
	await second;
	return second !== undefined;
}

/** As CREATE DATABASE leaves it, for less. */
const fresh = ({ copy }) => copy.sql(`SET client_min_messages = warning; DROP EVENT TRIGGER IF EXISTS fault_pause; DROP SCHEMA public CASCADE;
	CREATE SCHEMA public AUTHORIZATION pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC`, { db: DB });

fault('F31', 'a migration killed at each of its steps: the next run completes it, the old program serves', async (b, ledger) => {
	const { copy } = b;
	b.defer(() => copy.sql(`DROP DATABASE IF EXISTS ${DB} WITH (FORCE)`));
	await copy.sql(`DROP DATABASE IF EXISTS ${DB} WITH (FORCE)`);
	await copy.sql(`CREATE DATABASE ${DB} OWNER quoin_owner`);
	await fresh(b);
	await whole(b);
	const reference = await schema(b);
	assert.match(reference, /CREATE UNIQUE INDEX documents_pkey/);

	// Between the client's requests: before one is heard, and when it was done (by default at every seventh).
	const own = mkdtempSync(path.join(os.tmpdir(), 'quoin-faults-'));
	b.defer(() => rmSync(own, { recursive: true }));
	const wire = await Wire.beside(copy.run, own);
	b.defer(() => wire.out());
	const stride = times(7, 1);
	let between = 0;
	for (let i = 0; ; i += stride) {
		const [step, done] = [i >> 1, i % 2 === 1];
		await fresh(b);
		let n = 0, stopped;
		const child = migrate(b, { host: own });
		const waiting = new Promise((resolve) => (stopped = resolve));
		wire.onHeld = stopped;
		wire.rule = () => {
			if (n++ !== step)
				return 'pass';
			if (done)
				return 'hold';
			stopped();
			return new Promise(() => {});
		};
		await Promise.race([waiting, child.over]);
		child.child.kill('SIGKILL');
		const { signal } = await child.over;
		if (signal !== 'SIGKILL')
			break; // no step of this number
		wire.rule = undefined;
		const tables = await copy.value(`SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'`, { db: DB });
		const recorded = await copy.value(`SELECT to_regclass('schema_migrations')`, { db: DB }) === undefined ? '0' : await copy.value('SELECT count(*) FROM schema_migrations', { db: DB });
		assert.equal(tables !== '0', recorded !== '0', `killed ${done ? 'after' : 'before'} step ${step}: half a migration is there`);
		await whole(b);
		assert.equal(await schema(b), reference);
		between++;
	}
	assert.ok(between * stride >= 2 * (files.length * 3 + 3), `only ${between} kills`);

	// Inside a migration, at every change of the schema (by default at every twentieth).
	let within = 0;
	for (let n = 1; ; n += times(20, 1)) {
		await fresh(b);
		if (!(await killAt(b, n, { backend: within % 2 === 1 })))
			break;
		await unpause(b, DB);
		assert.equal(await schema(b), reference, `killed at change ${n}`);
		within++;
	}
	assert.ok(within > 3, `only ${within} kills`);

	// The next release's, on the database that serves: a column more in every table, a table, a function.
	const tables = (await copy.sql(`SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations' ORDER BY 1`)).map(([x]) => x);
	const dir = withMore(b, [
		...tables.map((x) => `ALTER TABLE ${x} ADD COLUMN fault_column text DEFAULT 'new';\n`),
		`CREATE TABLE fault_new (id uuid PRIMARY KEY, document_id uuid REFERENCES documents (id) ON DELETE CASCADE);
		CREATE FUNCTION fault_function() RETURNS integer LANGUAGE sql AS 'SELECT 1';\n`,
	]);
	// One by one: together they could deadlock with a request.
	const undo = async () => {
		await unpause(b, 'quoin');
		for (const sql of ['DROP TABLE IF EXISTS fault_new', 'DROP FUNCTION IF EXISTS fault_function()', ...tables.map((x) => `ALTER TABLE ${x} DROP COLUMN IF EXISTS fault_column`), `DELETE FROM schema_migrations WHERE version > ${files.length}`])
			await copy.sql(`SET client_min_messages = warning; ${sql}`);
	};
	b.defer(undo);
	const at = Date.now();
	let live = 0;
	for (let n = 1; ; n += times(24, 1)) {
		if (!(await killAt(b, n, { db: 'quoin', dir, backend: live % 2 === 1 })))
			break;
		live++;
		await ledger.during(30);
		await undo();
	}
	assert.ok(live > 1, `only ${live} kills`);
	await unpause(b, 'quoin');
	await ledger.during(100); // on the new schema, with the statements that were prepared on the old one
	for (const pid of copy.workers())
		process.kill(pid, 'SIGTERM');
	await until('new workers serve', () => copy.workers().length === copy.wanted('api'));
	await ledger.during(100); // and by the same program anew
	const seen = ledger.since(at);
	assert.equal(seen.failed, 0, kinds(seen.bad));

	// Behind a long read of the table, a backup say, it gives up before anybody is kept waiting for long.
	await undo();
	const reader = b.session();
	await reader.run('BEGIN; LOCK TABLE documents IN ACCESS SHARE MODE');
	const began = Date.now();
	const refused = await migrate(b, { db: 'quoin', dir }).over;
	const gaveUp = Date.now() - began;
	await ledger.during(60);
	assert.notEqual(refused.code, 0, 'it did not have to wait');
	const meanwhile = ledger.since(began);
	assert.equal(meanwhile.failed, 0, kinds(meanwhile.bad));
	await reader.end();
	await whole(b, { db: 'quoin', dir });
	return { 'kills between statements': between, 'within': within, 'under load': live, 'failed requests': seen.failed, 'longest wait': ms(seen.slowest), 'gave up a lock after': `${ms(gaveUp)}; nobody waited longer than ${ms(meanwhile.slowest)}` };
}, { timeout: 30_000, rate: 10 });
