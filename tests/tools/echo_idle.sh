#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What 9,000 idle connections cost weft-echo, each having echoed once: at most 5 KiB of resident
# memory each, 1,100 bytes once their coroutines hibernate (1,300 with a ring's buffers), and then
# no processor time.
# shellcheck source=tests/tools/support.bash
. "$(dirname "${BASH_SOURCE[0]}")/support.bash"

is_on WEFT_ASAN && skip "AddressSanitizer's own memory would be counted"

connections=9000
most=1100
[ "${WEFT_NETPOLL-epoll}" = epoll ] || most=1300
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge $((connections + 100)) ] ||
    skip "the hard limit on open files is $(ulimit -Hn)"

resident_kib()
{
    awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"
}

# Nanoseconds on a processor, all threads together.
processor_ns()
{
    cat "/proc/$pid"/task/*/schedstat | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

start_server "$weft_echo" 127.0.0.1:0
before=$(resident_kib)

hold_connections "$connections"

bytes_each()
{
    echo $((($(resident_kib) - before) * 1024 / connections))
}

bytes=$(bytes_each)
echo "resident bytes a connection: $bytes"
[ "$bytes" -le 5120 ] || fail "$bytes resident bytes a connection, more than 5120"

last=$bytes
for _ in $(seq 60); do # until all do
    sleep 0.5
    bytes=$(bytes_each)
    [ "$bytes" -gt $most ] || [ "$bytes" != "$last" ] || break
    last=$bytes
done
echo "resident bytes a connection that hibernates: $bytes"
[ "$bytes" -le $most ] || fail "$bytes resident bytes a connection, more than $most, after 30 s"

# The time that passes is what is measured; what still settles on a busy machine is over once.
for _ in 1 2 3; do
    began=$(processor_ns)
    sleep 3
    used=$(($(processor_ns) - began))
    echo "processor time in 3 s: $((used / 1000)) us"
    [ "$used" -ge 3000000 ] || break
done
[ "$used" -lt 3000000 ] || fail "$used ns in 3 s: more than 0.1 % of a core"

let_go_of_connections
stop_server
