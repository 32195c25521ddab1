#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# WEFT_NETPOLL: what each value does and says.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

# Runs weft and nothing in it; `status`, and what it said in $work/said.
run_weft() # VALUE [DESCRIPTORS]
{
    status=0
    # shellcheck disable=SC2016 # the inner shell is to expand them
    WEFT_NETPOLL=$1 bash -c 'ulimit -n "$1" && exec "$2"' - "${2:-256}" \
        "$build/tests/support/weft_runs" >"$work/said" 2>&1 || status=$?
}

for value in epoll auto ''; do
    run_weft "$value"
    [ "$status" -eq 0 ] || fail "WEFT_NETPOLL=$value: status $status, not 0"
    [ ! -s "$work/said" ] || fail "WEFT_NETPOLL=$value has something to say: $(cat "$work/said")"
done

echo "another value is refused by name"
run_weft kqueue
[ "$status" -ne 0 ] || fail "WEFT_NETPOLL=kqueue runs"
expected='weft: WEFT_NETPOLL=kqueue: must be epoll, io_uring or auto'
[ "$(cat "$work/said")" = "$expected" ] || fail "it says: $(cat "$work/said")"

echo "where there can be no ring epoll serves, and a line says so"
fell_back=0
for ((files = 32; files >= 5; files--)); do
    run_weft io_uring "$files"
    [ "$status" -eq 0 ] && [ -s "$work/said" ] || continue
    [ "$(wc -l <"$work/said")" -eq 1 ] || fail "more than a line: $(cat "$work/said")"
    grep -q '^weft: WEFT_NETPOLL=io_uring: .*; epoll is used$' "$work/said" ||
        fail "it says: $(cat "$work/said")"
    fell_back=1
done
[ "$fell_back" -eq 1 ] || fail "with few descriptors it never fell back"
