# Compiling, out of the tree. Make itself knows when configure or a Makefile is stale.

# build DIR [CONFIGURE-ARG...]
build() {
	local dir=$1
	shift
	[ ! -f "$SRC/config.status" ] || die "the tree itself was configured: make distclean first"
	mkdir -p "$dir"
	(
		flock 8 # two copies may share the tree that autoconf writes to
		[ -f "$SRC/configure" ] || { step "Preparing configure" && quietly "$dir/autoreconf.log" autoreconf -i "$SRC"; }
		[ -f "$dir/Makefile" ] || configure "$dir" "$@"
		quietly "$dir/refresh.log" make -C "$dir" Makefile
	) 8<"$SRC/configure.ac"
	step "Compiling in $dir"
	quietly "$dir/make.log" make -C "$dir" -j"$(nproc)" all
}

configure() {
	local dir=$1
	shift
	step "Configuring $dir"
	cd "$dir" && quietly "$dir/configure.log" "$SRC/configure" "$@"
}

# The API reference: a page of ours and one file of redoc's. Without a network the rest works all the same.
build_docs() {
	local from=$SRC/web/docs to=$STATE/share/docs
	mkdir -p "$to"
	cp "$from/index.html" "$from/docs.css" "$to/"
	if need_npm "$from"; then
		cp -u "$from/node_modules/redoc/bundles/redoc.standalone.js" "$to/"
	else
		warn "the API reference at /docs is without its viewer: redoc could not be installed"
	fi
}

# The single-page app, once it is built.
copy_web() {
	[ ! -d "$SRC/web/dist" ] || cp -rT "$SRC/web/dist" "$STATE/share/web"
}

verb_format() {
	need clang-format
	find "$SRC/src" "$SRC/include" "$SRC/tests" "$SRC/verify" -path '*/node_modules' -prune -o -name '*.[ch]' -print0 |
		xargs -0 clang-format -i
}
