// Waiting is polling: for a state, never for a time.
import { setTimeout as pause } from 'node:timers/promises';

/** Calls `look` until it returns something true, which is returned; throws with what it saw last. */
export async function until(what, look, { within = 20_000, every = 25 } = {}) {
	const end = Date.now() + within;
	let last, error;
	for (;;) {
		try {
			last = await look();
			error = undefined;
			if (last)
				return last;
		} catch (e) {
			error = e;
		}
		if (Date.now() >= end)
			throw new Error(`not within ${within} ms: ${what}; last: ${error ? error.message : JSON.stringify(last)}`, { cause: error });
		await pause(every);
	}
}

/** Until no day of UTC ends within so many seconds: for what is counted by the day. */
export const sameDay = (seconds = 120) => until('no day ends soon', () => 86_400 - ((Date.now() / 1000) % 86_400) > seconds, { within: 1000 * (seconds + 30), every: 250 });

/** Runs `work(item, index)` over items, `width` at a time; results in order. */
export async function inParallel(items, width, work) {
	const list = [...items];
	const results = new Array(list.length);
	let next = 0;
	await Promise.all(
		Array.from({ length: Math.min(width, list.length) }, async () => {
			while (next < list.length) {
				const i = next++;
				results[i] = await work(list[i], i);
			}
		}),
	);
	return results;
}
