#!/bin/bash
# The schema on a Postgres of its own: every statement prepared, hot ones planned on 20,000 documents, and
# what the functions of the database decide. QUOINCTL (or BUILD/quoinctl, ./quoinctl) is the program.
# Ends with a line "N passed, N failed".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
quoinctl=$(realpath "${QUOINCTL:-${BUILD:-.}/quoinctl}")
passed=0 failed=0

die() {
	echo "tests/sql/run.sh: $*" >&2
	exit 2
}

[ -x "$quoinctl" ] || die "there is no $quoinctl: set QUOINCTL"

# The newest Postgres in Debian's places, else what PATH has.
bin=$(for d in /usr/lib/postgresql/*/bin; do echo "$d"; done | sort -V | tail -n 1)
[ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb)") || die "Postgres is not installed"

# As root it runs as somebody without rights.
as=()
dir=$(mktemp -d /tmp/quoin-sql-XXXXXX)
trap finish EXIT
trap 'exit 130' INT TERM HUP
if [ "$(id -u)" -eq 0 ]; then
	user=$(id -un postgres 2>/dev/null || echo nobody)
	as=(setpriv "--reuid=$user" "--regid=$(id -gn "$user")" --clear-groups --)
	chown "$user:" "$dir"
fi
postmaster=

finish() {
	trap - EXIT
	if [ -n "$postmaster" ]; then
		kill -QUIT "$postmaster" 2>/dev/null || true
		wait "$postmaster" 2>/dev/null || true
	fi
	rm -rf "$dir"
}

ok() {
	passed=$((passed + 1))
	echo "ok - $1"
}

not_ok() {
	failed=$((failed + 1))
	echo "not ok - $1"
	[ $# -lt 2 ] || awk '{ print "    " $0 }' <<<"$2"
}

# check NAME COMMAND...: passes when the command does.
check() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$said"; fi
}

sql() {
	"$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$dir" -U quoin quoin "$@"
}

until_true() {
	local i
	for ((i = 0; i < 10000; i++)); do
		[ "$(sql -c "$1")" != t ] || return 0
		read -r -t 0.01 <>"$dir/never" || true
	done
	die "waited too long for: $1"
}

start() {
	cd "$dir"
	mkfifo never
	"${as[@]}" "$bin/initdb" -D "$dir/data" -U quoin --auth=trust --no-sync -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 ||
		die "$(cat "$dir/initdb.log")"
	"${as[@]}" "$bin/postgres" -D "$dir/data" -c "unix_socket_directories=$dir" -c listen_addresses= -c fsync=off \
		-c full_page_writes=off -c autovacuum=off -c jit=off -c deadlock_timeout=10ms >"$dir/log" 2>&1 &
	postmaster=$!
	until "$bin/psql" -X -q -h "$dir" -U quoin -c 'CREATE DATABASE quoin' postgres 2>"$dir/wait"; do
		kill -0 "$postmaster" 2>/dev/null || die "$(cat "$dir/log")"
		read -r -t 0.02 <>never || true
	done
	export DATABASE_URL="host=$dir user=quoin dbname=quoin" QUOIN_CONFIG=/dev/null
	unset DATABASE_ADMIN_URL DATABASE_REPLICA_URL DATABASE_APP_ROLE
}

# lines FILE: those of a script that reports with t.ok().
lines() {
	local line
	while IFS= read -r line; do
		case $line in
		'ok - '*) ok "${line#ok - }" ;;
		'not ok - '*) not_ok "${line#not ok - }" ;;
		'') ;;
		*) not_ok "$1: $line" ;;
		esac
	done < <("$bin/psql" -X -q -A -t -h "$dir" -U quoin -f "$here/$1" quoin 2>&1)
}

# Asked all day: what they call is put into the statement. A function that cannot be (|| of a text and a number is only
# STABLE, say) is planned anew in each call.
FLAT=" DOCUMENT_BY_ID DOCUMENT_PUBLIC DOCUMENT_LIST DOCUMENT_LIST_OWN DOCUMENT_LIST_SHARED VERSION_LIST VERSION_GET LICENCE_BY_KEY USER_BY_ID "

# plan NAME ARGS: runs a statement as a worker does and looks at every plan, those inside of functions
# and triggers too. Both ways of planning a prepared statement are tried.
plan() {
	local name=$1 args=$2 text mode plans scanned
	text=$(awk -v name="$name" '$1 == name && NF == 3 { getline; print; exit }' "$dir/statements")
	[ -n "$text" ] || { not_ok "$name is planned" "there is no such statement"; return; }
	for mode in custom generic; do
		plans=$(sql -v ON_ERROR_STOP=1 2>&1 <<-END || true
			LOAD 'auto_explain';
			SET auto_explain.log_min_duration = 0;
			SET auto_explain.log_nested_statements = on;
			SET plan_cache_mode = force_${mode}_plan;
			BEGIN;
			PREPARE it AS $text;
			SET client_min_messages = log;
			EXECUTE it$args;
			ROLLBACK;
		END
		)
		scanned=$(grep -oE 'Seq Scan on [a-z_]+' <<<"$plans" | grep -vE ' (apps|identity_providers|issuers|plan_limits|plan_prices|plans|signing_keys)$' || true)
		if [ -z "$scanned" ] && grep -q 'plan:' <<<"$plans" && ! grep -q 'ERROR:' <<<"$plans"; then
			ok "$name finds its rows by an index ($mode plan)"
		else
			not_ok "$name finds its rows by an index ($mode plan)" "$(grep -E -B 6 -A 3 'Seq Scan on|ERROR:' <<<"$plans" | head -n 60)"
		fi
		[[ $FLAT == *" $name "* ]] || continue
		if [ "$(grep -c 'plan:' <<<"$plans")" -eq 1 ]; then
			ok "$name plans nothing inside ($mode plan)"
		else
			not_ok "$name plans nothing inside ($mode plan)" "$(grep 'Query Text:' <<<"$plans" | grep -v PREPARE | head -n 10)"
		fi
	done
}

# Of user 1, who is as the others, and of user 0, who has a quarter of all there is.
plans() {
	local app="'00000000-0000-7000-8000-0000000000aa'" who me doc ws run job mail sha org hook
	sha="'\\x$(printf '0%.0s' {1..64})'"
	job=$(sql -c 'SELECT quote_literal(id) FROM jobs LIMIT 1')
	for who in 1 0; do
		echo "# user $who"
		me=$(sql -c "SELECT quote_literal(t.user_id($who))")
		ws=$(sql -c "SELECT quote_literal(id) FROM workspaces WHERE owner_id = $me ORDER BY id LIMIT 1")
		doc=$(sql -c "SELECT quote_literal(id) FROM documents WHERE workspace_id = $ws ORDER BY id LIMIT 1")
		org=$(sql -c "SELECT quote_literal(t.organization_id($who))")
		run=$(sql -c "SELECT quote_literal(id) FROM executions WHERE document_id = $doc LIMIT 1")
		plan WORKSPACE_LIST "($app, $me, NULL, 101, NULL)"
		plan WORKSPACE_LIST "($app, $me, NULL, 101, $org)"
		plan WORKSPACE_BY_ID "($app, $me, $ws)"
		plan WORKSPACE_UPDATE "($app, $me, $ws, 'n', NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
		# A quarter of all documents goes with that of user 0: to read them all is right then.
		[ "$who" -eq 0 ] || plan WORKSPACE_DELETE "($app, $me, $ws)"
		plan DOCUMENT_LIST "($app, $me, 'graph', NULL, 101, $ws)"
		plan DOCUMENT_LIST "($app, $me, 'graph', $doc, 101, $ws)"
		plan DOCUMENT_LIST_OWN "($app, $me, 'graph', NULL, 101)"
		plan DOCUMENT_LIST_SHARED "($app, $me, 'graph', NULL, 101)"
		plan DOCUMENT_BY_ID "($app, $me, 'graph', $doc)"
		plan DOCUMENT_PUBLIC "($app, 'graph', $doc)"
		plan DOCUMENT_CREATE "($app, $me, 'graph', gen_random_uuid(), $ws, 'n', $sha, NULL, '{}')"
		plan DOCUMENT_SAVE "($app, $me, 'graph', $doc, NULL, 'n', NULL, '{}', $sha, 'm', NULL)"
		plan DOCUMENT_RESTORE "($app, $me, 'graph', $doc, 1, NULL)"
		plan DOCUMENT_DELETE "($app, $me, 'graph', $doc, NULL)"
		plan VERSION_LIST "($app, $me, 'graph', $doc, NULL, 101)"
		plan VERSION_GET "($app, $me, 'graph', $doc, 1)"
		plan SHARE_LIST "($app, $me, 'graph', $doc)"
		plan SHARE_PUT "($app, $me, 'graph', $doc, NULL, 'user5@example.com', 'read', false)"
		plan SHARE_DELETE "($app, $me, 'graph', $doc, t.user_id(5))"
		plan EXECUTION_LIST "($app, $me, 'graph', $doc, NULL, 101)"
		plan EXECUTION_START "($app, $me, 'graph', $doc, gen_random_uuid())"
		plan EXECUTION_BY_ID "($app, $me, $run)"
		plan EXECUTION_UPDATE "($app, $me, $run, 'running', 5, NULL, NULL)"
		plan USER_OF_IDENTITY "(gen_random_uuid(), $app, 'https://issuer.example/', 'subject$who', NULL, false, NULL)"
		plan USER_BY_ID "($app, $me)"
		plan USER_BY_EMAIL "($app, 'USER$who@example.com')"
		plan WORKSPACE_CREATE "($app, $me, gen_random_uuid(), 'n', NULL, NULL, $org, NULL, NULL, NULL, NULL, NULL)"
		plan ORGANIZATION_LIST "($app, $me, NULL, 101)"
		plan ORGANIZATION_BY_ID "($app, $me, $org)"
		plan ORGANIZATION_UPDATE "($app, $me, $org, 'n', NULL, 5)"
		plan ORGANIZATION_SEATS "($app, $org)"
		plan MEMBER_FIND "($app, $org, $me)"
		plan MEMBER_LIST "($app, $org, NULL, 101)"
		plan MEMBER_SET_ROLE "($app, $org, $me, t.user_id($who + 400), 'admin')"
		plan MEMBER_TRANSFER "($app, $org, $me, t.user_id($who + 400))"
		plan MEMBER_REMOVE "($app, $org, $me, t.user_id($who + 400))"
		plan MEMBER_ADD "($app, $org, t.user_id(7), 'member')"
		plan INVITATION_CREATE "(gen_random_uuid(), $app, $org, $me, 'new@example.com', 'member', $sha, 7)"
		plan INVITATION_LIST "($app, $org, NULL, 101)"
		plan INVITATION_ACCEPT "($app, $me, sha256('$who'))"
		plan ENTITLEMENT_OF "($app, $me, NULL)"
		plan ENTITLEMENT_LIMITS "($app, $me, NULL)"
		plan ENTITLEMENT_LIMITS "($app, NULL, $org)"
		plan METER_USED "($app, $me, 'memories')"
		lic=$(sql -c "SELECT quote_literal(id) FROM licenses WHERE user_id = $me ORDER BY id LIMIT 1")
		plan LICENCE_BY_ID "($app, $me, false, $lic)"
		plan LICENCE_BY_KEY "($app, sha256('$who'))"
		plan LICENCE_LOOK "($app, sha256('licence-$who'), 'm', NULL)"
		plan LICENCE_SEAT "($app, sha256('licence-$who'), 'm2', NULL, gen_random_uuid(), NULL, NULL, NULL)"
		plan LICENCE_MINE "($app, $me, false, NULL, 101, NULL, NULL, NULL, NULL)"
		plan LICENCE_ALL "($app, $me, true, NULL, 101, NULL, NULL, NULL, '{\"n\": 5}', NULL)"
		plan LICENCE_CHANGE "($app, $lic, 'suspend', NULL, NULL, NULL, '{}')"
		plan LICENCE_DEVICES "($lic)"
		plan LICENCE_RELEASE "($app, $lic, NULL, 'm', $me, false, '{}')"
		plan LICENCE_LEASES "($lic)"
		plan AUDIT_LIST "($app, $org, NULL, NULL, NULL, NULL, NULL, 101)"
		plan AUDIT_WRITE "(gen_random_uuid(), $app, $org, $me, 'x', NULL, NULL, NULL, NULL, NULL, NULL)"
		plan IDEMPOTENCY_TAKE "($app, $me, $sha)"
		plan IDEMPOTENCY_KEEP "($app, $me, $sha, $sha, 200, '', NULL)"
	done
	plan USER_OF_IDENTITY "(gen_random_uuid(), $app, 'https://issuer.example/', 'new', 'new@example.com', true, 'N')"
	plan JOB_TAKE ''
	plan JOB_ADD "(gen_random_uuid(), 'k', $app, '{}', 'key')"
	plan JOB_DONE "($job)"
	plan JOB_FAILED "($job, 'why')"
	plan JOB_PUT_OFF "($job)"
	mail=$(sql -c 'SELECT quote_literal(id) FROM mails ORDER BY id LIMIT 1')
	plan MAIL_ADD "(gen_random_uuid(), $app, NULL, 'a@example.com', 'welcome', 'x', gen_random_uuid())"
	plan MAIL_BY_ID "($mail)"
	plan MAIL_SENT "($mail, '<m@example.com>')"
	plan MAIL_TRIED "($mail, 'why')"
	plan MAIL_GIVEN_UP "($mail, 'bounced', 'why')"
	plan MAIL_RETRY "($mail)"
	plan MAIL_PRUNE ''
	org=$(sql -c 'SELECT quote_literal(t.organization_id(0))')
	hook=$(sql -c "SELECT quote_literal(id) FROM webhook_deliveries WHERE endpoint_id = $org AND state = 'pending' AND seq = 0")
	plan WEBHOOK_LIST "($app, $org)"
	plan WEBHOOK_BY_ID "($app, $org, $org)"
	plan WEBHOOK_CREATE "($app, $org, gen_random_uuid(), 'https://example.com/', NULL, NULL, NULL, 'x', NULL, 20)"
	plan WEBHOOK_UPDATE "($app, $org, $org, NULL, NULL, NULL, NULL, true)"
	plan WEBHOOK_DELETE "($app, t.organization_id(5), t.organization_id(5))" # a quarter of all is the other's
	plan WEBHOOK_ROTATE "($app, $org, $org, 'x', 24)"
	plan WEBHOOK_TEST "($app, $org, $org)"
	plan WEBHOOK_DELIVERIES "($app, $org, $org, NULL, NULL, NULL, 101)"
	plan WEBHOOK_RESEND "($app, $org, $org, $hook)"
	plan WEBHOOK_TAKE ''
	plan WEBHOOK_SETTLE "($hook, 0, true, 200, NULL, '', 5, false)"
	plan WEBHOOK_SETTLE "($hook, 0, false, 410, NULL, '', 5, false)"
	plan WEBHOOK_RELEASE ''
	plan WEBHOOK_PRUNE ''
}

# session NAME: a psql that is told its statements one after the other.
session() {
	mkfifo "$1.in"
	"$bin/psql" -X -q -A -t -h "$dir" -U quoin quoin <"$1.in" >"$1.out" 2>&1 &
	eval "exec {${1}_in}>$1.in"
}

tell() {
	local fd=${1}_in
	echo "$2" >&"${!fd}"
}

hang_up() {
	local fd=${1}_in
	exec {fd}>&- || true
	eval "exec ${!fd}>&-"
}

# A session has made its call, and not only begun, and holds what the call took.
until_called() {
	until_true "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE 'SELECT%'"
}

# The same first sight in two sessions at once: the second waits, and finds the first one's user.
first_sights() {
	local call a b one=session_one two=session_two
	call="SELECT id FROM user_of_identity(gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', 'https://issuer.example/', 'racer', 'racer@example.com', true, 'R');"
	session "$one"
	session "$two"
	tell "$one" "BEGIN; $call"
	until_called
	tell "$two" "$call"
	until_true "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
	tell "$one" 'COMMIT;'
	hang_up "$one"
	hang_up "$two"
	until_true "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
	a=$(cat "$one.out") b=$(cat "$two.out")
	if [ -n "$a" ] && [ "$a" = "$b" ]; then ok 'two first sights at once are one user'; else not_ok 'two first sights at once are one user' "$a / $b"; fi
	check 'and one row' test "$(sql -c "SELECT count(*) FROM identities WHERE subject = 'racer'")" = 1
}

# Two subjects that say the same address at once: both become users, one has the address.
same_address() {
	local call a b one=address_one two=address_two
	call="SELECT id FROM user_of_identity(gen_random_uuid(), '00000000-0000-7000-8000-0000000000aa', 'https://issuer.example/', 'SUBJECT', 'same@example.com', true, 'R');"
	session "$one"
	session "$two"
	tell "$one" "BEGIN; ${call/SUBJECT/first}"
	until_called
	tell "$two" "${call/SUBJECT/second}"
	until_true "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
	tell "$one" 'COMMIT;'
	hang_up "$one"
	hang_up "$two"
	until_true "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
	a=$(cat "$one.out") b=$(cat "$two.out")
	check 'two subjects of one address are two users' test "${#a}-${#b}-$([ "$a" != "$b" ] && echo two)" = 36-36-two
	check 'and the first has the address' test \
		"$(sql -c "SELECT string_agg(coalesce(email, 'none'), ' ' ORDER BY id = '$a' DESC) FROM users WHERE id IN ('$a', '$b')")" = 'same@example.com none'
}

# Two saves at once of one version: one is made, the other is told.
two_saves() {
	local call a b one=save_one two=save_two doc me
	me=$(sql -c 'SELECT t.user_id(1)')
	doc=$(sql -c "SELECT d.id FROM documents d JOIN workspaces w ON w.id = d.workspace_id WHERE w.owner_id = '$me' ORDER BY d.id LIMIT 1")
	call="SELECT outcome, version FROM document_save('00000000-0000-7000-8000-0000000000aa', '$me', 'graph', '$doc', ARRAY(SELECT version FROM documents WHERE id = '$doc'), NULL, NULL, '{\"a\":\"DATA\"}', sha256('DATA'), 9, NULL);"
	session "$one"
	session "$two"
	tell "$one" "BEGIN; ${call//DATA/first}"
	until_called
	tell "$two" "${call//DATA/second}"
	until_true "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
	tell "$one" 'COMMIT;'
	hang_up "$one"
	hang_up "$two"
	until_true "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
	a=$(cat "$one.out") b=$(cat "$two.out")
	check 'of two saves of one version one is made' test "${a%|*} ${b%|*}" = 'saved conflict'
	check 'and the other is told the version that there is' test "${a#*|}" = "${b#*|}"
}

# What a worker sends must leave its session as it is (F13): there is nobody to set it right.
sessions_stay() {
	local found
	found=$(grep -A1 -E '^[A-Z_]+ (read|fresh|write) [0-9]+$' "$dir/statements" | grep -E '^ ' |
		grep -niE '(^|[^a-z_])(set|reset|discard|listen|declare|prepare) |set_config|pg_advisory_lock|setseed|temp(orary)? ' |
		grep -viE 'update|do update set' || true)
	if [ -z "$found" ]; then ok 'no statement changes its session'; else not_ok 'no statement changes its session' "$found"; fi
}

# An app's file may name variables; an issuer whose variable has no value is an error, or left out.
apps_are_applied() {
	# shellcheck disable=SC2016 # quoinctl puts the variable in
	local issuer='{"issuer": "https://${TEST_DOMAIN}/", "audience": "a", "jwks_url": "https://${TEST_DOMAIN}/jwks"%s}'
	# shellcheck disable=SC2059
	printf "{\"slug\": \"try\", \"name\": \"T\", \"issuers\": [$issuer]}" '' >strict.json
	# shellcheck disable=SC2059
	printf "{\"slug\": \"try\", \"name\": \"T\", \"issuers\": [$issuer]}" ', "optional": true' >optional.json
	check 'an issuer whose variable has no value is refused' bash -c "! '$quoinctl' app apply strict.json"
	check 'and nothing of its app is kept' test "$(sql -c "SELECT count(*) FROM apps")" = 0
	check 'an optional one is left out' "$quoinctl" app apply optional.json
	check 'and only that' test "$(sql -c "SELECT (SELECT count(*) FROM apps) || ' ' || (SELECT count(*) FROM issuers)")" = '1 0'
	check 'with its value it is there' env TEST_DOMAIN=i.example "$quoinctl" app apply strict.json
	check 'as it was meant' test "$(sql -c 'SELECT issuer || jwks_url FROM issuers')" = 'https://i.example/https://i.example/jwks'
	sql -c 'DELETE FROM apps'
}

start
check 'an empty database is migrated' "$quoinctl" migrate --dir "$root/migrations"
check 'once more changes nothing' grep -qx 'up to date' <("$quoinctl" migrate --dir "$root/migrations")
check 'every statement is understood, with as many parameters as it says' "$quoinctl" statements --check
"$quoinctl" statements >"$dir/statements"
check 'statements are listed' test "$(grep -cE '^[A-Z_]+ (read|fresh|write) [0-9]+$' "$dir/statements")" -gt 30
sessions_stay
apps_are_applied
lines functions.sql
lines entitlements.sql
lines billing.sql
lines licences.sql
lines figures.sql
sql -f "$here/fill.sql"
plans
first_sights
same_address
two_saves
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
