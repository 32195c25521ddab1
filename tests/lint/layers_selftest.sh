#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# layers_selftest.sh ROOT: shows that layers.sh passes a clean tree and finds each kind of breach.
set -euo pipefail

root=$(cd "${1:?usage: layers_selftest.sh ROOT}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fresh()
{
    rm -rf "$work/t"
    mkdir -p "$work"/t/{runtime,net,include/weft,tools/a,tools/b,examples,tests/lint,tests/white}
    cd "$work/t"
    printf '1 runtime/low\n2 runtime/high\n4 net/top\n' >tests/lint/floors.txt
    echo '#include <stdio.h>' >runtime/low.h
    printf '#include "low.h"\n#include <weft.h>\n' >runtime/high.h
    printf '#include "runtime/high.h"\n#include <net/if.h>\n' >net/top.c
    echo '#include <weft/runtime.h>' >include/weft.h
    echo '#include <stddef.h>' >include/weft/runtime.h
    printf '#include <weft.h>\n#include "a.h"\n' >tools/a/main.c
    echo '#include "../cli.h"' >tools/a/a.h
    : >tools/cli.h
    echo '#include "runtime/high.h"' >tests/white/high_test.c
    echo '#include <weft.h>' >tests/run_test.c
}

expect() # MESSAGE PATTERN: layers.sh fails and says PATTERN
{
    local out
    if out=$(bash "$root/tests/lint/layers.sh" "$work/t"); then
        echo "not found: $1"
        exit 1
    fi
    grep -qE -- "$2" <<<"$out" || { printf 'wrong report for %s:\n%s\n' "$1" "$out"; exit 1; }
}

fresh
bash "$root/tests/lint/layers.sh" "$work/t" || { echo "a clean tree was refused"; exit 1; }

fresh; echo '#include "high.h"' >>runtime/low.h
expect "a higher floor" '^runtime/low.h:2: floor 1 may not include runtime/high.h of floor 2'
fresh; echo '# include <net/top.h>' >>runtime/high.h; : >net/top.h
expect "a higher floor by <>" '^runtime/high.h:3: floor 2 may not include net/top.h of floor 4'
fresh; echo '#include "../runtime/high.h"' >runtime/low.h
expect "a higher floor by .." '^runtime/low.h:1: floor 1'
fresh; : >net/new.c
expect "a file without a floor" '^net/new.c: has no floor'
fresh; echo '3 runtime/gone' >>tests/lint/floors.txt
expect "a floor without a file" 'runtime/gone is listed'
fresh; echo '#include "runtime/low.h"' >>tools/a/main.c
expect "a tool that looks inside" '^tools/a/main.c:3: only <weft'
fresh; echo '#include "../a/a.h"' >tools/b/main.c
expect "a tool that looks at another" '^tools/b/main.c:1: only <weft'
fresh; echo '#include <runtime/low.h>' >examples/e.c
expect "an example that looks inside" '^examples/e.c:1: only <weft'
fresh; echo '#include "../runtime/low.h"' >>tests/run_test.c
expect "a public test that looks inside" '^tests/run_test.c:2: only <weft'
fresh; echo '#include <runtime/low.h>' >>include/weft.h
expect "a public header that looks inside" '^include/weft.h:2: only <weft'
fresh; echo '#include "missing.h"' >>net/top.c
expect "a missing header" '^net/top.c:3: "missing.h" is no file'
echo "layers.sh finds all eleven kinds of breach"
