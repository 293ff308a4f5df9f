#!/bin/sh
# The three verifiers against the vectors, in the build directory. Skipped where there is no Node.
set -eu
command -v node >/dev/null || exit 77
QUOIN_VERIFY=$PWD/quoin-verify exec node --test --test-reporter=spec "${srcdir:-.}/tests/proof/proof.test.mjs"
