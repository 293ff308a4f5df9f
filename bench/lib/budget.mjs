// What was measured, against budgets.json: a list of {what, value, limit, held, text}; `held` is null where there is
// no target. What was not measured is not in it; the sizes are those that were measured.
import { WITHOUT_NGINX } from './peers.mjs';

const NO_PEERS = ['quoin', 'libfcgi', 'pgbench'];

export function verdicts(result, budgets) {
  const out = [];
  const at_least = (what, value, limit) => out.push({ what, value, limit, held: value >= limit, text: `≥ ${limit}` });
  const w = result.workloads;
  const rps = (workload, name) => w[workload]?.[name]?.rps ?? NaN;
  const fastest_peer = (workload, direct) => Math.max(...Object.keys(w[workload] ?? {})
    .filter((name) => !NO_PEERS.includes(name) && name.endsWith(WITHOUT_NGINX) === direct)
    .map((name) => rps(workload, name)));

  at_least('constant reply ÷ bare libfcgi', rps('constant', 'quoin') / rps('constant', 'libfcgi'), budgets.constant.of_fcgi);
  at_least('document read ÷ fastest peer', rps('read', 'quoin') / fastest_peer('read', false), budgets.read.of_fastest_peer);
  out.push({
    what: 'document read ÷ fastest peer without nginx', value: rps('read', 'quoin') / fastest_peer('read', true),
    held: null, text: 'no target',
  });
  at_least('document read ÷ pgbench', rps('read', 'quoin') / rps('read', 'pgbench'), budgets.read.of_pgbench);

  const shown = ['session', 'API key', 'token'].filter((name) => w.whoami?.[name]);
  for (const name of shown) at_least(`who am I, by ${name} ÷ bare libfcgi`, rps('whoami', name) / rps('whoami', 'libfcgi'), budgets.whoami.of_fcgi);
  const by = shown.map((name) => rps('whoami', name));
  at_least('who am I, slowest ÷ fastest credential', Math.min(...by) / Math.max(...by), 1 - budgets.whoami.within);
  at_least('licence check ÷ bare libfcgi', rps('licence', 'quoin') / rps('licence', 'libfcgi'), budgets.licence.of_fcgi);
  at_least('licence check ÷ fastest peer', rps('licence', 'quoin') / fastest_peer('licence', false), budgets.licence.of_fastest_peer);
  at_least('licence check ÷ FastAPI', rps('licence', 'quoin') / rps('licence', 'fastapi'), budgets.licence.of_fastapi);
  const { p50, p99: slowest } = w.licence?.quoin ?? {}, spread = slowest / p50;
  out.push({ what: 'licence check, p99 ÷ p50', value: spread, limit: budgets.licence.p99_of_p50, held: spread <= budgets.licence.p99_of_p50, text: `≤ ${budgets.licence.p99_of_p50}` });
  at_least('licence check, Postgres stopped ÷ running', rps('outage', 'Postgres stopped') / rps('outage', 'quoin'), budgets.licence.without_postgres);
  at_least('webhook intake, events per second', rps('webhook', 'quoin'), budgets.webhook.per_second);
  at_least('a machine’s first sight ÷ pgbench', rps('device', 'quoin') / rps('device', 'pgbench'), budgets.device.of_pgbench);
  at_least('sign-in ÷ the machine’s Argon2', rps('sign-in', 'sign-in') / rps('sign-in', 'ceiling'), budgets.sign_in.of_ceiling);
  const p99 = (name) => w['sign-in']?.[name]?.p99 ?? NaN;
  const slower = p99('reads beside sign-ins') / p99('reads, idle'), most = budgets.sign_in.read_p99_of_idle;
  out.push({ what: 'document read, p99 beside sign-ins ÷ idle', value: slower, limit: most, held: slower <= most, text: `≤ ${most}` });

  const mib = Math.max(...(result.memory.quoin?.private_mib ?? [NaN]));
  const limit = budgets.private_mib_per_worker;
  out.push({ what: 'private memory of a worker, MiB', value: mib, limit, held: mib <= limit, text: `≤ ${limit}` });

  const { within } = budgets.flat;
  const flat = (what, measured, value_of) => {
    const [least, most] = [Object.keys(measured)[0], Object.keys(measured).at(-1)]; // numbers, so in order
    if (least === most) return;
    const value = value_of(measured[most]) / value_of(measured[least]);
    const held = Math.abs(value - 1) <= within;
    out.push({ what: `document read, ${most} ÷ ${least} ${what}`, value, limit: within, held, text: `1 ± ${within}` });
  };
  flat('documents', result.documents, (m) => m.read.rps / m.constant.rps); // whatever slowed the machine, slowed both
  flat('versions', result.versions, (m) => m.rps);
  return out.filter((v) => Number.isFinite(v.value));
}
