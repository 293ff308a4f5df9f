// A reporter for ./dev test: a line of each test, RESULT, tab, FILE, tab, NAME. `pass`, `fail`; or `never`: it would not
// help to run its file once more, as that crashed or did not load (then it is named like its file), or took too long.
// A suite counts when it failed by itself: what it cleans up afterwards is no test's.
const result_of = (type, { file, name, details }) => {
	if (type === 'test:pass')
		return 'pass';
	return name === file || details.error?.failureType === 'testTimeoutFailure' ? 'never' : 'fail';
};

const counts = (type, { details, skip }) =>
	skip === undefined && (details.type !== 'suite' || (type === 'test:fail' && details.error?.failureType === 'hookFailed'));

export default async function* results(source) {
	for await (const { type, data } of source)
		if (['test:pass', 'test:fail'].includes(type) && counts(type, data))
			yield `${result_of(type, data)}\t${data.file}\t${data.name.replace(/\s+/g, ' ')}\n`;
}
