/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/run_stop.c - the runtime starts and stops, over and over, from every state: nothing
 * running, coroutines asleep, parked, ready, starting others, in a blocking section, and all of
 * these.  Every coroutine that was started has ended when weft_run returns.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/check.h"

enum { CYCLES = 60, EACH = 12 };

static atomic_long    live;
static atomic_bool    over;
static weft_waitgroup never = { { 0 } };

static void asleep(void *arg)
{
    check_eq(weft_sleep(WEFT_FOREVER), -ECANCELED);
    atomic_fetch_sub((atomic_long *)arg, 1);
}

static void long_timer(void *arg)
{
    check_eq(weft_sleep(INT64_C(1000) * 24 * 3600 * WEFT_S), -ECANCELED);
    atomic_fetch_sub((atomic_long *)arg, 1);
}

static void parked(void *arg)
{
    check_eq(weft_waitgroup_wait(&never, WEFT_FOREVER), -ECANCELED);
    atomic_fetch_sub((atomic_long *)arg, 1);
}

static void ready(void *arg)
{
    while (!weft_cancelled())
        weft_yield();
    atomic_fetch_sub((atomic_long *)arg, 1);
}

static void blocking(void *arg)
{
    while (weft_sleep(0) == 0) {
        weft_block_enter();
        weft_block_leave();
    }
    atomic_fetch_sub((atomic_long *)arg, 1);
}

static void spawned(void *arg)
{
    atomic_fetch_sub((atomic_long *)arg, 1);
}

static void spawning(void *arg)
{
    for (;;) {
        atomic_fetch_add(&live, 1);
        int r = weft_go(spawned, arg, 0);
        if (r != 0) {
            check_eq(r, -ECANCELED);
            atomic_fetch_sub(&live, 2);
            return;
        }
        weft_yield();
    }
}

static void (*const states[])(void *) = { asleep, long_timer, parked, ready, blocking, spawning };
enum { STATES = sizeof states / sizeof states[0] };

/* State number *arg, all of them at STATES, none above; some start late, as the stop begins. */
static int many(void *arg)
{
    int which = *(int *)arg;

    for (int s = 0; s < STATES; s++)
        for (int i = 0; i < EACH && (which == s || which == STATES); i++) {
            atomic_fetch_add(&live, 1);
            check_eq(weft_go(states[s], &live, 0), 0);
        }
    for (int i = 0; i < which; i++)
        weft_yield();
    return 0;
}

static void *reader(void *arg)
{
    weft_stats s;

    while (!atomic_load(&over)) {
        weft_stats_read(&s);
        check(s.threads < 1000 && weft_procs() <= 8);
        weft_group g = WEFT_GROUP_INIT;
        weft_group_cancel(&g);
    }
    return arg;
}

int main(void)
{
    static const int procs[] = { 1, 2, 3, 4, 8 };
    pthread_t        thread;

    weft_waitgroup_add(&never, 1);
    check_eq(pthread_create(&thread, NULL, reader, NULL), 0);
    for (long n = 0; n < test_scaled(CYCLES); n++)
        for (int which = 0; which <= STATES + 1; which++) {
            run_on(procs[n % 5], many, &which);
            check_eq(atomic_load(&live), 0);
        }
    atomic_store(&over, true);
    check_eq(pthread_join(thread, NULL), 0);
    return 0;
}
