// The programs Quoin is measured beside: how each is built and started. All get the same statements, the
// same key set and the same two processes (or threads); each listens on a loopback port of its own, and sits behind
// an nginx of its own with Quoin's settings.
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { start_proxy } from './nginx.mjs';
import { family, free_port, private_mib, run, start, until } from './sh.mjs';

const PEERS = fileURLToPath(new URL('../peers', import.meta.url));
const BIN = fileURLToPath(new URL('../results/bin', import.meta.url));
const PROCESSES = '2';
export const WITHOUT_NGINX = ', no nginx';

export const newer = (a, b) => !existsSync(b) || statSync(a).mtimeMs > statSync(b).mtimeMs;

export async function build_constant() {
  mkdirSync(BIN, { recursive: true });
  const [source, binary] = [`${PEERS}/fcgi/constant.c`, `${BIN}/constant`];
  if (newer(source, binary)) await run('cc', ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-o', binary, source, '-lfcgi']);
  return binary;
}

// Connections to Postgres per process: the best of 4, 8 and 16 for each.
const all = {
  gin: {
    pool: 8,
    async build() {
      mkdirSync(BIN, { recursive: true });
      const binary = `${BIN}/gin`;
      if (newer(`${PEERS}/gin/main.go`, binary)) {
        await run(`${PEERS}/gin/build`, [binary], { env: { ...process.env, GOCACHE: `${BIN}/go-cache` } });
      }
    },
    command: () => [`${BIN}/gin`],
  },
  fastify: {
    pool: 8,
    async build() {
      const dir = `${PEERS}/fastify`;
      if (newer(`${dir}/package-lock.json`, `${dir}/node_modules/.package-lock.json`)) {
        await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: dir });
      }
    },
    command: () => [process.execPath, `${PEERS}/fastify/index.mjs`],
  },
  fastapi: {
    pool: 8,
    build: () => run('/usr/bin/python3', ['-c', 'import fastapi, asyncpg, uvicorn, uvloop, httptools, jwt, cryptography, pymemcache']),
    command: (port) => ['/usr/bin/python3', '-m', 'uvicorn', 'main:app', '--app-dir', `${PEERS}/fastapi`,
      '--host', '127.0.0.1', '--port', String(port), '--workers', PROCESSES, '--loop', 'uvloop', '--http', 'httptools',
      '--no-access-log', '--log-level', 'error', '--backlog', '4096', '--timeout-keep-alive', '75'],
  },
};
export const PEER_NAMES = Object.keys(all);

let cache;

// The memcached of all peers, on a port: the clients of two of them know no other address.
async function cache_address() {
  if (!cache) {
    cache = await free_port();
    const user = process.getuid() === 0 ? ['-u', 'nobody'] : [];
    const child = start('memcached', ['-l', '127.0.0.1', '-p', String(cache), '-U', '0', '-t', PROCESSES, ...user]);
    await until(`memcached on port ${cache}`, () => listens(cache), child);
  }
  return `127.0.0.1:${cache}`;
}

const listens = (port) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

// Gives the peer behind its nginx and, as `direct`, by itself.
export async function start_peer(name, stack, dir, pool = all[name].pool) {
  const peer = all[name];
  await peer.build();
  const port = await free_port();
  const [program, ...args] = peer.command(port);
  const child = start(program, args, {
    env: {
      PATH: process.env.PATH, NODE_ENV: 'production', GOMAXPROCS: PROCESSES,
      PGHOST: stack.db.host, PGPORT: String(stack.db.port), PGUSER: stack.db.user, PGDATABASE: stack.db.name,
      PGSSLMODE: 'disable', PEER_PORT: String(port), PEER_PROCESSES: PROCESSES,
      PEER_POOL: String(name === 'gin' ? pool * Number(PROCESSES) : pool), // one process, as many connections
      PEER_MEMCACHED: await cache_address(), PEER_SQL: `${PEERS}/sql`, PEER_JWKS: stack.jwks_file, PEER_ISSUER: stack.issuer,
      PEER_AUDIENCE: stack.audience ?? '', PEER_APP: stack.owner.app,
    },
  });
  const direct = {
    name: `${name}${WITHOUT_NGINX}`, port, auth: stack.auth, host: stack.host, constant: '/health',
    serving: () => family(child.pid),
  };
  await until(`${name} on port ${port}`, () => answers(direct), child);
  const nginx = await start_proxy(stack, `${dir}/nginx-${name}`, { port, probe: direct.constant });
  return {
    ...direct, name, port: nginx.port, direct,
    serving: () => [...family(child.pid), ...family(nginx.pid)],
    memory: () => ({ private_mib: family(child.pid).map(private_mib) }),
  };
}

async function answers(target) {
  try {
    return (await fetch(`http://127.0.0.1:${target.port}${target.constant}`)).ok;
  } catch {
    return false;
  }
}
