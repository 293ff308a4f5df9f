# Checks that run no test. Each is one function lint_NAME; all run, and a summary ends it.

CHECKS=(format tidy cppcheck rules shell nginx units man distcheck)

verb_lint() {
	local check bad=()
	for check in "$@"; do
		[[ " ${CHECKS[*]} " == *" $check "* ]] || die "there is no check $check: ${CHECKS[*]}"
	done
	[ $# -gt 0 ] || set -- "${CHECKS[@]}"
	need "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" libcmocka-dev clang-format clang-tidy cppcheck shellcheck mandoc \
		systemd openssl xz-utils
	state_open make
	cd "$SRC"
	for check in "$@"; do
		say "== $check"
		set +e
		(set -e && "lint_$check")
		[ $? -eq 0 ] || bad+=("$check")
		set -e
	done
	if [ ${#bad[@]} -gt 0 ]; then
		say "lint: ${bad[*]} failed"
		return 1
	fi
	say "lint: all of $* passed"
}

sources() {
	find src include tests verify -name node_modules -prune -o -name "$1" -print | sort
}

lint_format() {
	sources '*.[ch]' | xargs clang-format --dry-run --Werror
}

lint_tidy() {
	local dir=$STATE/test/tidy
	mkdir -p "$dir"
	{
		printf '%s\n' -std=c11 -D_GNU_SOURCE "-I$SRC/include" '-DQUOIN_DATADIR=""' '-DQUOIN_SYSCONFDIR=""' \
			'-DPACKAGE_NAME=""' '-DPACKAGE_VERSION=""'
		pkg-config --cflags libpq libcrypto libcurl libmemcached lasso gobject-2.0 libxml-2.0 | sed 's/-I/-isystem/g' | tr ' ' '\n'
	} >"$dir/compile_flags.txt"
	sources '*.c' | grep ^src/ | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$dir"
}

# glibc's NULL is a pointer, so it may end a list of arguments.
lint_cppcheck() {
	cppcheck -q -j "$(nproc)" --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --suppress=missingInclude --suppress=varFuncNullUB -D_GNU_SOURCE -Iinclude src
}

# tests/lint/*.sh but for those that have a check of their own here.
lint_rules() {
	local rule code=0
	for rule in layers banned settings attacks; do
		"tests/lint/$rule.sh" || code=1
	done
	return "$code"
}

lint_shell() {
	shellcheck -x -S warning dev .ci/run
	find tests bench -name node_modules -prune -o -name '*.sh' -print0 2>/dev/null | xargs -0 -r shellcheck -S warning
}

lint_nginx() {
	local map=$STATE/test/quoin-map.conf
	mkdir -p "$STATE/test"
	build "$BUILD"
	if QUOIN_SECRET_KEY='' "$BUILD/quoinctl" nginx >"$map" 2>/dev/null && [ -s "$map" ]; then
		export QUOIN_MAP=$map
	fi
	tests/lint/nginx.sh
}

# These two look at what was built.
lint_units() {
	build "$BUILD"
	(cd "$BUILD" && srcdir=$SRC "$SRC/tests/lint/units.sh")
}

lint_man() {
	build "$BUILD"
	(cd "$BUILD" && srcdir=$SRC "$SRC/tests/lint/man.sh")
}

lint_distcheck() {
	build "$BUILD"
	quietly "$STATE/log/distcheck.log" make -C "$BUILD" distcheck
}
