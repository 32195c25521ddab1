#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# libcurl, blocking on lent threads, against a server of weft's in the same process, on one P and on
# several; and against nobody.
# shellcheck source=tests/clients/servers.bash
. "$(dirname "${BASH_SOURCE[0]}")/servers.bash"

need http_fetch libcurl4-openssl-dev

for procs in 1 4; do
    WEFT_PROCS=$procs example http_fetch
    expect_line '20 fetches, 260 bytes, all well' "$procs Ps"
done

example http_fetch http://127.0.0.1:1/ http://127.0.0.1:1/other
expect_status 1 "nobody listens"
[ "$(grep -c "Couldn't connect to server, status 0, 0 bytes" "$work/out")" -eq 2 ] ||
    fail "nobody listens: $(cat "$work/out" "$work/err")"
