# SPDX-License-Identifier: Apache-2.0
#
# Reads callgrind's dumps, in order, and for each mark prints what libweft itself executed: name,
# instructions, system calls, allocations.  Calls count where libweft makes them; what libc then
# executes does not.

# Names are given once, as "(7) name", and later as "(7)".
function named(kind, text, id)
{
    id = text
    sub(/\).*/, "", id)
    sub(/^\([0-9]+\) ?/, "", text)
    if (text != "") {
        known[kind, id] = text
    }
    return known[kind, id]
}

BEGIN {
    n = split("accept4 bind close connect epoll_create1 epoll_ctl epoll_pwait2 epoll_wait fcntl " \
        "getpeername getsockname getsockopt listen madvise mprotect munmap read readv recv " \
        "recvmsg send sendmsg setsockopt shutdown socket syscall write writev", list, " ")
    while (n > 0) {
        is_syscall[list[n--]] = 1
    }
    n = split("aligned_alloc calloc malloc mmap posix_memalign realloc", list, " ")
    while (n > 0) {
        is_alloc[list[n--]] = 1
    }
}

FNR == 1 { op = ""; inclusive = 0 }
/^desc: Trigger: Client Request: / { op = $NF; order[++ops] = op; next }
/^ob=/ { ours = named("ob", substr($0, 4)) ~ /\/libweft\.so/; next }
/^cob=/ { named("ob", substr($0, 5)); next }
/^fn=/ { named("fn", substr($0, 4)); next }
/^cfn=/ { callee = named("fn", substr($0, 5)); next }

# The line after says what the callee cost: its own lines count it.
/^calls=/ {
    inclusive = 1
    if (ours) {
        split($0, part, /[= ]/)
        sub(/'[0-9]+$/, "", callee) # a recursion's depth
        syscalls[op] += callee in is_syscall ? part[2] : 0
        allocs[op] += callee in is_alloc ? part[2] : 0
    }
    next
}

/^[-+*0-9]/ {
    if (!inclusive && ours) {
        cost[op] += $2
    }
    inclusive = 0
}

END {
    for (i = 1; i <= ops; i++) {
        print order[i], cost[order[i]] + 0, syscalls[order[i]] + 0, allocs[order[i]] + 0
    }
}
