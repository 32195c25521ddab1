#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A thousand connections at once, and messages of all sorts of sizes: every byte comes back.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

load() # CONNECTIONS BYTES
{
    stress -c "$1" -d 1 -s "$2" --json "$work/figures" "tcp://$address"
    expect_status 0 "$1 connections, $2 bytes"
    [ "$(json_number "$work/figures" connections_up)" = "$1" ] ||
        fail "not all of $1 connections came up"
    [ "$(json_number "$work/figures" requests)" -ge "$1" ] ||
        fail "$1 connections made fewer than one request each"
    [ "$(json_number "$work/figures" errors)" = 0 ] || fail "errors, but status 0"
}

start_server "$weft_echo" 127.0.0.1:0
load "$(scaled 1000)" 64
for bytes in 1 7 8 4095 16385 65536 65537 1000003; do
    load 8 $bytes
done
stop_server

start_server "$weft_echo" --procs 1 127.0.0.1:0
stress -c "$(scaled 200)" -d 1 --procs 1 "tcp://localhost:${address##*:}"
expect_status 0 "one P on either side"
stop_server
