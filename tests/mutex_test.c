/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/mutex_test.c - weft_mutex: exclusion, order, hand-off to who has waited long, deadlines,
 * cancellation, misuse.
 */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(mutex, .timeout = 120);

/* ---- Exclusion ------------------------------------------------------------------------------------------ */

struct hammer {
    weft_mutex  m;
    long        count; /* under m */
    atomic_int  inside;
    atomic_long timeouts;
    long        n;
};

static void critical(struct hammer *h, bool yields)
{
    check_eq(atomic_fetch_add(&h->inside, 1), 0);
    h->count++;
    if (yields)
        weft_yield();
    check_eq(atomic_fetch_sub(&h->inside, 1), 1);
    weft_mutex_unlock(&h->m);
}

static void hammering(void *arg)
{
    struct hammer *h = arg;
    long           got = 0;

    for (long i = 0; got < h->n; i++) {
        if (i % 3 == 0 && !weft_mutex_trylock(&h->m))
            continue;
        if (i % 3 == 1 && weft_mutex_lock_until(&h->m, weft_after(i % 20 * WEFT_US)) != 0) {
            atomic_fetch_add(&h->timeouts, 1);
            continue;
        }
        if (i % 3 == 2)
            weft_mutex_lock(&h->m);
        critical(h, i % 16 == 0);
        got++;
    }
}

static int hammer(void *arg)
{
    struct hammer  h = { .n = test_scaled(10000) };
    weft_waitgroup wg = { { 0 } };

    for (int i = 0; i < 12; i++)
        spawn(&wg, hammering, &h);
    join(&wg);
    check_eq(h.count, 12 * h.n);
    check(weft_mutex_trylock(&h.m));
    check(!weft_mutex_trylock(&h.m));
    weft_mutex_unlock(&h.m);
    return arg != NULL;
}

Test(mutex, hammer)
{
    run_on_1_2_8(hammer, NULL);
}

/* ---- Order -------------------------------------------------------------------------------------------------- */

struct queue {
    weft_mutex m;
    int        order[16], n; /* under m */
};

struct place {
    struct queue *q;
    int           number;
};

static void take_place(void *arg)
{
    struct place *p = arg;

    weft_mutex_lock(&p->q->m);
    p->q->order[p->q->n++] = p->number;
    weft_mutex_unlock(&p->q->m);
}

static int fifo(void *arg)
{
    struct queue   q = { .n = 0 };
    struct place   places[16];
    weft_waitgroup wg = { { 0 } };

    weft_mutex_lock(&q.m);
    for (int i = 0; i < 16; i++) {
        places[i] = (struct place){ &q, i };
        spawn(&wg, take_place, &places[i]);
        let_others_park();
    }
    weft_mutex_unlock(&q.m);
    join(&wg);
    for (int i = 0; i < 16; i++)
        check_eq(q.order[i], i);
    return arg != NULL;
}

Test(mutex, waiters_get_it_in_their_order)
{
    run_on(1, fifo, NULL);
}

/* ---- Fairness --------------------------------------------------------------------------------------------------- */

struct hog {
    weft_mutex  m;
    atomic_bool stop;
    atomic_long rounds;
};

/* Holds the lock all but for a moment, and never gives way while it is free. */
static void hog(void *arg)
{
    struct hog *h = arg;

    while (!atomic_load(&h->stop)) {
        weft_mutex_lock(&h->m);
        for (weft_time end = weft_after(100 * WEFT_US); weft_now() < end;)
            weft_yield();
        weft_mutex_unlock(&h->m);
        atomic_fetch_add(&h->rounds, 1);
    }
}

/* Without the hand-off a hog would win each time on one P: it never parks while it is free. */
static int fairness(void *arg)
{
    struct hog     h = { .rounds = 0 };
    weft_waitgroup wg = { { 0 } };

    spawn(&wg, hog, &h);
    spawn(&wg, hog, &h);
    for (int i = 0; i < 10; i++) {
        weft_yield();
        check_eq(weft_mutex_lock_until(&h.m, weft_after(PATIENCE)), 0);
        weft_mutex_unlock(&h.m);
    }
    atomic_store(&h.stop, true);
    join(&wg);
    check(atomic_load(&h.rounds) > 0);
    return arg != NULL;
}

Test(mutex, fairness_nobody_starves)
{
    run_on_1_2_8(fairness, NULL);
}

static void lock_for_good(void *arg)
{
    weft_mutex_lock(arg);
}

/* On one P the unlock is followed by a try at once: who has waited for long has it already. */
static int hand_off(void *arg)
{
    for (int late = 0; late < 2; late++) {
        weft_mutex     m = { { 0 } };
        weft_waitgroup wg = { { 0 } };
        weft_mutex_lock(&m);
        spawn(&wg, lock_for_good, &m);
        let_others_park();
        for (weft_time end = weft_after(2 * WEFT_MS); late && weft_now() <= end;)
            weft_yield();
        weft_mutex_unlock(&m);
        if (late)
            check(!weft_mutex_trylock(&m)); /* after 1 ms it was handed over */
        else if (weft_mutex_trylock(&m))    /* before, a newcomer may have it */
            weft_mutex_unlock(&m);
        join(&wg);
        check(!weft_mutex_trylock(&m));
        weft_mutex_unlock(&m);
    }
    return arg != NULL;
}

Test(mutex, hand_off_after_a_millisecond)
{
    run_on(1, hand_off, NULL);
}

/* A woken waiter that a newcomer overtook goes on as the first of the queue. */
static int overtaken(void *arg)
{
    struct queue   q = { .n = 0 };
    struct place   places[3];
    weft_waitgroup wg = { { 0 } };

    weft_mutex_lock(&q.m);
    for (int i = 0; i < 3; i++) {
        places[i] = (struct place){ &q, i };
        spawn(&wg, take_place, &places[i]);
        let_others_park();
    }
    bool mine = true;
    for (int i = 0; i < 5 && mine; i++) { /* the first is woken, each time for nothing */
        weft_mutex_unlock(&q.m);
        mine = weft_mutex_trylock(&q.m); /* false: this took so long that it was handed over */
        if (mine)
            weft_yield();
    }
    if (mine)
        weft_mutex_unlock(&q.m);
    join(&wg);
    for (int i = 0; i < 3; i++)
        check_eq(q.order[i], i);
    return arg != NULL;
}

Test(mutex, an_overtaken_waiter_stays_first)
{
    run_on(1, overtaken, NULL);
}

/* ---- Deadlines and cancellation --------------------------------------------------------------------------------------- */

static int lock_op(void *m)
{
    return weft_mutex_lock_until(m, WEFT_FOREVER);
}

static int lock_now_op(void *m)
{
    return weft_mutex_lock_until(m, WEFT_NOWAIT);
}

static int void_lock_op(void *m)
{
    weft_mutex_lock(m); /* waits through cancellation */
    weft_mutex_unlock(m);
    return 0;
}

static int ends(void *arg)
{
    weft_mutex m = { { 0 } };
    attempt    a = { .op = void_lock_op, .arg = &m };
    weft_group g = WEFT_GROUP_INIT;

    check_eq(when_cancelled(lock_op, &m), -ECANCELED); /* although it is free */
    check_eq(when_cancelled(lock_now_op, &m), -ECANCELED);
    check_eq(when_cancelled(void_lock_op, &m), 0);
    check_eq(weft_mutex_lock_until(&m, WEFT_NOWAIT), 0); /* tries once */
    check_eq(weft_mutex_lock_until(&m, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(weft_mutex_lock_until(&m, -1), -ETIMEDOUT);
    check_eq(weft_mutex_lock_until(&m, weft_after(WEFT_MS)), -ETIMEDOUT);
    check(blocks(lock_op, &m));
    attempt_start(&a, &g);
    weft_group_cancel(&g);
    let_others_park();
    check(!a.done);
    check_eq(weft_group_wait(&g, weft_after(WEFT_MS), NULL), -ETIMEDOUT);
    weft_mutex_unlock(&m);
    join_group(&g);
    check(weft_mutex_trylock(&m)); /* those who gave up left no trace */
    weft_mutex_unlock(&m);
    return arg != NULL;
}

Test(mutex, deadlines_and_cancellation)
{
    run_on(1, ends, NULL);
}

/* The one who gives up may be the one whom the unlock had in mind: the next gets it. */
static int give_up_race(void *arg)
{
    weft_mutex m = { { 0 } };

    for (long i = 0; i < test_scaled(3000); i++) {
        weft_group g = WEFT_GROUP_INIT;
        attempt    impatient = { .op = lock_op, .arg = &m }, *a = &impatient;
        attempt    patient = { .op = void_lock_op, .arg = &m }, *b = &patient;
        weft_group other = WEFT_GROUP_INIT;
        weft_mutex_lock(&m);
        check_eq(weft_group_go(&g, attempt_entry, &a, sizeof a), 0);
        check_eq(weft_group_go(&other, attempt_entry, &b, sizeof b), 0);
        weft_yield();
        if (i % 2)
            weft_mutex_unlock(&m);
        weft_group_cancel(&g);
        if (i % 2 == 0)
            weft_mutex_unlock(&m);
        join_group(&g);
        check(impatient.result == 0 || impatient.result == -ECANCELED);
        if (impatient.result == 0)
            weft_mutex_unlock(&m);
        join_group(&other);
    }
    return arg != NULL;
}

Test(mutex, who_gives_up_takes_no_wake_up_along)
{
    run_on_1_2_8(give_up_race, NULL);
}

/* ---- The runtime's stop ----------------------------------------------------------------------------------- */

static atomic_bool overtook;

static void lock_too_late(void *arg)
{
    weft_mutex_lock(arg);
    atomic_store(&overtook, true); /* it ran after all: then this shows nothing */
    weft_mutex_unlock(arg);
}

static void compute(void *arg)
{
    for (;;) {
        for (weft_time end = weft_after(WEFT_MS); weft_now() < end;)
            ;
        weft_yield();
    }
    (void)arg;
}

/* Ends with one woken from its wait for the mutex, and behind others that never end. */
static int leave_one_woken(void *arg)
{
    weft_mutex_lock(arg);
    check_eq(weft_go(lock_too_late, arg, 0), 0);
    let_others_park();
    for (int i = 0; i < 12; i++)
        check_eq(weft_go(compute, NULL, 0), 0);
    weft_mutex_unlock(arg);
    return weft_go(compute, NULL, 0);
}

/* 1: it is held. */
static int lock_again(void *arg)
{
    attempt    a = { .op = void_lock_op, .arg = arg };
    weft_group g = WEFT_GROUP_INIT;

    if (!weft_mutex_trylock(arg))
        return 1;
    attempt_start(&a, &g);
    check(!a.done);
    weft_mutex_unlock(arg); /* must wake it: nobody else is on its way */
    join_group(&g);
    return 0;
}

/* On a busy machine it has waited for a millisecond, and the lock is handed to it: then it holds
 * it for good, and this is tried again; as where it ran before the stop. */
Test(mutex, one_abandoned_on_its_way_holds_nobody_up)
{
    weft_options opt = { .procs = 1, .stop_ns = -1 };

    for (int tries = 0; tries < 50; tries++) {
        weft_mutex m = { { 0 } };
        atomic_store(&overtook, false);
        check_eq(weft_run(&opt, leave_one_woken, &m), 0);
        if (!atomic_load(&overtook) && weft_run(&opt, lock_again, &m) == 0)
            return;
    }
    check(!"the lock was free once");
}

/* ---- Misuse ----------------------------------------------------------------------------------------------------------------- */

static weft_mutex free_mutex;

static int unlock_free(void *arg)
{
    weft_mutex_lock(&free_mutex);
    weft_mutex_unlock(&free_mutex);
    weft_mutex_unlock(&free_mutex);
    return arg != NULL;
}

static int lock_outside(void *arg)
{
    weft_mutex_lock(&free_mutex);
    return arg != NULL;
}

static int lock_until_outside(void *arg)
{
    return weft_mutex_lock_until(&free_mutex, WEFT_NOWAIT) + (arg != NULL);
}

Test(mutex, misuse_ends_the_process_with_one_line_that_names_the_call)
{
    dies(unlock_free, NULL, true, "weft_mutex_unlock: the mutex is not locked");
    dies(lock_outside, NULL, false, "weft_mutex_lock " NOWHERE);
    dies(lock_until_outside, NULL, false, "weft_mutex_lock_until " NOWHERE);
}
