// The running copy of Quoin that is measured, found by its state directory: its database, a user with a token,
// its workers, and an nginx of our own with one more location, behind which the bare libfcgi reply sits. Quoin
// and the bare reply are both measured through that nginx.
import { chmodSync, existsSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { own, start_nginx } from './nginx.mjs';
import { build_constant } from './peers.mjs';
import { psql } from './seed.mjs';
import { family, private_mib, run, start, until } from './sh.mjs';

const DEV = fileURLToPath(new URL('../../dev', import.meta.url));
const APP = 'fig-nodes';
const EMAIL = 'bench@example.com';
const HOST = 'localhost';

export async function open_stack(options, dir) {
  const state = realpathSync(options.state);
  const text = (name) => readFileSync(`${state}/${name}`, 'utf8');
  const run_dir = /^QUOIN_RUN_DIR=(.*)$/m.exec(text('quoin.env'))[1];
  const { uid, gid } = statSync(run_dir);
  const stack = {
    state, host: HOST, as: process.getuid() === 0 ? { uid, gid } : {},
    db: { host: run_dir, port: 5432, user: 'quoin', name: 'quoin' },
    admin: { host: run_dir, port: 5432, user: 'postgres', name: 'quoin' }, // seeds, vacuums; no time-outs
    auth: { token: '' },
    async renew() { // tokens are short-lived, a bench is not
      stack.auth.token = (await ctl('token', '--app', APP, EMAIL)).trim();
    },
  };
  const ctl = (...args) => run(DEV, ['ctl', '--state', state, ...args]);
  const ctl_with = (input, ...args) => run(DEV, ['ctl', '--state', state, ...args], { input });
  Object.assign(stack, { app: APP, ctl, ctl_with });
  chmodSync(dir, 0o755);
  own(stack, dir);

  if (await psql(stack.admin, `SELECT 1 FROM users WHERE email = '${EMAIL}'`) === '') await ctl('user', 'add', '--app', APP, EMAIL);
  await stack.renew();
  const claims = JSON.parse(Buffer.from(stack.auth.token.split('.')[1], 'base64url'));
  const [app, user] = (await psql(stack.admin, `SELECT app_id, id FROM users WHERE email = '${EMAIL}'`)).trim().split('|');
  stack.owner = { app, user };
  stack.issuer = claims.iss;
  stack.audience = [claims.aud].flat()[0] ?? '';
  // The peers find the user by its identity, whoever issued the token.
  await psql(stack.admin, `INSERT INTO identities (app_id, issuer, subject, user_id)
    VALUES ('${app}', '${claims.iss}', '${claims.sub}', '${user}') ON CONFLICT DO NOTHING`);

  const reply = await fetch(`http://${HOST}:${options.port}/.well-known/jwks.json`);
  if (!reply.ok) throw new Error(`/.well-known/jwks.json gave ${reply.status}`);
  stack.jwks_file = `${dir}/jwks.json`;
  writeFileSync(stack.jwks_file, await reply.text());

  const metrics = await (await fetch(`http://127.0.0.1:${options.port}/metrics`)).text();
  const workers = (pool) => [...metrics.matchAll(/^quoin_workers\{pool="(\w+)",.*\} (\d+)$/gm)]
    .filter((m) => m[1] === pool).reduce((n, m) => n + Number(m[2]), 0);
  stack.workers = workers('api');
  stack.slow_workers = workers('slow');
  if (stack.workers === 0 || stack.slow_workers === 0) throw new Error('/metrics tells of no worker of the api or the slow pool');
  const slow_master = Number(text('run/slow.pid').split(' ')[0]);
  stack.slow = () => family(slow_master);
  const master = Number(text('run/api.pid').split(' ')[0]);
  const bare = await start_bare(stack, dir);
  const nginx = await start_nginx(stack, `${dir}/nginx`, {
    conf: (conf) => conf.replace(/^\s*include quoin\/snippets\/server\.conf;/m,
      `location = /bench/constant { fastcgi_pass unix:${bare.socket}; }\n$&`),
    probe: '/bench/constant',
  });
  stack.jobs = () => family(Number(text('run/jobs.pid').split(' ')[0]));
  add_postgres(stack);
  const target = (name, constant, pids) => ({
    name, port: nginx.port, host: HOST, auth: stack.auth, constant,
    serving: () => [...pids(), ...family(nginx.pid)],
    // The largest of the family: the master and the listener of a pool hold less than a worker.
    memory: () => ({ private_mib: pids().map(private_mib).sort((a, b) => b - a).slice(0, stack.workers) }),
  });
  stack.quoin = target('quoin', '/health/alive', () => family(master));
  stack.bare = target('libfcgi', '/bench/constant', () => family(bare.pid));
  return stack;
}

// The copy's Postgres: its processes, and how it is stopped and started, by the functions of ./dev.
function add_postgres(stack) {
  const file = `${stack.state}/run/postgres.pid`;
  const pid = () => (existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[0]) : 0);
  const testing = readFileSync(`/proc/${pid()}/cmdline`, 'utf8').includes('fsync=off') ? 'yes' : '';
  const shell = (command) => run('bash', ['-c', `set -euo pipefail; umask 022
    SRC=$1 STATE=$2 CALLER=$PWD BUILD='' PORT='' DETACH='' TESTING=$3
    for f in say packages state build stack; do . "$SRC/dev.d/$f.sh"; done
    state_open; ${command}`, 'bench', path.dirname(DEV), stack.state, testing]);
  stack.postgres = () => family(pid());
  stack.stop_postgres = () => shell('stop INT 30 postgres');
  stack.start_postgres = () => shell('up_postgres'); // unless it runs
}

// As many processes as Quoin has workers.
async function start_bare(stack, dir) {
  const socket = `${dir}/constant.sock`;
  const child = start(await build_constant(), [socket, String(stack.workers)], stack.as);
  await until('the bare libfcgi reply', () => existsSync(socket), child);
  return { pid: child.pid, socket };
}
