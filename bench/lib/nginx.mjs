// An nginx of our own with the configuration of the copy that is measured: another port, and what `conf`, `map` and
// `snippets` change in its three parts.
import { chownSync, cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { free_port, start, until } from './sh.mjs';

const same = (text) => text;

export async function start_nginx(stack, dir, { conf = same, map = same, snippets = same, probe }) {
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
  cpSync(`${from}/quoin`, `${dir}/quoin`, { recursive: true });
  for (const name of readdirSync(`${dir}/quoin/snippets`)) {
    const file = `${dir}/quoin/snippets/${name}`;
    writeFileSync(file, snippets(readFileSync(file, 'utf8'), name));
  }
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

// What a good shop writes to have nginx keep its connections to a server, and tell it who calls.
const PROXY = `proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Request-Id $quoin_request_id;
`;

// The same nginx before a server that speaks HTTP on a port of the loopback: the same locations, headers, limits,
// buffers and log, with proxy_ where there was fastcgi_.
export function start_proxy(stack, dir, { port, probe }) {
  const proxied = (text) => text.replace(/^\s*fastcgi_param .*\n/gm, '')
    .replaceAll(/fastcgi_pass [^;]+;/g, 'proxy_pass http://peer;')
    .replaceAll(/^(\s*)fastcgi_/gm, '$1proxy_');
  return start_nginx(stack, dir, {
    map: (text) => `${text}\nupstream peer {\n\tserver 127.0.0.1:${port};\n\tkeepalive 64;\n}\n`,
    snippets: (text, name) => (name === 'fastcgi.conf' ? PROXY : proxied(text)),
    probe,
  });
}

// Whoever owns the copy's sockets must reach what is ours.
export function own(stack, path) {
  if (stack.as.uid !== undefined) chownSync(path, stack.as.uid, stack.as.gid);
}
