/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/waitgroup_test.c - the waitgroup: released all together and not before, used again at once,
 * freed at once, waits that end early, waits with all kinds of ends at once, misuse.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/procs.h"

static atomic_long n, woken, late, cancelled;

/* ---- Values -------------------------------------------------------------------------------------- */

static int no_wait(void *arg)
{
    weft_waitgroup wg = { { 0 } };

    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    check_eq(weft_waitgroup_wait(&wg, WEFT_NOWAIT), 0); /* a passed deadline still tries once */
    weft_waitgroup_add(&wg, 0);
    weft_waitgroup_add(&wg, 5);
    weft_waitgroup_add(&wg, -2);
    check_eq(weft_waitgroup_wait(&wg, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(weft_waitgroup_wait(&wg, -1), -ETIMEDOUT);
    weft_time until = weft_after(WEFT_MS);
    check_eq(weft_waitgroup_wait(&wg, until), -ETIMEDOUT);
    check(weft_now() >= until);
    weft_waitgroup_add(&wg, -3);
    check_eq(weft_waitgroup_wait(&wg, WEFT_NOWAIT), 0);
    weft_waitgroup_add(&wg, INT32_MAX);
    check_eq(weft_waitgroup_wait(&wg, WEFT_NOWAIT), -ETIMEDOUT);
    weft_waitgroup_add(&wg, -INT32_MAX);
    check_eq(weft_waitgroup_wait(&wg, WEFT_NOWAIT), 0);
    return arg != NULL;
}

Test(waitgroup, counts_up_and_down_and_waits_for_zero)
{
    run_on_all(no_wait, NULL);
}

/* ---- All, and not early -------------------------------------------------------------------------- */

enum { WAITERS = 50 };

struct barrier {
    weft_waitgroup open, through;
};

static void waiter(void *arg)
{
    struct barrier *b = *(struct barrier **)arg;

    atomic_fetch_add(&n, 1);
    check_eq(weft_waitgroup_wait(&b->open, WEFT_FOREVER), 0);
    atomic_fetch_add(&woken, 1);
    weft_waitgroup_done(&b->through);
}

static int releases_all(void *arg)
{
    struct barrier b = { .open = { { 0 } } }, *at = &b;

    atomic_store(&n, 0);
    atomic_store(&woken, 0);
    weft_waitgroup_add(&b.open, 3);
    weft_waitgroup_add(&b.through, WAITERS);
    for (int i = 0; i < WAITERS; i++)
        check_eq(weft_go(waiter, &at, sizeof at), 0);
    await_yielding(atomic_load(&n) == WAITERS);
    for (int left = 3; left > 0; left--) {
        check_eq(weft_sleep(WEFT_MS), 0);
        check_eq(atomic_load(&woken), 0);
        weft_waitgroup_done(&b.open);
    }
    check_eq(weft_waitgroup_wait(&b.through, WEFT_FOREVER), 0);
    check_eq(atomic_load(&woken), WAITERS);
    return arg != NULL;
}

Test(waitgroup, releases_all_who_wait_and_none_before)
{
    run_on_all(releases_all, NULL);
}

/* ---- Used again, and freed, at once ---------------------------------------------------------------- */

static void finish(void *arg)
{
    weft_waitgroup_done(*(weft_waitgroup **)arg);
}

/* WaitGroupRace: the same word for the next round as soon as the wait has returned. */
static int used_again(void *arg)
{
    weft_waitgroup wg = { { 0 } }, *at = &wg;

    for (long i = 0; i < test_scaled(20000); i++) {
        weft_waitgroup_add(&wg, 2);
        check_eq(weft_go(finish, &at, sizeof at), 0);
        check_eq(weft_go(finish, &at, sizeof at), 0);
        check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    }
    return arg != NULL;
}

Test(waitgroup, can_be_used_again_as_soon_as_a_wait_returned, .timeout = 60)
{
    run_on_all(used_again, NULL);
}

/* Whoever saw it at zero may free it, even while done is returning elsewhere. */
static int freed_at_once(void *arg)
{
    for (long i = 0; i < test_scaled(10000); i++) {
        weft_waitgroup *wg = calloc(1, sizeof *wg);
        weft_waitgroup_add(wg, 2);
        check_eq(weft_go(finish, &wg, sizeof wg), 0);
        check_eq(weft_go(finish, &wg, sizeof wg), 0);
        if (i % 2)
            check_eq(weft_waitgroup_wait(wg, WEFT_FOREVER), 0);
        else
            while (weft_waitgroup_wait(wg, WEFT_NOWAIT) == -ETIMEDOUT)
                weft_yield();
        memset(wg, 0x5a, sizeof *wg);
        free(wg);
    }
    return arg != NULL;
}

Test(waitgroup, can_be_freed_as_soon_as_a_wait_returned, .timeout = 60)
{
    run_on_all(freed_at_once, NULL);
}

/* ---- Threads count as well --------------------------------------------------------------------------- */

static void *done_by_thread(void *arg)
{
    for (int i = 0; i < 500; i++)
        weft_waitgroup_done(arg);
    return NULL;
}

static int done_by_threads(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    pthread_t      threads[4];

    weft_waitgroup_add(&wg, 4 * 500);
    for (int i = 0; i < 4; i++)
        check_eq(pthread_create(&threads[i], NULL, done_by_thread, &wg), 0);
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    weft_block_enter();
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    weft_block_leave();
    return arg != NULL;
}

Test(waitgroup, other_threads_wake_a_waiter, .timeout = 60)
{
    for (int i = 0; i < 10; i++)
        run_on_all(done_by_threads, NULL);
}

/* ---- Waits that end early ------------------------------------------------------------------------------ */

static int mixed_waiter(void *arg)
{
    struct {
        weft_waitgroup *wg;
        int             i;
    } my = *(__typeof__(my) *)arg;
    weft_time deadline = my.i % 3 == 0 ? weft_after(my.i * 3 * WEFT_US) : WEFT_FOREVER;
    int       r = weft_waitgroup_wait(my.wg, deadline);

    check(r == 0 || r == -ECANCELED || (r == -ETIMEDOUT && weft_now() >= deadline));
    atomic_fetch_add(r == 0 ? &woken : r == -ETIMEDOUT ? &late : &cancelled, 1);
    return 0;
}

/* Some are cancelled, some time out, the rest see the count reach zero, all at about one time. */
static int mixed_round(long round)
{
    weft_waitgroup wg = { { 0 } }, *at = &wg;
    weft_group     doomed = WEFT_GROUP_INIT, others = WEFT_GROUP_INIT;

    weft_waitgroup_add(&wg, 1);
    for (int i = 0; i < WAITERS; i++) {
        struct {
            weft_waitgroup *wg;
            int             i;
        } my = { &wg, i };
        check_eq(weft_group_go(i % 3 == 1 ? &doomed : &others, mixed_waiter, &my, sizeof my), 0);
    }
    check_eq(weft_sleep(round % 10 * 10 * WEFT_US), 0);
    check_eq(weft_go(finish, &at, sizeof at), 0);
    weft_group_cancel(&doomed);
    check_eq(weft_group_wait(&doomed, WEFT_FOREVER, NULL), 0);
    check_eq(weft_group_wait(&others, WEFT_FOREVER, NULL), 0);
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    return 0;
}

static int mixed_rounds(void *arg)
{
    long rounds = test_scaled(150);

    atomic_store(&woken, 0);
    atomic_store(&late, 0);
    atomic_store(&cancelled, 0);
    for (long i = 0; i < rounds; i++)
        check_eq(mixed_round(i), 0);
    check_eq(atomic_load(&woken) + atomic_load(&late) + atomic_load(&cancelled), rounds * WAITERS);
    check(atomic_load(&woken) > 0);
    return arg != NULL;
}

Test(waitgroup, waits_end_by_count_deadline_and_cancellation_at_once, .timeout = 60)
{
    run_on_all(mixed_rounds, NULL);
}

/* Those that gave up are out of the chain: the word serves the others, and the next round. */
static int gave_up(void *arg)
{
    struct barrier b = { .open = { { 0 } } }, *at = &b;

    weft_waitgroup_add(&b.open, 1);
    for (int position = 0; position < 5; position++) {
        atomic_store(&n, 0);
        for (int i = 0; i < 4; i++) {
            if (i == position)
                check_eq(weft_waitgroup_wait(&b.open, weft_after(100 * WEFT_US)), -ETIMEDOUT);
            weft_waitgroup_add(&b.through, 1);
            check_eq(weft_go(waiter, &at, sizeof at), 0);
            await_yielding(atomic_load(&n) == i + 1);
        }
        if (position == 4)
            check_eq(weft_waitgroup_wait(&b.open, weft_after(100 * WEFT_US)), -ETIMEDOUT);
        weft_waitgroup_done(&b.open);
        check_eq(weft_waitgroup_wait(&b.through, WEFT_FOREVER), 0);
        weft_waitgroup_add(&b.open, 1);
    }
    return arg != NULL;
}

Test(waitgroup, one_that_timed_out_leaves_the_others_waiting, .timeout = 60)
{
    run_on_all(gave_up, NULL);
}

/* ---- A timeout before the waiter is queued (26), a waiter shown before it is ready (27) --------------- */

static int passed_deadlines(void *arg)
{
    weft_waitgroup wg = { { 0 } };

    weft_waitgroup_add(&wg, 1);
    for (long i = 0; i < test_scaled(20000); i++)
        check_eq(weft_waitgroup_wait(&wg, weft_after(i % 3 - 1)), -ETIMEDOUT);
    weft_waitgroup_done(&wg);
    return arg != NULL;
}

Test(waitgroup, lesson_26_a_deadline_that_passes_before_the_park_is_seen, .timeout = 60)
{
    run_on_all(passed_deadlines, NULL);
}

/* The wait may be woken the moment it shows itself, and its stack is used again at once. */
static int woken_as_shown(void *arg)
{
    uint64_t id = weft_id();

    for (long i = 0; i < test_scaled(10000); i++) {
        weft_waitgroup wg = { { 0 } }, *at = &wg;
        volatile long  mine[16];
        weft_waitgroup_add(&wg, 1);
        check_eq(weft_go(finish, &at, sizeof at), 0);
        for (int k = 0; k < 16; k++)
            mine[k] = i + k;
        check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
        for (int k = 0; k < 16; k++)
            check_eq(mine[k], i + k);
        check_eq(weft_id(), id);
    }
    return arg != NULL;
}

Test(waitgroup, lesson_27_a_wait_that_ends_as_it_begins_is_whole, .timeout = 60)
{
    run_on_all(woken_as_shown, NULL);
}

static atomic_bool others_run, is_done;

static void keeps_the_p(void *arg)
{
    (void)arg;
    atomic_store(&others_run, true);
    while (!atomic_load(&is_done))
        ;
}

/* Computes until its P was passed on, to one that does not let go of it before this is done. */
static void last_done(void *wg)
{
    while (!atomic_load(&others_run))
        ;
    weft_waitgroup_done(*(weft_waitgroup **)wg);
    atomic_store(&is_done, true);
}

static int done_without_p(void *arg)
{
    weft_waitgroup wg = { { 0 } }, *at = &wg;

    weft_waitgroup_add(&wg, 1);
    check_eq(weft_go(keeps_the_p, NULL, 0), 0);
    check_eq(weft_go(last_done, &at, sizeof at), 0); /* runs first */
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    return arg != NULL;
}

/* As many threads as are needed: so nobody takes the P from the one that computes last. */
Test(waitgroup, the_last_done_wakes_all_though_its_p_was_taken, .timeout = 60)
{
    weft_options opt = { .procs = 1, .max_threads = 2 };

    cr_assert_eq(weft_run(&opt, done_without_p, NULL), 0);
}

/* ---- Misuse ---------------------------------------------------------------------------------------------- */

static int add_these(void *arg)
{
    const int64_t *values = arg;
    weft_waitgroup wg = { { 0 } };

    for (; *values != 0; values++)
        weft_waitgroup_add(&wg, *values);
    return 0;
}

static int run_add_these(void *arg)
{
    return weft_run(NULL, add_these, arg);
}

Test(waitgroup, a_count_below_zero_or_too_large_ends_the_process)
{
    static const int64_t below[][3] = {
        { -1 }, { 1, -2 }, { 5, INT64_MIN }, { INT32_MAX, INT64_MIN }
    };
    static const int64_t beyond[][3] = { { (int64_t)1 << 31 }, { INT32_MAX, 1 }, { 1, INT64_MAX } };

    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        assert_dies_saying(child_run(add_these, (void *)below[i]), "weft_waitgroup_add: the count");
        assert_dies_saying(child_run(run_add_these, (void *)below[i]), "negative");
    }
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        assert_dies_saying(child_run(add_these, (void *)beyond[i]), "beyond 2^31");
        assert_dies_saying(child_run(run_add_these, (void *)beyond[i]),
                           "weft_waitgroup_add: the count");
    }
}
