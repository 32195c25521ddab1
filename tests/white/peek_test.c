/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/peek_test.c - memory that may be gone is copied or refused, and never a fault; also
 * where the system call for it is forbidden.  What was copied may be of something else by now.
 */
#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "runtime/look.h"
#include "runtime/peek.h"
#include "support/check.h"

enum { PAGE = 4096 };

static void peeks(void)
{
    char  from[64] = "what is there", to[64];
    char *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(wf_peek(to, from, sizeof from));
    cr_assert_arr_eq(to, from, sizeof from);
    cr_assert_not(wf_peek(to, NULL, 8));
    cr_assert_neq(two, MAP_FAILED);
    cr_assert_eq(munmap(two + PAGE, PAGE), 0);
    cr_assert_not(wf_peek(to, two + PAGE, 1));
    cr_assert(wf_peek(to, two + PAGE - 8, 8));
    cr_assert_not(wf_peek(to, two + PAGE - 8, 16), "only half of it is there");
    munmap(two, PAGE);
}

Test(peek, copies_what_is_there_and_refuses_the_rest)
{
    peeks();
}

static void forbid(unsigned call)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = sizeof code / sizeof code[0], .filter = code };

    check_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    check_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

Test(peek, does_so_in_a_sandbox_too)
{
    char to, from = 1;

    forbid(SYS_process_vm_readv);
    check_eq(syscall(SYS_process_vm_readv, getpid(), NULL, 0UL, NULL, 0UL, 0UL), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert(wf_peek(&to, &from, 1));
    peeks();
}

/* The sanitizer is told of a bool that is none. */
Test(peek, any_bytes_may_be_looked_at)
{
    _Alignas(max_align_t) char copy[sizeof(weft_group)];

    for (int byte = 1; byte < 256; byte++) {
        wf_look chan = { 0 }, group = { 0 };
        memset(copy, byte, sizeof copy);
        wf_chan_look(copy, &chan);
        wf_group_look((const weft_group *)(const void *)copy, &group);
        cr_assert(chan.closed && chan.of_timer && group.closed);
    }
}
