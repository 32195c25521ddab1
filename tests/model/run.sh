#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [FOLDER] [MODEL...]: checks the models with spin, all or those named (runq, park ...).
# FOLDER, told by its slash, is where to work; without it a temporary one is used.
#
# A model's head comment lists what to check, with the definitions for each:
#   run: NAME FLAGS             must hold in every state
#   fault: NAME [FLAGS] | what  -DNAME seeds a fault, which must be found; without FLAGS
#                               those of the first run
# Prints a line for each; exit status 1 if a run fails or a fault is not found.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
jobs=${WEFT_MODEL_JOBS:-2}
memory_mb=2048
depth=200000
limit_s=${WEFT_MODEL_LIMIT_S:-240}

die() # MESSAGE
{
    printf 'run.sh: %s\n' "$1" >&2
    exit 2
}

for tool in spin gcc; do
    command -v "$tool" >/dev/null || die "$tool is missing: install Debian's package $tool"
done

# The checks of one model, one line each: MODEL KIND NAME FLAGS...
list_checks() # MODEL
{
    awk -v model="$1" '
        $2 == "run:" || $2 == "fault:" {
            kind = $2
            sub(/:$/, "", kind)
            name = $3
            $1 = $2 = $3 = ""
            sub(/\|.*/, "")
            gsub(/^ +| +$/, "")
            if (kind == "run" && first == "")
                first = $0
            print model, kind, name, ($0 == "" ? first : $0)
        }
        NR > 1 && /\*\// { exit }' "$here/$1.pml"
}

# One check: `ok MODEL NAME ...` or `FAILED MODEL NAME ...`.
check() # MODEL KIND NAME FLAGS...
{
    local model=$1 kind=$2 name=$3
    shift 3
    local optimize=-O2
    [ "$kind" = run ] || { set -- "$@" "-D$name" && optimize=-O0; } # found soon, compiled sooner
    local dir=$work/$model.$name
    mkdir -p "$dir"
    cd "$dir"
    if ! spin -a "$@" "$here/$model.pml" >spin.log 2>&1 || [ ! -s pan.c ]; then
        verdict FAILED "$model $name: spin refuses the model" spin.log
        return
    fi
    if ! gcc $optimize -w -DSAFETY -DCOLLAPSE -DMEMLIM=$memory_mb -o pan pan.c >gcc.log 2>&1; then
        verdict FAILED "$model $name: gcc refuses the verifier" gcc.log
        return
    fi
    timeout "$limit_s" ./pan -m$depth >pan.log 2>&1 || true
    judge "$model" "$kind" "$name"
}

judge() # MODEL KIND NAME
{
    local states
    states=$(awk '/states, stored/ { print $1 }' pan.log)
    if [ "$2" = run ]; then
        if grep -q '^pan:1' pan.log; then
            verdict FAILED "$1 $3: $(grep -m1 '^pan:1' pan.log)" pan.log
        elif ! grep -q 'errors: 0' pan.log || grep -Eqi 'not completed|too small|bound' pan.log; then
            verdict FAILED "$1 $3: not all states within $limit_s s and $memory_mb MB" pan.log
        else
            verdict ok "$1 $3 $states states"
        fi
    elif grep -Eq '^pan:1: (assertion violated|invalid end state)' pan.log; then
        verdict ok "$1 $3 found"
    else
        verdict FAILED "$1 $3 was not found in $states states" pan.log
    fi
}

verdict() # ok|FAILED LINE [LOG]
{
    printf '%s %s\n' "$1" "$2"
    if [ "$1" = FAILED ]; then
        touch "$work/failed"
        sed 's/^/    /' "$3" | tail -n 30
    fi
}

if [ "${1-}" = --check ]; then
    work=$2
    shift 2
    check "$@"
    exit 0
fi

case ${1-} in
    */*) work=$1 && shift && mkdir -p "$work" && work=$(cd "$work" && pwd) ;;
    *) work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT ;;
esac
rm -f "$work/failed"

[ $# -gt 0 ] || set -- $(cd "$here" && basename -s .pml -- *.pml)
for model in "$@"; do
    [ -e "$here/$model.pml" ] || die "there is no model \"$model\": see $here"
done
for model in "$@"; do
    list_checks "$model"
done | xargs -r -P "$jobs" -L 1 "$0" --check "$work"
[ ! -e "$work/failed" ] || exit 1
