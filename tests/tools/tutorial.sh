#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/tutorial.md is as good as its word.  Its programs are saved under the names in their first
# lines and its commands are given, against an installed copy of the library; what they print must
# be what the page shows.  Its other pieces of C must stand in examples/chat.c, to the letter.
# What docs/from-go.md shows compiles, and both pages name only what the headers have.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

root=$(cd "$here/../.." && pwd)
programs=0 commands=0 pieces=0 compiled=0

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
    command "${CC:-cc}" -std=c11 -Wall -Wextra -Werror "${sanitize[@]}" "$@"
}

tutorial_c() # TEXT
{
    if [[ $1 =~ ^'/* '([a-z_]+\.c)' */' ]]; then
        printf '%s' "$1" >"$work/${BASH_REMATCH[1]}"
        programs=$((programs + 1))
    else
        [[ $chat == *"$1"* ]] || fail "examples/chat.c does not hold: $1"
        pieces=$((pieces + 1))
    fi
}

tutorial_text()
{
    : # a drawing, or what terminals show
}

from_go_c() # TEXT
{
    cc -Wno-unused-function -fsyntax-only -I"$root/include" -xc - <<<"$1" ||
        fail "this of docs/from-go.md does not compile: $1"
    compiled=$((compiled + 1))
}

# The lines with $ are commands; the others what the command before them prints.
tutorial_console() # TEXT
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

# Call TAKE_LANGUAGE with the text of each fenced block of a page.
each_block() # PAGE TAKE
{
    local line fence='' text=''
    while IFS= read -r line; do
        case $fence:$line in
            :'```'?*) fence=${line#'```'} text='' ;;
            :'```') fence=text text='' ;;
            *:'```') "$2_$fence" "$text"; fence='' ;;
            *) text+=$line$'\n' ;;
        esac
    done <"$1"
}

check_names() # PAGE
{
    local name
    while read -r name; do
        grep -qrwF -- "$name" "$root/include" || fail "$1 names $name, which no header has"
    done < <(grep -oiE '\bweft_[a-z0-9_]+' "$1" | grep -vixE 'weft_(procs|tsan|asan)' | sort -u)
}

chat=$(<"$root/examples/chat.c")
cp "$root/examples/chat.c" "$work/"
each_block "$root/docs/tutorial.md" tutorial
each_block "$root/docs/from-go.md" from_go
check_names "$root/docs/tutorial.md"
check_names "$root/docs/from-go.md"
((programs >= 7 && commands >= 15 && pieces >= 6 && compiled >= 3)) ||
    fail "found $programs programs, $commands commands, $pieces and $compiled pieces: has a page another form?"
echo "$programs programs, $commands commands, $pieces pieces of chat.c, $compiled pieces from Go"
