# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The compute rows: one process a measurement, peers in turn.  Sourced by run.

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
    local setting=$1 peer=$2 program=$3 row=$4
    shift 4
    [ -x "$program" ] || return 0
    if timeout -k 5 300 "$program" "$row" --scale "$scale" --parked "$parked" "$@" \
        >"$work/figures" 2>"$work/words" && [ -s "$work/figures" ]; then
        take "$setting" "$peer" "$work/figures"
    else
        failed "$peer $row $*" "$work/words"
    fi
}

# On how many Ps: some rows need somebody on the other one.
procs_of() # ROW
{
    case $1 in
        mutex100 | wake) echo 2 ;;
        *) echo 1 2 ;;
    esac
}

run_compute() # ROW
{
    local row=$1 rep procs
    for ((rep = 0; rep < reps; rep++)); do
        for procs in $(procs_of "$row"); do
            [ "$procs" -le ${#cpus[@]} ] || continue
            measure "$procs" weft "$bin/bench_weft_compute" "$row" --procs "$procs"
            measure "$procs" go "$bin/bench_go_compute" "$row" --procs "$procs"
            case $row in
                parked) measure - floor "$bin/bench_floor" guard_touch ;;
                wake) measure - floor "$bin/bench_floor" futex_busy ;;
            esac
        done
    done
}

run_floor()
{
    local rep row
    for ((rep = 0; rep < reps; rep++)); do
        for row in fcontext futex_wake fib38_alone; do
            measure - floor "$bin/bench_floor" "$row"
        done
    done
}
