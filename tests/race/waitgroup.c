/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/waitgroup.c - one waitgroup, many waiters, whose waits end by the count, by their
 * deadline and by cancellation, all at the same moment, over and over on the same word.
 */
#include <errno.h>
#include <stdatomic.h>

#include "support/check.h"

enum { WAITERS = 48, ROUNDS = 400, WORKERS = 4 };

struct round {
    weft_waitgroup work;    /* what all wait for */
    weft_group     waiters; /* some of which are cancelled */
    atomic_int     woken, late, cancelled;
};

static void worker(void *arg)
{
    struct round *r = *(struct round **)arg;

    weft_yield();
    weft_waitgroup_done(&r->work);
}

static int waiter(void *arg)
{
    struct {
        struct round *r;
        int           i;
    } *my = arg;
    /* 0: for ever; others pass before, at and after the count reaches zero */
    weft_time deadline = my->i % 3 == 0 ? WEFT_FOREVER : weft_after(my->i * 2 * WEFT_US);
    int       r = weft_waitgroup_wait(&my->r->work, deadline);

    check(r == 0 || r == -ETIMEDOUT || r == -ECANCELED);
    check(r != -ETIMEDOUT || deadline <= weft_now());
    atomic_fetch_add(r == 0            ? &my->r->woken
                     : r == -ETIMEDOUT ? &my->r->late
                                       : &my->r->cancelled,
                     1);
    return 0;
}

static int canceller(void *arg)
{
    struct round *r = *(struct round **)arg;

    check_eq(weft_sleep(40 * WEFT_US), 0);
    weft_group_cancel(&r->waiters);
    return 0;
}

static void one_round(long number)
{
    struct round r = { .waiters = WEFT_GROUP_INIT }, *at = &r;
    weft_group   other = WEFT_GROUP_INIT;

    weft_waitgroup_add(&r.work, WORKERS);
    for (int i = 0; i < WAITERS; i++) {
        struct {
            struct round *r;
            int           i;
        } my = { &r, i };
        check_eq(weft_group_go(&r.waiters, waiter, &my, sizeof my), 0);
    }
    if (number % 2 == 0)
        check_eq(weft_group_go(&other, canceller, &at, sizeof at), 0);
    for (int i = 0; i < WORKERS; i++)
        check_eq(weft_go(worker, &at, sizeof at), 0);
    check_eq(weft_group_wait(&r.waiters, WEFT_FOREVER, NULL), 0);
    check_eq(weft_group_wait(&other, WEFT_FOREVER, NULL), 0);
    check_eq(weft_waitgroup_wait(&r.work, WEFT_FOREVER), 0);
    check_eq(r.woken + r.late + r.cancelled, WAITERS);
    check(number % 2 == 0 || r.cancelled == 0);
}

static int rounds(void *arg)
{
    for (long i = 0; i < test_scaled(ROUNDS); i++)
        one_round(i);
    return arg != NULL;
}

int main(void)
{
    static const int procs[] = { 1, 2, 3, 4, 8 };

    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++)
        run_on(procs[i], rounds, NULL);
    return 0;
}
