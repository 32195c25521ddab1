# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of the programs share: servers that are started, waited for and stopped, helpers
# compiled on the spot, checks that name what they found.  Sourced with the build folder as $1.
# Every wait has a limit; whatever was started is gone when the script ends, however it ends.
set -euo pipefail

build=$(cd "${1:?usage: ${0##*/} BUILD_FOLDER}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
limit=60    # seconds for whatever should end by itself
pids=()     # servers that run
address=    # of the server started last
pid=        # of the server started last
load=       # the stress tool's process, where it runs beside the script
holder=     # the process that holds connections, and what ends it as it is closed
held=

# An address where no other process listens, nor dials from: it could get a server's port as soon
# as that has ended.
apart=127.$((1 + $$ / 65536 % 254)).$(($$ / 256 % 256)).$(($$ % 256))

weft_echo=$build/weft-echo
weft_stress=$build/weft-stress

clean_up()
{
    local p
    exec 2>/dev/null # bash would report each as killed
    for p in "${pids[@]}"; do
        kill -KILL "$p" && wait "$p" || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail()
{
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

skip()
{
    printf 'skipped: %s\n' "$*"
    exit 77
}

# An option of the build tree.
is_on() # OPTION
{
    grep -q "^$1:BOOL=ON" "$build/CMakeCache.txt"
}

# A count of the test, scaled as the others are.
scaled() # N
{
    local n=$(($1 * ${WEFT_TEST_SCALE:-100} / 100))
    echo $((n > 0 ? n : 1))
}

# Compile a helper of this folder to $work/NAME.
compile() # NAME LIBRARIES...
{
    local name=$1
    shift
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o "$work/$name" \
        "$here/$name.c" "$@" || fail "cannot compile $name.c"
}

# Start a server whose first line says where it listens; sets pid and address.
start_server() # COMMAND...
{
    local fifo=$work/said.$RANDOM.${#pids[@]} line='' said
    mkfifo "$fifo"
    "$@" >"$fifo" 2>"$work/server.err" &
    pid=$!
    pids+=("$pid")
    exec {said}<"$fifo"
    read -t "$limit" -r line <&"$said" || fail "$1 did not say where it listens"
    [[ $line =~ ^listening\ on\ (127\.[0-9.]+:[0-9]+)$ ]] ||
        fail "$1 said \"$line\" instead of where it listens"
    address=${BASH_REMATCH[1]}
    [ "${address##*:}" -gt 0 ] || fail "$1 does not tell its real port"
}

# Wait for a child's end; its status is in `status`.
await() # PID
{
    timeout "$limit" tail --pid="$1" -f /dev/null || fail "process $1 still runs after $limit s"
    status=0
    wait "$1" || status=$?
}

# Ask the server started last to stop; it must do so with status 0.
stop_server()
{
    kill -TERM "$pid"
    await "$pid"
    forget "$pid"
    [ "$status" -eq 0 ] || fail "the server ended with status $status after SIGTERM, not 0"
}

# End the server started last, whatever it does.
kill_server()
{
    { kill -KILL "$pid" && wait "$pid" || true; } 2>/dev/null # bash would report it as killed
    forget "$pid"
}

# It has ended and was waited for: its number may be another's by now.
forget() # PID
{
    local p left=()
    for p in "${pids[@]}"; do
        [ "$p" = "$1" ] || left+=("$p")
    done
    pids=("${left[@]}")
}

# Start the stress tool beside the script and wait until it shows how it runs; sets load.
start_load() # ARGUMENTS...
{
    : >"$work/err" # what an earlier run said must not be taken for this one's
    "$weft_stress" "$@" >"$work/out" 2>"$work/err" </dev/null &
    load=$!
    pids+=("$load")
    await_line "$work/err" '^ +[0-9]+ s:'
}

end_load() # STATUS WHAT
{
    await "$load"
    forget "$load"
    expect_status "$1" "$2"
}

# Run the stress tool; its status is in `status`, what it said in $work/out and $work/err.
stress() # ARGUMENTS...
{
    status=0
    timeout "$limit" "$weft_stress" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    [ "$status" -ne 124 ] || fail "weft-stress $* did not end within $limit s"
}

expect_status() # STATUS WHAT
{
    [ "$status" -eq "$1" ] && return 0
    cat "$work/out" "$work/err" >&2
    fail "$2: status $status, not $1"
}

# Open so many connections to the server started last; each echoes once, and then says nothing.
hold_connections() # N
{
    compile hold
    mkfifo "$work/end"
    "$work/hold" "$1" "${address##*:}" <"$work/end" >"$work/held" 2>&1 &
    holder=$!
    pids+=("$holder")
    exec {held}>"$work/end"
    await_line "$work/held" '^held'
}

let_go_of_connections()
{
    exec {held}>&-
    await "$holder"
    forget "$holder"
}

# Wait until a file holds a line that matches.
await_line() # FILE PATTERN
{
    local tries
    for ((tries = 0; tries < limit * 20; tries++)); do
        grep -qE "$2" "$1" && return 0
        sleep 0.05
    done
    cat "$1" >&2
    fail "no line like '$2' within $limit s"
}

# The value of a member of the flat part of a JSON file, as the programs print it.
json_number() # FILE KEY
{
    sed -n "s/^\t\"$2\":\t\([-+.0-9eE]*\),\{0,1\}\$/\1/p" "$1"
}
