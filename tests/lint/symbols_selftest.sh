#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# symbols_selftest.sh ROOT CC: shows that symbols.sh passes a library that keeps the rules and finds
# each way of breaking them.
set -euo pipefail

root=$(cd "${1:?usage: symbols_selftest.sh ROOT CC}" && pwd)
cc=${2:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/include" "$work/tests/lint"

fresh()
{
    cat >"$work/include/weft.h" <<'H'
#define WEFT_API     __attribute__((visibility("default")))
#define WEFT_MUSTUSE __attribute__((warn_unused_result))
typedef struct weft_thing weft_thing;
WEFT_MUSTUSE WEFT_API int weft_one(void (*fn)(void *arg), int n);
WEFT_API weft_thing *weft_two(void);
H
    cat >"$work/a.c" <<'C'
#include <weft.h>
int wf_inner(void);
int wf_inner(void) { return 1; }
int weft_one(void (*fn)(void *arg), int n) { (void)fn; return n; }
weft_thing *weft_two(void) { return 0; }
C
    printf 'weft_one\nweft_two\n' >"$work/tests/lint/symbols.txt"
}

check()
{
    "$cc" -fPIC -fvisibility=hidden "-I$work/include" -c "$work/a.c" -o "$work/a.o"
    "$cc" -shared "$work/a.o" -o "$work/a.so"
    rm -f "$work/a.a"
    ar qc "$work/a.a" "$work/a.o"
    bash "$root/tests/lint/symbols.sh" "$work" "$cc" "$work/a.so" "$work/a.a"
}

expect() # PATTERN: the check fails and says PATTERN
{
    local out
    if out=$(check); then echo "not found: $1"; exit 1; fi
    grep -qE "$1" <<<"$out" || { printf 'wrong report for %s:\n%s\n' "$1" "$out"; exit 1; }
}

fresh
check || { echo "a library that keeps the rules was refused"; exit 1; }
fresh; echo weft_three >>"$work/tests/lint/symbols.txt"
expect '^weft_three is in tests/lint/symbols.txt, but not exported'
fresh; sed -i /weft_two/d "$work/tests/lint/symbols.txt"
expect '^weft_two is exported, but not in tests/lint/symbols.txt'
fresh; echo 'WEFT_API int weft_three(void);' >>"$work/include/weft.h"
expect '^weft_three is declared in include/, but not exported'
fresh; sed -i '/weft_two/d' "$work/include/weft.h"
sed -i 's/^weft_thing/__attribute__((visibility("default"))) weft_thing/' "$work/a.c"
expect '^weft_two is exported, but not declared'
fresh; echo 'int helper; ' >>"$work/a.c"
expect '^helper is a global name of libweft.a'
echo "symbols.sh finds all five kinds of breach"
