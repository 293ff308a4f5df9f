// What was measured against budgets.json: a list of {what, value, limit, held, text}. A target whose measurement
// was left out is not held.
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

  const { within, documents, versions } = budgets.flat;
  const flat = (what, value) => out.push({
    what, value, limit: within, held: Math.abs(value - 1) <= within, text: `1 ± ${within}`,
  });
  const [few, many] = documents.map((n) => result.documents[n]);
  const steady = (m) => (m ? m.read.rps / m.constant.rps : NaN); // whatever slowed the machine, slowed both
  flat(`document read, ${documents[1]} ÷ ${documents[0]} documents`, steady(many) / steady(few));
  const [one, lots] = versions.map((n) => result.versions[n]?.rps ?? NaN);
  flat(`document read, ${versions[1]} ÷ ${versions[0]} versions`, lots / one);
  return out;
}

export const peers_of = (measured) => Object.keys(measured).filter((name) => !['quoin', 'libfcgi', 'pgbench'].includes(name));
