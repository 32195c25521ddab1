#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh ROOT CC SHARED STATIC: three lists are one and the same,
#   what libweft.so exports, what tests/lint/symbols.txt names, what include/ declares,
# and libweft.a defines no global name outside weft_, wf_ and boost.context's three.
# `symbols.sh --write ROOT CC SHARED STATIC` writes what SHARED exports to tests/lint/symbols.txt.
set -euo pipefail
export LC_ALL=C

write=no
[ "${1:-}" != --write ] || { write=yes; shift; }
root=$(cd "${1:?usage: symbols.sh [--write] ROOT CC SHARED STATIC}" && pwd)
cc=${2:?} shared=${3:?} static=${4:?}
list=$root/tests/lint/symbols.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# A declaration is a statement with default visibility; its name is the word before the first "("
# once the attributes are gone.
declared()
{
    (cd "$root/include" && find . -name '*.h' | sort | sed 's|^\./\(.*\)|#include <\1>|') |
        "$cc" -std=c11 -E -P "-I$root/include" -xc - | tr '\n' ' ' |
        sed 's/[;{}]/\n/g' | grep 'visibility("default")' |
        sed -E 's/__attribute__ *\(\(([^()]|\([^()]*\))*\)\)//g; s/ *\(.*//; s/.*[ *]//' | sort
}

same() # FILE FILE WHAT ONLY-FIRST ONLY-SECOND
{
    local line
    while read -r line; do echo "$line $3"; failed=1; done < <(comm -23 "$1" "$2")
    while read -r line; do echo "$line $4"; failed=1; done < <(comm -13 "$1" "$2")
}

nm -D --defined-only "$shared" | awk '{ print $NF }' | sed 's/@.*//' | sort >"$work/exported"
if [ "$write" = yes ]; then
    { echo "# What libweft.so exports; held against it by tests/lint/symbols.sh."; cat "$work/exported"; } >"$list"
fi
grep -v '^#' "$list" | sort >"$work/listed"
declared >"$work/declared"
for file in exported listed declared; do
    [ -s "$work/$file" ] || { echo "the list of $file symbols is empty"; exit 1; }
done

same "$work/exported" "$work/listed" \
    "is exported, but not in tests/lint/symbols.txt" \
    "is in tests/lint/symbols.txt, but not exported"
same "$work/exported" "$work/declared" \
    "is exported, but not declared in include/" \
    "is declared in include/, but not exported"

nm -g --defined-only "$static" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$work/global"
grep -q '^weft_' "$work/global" || { echo "$static defines no weft_ symbol"; exit 1; }
if grep -vE '^(weft_|wf_|(make|jump|ontop)_fcontext$)' "$work/global" >"$work/stray"; then
    sed "s|\$| is a global name of libweft.a without weft_ or wf_: make it static or rename it|" \
        "$work/stray"
    failed=1
fi
[ "$failed" -eq 0 ] || exit 1
echo "$(wc -l <"$work/exported") symbols exported, listed and declared"
