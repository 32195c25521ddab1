#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# weft-stress ends, whatever happens: on a signal early and with its summary, on a server that
# dies with errors; in good time each.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

for signal in INT TERM; do
    start_server "$weft_echo" 127.0.0.1:0
    start_load -c 100 -d 3600 --json "$work/figures" "tcp://$address"
    kill -"$signal" "$load"
    end_load 0 "SIG$signal"
    grep -q 'interrupted' "$work/out" || fail "the summary does not say that it was interrupted"
    [ "$(json_number "$work/figures" requests)" -gt 100 ] || fail "the JSON lacks the requests"
    stop_server
done

start_server "$weft_echo" 127.0.0.1:0
start_load -c 100 -d 3600 "tcp://$address"
kill_server
end_load 1 "a server that dies"
grep -qE '^errors +[1-9]' "$work/out" || fail "a server died and no error was counted"
