// The contract proof: every exchange that the suite recorded is held against openapi.json. A reply of a
// status, a type or a shape that the document lacks fails, and so do a route never visited and a
// declared error never seen.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

// What nginx may answer before a worker is asked, for any operation.
const BEFORE_US = new Set(['bad-request', 'headers-too-large', 'uri-too-long', 'too-many-requests', 'misdirected', 'request-timeout', 'body-too-large']);
// What any operation may answer when too many come at once or Postgres is not itself, beside the 503s that it names.
const ANYWHERE = new Set(['busy', 'contention', 'uncertain']);
const snake = (name) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const camel = (name) => name.replace(/_[a-z]/g, (c) => c[1].toUpperCase());
const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'];
const escape = (s) => encodeURIComponent(s.replaceAll('~', '~0').replaceAll('/', '~1'));

export class Contract {
	constructor(doc) {
		this.doc = doc;
		this.ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
		addFormats(this.ajv);
		this.ajv.addSchema({ ...doc, $id: 'quoin:openapi' }, 'quoin:openapi');
		this.operations = [];
		for (const [template, item] of Object.entries(doc.paths)) {
			for (const method of METHODS) {
				if (!item[method])
					continue;
				this.operations.push({
					method: method.toUpperCase(),
					template,
					op: item[method],
					pointer: `#/paths/${escape(template)}/${method}`,
					pattern: new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{[^}]+\}/g, '[^/]+')}$`),
					literals: template.split('/').filter((s) => s && !s.startsWith('{')).length,
					seen: { statuses: new Map(), codes: new Map() },
				});
			}
		}
		this.operations.sort((a, b) => b.literals - a.literals);
	}

	find(method, target) {
		const p = target.split('?')[0];
		return this.operations.find((o) => o.method === (method === 'HEAD' ? 'GET' : method) && o.pattern.test(p));
	}

	knows(target) {
		const p = target.split('?')[0];
		return this.operations.some((o) => o.pattern.test(p));
	}

	#resolve(node, pointer) {
		while (node?.$ref) {
			pointer = node.$ref;
			node = node.$ref.slice(2).split('/').reduce((n, k) => n?.[decodeURIComponent(k).replaceAll('~1', '/').replaceAll('~0', '~')], this.doc);
		}
		return [node, pointer];
	}

	#validator(pointer) {
		const key = `quoin:openapi${pointer}`;
		return this.ajv.getSchema(key) ?? this.ajv.compile({ $ref: key });
	}

	/** The codes that an operation declares, as {code: status}. */
	errors(o) {
		const codes = {};
		for (const [status, r] of Object.entries(o.op.responses)) {
			const [response] = this.#resolve(r, '');
			for (const code of response['x-codes'] ?? o.op['x-errors']?.[status] ?? [])
				codes[code] = Number(status);
		}
		return codes;
	}

	/** Faults of one exchange, as sentences; notes what was seen. */
	check(x) {
		const o = this.find(x.method, x.target);
		if (!o) {
			// An unknown path or method must be told so, and with a problem document when it is ours.
			return x.status >= 200 && x.status < 300 && x.method !== 'OPTIONS' ? [`answered ${x.status}, and openapi.json has no such operation`] : [];
		}
		const faults = [];
		const named = o.op.responses[x.status] ? x.status : BEFORE_US.has(x.code) || x.status >= 500 ? 'default' : x.status;
		const [response, pointer] = this.#resolve(o.op.responses[named], `${o.pointer}/responses/${named}`);
		const type = (x.headers['content-type'] ?? '').split(';')[0];
		if (!response)
			return [`status ${x.status}${x.code ? ` (${x.code})` : ''} is not documented`];
		o.seen.statuses.set(String(x.status), (o.seen.statuses.get(String(x.status)) ?? 0) + 1);
		if (x.code)
			o.seen.codes.set(x.code, (o.seen.codes.get(x.code) ?? 0) + 1);
		if (x.method === 'HEAD' || !response.content) {
			if (x.body)
				faults.push(`a body where none is documented: ${x.body.slice(0, 80)}`);
		} else if (!response.content[type]) {
			faults.push(`type ${type || 'none'} is not documented for ${x.status}`);
		} else if (/json$/.test(type) && response.content[type].schema) {
			let value;
			try {
				value = JSON.parse(x.body);
			} catch (e) {
				return [`the body is not JSON: ${e.message}`];
			}
			const validate = this.#validator(`${pointer}/content/${escape(type)}/schema`);
			if (!validate(value))
				faults.push(...validate.errors.slice(0, 4).map((e) => `${x.status}: ${e.instancePath || '/'} ${e.message} ${JSON.stringify(e.params)}`));
		}
		for (const [name, h] of Object.entries(response.headers ?? {})) {
			const [header] = this.#resolve(h, '');
			if (header.required && x.headers[name.toLowerCase()] === undefined)
				faults.push(`${x.status} lacks the header ${name}`);
		}
		if (x.code) {
			if (response['x-codes'] && !response['x-codes'].includes(x.code) && !BEFORE_US.has(x.code) && !ANYWHERE.has(x.code))
				faults.push(`${x.code} is not among its declared errors`);
		}
		// What was accepted must be acceptable by the document too.
		if (x.status < 300 && x.request_body && /json/.test(x.request_type ?? '') && o.op.requestBody) {
			const [rb, rbPointer] = this.#resolve(o.op.requestBody, `${o.pointer}/requestBody`);
			if (rb.content?.['application/json']?.schema) {
				const validate = this.#validator(`${rbPointer}/content/application~1json/schema`);
				// Input may be spelt in either case (K5); the document shows one.
				const sent = JSON.parse(x.request_body);
				const spelt = (spell) => Object.fromEntries(Object.entries(sent).map(([k, v]) => [spell(k), v]));
				if (!validate(spelt(camel)) && !validate(spelt(snake)))
					faults.push(...validate.errors.slice(0, 4).map((e) => `accepted a body that the document refuses: ${e.instancePath || '/'} ${e.message}`));
			}
		}
		return faults;
	}

	/** After all checks: operations never answered well, declared statuses and errors never seen. */
	unseen() {
		const missing = [];
		for (const o of this.operations) {
			const name = `${o.method} ${o.template}`;
			if (![...o.seen.statuses.keys()].some((s) => s.startsWith('2') || s === '302' || s === '304')) {
				missing.push(`${name}: never answered well`);
				continue;
			}
			for (const status of Object.keys(o.op.responses))
				if (status !== 'default' && !o.seen.statuses.has(status))
					missing.push(`${name}: ${status} never seen`);
			for (const code of Object.keys(this.errors(o)))
				if (!o.seen.codes.has(code))
					missing.push(`${name}: ${code} never seen`);
		}
		return missing;
	}
}

/** All exchanges below `dir`. */
export function* recorded(dir) {
	for (const f of readdirSync(dir).filter((n) => n.endsWith('.jsonl')).sort())
		for (const line of readFileSync(path.join(dir, f), 'utf8').split('\n'))
			if (line)
				yield { file: f.split('.')[0], ...JSON.parse(line) };
}
