// The licence check while Postgres is stopped, in rounds beside the same check while it runs. Both begin with what a
// day of business leaves behind: every answer in memcached, and nearly every one in each worker.
import { LICENCES } from './licences.mjs';
import { sleep, until } from './sh.mjs';
import { wrk } from './wrk.mjs';

// A copy in memcached is believed when it is five seconds younger than what the host heard of or may have missed
// (licencecheck.c). Postgres is started anew before each round, so that all that workers keep is younger, too.
const SKEW_MS = 6000;
const TIMES = 16; // so many questions for each licence leave none unasked
const STALE = '"stale":true';

const metrics = async ({ quoin }) => (await fetch(`http://127.0.0.1:${quoin.port}/metrics`)).text();

export function outage_contenders(stack) {
  const { quoin } = stack;
  const ask = (seconds, more) => wrk(quoin, 'licence', { seconds, docs: LICENCES, ...more });
  const marked = async () => (await ask(1, { mark: STALE })).unmarked === 0;

  async function warm() {
    await stack.stop_postgres();
    await stack.start_postgres();
    await until('the listener of the workers', async () => /^quoin_listener_up{pool="api"} 1$/m.test(await metrics(stack)));
    await stack.renew();
    await sleep(SKEW_MS);
    for (let n = 0; n < TIMES * LICENCES;) n += (await ask(2)).answered;
  }
  return [
    { name: 'quoin', serving: quoin.serving, before: warm, run: ask },
    {
      name: 'Postgres stopped',
      serving: quoin.serving,
      async before() {
        await warm();
        await stack.stop_postgres();
        await until('answers that say they are old', marked);
      },
      async run(seconds) {
        const measured = await ask(seconds);
        if (!(await marked())) throw new Error('while Postgres was stopped an answer did not say that it is old');
        return measured;
      },
    },
  ];
}
