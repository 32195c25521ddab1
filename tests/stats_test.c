/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stats_test.c - weft_stats_read: each counter counts what the header says, begins anew with
 * each run, and can be read anywhere.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/procs.h"

static weft_stats     zero;
static weft_waitgroup all, gate;
static atomic_long    n;

static weft_stats read_now(void)
{
    weft_stats s;

    memset(&s, 0xff, sizeof s);
    weft_stats_read(&s);
    for (size_t i = 0; i < sizeof s.reserved / sizeof s.reserved[0]; i++)
        check_eq(s.reserved[i], 0);
    return s;
}

static void waits(void *arg)
{
    (void)arg;
    atomic_fetch_add(&n, 1);
    check_eq(weft_waitgroup_wait(&gate, WEFT_FOREVER), 0);
    weft_waitgroup_done(&all);
}

static void start_waiting(long many)
{
    atomic_store(&n, 0);
    weft_waitgroup_add(&gate, 1);
    weft_waitgroup_add(&all, many);
    for (long i = 0; i < many; i++)
        check_eq(weft_go(waits, NULL, 0), 0);
    await_yielding(atomic_load(&n) == many);
}

static void end_waiting(void)
{
    weft_waitgroup_done(&gate);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
}

static int coroutines(void *arg)
{
    weft_stats s = read_now();

    check(s.coroutines == 1 && s.started == 1); /* main, and nothing of the run before */
    start_waiting(500);
    s = read_now();
    check_eq(s.coroutines, 501);
    check_eq(s.started, 501);
    check(s.stack_bytes >= 501 * 4096 && s.stack_bytes < (uint64_t)1 << 30);
    end_waiting();
    await_yielding(read_now().coroutines == 1); /* the last may be in its last steps */
    check_eq(read_now().started, 501);
    return arg != NULL;
}

Test(stats, coroutines_alive_and_started)
{
    run_on_all(coroutines, NULL);
    weft_stats s = read_now();
    cr_assert_eq(memcmp(&s, &zero, sizeof s), 0, "none is running");
}

static void yields(void *arg)
{
    for (int i = 0; i < 1000; i++)
        weft_yield();
    weft_waitgroup_done(arg);
}

static int switches(void *arg)
{
    weft_stats before = read_now();

    for (int i = 0; i < 1000; i++)
        weft_yield(); /* to nobody */
    check(read_now().switches - before.switches < 100);
    before = read_now();
    weft_waitgroup_add(&all, 2);
    check_eq(weft_go(yields, &all, 0), 0);
    check_eq(weft_go(yields, &all, 0), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    uint64_t counted = read_now().switches - before.switches;
    check(counted >= 1950 && counted < 2200);
    return arg != NULL;
}

Test(stats, switches_are_those_from_one_coroutine_to_another)
{
    run_on(1, switches, NULL);
}

static void burns(void *arg)
{
    atomic_fetch_add(&n, 1);
    while (atomic_load(&n) < 2)
        ; /* one here, one on the other P */
    weft_waitgroup_done(arg);
}

static int steals(void *arg)
{
    weft_stats s = read_now();

    check(s.steals == 0 && s.stolen == 0);
    for (int i = 0; i < 20 && s.steals == 0; i++) {
        atomic_store(&n, 0);
        weft_waitgroup_add(&all, 2);
        check_eq(weft_go(burns, &all, 0), 0);
        check_eq(weft_go(burns, &all, 0), 0);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
        s = read_now();
    }
    check(s.steals > 0 && s.stolen >= s.steals);
    return arg != NULL;
}

static int no_steals(void *arg)
{
    start_waiting(400);
    end_waiting();
    weft_stats s = read_now();
    check(s.steals == 0 && s.stolen == 0);
    return arg != NULL;
}

Test(stats, steals_where_there_is_another_p, .timeout = 60)
{
    run_on(2, steals, NULL);
    run_on(1, no_steals, NULL);
}

static int sleeps(void *arg)
{
    weft_stats before = read_now();

    for (int i = 0; i < 50; i++)
        check_eq(weft_sleep(WEFT_MS), 0);
    weft_stats after = read_now();
    check(after.polls + after.parks > before.polls + before.parks);
    check_eq(after.handoffs, before.handoffs);
    check_eq(after.poll_events, 0); /* there are no descriptors */
    for (uint64_t i = 1; i <= 7; i++) {
        weft_block_enter();
        await(read_now().handoffs ==
              before.handoffs + i); /* at once, or after sysmon's next looks */
        weft_block_leave();
    }
    check(after.threads >= 1 && after.threads <= 16);
    return arg != NULL;
}

Test(stats, polls_parks_handoffs_and_threads, .timeout = 60)
{
    run_on_all(sleeps, NULL);
}

/* ---- From other threads ----------------------------------------------------------------------------- */

static atomic_bool over;

static void *reader(void *arg)
{
    while (!atomic_load(&over)) {
        weft_stats s = read_now();
        check(s.threads < 100 && s.coroutines <= 502);
    }
    return arg;
}

Test(stats, can_be_read_while_the_runtime_comes_and_goes, .timeout = 60)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, reader, NULL), 0);
    for (long i = 0; i < test_scaled(20); i++)
        run_on_all(coroutines, NULL);
    atomic_store(&over, true);
    pthread_join(thread, NULL);
}

/* ---- Memory is given back ------------------------------------------------------------------------------ */

static int burst(void *arg)
{
    start_waiting(5000);
    uint64_t high = read_now().stack_bytes;
    check(high >= 5000 * 4096);
    end_waiting();
    weft_time give_up = weft_after(60 * WEFT_S);
    while (read_now().stack_bytes > high / 4) {
        check(weft_now() < give_up);
        check_eq(weft_sleep(50 * WEFT_MS), 0);
    }
    return arg != NULL;
}

Test(stats, stack_bytes_fall_after_a_burst, .timeout = 120)
{
    run_on(1, burst, NULL);
    run_on(4, burst, NULL);
}
