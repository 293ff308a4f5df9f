// All must give the same answers before any is timed: same fields, same values, times to the millisecond.
import { DOCUMENT, id, WORKSPACE } from './seed.mjs';

const item = ({ id: i, name, data, version, created_at, updated_at }) =>
  JSON.stringify([i, name, data, version, Date.parse(created_at), Date.parse(updated_at)]);

const FORMS = [
  [`/api/v1/graphs/${id(DOCUMENT, 7)}`, (reply) => item(reply.graph)],
  [`/api/v1/workspaces/${id(WORKSPACE, 1)}/graphs?limit=50`, (reply) => reply.graphs.map(item).join('\n')],
];

export async function compare_answers(targets) {
  for (const [url, form] of FORMS) {
    const answers = [];
    for (const target of targets) answers.push(form(await get(target, url)));
    for (const [k, answer] of answers.entries()) {
      if (answer !== answers[0]) {
        throw new Error(`${url}: ${targets[k].name} answers other than ${targets[0].name}:\n${answer}\n${answers[0]}`);
      }
    }
  }
}

async function get(target, url) {
  const headers = { authorization: `Bearer ${target.auth.token}`, host: target.host };
  const reply = await fetch(`http://127.0.0.1:${target.port}${url}`, { headers });
  if (reply.status !== 200) throw new Error(`${target.name}: ${url} gave ${reply.status}: ${await reply.text()}`);
  return reply.json();
}
