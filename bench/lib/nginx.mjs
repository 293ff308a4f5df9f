// An nginx of our own with the configuration of the copy that is measured: another port, and what `edit` changes.
import { chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { free_port, start, until } from './sh.mjs';

export async function start_nginx(stack, dir, { conf = (text) => text, map = (text) => text, probe }) {
  const from = `${stack.state}/nginx`;
  const port = await free_port();
  for (const d of [dir, `${dir}/work`, `${dir}/tmp`]) {
    mkdirSync(d);
    own(stack, d);
  }
  const text = readFileSync(`${from}/nginx.conf`, 'utf8')
    .replace(/^\s*listen \[::1\].*$/gm, '')
    .replace(/listen 127\.0\.0\.1:\d+/, `listen 127.0.0.1:${port}`)
    .replaceAll(`${stack.state}/log/`, `${dir}/work/`);
  writeFileSync(`${dir}/nginx.conf`, conf(text));
  writeFileSync(`${dir}/quoin-map.conf`, map(readFileSync(`${from}/quoin-map.conf`, 'utf8')));
  symlinkSync(`${from}/quoin`, `${dir}/quoin`);
  const env = { PATH: `${process.env.PATH}:/usr/sbin` };
  const nginx = start('nginx', ['-p', `${dir}/`, '-c', 'nginx.conf', '-e', 'stderr'], { ...stack.as, env });
  await until('nginx', async () => {
    try {
      return (await fetch(`http://127.0.0.1:${port}${probe}`)).ok;
    } catch {
      return false;
    }
  }, nginx, 60_000);
  return { port, pid: nginx.pid };
}

// Whoever owns the copy's sockets must reach what is ours.
export function own(stack, path) {
  if (stack.as.uid !== undefined) chownSync(path, stack.as.uid, stack.as.gid);
}
