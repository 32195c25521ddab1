# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# System calls per echoed request: counted by the kernel through perf where that is allowed, which
# costs the server next to nothing, else by strace, which slows it down.  The count covers the whole
# load, set-up included, and is divided by all its requests.  Sourced by run.

# System calls by kind: the numbers of x86-64 for perf, the names for strace.
syscall_kinds=(epoll_wait read write futex sleep)
declare -A syscall_ids=(
    [epoll_wait]='232 281 441' [read]='0 19 45 47' [write]='1 20 44 46' [futex]='202' [sleep]='35 230'
)
declare -A syscall_names=(
    [epoll_wait]='epoll_wait epoll_pwait epoll_pwait2' [read]='read readv recvfrom recvmsg'
    [write]='write writev sendto sendmsg' [futex]='futex' [sleep]='nanosleep clock_nanosleep'
)

choose_counter()
{
    [ -z "$counter" ] || return 0
    if [ "$(uname -m)" = x86_64 ] && perf stat -x, -e raw_syscalls:sys_enter true 2>&1 |
        grep -q '^[1-9][0-9]*,,raw_syscalls'; then
        counter=perf
    elif command -v strace >/dev/null; then
        counter=strace
    else
        counter=none
    fi
}

# "kind calls" for total and each kind into $work/calls, counted while the load runs.
count_by_perf()
{
    local kind event=(-e raw_syscalls:sys_enter)
    for kind in "${syscall_kinds[@]}"; do
        event+=(-e raw_syscalls:sys_enter --filter "$(filter_of "$kind")")
    done
    # perf runs the load itself, so that the count ends with it.
    timeout -k 5 150 perf stat -x, -o "$work/perf" "${event[@]}" -p "$server_pid" -- \
        "${net_pin[@]}" "$bin/bench_load" -c "$net_conns" -d "$seconds" -w "$warmup" \
        -p "$server_pid" "$server_at" >"$work/figures" 2>"$work/words" || return 1
    grep ',raw_syscalls:sys_enter,' "$work/perf" | cut -d, -f1 |
        paste -d' ' <(printf '%s\n' total "${syscall_kinds[@]}") - >"$work/calls"
}

filter_of() # KIND
{
    local id filter=''
    for id in ${syscall_ids[$1]}; do
        filter+="${filter:+ || }id == $id"
    done
    echo "$filter"
}

count_by_strace()
{
    local tracer kind line=''
    rm -f "$work/attached"
    mkfifo "$work/attached"
    strace -f -c -o "$work/strace" -p "$server_pid" 2>"$work/attached" &
    tracer=$!
    exec {attached}<"$work/attached"
    read -r -t 10 -u "$attached" line || true
    if [[ $line != *attached* ]]; then
        echo "strace said: $line" >"$work/words"
        return 1
    fi
    load || { kill -INT "$tracer"; wait "$tracer"; return 1; }
    kill -INT "$tracer"
    wait "$tracer" || true
    exec {attached}<&-
    for kind in "${syscall_kinds[@]}"; do
        awk -v kind="$kind" -v names=" ${syscall_names[$kind]} " '
            index(names, " " $NF " ") { n += $4 } END { print kind, n + 0 }' "$work/strace"
    done >"$work/calls"
    awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { n += $4 } END { print "total", n + 0 }' \
        "$work/strace" >>"$work/calls"
}

note_calls() # ROW PEER
{
    local kind calls total
    total=$(figure total)
    while read -r kind calls; do
        note "$1" "$counter" "$2" "$kind" \
            "$(awk -v c="$calls" -v t="$total" 'BEGIN { printf "%.5f", c / t }')" calls
    done <"$work/calls"
}

measure_syscalls() # ROW PEER
{
    server_command "$2"
    [ ${#server[@]} -gt 0 ] || return 0
    if ! start_server; then
        failed "$1: the server ${server[*]} did not say where it listens" "$work/server-words"
    elif ! "count_by_$counter"; then
        failed "$1: counting the system calls of ${server[*]}" "$work/words"
    else
        note_calls "$1" "$2"
    fi
    stop_server
}

run_syscalls() # ROW
{
    local rep peer
    choose_counter
    if [ "$counter" = none ]; then
        echo "neither perf nor strace can count system calls here: $1 stays empty" >&2
        return 0
    fi
    net_row "$1"
    [ "$net_workers" -le ${#cpus[@]} ] || return 0
    for ((rep = 0; rep < reps; rep++)); do
        for peer in "${net_servers[@]}"; do
            measure_syscalls "$1" "$peer"
        done
    done
}
