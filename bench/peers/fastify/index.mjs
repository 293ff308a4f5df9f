// The peer in Fastify + pg: cluster of PEER_PROCESSES, a pool in each, tokens verified by fast-jwt,
// named (prepared) statements, a response schema for the list, answers about licences kept by memjs for a day.
import cluster from 'node:cluster';
import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { createVerifier } from 'fast-jwt';
import Fastify from 'fastify';
import memjs from 'memjs';
import pg from 'pg';

const env = process.env;
const sql = (name) => ({ name, text: readFileSync(new URL(`../sql/${name}.sql`, import.meta.url), 'utf8') });
const [READ, LIST, WRITE, LICENCE] = ['read', 'list', 'write', 'licence'].map(sql);
const DAY_S = 86_400;

if (cluster.isPrimary) {
  for (let i = 0; i < Number(env.PEER_PROCESSES ?? 2); i++) cluster.fork();
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
} else {
  process.on('disconnect', () => process.exit(0));
  await serve();
}

async function serve() {
  const pool = new pg.Pool({ max: Number(env.PEER_POOL ?? 8) });
  const cache = memjs.Client.create(env.PEER_MEMCACHED);
  const verify = verifier();
  const app = Fastify({ logger: false, bodyLimit: 4 << 20 });

  app.decorateRequest('subject', null);
  app.setErrorHandler((err, req, reply) => {
    const status = err.statusCode ?? 500;
    reply.code(status).send({ detail: status < 500 ? err.message : 'Internal error' });
  });

  async function authenticate(req) {
    const header = req.headers.authorization;
    if (!header?.startsWith('Bearer ')) throw problem(401, 'Not authenticated');
    try {
      req.subject = verify(header.slice(7)).sub;
    } catch {
      throw problem(401, 'Invalid token');
    }
  }

  app.get('/health', async () => ({ status: 'alive' }));

  app.get('/api/v1/graphs/:id', { onRequest: authenticate }, async (req) => {
    const { rows } = await pool.query({ ...READ, values: [req.params.id, env.PEER_APP, env.PEER_ISSUER, req.subject] });
    if (rows.length === 0) throw problem(404, 'Graph not found');
    return { graph: rows[0] };
  });

  const body = {
    type: 'object',
    properties: { name: { type: 'string' }, data: { type: 'object' }, commit_message: { type: 'string' } },
  };
  app.put('/api/v1/graphs/:id', { onRequest: authenticate, schema: { body } }, async (req) => {
    const { name = null, data, commit_message = null } = req.body;
    const text = data === undefined ? null : JSON.stringify(data);
    const sha256 = text === null ? null : createHash('sha256').update(text).digest();
    const size = text === null ? null : Buffer.byteLength(text);
    const { rows } = await pool.query({
      ...WRITE, values: [req.params.id, env.PEER_APP, env.PEER_ISSUER, req.subject, name, text, sha256, size, commit_message],
    });
    const { outcome, version } = rows[0] ?? { outcome: 'missing' };
    if (outcome === 'missing') throw problem(404, 'Graph not found');
    if (outcome === 'denied') throw problem(403, 'Access denied');
    if (outcome === 'base') throw problem(428, 'Say which version was edited');
    return { graph: { id: req.params.id, version } };
  });

  const string = { type: 'string' };
  const asked = {
    body: {
      type: 'object', required: ['license_key', 'machine_id'],
      properties: { license_key: { type: 'string', maxLength: 160 }, machine_id: { type: 'string', maxLength: 256 }, version: string },
    },
  };
  app.post('/api/v1/licenses/validate', { onRequest: authenticate, schema: asked }, async (req, reply) => {
    const { license_key, machine_id } = req.body;
    const key = `license:${createHash('sha256').update(`${license_key}\n${machine_id}`).digest('hex')}`;
    const { value } = await cache.get(key);
    if (value !== null) return reply.type('application/json; charset=utf-8').send(value);
    const { rows } = await pool.query({ ...LICENCE, values: [env.PEER_APP, license_key, machine_id] });
    if (rows.length === 0 || !rows[0].valid) return { valid: false, code: rows.length === 0 ? 'NOT_FOUND' : 'REFUSED' };
    const text = JSON.stringify({ ...rows[0], code: 'VALID', cached_until: new Date(Date.now() + DAY_S * 1000) });
    await cache.set(key, text, { expires: DAY_S });
    return reply.type('application/json; charset=utf-8').send(text);
  });

  const graph = {
    type: 'object',
    properties: { id: string, name: string, version: { type: 'integer' }, created_at: string, updated_at: string },
  };
  const listed = {
    querystring: { type: 'object', properties: { limit: { type: 'integer', minimum: 1, maximum: 200, default: 50 } } },
    response: { 200: { type: 'object', properties: { graphs: { type: 'array', items: graph } } } },
  };
  app.get('/api/v1/workspaces/:id/graphs', { onRequest: authenticate, schema: listed }, async (req) => {
    const { rows } = await pool.query({ ...LIST, values: [req.params.id, env.PEER_APP, env.PEER_ISSUER, req.subject, req.query.limit] });
    if (rows.length === 0) throw problem(404, 'Workspace not found');
    return { graphs: rows[0].id === null ? [] : rows };
  });

  await app.listen({ port: Number(env.PEER_PORT), host: '127.0.0.1', backlog: 4096 });
}

function problem(status, detail) {
  return Object.assign(new Error(detail), { statusCode: status });
}

// One verifier per key of the key set: the algorithm comes from the key, never from the token.
function verifier() {
  const { keys } = JSON.parse(readFileSync(env.PEER_JWKS, 'utf8'));
  const by_kid = new Map(keys.map((jwk) => [jwk.kid, createVerifier({
    key: createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }),
    algorithms: [jwk.alg ?? (jwk.kty === 'EC' ? 'ES256' : 'RS256')],
    allowedIss: env.PEER_ISSUER,
    ...(env.PEER_AUDIENCE ? { allowedAud: env.PEER_AUDIENCE } : {}),
    requiredClaims: ['exp', 'sub'],
  })]));
  const only = by_kid.size === 1 ? by_kid.values().next().value : null;
  return (token) => {
    if (only) return only(token);
    const { kid } = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url'));
    const check = by_kid.get(kid);
    if (!check) throw new Error('no such key');
    return check(token);
  };
}
