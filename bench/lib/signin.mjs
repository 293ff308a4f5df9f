// Who the callers of the bench are when they are not a token: accounts with a password, a session's cookie, an API key.
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { newer } from './peers.mjs';
import { psql } from './seed.mjs';
import { run } from './sh.mjs';
import { wrk } from './wrk.mjs';

const SOURCE = fileURLToPath(new URL('../peers/argon2/ceiling.c', import.meta.url));
const BIN = fileURLToPath(new URL('../results/bin', import.meta.url));
const ACCOUNTS = 32; // bench-signin-1@example.com and so on, as lua/load.lua makes them
const FIRST = 'bench-signin-1@example.com';
const PASSWORD = 'Correct-horse-7-battery';

// The accounts, all with the hash of one password.
export async function seed_accounts(stack) {
  const [there] = (await psql(stack.admin, `SELECT count(*) FROM users WHERE app_id = '${stack.owner.app}'
    AND email = 'bench-signin-${ACCOUNTS}@example.com'`)).trim();
  if (there !== '0') return;
  await stack.ctl('user', 'add', '--app', stack.app, FIRST);
  await stack.ctl_with(`${PASSWORD}\n`, 'user', 'password', '--app', stack.app, FIRST);
  await psql(stack.admin, `INSERT INTO users (id, app_id, email, email_verified, password_hash)
    SELECT gen_random_uuid(), app_id, 'bench-signin-' || i || '@example.com', true, password_hash
      FROM users, generate_series(2, ${ACCOUNTS}) i WHERE app_id = '${stack.owner.app}' AND email = '${FIRST}'`);
}

// What each kind of credential of one and the same user looks like: {session, 'API key', token} as header lines.
export async function credentials(stack) {
  const ask = async (path, body, headers) => {
    const reply = await fetch(`http://127.0.0.1:${stack.quoin.port}${path}`, {
      method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', host: stack.host, ...headers },
    });
    if (!reply.ok) throw new Error(`${path} gave ${reply.status}: ${await reply.text()}`);
    return reply;
  };
  const who = { email: FIRST, password: PASSWORD };
  const cookie = (await ask('/api/v1/auth/login', { ...who, session: 'cookie' })).headers.getSetCookie()[0].split(';')[0];
  const { access_token } = await (await ask('/api/v1/auth/login', who)).json();
  const authorization = `Bearer ${access_token}`;
  const { api_key } = await (await ask('/api/v1/api-keys', { scopes: ['auth:read'] }, { authorization })).json();
  return { session: `Cookie: ${cookie}`, 'API key': `X-API-Key: ${api_key}`, token: `Authorization: ${authorization}` };
}

// Half of the slow workers may hash at once, and what is left but one may wait (auth/turn.c): so many sign-ins are
// under way that there is always a password to hash. Two who come at once may both be told to come later.
const REFUSED = 0.1;
function seats_of(workers) {
  const seats = workers < 2 ? 1 : Math.floor(workers / 2);
  return { seats, connections: seats + Math.max(workers - seats - 1, workers > 1 ? 1 : 0) };
}

function setting(stack, key) {
  const table = readFileSync(fileURLToPath(new URL('../../docs/config.md', import.meta.url)), 'utf8');
  return new RegExp(`^${key}=(.*)$`, 'm').exec(readFileSync(`${stack.state}/quoin.env`, 'utf8'))?.[1]
    ?? new RegExp(`\`${key}\` \\| \`(\\d+)\``).exec(table)[1];
}

// The contenders: the machine's ceiling, sign-ins alone, reads of an idle machine, and reads beside sign-ins.
export async function sign_in_contenders(stack, docs) {
  mkdirSync(BIN, { recursive: true });
  const binary = `${BIN}/ceiling`;
  if (newer(SOURCE, binary)) await run('cc', ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-o', binary, SOURCE, '-lsodium']);
  const { seats, connections } = seats_of(stack.slow_workers);
  const serving = () => [...stack.quoin.serving(), ...stack.slow()];
  const sign_in = (s) => wrk(stack.quoin, 'sign-in', { seconds: s, connections, refused: REFUSED });
  const read = (s) => wrk(stack.quoin, 'read', { seconds: s, docs, connections: 2, delay_ms: 10 });
  return [
    {
      name: 'ceiling',
      run: async (s) => ({ rps: Number(await run(binary, [s, seats, setting(stack, 'QUOIN_PASSWORD_KIB'), setting(stack, 'QUOIN_PASSWORD_PASSES')].map(String))), p50: NaN, p99: NaN }),
    },
    { name: 'sign-in', serving, run: sign_in },
    { name: 'reads, idle', serving, run: read },
    { name: 'reads beside sign-ins', serving, run: async (s) => (await Promise.all([read(s), sign_in(s)]))[0] },
  ];
}
