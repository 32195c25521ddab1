#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The examples do what they say: each echo server serves a short load and ends on SIGTERM, a bad
# address is refused, and the small ones print what their comments promise.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

examples=$build/examples

expect_output() # EXAMPLE LINES
{
    local said
    said=$(timeout "$limit" "$examples/$1") || fail "$1 ended with status $?"
    [ "$said" = "$2" ] || fail "$1 said: $said"
}

for model in thread busy epoll weft; do
    start_server "$examples/echo_$model" 127.0.0.1:0
    # Few large ones: all that is under way at the end must come back within 5 s, from a server
    # that may get little of a busy machine, the more so the one that never rests.
    for load in "100 64" "20 65536"; do
        stress -c "$(scaled "${load% *}")" -d 1 -s "${load#* }" "tcp://$address"
        expect_status 0 "echo_$model, $load"
    done
    exec 9<>"/dev/tcp/127.0.0.1/${address##*:}" # an open connection does not keep it
    stop_server
    exec 9>&-

    status=0
    timeout "$limit" "$examples/echo_$model" nonsense >"$work/out" 2>"$work/err" || status=$?
    expect_status 2 "echo_$model nonsense"
    grep -q nonsense "$work/err" || fail "echo_$model does not name the bad address"
    echo "echo_$model serves"
done

expect_output hello 'hello, warp
hello, weft
hello, world'
expect_output group "three jobs: No such file or directory
an hour's job after 20 ms: Connection timed out
the same job cancelled: Operation canceled"
