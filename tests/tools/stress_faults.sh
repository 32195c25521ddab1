#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The stress tool sees every fault: a server that does one thing wrong once is found out, by the
# right name, with status 1; and one that does nothing wrong is not.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

compile evil_echo
figures=$work/figures

errors_of() # KIND
{
    sed -n "/\"errors_by_kind\"/,/}/s/^\t*\"$1\":\t\([0-9]*\),\{0,1\}\$/\1/p" "$figures"
}

expect_fault() # FAULT AFTER KIND [BYTES]
{
    local kinds=0 kind
    start_server "$work/evil_echo" "$1" "$2"
    stress -c 4 -d 1 -s "${4:-64}" --json "$figures" "tcp://$address"
    kill_server
    expect_status 1 "fault $1 after $2"
    for kind in ${3//,/ }; do
        [ "$(errors_of "$kind")" -eq 0 ] || kinds=$((kinds + 1))
    done
    [ $kinds -gt 0 ] || { cat "$work/out" && fail "fault $1 after $2 is no $3"; }
    [ "$(json_number "$figures" errors)" -gt 0 ] || fail "fault $1 after $2: no errors in the JSON"
    grep -qE "^  (${3//,/|}) +[0-9]+, the first: connection [0-9]+" "$work/out" ||
        fail "fault $1 after $2: the summary does not tell the first"
    echo "$1 after $2: $3"
}

start_server "$work/evil_echo" none 0
stress -c 4 -d 1 "tcp://$address"
kill_server
expect_status 0 "no fault"

expect_fault corrupt 0 mismatch   # in the first message, which is not a counted request
expect_fault corrupt 6400 mismatch
expect_fault corrupt 64 mismatch 1
expect_fault corrupt 200000 mismatch 100000
expect_fault drop 6400 mismatch
expect_fault drop 64 timeout 1
expect_fault duplicate 6400 mismatch
expect_fault stale 6400 mismatch
expect_fault swap 6400 mismatch
expect_fault close 6400 eof,read,write
expect_fault reset 6400 read,write,eof
expect_fault silent 6400 timeout
expect_fault extra 0 extra
