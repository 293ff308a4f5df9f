#!/usr/bin/env node
// Measures a running copy of Quoin beside the peers: see README.md.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { verdicts } from './lib/budget.mjs';
import { instructions } from './lib/callgrind.mjs';
import { compare_answers } from './lib/compare.mjs';
import { make_document } from './lib/document.mjs';
import { PEER_NAMES, start_peer } from './lib/peers.mjs';
import { webhook_contender } from './lib/events.mjs';
import { device_contenders, LICENCES, seed_licences } from './lib/licences.mjs';
import { outage_contenders } from './lib/outage.mjs';
import { make_rounds } from './lib/rounds.mjs';
import { checkpoint, DOCUMENT, id, seed_documents, seed_versions, WORKSPACE } from './lib/seed.mjs';
import { stop_all } from './lib/sh.mjs';
import { credentials, seed_accounts, sign_in_contenders } from './lib/signin.mjs';
import { open_stack } from './lib/stack.mjs';
import { print_report } from './lib/table.mjs';
import { CONNECTIONS, median, pgbench, wrk } from './lib/wrk.mjs';

const HELP = `Usage: bench/run.mjs --state DIR --port N [OPTION]...
Measure the copy of Quoin that runs from DIR on port N beside its peers.

  --quick           3 rounds of 2 s, at most 100,000 documents
  --rounds N        rounds of each measurement (5)
  --seconds N       seconds of each round (5)
  --peers A,B       of ${PEER_NAMES.join(', ')} (all); '' for none
  --only A,B        of constant, read, list, whoami, sign-in, licence, outage, webhook, device, write, versions,
                    documents (all)
  --documents A,B   sizes for the flatness check (1000,1000000)
  --patience N      seconds to spend on waiting for a quiet machine, and on rounds that were disturbed (0)
  --callgrind       count the instructions of a request instead of timing it (needs valgrind)
  --check           exit 1 when a target of budgets.json is missed
  --help            print this and exit
`;
const BENCH = fileURLToPath(new URL('.', import.meta.url));
const budgets = JSON.parse(readFileSync(`${BENCH}/budgets.json`, 'utf8'));
const SMALL = budgets.flat.documents[0];

const { values: options } = parseArgs({
  options: {
    state: { type: 'string' }, port: { type: 'string' }, quick: { type: 'boolean', default: false },
    rounds: { type: 'string' }, seconds: { type: 'string' },
    peers: { type: 'string', default: PEER_NAMES.join(',') },
    only: { type: 'string', default: 'constant,read,list,whoami,sign-in,licence,outage,webhook,device,write,versions,documents' }, documents: { type: 'string' },
    patience: { type: 'string', default: '0' }, callgrind: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const list = (text) => text.split(',').filter(Boolean);
const rounds = Number(options.rounds ?? (options.quick ? 3 : 5));
const seconds = Number(options.seconds ?? (options.quick ? 2 : 5));
const sizes = options.documents
  ? list(options.documents).map(Number)
  : [SMALL, options.quick ? 100_000 : budgets.flat.documents.at(-1)];
const only = new Set(list(options.only));

const say = (text) => process.stderr.write(`${text}\n`);
const http = (target, workload, more) => ({
  name: target.name, serving: target.serving, run: (s) => wrk(target, workload, { seconds: s, ...more }),
});

async function measure(stack, dir) {
  const result = { workloads: {}, documents: {}, versions: {}, memory: {} };
  const { quoin, bare, db, admin, owner } = stack;
  const interleave = make_rounds({ rounds, seconds, patience: Number(options.patience), postgres: stack.postgres });
  say(`seeding ${SMALL} documents`);
  await seed_documents(admin, owner, SMALL);
  const peers = [];
  for (const name of list(options.peers)) {
    say(`building and starting ${name}`);
    peers.push(await start_peer(name, stack, dir));
  }
  const all = [quoin, ...peers];
  const direct = peers.map((peer) => peer.direct);
  await compare_answers([...all, ...direct]);
  const body = path.join(dir, 'body.json');
  writeFileSync(body, JSON.stringify({ data: make_document() }));
  const pg = {
    name: 'pgbench',
    run: (s, docs = SMALL) => pgbench(db, { file: `${BENCH}/pgbench/read.sql`, variables: { app: owner.app, user: owner.user } }, { seconds: s, docs }),
  };
  const docs = SMALL;
  const turns = async (contenders, before) => {
    await stack.renew();
    return interleave(contenders, before);
  };

  if (only.has('constant')) {
    say('constant reply');
    result.workloads.constant = await turns([bare, ...all, ...direct].map((t) => http(t, 'constant', { path: t.constant })));
  }
  if (only.has('read')) {
    say('document read');
    result.workloads.read = await turns([pg, ...[...all, ...direct].map((t) => http(t, 'read', { docs }))]);
  }
  if (only.has('list')) {
    say('list of 50');
    result.workloads.list = await turns(all.map((t) => http(t, 'list', { docs })));
  }
  for (const t of [bare, ...all]) result.memory[t.name] = t.memory();
  if (only.has('whoami') || only.has('sign-in')) await seed_accounts(stack);
  if (only.has('whoami')) {
    say('who am I, by each credential');
    const path = '/api/v1/auth/whoami', shown = await credentials(stack);
    result.workloads.whoami = await turns([
      http(bare, 'constant', { path: bare.constant }),
      ...Object.entries(shown).map(([name, credential]) => ({ ...http(quoin, 'whoami', { path, credential }), name })),
    ]);
  }
  if (only.has('licence') || only.has('outage')) await seed_licences(stack);
  if (only.has('licence')) {
    say(`licence check, ${LICENCES} licences`);
    const checks = all.map((t) => http(t, 'licence', { docs: LICENCES }));
    for (const check of checks) await check.run(4 * seconds); // until every process has seen them
    result.workloads.licence = await turns([http(bare, 'constant', { path: bare.constant }), ...checks]);
  }
  if (only.has('outage')) {
    say('licence check, Postgres stopped');
    result.workloads.outage = await turns(outage_contenders(stack)).finally(stack.start_postgres);
  }
  if (only.has('device')) {
    say('a machine’s first sight');
    result.workloads.device = await turns(await device_contenders(stack));
  }
  if (only.has('sign-in')) {
    say('sign-in');
    result.workloads['sign-in'] = await turns(await sign_in_contenders(stack, docs));
  }

  if (only.has('versions')) {
    const counts = budgets.flat.versions;
    say(`document read, ${counts.join(' and ')} versions`);
    const ids = await seed_versions(admin, owner, counts);
    const measured = await turns(counts.map((n, k) => ({
      ...http(quoin, 'read', { path: `/api/v1/graphs/${ids[k]}` }), name: String(n),
    })));
    result.versions = measured;
  }
  if (only.has('documents')) {
    // The sizes cannot take turns in one database; the constant reply beside each tells what the machine did.
    for (const size of sizes) {
      say(`document read, ${size} documents`);
      await seed_documents(admin, owner, size);
      result.documents[size] = await turns([
        http({ ...quoin, name: 'constant' }, 'constant', { path: quoin.constant }),
        http({ ...quoin, name: 'read' }, 'read', { docs: size }),
        http({ ...quoin, name: 'list' }, 'list', { docs: size }),
        { name: 'pgbench', run: (s) => pg.run(s, size) },
      ]);
    }
  }
  if (only.has('webhook')) {
    say('webhook intake');
    result.workloads.webhook = await turns([await webhook_contender(stack, dir)]);
  }
  if (only.has('write')) { // last: it makes hundreds of versions of each
    say('document write');
    result.workloads.write = await turns(all.map((t) => http(t, 'write', { docs, body })), () => checkpoint(admin));
    for (const t of all) result.memory[t.name] = t.memory();
  }
  return result;
}

// Instructions that a worker takes for each kind of request: the same on every run and every machine of a kind.
async function count_instructions(stack, dir) {
  await seed_documents(stack.admin, stack.owner, SMALL);
  const headers = { authorization: `Bearer ${stack.auth.token}`, 'content-type': 'application/json', connection: 'close' };
  const nonce = Date.now() % 1_000_000;
  const requests = {
    constant: () => ['/health/alive'],
    read: (i) => [`/api/v1/graphs/${id(DOCUMENT, 1 + i)}`],
    list: () => [`/api/v1/workspaces/${id(WORKSPACE, 1)}/graphs?limit=50`],
    write: (i) => [`/api/v1/graphs/${id(DOCUMENT, 1 + i)}`, {
      method: 'PUT', body: JSON.stringify({ data: make_document(100_000_000_000 + nonce * 10_000 + i) }),
    }],
  };
  if (only.has('whoami')) {
    await seed_accounts(stack);
    for (const [name, line] of Object.entries(await credentials(stack))) {
      const at = line.indexOf(': ');
      requests[`whoami, ${name}`] = () => ['/api/v1/auth/whoami', { headers: { [line.slice(0, at)]: line.slice(at + 2), connection: 'close' } }];
    }
  }
  const counts = {};
  for (const [name, make] of Object.entries(requests)) {
    if (!only.has(name.split(',')[0])) continue;
    say(`instructions: ${name}`);
    counts[name] = await instructions(stack, path.join(dir, name.replace(/\W+/g, '-')), (port, i) => {
      const [url, init] = make(i);
      return fetch(`http://127.0.0.1:${port}${url}`, { headers, ...init });
    });
    console.log(`${name.padEnd(16)} ${String(counts[name]).padStart(9)} instructions`);
  }
  return counts;
}

const dir = mkdtempSync(path.join(os.tmpdir(), 'quoin-bench-'));
let stopping = false;
async function stop(code) {
  if (stopping) return new Promise(() => {});
  stopping = true;
  await stop_all();
  rmSync(dir, { recursive: true, force: true });
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop(130));

try {
  const stack = await open_stack(options, dir);
  if (options.callgrind) {
    await count_instructions(stack, dir);
    await stop(0);
  }
  const result = await measure(stack, dir);
  result.about = {
    when: new Date().toISOString(), rounds, seconds, connections: CONNECTIONS, cpus: os.cpus().length,
    cpu: os.cpus()[0].model, workers: stack.workers,
    others: median(Object.values(result.workloads).flatMap((w) => Object.values(w).map((m) => m.others))),
  };
  const judged = verdicts(result, budgets);
  result.budgets = judged;
  mkdirSync(`${BENCH}/results`, { recursive: true });
  const file = `${BENCH}/results/${result.about.when.replace(/[:.]/g, '-')}.json`;
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  print_report(result, judged);
  say(`written to ${path.relative(process.cwd(), file)}`);
  await stop(options.check && judged.some((v) => v.held === false) ? 1 : 0);
} catch (e) {
  say(e.stack);
  await stop(2);
}
