#!/bin/sh
# Every key of the settings table is in docs/config.md.
set -eu
cd "$(dirname "$0")/../.."
failed=0
for key in $(sed -nE 's/^[[:space:]]*X\(([A-Z][A-Z0-9_]+),.*/\1/p' include/quoin/base/conf.h); do
	grep -qs "\`$key\`" docs/config.md || { echo "docs/config.md says nothing of $key"; failed=1; }
done
exit "$failed"
