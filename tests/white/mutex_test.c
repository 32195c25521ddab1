/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/mutex_test.c - the moments of an unlock by a store: before it, when somebody begins
 * to wait and the store overwrites what it set in the word; and after it, when the mutex may be
 * gone.  They last a few instructions, so a look at the bucket's mark stops for others here.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "runtime/lot.h"

static bool look(const void *key);
#define wf_lot_marked look
#include "runtime/mutex.c"
#undef wf_lot_marked

#include "support/procs.h"

static struct {
    int looks_left;     /* of the unlock under test, until the one that stops */
    bool (*then)(void); /* what is done there; its result is the look's */
} stop;

static bool look(const void *key)
{
    bool marked = wf_lot_marked(key);
    if (stop.then && stop.looks_left-- == 0) {
        bool (*then)(void) = stop.then;
        stop.then = NULL;
        return then();
    }
    return marked;
}

static weft_mutex     m;
static weft_waitgroup all;
static int            inside;

static void unlock_stopping_at(int nth, bool (*then)(void))
{
    stop.looks_left = nth;
    stop.then = then;
    weft_mutex_unlock(&m);
    check(!stop.then); /* it came there */
}

static void waiter(void *arg)
{
    weft_mutex_lock(&m);
    inside++;
    weft_mutex_unlock(&m);
    weft_waitgroup_done(arg);
}

static void waits_for_a_permit(void *arg)
{
    check_eq(weft_sem_acquire((weft_sem *)(void *)&m, WEFT_FOREVER), 0);
    weft_waitgroup_done(arg);
}

static int waiting(void)
{
    wf_bucket *b = wf_lot_lock(&m);
    int        n = 0;
    for (wf_g *gp = wf_lot_first(b, &m); gp; gp = wf_lot_next(b, gp))
        n++;
    wf_lot_unlock(b);
    return n;
}

/* Two begin to wait after the unlock looked for the mark. */
static bool two_wait(void)
{
    weft_waitgroup_add(&all, 2);
    for (int i = 0; i < 2; i++)
        check_eq(weft_go(waiter, &all, 0), 0);
    await_yielding(waiting() == 2);
    check(AO_load(word_of(&m)) & WAITERS);
    return false;
}

static int overwrites(void *arg)
{
    inside = 0;
    weft_mutex_lock(&m);
    unlock_stopping_at(0, two_wait);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check_eq(inside, 2);
    check_eq(AO_load(word_of(&m)), 0);
    return arg != NULL;
}

Test(mutex, who_began_to_wait_before_the_store_is_woken, .timeout = 30)
{
    run_on(2, overwrites, NULL);
    run_on(4, overwrites, NULL);
}

/* The next holder is done with it too, frees its memory, and another mutex marked the bucket. */
static bool gone(void)
{
    check_eq(AO_load(word_of(&m)), 0);
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    memset(&m, 0x5a, sizeof m);
    return true;
}

static int touches_nothing(void *arg)
{
    weft_mutex after;

    memset((void *)wf_lot_marks, 0, sizeof wf_lot_marks);
    weft_mutex_lock(&m);
    unlock_stopping_at(1, gone);
    memset(&after, 0x5a, sizeof after);
    check_eq(memcmp(&m, &after, sizeof m), 0);
    memset(&m, 0, sizeof m);
    return arg != NULL;
}

Test(mutex, one_that_is_gone_after_the_store_is_not_touched, .timeout = 30)
{
    run_on(2, touches_nothing, NULL);
}

enum { A_SEM_WITH_WAITERS = 1 };

/* The same, and the memory is a semaphore's, for which somebody waits. */
static bool another(void)
{
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    memset(&m, 0, sizeof m);
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(waits_for_a_permit, &all, 0), 0);
    await_yielding(AO_load(word_of(&m)) == A_SEM_WITH_WAITERS);
    return true;
}

static int leaves_others_alone(void *arg)
{
    memset((void *)wf_lot_marks, 0, sizeof wf_lot_marks);
    weft_mutex_lock(&m);
    unlock_stopping_at(1, another);
    check_eq(AO_load(word_of(&m)), A_SEM_WITH_WAITERS);
    weft_sem_release((weft_sem *)(void *)&m, 1);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check_eq(AO_load(word_of(&m)), 0);
    return arg != NULL;
}

Test(mutex, nor_are_the_waiters_of_what_is_there_instead, .timeout = 30)
{
    _Static_assert(sizeof(weft_sem) <= sizeof(weft_mutex), "it fits there");
    run_on(2, leaves_others_alone, NULL);
}

static int leaves_one_waiting(void *arg)
{
    weft_mutex_lock(&m);
    check_eq(weft_go(waiter, &all, 0), 0);
    await_yielding(waiting() == 1);
    return arg != NULL;
}

/* Nor if one waited for the mutex when a run before ended: it is in the queue yet. */
Test(mutex, nor_are_they_behind_one_that_was_abandoned, .timeout = 30)
{
    weft_options opt = { .procs = 2, .stop_ns = 1 };

    check_eq(weft_run(&opt, leaves_one_waiting, NULL), 0);
    memset(&m, 0, sizeof m);
    run_on(2, leaves_others_alone, NULL);
}
