# Where a copy keeps what it has, who runs it, and the processes it started.
#
# STATE/build quoin.env pg/ nginx/ mail/ share/ log/ run/   and sockets in RUN, whose path must be short.
# As root, all that serves runs as an unprivileged user (DEV_USER, nobody); a state directory that this
# user cannot reach is kept under /var/tmp, and STATE becomes a link to it.

AS=()
RUN_USER=$(id -un)

# Finds the state directory; makes it when told to.
state_open() {
	local make=${1-}
	if [ "$(id -u)" -eq 0 ]; then
		RUN_USER=${DEV_USER:-nobody}
		AS=(setpriv "--reuid=$RUN_USER" "--regid=$(id -gn "$RUN_USER")" --clear-groups --no-new-privs --)
	fi
	if [ ! -d "$STATE" ]; then
		[ -n "$make" ] || die "nothing is at $STATE: ./dev up makes it"
		[ ! -L "$STATE" ] || rm "$STATE"
		mkdir -p "$STATE"
	fi
	STATE=$(cd "$STATE" && pwd -P)
	reachable "$STATE" || state_move
	RUN=/tmp/quoin-$(id -u)-$(hash_of "$STATE")
	if [ -n "$make" ]; then
		mkdir -p "$STATE"/{log,run,share,nginx/work}
		ln -sf ../nginx/work/access.log "$STATE/log/access.log"
		mkdir -p -m 0700 "$STATE/mail"
		own "$STATE/nginx/work" "$STATE/mail" # the rest stays the invoker's: root follows no link of a service's
	fi
	[ -n "$PORT" ] || PORT=$(cat "$STATE/port" 2>/dev/null) || PORT=8080
	[ -n "$BUILD" ] || BUILD=$(cat "$STATE/builddir" 2>/dev/null) || BUILD=$STATE/build
}

hash_of() {
	printf %s "$1" | sha256sum | cut -c1-8
}

reachable() {
	[ ${#AS[@]} -eq 0 ] || "${AS[@]}" test -x "$1"
}

own() {
	[ ${#AS[@]} -eq 0 ] || chown "$RUN_USER:" "$@"
}

# A checkout under /root, say.
state_move() {
	local real
	real=/var/tmp/quoin-$(id -u)-$(hash_of "$STATE")
	rmdir "$STATE" 2>/dev/null || die "user $RUN_USER cannot reach $STATE: choose another --state"
	mkdir -p -m 0755 "$real"
	mine "$real" || die "$real belongs to somebody else"
	ln -s "$real" "$STATE"
	say "$STATE is a link to $real: the services' user, $RUN_USER, cannot go where it is"
	STATE=$real
}

# A real directory of the invoker's (or of the user named), not one that somebody put there.
mine() {
	[ "$(stat -c '%F:%U' "$1")" = "directory:${2:-$(id -un)}" ]
}

run_dir() {
	"${AS[@]}" mkdir -p -m 0700 "$RUN"
	mine "$RUN" "$RUN_USER" || die "$RUN belongs to somebody else"
}

# One ./dev at a time changes a copy.
state_lock() {
	exec 9>"$STATE/lock"
	flock -n 9 || { step "Waiting for another ./dev on $STATE"; flock 9; }
}

state_unlock() {
	exec 9>&-
}

# --- processes: STATE/run/NAME.pid holds pid, start time (pids are used again), signature, what

# start NAME SIGNATURE COMMAND...: in a session of its own, so that Ctrl-C reaches only us.
start() {
	local name=$1 signature=$2 pid
	shift 2
	local passed
	mapfile -t passed < <(passed_on)
	setsid "${AS[@]}" env -i PATH="$PATH" HOME=/nonexistent TZ=UTC "${passed[@]}" QUOIN_CONFIG="$STATE/quoin.env" "$@" \
		</dev/null >>"$STATE/log/$name.log" 2>&1 8>&- 9>&- &
	pid=$!
	echo "$pid $(started_at "$pid") $signature" >"$STATE/run/$name.pid"
}

# Settings of Quoin's that the caller has in the environment: QUOIN_LOG_LEVEL=debug ./dev up. Other
# variables could mean another database.
passed_on() {
	env | grep -E '^(QUOIN_[A-Z_]+|DATABASE_TIMEOUT_MS|MEMCACHED_TIMEOUT_MS)=' |
		grep -vE '^QUOIN_(CONFIG|RUN_DIR|SECRET_KEY|PUBLIC_URL|MAIL_DIR)=' | sort || true
}

# The start time of a process that lives (a zombie does not), in ticks since boot.
started_at() {
	local stat
	{ read -r stat </proc/"$1"/stat; } 2>/dev/null || return 0
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	[ "$1" = Z ] || echo "${20}"
}

# pid_of NAME: the process of that name, if it is still the one that was started.
pid_of() {
	local pid since _
	{ read -r pid since _ <"$STATE/run/$1.pid"; } 2>/dev/null || return 1
	[ "$(started_at "$pid")" = "$since" ] && echo "$pid"
}

children_of() {
	local pid
	pid=$(pid_of "$1") && cat "/proc/$pid/task/$pid/children"
}

signature_of() {
	local _ signature
	{ read -r _ _ signature <"$STATE/run/$1.pid"; } 2>/dev/null && echo "$signature"
}

# signal NAME SIGNAL; waits for nothing.
signal() {
	local pid
	pid=$(pid_of "$1") && kill -s "$2" "$pid" 2>/dev/null
}

# stop SIGNAL SECONDS NAME...: signals all, waits for all, and kills what stays.
stop() {
	local signal=$1 tries=$(($2 * 20)) name
	shift 2
	for name in "$@"; do
		signal "$name" "$signal" || true
	done
	for name in "$@"; do
		while pid_of "$name" >/dev/null && [ "$tries" -gt 0 ]; do
			sleep 0.05
			tries=$((tries - 1))
		done
		if pid_of "$name" >/dev/null; then
			warn "$name does not end; killed"
			signal "$name" KILL || true
		fi
		rm -f "$STATE/run/$name.pid"
	done
}

# wait_until SECONDS COMMAND...: polls.
wait_until() {
	local tries=$(($1 * 20))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

# Of what comes in.
fingerprint() {
	sha256sum | cut -c1-16
}
