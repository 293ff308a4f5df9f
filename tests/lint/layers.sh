#!/bin/sh
# Includes point one way: base <- store, net <- auth <- billing, http <- api <- pool; and each library's header
# is seen in one place only.
set -eu
cd "$(dirname "$0")/../.."
failed=0

complain() {
	[ -z "$1" ] || { printf '%s\n  %s\n' "$2" "$1"; failed=1; }
}

# may FOLDER ALLOWED...: it includes quoin/X/ of these and of itself only.
may() {
	folder=$1
	allowed=$(echo "$@" | tr ' ' '|')
	complain "$(grep -rnE '#[[:space:]]*include[[:space:]]+["<]quoin/' "src/$folder" "include/quoin/$folder" 2>/dev/null |
		grep -vE "[\"<]quoin/($allowed)/" || true)" "src/$folder may include of quoin/ only: $*"
}

# only HEADER PATHS...: nobody else includes it.
only() {
	header=$1
	shift
	places=$(echo "$@" | tr ' ' '|')
	complain "$(grep -rnE "#[[:space:]]*include[[:space:]]+[\"<]$header" src include 2>/dev/null |
		grep -vE "^($places)" || true)" "$header belongs to $*"
}

may base
may store base
may net base
may auth base store net
may billing base store net auth
may http base store net auth
may api base store net auth billing http
may pool base store net auth billing http api
may saml # a program of its own, under another licence

only libpq src/store/
only libmemcached src/store/
only fcgi src/http/accept.c
only json-c tests/fuzz/ src/saml/
only lasso/ src/saml/
only libxml/ src/saml/
only curl/ src/net/
only jwt src/auth/
only sodium src/auth/password.c src/auth/proofkey.c
only liboath/ src/auth/totp.c
only qrencode src/auth/qr.c
only fido src/auth/cosekey.c
exit "$failed"
