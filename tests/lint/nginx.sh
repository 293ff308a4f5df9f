#!/bin/sh
# Every site file passes nginx -t, with a throw-away certificate, and with the map that
# `quoinctl nginx` prints ($QUOINCTL), or else with the small one beside this file.
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Ports that an ordinary user may take, and nothing outside the temporary folder.
lower() {
	sed -E -e "s#/var/log/nginx#$dir/log#; s#/run/nginx.pid#$dir/nginx.pid#; s#/run/quoin#$dir#" \
		-e 's/(listen +(\[::\]:)?)(80|443)\>/\110\3/' -e '/^user /d' \
		-e "s#@STATE@#$dir#; s#@PORT@#18080#; s#@USER@#nobody nogroup#; s#@NOFILE@#8192#" "$1"
}

certificate() {
	mkdir -p "$dir/quoin-tls"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lint \
		-keyout "$dir/quoin-tls/privkey.pem" -out "$dir/quoin-tls/fullchain.pem" 2>"$dir/openssl.log"
}

check() {
	printf '%s: ' "$1"
	if nginx -t -q -p "$dir/" -c "$2" -e "$dir/log/error.log" 2>"$dir/out" && [ ! -s "$dir/out" ]; then
		echo ok
	else
		echo "not ok"
		cat "$dir/out"
		failed=1
	fi
}

failed=0
mkdir -p "$dir/log" "$dir/work" "$dir/sites-enabled" "$dir/quoin/snippets"
for f in nginx/snippets/*.conf; do
	lower "$f" >"$dir/quoin/snippets/${f##*/}"
done
cp /etc/nginx/mime.types "$dir/"
lower "${QUOIN_MAP:-tests/lint/quoin-map.conf}" >"$dir/quoin-map.conf"
certificate
lower nginx/nginx.conf >"$dir/nginx.conf"
for shape in single-app several-apps behind-proxy; do
	lower "nginx/$shape.conf" >"$dir/sites-enabled/quoin.conf"
	check "nginx/$shape.conf" "$dir/nginx.conf"
done
lower nginx/dev.conf.in >"$dir/dev.conf"
check nginx/dev.conf.in "$dir/dev.conf"
exit "$failed"
