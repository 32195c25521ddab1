#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/thread-locals.md is as good as its word: its program goes wrong as it shows, with gcc and
# with clang, and weft-lint finds it; with weft/errno.h and the page's accessor it goes right.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/../tools/support.bash"

page=$here/../../docs/thread-locals.md
commands=0

command -v pkg-config >/dev/null || skip "the page's commands need pkg-config (package pkgconf)"
command -v clang >/dev/null || skip "the page's commands need clang"
cmake --install "$build" --prefix "$work/prefix" >"$work/install" || fail "cannot install"
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig LD_LIBRARY_PATH=$work/prefix/lib
export PATH=$work/prefix/bin:$PATH

# The page's programs, each in a block that begins with its name in a comment.
sed -n '/^ *```c$/,/^ *```$/p' "$page" | sed 's/^   \([^ ]\|$\)/\1/' | awk -v dir="$work" '
    /^ *```/ { file = ""; next }
    /^ *\/\* [a-z_]+\.c \*\/$/ { file = dir "/" $2 }
    file != "" { sub(/^   \}/, "}"); print > file }'
[ -s "$work/kept.c" ] && [ -s "$work/accessor.c" ] || fail "the page has lost a program"

give() # COMMAND SHOWN
{
    local said
    [ -n "$1" ] || return 0
    said=$(cd "$work" && timeout "$limit" bash -c "$1" 2>&1) || [ "${1/weft-lint/}" != "$1" ] ||
        fail "$1: status $?, and it said: $said"
    [ "$said" = "$2" ] || fail "$1 says
$said
and the page
$2"
    commands=$((commands + 1))
}

command='' shown=''
while IFS= read -r line; do
    case $line in
        '$ '*) give "$command" "$shown"; command=${line#'$ '} shown= ;;
        *) shown+=${shown:+$'\n'}$line ;;
    esac
done < <(sed -n '/^```console$/,/^```$/{/^```/d;p}' "$page")
give "$command" "$shown"
[ "$commands" -ge 4 ] || fail "the page has only $commands commands"
echo "$commands commands do as the page shows"

# The same program by the rule.
sed -e 's|#include <errno.h>|#include <weft/errno.h>|' -e '/^static _Thread_local/d' \
    -e 's|snprintf(note, sizeof note|snprintf(this_note(), 32|' -e 's|, note);|, this_note());|' \
    -e '/#include <weft.h>/a char *this_note(void);' "$work/kept.c" >"$work/mended.c"
for cc in gcc clang; do
    for flags in -O2 '-O3 -fPIC' '-O3 -flto'; do
        # shellcheck disable=SC2046,SC2086 # flags are words
        (cd "$work" && "$cc" $flags mended.c accessor.c $(pkg-config --cflags --libs weft) -o mended)
        said=$("$work/mended")
        [ "$said" = 'before the park this thread'\''s note is "line 1"
after the park this thread'\''s note is "line 2"
read failed with errno 9, and EBADF is 9' ] || fail "$cc $flags, mended, says: $said"
        weft-lint "$work/mended" || fail "$cc $flags: a false alarm"
    done
done
echo "by the rule it goes right"
