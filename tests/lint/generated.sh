#!/bin/sh
# What is made from the tables is as the tables are: run `make update-docs` when this fails.
set -eu
src=${srcdir:-.}
status=0

same() { # same FILE: compares with standard input
	cmp -s - "$src/$1" || { echo "$1 is out of date: make update-docs"; status=1; }
}

./quoinctl openapi | same docs/openapi.json
./quoinctl config --markdown >config.$$
sed -n '/^| key/,$p' "$src/docs/config.md" | cmp -s - config.$$ || { echo "docs/config.md is out of date: make update-docs"; status=1; }
rm -f config.$$
exit $status
