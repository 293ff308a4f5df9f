#!/bin/sh
# Every threat of the list has a test that tries it, and every test that docs/security-tests.md names is there.
set -eu

src=${srcdir:-.}
list=$src/docs/security-tests.md
status=0

complain() {
	echo "docs/security-tests.md: $*"
	status=1
}

# What must be tried: T4-T18, T20-T24, T26-T28, T33-T41.
for t in 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 20 21 22 23 24 26 27 28 33 34 35 36 37 38 39 40 41; do
	grep -q "^| T$t |" "$list" || complain "T$t has no test"
done

rows=$(grep -c '^| T[0-9]* |' "$list")
seen=0
while IFS='|' read -r _ threat file name _; do
	threat=${threat# } threat=${threat% } file=${file# } file=${file% } name=${name# } name=${name% }
	case $threat in T[0-9]*) seen=$((seen + 1)) ;; *) continue ;; esac
	[ -f "$src/$file" ] || { complain "$threat: there is no $file"; continue; }
	case $file in
	# Written, and in the list of those that run.
	*.c) [ "$(grep -cw "$name" "$src/$file")" -ge 2 ] || complain "$threat: $file has no case $name" ;;
	# As a string of its own, in whatever quotes: tests are also named by tables.
	*) grep -qF -e "'$name'" -e "\"$name\"" -e "\`$name\`" "$src/$file" || complain "$threat: $file has no test: $name" ;;
	esac
done <"$list"
[ "$seen" -eq "$rows" ] || complain "$rows rows, of which $seen could be read"
exit $status
