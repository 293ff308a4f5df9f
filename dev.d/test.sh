# The tests, tier by tier. Each tier runs in a shell of its own and leaves its count in a file, so that
# one that breaks down counts as a failure and does not end the rest.

TIERS=(unit asan valgrind sql api web fuzz faults)
declare -A TIER_PACKAGES=([unit]="libcmocka-dev mandoc systemd" [asan]="libcmocka-dev curl openssl oathtool xmlsec1" [api]="curl openssl oathtool xmlsec1" [valgrind]="libcmocka-dev valgrind"
	[fuzz]="clang libclang-rt-14-dev" [web]=chromium [faults]="strace faketime")

verb_test() {
	local tier passed=0 failed=0 unsteady p f code packages=()
	for tier in "$@"; do
		[[ " ${TIERS[*]} " == *" $tier "* ]] || die "there is no tier $tier: ${TIERS[*]}"
	done
	[ $# -gt 0 ] || set -- "${TIERS[@]}"
	command -v node >/dev/null || die "Node 20 is missing"
	for tier in "$@"; do
		read -ra p <<<"${TIER_PACKAGES[$tier]-}"
		packages+=("${p[@]}")
	done
	need "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${packages[@]}"
	state_open make
	mkdir -p "$STATE/test"
	: >"$STATE/test/unsteady"
	: >"$STATE/test/failed"
	trap 'exit 130' INT TERM HUP
	for tier in "$@"; do
		say "== $tier"
		echo 0 0 >"$STATE/test/$tier.count"
		set +e
		(set -e && "tier_$tier")
		code=$?
		set -e
		read -r p f <"$STATE/test/$tier.count"
		if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
			f=1
			failed "$tier" "" <<<"it broke down"
		fi
		say "$tier: $p passed, $f failed"
		passed=$((passed + p)) failed=$((failed + f))
	done
	awk -F'\t' '!told[$0]++ { print "failed: " $1 ", " $2 ($3 == "" ? "" : ": " $3) }' "$STATE/test/failed"
	sed 's/\t/, /' "$STATE/test/unsteady" | while read -r p; do say "unsteady: $p"; done
	unsteady=$(cut -f1 "$STATE/test/unsteady" | sort -u | wc -l)
	say "$passed passed, $failed failed$([ "$unsteady" -eq 0 ] || echo ", $unsteady unsteady")"
	[ "$failed" -eq 0 ] && [ "$unsteady" -le "$UNSTEADY_MOST" ]
}

# Files that failed and passed when they were run once more. More of them in a run are a failure.
UNSTEADY_MOST=3

# unsteady FILE, with the names of tests of it coming in.
unsteady() {
	sed "s#^#${1#"$SRC"/}\t#" >>"$STATE/test/unsteady"
}

# failed TIER FILE, with what it said coming in: told once more at the end of the run, where who reads a long log looks.
failed() {
	printf '%s\t%s\t%s\n' "$1" "${2#"$SRC"/}" "$(tr -s '[:space:]' ' ' | cut -c1-800)" >>"$STATE/test/failed"
}

# count TIER PASSED FAILED: adds.
count() {
	local p f
	read -r p f <"$STATE/test/$1.count"
	echo $((p + $2)) $((f + $3)) >"$STATE/test/$1.count"
}

tier_unit() {
	check_programs unit "$BUILD"
}

# What a sanitizer's report begins with.
REPORT='Sanitizer|runtime error:'

tier_asan() {
	check_programs asan "$STATE/build-asan" --enable-sanitizers
	BUILD=$STATE/build-asan
	node_tier asan api
	if grep -hE -A 30 "$REPORT" "$COPY"/log/*.log >"$STATE/test/asan.reports"; then
		head -n 60 "$STATE/test/asan.reports" >&2
		failed asan "a report" <"$STATE/test/asan.reports"
		count asan 0 1
	else
		count asan 1 0
	fi
}

tier_valgrind() {
	CHECK=(LOG_COMPILER="$LIMITED valgrind -q --error-exitcode=213 --leak-check=full --suppressions=$SRC/tests/unit/valgrind.supp")
	export TEST_SLOWNESS=10
	check_programs valgrind "$BUILD"
}

# check_programs TIER DIR [CONFIGURE-ARG...]: make check; the scripts among the tests run only in unit, but for that of the
# verifiers, whose program vendors build into theirs: sanitizers see it refuse all that the vectors become.
check_programs() {
	local tier=$1 dir=$2 log=$STATE/test/$1.log
	shift 2
	if grep -qs 'HAVE_CMOCKA_TRUE.*#' "$dir/config.status"; then
		rm -f "$dir/Makefile" # it was configured before cmocka came
	fi
	build "$dir" "$@"
	[ "$tier" = unit ] || CHECK+=(TESTS="$(make -s -C "$dir" --eval='programs: ; @echo $(check_PROGRAMS)' programs)$([ "$tier" != asan ] || echo ' tests/proof/run.sh')")
	timeout -k 10 1800 make -C "$dir" -j"$(nproc)" -k check "${CHECK[@]}" >"$log" 2>&1 || tail -n 60 "$dir/test-suite.log" >&2 || true
	grep -q '^# TOTAL:' "$log" || { tail -n 30 "$log" | tee /dev/stderr | tail -n 5 | failed "$tier" "make check"; return 1; }
	check_once_more "$dir" "$log"
	sed -nE 's/^(FAIL|XPASS|ERROR): ([^ ]*).*/\2/p' "$log" | while read -r name; do
		grep -E '^(\[  (ERROR|FAILED)|==)|: error: |exit status|'"$REPORT" "$dir/$name.log" | failed "$tier" "$name"
	done
	grep -E '^(PASS|FAIL|XPASS|ERROR): ' "$log" | while read -r result name _; do
		cases "$result" "$dir/$name.log"
	done | awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' >"$STATE/test/$tier.count"
}
# Each program has a time limit of its own, and a process group: what it does to that, it does to nobody else.
LIMITED="timeout -k 10 900"
CHECK=(LOG_COMPILER="$LIMITED")

# check_once_more DIR LOG: each program that failed, by itself; not one that crashed (128 and the signal, or what cmocka
# says when it has caught that), took too long, or of which a sanitizer or valgrind (by its exit code) reported something.
check_once_more() {
	local dir=$1 log=$2 name status names
	for name in $(sed -n 's/^FAIL: \([^ ]*\).*/\1/p' "$log"); do
		status=$(sed -n 's/^FAIL .*(exit status: \([0-9]*\))$/\1/p' "$dir/$name.log")
		names=$(sed -n 's/^\[  FAILED  \] \([^0-9].*\)/\1/p' "$dir/$name.log" | sort -u)
		[ "${status:-255}" -lt 99 ] || continue
		! grep -qE -- '--- Test failed with exception: |'"$REPORT" "$dir/$name.log" || continue
		say "once more: $name"
		make -C "$dir" check "${CHECK[@]}" TESTS="$name" >"$log.again" 2>&1 || continue
		sed -i "s#^FAIL: $name\$#PASS: $name#" "$log"
		unsteady "$name" <<<"${names:-$name}"
	done
}

# cases RESULT LOG: passed and failed cases as cmocka counts them, else the program is one.
cases() {
	local passed failed
	passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) .*/\1/p' "$2")
	failed=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) .*/\1/p' "$2")
	case $1 in
	PASS:) echo "${passed:-1}" "${failed:-0}" ;;
	*) echo "${passed:-0}" "${failed:-1}" ;;
	esac
}

tier_sql() {
	sql_script
	node_tier sql
}

# tests/sql/run.sh has a Postgres of its own, and counts for itself.
sql_script() {
	local log=$STATE/test/sql.log
	build "$BUILD"
	QUOINCTL=$BUILD/quoinctl timeout -k 10 900 "$SRC/tests/sql/run.sh" >"$log" 2>&1 || grep -v '^ok ' "$log" >&2
	grep -qE '^[0-9]+ passed, 0 failed$' "$log" || grep -v '^ok ' "$log" | tail -n 5 | failed sql tests/sql/run.sh
	grep -qE '^[0-9]+ passed, [0-9]+ failed$' "$log" || { count sql 0 1; return; }
	# shellcheck disable=SC2046
	count sql $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
}

tier_api() {
	node_tier api
}

tier_web() {
	node_tier web
}

tier_faults() {
	node_tier faults
}

# node_tier TIER [FOLDER]: tests/FOLDER/*.test.mjs, against a private copy that starts empty and is gone afterwards.
# They find it by TEST_URL, TEST_PORT, TEST_STATE, TEST_RUN (its sockets), and TEST_DEV (this program).
node_tier() {
	local tier=$1 files
	files=("$SRC/tests/${2:-$tier}"/*.test.mjs)
	[ -e "${files[0]}" ] || { say "none yet"; return; }
	need_npm "$SRC/tests"
	private_copy "$tier" --testing
	TEST_DEV=$SRC/dev TEST_STATE=$COPY TEST_PORT=$PORT TEST_URL=http://localhost:$PORT \
		TEST_RUN=/tmp/quoin-$(id -u)-$(hash_of "$COPY") node_tests "$tier" "${files[@]}"
}

# private_copy NAME [UP-ARG...], in the shell of a tier: a copy that ends with it.
private_copy() {
	COPY=$STATE/test/$1-copy
	PORT=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
	[ ! -d "$COPY" ] || "$SRC/dev" down --state "$COPY" >/dev/null
	rm -rf "$COPY"
	trap '"$SRC/dev" down --state "$COPY" >/dev/null' EXIT
	shift
	"$SRC/dev" up -d "$@" --state "$COPY" --port "$PORT" --build "$BUILD" >/dev/null
}

# node_tests TIER FILE...: a file that failed is run once more, before those that look at what all others did (z-*).
node_tests() {
	local tier=$1 file first=() last=() ran=
	shift
	for file in "$@"; do
		case ${file##*/} in z-*) last+=("$file") ;; *) first+=("$file") ;; esac
	done
	node_run "$tier" "${first[@]}" || node_once_more "$tier" $? || ran=badly
	[ ${#last[@]} -eq 0 ] || node_run "$tier" "${last[@]}" || ran=badly
	! crashed "$tier" || ran=badly
	[ -z "$ran" ] || tail -n 20 "$COPY"/log/{api,slow,nginx}.log >&2
	[ -z "$ran" ]
}

# Whether a child of a master crashed, which no test has it do: another took its place, and the second run of a file would
# hide it.
crashed() {
	local died
	died=$(grep -hE '"message":"[a-z]+ died".*"signal":(4|5|6|7|8|11|31)[,}]' "$COPY"/log/*.log) || return 1
	say "$died" >&2
	failed "$1" "a crash" <<<"$died"
}

# node_run TIER FILE...: what a person reads goes out, what is counted goes to a file. A file that hangs is a
# failure after ten minutes (TEST_FILE_S) and does not keep the others.
node_run() {
	local tier=$1 out=$STATE/test/$1.results code=0 result file name said
	shift
	: >"$out"
	node --test --test-concurrency=1 --test-timeout="$((${TEST_FILE_S:-600} * 1000))" --test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter="$SRC/tests/lib/results.mjs" --test-reporter-destination="$out" "$@" || code=$?
	count "$tier" "$(grep -c '^pass' "$out")" "$(grep -vc '^pass' "$out")"
	while IFS=$'\t' read -r result file name said; do
		[ "$result" = pass ] || failed "$tier" "$file" <<<"$name: $said"
	done <"$out"
	return "$code"
}

# node_once_more TIER CODE: each file that failed, by itself on the same copy; what passes now has passed, and is told as
# unsteady. Not when node ended with another code than 1: then it did not come to all files.
node_once_more() {
	local tier=$1 out=$STATE/test/$1.results all first file files names passed was told code=0
	[ "$2" -eq 1 ] || return 1
	all=$(<"$out")
	first=$(grep -v '^pass' <<<"$all") || return 1 # it failed outside of all tests
	mapfile -t files < <(cut -f2 <<<"$first" | sort -u)
	for file in "${files[@]}"; do
		was=$(<"$STATE/test/$tier.count")
		names=$(awk -F'\t' -v file="$file" '$2 == file { print $3 }' <<<"$first")
		told=$(<"$STATE/test/failed")
		if ! grep -q "^never.$file" <<<"$first" && say "once more: ${file#"$SRC"/}" && node_run "$tier" "$file" &&
			[ -z "$(comm -23 <(sort -u <<<"$names") <(awk -F'\t' '$1 == "pass" { print $3 }' "$out" | sort -u))" ]; then
			echo "$was" >"$STATE/test/$tier.count"
			passed=$(awk -F'\t' -v file="$file" '$1 == "pass" && $2 == file' <<<"$all" | wc -l)
			count "$tier" $(($(grep -c '^pass' "$out") - passed)) "-$(wc -l <<<"$names")"
			unsteady "$file" <<<"$names"
			grep -vF "$tier	${file#"$SRC"/}	" <<<"$told" >"$STATE/test/failed" || true
		else
			echo "$was" >"$STATE/test/$tier.count"
			code=1
		fi
	done
	return "$code"
}

# Each fuzzer for a while (FUZZ_SECONDS), from its seeds, as many at once as there are cores; what it
# finds stays in STATE/test/fuzz.
tier_fuzz() {
	local dir=$STATE/build-fuzz found=$STATE/test/fuzz program failed
	need "${PACKAGES_BUILD[@]}" clang libclang-rt-14-dev
	build "$dir" CC=clang --enable-fuzzers
	mkdir -p "$found"
	rm -f "$found"/*.failed
	for program in "$dir"/tests/fuzz/fuzz_*; do
		[[ -x $program && $program != *.* ]] || continue
		while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
			wait -n || true
		done
		fuzz_one "$program" "$found" &
		count fuzz 1 0
	done
	wait
	for failed in "$found"/*.failed; do
		[ -e "$failed" ] || continue
		tail -n 30 "${failed%.failed}.log" >&2
		tail -n 30 "${failed%.failed}.log" | failed fuzz "$(basename "$failed" .failed)"
		count fuzz -1 1
	done
}

fuzz_one() {
	local program=$1 found=$2 name=${1##*/}
	mkdir -p "$found/$name"
	"$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
		-artifact_prefix="$found/$name-" "$found/$name" "$SRC/tests/fuzz/seeds/${name#fuzz_}" \
		>"$found/$name.log" 2>&1 || touch "$found/$name.failed"
}

# Against a private copy, with the arguments of bench/run.mjs.
verb_bench() {
	local packages
	mapfile -t packages <"$SRC/bench/packages"
	need "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${packages[@]}"
	state_open make
	mkdir -p "$STATE/test"
	trap 'exit 130' INT TERM HUP
	DEV_RATES=1000000000 private_copy bench
	node "$SRC/bench/run.mjs" --state "$COPY" --port "$PORT" "$@"
}
