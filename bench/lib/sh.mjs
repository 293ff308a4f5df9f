// Child processes: run one to its end, start one that stays, look at what it holds.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';

// Runs a program, gives its stdout; throws with its stderr when it fails.
export function run(program, args, { input, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (s) => { out += s; });
    child.stderr.setEncoding('utf8').on('data', (s) => { err += s; });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${program} ${args[0] ?? ''} ended with ${signal ?? code}: ${err.trim().slice(-2000)}`));
    });
    child.stdin.on('error', () => {}).end(input ?? '');
  });
}

const started = new Set();

// Starts a program that stays; it is stopped by stop_all, whatever happens.
export function start(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  child.complaint = '';
  child.stderr.setEncoding('utf8').on('data', (s) => { child.complaint = (child.complaint + s).slice(-4000); });
  child.ended = new Promise((resolve) => {
    child.on('error', (e) => { child.complaint += e.message; resolve(); });
    child.on('close', resolve);
  });
  child.ended.then(() => { child.gone = true; });
  started.add(child);
  return child;
}

export async function stop_all() {
  for (const child of started) {
    if (child.gone || !child.pid) continue;
    kill_group(child.pid, 'SIGTERM');
    await Promise.race([child.ended, sleep(3000)]);
    kill_group(child.pid, 'SIGKILL');
    await child.ended;
  }
  started.clear();
}

// Each child leads a process group of its own, so its workers go with it.
function kill_group(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (e) {
    if (e.code !== 'ESRCH') throw e;
  }
}

export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// Polls until `probe` gives something true.
export async function until(what, probe, child, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (child?.gone) throw new Error(`${what}: it ended: ${child.complaint}`);
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms ${child?.complaint ?? ''}`);
    await sleep(50);
  }
}

export function free_port() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// A process and all its descendants.
export function family(pid) {
  let children = [];
  try {
    children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number));
  } catch {
    return [];
  }
  return [pid, ...children.flatMap(family)];
}

// Private memory of a process in MiB: what it alone holds, so what one more of it costs.
export function private_mib(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  let kib = 0;
  for (const [, n] of text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB/gm)) kib += Number(n);
  return kib / 1024;
}

const TICK_US = 10_000; // USER_HZ is 100 wherever Linux runs

// CPU time that processes have had, in microseconds; with `reaped`, also that of their children that ended.
export function cpu_us(pids, reaped = false) {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
      ticks += Number(f[11]) + Number(f[12]) + (reaped ? Number(f[13]) + Number(f[14]) : 0);
    } catch { /* it ended meanwhile */ }
  }
  return ticks * TICK_US;
}

// What all CPUs of the machine did, in microseconds: {busy, all}.
export function machine_us() {
  const [user, nice, system, idle, iowait, irq, softirq, steal] =
    /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))[1].split(' ').map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy: busy * TICK_US, all: (busy + idle + iowait) * TICK_US };
}
