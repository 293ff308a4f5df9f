// A reporter for ./dev test: a line of each test, RESULT, FILE, NAME and what its error said, with tabs between. `pass`,
// `fail`; or `never`: it would not help to run its file once more, as that crashed or did not load (then it is named like
// its file), or took too long. A suite counts when it failed by itself: what it cleans up afterwards is no test's. FILE is
// the one that node was given, one after the other: a test may be declared by what it imports.
const result_of = (type, { file, name, details }) => {
	if (type === 'test:pass')
		return 'pass';
	return name === file || details.error?.failureType === 'testTimeoutFailure' ? 'never' : 'fail';
};

const counts = (type, { details, skip }) =>
	skip === undefined && (details.type !== 'suite' || (type === 'test:fail' && details.error?.failureType === 'hookFailed'));

const words = (text) => (text ?? '').replace(/\s+/g, ' ');

const said = ({ details: { error } }) => words(error?.cause?.message ?? error?.message).slice(0, 800);

export default async function* results(source) {
	let running;
	for await (const { type, data } of source) {
		if (type === 'test:dequeue' && data.nesting === 0 && data.name === data.file)
			running = data.file;
		if (['test:pass', 'test:fail'].includes(type) && counts(type, data))
			yield `${result_of(type, data)}\t${running ?? data.file}\t${words(data.name)}\t${said(data)}\n`;
	}
}
