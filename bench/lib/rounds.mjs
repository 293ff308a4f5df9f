// Rounds that take turns, on a machine that others may use too.
import process from 'node:process';
import { cpu_us, machine_us, sleep } from './sh.mjs';
import { median } from './wrk.mjs';

const QUIET = 0.1; // of the machine
const MEASURED = ['rps', 'p50', 'p99', 'server_us', 'postgres_us', 'others'];

// `postgres()` gives the processes of Postgres, the postmaster first; `patience` is how many seconds may go by
// in all with waiting for a quiet machine and with rounds that others disturbed.
export function make_rounds({ rounds, seconds, patience, postgres }) {
  let left = patience;

  // Waits for a second in which nobody does anything.
  async function quiet() {
    while (left > 0) {
      const before = machine_us();
      await sleep(1000);
      const after = machine_us();
      if (after.busy - before.busy <= QUIET * (after.all - before.all)) return;
      left--;
    }
  }

  // One round, with the CPU time that a request took: the server's (with its nginx) and Postgres', and with the
  // share of the machine that others had meanwhile.
  async function round_of(contender) {
    const servers = contender.serving?.() ?? [];
    const [postmaster, ...backends] = postgres();
    const look = () => ({
      server: cpu_us(servers), postgres: cpu_us([postmaster], true) + cpu_us(backends), own: cpu_us([process.pid], true),
      ...machine_us(),
    });
    const before = look();
    const r = await contender.run(seconds);
    const after = look();
    const spent = (key) => after[key] - before[key];
    const requests = r.rps * seconds;
    return {
      ...r, server_us: spent('server') / requests, postgres_us: spent('postgres') / requests,
      others: (spent('busy') - spent('server') - spent('postgres') - spent('own')) / spent('all'),
    };
  }

  async function undisturbed(contender) {
    for (;;) {
      await contender.before?.(seconds);
      await quiet();
      const r = await round_of(contender);
      if (r.others <= QUIET || left <= 0) return r;
      left -= seconds;
    }
  }

  // Each round runs every contender once, after what it needs `before`, and no two rounds begin with the same one, so that whatever the machine
  // does falls on all of them. Gives {name: {rps, p50, p99, …}}, medians.
  return async function interleave(contenders, before = () => {}) {
    const runs = new Map(contenders.map((c) => [c.name, []]));
    for (const c of contenders) { // warm: connections, plans, just-in-time code
      await c.before?.(1);
      await c.run(1);
    }
    for (let round = 0; round < rounds; round++) {
      for (let k = 0; k < contenders.length; k++) {
        const c = contenders[(round + k) % contenders.length];
        await before();
        runs.get(c.name).push(await undisturbed(c));
      }
    }
    return Object.fromEntries([...runs].map(([name, of]) => [name, {
      ...Object.fromEntries(MEASURED.map((key) => [key, median(of.map((r) => r[key]))])),
      rounds: of.map((r) => Math.round(r.rps)),
    }]));
  };
}
