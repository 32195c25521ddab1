#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The JSON of weft-stress: it parses, has its members, agrees with itself and with the summary;
# an earlier run's figures stay until there are new ones.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

compile json_fields -lcjson
figures=$work/figures.json

# Arithmetic on two members or numbers.
holds() # EXPRESSION
{
    awk "BEGIN { exit !($1) }" || fail "$1"
}

number()
{
    local value
    value=$(json_number "$figures" "$1")
    [ -n "$value" ] || fail "no number $1 in $figures"
    echo "$value"
}

in_latency() # KEY
{
    sed -n "/\"latency_us\"/,/}/s/^\t*\"$1\":\t\([.0-9]*\),\{0,1\}\$/\1/p" "$figures"
}

start_server "$weft_echo" "$apart:0"
stress -c 20 -d 2 -s 100 --procs 2 --json "$figures" "tcp://$address"
expect_status 0 "a plain run"
"$work/json_fields" "$figures" number:requests number:errors number:bytes number:seconds \
    number:rps object:latency_us number:latency_us.p50 number:latency_us.p90 \
    number:latency_us.p99 number:latency_us.p999 number:latency_us.max object:errors_by_kind \
    number:errors_by_kind.connect number:errors_by_kind.read number:errors_by_kind.write \
    number:errors_by_kind.mismatch number:errors_by_kind.eof number:errors_by_kind.timeout \
    number:errors_by_kind.extra number:connections number:connections_up number:message_bytes \
    string:target string:weft_version number:procs object:weft_stats number:weft_stats.switches \
    number:cpu_seconds number:peak_rss_kib || fail "the JSON is not whole"

requests=$(number requests)
holds "$requests > 20"
holds "$(number bytes) == $requests * 100"
holds "$(number errors) == 0"
holds "$(number connections) == 20 && $(number connections_up) == 20"
holds "$(number message_bytes) == 100 && $(number procs) == 2"
holds "$(number seconds) > 1.5 && $(number seconds) < 12"
rate=$(number rps)
holds "$rate > 0.99 * $requests / $(number seconds) && $rate < 1.01 * $requests / $(number seconds)"
holds "$(in_latency p50) > 0 && $(in_latency p50) <= $(in_latency p90)"
holds "$(in_latency p90) <= $(in_latency p99) && $(in_latency p99) <= $(in_latency p999)"
holds "$(in_latency p999) <= $(in_latency max)"
grep -qE "^requests +$requests in " "$work/out" || fail "the summary and the JSON differ"
grep -qE '^latency us +p50 [0-9.]+ p90 [0-9.]+ p99 [0-9.]+ p99.9 [0-9.]+ max [0-9.]+$' \
    "$work/out" || fail "no latencies in the summary"
grep -qE '^errors +0$' "$work/out" || fail "no errors in the summary"
grep -qE '^ +[0-9]+ s: [0-9]+ requests/s, [0-9]+ connections, 0 errors$' "$work/err" ||
    fail "no progress on stderr"
stop_server

echo "a run that never takes place leaves an earlier run's figures"
cp "$figures" "$work/before"
stress -c 1 -d 1 --json "$figures" "tcp://$address"
expect_status 2 "no server"
cmp "$figures" "$work/before" || fail "the figures of before were touched"
