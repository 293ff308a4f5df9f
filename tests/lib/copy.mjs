// The processes of the copy under test, by name: to kill, freeze and restart them as an operator or a bad
// day would, with the functions of dev.d that started them. Only what that copy started is ever touched.
import { execFile, spawn } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

import { root } from './stack.mjs';
import { until } from './wait.mjs';

const run = promisify(execFile);
const PG = '/usr/lib/postgresql/15/bin';
export const POOLS = ['api', 'slow', 'ingest', 'jobs'];

/** enum qn_stage */
export const STAGES = ['empty', 'start', 'idle', 'read', 'handle', 'leave'];

/** As ./dev begins, with the copy's state open; then the words that follow. */
const SHELL = `set -euo pipefail; umask 022
SRC=$1 STATE=$2 CALLER=$PWD BUILD='' PORT='' DETACH='' TESTING=yes
for f in say packages state build stack; do . "$SRC/dev.d/$f.sh"; done
shift 2; state_open`;

function statOf(pid) {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
		return text.slice(text.lastIndexOf(')') + 2).split(' ');
	} catch {
		return undefined;
	}
}

/** A process that is there and no zombie; `since` is its start time in ticks, where pids may come again. */
export function alive(pid, since) {
	const stat = statOf(pid);
	return stat !== undefined && stat[0] !== 'Z' && (since === undefined || stat[19] === String(since));
}

/** Ticks of CPU (hundredths of a second) that it has used. */
export function cpuTicks(pid) {
	const stat = statOf(pid);
	return stat ? Number(stat[11]) + Number(stat[12]) : 0;
}

export function signal(pid, name) {
	try {
		process.kill(pid, name);
		return true;
	} catch (e) {
		if (e.code !== 'ESRCH')
			throw e;
		return false;
	}
}

export class Copy {
	constructor(stack) {
		this.stack = stack;
		this.state = stack.state;
		this.settings = Object.fromEntries(
			readFileSync(path.join(this.state, 'quoin.env'), 'utf8').split('\n').filter(Boolean).map((l) => [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]),
		);
		this.run = this.settings.QUOIN_RUN_DIR;
		this.build = readFileSync(path.join(this.state, 'builddir'), 'utf8').trim();
		this.masters = {}; // of pools that we supervise ourselves
	}

	/** nginx, postgres, memcached or a pool's master; undefined when it is gone. */
	pid(name) {
		if (this.masters[name] !== undefined)
			return alive(this.masters[name]) ? this.masters[name] : undefined;
		try {
			const [pid, since] = readFileSync(path.join(this.state, 'run', `${name}.pid`), 'utf8').split(' ');
			return alive(Number(pid), since) ? Number(pid) : undefined;
		} catch {
			return undefined;
		}
	}

	children(pid) {
		try {
			return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number).filter((p) => alive(p));
		} catch {
			return [];
		}
	}

	/** The lines of a pool's board that have a living worker: {pid, stage, route, since} (since: seconds ago). */
	board(pool = 'api') {
		const bytes = readFileSync(path.join(this.run, `${pool}.board`));
		const now = process.hrtime.bigint() / 1000n;
		const found = [];
		for (const pid of this.children(this.pid(pool))) {
			// struct qn_board_worker: pid, stage, route, (4), since_us, requests, arena_peak
			const mark = Buffer.alloc(4);
			mark.writeInt32LE(pid);
			for (let at = bytes.indexOf(mark, 64); at >= 0; at = bytes.indexOf(mark, at + 1)) {
				if (at % 8 !== 0 || bytes.readInt32LE(at + 4) < 1 || bytes.readInt32LE(at + 4) >= STAGES.length)
					continue;
				found.push({
					pid,
					stage: STAGES[bytes.readInt32LE(at + 4)],
					route: bytes.readInt32LE(at + 8),
					since: Number(now - bytes.readBigInt64LE(at + 16)) / 1e6,
				});
				break;
			}
		}
		return found;
	}

	/** Does what the listeners of these pools are told of, and waits until they have heard: no worker believes what it knew before. */
	async heard(work, pools = ['api', 'slow']) {
		// struct qn_board: magic, layout, pool, master, started_us, config_gen, (4), listener_us, revocations
		const heard = () => pools.map((p) => readFileSync(path.join(this.run, `${p}.board`)).readUInt32LE(40));
		const before = heard();
		const done = await work();
		await until(`${pools} have heard`, () => heard().every((n, i) => n !== before[i]), { every: 5 });
		return done;
	}

	/** Workers of a pool that serve. */
	workers(pool = 'api') {
		return this.board(pool).filter((w) => ['idle', 'read', 'handle'].includes(w.stage)).map((w) => w.pid);
	}

	wanted(pool) {
		const key = `QUOIN_${pool.toUpperCase()}_WORKERS`;
		return Number(process.env[key] ?? this.settings[key] ?? { api: 4, slow: 4, ingest: 1, jobs: 1 }[pool]);
	}

	/** Functions of dev.d, on this copy: shell('up_pools'). What they start outlives the call. */
	async shell(...words) {
		const child = spawn('bash', ['-c', `${SHELL}; "$@"`, 'faults', root, this.state, ...words], { stdio: ['ignore', 'ignore', 'pipe'], cwd: root });
		let said = '';
		child.stderr.on('data', (d) => (said += d));
		const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve));
		child.stderr.destroy();
		if (code !== 0)
			throw new Error(`${words.join(' ')} ended with ${code}: ${said}`);
	}

	/** SQL as the superuser (or `user`): rows of strings, null as undefined. */
	async sql(text, { user = 'postgres', db = 'quoin' } = {}) {
		const { stdout } = await run(`${PG}/psql`, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-P', 'null=\\N', '-F', '\x1f', '-R', '\x1e', '-h', this.run, '-U', user, '-d', db, '-c', text], {
			maxBuffer: 64 << 20,
			env: { PATH: process.env.PATH },
		});
		const out = stdout.replace(/\n$/, '');
		return out === '' ? [] : out.split('\x1e').map((r) => r.split('\x1f').map((c) => (c === '\\N' ? undefined : c)));
	}

	async value(text, options) {
		return (await this.sql(text, options))[0]?.[0];
	}

	/** A session that stays open, for holding locks. */
	session(options) {
		return new Session(this, options);
	}

	async answers() {
		try {
			await run(`${PG}/pg_isready`, ['-q', '-h', this.run], { env: { PATH: process.env.PATH } });
			return true;
		} catch {
			return false;
		}
	}

	/** One command to memcached; resolves to its answer up to `end`. */
	memcached(command, end) {
		return new Promise((resolve, reject) => {
			const socket = net.connect(path.join(this.run, 'memcached.sock'), () => socket.write(command));
			let said = '';
			socket.setTimeout(10_000, () => socket.destroy(new Error(`memcached: no ${end}`)));
			socket.on('data', (d) => {
				said += d.toString('latin1');
				if (!said.includes(end))
					return;
				socket.destroy();
				resolve(said);
			});
			socket.on('error', reject);
		});
	}

	/** Samples of /metrics, summed over labels: metric('quoin_worker_deaths_total', 'pool="api"'). */
	async metric(name, label = '') {
		const reply = await this.stack.raw('GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
		return reply.replies[0].text.split('\n').filter((l) => l.startsWith(`${name}{`) && l.includes(label)).reduce((n, l) => n + Number(l.slice(l.lastIndexOf(' ') + 1)), 0);
	}

	log(name) {
		return readFileSync(path.join(this.state, 'log', `${name}.log`), 'utf8');
	}

	/** The workers of these pools make room for others, which have the settings of now. */
	async reload(...pools) {
		const old = pools.map((p) => this.children(this.pid(p)));
		for (const p of pools)
			signal(this.pid(p), 'SIGHUP');
		await until(`the workers of ${pools} are new`, () => pools.every((p, i) => {
			const now = this.workers(p);
			return now.length >= this.wanted(p) && !this.children(this.pid(p)).some((pid) => old[i].includes(pid));
		}), { within: 30_000, every: 5 });
	}

	/** The pools with these settings more; returns what takes them back. */
	async configure(pools, more) {
		const file = path.join(this.state, 'quoin.env');
		const was = readFileSync(file, 'utf8');
		const put = async (text) => {
			writeFileSync(file, text);
			await this.reload(...pools);
		};
		await put(was + Object.entries(more).map(([k, v]) => `${k}=${v}\n`).join(''));
		return () => put(was);
	}

	/**
	 * Postgres and the pools, started anew with a clock that set('+1d') moves; nginx, memcached and we keep ours. The
	 * monotonic clock is left alone, as a real one would be. end() gives all of them the true time back.
	 */
	async clock() {
		const file = path.join(this.state, 'clock');
		const lib = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';
		const passed = [`LD_PRELOAD=${lib}`, `FAKETIME_TIMESTAMP_FILE=${file}`, 'FAKETIME_CACHE_DURATION=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'NO_FAKE_STAT=1'];
		const anew = (words) => this.shell('eval', `${words}; stop TERM 30 "\${POOLS[@]}"; stop INT 30 postgres; up_postgres; up_pools`);
		// Each looks at it anew once a second: they are held until all of them will, as none is ahead of another where there is one clock.
		const set = async (offset) => {
			const held = ['postgres', ...POOLS].flatMap((name) => {
				const pid = this.pid(name);
				signal(pid, 'SIGSTOP'); // it makes no more children
				return [pid, ...this.children(pid)];
			});
			const at = performance.now();
			try {
				held.forEach((pid) => signal(pid, 'SIGSTOP'));
				writeFileSync(file, `${offset}\n`);
				await until('every process will look at it anew', () => performance.now() - at > 2000);
			} finally {
				held.forEach((pid) => signal(pid, 'SIGCONT'));
			}
			const wanted = () => Date.now() / 1000 + ({ '+0': 0, '+1d': 86_400, '-1h': -3600 })[offset];
			await until(`the clock says ${offset}`, async () => Math.abs(Number(await this.value('SELECT extract(epoch FROM clock_timestamp())')) - wanted()) < 2);
		};
		writeFileSync(file, '+0\n');
		await anew(`passed_on() { printf '%s\\n' ${passed.join(' ')}; }`);
		return { set, end: () => anew(':') };
	}

	/** Waits until none of these processes is left. */
	gone(pids, what, options) {
		return until(`${what} is gone`, () => pids.every((p) => !alive(p)), options);
	}

	/**
	 * The pool as systemd runs it: somebody else holds the socket, hands it over as standard input, and
	 * starts the master again when it ends, `restart` seconds later. Returns the supervisor; end() gives
	 * the pool back to ./dev's own master.
	 */
	async supervise(pool, { restart = 0.5 } = {}) {
		await this.shell('stop', 'TERM', '30', pool);
		return Supervisor.start(this, pool, restart);
	}
}

class Session {
	constructor(copy, { user = 'postgres', db = 'quoin' } = {}) {
		this.child = spawn(`${PG}/psql`, ['-X', '-q', '-A', '-t', '-h', copy.run, '-U', user, '-d', db], { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env.PATH } });
		this.n = 0;
		this.out = '';
		this.said = '';
		this.child.stdout.on('data', (d) => (this.out += d));
		this.child.stderr.on('data', (d) => (this.said += d));
		this.child.stdin.on('error', () => {});
	}

	/** Runs SQL and waits until it is done; what it printed. */
	async run(sql, { within = 30_000 } = {}) {
		const mark = `done-${++this.n}`;
		this.out = '';
		this.child.stdin.write(`${sql};\n\\echo ${mark}\n`);
		await until(`psql has run ${sql}`, () => this.out.includes(mark), { within, every: 2 });
		return this.out.slice(0, this.out.indexOf(mark)).trim();
	}

	async end() {
		if (this.child.exitCode !== null || this.child.signalCode !== null)
			return;
		const over = new Promise((resolve) => this.child.once('exit', resolve));
		this.child.kill('SIGKILL');
		await over;
	}
}

class Supervisor {
	static async start(copy, pool, restart) {
		const s = new Supervisor();
		Object.assign(s, { copy, pool, starts: 0 });
		const final = path.join(copy.run, `${pool}.sock`);
		const server = net.createServer();
		await new Promise((resolve, reject) => server.once('error', reject).listen({ path: `${final}.held`, backlog: 4096, writableAll: true, readableAll: true }, resolve));
		const loop = `${SHELL}
exec 6<&0 </dev/null
mapfile -t passed < <(passed_on)
trap 'exit 0' TERM
while :; do
	"\${AS[@]}" env -i PATH="$PATH" HOME=/nonexistent TZ=UTC "\${passed[@]}" QUOIN_CONFIG="$STATE/quoin.env" "$BUILD/quoind" "--pool=$1" <&6 >>"$STATE/log/$1.log" 2>&1 3>&- 6<&- &
	echo $! >&3
	wait $! || true
	[ "$2" = 0 ] || sleep "$2"
done`;
		s.child = spawn('bash', ['-c', loop, 'supervisor', root, copy.state, pool, String(restart)], { stdio: [server._handle.fd, 'ignore', 'ignore', 'pipe'], cwd: root });
		s.child.stdio[3].on('data', (d) => {
			for (const line of d.toString().trim().split('\n')) {
				copy.masters[pool] = Number(line);
				s.starts++;
			}
		});
		renameSync(`${final}.held`, final); // nobody knew the other name, so nobody has connected to us
		server.close();
		await s.serving();
		return s;
	}

	serving(within = 10_000) {
		const { copy, pool } = this;
		return until(`${pool} serves`, () => copy.pid(pool) && copy.workers(pool).length >= copy.wanted(pool), { within, every: 5 });
	}

	get master() {
		return this.copy.masters[this.pool];
	}

	async end() {
		const { copy, pool, child, master } = this;
		if (this.ended)
			return;
		this.ended = true;
		const over = new Promise((resolve) => (child.exitCode !== null ? resolve() : child.once('exit', resolve)));
		child.kill('SIGTERM'); // it ends when its `wait` does
		signal(master, 'SIGTERM');
		await copy.gone([master], 'the supervised master', { within: 30_000 });
		child.kill('SIGKILL');
		await over;
		delete copy.masters[pool];
		await copy.shell('up_pools');
		await this.serving();
	}
}
