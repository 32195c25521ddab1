#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# io-models.sh BUILD_FOLDER [SECONDS [ROUNDS]]: the figures of docs/io-models.md.  Runs the stress
# tool against each of the four echo servers at 1, 64 and 1,000 connections, in turns, and prints
# the middle value of ROUNDS as a table in Markdown.  A server starts anew for each measurement.
set -euo pipefail

build=$(cd "${1:?usage: io-models.sh BUILD_FOLDER [SECONDS [ROUNDS]]}" && pwd)
seconds=${2:-5}
rounds=${3:-3}
work=$(mktemp -d)
server=

stop()
{
    if [ -n "$server" ]; then
        kill -TERM "$server"
        wait "$server" || true
        server=
    fi
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

die()
{
    echo "io-models: $*" >&2
    exit 1
}

start() # MODEL
{
    local line='' said fifo=$work/said
    rm -f "$fifo"
    mkfifo "$fifo"
    "$build/examples/echo_$1" 127.0.0.1:0 >"$fifo" &
    server=$!
    exec {said}<"$fifo"
    read -t 20 -r line <&"$said" || die "echo_$1 did not say where it listens"
    exec {said}<&-
    address=${line#listening on }
}

# Clock ticks of processor time so far, ended threads included.
ticks()
{
    cut -d ')' -f 2 "/proc/$server/stat" | awk '{ print $12 + $13 }'
}

peak_kib()
{
    awk '/^VmHWM:/ { print $2 }' "/proc/$server/status"
}

member() # KEY
{
    sed -n "s/^\t*\"$1\":\t\([0-9.e+]*\),\{0,1\}\$/\1/p" "$work/figures"
}

# One line of figures: requests/s, p50, p99, server CPU us a request, server memory in MiB.
measure() # MODEL CONNECTIONS
{
    local before
    start "$1"
    before=$(ticks)
    timeout $((seconds + 90)) "$build/weft-stress" -c "$2" -d "$seconds" --json "$work/figures" \
        "tcp://$address" >"$work/out" 2>&1 || die "echo_$1 at $2 connections: $(cat "$work/out")"
    awk -v ticks=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" -v kib="$(peak_kib)" \
        -v rps="$(member rps)" -v requests="$(member requests)" -v p50="$(member p50)" \
        -v p99="$(member p99)" 'BEGIN {
            printf "%.0f %.0f %.0f %.1f %.1f\n",
                rps, p50, p99, ticks / hz * 1e6 / requests, kib / 1024 }'
    stop
}

# Processor time of a server that nobody talks to, in per cent of a core over a second.
idle() # MODEL
{
    local before
    start "$1"
    before=$(ticks)
    sleep 1
    awk -v ticks=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%.0f\n", ticks / hz * 100 }'
    stop
}

# The middle value of each column.
middle() # FILE
{
    local column
    for column in 1 2 3 4 5; do
        cut -d ' ' -f $column "$1" | sort -n | sed -n "$(((rounds + 1) / 2))p"
    done | paste -s -d ' '
}

models=(thread busy epoll weft)
printf 'Nobody connected:\n\n| model | CPU, %% of a core |\n|---|---:|\n'
for model in "${models[@]}"; do
    echo "| echo_$model | $(idle "$model") |"
done
for connections in 1 64 1000; do
    for ((round = 0; round < rounds; round++)); do
        for model in "${models[@]}"; do
            measure "$model" $connections >>"$work/$model.$connections"
        done
    done
    printf '\n%s connections:\n\n' "$connections"
    echo '| model | requests/s | p50 us | p99 us | server CPU us per request | server MiB |'
    echo '|---|---:|---:|---:|---:|---:|'
    for model in "${models[@]}"; do
        read -r -a row < <(middle "$work/$model.$connections")
        echo "| echo_$model | ${row[0]} | ${row[1]} | ${row[2]} | ${row[3]} | ${row[4]} |"
    done
done
