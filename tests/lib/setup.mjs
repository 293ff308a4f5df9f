// What most test files begin with: the stack, an issuer of our own known to fig-nodes, and users.
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import process from 'node:process';

import { Issuer } from './forge.mjs';
import { Stack } from './stack.mjs';
import { until } from './wait.mjs';

const file = path.basename(process.argv[1] ?? 'test').split('.')[0];

export async function setup({ issuers = {}, rows = [] } = {}) {
	const stack = Stack.attach();
	const issuer = await Issuer.start(issuers);
	await stack.useIssuers('fig-nodes', [issuer.row, ...rows]);
	const http = stack.http();
	const t = {
		stack,
		issuer,
		http,

		/** Somebody new. `as` speaks for them; their row exists. */
		async user(name) {
			const sub = `auth0|${file}-${name}-${randomBytes(6).toString('hex')}`;
			const email = `${file}.${name}.${randomBytes(6).toString('hex')}@example.com`;
			const token = await issuer.userToken(sub, email, `${name} of ${file}`);
			const as = http.as(token);
			const me = await until(`a token of ${issuer.issuer} is taken`, async () => {
				const r = await as.get('/api/v1/me');
				if (r.status !== 200)
					throw new Error(String(r));
				return r;
			});
			return { sub, email, token, as, id: me.json.user.id };
		},

		async workspace(user, more = {}) {
			return ok(await user.as.post('/api/v1/workspaces', { name: `of ${file}`, ...more })).workspace;
		},

		/** A graph in a workspace of `user`'s (a new one unless given). `data` may be JSON text. */
		async graph(user, { workspace, name = 'a graph', data = { n: 1 }, ...more } = {}) {
			workspace ??= await this.workspace(user);
			const body = typeof data === 'string'
				? `{"workspace_id":"${workspace.id}","name":${JSON.stringify(name)},"data":${data}}`
				: JSON.stringify({ workspace_id: workspace.id, name, data, ...more });
			const { graph } = ok(await user.as.request('POST', '/api/v1/graphs', { body }));
			return { ...graph, workspace, path: `/api/v1/graphs/${graph.id}` };
		},

		async stop() {
			http.close();
			await issuer.stop();
		},
	};
	return t;
}

/** The reply's JSON, when it is a 200. */
export function ok(reply, status = 200) {
	if (reply.status !== status)
		throw new Error(`expected ${status}, got ${reply}`);
	return reply.json;
}

/** What `ask` gets when it is its turn: who is told that too many ask at once comes again, as clients do. */
export function admitted(ask) {
	return until('it is its turn', async () => {
		const reply = await ask();
		return reply.code !== 'busy' && reply;
	}, { within: 60_000, every: 200 });
}

/** The texts of include/quoin/base/err.h, by code: {status, text}. The tests say them again on purpose. */
export const ERRORS = {
	'bad-request': [400, 'The request is malformed.'],
	'bad-json': [400, 'The body is not acceptable JSON.'],
	'mixed-credentials': [400, 'The request carries more than one kind of credential.'],
	'not-authenticated': [401, 'Not authenticated'],
	'signing-key-unknown': [401, 'Unable to find appropriate key'],
	'token-malformed': [401, 'Invalid token: it is malformed.'],
	'token-algorithm': [401, 'Invalid token: The specified alg value is not allowed'],
	'token-signature': [401, 'Invalid token: Signature verification failed.'],
	'token-expired': [401, 'Invalid token: Signature has expired.'],
	'token-not-yet-valid': [401, 'Invalid token: The token is not yet valid.'],
	'token-issuer': [401, 'Invalid token: Invalid issuer'],
	'token-audience': [401, 'Invalid token: Invalid audience'],
	'token-claims': [401, 'Invalid token: a required claim is missing or wrong.'],
	'account-suspended': [403, 'This account is suspended.'],
	denied: [403, 'You do not have permission to do that.'],
	'not-found': [404, 'Not Found'],
	'workspace-not-found': [404, 'Workspace not found'],
	'graph-not-found': [404, 'Graph not found'],
	'version-not-found': [404, 'Version not found'],
	'share-not-found': [404, 'Share not found'],
	'execution-not-found': [404, 'Execution not found'],
	'user-not-found': [404, 'User not found'],
	'method-not-allowed': [405, 'Method Not Allowed'],
	conflict: [409, 'The request conflicts with the present state.'],
	'version-conflict': [409, 'The document has changed since the version that you edited.'],
	'execution-state': [409, 'An execution cannot change to that state.'],
	'request-in-progress': [409, 'A request with this Idempotency-Key is still being handled.'],
	'precondition-failed': [412, 'The document has changed since the version named in If-Match.'],
	'body-too-large': [413, 'The body is larger than this route accepts.'],
	'unsupported-media-type': [415, 'The body must be application/json.'],
	'invalid-body': [422, 'The request does not match the schema.'],
	'idempotency-key-reused': [422, 'This Idempotency-Key was used with another request.'],
	'precondition-required': [428, 'This workspace demands If-Match or base_version on every save.'],
	'rate-limited': [429, 'Rate limit exceeded. Try again later.'],
	internal: [500, 'Internal Server Error'],
	uncertain: [503, 'The outcome is not known. Retry with the same Idempotency-Key.'],
	'try-later': [503, 'Try again later.'],
	contention: [503, 'Too much contention. Try again later.'],
	// nginx's alone
	'headers-too-large': [431, 'The headers of the request are too large.'],
};

/** Fails unless `reply` is the problem document of one of `codes`, whole and with its own text. */
export function problem(reply, ...codes) {
	const type = reply.headers['content-type'] ?? '';
	if (!type.startsWith('application/problem+json'))
		throw new Error(`expected a problem (${codes}), got ${reply}`);
	const p = reply.json;
	const said = ERRORS[p.code];
	const faults = [];
	if (!codes.includes(p.code))
		faults.push(`code is ${p.code}, not ${codes.join(' or ')}`);
	if (said && (reply.status !== said[0] || p.detail !== said[1]))
		faults.push('status or detail is not that of the code');
	if (p.status !== reply.status)
		faults.push('status is not the reply’s');
	if (p.error !== p.detail)
		faults.push('error is not detail');
	for (const k of ['type', 'title', 'detail', 'request_id'])
		if (typeof p[k] !== 'string' || p[k] === '')
			faults.push(`no ${k}`);
	if (p.request_id !== reply.headers['x-request-id'])
		faults.push(`request_id is not X-Request-Id (${reply.headers['x-request-id']})`);
	if (faults.length)
		throw new Error(`${faults.join('; ')}: ${reply}`);
	return p;
}
