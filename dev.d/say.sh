# Speaking to whoever sits before it.

say() {
	printf '%s\n' "$*"
}

step() {
	printf '\033[2m%s\033[0m\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi
}

warn() {
	printf 'dev: %s\n' "$*" >&2
}

die() {
	warn "$@"
	exit 1
}

# quietly LOG COMMAND...: its words go to LOG and are shown only if it fails.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		die "failed: $* (all of it in $log)"
	fi
}
