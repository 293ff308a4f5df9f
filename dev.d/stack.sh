# A running copy: Postgres, memcached, the four pools, nginx; and quoin-saml, where it was built.

PG=/usr/lib/postgresql/15/bin
POOLS=(api slow ingest jobs)
ALL=(nginx "${POOLS[@]}" memcached postgres)

with_saml() {
	[ ! -x "$BUILD/quoin-saml" ] || [[ " ${ALL[*]} " == *" saml "* ]] || ALL+=(saml)
}

verb_up() {
	need "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}"
	state_open make
	state_lock
	! port_taken || die "something else is on port $PORT: choose one with --port"
	build_docs & # as slow as the network
	local already='' docs=$!
	build "$BUILD"
	with_saml
	wait "$docs"
	all_alive && already='already '
	if [ -z "$already" ]; then
		trap stack_down EXIT
		trap 'exit 130' INT TERM HUP
	fi
	stack_up
	state_unlock
	greet "$already"
	if [ -z "$already$DETACH" ]; then
		say "  its end         Ctrl-C"
		stay
	fi
	trap - EXIT INT TERM HUP
	say "  its end         ./dev down$(with)"
}

# By another than our own nginx.
port_taken() {
	pid_of nginx >/dev/null && [ "$PORT" = "$(cat "$STATE/port")" ] && return 1
	(exec 7<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null
}

stack_up() {
	run_dir
	settings
	echo "$PORT" >"$STATE/port"
	echo "$BUILD" >"$STATE/builddir"
	up_postgres
	up_memcached
	up_saml
	quietly "$STATE/log/migrate.log" quoinctl migrate --dir "$SRC/migrations"
	quietly "$STATE/log/apps.log" apply_apps
	up_pools
	copy_web
	up_nginx
	wait_until 30 answers_or_dead || true
	answers || not_ready
}

all_alive() {
	local name
	for name in "${ALL[@]}"; do
		pid_of "$name" >/dev/null || return 1
	done
}

all_gone() {
	local name
	for name in "${ALL[@]}"; do
		! pid_of "$name" >/dev/null || return 1
	done
}

# Settings. Those that ./dev answers for are written anew each time, the secret once; other lines stay.
settings() {
	local file=$STATE/quoin.env ours new
	ours="DATABASE_URL=host=$RUN dbname=quoin user=quoin
DATABASE_ADMIN_URL=host=$RUN dbname=quoin user=quoin_owner
DATABASE_APP_ROLE=quoin
MEMCACHED_SERVERS=--SOCKET=\"$RUN/memcached.sock\"
QUOIN_RUN_DIR=$RUN
QUOIN_PUBLIC_URL=http://localhost:$PORT
QUOIN_MAIL_DIR=$STATE/mail"
	new=$({ echo "$ours" && others "$file"; })
	grep -q '^QUOIN_SECRET_KEY=' <<<"$new" || new+=$'\n'QUOIN_SECRET_KEY=$(head -c 32 /dev/urandom | base64 -w0)
	# The tests' identity providers are on the loopback.
	[ -z "$TESTING" ] || grep -q '^QUOIN_OUTBOUND_LOCAL=' <<<"$new" || new+=$'\n'QUOIN_OUTBOUND_LOCAL=yes
	# One address and a few users make all requests of a test or a bench: counted, and never too many.
	[ -z "$TESTING${DEV_RATES-}" ] || grep -q '^QUOIN_RATE_' <<<"$new" || new+=$(rates "${DEV_RATES:-1000000}")
	[ "$new" != "$(cat "$file" 2>/dev/null)" ] || return 0
	(umask 077 && printf '%s\n' "$new" >"$file.new")
	own "$file.new"
	mv "$file.new" "$file"
}

# rates N: every rate class allows N requests a minute.
rates() {
	local class
	for class in API ACCOUNT SIGN_IN MAIL EXPENSIVE INGEST LICENCE; do
		printf '\n%s' "QUOIN_RATE_$class=$1" "QUOIN_RATE_${class}_ADDRESS=$1"
	done
}

others() {
	[ ! -f "$1" ] || grep -vE '^(DATABASE_URL|DATABASE_ADMIN_URL|DATABASE_APP_ROLE|MEMCACHED_SERVERS|QUOIN_RUN_DIR|QUOIN_PUBLIC_URL|QUOIN_MAIL_DIR)=|^$' "$1" || true
}

# quoinctl with this copy's settings: those of the caller's environment would win over the file.
quoinctl() {
	env -u DATABASE_URL -u DATABASE_ADMIN_URL -u DATABASE_REPLICA_URL -u DATABASE_APP_ROLE -u MEMCACHED_SERVERS \
		QUOIN_CONFIG="$STATE/quoin.env" "$BUILD/quoinctl" "$@"
}

# The example apps. What var/quoin.env says besides our keys (AUTH0_DOMAIN, …) is there for them to use.
apply_apps() {
	# Links in mail lead to this copy, unless told otherwise.
	local extra=("FIG_NODES_FRONTEND_URL=http://localhost:$PORT" "MEMORYGRAPH_FRONTEND_URL=http://memorygraph.localhost:$PORT") line f
	while IFS= read -r line; do
		case $line in QUOIN_* | '#'* | '') ;; *=*) extra+=("$line") ;; esac
	done < <(others "$STATE/quoin.env")
	for f in "$SRC"/apps/*.json; do
		(for line in "${extra[@]}"; do export "${line?}"; done && quoinctl app apply "$f")
	done
}

up_postgres() {
	local sync=(-c fsync=on)
	[ -z "$TESTING" ] || sync=(-c fsync=off -c full_page_writes=off) # processes are killed there, not the machine
	if [ ! -f "$STATE/pg/PG_VERSION" ]; then
		step "Making a Postgres cluster"
		rm -rf "$STATE/pg"
		mkdir -m 0700 "$STATE/pg"
		own "$STATE/pg"
		quietly "$STATE/log/initdb.log" "${AS[@]}" env HOME=/nonexistent "$PG/initdb" -D "$STATE/pg" -U postgres \
			--auth-local=peer --auth-host=reject --no-sync -E UTF8 --locale=C.UTF-8
	fi
	peers
	ensure postgres "$(fingerprint <<<"$RUN ${sync[*]}")" "$PG/postgres" -D "$STATE/pg" -c listen_addresses= -c "unix_socket_directories=$RUN" \
		-c unix_socket_permissions=0700 -c cluster_name=quoin -c timezone=UTC -c jit=off "${sync[@]}"
	wait_until 30 pg_answers || died postgres
	quietly "$STATE/log/roles.log" roles
}

pg_answers() {
	"$PG/pg_isready" -q -h "$RUN" || ! pid_of postgres >/dev/null
}

# Who may be whom on the socket: the services' user and the invoker are any role, others none.
peers() {
	local user role
	echo 'local all all peer map=quoin' | write "$STATE/pg/pg_hba.conf"
	for user in "$RUN_USER" "$(id -un)"; do
		for role in postgres quoin_owner quoin; do
			echo "quoin $user $role"
		done
	done | sort -u | write "$STATE/pg/pg_ident.conf"
}

# write FILE: what comes in, by the hand of the services' user.
write() {
	"${AS[@]}" tee "$1.new" >/dev/null
	"${AS[@]}" mv "$1.new" "$1"
}

roles() {
	"$PG/psql" -X -q -v ON_ERROR_STOP=1 -h "$RUN" -U postgres postgres <<'END'
SELECT 'CREATE ROLE quoin_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quoin_owner') \gexec
SELECT 'CREATE ROLE quoin LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'quoin') \gexec
SELECT 'CREATE DATABASE quoin OWNER quoin_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'quoin') \gexec
REVOKE ALL ON DATABASE quoin FROM PUBLIC;
GRANT CONNECT ON DATABASE quoin TO quoin;
ALTER ROLE quoin SET statement_timeout = '15s';
ALTER ROLE quoin SET lock_timeout = '5s';
ALTER ROLE quoin SET idle_in_transaction_session_timeout = '10s';
END
}

up_memcached() {
	ensure memcached "$(fingerprint <<<"$RUN")" memcached -s "$RUN/memcached.sock" -a 0700 -m 64 -c 1024
}

up_saml() {
	[ ! -x "$BUILD/quoin-saml" ] || ensure saml "$(fingerprint <"$BUILD/quoin-saml")" "$BUILD/quoin-saml" --listen "$RUN/saml.sock"
}

up_pools() {
	local pool sum
	sum=$({ cat "$BUILD/quoind" "$STATE/quoin.env" && passed_on; } | fingerprint)
	for pool in "${POOLS[@]}"; do
		[ "$(signature_of "$pool")" = "$sum" ] || signal "$pool" TERM || true
	done
	for pool in "${POOLS[@]}"; do
		ensure "$pool" "$sum" "$BUILD/quoind" "--pool=$pool"
	done
}

up_nginx() {
	local dir=$STATE/nginx sum
	cp -rT "$SRC/nginx" "$dir/quoin"
	quoinctl nginx >"$dir/quoin-map.conf"
	nginx_conf >"$dir/nginx.conf"
	quietly "$STATE/log/nginx-t.log" "${AS[@]}" "$(nginx_program)" -t -q -p "$dir/" -c nginx.conf -e stderr
	sum=$(find "$dir" -name '*.conf' -print0 | sort -z | xargs -0 cat | fingerprint)
	[ "$(signature_of nginx)" = "$sum" ] || reload_nginx "$sum"
	ensure nginx "$sum" "$(nginx_program)" -p "$dir/" -c nginx.conf -e stderr
}

# Waits for the old workers to go, but not for one that still has a request in hand.
reload_nginx() {
	local before
	before=$(children_of nginx) || return 0
	signal nginx HUP
	wait_until 3 gone_all "$before" || true
	sed -i "s/[^ ]*\$/$1/" "$STATE/run/nginx.pid"
}

gone_all() {
	local pid
	for pid in $1; do
		[ ! -d "/proc/$pid" ] || return 1
	done
}

nginx_conf() {
	sed -e "s#@STATE@#$STATE#; s#@PORT@#$PORT#; s#@NOFILE@#$(ulimit -Hn)#" "$SRC/nginx/dev.conf.in" |
		if grep -qs '^0\{31\}1 ' /proc/net/if_inet6; then cat; else sed '/listen \[/d'; fi
}

nginx_program() {
	PATH=$PATH:/usr/sbin command -v nginx
}

# ensure NAME SIGNATURE COMMAND...: runs it, unless it runs as it should.
ensure() {
	local name=$1 sum=$2
	shift 2
	if pid_of "$name" >/dev/null; then
		[ "$(signature_of "$name")" != "$sum" ] || return 0
		stop "$(end_signal "$name")" 30 "$name"
	fi
	step "Starting $name"
	start "$name" "$sum" "$@"
}

# How it is asked to finish what it has in hand.
end_signal() {
	case $1 in nginx) echo QUIT ;; postgres) echo INT ;; *) echo TERM ;; esac
}

answers() {
	[ "$(get /ready)" = 200 ]
}

answers_or_dead() {
	answers || ! all_alive
}

# get PATH: the status of the copy's answer. No curl on a bare Debian.
get() {
	local status
	exec 7<>"/dev/tcp/127.0.0.1/$PORT" || return
	printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&7
	read -r -t 5 _ status _ <&7
	exec 7>&-
	echo "$status"
} 2>/dev/null

died() {
	tail -n 20 "$STATE/log/$1.log" >&2
	die "$1 does not run (its words are in $STATE/log/$1.log)"
}

not_ready() {
	local name
	for name in "${ALL[@]}"; do
		pid_of "$name" >/dev/null || died "$name"
	done
	tail -n 5 "$STATE/log/api.log" "$STATE/log/nginx.log" >&2
	die "/ready does not say 200 (status: $(get /ready || echo none)); ./dev logs tells more"
}

greet() {
	local url=http://localhost:$PORT with
	with=$(with)
	say "Quoin is $1up: $url"
	cat <<END

  API reference   $url/docs/
  other apps      http://memorygraph.localhost:$PORT; cue, coditect, flowscope likewise
  a first token   ./dev ctl$with user add --app fig-nodes you@example.com
                  TOKEN=\$(./dev ctl$with token --app fig-nodes you@example.com)
  a first call    curl -H "Authorization: Bearer \$TOKEN" $url/api/v1/workspaces
  its mail        ./dev mail$with
  what it says    ./dev logs$with
END
}

# The option that says which copy, where it is not the usual one.
with() {
	[ "$STATE" -ef "$SRC/var" ] || echo " --state $STATE"
}

# In the foreground until told to go or until something dies that was not replaced.
stay() {
	local name
	while true; do
		sleep 1 &
		wait $! || true
		[ -f "$STATE/run/nginx.pid" ] || exit 0 # ./dev down, elsewhere
		for name in "${ALL[@]}"; do
			pid_of "$name" >/dev/null || restarted "$name" || gone "$name"
		done
	done
}

# Another `./dev up` replaces what changed; it holds the lock meanwhile.
restarted() {
	state_lock
	state_unlock
	[ -f "$STATE/run/nginx.pid" ] || exit 0
	pid_of "$1" >/dev/null
}

gone() {
	tail -n 20 "$STATE/log/$1.log" >&2
	die "$1 has ended"
}

stack_down() {
	trap '' INT TERM HUP
	with_saml
	all_gone && return
	step "Ending"
	stop QUIT 5 nginx
	stop TERM 30 "${POOLS[@]}"
	[[ " ${ALL[*]} " != *" saml "* ]] || stop TERM 5 saml
	stop TERM 5 memcached
	stop INT 30 postgres
	[ ! -d "$RUN" ] || "${AS[@]}" rm -rf "$RUN" 2>/dev/null || true
}

verb_down() {
	state_open
	state_lock
	stack_down
}

verb_status() {
	state_open
	with_saml
	local name pid code=0
	for name in "${ALL[@]}"; do
		if pid=$(pid_of "$name"); then
			printf '%-10s %s\n' "$name" "$pid"
		else
			printf '%-10s %s\n' "$name" -
			code=1
		fi
	done
	printf '%-10s %s\n' url "http://localhost:$PORT" ready "$(get /ready || echo -)" state "$STATE"
	return "$code"
}

verb_logs() {
	state_open
	cd "$STATE/log"
	local files
	if [ $# -gt 0 ]; then
		files=("${@/%/.log}")
	else
		files=(*.log)
	fi
	if [ -t 1 ]; then tail -n 30 -F "${files[@]}"; else tail -n 100 "${files[@]}"; fi
}

verb_psql() {
	state_open
	PGHOST=$RUN PGUSER=quoin_owner PGDATABASE=quoin exec "$PG/psql" "$@"
}

verb_verify() {
	state_open
	cd "$CALLER"
	"$BUILD/quoin-verify" "$@"
}

verb_ctl() {
	state_open
	cd "$CALLER"
	case "${1-}:$*" in
	*" --dir "*) quoinctl "$@" ;;
	migrate:*) quoinctl "$@" --dir "$SRC/migrations" ;;
	*) quoinctl "$@" ;;
	esac
}
