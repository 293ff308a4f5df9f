// The one table: ratios first (how many times the row's requests per second Quoin does), then the figures.
const COLUMNS = { constant: 'constant', read: 'document read', write: 'document write', list: 'list of 50' };
const ROWS = ['quoin', 'libfcgi', 'pgbench'];

const rate = (n) => (n >= 10_000 ? `${(n / 1000).toFixed(1)}k` : String(Math.round(n)));
const ms = (n) => (Number.isNaN(n) ? '–' : n.toFixed(n < 10 ? 1 : 0));

function cell(measured, name) {
  const m = measured?.[name];
  if (!m) return '';
  const times = measured.quoin ? `×${(measured.quoin.rps / m.rps).toFixed(2)}` : '';
  return `${name === 'quoin' ? '' : times}`.padEnd(7) + `${rate(m.rps)}/s`.padStart(8) + `  ${ms(m.p50)}/${ms(m.p99)}`.padEnd(12);
}

function memory(of) {
  if (!of) return '';
  const total = of.private_mib.reduce((a, b) => a + b, 0);
  const most = Math.max(...of.private_mib);
  return `${most.toFixed(1)} (${of.private_mib.length}: ${total.toFixed(0)})`;
}

// What is beside others than the columns are: each line a figure of its own.
function print_callers(workloads) {
  for (const [title, key] of [['who am I', 'whoami'], ['licence check', 'licence'], ['licence, an outage', 'outage'],
    ['webhook intake', 'webhook'], ['a machine’s first sight', 'device'], ['sign-in', 'sign-in']]) {
    if (!workloads[key]) continue;
    console.log(`\n${title.padEnd(24)}        p50/p99 ms`);
    for (const [name, m] of Object.entries(workloads[key])) console.log(`  ${name.padEnd(22)}${rate(m.rps).padStart(8)}/s  ${ms(m.p50)}/${ms(m.p99)}`);
  }
}

export function print_report(result, judged) {
  const { workloads, about } = result;
  const columns = Object.keys(COLUMNS).filter((c) => workloads[c]);
  const names = [...new Set([...ROWS, ...columns.flatMap((c) => Object.keys(workloads[c]))])]
    .filter((n) => columns.some((c) => workloads[c][n]));
  const lines = [
    ['', ...columns.map((c) => COLUMNS[c]), 'private MiB'],
    ...names.map((n) => [n, ...columns.map((c) => cell(workloads[c], n)), memory(result.memory[n])]),
  ];
  const width = lines[0].map((_, k) => Math.max(...lines.map((l) => l[k].length)));
  console.log(`\n×: how many times this row Quoin is; requests per second; p50/p99 in ms (pgbench: the mean); private MiB of the
largest process (processes: all together). Medians of ${about.rounds} interleaved rounds of ${about.seconds} s, ${about.connections} connections,
${about.cpus} CPUs shared with the load generator, ${about.workers} workers; others took ${Math.round(100 * about.others)} % of the machine.\n`);
  for (const l of lines) console.log(l.map((text, k) => text.padEnd(width[k])).join('  ').trimEnd());
  console.log('\nCPU µs of a request, server (with its nginx) + Postgres:');
  for (const c of columns) {
    const each = names.filter((n) => workloads[c][n]).map((n) => {
      const m = workloads[c][n];
      return `${n} ${Math.round(m.server_us)}${c === 'constant' ? '' : ` + ${Math.round(m.postgres_us)}`}`;
    });
    console.log(`${COLUMNS[c].padEnd(15)} ${each.join(', ')}`);
  }
  print_callers(workloads);
  const sizes = Object.entries(result.documents);
  if (sizes.length) {
    console.log('\ndocuments     read/s    list/s   constant/s   pgbench/s');
    for (const [n, m] of sizes) {
      console.log(n.padEnd(10) + [m.read, m.list, m.constant, m.pgbench].map((x, k) => rate(x.rps).padStart([10, 10, 13, 12][k])).join(''));
    }
  }
  console.log('');
  for (const v of judged) {
    console.log(`${{ true: 'held  ', false: 'MISSED', null: '      ' }[v.held]}  ${v.what}: ${v.value.toFixed(2)} (${v.text})`);
  }
}
