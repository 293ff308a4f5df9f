// Money and machines, while something is broken: Stripe sends the events of subscriptions' lives, each until it is taken as
// Stripe does, and programs on ever new machines have a licence looked at. It is noted what was acknowledged. At the end
// verdict() says whether all of it is there, once: every event taken is applied with one effect, every machine that was
// let in has one seat, told of once, and no licence has more machines than seats.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, Licences } from './licences.mjs';
import { Lives } from './lives.mjs';
import { Shop } from './shop.mjs';
import { until } from './wait.mjs';

const ROOMY = 4, TIGHT = 2; // licences of so many seats as are asked for, and of SEATS
const SEATS = 3;

export class Trade {
	/** `lives`: as many subscriptions at the most; `rate`: events and machines a second, of each; `loops`: by themselves. */
	static async start(stack, { lives = 60, rate = 8, loops = true } = {}) {
		const t = new Trade();
		Object.assign(t, { stack, rate, running: true, lost: [], twice: [], sent: 0, taken: 0, refused: 0, asked: 0, unanswered: 0, machines: [] });
		t.shop = await Shop.open(stack, 'cue');
		t.lives = new Lives(t.shop);
		t.people = await t.lives.people(lives);
		t.lived = [];
		t.office = await Licences.open('coditect');
		t.licences = [];
		for (let i = 0; i < ROOMY + TIGHT; i++)
			t.licences.push(await t.office.issue({ plan: 'enterprise', max_devices: i < ROOMY ? -1 : SEATS }));
		t.loops = loops ? [t.sell(), t.sell(), t.admit(), t.admit()] : [];
		return t;
	}

	fail(what, list = this.lost) {
		if (list.length < 50)
			list.push(what);
	}

	/** Two loops share the pace. */
	async pace() {
		await pause(2000 / this.rate);
	}

	/** One event, again and again until it is taken; sometimes once more, as Stripe may. */
	async send(event) {
		for (let again = Math.random() < 0.2 ? 2 : 1; again > 0;) {
			this.sent++;
			const r = await this.shop.send(event, { record: false }).catch(() => undefined);
			if (r?.status === 200) {
				this.taken++;
				again--;
			} else if (r && r.status < 500) {
				return void this.fail(`an event was refused: ${r}`);
			} else {
				this.refused++;
				await this.pace();
			}
		}
	}

	/** Somebody whose life begins. */
	next() {
		const u = this.people.pop();
		this.lived.push(u);
		return u;
	}

	async sell() {
		while (this.running && this.people.length > 0) {
			for (const step of this.lives.of(this.next())) {
				await this.send(step());
				await this.pace();
			}
		}
	}

	/** A machine that nobody knows asks once, or until it has its answer. */
	async machine(licence, patient) {
		const m = { licence, id: `machine-${randomUUID()}`, outcome: 'unknown' };
		this.machines.push(m);
		do {
			this.asked++;
			const r = await ask(this.office.http, licence, m.id, {}).catch(() => undefined);
			if (r?.status === 200)
				m.outcome = r.json.code;
			else if (r && r.status < 500)
				return void this.fail(`a machine was refused: ${r}`);
			else
				this.unanswered++;
			if (m.outcome === 'unknown')
				await this.pace();
		} while (patient && m.outcome === 'unknown');
	}

	async admit() {
		for (let i = 0; this.running; i++) {
			await this.machine(this.licences[i % this.licences.length], Math.random() < 0.7);
			await this.pace();
		}
	}

	async stop() {
		this.running = false;
		await Promise.all(this.loops);
	}

	async judgeLives() {
		if (this.lived.length === 0)
			return;
		const ends = await this.lives.ends(this.lived);
		if (ends.length !== this.lived.length)
			this.fail(`${this.lived.length} subscriptions, and ${ends.length} are there`);
		for (const e of ends)
			if (String(e) !== String(Lives.END))
				this.fail(`of a subscription is left ${e}`, String(e).length > String(Lives.END).length ? this.twice : this.lost);
		const list = this.lived.map((u) => `'${u.customer}'`);
		const [[rows, ids]] = await this.stack.rows(`SELECT count(*), count(DISTINCT id) FROM billing_events WHERE customer IN (${list})`);
		if (Number(rows) !== 5 * this.lived.length || rows !== ids)
			this.fail(`${5 * this.lived.length} events were taken, and ${rows} are there`, Number(rows) > 5 * this.lived.length ? this.twice : this.lost);
		await until('all mail is out', async () => (await this.stack.one(`SELECT count(*) FROM mails WHERE user_id IN (${this.lived.map((u) => `'${u.id}'`)}) AND state <> 'sent'`)) === '0', { within: 60_000 });
	}

	async judgeMachines() {
		const rows = await this.stack.rows(`SELECT d.machine_id, l.id, count(*), (SELECT count(*) FROM events e WHERE e.type = 'device.added' AND e.data ->> 'machine_id' = d.machine_id),
				(SELECT count(*) FROM audit_logs a WHERE a.action = 'device.added' AND a.resource_id = l.id::text AND a.details ->> 'machine_id' = d.machine_id)
			FROM license_devices d JOIN licenses l ON l.id = d.license_id WHERE l.id IN (${this.licences.map((l) => `'${l.id}'`)}) GROUP BY d.machine_id, l.id`);
		const there = new Map(rows.map((r) => [r[0], r]));
		for (const m of this.machines) {
			const row = there.get(m.id);
			there.delete(m.id);
			if (m.outcome === 'VALID' && row?.[1] !== m.licence.id)
				this.fail('a machine was let in, and has no seat');
			if (!['VALID', 'unknown'].includes(m.outcome) && row)
				this.fail(`a machine was told ${m.outcome}, and has a seat`, this.twice);
			if (row && row.slice(2).some((n) => n !== '1'))
				this.fail(`a machine has ${row[2]} seats, was told of ${row[3]} times and noted ${row[4]} times`, row.slice(2).includes('0') ? this.lost : this.twice);
		}
		if (there.size > 0)
			this.fail(`${there.size} seats are of machines that never asked`, this.twice);
		for (const l of this.licences.slice(ROOMY)) {
			const seats = rows.filter((r) => r[1] === l.id).length;
			if (seats > SEATS)
				this.fail(`a licence of ${SEATS} seats has ${seats} machines`, this.twice);
		}
		return rows.length;
	}

	async close() {
		await this.stop();
		this.office.close();
		await this.shop.close();
	}

	/** Everything is well again. */
	async verdict() {
		await this.stop();
		await this.judgeLives();
		const seats = await this.judgeMachines();
		await this.close();
		const { lost, twice, sent, taken, refused, asked, unanswered } = this;
		return { lost, twice, lives: this.lived.length, sent, taken, refused, machines: this.machines.length, asked, unanswered, seats };
	}
}
