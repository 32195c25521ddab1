/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/foreign_start.c - threads that are none of weft's start coroutines and wake waiters
 * while the runtime starts and stops, over and over.  A start that answered 0 runs; one that
 * answered -ESRCH or -ECANCELED does not; there is no third answer.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/check.h"

enum { THREADS = 3, CYCLES = 150, CYCLES_MOST = 20000, SPREAD = 64 };

static atomic_long started, ran, refused;
static atomic_bool ended;

static void count(void *arg)
{
    check(arg == &ran);
    atomic_fetch_add(&ran, 1);
}

static void *starter(void *arg)
{
    while (!atomic_load(&ended)) {
        int r = weft_go(count, &ran, 0);

        check(r == 0 || r == -ESRCH || r == -ECANCELED);
        atomic_fetch_add(r == 0 ? &started : &refused, 1);
    }
    return arg;
}

/* Ends after more or fewer switches, so that the stop meets starts at every stage. */
static int short_life(void *arg)
{
    for (long i = 0; i < *(long *)arg % SPREAD; i++)
        weft_yield();
    return 0;
}

static bool seen_both(void)
{
    return atomic_load(&started) > 0 && atomic_load(&refused) > 0;
}

int main(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        check_eq(pthread_create(&threads[i], NULL, starter, NULL), 0);
    for (long i = 0; i < test_scaled(CYCLES) || (!seen_both() && i < CYCLES_MOST); i++)
        run_on(1 + (int)(i % 4), short_life, &i);
    atomic_store(&ended, true);
    for (int i = 0; i < THREADS; i++)
        check_eq(pthread_join(threads[i], NULL), 0);
    check_eq(atomic_load(&ran), atomic_load(&started));
    check(seen_both());
    return 0;
}
