// Mail servers on loopback: smtp-server, which is a real one, told how to behave; and a line-by-line one for what
// no honest server says. Mail is read by postal-mime.
import net from 'node:net';

import PostalMime from 'postal-mime';
import { SMTPServer } from 'smtp-server';

export class Smtp {
	/** Mail that was taken: {from, to, secure, user, raw, mail}. */
	mails = [];
	commands = [];

	/** `options` are smtp-server's. `refuse` may hold {rcpt, mail, data}: [code, text]. */
	static async start({ port = 0, host = '127.0.0.1', refuse = {}, ...options } = {}) {
		const s = new Smtp();
		Object.assign(s, { host, refuse, options });
		await s.up(port);
		return s;
	}

	async up(port = this.port) {
		const refused = (what, done) => {
			this.commands.push(what);
			const [code, text] = this.refuse[what] ?? [];
			done(code ? Object.assign(new Error(text), { responseCode: code }) : undefined);
		};
		this.server = new SMTPServer({
			disabledCommands: ['STARTTLS'],
			authOptional: true,
			disableReverseLookup: true,
			closeTimeout: 100,
			onMailFrom: (_a, _s, done) => refused('mail', done),
			onRcptTo: (_a, _s, done) => refused('rcpt', done),
			onData: (stream, session, done) => this.#take(stream, session, (what) => refused(what, done)),
			...this.options,
		});
		this.server.on('error', () => {}); // of one connection: the other side's business
		await new Promise((resolve) => this.server.listen(port, this.host, resolve));
		this.port = this.server.server.address().port;
	}

	async #take(stream, session, done) {
		const blocks = [];
		for await (const b of stream)
			blocks.push(b);
		const raw = Buffer.concat(blocks);
		const { mailFrom, rcptTo } = session.envelope;
		const found = { from: mailFrom.address, to: rcptTo.map((r) => r.address), secure: session.secure, user: session.user, greeting: session.hostNameAppearsAs, raw: raw.toString('latin1') };
		found.mail = await PostalMime.parse(raw);
		await this.beforeReply?.(found);
		if (!this.refuse.data)
			this.mails.push(found);
		done('data');
	}

	/** Nothing listens there afterwards; up() takes the same port again. */
	down() {
		return new Promise((resolve) => this.server.close(resolve));
	}
}

/** Says `greeting`, then what `answer(line)` returns (undefined: nothing) to each line. */
export class Script {
	lines = [];

	static async start(answer, greeting = '220 hello\r\n') {
		const s = new Script();
		s.open = new Set();
		s.server = net.createServer((c) => {
			s.open.add(c);
			c.on('close', () => s.open.delete(c));
			c.on('error', () => {});
			if (greeting)
				c.write(greeting, 'latin1');
			let rest = '';
			c.on('data', (d) => {
				rest += d.toString('latin1');
				for (let at; (at = rest.indexOf('\r\n')) >= 0; rest = rest.slice(at + 2)) {
					const line = rest.slice(0, at);
					s.lines.push(line);
					const said = answer(line, s.lines);
					if (said !== undefined)
						c.write(said, 'latin1');
				}
			});
		});
		await new Promise((resolve) => s.server.listen(0, '127.0.0.1', resolve));
		s.port = s.server.address().port;
		return s;
	}

	async down() {
		for (const c of this.open)
			c.destroy();
		await new Promise((resolve) => this.server.close(resolve));
	}
}
