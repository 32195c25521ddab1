# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What a request costs besides time.  System calls: counted by the kernel through perf where that is
# allowed, which costs the server next to nothing, else by strace, which slows it down; the count
# covers the whole load, set-up included, and is divided by all its requests.  Wake-ups, steals and
# allocations: counted by weft itself over a second load, the first being warm-up.  Sourced by run.

# System calls by kind: the numbers of x86-64 for perf, the names for strace.
syscall_kinds=(epoll_wait read write futex sleep)
declare -A syscall_ids=(
    [epoll_wait]='232 281 441' [read]='0 19 45 47' [write]='1 20 44 46' [futex]='202'
    [sleep]='35 230'
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
    perf stat -x, -o "$work/perf" "${event[@]}" -p "$server_pid" -- "${load[@]}" \
        >"$work/figures" 2>"$work/words" || return 1
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
    "${load[@]}" >"$work/figures" 2>"$work/words" ||
        { kill -INT "$tracer"; wait "$tracer"; return 1; }
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

# ROW SETTING PEER
use_syscalls()
{
    local kind calls total
    choose_counter
    if [ "$counter" = none ]; then
        echo "neither perf nor strace can count system calls here: $1 stays empty" >&2
        return 0
    fi
    "count_by_$counter" || return 1
    total=$(figure total)
    while read -r kind calls; do
        note "$1" "$counter" "$3" "$kind" \
            "$(awk -v c="$calls" -v t="$total" 'BEGIN { printf "%.5f", c / t }')" calls
    done <"$work/calls"
}

# The server's own counters, "name=value" a line.
read_counters()
{
    local line to
    exec {to}<>"/dev/tcp/${counters_at%:*}/${counters_at##*:}" && read -r -t 10 -u "$to" line
    exec {to}<&-
    tr ' ' '\n' <<<"$line"
}

# ROW SETTING PEER
use_counters()
{
    local name value
    "${load[@]}" >"$work/figures" 2>"$work/words" && read_counters >"$work/before" &&
        "${load[@]}" >"$work/figures" 2>"$work/words" && read_counters >"$work/after" || return 1
    paste -d= "$work/before" "$work/after" | awk -F= -v total="$(figure total)" '
        $1 == $3 && $1 != "" { printf "%s %.6f\n", $1, ($4 - $2) / total }' >"$work/counts"
    [ -s "$work/counts" ] || { echo "the server told no counters" >"$work/words"; return 1; }
    while read -r name value; do
        note "$1" - "$3" "$name" "$value" count
    done <"$work/counts"
}
