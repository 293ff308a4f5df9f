// Teams for tests: organisations of users from setup(), and invitations whose token is known.
import { createHash, randomBytes, randomUUID } from 'node:crypto';

import { ok } from './setup.mjs';

const FIG_NODES = "(SELECT id FROM apps WHERE slug = 'fig-nodes')";

/** SQL that makes users members, as {role: user or [users]}, of an organisation with seats enough for all. */
export const membersSql = (org, members) => [
	`UPDATE organizations SET max_seats = 1000 WHERE id = '${org.id}';`,
	...Object.entries(members).flatMap(([role, users]) => [users].flat().map((user) => `INSERT INTO organization_members (organization_id, user_id, app_id, role) VALUES ('${org.id}', '${user.id}', ${FIG_NODES}, '${role}');`)),
].join('\n');

/** An invitation as the database has it once it was mailed: its id and token, and the SQL that makes it. */
export function invitation(org, email, role = 'member', lasts = '7 days') {
	const token = newToken();
	const id = randomUUID();
	const hash = createHash('sha256').update(token).digest('hex');
	return { id, token, email, sql: `INSERT INTO organization_invitations (id, app_id, organization_id, email, role, token_hash, expires_at) VALUES ('${id}', ${FIG_NODES}, '${org.id}', '${email}', '${role}', '\\x${hash}', now() + interval '${lasts}');` };
}

/** An organisation of `owner`'s, with members. */
export async function team(t, owner, members = {}, more = {}) {
	const { organization } = ok(await owner.as.post('/api/v1/orgs', { name: 'a team', ...more }));
	await t.stack.rows(membersSql(organization, members));
	return { ...organization, path: `/api/v1/orgs/${organization.id}` };
}

export const newToken = () => randomBytes(32).toString('base64url');

/** Invitations to `addresses`. */
export async function invited(t, org, addresses, role, lasts) {
	const made = [addresses].flat().map((email) => invitation(org, email, role, lasts));
	await t.stack.rows(made.map((m) => m.sql).join('\n'));
	return made;
}

export const accept = (user, token) => user.as.post('/api/v1/orgs/invitations/accept', { token });

/** {user id: role} of an organisation. */
export async function roles(t, org) {
	return Object.fromEntries(await t.stack.rows(`SELECT user_id, role FROM organization_members WHERE organization_id = '${org.id}'`));
}

/** The actions in an organisation's audit log, oldest first. */
export async function audited(t, org) {
	return (await t.stack.rows(`SELECT action FROM audit_logs WHERE chain = '${org.id}' ORDER BY seq`)).map((r) => r[0]);
}
