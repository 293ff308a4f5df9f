#!/bin/sh
# Calls that have a better one: no unbounded copies, no shell, no hidden state, no statement made of
# text, no sleeping in place of waiting.
set -eu
cd "$(dirname "$0")/../.."
calls='strcpy|strcat|sprintf|vsprintf|gets|system|popen|strtok|atoi|atol|PQexec|alloca|usleep|sleep|tmpnam|mktemp'
found=$(grep -rnE "(^|[^A-Za-z0-9_])($calls)[[:space:]]*\(" --include='*.[ch]' src include verify || true)
[ -z "$found" ] || { printf 'banned calls:\n%s\n' "$found"; exit 1; }
