#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# models.sh ROOT: each model that runtime/, net/ or a page cites as NAME.pml is in tests/model.
# Prints one line for each that is not; exit status 1 if there was one.
set -euo pipefail

root=$(cd "${1:?usage: models.sh ROOT}" && pwd)
cd "$root"
failed=0

cited=$(grep -EonH '[A-Za-z0-9_]+\.pml\b' runtime/*.[ch] net/*.[ch] ./*.md docs/*.md) || cited=
while IFS=: read -r file line model; do
    if [ -n "$file" ] && [ ! -e "tests/model/$model" ]; then
        printf '%s:%s: there is no tests/model/%s: add the model or drop the citation\n' \
            "${file#./}" "$line" "$model"
        failed=1
    fi
done <<<"$cited"

exit "$failed"
