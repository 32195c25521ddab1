/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/block_test.c - weft_block_enter and weft_block_leave: the P goes on with others meanwhile,
 * counted, uncancelled; threads are made, capped and used again; the stop with some still inside.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/procs.h"

static atomic_long    n;
static atomic_bool    passed;
static int            ends[2]; /* of a pipe on which a thread blocks */
static weft_waitgroup all;

static void wait_blocked(void)
{
    char c;

    check_eq(read(ends[0], &c, 1), 1);
}

static void let_one_go(void)
{
    check_eq(write(ends[1], "x", 1), 1);
}

/* ---- The P goes on ---------------------------------------------------------------------------------- */

static void counts_and_yields(void *arg)
{
    weft_yield();
    atomic_fetch_add(&n, 1);
    if (atomic_load(&n) == *(long *)arg)
        let_one_go(); /* the last of them frees the one who blocks */
    weft_waitgroup_done(&all);
}

/* Runnext, the ring and what has spilled: all of it runs on the one P while main's thread blocks. */
static int hands_over(void *arg)
{
    long counts[] = { 1, 2, 50, 700 };

    check_eq(pipe(ends), 0);
    for (int i = 0; i < 4; i++) {
        atomic_store(&n, 0);
        weft_waitgroup_add(&all, counts[i]);
        for (long k = 0; k < counts[i]; k++)
            check_eq(weft_go(counts_and_yields, &counts[i], sizeof counts[i]), 0);
        weft_block_enter();
        wait_blocked();
        weft_block_leave();
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    close(ends[0]);
    close(ends[1]);
    return arg != NULL;
}

Test(block, lesson_24_the_whole_p_is_handed_over, .timeout = 60)
{
    run_on_all(hands_over, NULL);
}

static void wakes_soon(void *arg)
{
    check_eq(weft_sleep(2 * WEFT_MS), 0);
    let_one_go();
    check(arg == NULL);
}

/* Nothing is runnable as the P is given up: its timer must be seen to all the same. */
static int timer_meanwhile(void *arg)
{
    check_eq(pipe(ends), 0);
    check_eq(weft_go(wakes_soon, NULL, 0), 0);
    weft_yield();
    weft_block_enter();
    wait_blocked();
    weft_block_leave();
    close(ends[0]);
    close(ends[1]);
    return arg != NULL;
}

Test(block, timers_are_seen_to_while_all_threads_block, .timeout = 60)
{
    run_on_all(timer_meanwhile, NULL);
}

/* ---- Calls marked [anywhere] between enter and leave ------------------------------------------------ */

static weft_sem   sem;
static weft_chan *chan;

static void waits_for_a_permit(void *arg)
{
    check_eq(weft_sem_acquire(&sem, WEFT_FOREVER), 0);
    weft_waitgroup_done(arg);
}

static void waits_for_an_element(void *arg)
{
    int v;

    check_eq(weft_chan_recv(chan, &v), 0);
    check_eq(v, 7);
    check_eq(weft_chan_recv(chan, &v), -EPIPE);
    weft_waitgroup_done(arg);
}

static weft_waitgroup inner;

static void waits_for_the_count(void *arg)
{
    check_eq(weft_waitgroup_wait(&inner, WEFT_FOREVER), 0);
    weft_waitgroup_done(arg);
}

static int wakes_from_inside(void *arg)
{
    int v = 7;

    for (int i = 0; i < 20; i++) {
        chan = weft_chan_new(sizeof v, 0);
        weft_waitgroup_add(&all, 3);
        weft_waitgroup_add(&inner, 1);
        check_eq(weft_go(waits_for_the_count, &all, 0), 0);
        check_eq(weft_go(waits_for_a_permit, &all, 0), 0);
        check_eq(weft_go(waits_for_an_element, &all, 0), 0);
        check_eq(weft_sleep(WEFT_MS), 0);
        weft_block_enter();
        if (i % 2) /* the P is taken meanwhile */
            usleep(3000);
        weft_waitgroup_done(&inner);
        weft_sem_release(&sem, 1);
        while (weft_chan_send_until(chan, &v, WEFT_NOWAIT) != 0)
            ;
        check_eq(weft_chan_close(chan), 0);
        weft_block_leave();
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
        weft_chan_unref(chan);
    }
    return arg != NULL;
}

Test(block, others_are_woken_from_inside, .timeout = 60)
{
    run_on_all(wakes_from_inside, NULL);
}

/* ---- Counted ------------------------------------------------------------------------------------------ */

static int nested(void *arg)
{
    uint64_t   id = weft_id();
    weft_stats before, after;

    weft_stats_read(&before);
    for (int i = 0; i < 10; i++) {
        weft_block_enter();
        weft_block_enter();
        weft_block_enter();
        check_eq(weft_id(), id);
        weft_block_leave();
        weft_block_leave();
        check_eq(weft_id(), id);
        weft_block_leave();
        check_eq(weft_id(), id);
        check_eq(weft_sleep(0), 0);
    }
    weft_stats_read(&after);
    check(after.handoffs - before.handoffs <= 10); /* short ones keep their P */
    return arg != NULL;
}

Test(block, is_counted)
{
    run_on_all(nested, NULL);
}

/* ---- Cancellation --------------------------------------------------------------------------------------- */

static int blocks_and_is_cancelled(void *arg)
{
    weft_block_enter();
    atomic_fetch_add(&n, 1);
    wait_blocked();
    atomic_store(&passed, true);
    weft_block_leave(); /* void: waits through it */
    check(weft_cancelled());
    check_eq(weft_sleep(0), -ECANCELED);
    return arg != NULL;
}

static int cancels_a_blocked_one(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int        first;

    check_eq(pipe(ends), 0);
    atomic_store(&n, 0);
    atomic_store(&passed, false);
    check_eq(weft_group_go(&g, blocks_and_is_cancelled, NULL, 0), 0);
    await_yielding(atomic_load(&n) == 1);
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, weft_after(5 * WEFT_MS), NULL), -ETIMEDOUT);
    check(!atomic_load(&passed));
    let_one_go();
    check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    check_eq(first, 0);
    close(ends[0]);
    close(ends[1]);
    return arg != NULL;
}

Test(block, cancellation_does_not_interrupt_it, .timeout = 60)
{
    run_on_all(cancels_a_blocked_one, NULL);
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

enum { CROWD = 60 };

static pthread_barrier_t barrier;

static void meets_blocked(void *arg)
{
    weft_block_enter();
    pthread_barrier_wait(&barrier); /* all of them must be here at once, on a thread each */
    weft_block_leave();
    check(arg == &all);
    weft_waitgroup_done(arg);
}

static int crowds(void *arg)
{
    weft_stats first, last;

    pthread_barrier_init(&barrier, NULL, CROWD);
    for (int i = 0; i < 5; i++) {
        weft_waitgroup_add(&all, CROWD);
        for (int k = 0; k < CROWD; k++)
            check_eq(weft_go(meets_blocked, &all, 0), 0);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
        weft_stats_read(i == 0 ? &first : &last);
    }
    pthread_barrier_destroy(&barrier);
    check(first.threads >= CROWD);
    check(last.threads <= first.threads + CROWD / 2); /* they are used again */
    return arg != NULL;
}

Test(block, more_than_ps_block_at_once_and_threads_are_used_again, .timeout = 60)
{
    run_on_all(crowds, NULL);
}

static int too_many(void *arg)
{
    weft_options opt = { .procs = 2, .max_threads = 8 };

    return weft_run(&opt, crowds, arg);
}

Test(block, one_thread_over_the_cap_ends_the_process)
{
    assert_dies_saying(child_run(too_many, NULL), "more than 8 threads are needed");
}

/* ---- The stop: lesson 24 ---------------------------------------------------------------------------------- */

static void blocks(void *arg)
{
    weft_block_enter();
    atomic_fetch_add(&n, 1);
    wait_blocked();
    atomic_fetch_add(&n, 100);
    weft_block_leave();
    check_eq(weft_sleep(0), -ECANCELED);
    atomic_fetch_add(&n, 10000);
    check(arg == NULL);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* Once the stop has begun, which shows in that nothing can be started any more. */
static void *lets_go(void *arg)
{
    long many = *(long *)arg;

    await(weft_go(nothing, NULL, 0) == -ECANCELED);
    for (long i = 0; i < many; i++)
        let_one_go();
    return NULL;
}

static int leave_blocked(void *arg)
{
    long many = *(long *)arg;

    for (long i = 0; i < many; i++)
        check_eq(weft_go(blocks, NULL, 0), 0);
    await_yielding(atomic_load(&n) == many);
    return 0;
}

Test(block, lesson_24_the_stop_waits_for_those_inside, .timeout = 60)
{
    static const int procs[] = { 1, 2, 4 };
    long             many = 5;

    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        atomic_store(&n, 0);
        cr_assert_eq(pthread_create(&thread, NULL, lets_go, &many), 0);
        run_on(procs[i], leave_blocked, &many);
        pthread_join(thread, NULL);
        cr_assert_eq(n, many * (1 + 100 + 10000));
    }
}

static int abandon_blocked(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = WEFT_MS };
    long         many = 3;

    check_eq(pipe(ends), 0);
    check_eq(weft_run(&opt, leave_blocked, &many), 0);
    for (long i = 0; i < many; i++)
        let_one_go();
    await(atomic_load(&n) == many * 101); /* in their own code they go on */
    int fds[2] = { ends[0], ends[1] };
    run_on_all(hands_over, NULL);
    check_eq(atomic_load(&n),
             700); /* hands_over's last count: none came back and added its 10000 */
    close(fds[0]);
    close(fds[1]);
    return arg != NULL;
}

Test(block, lesson_24_one_that_stays_inside_is_abandoned_and_never_comes_back, .timeout = 60)
{
    struct child *c = child_run(abandon_blocked, NULL);

    cr_assert_eq(c->status, 0, "signal %d: %s", c->signal, c->text);
    cr_assert_eq(child_lines(c), 3, "%s", c->text);
    cr_assert_not_null(strstr(c->text, "did not end when the runtime stopped"), "%s", c->text);
}
