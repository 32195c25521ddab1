/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/start_park_wake.c - storms of starts, parks and wake-ups.  Each coroutine waits, round
 * after round, for a helper that it has started itself, on a waitgroup that lies on its own stack
 * and is gone as soon as the wait has returned.  Every wake-up is counted: a lost one hangs the
 * program, a doubled one breaks the counts.  A thread reads the statistics all the while.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/check.h"

enum { COROUTINES = 64, ROUNDS = 2000 };

struct handover {
    weft_waitgroup woken;
    long           value;
};

static atomic_long helped, waited;
static atomic_bool reading;
static long        rounds;

static void helper(void *arg)
{
    struct handover *h = *(struct handover **)arg;

    h->value++; /* the waker's plain write must be seen by the woken */
    atomic_fetch_add(&helped, 1);
    weft_waitgroup_done(&h->woken); /* *h may be gone from here on */
}

static void wait_for_helper(long value)
{
    struct handover h = { .value = value }, *at = &h;

    weft_waitgroup_add(&h.woken, 1);
    check_eq(weft_go(helper, &at, sizeof at), 0);
    if (value % 3 == 0)
        weft_yield(); /* the helper may come first, or at the same time */
    check_eq(weft_waitgroup_wait(&h.woken, WEFT_FOREVER), 0);
    check_eq(h.value, value + 1);
    memset(&h, 0xff, sizeof h);
    atomic_fetch_add(&waited, 1);
}

static void storm(void *arg)
{
    weft_waitgroup *all = *(weft_waitgroup **)arg;

    for (long i = 0; i < rounds; i++)
        wait_for_helper(i);
    weft_waitgroup_done(all);
}

static int storms(void *arg)
{
    weft_waitgroup all = { 0 }, *at = &all;

    (void)arg;
    weft_waitgroup_add(&all, COROUTINES);
    for (int i = 0; i < COROUTINES; i++)
        check_eq(weft_go(storm, &at, sizeof at), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return 0;
}

static void *reader(void *arg)
{
    weft_stats s;

    while (atomic_load(&reading)) {
        weft_stats_read(&s);
        check(s.threads <= 64 && s.stack_bytes < UINT64_C(1) << 40);
        check(weft_procs() <= 4 && weft_now() > 0 && weft_id() == 0);
    }
    return arg;
}

int main(void)
{
    static const int procs[] = { 1, 2, 4 };
    pthread_t        thread;
    long             want = 0;

    rounds = test_scaled(ROUNDS);
    atomic_store(&reading, true);
    check_eq(pthread_create(&thread, NULL, reader, NULL), 0);
    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++) {
        run_on(procs[i], storms, NULL);
        want += COROUTINES * rounds;
        check_eq(atomic_load(&helped), want);
        check_eq(atomic_load(&waited), want);
    }
    atomic_store(&reading, false);
    check_eq(pthread_join(thread, NULL), 0);
    return 0;
}
