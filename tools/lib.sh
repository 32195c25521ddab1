# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of tools/ share.  Sourced, never run; sets `root`, the top of the tree.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# One line about the step that begins.
say()
{
    printf '== %s\n' "$*"
}

# One line about why the script ends; STATUS as the exit status.
die() # STATUS MESSAGE
{
    local status=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# Configures and builds the tree of PRESET in build/PRESET.
build_preset() # PRESET [cmake option...]
{
    local preset=$1 log=$root/build/$1.configure.log
    shift
    mkdir -p "$root/build"
    (cd "$root" && cmake --preset "$preset" "$@") >"$log" 2>&1 || { cat "$log" >&2; return 1; }
    cmake --build "$root/build/$preset"
}
