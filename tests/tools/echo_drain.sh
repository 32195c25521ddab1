#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# weft-echo stops as it says: SIGTERM ends accepting, open connections go on within the grace,
# what remains is closed, the status is 0.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

refuses() # ADDRESS
{
    ! (exec 8<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null
}

await_refusal()
{
    local tries
    for ((tries = 0; tries < limit * 20; tries++)); do
        refuses "$address" && return 0
        sleep 0.05
    done
    fail "still accepting $limit s after the signal"
}

# Opens descriptor 9 to the server, with an echo to show that it was accepted.
hold_connection()
{
    exec 9<>"/dev/tcp/${address%:*}/${address##*:}"
    ask "are you there"
}

ask() # TEXT
{
    local answer=
    echo "$1" >&9
    read -t "$limit" -r answer <&9 || fail "no answer to '$1'"
    [ "$answer" = "$1" ] || fail "asked '$1', answered '$answer'"
}

expect_end() # WHAT
{
    await "$pid"
    forget "$pid"
    [ "$status" -eq 0 ] || fail "$1: status $status, not 0"
}

echo "nothing open: it ends at once"
start_server "$weft_echo" --grace 600 "$apart:0"
kill -TERM "$pid"
expect_end "SIGTERM with nothing open"

echo "SIGINT does the same"
start_server "$weft_echo" --grace 600 "$apart:0"
kill -INT "$pid"
expect_end "SIGINT with nothing open"

echo "an open connection is served until it ends, and then the server ends"
start_server "$weft_echo" --grace 600 "$apart:0"
hold_connection
kill -TERM "$pid"
await_refusal
ask "still there"
exec 9>&-
expect_end "after the last connection ended"
[ ! -s "$work/server.err" ] || fail "a clean drain has nothing to say"

echo "load that goes on through the signal loses nothing"
start_server "$weft_echo" --grace 600 "$apart:0"
start_load -c 50 -d 3 "tcp://$address"
kill -TERM "$pid"
end_load 0 "load through SIGTERM"
expect_end "after the load"

echo "the grace has an end"
start_server "$weft_echo" --grace 1 "$apart:0"
hold_connection
kill -TERM "$pid"
expect_end "with a connection that stays"
grep -q 'still open after 1 s, now closed: 1$' "$work/server.err" ||
    fail "it does not say that it closed a connection"
exec 9>&-

echo "a second signal ends the grace"
start_server "$weft_echo" --grace 600 "$apart:0"
hold_connection
kill -TERM "$pid"
await_refusal
kill -TERM "$pid"
expect_end "after a second signal"
exec 9>&-

echo "the port is free again"
start_server "$weft_echo" "$address"
stop_server
