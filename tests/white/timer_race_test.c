/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/timer_race_test.c - timers that are deleted while other threads fire: each does one
 * of both, near and far, and none is lost.
 */
#include <criterion/criterion.h>
#include <pthread.h>

#include "runtime/g.h"
#include "runtime/timer.h"
#include "support/check.h"

enum { MANY = 750, RUNNERS = 2 };

static wf_timer      timers[MANY];
static wf_timer_heap heap;
static volatile AO_t each[MANY], n_ran, ended, now;

static void count(void *arg, AO_t seq, struct wf_glist *out)
{
    (void)seq, (void)out;
    AO_fetch_and_add_full((volatile AO_t *)arg, 1);
    AO_fetch_and_add_full(&n_ran, 1);
}

static void *runner(void *arg)
{
    wf_glist out;

    wf_glist_init(&out);
    while (!AO_load_acquire(&ended))
        wf_timers_run(&heap, (int64_t)AO_load_acquire(&now), &out);
    return arg;
}

/* Due at once, or when time has come to it; true: it was deleted before it fired. */
static bool race_one(int i, int64_t when)
{
    AO_t before = each[i];

    cr_assert_geq(wf_timer_add(&heap, &timers[i], when, count, (void *)&each[i], 0), 0);
    AO_store_release(&now, (AO_t)when); /* pairs with the acquire in runner */
    for (int spin = 0; spin < i % 50 * 4; spin++)
        wf_cpu_relax();
    if (wf_timer_del(&timers[i])) {
        cr_assert_eq(each[i], before);
        return true;
    }
    while (AO_load_acquire(&each[i]) == before)
        ; /* it fires, or has */
    return false;
}

static void race_all(int64_t step)
{
    pthread_t threads[RUNNERS];
    long      deleted = 0, rounds = test_scaled(100);

    wf_timer_heap_init(&heap);
    for (int i = 0; i < RUNNERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, runner, NULL), 0);
    for (long r = 0; r < rounds; r++)
        for (int i = 0; i < MANY; i++)
            deleted += race_one(i, (r * MANY + i) * step);
    AO_store_release(&ended, 1);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq((long)n_ran + deleted, rounds * MANY);
    cr_assert_eq(heap.n, 0);
    cr_assert_eq(wf_timer_heap_when(&heap), INT64_MAX);
    cr_assert_eq(heap.lock.word, 0);
    wf_timer_heap_free(&heap);
}

Test(timer_race, one_that_is_near_and_deleted_as_it_fires_does_exactly_one_of_both, .timeout = 60)
{
    race_all(0);
}

Test(timer_race, one_that_is_far_and_deleted_as_it_fires_does_exactly_one_of_both, .timeout = 60)
{
    race_all(1000000);
}
