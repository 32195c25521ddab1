/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/timers.c - sleeps that end by themselves, by cancellation and by both at once, on timers
 * that are stolen; waits whose deadline and event come together; and zero-length sleeps.
 */
#include <errno.h>
#include <stdatomic.h>

#include "support/check.h"

enum { SLEEPERS = 64, ROUNDS = 60, NAPS = 8 };

static atomic_long slept, cancelled, late, woken;

static int sleeper(void *arg)
{
    uint64_t random = *(uint64_t *)arg;

    for (int i = 0; i < NAPS; i++) {
        int64_t   ns = (int64_t)(test_random(&random) % 100) * WEFT_US;
        weft_time before = weft_now();
        int       r = weft_sleep(ns);

        check(r == 0 || r == -ECANCELED);
        check(r != 0 || weft_now() - before >= ns);
        atomic_fetch_add(r == 0 ? &slept : &cancelled, 1);
    }
    return 0;
}

struct race {
    weft_waitgroup event;
    weft_time      at;
};

static void at_the_deadline(void *arg)
{
    struct race *race = *(struct race **)arg;

    check_eq(weft_sleep_until(race->at), 0);
    weft_waitgroup_done(&race->event);
}

/* The event comes at its deadline: either may win, nothing else happens. */
static int racer(void *arg)
{
    for (int i = 0; i < NAPS; i++) {
        struct race race = { .at = weft_after(30 * WEFT_US) }, *at = &race;
        int         r;

        weft_waitgroup_add(&race.event, 1);
        check_eq(weft_go(at_the_deadline, &at, sizeof at), 0);
        r = weft_waitgroup_wait(&race.event, race.at);
        if (r == -ECANCELED)
            atomic_fetch_add(&cancelled, 1);
        else
            atomic_fetch_add(r == 0 ? &woken : &late, 1);
        check(r == 0 || r == -ETIMEDOUT || r == -ECANCELED);
        bool was = weft_shield(true);
        check_eq(weft_waitgroup_wait(&race.event, WEFT_FOREVER), 0);
        weft_shield(was);
    }
    return arg == NULL;
}

static int rounds(void *arg)
{
    for (long n = 0; n < test_scaled(ROUNDS); n++) {
        weft_group g = WEFT_GROUP_INIT;
        int        first = 0;

        for (int i = 0; i < SLEEPERS; i++) {
            uint64_t random = (uint64_t)(n * SLEEPERS + i + 1);
            check_eq(weft_group_go(&g, i % 4 ? sleeper : racer, &random, sizeof random), 0);
        }
        check_eq(weft_sleep((n % 7) * 50 * WEFT_US), 0);
        if (n % 2)
            weft_group_cancel(&g);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
        check_eq(first, 0);
    }
    return arg != NULL;
}

int main(void)
{
    static const int procs[] = { 1, 2, 4 };
    long             want = 0;

    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++) {
        run_on(procs[i], rounds, NULL);
        want += test_scaled(ROUNDS) * SLEEPERS * NAPS;
        check_eq(slept + cancelled + late + woken, want);
    }
    check(slept > 0 && cancelled > 0);
    return 0;
}
