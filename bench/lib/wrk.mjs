// One run of a load generator, as {rps, p50, p99}: requests per second, milliseconds; wrk's has beside them `answered`,
// how many were, and of these `unmarked`: how many did not have `mark` in them. A run in which any
// request failed or was answered with an error is no measurement: it throws.
import { fileURLToPath } from 'node:url';
import { run } from './sh.mjs';

const LUA = fileURLToPath(new URL('../lua/load.lua', import.meta.url));
export const CONNECTIONS = 32;
const NOBODY = ['constant', 'sign-in', 'webhook']; // show no credential
let nonce = Math.floor(Date.now() / 1000) % 1000;

// `credential` is a header line in place of the target's token; `delay_ms` is a pause before each request. Of so great
// a part of the requests as `refused` the answer may be an error: they are not counted.
export async function wrk(target, workload, { seconds, docs, path, body, events, mark, credential, delay_ms, connections = CONNECTIONS, refused = 0 }) {
  const threads = Math.min(2, connections);
  nonce = (nonce + 1) % 8000;
  const env = {
    PATH: process.env.PATH,
    BENCH_WORKLOAD: workload,
    BENCH_HOST: target.host ?? '127.0.0.1',
    BENCH_DOCS: String(docs ?? 1),
    BENCH_NONCE: String(nonce),
    ...(path ? { BENCH_PATH: path } : {}),
    ...(NOBODY.includes(workload) ? {} : { BENCH_CREDENTIAL: credential ?? `Authorization: Bearer ${target.auth.token}` }),
    ...(delay_ms ? { BENCH_DELAY_MS: String(delay_ms) } : {}),
    ...(body ? { BENCH_BODY: body } : {}),
    ...(events ? { BENCH_EVENTS: events, BENCH_THREADS: String(threads) } : {}),
    ...(mark ? { BENCH_MARK: mark } : {}),
  };
  const out = await run('wrk', [`-t${threads}`, `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', LUA,
    `http://127.0.0.1:${target.port}/`], { env });
  const r = JSON.parse(out.trim().split('\n').at(-1));
  if (r.errors > r.refused || r.refused > refused * r.requests) throw new Error(`${target.name}, ${workload}: ${r.errors} of ${r.requests} requests failed\n${out}`);
  if (r.requests === 0) throw new Error(`${target.name}, ${workload}: not one answer`);
  const answered = r.requests - r.refused;
  return { rps: answered / (r.us / 1e6), p50: r.p50 / 1000, p99: r.p99 / 1000, answered, unmarked: r.unmarked };
}

export async function pgbench(db, script, { seconds, docs, clients = 8 }) {
  const defines = Object.entries({ docs, ...script.variables }).map(([k, v]) => `--define=${k}=${v}`);
  const out = await run('pgbench', ['-n', '-M', 'prepared', '-c', String(clients), '-j', '2', '-T', String(seconds),
    '-h', db.host, '-p', String(db.port), '-U', db.user, ...defines, '-f', script.file, db.name]);
  if (!/number of failed transactions: 0 /.test(out)) throw new Error(`pgbench: ${out}`);
  const rps = Number(/tps = ([\d.]+) \(without/.exec(out)[1]);
  const p50 = Number(/latency average = ([\d.]+) ms/.exec(out)[1]); // the mean: it gives no more
  return { rps, p50, p99: NaN };
}

export function median(numbers) {
  const sorted = numbers.filter((n) => !Number.isNaN(n)).sort((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const mid = sorted.length >> 1;
  return sorted.length % 2 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
}
