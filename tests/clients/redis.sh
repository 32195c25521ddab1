#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hiredis against redis-server, on a Unix socket and over TCP, waiting by weft_fd_wait and blocking
# between weft_block_enter and leave, on one P and on several.
# shellcheck source=tests/clients/servers.bash
. "$(dirname "${BASH_SOURCE[0]}")/servers.bash"

need redis_client libhiredis-dev
command -v redis-server >/dev/null || skip "no redis-server: install the package redis-server"

# redis-server takes no port 0 for "any free one": try some.
start_redis()
{
    local tries
    for ((tries = 0; tries < 20; tries++)); do
        port=$((20000 + RANDOM % 12000))
        redis-server --port $port --bind 127.0.0.1 --unixsocket "$work/redis.sock" --save '' \
            --appendonly no --dir "$work" --daemonize no >"$work/redis.log" 2>&1 &
        pid=$!
        pids+=("$pid")
        await_line "$work/redis.log" 'Ready to accept connections|Address already in use|Fatal'
        grep -q 'Ready to accept connections' "$work/redis.log" && return 0
        await "$pid"
        forget "$pid"
    done
    cat "$work/redis.log" >&2
    fail "redis-server does not start"
}

start_redis
for procs in 1 4; do
    for way in wait block; do
        for address in "$work/redis.sock" "127.0.0.1:$port"; do
            export WEFT_PROCS=$procs
            example redis_client $way "$address"
            expect_line "$way: counted to 5000 of 5000, jobs done 820 of 820" \
                "$way, $procs Ps, ${address/*.sock/a Unix socket}"
        done
    done
done

kill_server
for way in wait block; do
    example redis_client $way "127.0.0.1:$port"
    expect_status 1 "$way without a server"
    grep -q '^redis_client: .*: Connection refused' "$work/err" ||
        fail "$way without a server said: $(cat "$work/err")"
done
