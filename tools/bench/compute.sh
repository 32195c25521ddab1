# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The rows of one process a measurement, peers in turn: compute, growth, the machine's own floor,
# start-up.  Sourced by run.

too_slow=8 # seconds: a run that takes longer is not repeated
declare -A was_slow=()

# Takes the figures a program printed, "name value unit".
take() # SETTING PEER FILE
{
    local name value unit
    while read -r name value unit; do
        note "$name" "$1" "$2" value "$value" "$unit"
    done <"$3"
}

measure() # SETTING PEER PROGRAM ROW [option...]
{
    local setting=$1 peer=$2 program=$3 row=$4 begun=$SECONDS
    shift 4
    [ -x "$program" ] && [ -z "${was_slow[$setting $peer $row]:-}" ] || return 0
    if timeout -k 5 300 "$program" "$row" --scale "$scale" --parked "$parked" "$@" \
        >"$work/figures" 2>"$work/words" && [ -s "$work/figures" ]; then
        take "$setting" "$peer" "$work/figures"
    else
        failed "$peer $row $*" "$work/words"
    fi
    [ $((SECONDS - begun)) -lt $too_slow ] || was_slow[$setting $peer $row]=1
}

measure_floor() # ROW...
{
    local row
    for row in "$@"; do
        measure - floor "$bin/bench_floor" "$row"
    done
}

# A virtual machine's host may have taken back memory that lay idle, and whoever touches it next
# pays for its return: so as much as is about to be used is touched before each measurement.
have_memory() # ROW
{
    [ "$1" != parked ] || "$bin/bench_floor" guard_touch --parked "$parked" >"$work/words" 2>&1 ||
        failed "floor guard_touch" "$work/words"
}

run_compute() # ROW
{
    local rep workers peer
    for ((rep = 0; rep < row_reps; rep++)); do
        for workers in ${row_workers[$1]}; do
            [ "$workers" -le ${#cpus[@]} ] || continue
            for peer in ${row_peers[$1]}; do
                have_memory "$1"
                measure "$workers" "$peer" "$bin/${peer_compute[$peer]}" "$1" --procs "$workers"
            done
        done
        have_memory "$1"
        case $1 in
            parked) measure_floor guard_touch ;;
            mutex) measure_floor cas_pair ;;
            wake) measure_floor futex_busy ;;
        esac
    done
}

run_floor() # ROW
{
    local rep
    for ((rep = 0; rep < row_reps; rep++)); do
        measure_floor fcontext futex_wake fib38_alone
    done
}

# The cost of one coroutine as their number grows.
run_grow() # ROW
{
    local rep size peer parked
    for ((rep = 0; rep < row_reps; rep++)); do
        for size in ${row_size[$1]}; do
            [ "$size" -le "$most_parked" ] || continue
            parked=$size
            for peer in ${row_peers[$1]}; do
                measure "n$size" "$peer" "$bin/${peer_compute[$peer]}" parked --procs 1
            done
        done
    done
}

# From exec to the first line of COMMAND, in us; and the size of its program without symbols.
launch() # PEER METRIC COMMAND...
{
    local peer=$1 metric=$2
    shift 2
    [ -x "$1" ] || return 0
    if "$bin/bench_launch" $((smoke ? 2 : 20)) "$@" >"$work/figures" 2>"$work/words"; then
        note start - "$peer" "$metric" "$(cat "$work/figures")" us
        strip -o "$work/stripped" "$1"
        note start - "$peer" "${metric}_bytes" "$(stat -c %s "$work/stripped")" bytes
    else
        failed "starting $*" "$work/words"
    fi
}

run_start() # ROW
{
    local rep peer
    for ((rep = 0; rep < row_reps; rep++)); do
        launch floor coroutine "$bin/bench_floor" hello
        for peer in ${row_peers[$1]}; do
            launch "$peer" coroutine "$bin/${peer_compute[$peer]}" hello
            server_command "$peer" echo "${row_workers[$1]}"
            launch "$peer" listening "${server[@]}" 127.0.0.1:0
        done
    done
}
