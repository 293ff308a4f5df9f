// Instructions per request: one worker under callgrind behind an nginx of its own. Two runs with different
// numbers of requests; their difference leaves out what starting and ending cost.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { own, start_nginx } from './nginx.mjs';
import { family, start, until } from './sh.mjs';

const FEW = 100;
const MANY = 600;

// `send(port, i)` sends the i-th request.
export async function instructions(stack, dir, send) {
  mkdirSync(dir);
  own(stack, dir);
  const few = await count(stack, `${dir}/few`, FEW, send);
  const many = await count(stack, `${dir}/many`, MANY, send);
  return Math.round((many - few) / (MANY - FEW));
}

async function count(stack, dir, requests, send) {
  mkdirSync(dir);
  own(stack, dir);
  const socket = `${dir}/api.sock`;
  const build = readFileSync(`${stack.state}/builddir`, 'utf8').trim();
  const child = start('valgrind', ['--tool=callgrind', `--callgrind-out-file=${dir}/out.%p`, '--quiet',
    `${build}/quoind`, '--pool=api', `--listen=${socket}`, '--workers=1'],
  { ...stack.as, env: { PATH: process.env.PATH, HOME: '/nonexistent', TZ: 'UTC', QUOIN_CONFIG: `${stack.state}/quoin.env`, QUOIN_RUN_DIR: dir } });
  const { port } = await start_nginx(stack, `${dir}/nginx`, {
    map: (text) => text.replaceAll(/unix:[^;]*\/api\.sock/g, `unix:${socket}`), probe: '/health/alive',
  });
  const [worker] = family(child.pid).slice(1);
  for (let i = 0; i < requests; i++) {
    const reply = await send(port, i);
    if (!reply.ok) throw new Error(`under callgrind: ${reply.status} ${await reply.text()}`);
    await reply.arrayBuffer();
  }
  process.kill(child.pid, 'SIGTERM');
  await until('the end of quoind under callgrind', () => child.gone, undefined, 60_000);
  const file = readdirSync(dir).find((name) => name === `out.${worker}`);
  return Number(/^(?:totals|summary): (\d+)/m.exec(readFileSync(`${dir}/${file}`, 'utf8'))[1]);
}
