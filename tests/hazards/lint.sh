#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# weft-lint finds every kept address of lint_cases.c, however it was compiled, and nothing in what
# keeps none: its other functions, weft itself, the tools and examples.  Its list of calls that park
# is that of docs/api.md.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/../tools/support.bash"
here=$here/../hazards
root=$here/../..
lint=$root/tools/weft-lint

run_lint() # STATUS FILE...
{
    local want=$1
    shift
    status=0
    "$lint" "$@" >"$work/out" 2>"$work/err" || status=$?
    expect_status "$want" "weft-lint $*"
}

# Each bad_* function is reported and nothing else.
check_cases() # COMPILER FLAG...
{
    local fn cc=$1
    shift
    "$cc" -std=c11 -D_GNU_SOURCE "-I$root/include" "$@" -c "$here/lint_cases.c" -o "$work/cases.o" ||
        fail "$cc $* cannot compile lint_cases.c"
    run_lint 1 "$work/cases.o"
    sed -nE 's/.*: in ([a-z_0-9]+): the address.*/\1/p' "$work/out" | sort -u >"$work/found"
    nm "$work/cases.o" | awk '$3 ~ /^bad_/ { print $3 }' | sort >"$work/bad"
    [ "$(wc -l <"$work/bad")" -ge 13 ] || fail "cases are missing from the object"
    diff "$work/bad" "$work/found" >&2 || { cat "$work/out" >&2; fail "$cc $*: see the lines above"; }
    echo "$cc $*: $(wc -l <"$work/bad") found, no false alarm"
}

compilers=(gcc)
command -v clang >/dev/null && compilers+=(clang)
for cc in "${compilers[@]}"; do
    check_cases "$cc" -O2
    check_cases "$cc" -O1 -g
    check_cases "$cc" -Os
    check_cases "$cc" -O3 -fPIC
    check_cases "$cc" -O2 -fno-plt -fPIC -fno-omit-frame-pointer
    check_cases "$cc" -O2 -g -fstack-protector-all -fstack-clash-protection -fcf-protection=full
done
check_cases gcc -O2 -fPIC -mtls-dialect=gnu2

# A line tells the files' own lines where there are any.
gcc -O2 -g "-I$root/include" -D_GNU_SOURCE -c "$here/lint_cases.c" -o "$work/cases.o"
run_lint 1 "$work/cases.o"
grep -qE 'in bad_errno: the address of a thread-local that was taken at lint_cases\.c:[0-9]+ is used at lint_cases\.c:[0-9]+, after the call of weft_sleep at lint_cases\.c:[0-9]+,' \
    "$work/out" || { cat "$work/out" >&2; fail "no source lines"; }

run_lint 0 "$build"/libweft.{a,so} "$weft_echo" "$weft_stress" "$build"/examples/*
echo "nothing in weft, its tools and examples"

# What parks besides, and a park in another object.
printf '%s\n' '#include <stdio.h>' 'int *place(void); void other(void);' \
    'int f(void); int f(void) { int *p = place(); other(); return *p; }' >"$work/a.c"
printf '%s\n' 'static _Thread_local int x; int *place(void); void other(void); void weft_yield(void);' \
    'int *place(void) { return &x; }' 'void other(void) { weft_yield(); __asm__ volatile(""); }' \
    >"$work/b.c"
for name in a b; do
    gcc -O2 -c "$work/$name.c" -o "$work/$name.o"
done
run_lint 0 "$work/a.o"
run_lint 0 "$work/b.o"
run_lint 1 "$work/a.o" "$work/b.o"
ar qc "$work/both.a" "$work/a.o" "$work/b.o"
run_lint 1 "$work/both.a"
sed -i 's/weft_yield();/elsewhere();/; s/void weft_yield/void elsewhere/' "$work/b.c"
gcc -O2 -c "$work/b.c" -o "$work/b.o"
run_lint 0 "$work/a.o" "$work/b.o"
run_lint 1 -p elsewhere "$work/a.o" "$work/b.o"
echo "parks are found through callees, in all files given"

run_lint 2
run_lint 2 "$work/missing.o"
run_lint 2 "$work/a.c"
grep -q 'a\.c: objdump cannot read it' "$work/err" || fail "a source file: $(cat "$work/err")"

# The rows of the tables of calls: | `name(...)`, ... | marks | ...; P is for parks.
awk -F'|' '$3 ~ /(^| )P( |,|$)/ { n = split($2, w, "`"); for (i = 2; i <= n; i += 2) print w[i] }' \
    "$root/docs/api.md" | sed -n 's/(.*//; /^weft_/p' | sort >"$work/said"
sed -n "/^parks='/,/'\$/p" "$lint" | tr -d "'" | sed 's/^parks=//' | tr -s ' \n' '\n' | grep . |
    sort >"$work/listed"
diff "$work/said" "$work/listed" >&2 ||
    fail "docs/api.md (<) and weft-lint (>) differ in what parks: see the lines above"
echo "$(wc -l <"$work/listed") calls park, as docs/api.md says"
