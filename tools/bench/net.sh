# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The rows of a server and its load: a fresh server and a fresh client for each measurement, servers
# in turn, the client the same for all.  Sourced by run.

server_pid='' server_pids=() beside=() options=()

# The command that serves, in `server`; empty: it is not there.
server_command() # PEER echo|http WORKERS
{
    local command=${peer_echo[$1]} words environment=(env)
    [ "$2" = echo ] || command=${peer_http[$1]}
    read -ra words <<<"${command//%w/$3}"
    while [[ ${words[0]} == *=* ]]; do
        environment+=("${words[0]}")
        words=("${words[@]:1}")
    done
    words[0]=$bin/${words[0]}
    server=("${words[@]}")
    [ ${#environment[@]} -eq 1 ] || server=("${environment[@]}" "${words[@]}")
    [ -x "${words[0]}" ] || server=()
}

# A process and all that it started.
family_of() # PID
{
    local child
    echo "$1"
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
        family_of "$child"
    done
}

# Starts `server` and waits until it says where it listens: `server_pid`, `server_at`.
start_server()
{
    local line=''
    rm -f "$work/fifo"
    mkfifo "$work/fifo"
    "${pin[@]}" env "${beside[@]}" "${server[@]}" 127.0.0.1:0 >"$work/fifo" 2>"$work/server-words" &
    server_pid=$!
    exec {server_out}<"$work/fifo"
    read -r -t 10 -u "$server_out" line || true
    server_at=${line##* }
    mapfile -t server_pids < <(family_of "$server_pid")
    counters_at=$(sed -n 's/^counters at \([^ ]*\) .*/\1/p' <<<"$line")
    [[ $line == *"listening on "*:* ]]
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

# A row's options: NAME=VALUE are the server's environment, in `beside`; the rest bench_load's.
options_of() # ROW
{
    local word
    beside=() options=()
    [ "${row_options[$1]}" != - ] || return 0
    for word in ${row_options[$1]}; do
        if [[ $word == *=* ]]; then beside+=("$word"); else options+=("$word"); fi
    done
}

# The load generator's command against the running server, in `load`.
load_command() # ROW CONNECTIONS
{
    [ "$smoke" -eq 0 ] || options+=(-w "$warmup")
    load=(timeout -k 5 120 "${pin[@]}" "$bin/bench_load" -c "$2" -d "$seconds" -w "$warmup"
        "${options[@]}" "${server_pids[@]/#/-p}" "$server_at")
}

# The value of NAME in the load generator's line.
figure() # NAME
{
    tr ' ' '\n' <"$work/figures" | sed -n "s/^$1=//p"
}

note_figures() # ROW SETTING PEER NAME...
{
    local row=$1 setting=$2 peer=$3 name
    shift 3
    for name in "$@"; do
        note "$row" "$setting" "$peer" "$name" "$(figure "$name")" "${name##*_}"
    done
}

# What is done with a server that listens, and how its figures are taken, by the row's kind.
use_net()
{
    "${load[@]}" >"$work/figures" 2>"$work/words" &&
        note_figures "$1" "$2" "$3" server_cpu_us client_cpu_us rps p50_us p99_us p999_us
}

use_idle()
{
    "${load[@]}" >"$work/figures" 2>"$work/words" &&
        note_figures "$1" "$2" "$3" rss_bytes idle_cpu_us
}

measure_server() # ROW PEER WORKERS CONNECTIONS
{
    local kind=${row_kind[$1]} protocol=echo
    [ "$kind" != http ] || { protocol=http kind=net; }
    server_command "$2" "$protocol" "$3"
    [ ${#server[@]} -gt 0 ] || return 0
    options_of "$1"
    if ! start_server; then
        failed "$1: the server ${server[*]} did not say where it listens" "$work/server-words"
    else
        load_command "$1" "$4"
        "use_$kind" "$1" "$4" "$2" || failed "$1: $4 connections to ${server[*]}" "$work/words"
    fi
    stop_server
}

# Those of its sizes that this machine can hold, or at least one.
sizes_of() # ROW
{
    local size all=''
    for size in ${row_size[$1]}; do
        [ "$size" -gt "$most_connections" ] || all+="$size "
    done
    echo "${all:-$most_connections}"
}

run_net() # ROW
{
    local rep peer size workers=${row_workers[$1]}
    [ "$workers" -le ${#cpus[@]} ] || return 0
    pin=()
    [ "${row_pin[$1]}" = - ] || pin=(taskset -c "${cpus[-1]}")
    for ((rep = 0; rep < row_reps; rep++)); do
        for size in $(sizes_of "$1"); do
            for peer in ${row_peers[$1]}; do
                measure_server "$1" "$peer" "$workers" "$size"
            done
        done
    done
}
