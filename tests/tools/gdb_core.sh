#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# gdb with tools/gdb/weft-gdb.py: in a core file of 10,000 coroutines that wait each backtrace has
# the frames that its coroutine must have and ends at the coroutine's first function; those that
# run are found on their threads; and the same in a live process, which goes on unharmed.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

count=$(scaled 10000)
root=$(cd "$here/../.." && pwd)
script=$root/tools/gdb/weft-gdb.py
parked=        # the process to look at

command -v gdb >/dev/null || skip "no gdb here: install the package gdb"
if is_on WEFT_ASAN; then
    skip "AddressSanitizer's memory makes core files too large"
fi

# ---- What gdb is asked ---------------------------------------------------------------------------

# What it says is in $work/said.
run_gdb() # ARGUMENTS...
{
    status=0
    timeout 250 gdb -batch -nx "$@" -ex 'echo gdb is done\n' </dev/null >"$work/said" 2>&1 ||
        status=$?
    [ "$status" -ne 124 ] || fail "gdb was not done after 250 s"
    says '^gdb is done$'
}

says() # PATTERN
{
    grep -qE -- "$1" "$work/said" || { head -n 60 "$work/said" >&2; fail "gdb did not say: $1"; }
}

# Each coroutine that waits is as deep as what it waits for says, then comes its first function and
# then weft's, and nothing after it.  COUNT of them, and three more.
check_backtraces() # COUNT
{
    awk -v want="$1" '
        function bad(why) { printf "%s: %s: %s\n", header, why, frames; failed = 1 }
        function check() {
            if (header == "")
                return
            sub(/,$/, "", frames)
            n = split(frames, f, ",")
            if (f[n] != "entry")
                bad("does not end at entry")
            if (waits == "")
                return
            shape = inner[waits] "," (waits ~ /sem/ ? "" : "waits,")
            for (i = 0; i <= levels[waits]; i++)
                shape = shape "level,"
            if (frames != shape "coroutine_of_kind,entry")
                bad("not " shape "coroutine_of_kind,entry")
            good++
        }
        BEGIN {
            levels["for a semaphore"] = 0; inner["for a semaphore"] = "weft_sem_acquire,waits"
            levels["to receive"] = 1; inner["to receive"] = "weft_chan_recv"
            levels["for time to pass"] = 2; inner["for time to pass"] = "weft_sleep"
            levels["for a mutex"] = 3; inner["for a mutex"] = "weft_mutex_lock"
        }
        /^all of them$/ { begun = 1; next }
        !begun { next }
        /^Coroutine [0-9]+/ {
            check()
            header = $0; frames = ""; waits = ""
            if ($0 ~ / waits / && $0 !~ /\(main\)/) {
                waits = $0
                sub(/.* waits /, "", waits); sub(/( 0x.*)?, for .*/, "", waits)
                sub(/ 0x.*/, "", waits)
            }
        }
        /^#[0-9]+ / {
            line = $0
            sub(/^#[0-9]+ +(0x[0-9a-f]+ in )?/, "", line); sub(/ .*/, "", line)
            frames = frames line ","
        }
        /corrupt|Backtrace stopped|\?\?/ { bad($0) }
        END {
            check()
            printf "%d backtraces right\n", good
            exit failed || good != want
        }' "$work/said" >"$work/checked" || { head -n 20 "$work/checked" >&2; fail "of $1, see above"; }
    cat "$work/checked"
}

# ---- The process -------------------------------------------------------------------------------------

start_parked() # COUNT [ENVIRONMENT...]
{
    local n=$1
    shift
    : >"$work/parked.out"
    (
        cd "$work" || exit
        ulimit -c unlimited 2>/dev/null || true
        exec env "$@" ./parked "$n"
    ) >"$work/parked.out" 2>&1 &
    parked=$!
    pids+=("$parked")
    await_line "$work/parked.out" '^parked'
}

stop_parked() # SIGNAL
{
    kill -"$1" "$parked"
    wait "$parked" 2>/dev/null || true
    forget "$parked"
}

may_trace()
{
    gdb -batch -nx -p "$parked" -ex 'print 1' </dev/null >"$work/said" 2>&1 && grep -q '= 1' "$work/said"
}

# By the kernel, where it writes core files to the working folder; else by gdb, which cannot read
# past guards that are no mappings of their own.
make_core()
{
    local pattern
    pattern=$(cat /proc/sys/kernel/core_pattern)
    start_parked "$count"
    if [[ $pattern != "|"* && $pattern != */* ]]; then
        stop_parked ABRT
        core=$(find "$work" -maxdepth 1 -name "${pattern%%%*}*" -size +1 ! -name 'parked*' | head -n 1)
        [ -z "$core" ] || return 0
    else
        stop_parked KILL
    fi
    start_parked "$count" WEFT_GUARD=mprotect
    may_trace || skip "no core file: core_pattern is $pattern, and this system does not let gdb attach"
    core=$work/core.gdb
    run_gdb -p "$parked" -ex "generate-core-file $core"
    stop_parked KILL
}

# ---- The test -----------------------------------------------------------------------------------------

compile parked -g "-I$root/include" "-L$build" -lweft "-Wl,-rpath,$build"
make_core
run_gdb -x "$script" "$work/parked" "$core" -ex 'info coroutines' -ex 'coroutine 5' -ex 'up' \
    -ex 'info locals' -ex 'coroutine 2 bt -no-filters 3' -ex 'coroutine none' -ex 'bt 1' \
    -ex 'echo all of them\n' -ex 'coroutine apply all bt'
echo "a core file:"
check_backtraces "$count"
says '^ +1  waits for a semaphore +main +'
says '^ +3  waits to receive +waits \(\) at .*parked.c:[0-9]+'
says 'blocking on thread [0-9]+ +blocker +[a-z_]*pause \(\)'
says 'running on thread [0-9]+ +computer +computes \(\) at .*parked.c:[0-9]+'
says '^#[0-9]+ .* waits \(.*\) at .*parked.c'
says '^#[0-9]+ .* level \(.*\) at .*parked.c'
says '^r = '
says '^#1 .* in wf_jump '
says '^#0 '
says '^Coroutine 1 \(main\) waits for a semaphore 0x[0-9a-f]+ <never>, for [0-9.]+ s; started at main '
says '^Coroutine [0-9]+ \(hundredth\) waits .*; started at start \(\) at .*parked.c:[0-9]+'
says '^Coroutine [0-9]+ \(blocker\) blocking on thread [0-9]+;'
says '^Coroutine [0-9]+ \(computer\) running on thread [0-9]+;'

run_gdb -x "$script" "$work/parked" -ex 'info coroutines'
says '^no process'

start_parked 100
if may_trace; then
    run_gdb -x "$script" -p "$parked" -ex 'coroutine 7' -ex 'coroutine 1000' \
        -ex 'echo all of them\n' -ex 'coroutine apply all bt' -ex 'detach'
    echo "a live process:"
    check_backtraces 100
    says '^Coroutine 7 waits to receive'
    says '^no coroutine 1000 lives'
    kill -0 "$parked" || fail "the process ended when gdb left it"
else
    echo "skipped: a live process, since this system does not let gdb attach"
fi
stop_parked KILL
