#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/tutorial.md is as good as its word.  Its programs are saved under the names in their first
# lines and its commands are given, against an installed copy of the library; what they print must
# be what the page shows.  Its other pieces of C must stand in examples/chat.c, to the letter.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

root=$(cd "$here/../.." && pwd)
page=$root/docs/tutorial.md
programs=0 commands=0 pieces=0

if ! command -v pkg-config >/dev/null; then
    skip "the tutorial's commands need pkg-config (package pkgconf)"
fi
cmake --install "$build" --prefix "$work/prefix" >"$work/install" || fail "cannot install"
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig LD_LIBRARY_PATH=$work/prefix/lib
sanitize=()
! is_on WEFT_ASAN || sanitize=(-fsanitize=address -fsanitize=undefined)

# The page's compiler: the one of the tests, and what an instrumented library asks of its users.
cc()
{
    "${CC:-/usr/bin/cc}" -std=c11 -Wall -Wextra -Werror "${sanitize[@]}" "$@"
}

take_code() # TEXT
{
    if [[ $1 =~ ^'/* '([a-z_]+\.c)' */' ]]; then
        printf '%s' "$1" >"$work/${BASH_REMATCH[1]}"
        programs=$((programs + 1))
    else
        [[ $chat == *"$1"* ]] || fail "examples/chat.c does not hold: $1"
        pieces=$((pieces + 1))
    fi
}

# The lines with $ are commands; the others what the command before them prints.
take_commands() # TEXT
{
    local line command='' shown=''
    while IFS= read -r line; do
        if [[ $line == '$ '* ]]; then
            give "$command" "$shown"
            command=${line#'$ '} shown=
        else
            shown+=$line$'\n'
        fi
    done <<<"${1%$'\n'}"
    give "$command" "$shown"
}

give() # COMMAND OUTPUT
{
    local printed
    [ -n "$1" ] || return 0
    printed=$(cd "$work" && eval "$1" 2>&1 && echo .) || fail "the command '$1' failed: $printed"
    [ "${printed%.}" = "$2" ] || fail "the command '$1' prints: ${printed%.}"
    commands=$((commands + 1))
}

chat=$(<"$root/examples/chat.c")
cp "$root/examples/chat.c" "$work/"
fence='' text=''
while IFS= read -r line; do
    case $fence:$line in
        :'```'?*) fence=${line#'```'} text='' ;;
        :'```') fence=other text='' ;;
        c:'```') take_code "$text"; fence='' ;;
        console:'```') take_commands "$text"; fence='' ;;
        *:'```') fence='' ;;
        *) text+=$line$'\n' ;;
    esac
done <"$page"

((programs >= 7 && commands >= 15 && pieces >= 6)) ||
    fail "found $programs programs, $commands commands, $pieces pieces: has the page changed its form?"
echo "$programs programs, $commands commands, $pieces pieces of chat.c"
