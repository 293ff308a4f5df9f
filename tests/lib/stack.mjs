// The running copy that the tests look at: started by `./dev test`, or by hand, and then found through
// TEST_STATE (and TEST_PORT, else the port that it keeps there). All is reached by the verbs of ./dev.
// One file of tests: TEST_STATE=var node --test tests/api/graphs.test.mjs
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Http, raw } from './http.mjs';
import { until } from './wait.mjs';

const run = promisify(execFile);
const HANGS_MS = 120_000;
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const dev = process.env.TEST_DEV ?? path.join(root, 'dev');

export class Stack {
	constructor(state, port) {
		this.state = path.resolve(state);
		this.port = Number(port);
		this.owned = false;
	}

	/** The copy that the environment names. */
	static attach() {
		const { TEST_STATE: state, TEST_PORT: port } = process.env;
		if (!state)
			throw new Error('no copy to test: run ./dev test, or set TEST_STATE to the state directory of one that runs');
		return new Stack(state, port ?? readFileSync(path.join(state, 'port'), 'utf8').trim());
	}

	/** A copy of our own: `./dev up -d`. `env` may hold settings. */
	static async start(state, port, env = {}) {
		const s = new Stack(state, port);
		s.owned = true;
		s.env = env;
		await s.up();
		return s;
	}

	#flags(verb, ...args) {
		return [verb, '--state', this.state, '--port', String(this.port), ...args];
	}

	/** What hangs ends with an error that says so: it must not take the rest of the run with it. */
	dev(verb, ...args) {
		return run(dev, this.#flags(verb, ...args), { cwd: root, env: { ...process.env, ...this.env }, maxBuffer: 64 << 20, timeout: HANGS_MS, killSignal: 'SIGKILL' }).catch((e) => {
			if (e.killed)
				e.message = `nothing from ./dev ${verb} ${args.join(' ').slice(0, 200)} within ${HANGS_MS} ms\n${this.logs()}`;
			throw e;
		});
	}

	async up() {
		// Its children must outlive the call and hold no pipe of ours.
		const child = spawn(dev, this.#flags('up', '-d'), { cwd: root, env: { ...process.env, ...this.env }, stdio: ['ignore', 'inherit', 'inherit'] });
		const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve));
		if (code !== 0)
			throw new Error(`./dev up ended with ${code}`);
		await until('the stack is healthy', async () => (await raw(this.port, 'GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')).replies[0]?.status === 200, { within: 30_000 });
	}

	down() {
		return this.dev('down');
	}

	/** quoinctl against this copy; resolves to its standard output. */
	async ctl(...args) {
		return (await this.dev('ctl', ...args)).stdout;
	}

	/** An account with a password, its address verified, as an operator makes one. */
	async account(app, email, password = 'Correct-horse-7-battery') {
		const id = (await this.ctl('user', 'add', '--app', app, email)).split(' ')[0];
		const child = spawn(dev, this.#flags('ctl', 'user', 'password', '--app', app, email), { cwd: root, stdio: ['pipe', 'ignore', 'inherit'] });
		child.stdin.end(`${password}\n`);
		const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve));
		if (code !== 0)
			throw new Error(`quoinctl user password ended with ${code}`);
		return { id, email, password };
	}

	/** Rows of strings (null as undefined). `args` are psql's: ('-U', 'postgres') is the superuser. */
	async rows(sql, ...args) {
		const { stdout } = await this.dev('psql', ...args, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-P', 'null=\\N', '-F', '\x1f', '-R', '\x1e', '-c', sql);
		const text = stdout.replace(/\n$/, '');
		return text === '' ? [] : text.split('\x1e').map((r) => r.split('\x1f').map((c) => (c === '\\N' ? undefined : c)));
	}

	async one(sql) {
		return (await this.rows(sql))[0]?.[0];
	}

	http(app = 'fig-nodes', options = {}) {
		return new Http({ port: this.port, host: `${app}.localhost`, ...options });
	}

	raw(bytes, options) {
		return raw(this.port, bytes, options);
	}

	get appsDir() {
		return path.join(path.dirname(dev), 'apps');
	}

	/** A file of the shipped apps. */
	appFile(app) {
		return JSON.parse(readFileSync(path.join(this.appsDir, `${app}.json`), 'utf8'));
	}

	/** Loads `app` with these issuers (rows of {issuer, audience, jwks_url, algorithms}) and nothing else changed. */
	async useIssuers(app, rows, change = (x) => x) {
		const file = path.join(this.state, `test-${app}-${process.pid}-${randomUUID()}.json`);
		writeFileSync(file, JSON.stringify(change({ ...this.appFile(app), issuers: rows }), null, '\t'));
		await this.ctl('app', 'apply', file);
	}

	/** Every process below `./dev up`, as {pid, ppid, command, role, pool}. */
	processes() {
		const all = [];
		for (const name of readdirSync('/proc')) {
			if (!/^\d+$/.test(name))
				continue;
			try {
				const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
				const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
				all.push({
					pid: Number(name),
					ppid: Number(rest[1]),
					state: rest[0],
					command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(),
				});
			} catch {
				// gone meanwhile
			}
		}
		return all.filter((p) => p.state !== 'Z');
	}

	logs() {
		const dir = path.join(this.state, 'log');
		if (!existsSync(dir))
			return '';
		return readdirSync(dir).map((f) => `== ${f}\n${readFileSync(path.join(dir, f), 'utf8').slice(-20_000)}`).join('\n');
	}
}
