#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# headers.sh ROOT CC CXX [EXAMPLE...]: each public header compiles alone, and twice, as C11, C17 and
# C++17 and -pedantic; each example compiles as C11 and C17 with nothing but include/ in sight, save
# those named, whose libraries are not here.  Warnings are errors.
set -euo pipefail

root=$(cd "${1:?usage: headers.sh ROOT CC CXX}" && pwd)
cc=${2:?} cxx=${3:?} left_out=" ${*:4} "
flags=(-fsyntax-only -Wall -Wextra -Werror "-I$root/include")
checks=0 failures=0

compile() # WHAT COMPILER FLAG... SOURCE
{
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" "${flags[@]}" || { echo "does not compile: $what"; failures=$((failures + 1)); }
}

cd "$root/include"
while read -r header; do
    header=${header#./}
    source=$(printf '#include <%s>\n#include <%s>\nextern int weft_header_check;\n' "$header" "$header")
    compile "$header as C11" "$cc" -pedantic -std=c11 -xc - <<<"$source"
    compile "$header as C17" "$cc" -pedantic -std=c17 -xc - <<<"$source"
    compile "$header as C++17" "$cxx" -pedantic -std=c++17 -xc++ - <<<"$source"
done < <(find . -name '*.h' | sort)
[ "$checks" -gt 0 ] || { echo "no header in $root/include"; exit 1; }

for example in "$root"/examples/*.c; do
    [ -e "$example" ] && [[ $left_out != *" ${example##*/} "* ]] || continue
    compile "$example as C11" "$cc" -std=c11 "$example"
    compile "$example as C17" "$cc" -std=c17 "$example"
done

[ "$failures" -eq 0 ] || { echo "$failures of $checks failed"; exit 1; }
echo "$checks compilations without a warning"
