#!/bin/sh
# The manual pages are clean mdoc, and name every setting and every option there is.
set -eu

src=${srcdir:-.}
status=0

if command -v mandoc >/dev/null; then
	said=$(mandoc -T lint "$src"/man/*.[1-8] 2>&1 | grep -v 'referenced manual not found\|outdated mandoc.db') || true
	if [ -n "$said" ]; then
		echo "$said"
		status=1
	fi
fi
for key in $(sed -n 's/^	X(\([A-Z_]*\), [A-Z]*, ".*/\1/p' "$src/include/quoin/base/conf.h"); do
	grep -q "^\.It Ev $key\( Pq HUP\)\{0,1\}$" "$src/man/quoin.env.5" || {
		echo "man/quoin.env.5 lacks $key"
		status=1
	}
done
for option in $(./quoind --help | sed -n 's/^ *-., --\([a-z]*\).*/\1/p'); do
	grep -q "Fl -$option" "$src/man/quoind.8" || {
		echo "man/quoind.8 lacks --$option"
		status=1
	}
done
exit $status
