// F24: nginx reloaded under clients that keep their connections.
import assert from 'node:assert/strict';
import http from 'node:http';

import { signal } from '../lib/copy.mjs';
import { bench, fault, kinds, times } from '../lib/fault.mjs';
import { Http } from '../lib/http.mjs';
import { until } from '../lib/wait.mjs';

/**
 * What every browser and client library does: when a kept connection turns out to be closed before any
 * byte of an answer came, the request goes again on a new one (RFC 9112 §9.3.1).
 */
class Kept extends Http {
	constructor(options) {
		super(options);
		this.again = 0;
		const note = (req) => req.once('error', (e) => (e.kept = req.reusedSocket && !req.res));
		this.agent = new (class extends http.Agent {
			addRequest(req, ...rest) {
				note(req);
				return super.addRequest(req, ...rest);
			}
		})({ keepAlive: true, maxSockets: 64 });
	}

	async request(...args) {
		for (;;) {
			try {
				return await super.request(...args);
			} catch (e) {
				if (!e.kept || !['ECONNRESET', 'EPIPE'].includes(e.code))
					throw e;
				this.again++;
			}
		}
	}
}

const b = await bench();
const kept = new Kept({ port: b.t.stack.port, host: b.http.host });

fault('F24', 'nginx -s reload under kept connections: nothing lost', async ({ copy }, ledger) => {
	const n = times(12, 50);
	const master = copy.pid('nginx');
	const at = Date.now();
	for (let i = 0; i < n; i++) {
		const old = copy.children(master);
		signal(master, 'SIGHUP');
		await until('new workers of nginx', () => copy.children(master).some((p) => !old.includes(p)), { every: 2 });
		await ledger.during(30);
	}
	assert.equal(copy.pid('nginx'), master);
	const { bad, requests } = ledger.since(at);
	assert.equal(bad.length, 0, kinds(bad));
	return { reloads: n, requests, 'failed requests': 0, 'sent again by the client': kept.again };
}, { http: kept, rate: 40 });
