#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# format.sh ROOT: the layout of all C and C++ files is that of .clang-format, by clang-format 14:
# other versions differ.  Prints each file that is not so; exit status 1 if there was one.
set -euo pipefail

root=$(cd "${1:?usage: format.sh ROOT}" && pwd)
cd "$root"

for tool in clang-format-14 clang-format; do
    "$tool" --version 2>/dev/null | grep -q 'version 14\.' && break
    tool=
done
if [ -z "$tool" ]; then
    echo "skipped: no clang-format 14: install the package clang-format-14"
    exit 77
fi

mapfile -t files < <(find runtime net include tests tools examples -name '*.[ch]' -o -name '*.cpp')
[ ${#files[@]} -gt 0 ] || { echo "no C files in $root: is this the root of the tree?"; exit 1; }
said=$("$tool" --dry-run "${files[@]}" 2>&1) || { printf '%s\n' "$said"; exit 1; }
bad=$(sed -n 's/:[0-9:]* [a-z]*: code should be .*//p' <<<"$said" | sort -u)
[ -z "$bad" ] || { printf '%s\n' "$bad" "these differ: $tool -i formats them" && exit 1; }
echo "${#files[@]} files are formatted"
