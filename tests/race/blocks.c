/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/blocks.c - coroutines that enter and leave blocking sections all the time, some of which
 * really block, beside others that yield and sleep; and a stop in the middle of it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "support/check.h"

enum { BLOCKERS = 16, OTHERS = 16, ROUNDS = 300, STOPS = 20 };

static atomic_long    left, yielded;
static atomic_int     blocked;
static weft_waitgroup all;

static void block_briefly(long i)
{
    struct timespec t = { 0, i % 8 == 0 ? 20000 : 0 };

    weft_block_enter();
    if (i % 3 == 0) {
        weft_block_enter();
        weft_block_leave();
    }
    if (t.tv_nsec)
        nanosleep(&t, NULL);
    weft_block_leave();
}

static void blocker(void *arg)
{
    uint64_t id = weft_id();

    for (long i = 0; i < test_scaled(ROUNDS); i++) {
        block_briefly(i);
        check_eq(weft_id(), id);
        atomic_fetch_add(&left, 1);
    }
    weft_waitgroup_done(arg);
}

static void other(void *arg)
{
    for (long i = 0; i < test_scaled(ROUNDS); i++) {
        weft_yield();
        if (i % 16 == 0)
            check_eq(weft_sleep(20 * WEFT_US), 0);
        atomic_fetch_add(&yielded, 1);
    }
    weft_waitgroup_done(arg);
}

static int storm(void *arg)
{
    weft_waitgroup_add(&all, BLOCKERS + OTHERS);
    for (int i = 0; i < BLOCKERS; i++)
        check_eq(weft_go(blocker, &all, 0), 0);
    for (int i = 0; i < OTHERS; i++)
        check_eq(weft_go(other, &all, 0), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

/* Blocks and leaves until it is cancelled. */
static void until_cancelled(void *arg)
{
    for (long i = 0; weft_sleep(0) == 0; i++) {
        block_briefly(i);
        atomic_store(&blocked, 1);
    }
    check(arg == NULL);
}

static int stop_in_the_middle(void *arg)
{
    atomic_store(&blocked, 0);
    for (int i = 0; i < BLOCKERS; i++)
        check_eq(weft_go(until_cancelled, arg, 0), 0);
    while (!atomic_load(&blocked))
        weft_yield();
    return 0;
}

int main(void)
{
    static const int procs[] = { 1, 2, 4 };
    long             want = 0;

    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++) {
        run_on(procs[i], storm, NULL);
        want += test_scaled(ROUNDS) * BLOCKERS;
        check_eq(atomic_load(&left), want);
        check_eq(atomic_load(&yielded), want / BLOCKERS * OTHERS);
        for (long n = 0; n < test_scaled(STOPS); n++)
            run_on(procs[i], stop_in_the_middle, NULL);
    }
    return 0;
}
