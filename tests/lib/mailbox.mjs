// What a copy without a mail server leaves in its mail folder, read as a mail program would.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { until } from './wait.mjs';

const decodeQp = (s) => Buffer.from(s.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/g, (_, h) => String.fromCharCode(parseInt(h, 16))), 'latin1').toString('utf8');
const decodeWords = (s) => s.replace(/\?=\s+=\?UTF-8\?Q\?/gi, '').replace(/=\?UTF-8\?Q\?([^?]*)\?=/gi, (_, w) => decodeQp(w.replaceAll('_', ' ')));

export class Mailbox {
	constructor(stack) {
		this.dir = path.join(stack.state, 'mail');
	}

	/** All mails to an address, oldest first: {to, subject, text, token}. */
	to(address) {
		const mails = [];
		for (const file of readdirSync(this.dir).filter((f) => f.endsWith('.eml')).sort()) {
			const raw = readFileSync(path.join(this.dir, file), 'latin1').replaceAll('\r\n', '\n');
			const end = raw.indexOf('\n\n');
			const header = raw.slice(0, end).replace(/\n[ \t]+/g, ' ');
			const of = (name) => new RegExp(`^${name}: (.*)$`, 'mi').exec(header)?.[1] ?? '';
			if (of('To').replace(/[<>]/g, '').toLowerCase() !== address.toLowerCase())
				continue;
			const text = decodeQp(/Content-Type: text\/plain[^]*?\n\n([^]*?)\n--=_/.exec(raw.slice(end))?.[1] ?? '');
			mails.push({ to: of('To'), from: of('From'), subject: decodeWords(of('Subject')), text, token: /#token=([A-Za-z0-9_-]+)/.exec(text)?.[1], raw });
		}
		return mails;
	}

	/** The `nth` mail to `address` whose subject matches, once it is there. */
	next(address, subject, nth = 1) {
		return until(`mail to ${address}: ${subject}`, () => this.to(address).filter((m) => subject.test(m.subject))[nth - 1]);
	}
}
