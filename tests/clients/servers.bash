# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of unmodified client libraries share: real servers, in a folder of their own, on
# sockets there, stopped when the script ends.  Sourced with the build folder as $1.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/../tools/support.bash"

examples=$build/examples

need() # EXAMPLE PACKAGE
{
    [ -x "$examples/$1" ] || skip "examples/$1 was not built: install the package $2"
}

# Run an example; what it says is in $work/out, its status in `status`.
example() # NAME ARGUMENTS...
{
    status=0
    timeout "$limit" "$examples/$1" "${@:2}" >"$work/out" 2>"$work/err" || status=$?
}

expect_line() # LINE WHAT
{
    expect_status 0 "$2"
    [ "$(cat "$work/out")" = "$1" ] || fail "$2 said: $(cat "$work/out" "$work/err")"
    echo "$2: $1"
}

# Wait until a command succeeds; PID must live meanwhile.
await_server() # PID LOG COMMAND...
{
    local tries server=$1 log=$2
    shift 2
    for ((tries = 0; tries < limit * 10; tries++)); do
        "$@" >/dev/null 2>&1 && return 0
        kill -0 "$server" 2>/dev/null || { cat "$log" >&2; fail "the server has ended"; }
        sleep 0.1
    done
    cat "$log" >&2
    fail "the server does not answer within $limit s"
}
