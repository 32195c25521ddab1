/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/fault_test.c - faults at the low end of a coroutine's stack that name no address: a
 * signal that finds no room for its frame is an overflow, a wild pointer is none.  And what an
 * address is called.
 */
#include <criterion/criterion.h>
#include <gnu/libc-version.h>
#include <sys/syscall.h>

#include "runtime/sched.h"
#include "runtime/symbol.h"
#include "support/child.h"

enum { LEFT = 800 }; /* bytes: more than the call that sends a signal needs, less than its frame */

/* ---- At the low end ------------------------------------------------------------------------------ */

static void (*at_low_end)(void);

static __attribute__((noinline)) int descend(const char *low)
{
    volatile char frame[100];

    frame[0] = 1;
    if ((const char *)frame > low + LEFT)
        return descend(low) + frame[0];
    at_low_end();
    return frame[0];
}

static void descends(void *arg)
{
    wf_g *gp = wf_m_self()->gp;

    (void)arg;
    check(descend(gp->stack.top - gp->stack.size) > 0);
}

static int main_descends(void *arg)
{
    weft_go_options opt = { .name = "crowded", .stack_size = 32 << 10 };

    (void)arg;
    check_eq(weft_go_with(&opt, descends, NULL, 0), 0);
    while (!weft_cancelled())
        weft_yield();
    return 0;
}

static int run_descends(void *arg)
{
    return weft_run(NULL, main_descends, arg);
}

static void on_signal(int signo)
{
    (void)signo;
}

static void gets_a_signal(void)
{
    struct sigaction sa = { .sa_handler = on_signal }; /* no SA_ONSTACK */

    sigaction(SIGUSR1, &sa, NULL);
    check_eq(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1), 0);
}

Test(fault, a_signal_without_room_is_an_overflow)
{
    at_low_end = gets_a_signal;
    struct child *c = child_run(run_descends, NULL);
    cr_assert_eq(c->signal, SIGSEGV, "signal %d status %d: %s", c->signal, c->status, c->text);
    cr_assert_not_null(strstr(c->text, "(crowded): its stack has 32768 bytes"), "%s", c->text);
    cr_assert_not_null(strstr(c->text, " gets_a_signal"), "%s", c->text);
    cr_assert_not_null(strstr(c->text, " descends"), "%s", c->text);
}

static void goes_wild(void)
{
    volatile char *nowhere =
        (char *)0x6b6b6b6b6b6b6b6b; /* no address: the kernel does not name it */

    *nowhere = 1;
}

Test(fault, a_wild_pointer_is_none)
{
    at_low_end = goes_wild;
    struct child *c = child_run(run_descends, NULL);
    cr_assert_null(strstr(c->text, "overflow in coroutine"), "%s", c->text);
    cr_assert_eq(c->status == 0, false);
}

/* ---- What an address is called ----------------------------------------------------------------------- */

static const char *place_of(uintptr_t pc)
{
    static wf_line l;
    wf_symbols     s = { 0 };

    l.n = 0;
    wf_line_put_place(&l, &s, pc);
    l.text[l.n] = '\0';
    wf_symbols_close(&s);
    return l.text;
}

Test(symbol, functions_static_ones_and_libc_s)
{
    const char *text = place_of((uintptr_t)goes_wild + 3);
    cr_assert_eq(strncmp(text, "goes_wild+0x3 (/", 16), 0, "%s", text);
    cr_assert_not_null(strstr(text, "white_fault_test+0x"), "%s", text);
    text = place_of((uintptr_t)gnu_get_libc_version);
    cr_assert_eq(strncmp(text, "gnu_get_libc_version+0x0 (/", 27), 0, "%s", text);
    cr_assert_not_null(strstr(text, "libc.so.6+0x"), "%s", text);
}

Test(symbol, what_is_in_no_object_stays_a_number)
{
    cr_assert_str_eq(place_of(0x1234), "0x1234");
}
