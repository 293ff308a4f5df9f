// What was measured, against budgets.json: a list of {what, value, limit, held, text}. What was not measured is not
// in it; the sizes are those that were measured.
export function verdicts(result, budgets) {
  const out = [];
  const at_least = (what, value, limit) => out.push({ what, value, limit, held: value >= limit, text: `≥ ${limit}` });
  const w = result.workloads;
  const rps = (workload, name) => w[workload]?.[name]?.rps ?? NaN;
  const fastest_peer = (workload) => Math.max(...peers_of(w[workload] ?? {}).map((name) => rps(workload, name)));

  at_least('constant reply ÷ bare libfcgi', rps('constant', 'quoin') / rps('constant', 'libfcgi'), budgets.constant.of_fcgi);
  at_least('document read ÷ fastest peer', rps('read', 'quoin') / fastest_peer('read'), budgets.read.of_fastest_peer);
  at_least('document read ÷ pgbench', rps('read', 'quoin') / rps('read', 'pgbench'), budgets.read.of_pgbench);

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

export const peers_of = (measured) => Object.keys(measured).filter((name) => !['quoin', 'libfcgi', 'pgbench'].includes(name));
