/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/hog_test.c - coroutines that block or compute without saying so: their Ps go on with others,
 * they come back on their own thread, and those that computed wait their turn as others do; threads
 * that nobody needs any more end.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "support/child.h"
#include "support/procs.h"

enum { HOGS = 6 };

static atomic_int     running, finished;
static atomic_bool    enough;
static int            ends[2]; /* of a pipe on which threads block */
static weft_waitgroup all;

static pid_t thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static int64_t cpu_time(clockid_t whose)
{
    struct timespec t;

    check_eq(clock_gettime(whose, &t), 0);
    return t.tv_sec * WEFT_S + t.tv_nsec;
}

/* ---- Others go on ------------------------------------------------------------------------------- */

static void computes(void *arg)
{
    pid_t thread = thread_id();

    atomic_fetch_add(&running, 1);
    while (!atomic_load(&enough))
        ;
    check(!weft_cancelled()); /* needs a P, and stays on its thread */
    check_eq(thread_id(), thread);
    weft_waitgroup_done(arg);
}

static void blocks(void *arg)
{
    pid_t thread = thread_id();
    char  c;

    atomic_fetch_add(&running, 1);
    check_eq(read(ends[0], &c, 1), 1);
    check(!weft_cancelled());
    check_eq(thread_id(), thread);
    weft_waitgroup_done(arg);
}

/* With the Ps of all of them taken, the main coroutine sleeps, wakes and lets them end. */
static void beside(void (*hog)(void *arg))
{
    atomic_store(&running, 0);
    atomic_store(&enough, false);
    weft_waitgroup_add(&all, HOGS);
    for (int i = 0; i < HOGS; i++)
        check_eq(weft_go(hog, &all, 0), 0);
    while (atomic_load(&running) < HOGS)
        check_eq(weft_sleep(WEFT_MS), 0);
    check_eq(weft_sleep(20 * WEFT_MS), 0);
    atomic_store(&enough, true);
    for (int i = 0; i < HOGS && hog == blocks; i++)
        check_eq(write(ends[1], "x", 1), 1);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
}

static int beside_both(void *arg)
{
    weft_stats s;

    check_eq(pipe(ends), 0);
    beside(computes);
    beside(blocks);
    weft_stats_read(&s);
    check((long)s.handoffs >= 2L * (HOGS - weft_procs())); /* the last ones may keep theirs */
    close(ends[0]);
    close(ends[1]);
    return arg != NULL;
}

Test(hog, others_run_while_all_ps_block_or_compute, .timeout = 60)
{
    run_on_all(beside_both, NULL);
}

/* ---- One that calls weft, but never waits: it is taken out at a call ------------------------------ */

static void calls_all_the_time(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(unsigned), 1);
    unsigned   v = 7;

    atomic_fetch_add(&running, 1);
    while (!atomic_load(&enough)) {
        for (unsigned i = 0; i < 1000; i++)
            v = v * 31 + i;
        check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), 0);
        check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), 0);
    }
    weft_chan_unref(c);
    weft_waitgroup_done(arg);
}

static int beside_callers(void *arg)
{
    beside(calls_all_the_time);
    return arg != NULL;
}

Test(hog, one_that_calls_but_never_waits_shares_its_p, .timeout = 60)
{
    run_on_all(beside_callers, NULL);
}

static void says_enough(void *arg)
{
    atomic_store(&enough, true);
    check(arg == NULL);
}

/* Blocks that are over long before one would be noticed: it is that they do not end which is.  The
 * process has nothing else to do, so its CPU time is that of the one who blocks. */
static bool blocks_for_moments(int calls)
{
    int64_t end = cpu_time(CLOCK_PROCESS_CPUTIME_ID) + WEFT_S;

    atomic_store(&enough, false);
    check_eq(weft_go(says_enough, NULL, 0), 0);
    while (!atomic_load(&enough) && cpu_time(CLOCK_PROCESS_CPUTIME_ID) < end)
        for (int i = 0; i < 100; i++) {
            weft_block_enter();
            for (int k = 0; k < calls; k++)
                (void)getppid();
            weft_block_leave();
        }
    return atomic_load(&enough);
}

static int beside_short_blocks(void *arg)
{
    for (int i = 0; i < 10; i++) {
        check(blocks_for_moments(0));
        check(blocks_for_moments(20));
    }
    return arg != NULL;
}

Test(hog, one_that_blocks_again_and_again_shares_its_p, .timeout = 60)
{
    run_on_all(beside_short_blocks, NULL);
}

/* ---- Timers, descriptors, and hogs that come and go ------------------------------------------------- */

static void naps(void *arg)
{
    struct timespec t = { .tv_nsec = 3 * 1000 * 1000 };

    for (int i = 0; i < 5; i++) {
        nanosleep(&t, NULL);
        weft_yield();
    }
    weft_waitgroup_done(arg);
}

static void talks(void *arg)
{
    int v;

    for (int i = 0; i < 200; i++) {
        check_eq(weft_sleep(50 * WEFT_US), 0);
        check_eq(weft_chan_recv(arg, &v), 0);
        check_eq(v, i);
    }
    weft_waitgroup_done(&all);
}

static int nappers(void *arg)
{
    enum { NAPPERS = 30 };
    weft_chan *c = weft_chan_new(sizeof(int), 0);

    weft_waitgroup_add(&all, NAPPERS + 1);
    for (int i = 0; i < NAPPERS; i++)
        check_eq(weft_go(naps, &all, 0), 0);
    check_eq(weft_go(talks, c, 0), 0);
    for (int i = 0; i < 200; i++)
        check_eq(weft_chan_send(c, &i), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    weft_chan_unref(c);
    return arg != NULL;
}

Test(hog, they_come_and_go_beside_a_conversation, .timeout = 60)
{
    run_on_all(nappers, NULL);
}

/* ---- Many that compute ------------------------------------------------------------------------------ */

static void computes_a_while(void *arg)
{
    clockid_t own = CLOCK_THREAD_CPUTIME_ID;

    for (int64_t end = cpu_time(own) + 20 * WEFT_MS; cpu_time(own) < end;)
        ;
    weft_waitgroup_done(arg);
}

/* A P is passed on for the CPU time that its M had, not for what it waited for: so those that
 * compute do not all begin, and need a thread each, before the first of them end. */
static int few_threads_compute(void *arg)
{
    long       many = test_scaled(150), most = *(long *)arg;
    weft_stats s;

    weft_waitgroup_add(&all, many);
    for (long i = 0; i < many; i++)
        check_eq(weft_go(computes_a_while, &all, 0), 0);
    while (weft_waitgroup_wait(&all, weft_after(5 * WEFT_MS)) == -ETIMEDOUT) {
        weft_stats_read(&s);
        check(s.threads <= (uint64_t)most);
    }
    return 0;
}

Test(hog, many_that_compute_need_few_threads, .timeout = 60)
{
    long most = 40;

    run_on(2, few_threads_compute, &most);
}

/* At the cap they share the threads that there are. */
Test(hog, the_cap_on_threads_does_not_end_those_that_compute, .timeout = 60)
{
    weft_options opt = { .procs = 2, .max_threads = 3 };
    long         most = 3;

    cr_assert_eq(weft_run(&opt, few_threads_compute, &most), 0);
}

/* ---- The stop ------------------------------------------------------------------------------------------ */

static void computes_for_ever(void *arg)
{
    atomic_fetch_add(&running, 1);
    while (!atomic_load(&enough))
        ;
    atomic_fetch_add(&finished, 1);
    weft_yield(); /* the runtime is gone: never returns */
    atomic_fetch_add(&finished, 100);
    check(arg == NULL);
}

static int starts_hogs(void *arg)
{
    for (int i = 0; i < HOGS; i++)
        check_eq(weft_go(computes_for_ever, NULL, 0), 0);
    while (atomic_load(&running) < HOGS)
        check_eq(weft_sleep(WEFT_MS), 0);
    return arg != NULL;
}

static int leaves_hogs_behind(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = WEFT_MS };

    check_eq(weft_run(&opt, starts_hogs, arg), 0);
    atomic_store(&enough, true);
    await(atomic_load(&finished) == HOGS);
    run_on_all(beside_callers, NULL); /* the next runtime has none of their Ps or threads */
    check_eq(atomic_load(&finished), HOGS);
    return 0;
}

Test(hog, those_left_at_the_stop_are_abandoned, .timeout = 60)
{
    struct child *c = child_run(leaves_hogs_behind, NULL);

    cr_assert_eq(c->status, 0, "signal %d: %s", c->signal, c->text);
    cr_assert_eq(child_lines(c), HOGS, "%s", c->text);
}

/* ---- Threads that nobody needs end ------------------------------------------------------------------------ */

static void blocks_announced(void *arg)
{
    char c;

    weft_block_enter();
    atomic_fetch_add(&running, 1);
    check_eq(read(ends[0], &c, 1), 1);
    weft_block_leave();
    weft_waitgroup_done(arg);
}

static int thousand(void *arg)
{
    long       many = test_scaled(1000);
    weft_stats s;

    check_eq(pipe(ends), 0);
    atomic_store(&running, 0);
    weft_waitgroup_add(&all, many);
    for (long i = 0; i < many; i++)
        check_eq(weft_go(blocks_announced, &all, 0), 0);
    while (atomic_load(&running) < many)
        check_eq(weft_sleep(WEFT_MS), 0);
    weft_stats_read(&s);
    check(s.threads >= (uint64_t)many);
    for (long i = 0; i < many; i++)
        check_eq(write(ends[1], "x", 1), 1);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    for (int i = 0; s.threads >= 20 && i < 600; i++) { /* they retire after 5 s of idleness */
        check_eq(weft_sleep(50 * WEFT_MS), 0);
        weft_stats_read(&s);
    }
    check(s.threads < 20);
    close(ends[0]);
    close(ends[1]);
    return arg != NULL;
}

Test(hog, a_thousand_threads_are_made_and_retire, .timeout = 60)
{
    run_on(2, thousand, NULL);
}
