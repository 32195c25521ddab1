/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sem_test.c - weft_sem: permits counted, handed over in order, released by any thread.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

#include "support/coro.h"

TestSuite(sem, .timeout = 120);

static int acquire_op(void *s)
{
    return weft_sem_acquire(s, WEFT_FOREVER);
}

static int acquire_now_op(void *s)
{
    return weft_sem_acquire(s, WEFT_NOWAIT);
}

/* ---- Permits ------------------------------------------------------------------------------------------- */

static int counts(void *arg)
{
    weft_sem s = { { 0 } };

    check_eq(weft_sem_acquire(&s, WEFT_NOWAIT), -ETIMEDOUT); /* starts at 0 */
    check_eq(weft_sem_acquire(&s, weft_after(WEFT_MS)), -ETIMEDOUT);
    check(blocks(acquire_op, &s));
    weft_sem_release(&s, 0);
    check_eq(weft_sem_acquire(&s, -1), -ETIMEDOUT);
    weft_sem_release(&s, 3);
    check_eq(when_cancelled(acquire_op, &s), -ECANCELED);
    check_eq(when_cancelled(acquire_now_op, &s), -ECANCELED);
    for (int i = 0; i < 3; i++)
        check_eq(weft_sem_acquire(&s, i ? WEFT_NOWAIT : WEFT_FOREVER), 0);
    check_eq(weft_sem_acquire(&s, WEFT_NOWAIT), -ETIMEDOUT);
    weft_sem_release(&s, UINT32_MAX);
    weft_sem_release(&s, UINT32_MAX);
    check_eq(weft_sem_acquire(&s, WEFT_NOWAIT), 0);
    return arg != NULL;
}

Test(sem, permits_are_counted)
{
    run_on(1, counts, NULL);
}

/* A release of k serves the k who have waited longest, and keeps what is left. */
static int hand_off(void *arg)
{
    weft_sem   s = { { 0 } };
    attempt    a[6];
    weft_group g = WEFT_GROUP_INIT, mortal = WEFT_GROUP_INIT;

    for (int i = 0; i < 6; i++) {
        a[i] = (attempt){ .op = acquire_op, .arg = &s };
        attempt_start(&a[i], i == 1 ? &mortal : &g);
    }
    weft_sem_release(&s, 1);
    check_eq(weft_sem_acquire(&s, WEFT_NOWAIT), -ETIMEDOUT); /* it is the waiter's already */
    let_others_park();
    check(a[0].done && !a[1].done);
    weft_group_cancel(&mortal);
    weft_sem_release(&s, 2); /* past the one who gave up */
    let_others_park();
    check(a[1].done && a[1].result == -ECANCELED);
    check(a[2].done && a[3].done && !a[4].done && !a[5].done);
    weft_sem_release(&s, 5);
    join_group(&g);
    join_group(&mortal);
    for (int i = 0; i < 3; i++)
        check_eq(weft_sem_acquire(&s, WEFT_NOWAIT), 0);
    check_eq(weft_sem_acquire(&s, WEFT_NOWAIT), -ETIMEDOUT);
    return arg != NULL;
}

Test(sem, permits_go_to_those_who_wait_in_their_order)
{
    run_on(1, hand_off, NULL);
}

/* ---- None is lost, none is doubled ------------------------------------------------------------------------ */

struct budget {
    weft_sem    s;
    int         permits;
    atomic_int  inside;
    atomic_long late, cancelled;
    long        n;
};

static int spend(void *arg)
{
    struct budget *b = *(struct budget **)arg;
    uint64_t       random = weft_id() + 1;

    for (long i = 0; i < b->n; i++) {
        bool patient = test_random(&random) % 2;
        int  r = weft_sem_acquire(&b->s, patient ? WEFT_FOREVER
                                                 : weft_after(test_random(&random) % 20 * WEFT_US));
        if (r == -ECANCELED) {
            atomic_fetch_add(&b->cancelled, 1);
            break;
        }
        if (r == -ETIMEDOUT) {
            check(!patient);
            atomic_fetch_add(&b->late, 1);
            continue;
        }
        check_eq(r, 0);
        check(atomic_fetch_add(&b->inside, 1) < b->permits);
        if (i % 8 == 0)
            weft_yield();
        atomic_fetch_sub(&b->inside, 1);
        weft_sem_release(&b->s, 1);
    }
    return 0;
}

static int bounded(void *arg)
{
    for (int permits = 1; permits < 4; permits++) {
        struct budget b = { .permits = permits, .n = test_scaled(5000) }, *at = &b;
        weft_group    g = WEFT_GROUP_INIT, mortal = WEFT_GROUP_INIT;
        weft_sem_release(&b.s, (uint32_t)permits);
        for (int i = 0; i < 8; i++)
            check_eq(weft_group_go(i % 2 ? &g : &mortal, spend, &at, sizeof at), 0);
        for (int i = 0; i < 20; i++)
            weft_yield();
        weft_group_cancel(&mortal);
        join_group(&mortal);
        join_group(&g);
        for (int i = 0; i < permits; i++)
            check_eq(weft_sem_acquire(&b.s, WEFT_NOWAIT), 0);
        check_eq(weft_sem_acquire(&b.s, WEFT_NOWAIT), -ETIMEDOUT);
    }
    return arg != NULL;
}

Test(sem, never_more_inside_than_permits_and_none_lost)
{
    run_on_1_2_8(bounded, NULL);
}

/* ---- Other threads --------------------------------------------------------------------------------------------- */

struct bell {
    weft_sem    s;
    long        n;
    atomic_long heard;
};

static void *ring(void *arg)
{
    struct bell *b = arg;

    for (long i = 0; i < b->n; i++) {
        weft_sem_release(&b->s, 1 + (uint32_t)(i % 3));
        if (i % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void hear(void *arg)
{
    struct bell *b = arg;

    while (atomic_fetch_sub(&b->heard, 1) > 0)
        check_eq(weft_sem_acquire(&b->s, weft_after(PATIENCE)), 0);
}

static int from_threads(void *arg)
{
    struct bell    b = { .n = test_scaled(3000) / 3 * 3 + 3 };
    pthread_t      threads[3];
    weft_waitgroup wg = { { 0 } };

    atomic_store(&b.heard, 3 * b.n * 2); /* 1 + 2 + 3 by threes, from 3 threads */
    for (int i = 0; i < 6; i++)
        spawn(&wg, hear, &b);
    for (int i = 0; i < 3; i++)
        check_eq(pthread_create(&threads[i], NULL, ring, &b), 0);
    join(&wg);
    weft_block_enter();
    for (int i = 0; i < 3; i++)
        check_eq(pthread_join(threads[i], NULL), 0);
    weft_sem_release(&b.s, 1); /* one between the two, too */
    weft_block_leave();
    check_eq(weft_sem_acquire(&b.s, WEFT_NOWAIT), 0);
    check_eq(weft_sem_acquire(&b.s, WEFT_NOWAIT), -ETIMEDOUT);
    return arg != NULL;
}

Test(sem, released_by_threads_of_the_program)
{
    run_on_1_2_8(from_threads, NULL);
}

static int acquire_one(void *s)
{
    return weft_sem_acquire(s, WEFT_NOWAIT);
}

Test(sem, released_while_no_runtime_runs)
{
    weft_sem     s = { { 0 } };
    weft_options opt = { .procs = 1 };

    weft_sem_release(&s, 1);
    check_eq(weft_run(&opt, acquire_one, &s), 0);
    check_eq(weft_run(&opt, acquire_one, &s), -ETIMEDOUT);
    dies(acquire_one, &s, false, "weft_sem_acquire " NOWHERE);
}
