// A request that is right by its form for any route of the table, made from openapi.json: ids and values that
// are not given are made up.
import { randomBytes, randomUUID } from 'node:crypto';

/** What a schema cannot say, by the name of a member. */
const byName = {
	token: () => randomBytes(32).toString('base64url'),
	device_code: () => randomBytes(32).toString('base64url'),
	auth_code: () => randomBytes(32).toString('base64url'),
	email: () => `somebody.${randomUUID()}@example.com`,
	password: () => `Made-up-${randomUUID()}`,
	new_password: () => `Made-up-${randomUUID()}`,
};

export class Requests {
	/** `world`: values of members and path parameters; `bodies`: by schema, functions that make a whole body. */
	constructor(openapi, world = {}, bodies = {}) {
		Object.assign(this, { openapi, world, bodies });
	}

	value(name, schema) {
		if (this.world[name] !== undefined)
			return this.world[name];
		if (byName[name])
			return byName[name]();
		if (schema.enum)
			return schema.enum[0];
		if (schema.format === 'uuid')
			return randomUUID();
		const type = [schema.type].flat()[0];
		return { string: 'x'.repeat(schema.minLength || 1), integer: schema.minimum ?? 1, boolean: true, object: {} }[type];
	}

	/** Path and query. */
	target(route) {
		const { parameters = [] } = this.openapi.paths[route.path][route.method.toLowerCase()];
		const query = parameters.filter((p) => p.in === 'query' && p.required).map((p) => `${p.name}=${encodeURIComponent(this.value(p.name, p.schema))}`);
		const path = route.path.replace(/\{(\w+)\}/g, (_, name) => this.value(name, parameters.find((p) => p.name === name)?.schema ?? { format: 'uuid' }));
		return query.length ? `${path}?${query.join('&')}` : path;
	}

	body(route) {
		if (!route.body)
			return undefined;
		if (this.bodies[route.body])
			return this.bodies[route.body]();
		const schema = this.openapi.components.schemas[`${route.body}${route.flags.includes('camel') ? 'Camel' : ''}`];
		return Object.fromEntries((schema.required ?? []).map((name) => [name, this.value(name, schema.properties[name])]));
	}
}
