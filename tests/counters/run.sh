#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh ROOT BUILD CC [--accept]: counts by callgrind, on one P, what each operation costs in
# libweft: instructions, system calls, allocations.  Fails where one costs 5 % more than the file
# of this compiler says, or makes a call more; --accept writes that file instead.  Time does not
# enter: the figures are the same on a busy machine.
set -euo pipefail

root=$(cd "${1:?usage: run.sh ROOT BUILD CC [--accept]}" && pwd)
build=$(mkdir -p "${2:?}" && cd "$2" && pwd)/counters
cc=${3:?} accept=${4:-}
here=$root/tests/counters
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
    printf 'FAILED: %s\n' "$*"
    exit 1
}

# As it is released: what a debug build costs says nothing.  DWARF 4, as valgrind reads no more of
# clang.
build_library()
{
    { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_C_FLAGS_RELWITHDEBINFO='-O2 -gdwarf-4 -DNDEBUG' -DCMAKE_C_COMPILER="$cc" \
        -DWEFT_BUILD_TESTS=OFF && cmake --build "$build" --target weft; } >"$work/log" 2>&1 ||
        { cat "$work/log"; fail "the library did not build in $build"; }
    "$cc" -std=c11 -D_GNU_SOURCE -O2 -gdwarf-4 -Wall -Wextra -Werror -fstack-clash-protection \
        -I"$root/include" -o "$work/ops" "$here/ops.c" -L"$build" -lweft -Wl,-rpath,"$build" ||
        fail "cannot compile ops.c"
}

# "operation instructions syscalls allocations" a line, each for one operation.
count()
{
    command -v valgrind >/dev/null || fail "no valgrind: install the package valgrind"
    timeout -k 5 200 valgrind --tool=callgrind --callgrind-out-file="$work/dump" \
        --max-stackframe=4000000000 --log-file="$work/valgrind" "$work/ops" >"$work/done" ||
        { tail -n 5 "$work/valgrind"; fail "ops under callgrind: exit status $?"; }
    # The dumps in order, as each may name what a former one did.
    find "$work" -name 'dump.*' | sort -V | xargs awk -f "$here/count.awk" >"$work/counts"
    awk 'NR == FNR { times[$1] = $2; next }
        { printf "%s %.1f %.2f %.2f\n", $1, $2 / times[$1], $3 / times[$1], $4 / times[$1] }' \
        "$work/done" "$work/counts" >"$work/now"
    cmp -s <(cut -d' ' -f1 "$work/now") <(cut -d' ' -f1 "$work/done") ||
        fail "callgrind dumped $(wc -l <"$work/now") operations, $(wc -l <"$work/done") were done"
}

write_file()
{
    cat <<EOF
# What an operation costs in libweft on one P: instructions, system calls, allocations.
# Counted by tests/counters/run.sh; $("$cc" --version | head -n 1), -O2.
EOF
    cat "$work/now"
}

# One line an operation; fails where one costs more.
compare()
{
    awk 'BEGIN {
            printf "%-12s %16s %9s %15s %14s\n", "", "instructions", "", "system calls", "allocations"
        }
        /^#/ { next }
        NR == FNR { was[$1] = $2; sys[$1] = $3; alloc[$1] = $4; next }
        !($1 in was) { print $1 ": not in the file"; bad = 1; next }
        {
            seen[$1] = 1
            more = $2 > was[$1] * 1.05 || $3 > sys[$1] + 0.25 || $4 > alloc[$1] + 0.02
            less = $2 < was[$1] * 0.95
            printf "%-12s %6.1f -> %6.1f %+6.1f %% %6.2f -> %5.2f %5.2f -> %5.2f%s\n", $1,
                was[$1], $2, ($2 / was[$1] - 1) * 100, sys[$1], $3, alloc[$1], $4,
                more ? "  MORE" : less ? "  less: accept it, so that it stays" : ""
            bad = bad || more
        }
        END {
            for (op in was) {
                if (!(op in seen)) {
                    print op ": in the file, but not counted"
                    bad = 1
                }
            }
            exit bad
        }' "$file" "$work/now"
}

file=$here/$(uname -m)-$("$cc" --version | grep -q clang && echo clang || echo gcc)-$(
    "$cc" -dumpversion | cut -d. -f1).txt
if [ "$accept" != --accept ] && [ ! -e "$file" ]; then
    echo "skipped: ${file##*/} is not there; to write it: ${BASH_SOURCE[0]} $* --accept"
    exit 77
fi
build_library
count
if [ "$accept" = --accept ]; then
    write_file >"$file"
    cat "$file"
elif ! compare; then
    fail "an operation costs more than tests/counters/${file##*/} says; if that is what the" \
        "change is worth, commit what \"tests/counters/run.sh . BUILD $cc --accept\" writes"
fi
