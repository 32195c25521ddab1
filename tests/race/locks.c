/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/locks.c - locks that are freed by whoever sees an operation's effect, at once; and
 * mutexes, conditions and semaphores under deadlines, cancellation and other threads together.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

enum { LIVES = 60000, STEPS = 10000, WORKERS = 10 };

/* ---- Freed at once ---------------------------------------------------------------------------------- */

struct life {
    weft_mutex   m;
    weft_rwmutex rw;
    weft_cond    c;
    weft_sem     s;
    int          left; /* under m or rw: who makes it 0 frees */
    bool         ready;
};

static weft_waitgroup alive;

static void bury(struct life *l)
{
    memset(l, 0xee, sizeof *l);
    free(l);
}

static void by_mutex(void *arg)
{
    struct life *l = *(struct life **)arg;

    weft_mutex_lock(&l->m);
    bool last = --l->left == 0;
    weft_mutex_unlock(&l->m);
    if (last)
        bury(l);
    weft_waitgroup_done(&alive);
}

static void by_rwmutex(void *arg)
{
    struct life *l = *(struct life **)arg;

    weft_rwmutex_rdlock(&l->rw);
    weft_rwmutex_rdunlock(&l->rw);
    weft_rwmutex_lock(&l->rw);
    bool last = --l->left == 0;
    weft_rwmutex_unlock(&l->rw);
    if (last)
        bury(l);
    weft_waitgroup_done(&alive);
}

/* The one that acquires frees, as the one that released may not have returned yet. */
static void acquirer(void *arg)
{
    struct life *l = *(struct life **)arg;

    check_eq(weft_sem_acquire(&l->s, WEFT_FOREVER), 0);
    bury(l);
    weft_waitgroup_done(&alive);
}

static void releaser(void *arg)
{
    struct life *l = *(struct life **)arg;

    weft_sem_release(&l->s, 1);
    weft_waitgroup_done(&alive);
}

static void cond_waiter(void *arg)
{
    struct life *l = *(struct life **)arg;

    weft_mutex_lock(&l->m);
    while (!l->ready)
        check_eq(weft_cond_wait(&l->c, &l->m, WEFT_FOREVER), 0);
    weft_mutex_unlock(&l->m);
    bury(l);
    weft_waitgroup_done(&alive);
}

/* Signals with m held, so that the waiter sees the effect only by getting m. */
static void signaller(void *arg)
{
    struct life *l = *(struct life **)arg;

    weft_mutex_lock(&l->m);
    l->ready = true;
    weft_cond_signal(&l->c);
    weft_mutex_unlock(&l->m);
    weft_waitgroup_done(&alive);
}

static int short_lives(void *arg)
{
    static void (*const pairs[][2])(void *) = {
        { by_mutex, by_mutex },
        { by_rwmutex, by_rwmutex },
        { acquirer, releaser },
        { cond_waiter, signaller },
    };

    for (long i = test_scaled(LIVES); i > 0; i--) {
        struct life *l = calloc(1, sizeof *l);
        int          which = (int)(i % 4);
        l->left = 2;
        weft_waitgroup_add(&alive, 2);
        check_eq(weft_go(pairs[which][i / 4 % 2], &l, sizeof l), 0);
        check_eq(weft_go(pairs[which][1 - i / 4 % 2], &l, sizeof l), 0);
        if (i % 8 == 0)
            weft_yield();
    }
    check_eq(weft_waitgroup_wait(&alive, WEFT_FOREVER), 0);
    return arg != NULL;
}

/* ---- Everything together -------------------------------------------------------------------------------- */

struct all {
    weft_mutex   m;
    weft_rwmutex rw;
    weft_cond    c;
    weft_sem     s;
    weft_group   mortal;
    long         by_m, by_rw; /* under m; under rw */
    atomic_long  want_m, want_rw;
    atomic_long  permits;
    atomic_bool  over;
};

static weft_time soon(uint64_t *random)
{
    return test_random(random) % 3 ? weft_after((int64_t)(test_random(random) % 20) * WEFT_US)
                                   : WEFT_NOWAIT;
}

static int with_mutex(struct all *a, uint64_t *random)
{
    int r = 0;

    if (test_random(random) % 2)
        weft_mutex_lock(&a->m);
    else
        r = weft_mutex_lock_until(&a->m, soon(random));
    if (r != 0)
        return r;
    a->by_m++;
    atomic_fetch_add(&a->want_m, 1);
    if (test_random(random) % 4 == 0)
        r = weft_cond_wait(&a->c, &a->m, soon(random));
    a->by_m++;
    atomic_fetch_add(&a->want_m, 1);
    weft_mutex_unlock(&a->m);
    if (test_random(random) % 2)
        weft_cond_signal(&a->c);
    else if (test_random(random) % 4 == 0)
        weft_cond_broadcast(&a->c);
    return r;
}

static int with_rwmutex(struct all *a, uint64_t *random)
{
    long seen;

    if (test_random(random) % 4) {
        weft_rwmutex_rdlock(&a->rw);
        seen = a->by_rw;
        if (test_random(random) % 4 == 0)
            weft_yield();
        check_eq(a->by_rw, seen);
        weft_rwmutex_rdunlock(&a->rw);
        return 0;
    }
    weft_rwmutex_lock(&a->rw);
    a->by_rw++;
    atomic_fetch_add(&a->want_rw, 1);
    if (test_random(random) % 4 == 0)
        weft_yield();
    weft_rwmutex_unlock(&a->rw);
    return 0;
}

static int with_sem(struct all *a, uint64_t *random)
{
    int r = weft_sem_acquire(&a->s, soon(random));

    if (r == 0) {
        if (test_random(random) % 2)
            weft_yield();
        weft_sem_release(&a->s, 1);
    }
    return r;
}

static int work(void *arg)
{
    struct all *a = *(struct all **)arg;
    uint64_t    random = weft_id() + 1;
    int         r = 0;

    for (long i = test_scaled(STEPS); i > 0 && r != -ECANCELED; i--) {
        unsigned what = test_random(&random) % 3;
        r = what == 0   ? with_mutex(a, &random)
            : what == 1 ? with_rwmutex(a, &random)
                        : with_sem(a, &random);
        check(r == 0 || r == -ETIMEDOUT || r == -ECANCELED);
        if (test_random(&random) % 5000 == 0)
            weft_group_cancel(&a->mortal);
    }
    return 0;
}

static void *outsider(void *arg)
{
    struct all *a = arg;

    while (!atomic_load(&a->over)) { /* permits come from outside, and stay */
        if (atomic_load(&a->permits) < 1000) {
            atomic_fetch_add(&a->permits, 1);
            weft_sem_release(&a->s, 1);
        }
        sched_yield();
    }
    return NULL;
}

static int together(void *arg)
{
    struct all a = { .mortal = WEFT_GROUP_INIT }, *at = &a;
    weft_group g = WEFT_GROUP_INIT;
    pthread_t  thread;

    check_eq(pthread_create(&thread, NULL, outsider, &a), 0);
    for (int i = 0; i < WORKERS; i++) {
        int r = weft_group_go(i % 2 ? &g : &a.mortal, work, &at, sizeof at);
        check(r == 0 || r == -ECANCELED);
    }
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    weft_group_cancel(&a.mortal);
    check_eq(weft_group_wait(&a.mortal, WEFT_FOREVER, NULL), 0);
    atomic_store(&a.over, true);
    weft_block_enter();
    check_eq(pthread_join(thread, NULL), 0);
    weft_block_leave();
    check_eq(a.by_m, atomic_load(&a.want_m));
    check_eq(a.by_rw, atomic_load(&a.want_rw));
    for (long i = atomic_load(&a.permits); i > 0; i--)
        check_eq(weft_sem_acquire(&a.s, WEFT_NOWAIT), 0);
    check_eq(weft_sem_acquire(&a.s, WEFT_NOWAIT), -ETIMEDOUT);
    check(weft_mutex_trylock(&a.m));
    weft_mutex_unlock(&a.m);
    return arg != NULL;
}

int main(void)
{
    static const int procs[] = { 1, 2, 8 };

    for (int p = 0; p < 3; p++) {
        run_on(procs[p], short_lives, NULL);
        for (int i = 0; i < 5; i++)
            run_on(procs[p], together, NULL);
    }
    return 0;
}
