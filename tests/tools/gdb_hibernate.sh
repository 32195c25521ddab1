#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# gdb with tools/gdb/weft-gdb.py at coroutines that hibernate, in a live weft-echo: it says so in
# place of their frames, shows the others', and the connections go on unharmed.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

connections=5
script=$(cd "$here/../.." && pwd)/tools/gdb/weft-gdb.py

command -v gdb >/dev/null || skip "no gdb here: install the package gdb"
if is_on WEFT_ASAN; then
    skip "AddressSanitizer makes gdb slow"
fi

run_gdb() # ARGUMENTS...
{
    timeout 100 gdb -batch -nx -p "$pid" -x "$script" "$@" -ex 'echo gdb is done\n' \
        </dev/null >"$work/said" 2>&1 || true
    grep -q '^gdb is done$' "$work/said" || { cat "$work/said" >&2; fail "gdb did not end well"; }
}

count() # PATTERN
{
    grep -cE -- "$1" "$work/said" || true
}

start_server "$weft_echo" 127.0.0.1:0
gdb -batch -nx -p "$pid" -ex 'print 1' </dev/null 2>&1 | grep -q '= 1' ||
    skip "this system does not let gdb attach"
hold_connections "$connections"

for _ in $(seq 40); do
    run_gdb -ex 'info coroutines'
    [ "$(count 'waits to read .*hibernates')" -lt "$connections" ] || break
    sleep 0.5
done
[ "$(count 'waits to read .*hibernates')" = "$connections" ] ||
    { cat "$work/said" >&2; fail "gdb does not show $connections that hibernate"; }

run_gdb -ex 'coroutine apply all bt'
[ "$(count '^coroutine [0-9]+ hibernates: .*weft_dump')" = "$connections" ] ||
    { cat "$work/said" >&2; fail "no word for each in place of its frames"; }
[ "$(count '^#[0-9]+ .*accept_all')" = 1 ] || { cat "$work/said" >&2; fail "main has no frames"; }

let_go_of_connections
stop_server
