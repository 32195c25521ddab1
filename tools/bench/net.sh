# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The network rows: a fresh server and a fresh client for each measurement, servers in turn, the
# client the same for all.  Sourced by run.

server_pid=''

# Sets net_* to what ROW asks for.
net_row() # ROW
{
    net_workers=1 net_conns=64 net_pin=() net_rate=() net_servers=(weft epoll go)
    case $1 in
        net_1_same) net_conns=1 ;;
        net_1000_same) net_conns=1000 ;;
        net_64_2w | syscalls_2w) net_workers=2 net_servers=(weft epoll epoll-2 go) ;;
        net_low) net_workers=2 net_conns=1 net_rate=(-r 1000) net_servers=(weft epoll epoll-2 go) ;;
    esac
    case $1 in
        *_same | *_1w) net_pin=(taskset -c "${cpus[-1]}") ;;
    esac
}

# The command that serves, in `server`; empty: it is not there.
server_command() # PEER
{
    case $1 in
        weft) server=("$echo_bin" --procs "$net_workers") ;;
        epoll) server=("$bin/bench_epoll_echo" 1) ;;
        epoll-2) server=("$bin/bench_epoll_echo" 2) ;;
        go) server=("$bin/bench_go_net" "$net_workers") ;;
    esac
    [ -x "${server[0]}" ] || server=()
}

# Starts `server` and waits until it says where it listens: `server_pid`, `server_at`.
start_server()
{
    local line=''
    rm -f "$work/fifo"
    mkfifo "$work/fifo"
    "${net_pin[@]}" "${server[@]}" 127.0.0.1:0 >"$work/fifo" 2>"$work/server-words" &
    server_pid=$!
    exec {server_out}<"$work/fifo"
    read -r -t 10 -u "$server_out" line || true
    server_at=${line##* }
    [[ $line == "listening on "*:* ]]
}

# Ends it as a user would; one that does not end is a failure.
stop_server()
{
    [ -n "$server_pid" ] || return 0
    kill -TERM "$server_pid" 2>/dev/null || true
    if ! timeout 10 tail -s 0.02 --pid="$server_pid" -f /dev/null; then
        kill -KILL "$server_pid" 2>/dev/null || true
        echo "it did not end within 10 s of SIGTERM" >"$work/words"
        failed "the server ${server[*]}" "$work/words"
    fi
    wait "$server_pid" 2>/dev/null || true
    exec {server_out}<&-
    server_pid=''
}

# The load generator against the running server; its line goes to $work/figures.
load()
{
    timeout -k 5 120 "${net_pin[@]}" "$bin/bench_load" -c "$net_conns" "${net_rate[@]}" \
        -d "$seconds" -w "$warmup" -p "$server_pid" "$server_at" \
        >"$work/figures" 2>"$work/words"
}

# The value of NAME in the load generator's line.
figure() # NAME
{
    tr ' ' '\n' <"$work/figures" | sed -n "s/^$1=//p"
}

note_load() # ROW PEER
{
    local name
    for name in server_cpu_us client_cpu_us rps p50_us p99_us p999_us; do
        note "$1" - "$2" "$name" "$(figure $name)" "${name##*_}"
    done
}

measure_server() # ROW PEER
{
    server_command "$2"
    [ ${#server[@]} -gt 0 ] || return 0
    if ! start_server; then
        failed "$1: the server ${server[*]} did not say where it listens" "$work/server-words"
    elif ! load; then
        failed "$1: the load on ${server[*]}" "$work/words"
    else
        note_load "$1" "$2"
    fi
    stop_server
}

run_net() # ROW
{
    local rep peer
    net_row "$1"
    [ "$net_workers" -le ${#cpus[@]} ] || return 0
    for ((rep = 0; rep < reps; rep++)); do
        for peer in "${net_servers[@]}"; do
            measure_server "$1" "$peer"
        done
    done
}
