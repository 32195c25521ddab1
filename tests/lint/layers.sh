#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# layers.sh ROOT: who may include whom, checked over the whole tree.
#   runtime/, net/     their own floor of floors.txt or below; a file without a floor fails
#   include/           <weft...> and the system, nothing of weft's inside
#   tools/, examples/  <weft...> and their own folder; tools share tools/*.h
#   tests/*.c          <weft...> and tests/; only tests/white and tests/race see the inside
# Prints one line for each breach and fails if there was one.
set -euo pipefail

root=$(cd "${1:?usage: layers.sh ROOT}" && pwd)
cd "$root"
table=tests/lint/floors.txt
breaches=0
declare -A floor_of

breach() # FILE:LINE MESSAGE
{
    printf '%s: %s\n' "$1" "$2"
    breaches=$((breaches + 1))
}

read_floors()
{
    local floor module rest
    while read -r floor module rest; do
        case $floor in '' | '#'*) continue ;; esac
        floor_of[$module]=$floor
        [ -e "$module.c" ] || [ -e "$module.h" ] ||
            breach "$table" "$module is listed, but there is no such file"
    done <"$root/$table"
}

# The file of the tree that FILE's include of NAME means, or nothing: a system header.
resolve() # FILE NAME QUOTED
{
    local dir=${1%/*} found
    if [ "$3" = yes ] && [ -e "$dir/$2" ]; then
        found=$dir/$2
    elif [ -e "include/$2" ]; then
        found=include/$2
    elif [ -e "$2" ]; then
        found=$2
    elif [ "$3" = yes ] && [[ $1 == tests/* ]] && [ -e "tests/$2" ]; then
        found=tests/$2
    else
        return 0
    fi
    found=$(realpath -m "$found")
    printf '%s\n' "${found#"$root"/}"
}

# The part of the tree that a file outside runtime/ and net/ may use besides include/.
own_folder() # FILE
{
    case $1 in
        tools/*/*) local rest=${1#tools/} && printf 'tools/%s/\n' "${rest%%/*}" ;;
        tests/*) echo tests/ ;;
        examples/*) echo examples/ ;;
        include/*) echo include/ ;;
    esac
}

check_inside() # FILE PLACE TARGET
{
    local mine=${floor_of[${1%.*}]:-} theirs=${floor_of[${3%.*}]:-}
    case $3 in
        include/*) ;;
        runtime/* | net/*)
            [ -n "$mine" ] && [ -n "$theirs" ] || return 0 # reported by check_listed
            [ "$theirs" -le "$mine" ] ||
                breach "$2" "floor $mine may not include $3 of floor $theirs" ;;
        *) breach "$2" "the library may not include $3" ;;
    esac
}

check_outside() # FILE PLACE TARGET
{
    case $1 in tests/white/* | tests/race/*) return 0 ;; esac
    [[ $1 == tools/* && $3 == tools/* && ${3#tools/} != */* ]] && return 0
    case $3 in
        include/* | "$(own_folder "$1")"*) ;;
        *) breach "$2" "only <weft...> and its own folder may be included here, not $3" ;;
    esac
}

check_include() # FILE LINE NAME QUOTED
{
    local target place=$1:$2
    target=$(resolve "$1" "$3" "$4")
    if [ -z "$target" ]; then
        [ "$4" = no ] || breach "$place" "\"$3\" is no file of this tree"
        return 0
    fi
    case $1 in
        runtime/* | net/*) check_inside "$1" "$place" "$target" ;;
        *) check_outside "$1" "$place" "$target" ;;
    esac
}

check_listed()
{
    local file
    for file in runtime/*.[ch] net/*.[ch]; do
        [ -e "$file" ] || continue
        [ -n "${floor_of[${file%.*}]:-}" ] ||
            breach "$file" "has no floor: add ${file%.*} to $table"
    done
}

check_includes()
{
    local pattern='^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"])([^>"]+)' file line text
    while IFS=: read -r file line text; do
        [[ $text =~ $pattern ]] || continue
        if [ "${BASH_REMATCH[1]}" = '"' ]; then
            check_include "$file" "$line" "${BASH_REMATCH[2]}" yes
        else
            check_include "$file" "$line" "${BASH_REMATCH[2]}" no
        fi
    done < <(find runtime net include tools examples tests \( -name '*.c' -o -name '*.h' \) \
        -exec grep -HnE '^[[:space:]]*#[[:space:]]*include' {} + 2>/dev/null)
}

read_floors
check_listed
check_includes
[ "$breaches" -eq 0 ] || { echo "$breaches breaches of the layers"; exit 1; }
echo "layers hold: ${#floor_of[@]} modules"
