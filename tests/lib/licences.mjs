// Licences for tests: an app with its staff and people, licences of any policy, and what a program asks.
import { createHash, randomBytes } from 'node:crypto';

import { ok } from './setup.mjs';
import { Stack } from './stack.mjs';
import { until } from './wait.mjs';

export const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
let count = 0;

/** The last four characters, as docs/licences.md says that they are made. */
function checksum(head) {
	const d = createHash('sha256').update(head).digest();
	const v = (d[0] << 12) | (d[1] << 4) | (d[2] >> 4);
	return [15, 10, 5, 0].map((s) => ALPHABET[(v >> s) & 31]).join('');
}
/** A key with its checksum. */
export const made = (head) => `${head}-${checksum(head)}`;

/** What a program on a machine asks with the key alone; `http.as(token)` beside it, if wanted. */
export const ask = (http, licence, machine = 'm1', more = {}) => http.post('/api/v1/licenses/validate', { license_key: licence.license_key ?? licence, machine_id: machine, ...more });
/** The answer, which is 200 whatever it says. */
export const check = async (...args) => ok(await ask(...args));
export const code = async (...args) => (await check(...args)).code;

export class Licences {
	static async open(app = 'coditect') {
		const w = new Licences();
		w.app = app;
		w.stack = Stack.attach();
		w.http = w.stack.http(app); // nobody
		w.boss = await w.person('boss');
		await w.stack.ctl('user', 'staff', '--app', app, '--role', 'admin', w.boss.email);
		await until('the boss is staff everywhere', async () => {
			for (let n = 0; n < 12; n++)
				if ((await w.boss.as.get('/api/v1/admin/licenses?limit=1')).status !== 200)
					return false;
			return true;
		});
		return w;
	}

	close() {
		this.http.close();
	}

	/** Somebody new, by a token that an operator vouched for. */
	async person(name = 'user') {
		const email = `licences.${name}${++count}.${randomBytes(6).toString('hex')}@example.com`;
		const id = (await this.stack.ctl('user', 'add', '--app', this.app, email)).split(' ')[0];
		const token = (await this.stack.ctl('token', '--app', this.app, email)).trim();
		return { id, email, token, as: this.http.as(token) };
	}

	async issue(policy = {}) {
		return ok(await this.boss.as.post('/api/v1/admin/licenses', policy)).license;
	}

	change(licence, verb, json) {
		return this.boss.as.post(`/api/v1/admin/licenses/${licence.id}/${verb}`, json);
	}

	devices(licence) {
		return this.boss.as.get(`/api/v1/licenses/${licence.id}/devices`).then((r) => ok(r).devices);
	}

	/** The events that were told of a licence, oldest first. */
	async told(licence) {
		return (await this.stack.rows(`SELECT type FROM events WHERE data ->> 'license_id' = '${licence.id}' ORDER BY seq`)).map(([t]) => t);
	}

	async audited(licence) {
		return (await this.stack.rows(`SELECT action FROM audit_logs WHERE resource_id = '${licence.id}' ORDER BY seq`)).map(([t]) => t);
	}

	set(licence, columns) {
		return this.stack.rows(`UPDATE licenses SET ${columns} WHERE id = '${licence.id}'`);
	}
}
