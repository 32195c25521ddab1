#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The study of larger machines runs, with 2 and with 128 Ps: each workload has the right result,
# each lock that was taken was freed, and the counts agree with the runtime's statistics.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

[ -x "$build/tools/bench/bench_scale" ] || skip "the benchmarks are not built here"
run=$here/../../tools/bench/scale/run
"$run" --smoke --build "$build" || fail "the study does not run"
if "$build/tools/bench/bench_scale_plain" count tree 2 5 0 2>"$work/err"; then
    fail "a runtime that does not count was counted"
fi
grep -q 'does not count' "$work/err" || fail "the message does not say what is wrong"
