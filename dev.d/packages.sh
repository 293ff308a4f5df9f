# What has to be on the machine: Debian packages by verb, npm packages by lock file.

PACKAGES_BUILD=(gcc libc6-dev make autoconf automake pkg-config libfcgi-dev libpq-dev libmemcached-dev
	libjson-c-dev libssl-dev libcurl4-openssl-dev libjwt-dev libsodium-dev liboath-dev libqrencode-dev
	libfido2-dev libcbor-dev liblasso3-dev)
PACKAGES_RUN=(nginx memcached postgresql-15)

# need PACKAGE...: installs those that are missing, or says how and stops.
need() {
	local missing=() p
	for p in "$@"; do
		installed "$p" || [[ " ${missing[*]} " == *" $p "* ]] || missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return
	if [ "$(id -u)" -eq 0 ]; then
		install_packages "${missing[@]}"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n bash -c ". '$SRC/dev.d/say.sh'; . '$SRC/dev.d/packages.sh'; install_packages \"\$@\"" - "${missing[@]}"
	else
		die "something is missing; as root: apt-get install --no-install-recommends ${missing[*]}"
	fi
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# As root. Debian starts and enables what it installs; ours run privately, so nothing new is left running.
install_packages() {
	local fresh=() p
	step "Installing $*"
	for p in nginx memcached postgresql-common; do
		installed "$p" || fresh+=("${p%-common}")
	done
	hold_services
	trap release_services EXIT
	export DEBIAN_FRONTEND=noninteractive
	apt_install "$@" || { apt-get -q update && apt_install "$@"; } >&2 || die "apt-get failed"
	release_services
	trap - EXIT
	[ ${#fresh[@]} -eq 0 ] || leave_disabled "${fresh[@]}"
}

apt_install() {
	local log
	log=$(mktemp)
	if apt-get -q -y install --no-install-recommends "$@" >"$log" 2>&1; then
		rm -f "$log"
	else
		tail -n 5 "$log"
		rm -f "$log"
		return 1
	fi
}

# No service starts and no cluster is made while we install; what runs already is not touched.
hold_services() {
	HELD=()
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
		HELD+=(/usr/sbin/policy-rc.d)
	fi
	if ! installed postgresql-common; then
		mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/quoin-dev.conf
		HELD+=(/etc/postgresql-common/createcluster.d/quoin-dev.conf)
	fi
}

release_services() {
	[ ${#HELD[@]} -eq 0 ] || rm -f "${HELD[@]}"
	HELD=()
}

# Nor at the next boot. Both of Debian's ways, for systemd may come later.
leave_disabled() {
	local service
	for service in "$@"; do
		deb-systemd-helper disable "$service.service" || true
		update-rc.d "$service" disable || true
	done >/dev/null 2>&1
}

# need_npm DIR: what DIR/package-lock.json says, if that is newer than what is there.
need_npm() {
	local dir=$1
	[ -f "$dir/package-lock.json" ] || return 0
	[ "$dir/node_modules/.package-lock.json" -nt "$dir/package-lock.json" ] && return
	command -v npm >/dev/null || { warn "npm is missing"; return 1; }
	step "npm ci in ${dir#"$SRC"/}"
	(
		flock 8
		[ "$dir/node_modules/.package-lock.json" -nt "$dir/package-lock.json" ] && exit
		cd "$dir" &&
			npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-retry-mintimeout=1000 >/dev/null &&
			touch node_modules/.package-lock.json
	) 8<"$dir/package-lock.json"
}
