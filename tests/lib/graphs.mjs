// Twenty graphs as Fig Nodes' editor makes them: built with the real litegraph.js and its own nodes,
// then serialised by it. Each is {name, data}; JSON.stringify(data) are the bytes the client sends.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

// The least of a browser that litegraph's nodes ask for when they are made.
class Thing {
	constructor() {
		return new Proxy(function thing() {}, {
			get: (t, k) => (k === Symbol.toPrimitive ? () => 0 : k === 'toJSON' ? () => null : k === 'then' ? undefined : k in t ? t[k] : new Thing()),
			apply: () => new Thing(),
			construct: () => new Thing(),
			set: () => true,
		});
	}
}

function shimmed(run) {
	const before = {};
	const shims = {
		window: { AudioContext: Thing, location: { host: 'localhost', href: 'http://localhost/' }, addEventListener() {} },
		document: { createElement: () => new Thing(), addEventListener() {}, body: new Thing() },
		mat4: { create: () => Array.from({ length: 16 }, (_, i) => (i % 5 ? 0 : 1)) },
		vec3: { create: () => [0, 0, 0] },
		location: { host: 'localhost', href: 'http://localhost/' },
	};
	const quiet = { log: console.log, warn: console.warn, error: console.error };
	for (const [k, v] of Object.entries(shims)) {
		before[k] = Object.getOwnPropertyDescriptor(globalThis, k);
		Object.defineProperty(globalThis, k, { value: v, configurable: true, writable: true });
	}
	console.log = console.warn = console.error = () => {};
	try {
		return run();
	} finally {
		Object.assign(console, quiet);
		for (const k of Object.keys(shims)) {
			if (before[k])
				Object.defineProperty(globalThis, k, before[k]);
			else
				delete globalThis[k];
		}
	}
}

const L = shimmed(() => require('litegraph.js'));
export const { LiteGraph, LGraph } = L;

// Small and seeded, so that a failure can be run again.
export function random(seed) {
	let s = seed >>> 0;
	return () => {
		s = (s + 0x6d2b79f5) >>> 0;
		let t = Math.imul(s ^ (s >>> 15), 1 | s);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

function add(graph, type, { title, props, at, more } = {}) {
	const node = LiteGraph.createNode(type, title);
	if (!node)
		throw new Error(`litegraph has no node ${type}`);
	if (at)
		node.pos = [...at];
	graph.add(node);
	for (const [k, v] of Object.entries(props ?? {}))
		Object.defineProperty(node.properties, k, { value: v, enumerable: true, writable: true, configurable: true });
	Object.assign(node, more ?? {});
	return node;
}

function build(fill) {
	const g = new LGraph();
	fill(g);
	return g.serialize();
}

const awkward = [
	'Łódź, 東京, القاهرة, עברית, ไทย, Ελλάδα', '👩‍👩‍👧‍👦 🏳️‍🌈 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈', 'é é ﬁ K Å', '\u2028 and \u2029', '\u0001\u0008\u000b\u001f\u007f\u0085',
	'"quoted" \\ back / slash', '</script><!-- & \' -->', 'tab\tnewline\nreturn\r\n', '\ufeffBOM', '\uffff\ufffe', '\u200b\u202e\u2066', "'; DROP TABLE documents; --",
	'%00 %n %s', '${jndi:ldap://x}', '\\u0041', 'null', '',
];

const numbers = [
	0, -0, 0.1 + 0.2, 1 / 3, Number.MIN_VALUE, 2.2250738585072014e-308, Number.MAX_VALUE, -Number.MAX_VALUE,
	Number.EPSILON, 2 ** 53, -(2 ** 53), 2 ** 53 + 2, 1e21, 1e-7, 123456789012345680000, 4.35, 1.005, 100, 1e100, 9007199254740991,
];

function deepObject(n) {
	let o = { leaf: 'bottom' };
	for (let i = 0; i < n; i++)
		o = i % 2 ? [o] : { [`level${i}`]: o };
	return o;
}

const makers = {
	empty: () => build(() => {}),
	'one constant': () => build((g) => add(g, 'basic/const', { props: { value: 42 }, at: [200, 200] })),
	'two nodes, one link': () =>
		build((g) => {
			const c = add(g, 'basic/const', { props: { value: 4.5 }, at: [200, 200] });
			c.connect(0, add(g, 'basic/watch', { at: [700, 200] }), 0);
		}),
	'chain of 200': () =>
		build((g) => {
			let last = add(g, 'basic/const', { props: { value: 1 } });
			for (let i = 0; i < 200; i++) {
				const n = add(g, 'math/operation', { props: { OP: '+-*/%^'[i % 6], B: i }, at: [i * 160, (i % 7) * 40] });
				last.connect(0, n, 0);
				last = n;
			}
		}),
	'every kind of node': () =>
		shimmed(() =>
			build((g) => {
				let i = 0;
				for (const type of Object.keys(LiteGraph.registered_node_types)) {
					if (/^(audio|midi|graphics|network|geometry|input)\//.test(type))
						continue; // their state is the browser's
					add(g, type, { at: [(i % 12) * 220, Math.floor(i / 12) * 180] });
					i++;
				}
			}),
		),
	groups: () =>
		build((g) => {
			for (let i = 0; i < 12; i++) {
				const group = new L.LGraphGroup(`Group ${i} – ${awkward[i]}`);
				group.pos = [i * 300, 10];
				group.size = [280, 220.5];
				group.color = `#${i.toString(16).repeat(3)}`;
				g.add(group);
				add(g, 'basic/string', { props: { value: `in ${i}` }, at: [i * 300 + 20, 60] });
			}
			g.config = { align_to_grid: true, links_ontop: false };
			g.extra = { ds: { scale: 0.8264462809917354, offset: [-120.33333333333333, 48] } };
		}),
	unicode: () => build((g) => awkward.forEach((s, i) => add(g, 'basic/string', { title: s, props: { value: s, [s || 'none']: i } }))),
	floats: () => build((g) => numbers.forEach((v, i) => add(g, 'basic/const', { props: { value: v }, at: [i + 0.1, -i - 0.7] }))),
	'subgraphs in subgraphs': () => {
		// Each level costs three levels of JSON.
		const inside = (g, n) => {
			add(g, 'basic/const', { props: { value: n } });
			if (n > 0)
				inside(add(g, 'graph/subgraph', { title: `level ${n}` }).subgraph, n - 1);
		};
		return build((g) => inside(g, 14));
	},
	'deep properties': () => build((g) => add(g, 'basic/object', { props: { value: deepObject(50) } })),
	'one source, 300 targets': () =>
		build((g) => {
			const s = add(g, 'basic/time');
			for (let i = 0; i < 300; i++)
				s.connect(i % 2, add(g, 'basic/watch', { at: [500, i * 30] }), 0);
		}),
	widgets: () =>
		build((g) => {
			for (const t of ['button', 'toggle', 'number', 'combo', 'knob', 'hslider', 'progress', 'text', 'panel'])
				add(g, `widget/${t}`, { props: { text: `A ${t}`, min: -1, max: 1, value: 0.25 } });
		}),
	events: () =>
		build((g) => {
			const timer = add(g, 'events/timer', { props: { interval: 250, event: 'tick' } });
			const seq = add(g, 'events/sequence');
			const count = add(g, 'events/counter');
			timer.connect(0, seq, 0);
			seq.connect(0, count, 0);
			count.connect(1, add(g, 'basic/watch'), 0);
			add(g, 'events/filter', { props: { equal_to: '', has_property: 'x' } });
		}),
	scripts: () =>
		build((g) => {
			for (let i = 0; i < 40; i++)
				add(g, 'basic/script', { props: { onExecute: `// ${awkward[i % awkward.length]}\nif (A > ${i} && B < "x\\n") {\n\treturn \`\${A}\`;\n}\n`.repeat(8) } });
		}),
	'more than a mebibyte': () =>
		build((g) => {
			const r = random(14);
			const all = [];
			for (let i = 0; i < 1000; i++) { // the most that litegraph lets one graph have
				const n = add(g, ['math/operation', 'basic/const', 'string/concatenate', 'math/clamp'][i % 4], {
					title: `Node ${i} ${awkward[i % awkward.length]}`,
					props: { value: r() * 1e6, prompt: `a łódź at dusk, ${r()}, ${awkward[i % awkward.length]} `.repeat(24) },
					at: [r() * 20000, r() * 20000],
				});
				if (i > 0 && n.inputs?.length)
					all[Math.floor(r() * all.length)].connect(0, n, 0);
				all.push(n);
			}
		}),
	'a picture inside': () =>
		build((g) => {
			const r = random(15);
			const bytes = Buffer.from(Array.from({ length: 240_000 }, () => Math.floor(r() * 256)));
			add(g, 'graphics/image', { props: { url: `data:image/png;base64,${bytes.toString('base64')}` } });
		}),
	'odd names': () =>
		build((g) => {
			const props = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`key ${i}`, i % 3 ? i : null]));
			const n = add(g, 'basic/object', { props });
			for (const k of ['__proto__', 'constructor', 'toString', 'data', 'graph', 'id', '', ' ', '0', 'é', 'e\u0301'])
				Object.defineProperty(n.properties, k, { value: { of: k }, enumerable: true, configurable: true, writable: true });
		}),
	tables: () =>
		build((g) => {
			add(g, 'basic/data', { props: { value: awkward.map((s, i) => [s, numbers[i], i % 2 === 0, null, [], {}]) } });
			add(g, 'basic/table[][]', { props: { value: Array.from({ length: 60 }, (_, i) => Array.from({ length: 60 }, (_, k) => i * k)) } });
			add(g, 'basic/array', { props: { value: [[], [[]], [[[]]], {}, [{}]] } });
		}),
	feedback: () =>
		build((g) => {
			const ring = Array.from({ length: 30 }, (_, i) => add(g, 'math/accumulate', { props: { increment: i / 7 } }));
			ring.forEach((n, i) => n.connect(0, ring[(i + 1) % ring.length], 0));
		}),
	'modes, colours, flags': () =>
		build((g) => {
			for (let i = 0; i < 50; i++)
				add(g, 'math/compare', {
					at: [-i * 1.5, i / 3],
					more: { mode: i % 5, color: '#322', bgcolor: '#533', boxcolor: `#${(i * 4321).toString(16).padStart(6, '0')}`, shape: (i % 4) + 1, flags: { collapsed: i % 2 === 0, pinned: i % 3 === 0 } },
				});
			const sub = add(g, 'graph/subgraph', { title: 'pass' });
			sub.subgraph.addInput('in', 'number');
			sub.subgraph.addOutput('out', 'number');
		}),
};

let made;

/** All twenty, made once. */
export function graphs() {
	made ??= Object.entries(makers).map(([name, make]) => ({ name, data: make() }));
	return made;
}

/** One small graph that differs for every n. */
export function smallGraph(n, note = '') {
	return build((g) => {
		const c = add(g, 'basic/const', { props: { value: n, note }, at: [200, 200] });
		c.connect(0, add(g, 'basic/watch', { at: [700, 200] }), 0);
	});
}

/** What the editor has after loading `data` (CloudFileManager.loadFromCloud) and saving it again. */
export function reload(data) {
	return shimmed(() => {
		const g = new LGraph();
		g.configure(JSON.parse(JSON.stringify(data)));
		return g.serialize();
	});
}
