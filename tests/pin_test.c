/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/pin_test.c - weft_pin: the coroutine stays on its thread, and the thread runs no other.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "support/child.h"
#include "support/procs.h"

enum { ROUNDS = 200, OTHERS = 8, PINNED = 3 };

static _Thread_local uint64_t guest; /* the pinned coroutine of this thread */
static atomic_bool            enough;
static weft_waitgroup         all;

static pid_t thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* ---- The thread ---------------------------------------------------------------------------------- */

static void set_guest(uint64_t id)
{
    guest = id;
}

static uint64_t get_guest(void)
{
    uint64_t *p = &guest;

    __asm__ volatile(""
                     : "+r"(p)
                     :
                     : "memory"); /* the address is this call's, not an earlier one's */
    return *p;
}

static void wanders(void *arg)
{
    for (int i = 0; !atomic_load(&enough); i++) {
        check_eq(get_guest(), 0); /* never on a pinned one's thread */
        if (i % 16)
            weft_yield();
        else
            check_eq(weft_sleep(10 * WEFT_US), 0);
    }
    weft_waitgroup_done(arg);
}

static void waits_in_all_ways(int i, weft_mutex *m)
{
    switch (i % 5) {
    case 0:
        weft_yield();
        break;
    case 1:
        check_eq(weft_sleep(20 * WEFT_US), 0);
        break;
    case 2:
        weft_block_enter();
        usleep(50);
        weft_block_leave();
        break;
    case 3:
        weft_mutex_lock(m);
        weft_yield();
        weft_mutex_unlock(m);
        break;
    default: /* computes */
        for (weft_time t = weft_after(i % 50 == 4 ? 12 * WEFT_MS : 0); weft_now() < t;)
            ;
    }
}

static weft_mutex mutex;

static void pinned(void *arg)
{
    weft_pin();
    pid_t thread = thread_id();
    set_guest(weft_id());
    for (int i = 0; i < test_scaled(ROUNDS); i++) {
        weft_pin(); /* counted */
        waits_in_all_ways(i, &mutex);
        weft_unpin();
        check_eq(thread_id(), thread);
        check_eq(get_guest(), weft_id());
    }
    set_guest(0);
    weft_unpin();
    weft_yield();
    weft_waitgroup_done(arg);
}

static int keeps(void *arg)
{
    weft_waitgroup guests = { { 0 } };

    atomic_store(&enough, false);
    weft_waitgroup_add(&all, OTHERS);
    weft_waitgroup_add(&guests, PINNED);
    for (int i = 0; i < OTHERS; i++)
        check_eq(weft_go(wanders, &all, 0), 0);
    for (int i = 0; i < PINNED; i++)
        check_eq(weft_go(pinned, &guests, 0), 0);
    check_eq(weft_waitgroup_wait(&guests, WEFT_FOREVER), 0);
    atomic_store(&enough, true);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(pin, the_coroutine_keeps_its_thread_for_itself, .timeout = 60)
{
    run_on_all(keeps, NULL);
}

/* ---- Its end, and the runtime's --------------------------------------------------------------------- */

static void ends_pinned(void *arg)
{
    weft_pin();
    weft_pin();
    weft_waitgroup_done(arg);
}

static int thousands_end_pinned(void *arg)
{
    weft_stats s;

    for (int i = 0; i < test_scaled(1000); i++) {
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(ends_pinned, &all, 0), 0);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    weft_stats_read(&s);
    check(s.threads <= (uint64_t)weft_procs() + 8); /* their threads serve others again */
    return arg != NULL;
}

Test(pin, one_that_ends_pinned_frees_its_thread, .timeout = 60)
{
    run_on_all(thousands_end_pinned, NULL);
}

static void sleeps_pinned(void *arg)
{
    weft_pin();
    check_eq(weft_sleep(3600 * WEFT_S), -ECANCELED);
    check(arg == NULL);
}

static int stops_with_pinned(void *arg)
{
    for (int i = 0; i < PINNED; i++)
        check_eq(weft_go(sleeps_pinned, NULL, 0), 0);
    check_eq(weft_sleep(WEFT_MS), 0);
    weft_pin(); /* the main coroutine as well */
    return arg != NULL;
}

Test(pin, the_stop_finds_pinned_ones, .timeout = 60)
{
    int threads = threads_now();

    run_on_all(stops_with_pinned, NULL);
    await(threads_now() <= threads); /* one that was joined may show for a moment */
}

/* ---- Misuse -------------------------------------------------------------------------------------------- */

static int unpins_too_often(void *arg)
{
    weft_pin();
    weft_unpin();
    weft_unpin();
    return arg != NULL;
}

static int run_unpins(void *arg)
{
    return weft_run(NULL, unpins_too_often, arg);
}

static int pins_outside(void *arg)
{
    weft_pin();
    return arg != NULL;
}

Test(pin, misuse_is_named)
{
    assert_dies_saying(child_run(run_unpins, NULL), "weft_unpin was called without weft_pin");
    assert_dies_saying(child_run(pins_outside, NULL), "weft_pin was called outside a coroutine");
}
