/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sleep_test.c - time: never early, in order, cancelled, far away, zero; and timers of Ps that
 * are idle, busy or gone.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

#include "support/child.h"
#include "support/procs.h"

static atomic_long    n, turn;
static weft_waitgroup all;

/* ---- Values ------------------------------------------------------------------------------------------ */

Test(sleep, after_saturates)
{
    weft_time now = weft_now();

    cr_assert_gt(now, 0);
    cr_assert_geq(weft_after(0), now);
    cr_assert_geq(weft_after(WEFT_S), now + WEFT_S);
    cr_assert_eq(weft_after(INT64_MAX), WEFT_FOREVER);
    cr_assert_eq(weft_after(INT64_MAX - 1), WEFT_FOREVER);
    cr_assert_leq(weft_after(-WEFT_S), weft_now());
    cr_assert_leq(weft_after(INT64_MIN), weft_now());
}

static int passed_times(void *arg)
{
    static const int64_t ns[] = { 0, -1, INT64_MIN, INT64_MIN + 1 };

    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
        check_eq(weft_sleep(ns[i]), 0);
        check_eq(weft_sleep_until(ns[i]), 0);
    }
    check_eq(weft_sleep_until(weft_now()), 0);
    return arg != NULL;
}

Test(sleep, a_time_that_has_passed_is_no_wait, .timeout = 30)
{
    run_on_all(passed_times, NULL);
}

static int far_away(void *arg)
{
    int64_t ns = *(int64_t *)arg;

    atomic_fetch_add(&n, 1);
    check_eq(weft_sleep(ns), -ECANCELED);
    return 0;
}

static int far_away_until(void *arg)
{
    atomic_fetch_add(&n, 1);
    check_eq(weft_sleep_until(*(int64_t *)arg), -ECANCELED);
    return 0;
}

/* Lesson 19: values that overflow something on the way. */
static int far_times(void *arg)
{
    static const int64_t ns[] = { INT64_MAX,
                                  INT64_MAX - 1,
                                  INT64_MAX / 2,
                                  INT64_C(1) << 53,
                                  INT64_C(4294967296) * 1000000,
                                  INT64_C(13) * 24 * 3600 * WEFT_S };
    enum { NS = sizeof ns / sizeof ns[0] };
    weft_group g = WEFT_GROUP_INIT;

    atomic_store(&n, 0);
    for (int i = 0; i < NS; i++) {
        check_eq(weft_group_go(&g, far_away, (void *)&ns[i], sizeof ns[i]), 0);
        check_eq(weft_group_go(&g, far_away_until, (void *)&ns[i], sizeof ns[i]), 0);
    }
    await_yielding(atomic_load(&n) == 2 * NS);
    check_eq(weft_group_wait(&g, weft_after(10 * WEFT_MS), NULL), -ETIMEDOUT);
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

Test(sleep, lesson_19_times_far_away_do_not_pass_and_can_be_cancelled, .timeout = 30)
{
    run_on_all(far_times, NULL);
}

/* ---- Never early ----------------------------------------------------------------------------------- */

static void naps(void *arg)
{
    int64_t ns = *(int64_t *)arg;

    for (int i = 0; i < 20; i++) {
        weft_time before = weft_now();
        check_eq(weft_sleep(ns), 0);
        check(weft_now() - before >= ns);
        weft_time until = weft_after(ns);
        check_eq(weft_sleep_until(until), 0);
        check(weft_now() >= until);
    }
    weft_waitgroup_done(&all);
}

static int many_naps(void *arg)
{
    for (int64_t ns = 1; ns < 4 * WEFT_MS; ns = ns * 5 / 3 + 1) {
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(naps, &ns, sizeof ns), 0);
    }
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(sleep, is_never_early, .timeout = 60)
{
    run_on_all(many_naps, NULL);
}

/* ---- Order ------------------------------------------------------------------------------------------- */

enum { SLEEPERS = 200 };

struct wake_at {
    long      number;
    weft_time at;
};

static long woken_as[SLEEPERS];

static void in_turn(void *arg)
{
    struct wake_at my = *(struct wake_at *)arg;

    atomic_fetch_add(&n, 1);
    check_eq(weft_sleep_until(my.at), 0);
    woken_as[atomic_fetch_add(&turn, 1)] = my.number;
    weft_waitgroup_done(&all);
}

/* Started in another order.  True: all slept before the first was due. */
static bool sleep_in_disorder(int64_t ns)
{
    weft_time start = weft_after(ns);

    atomic_store(&n, 0);
    atomic_store(&turn, 0);
    weft_waitgroup_add(&all, SLEEPERS);
    for (long i = 0; i < SLEEPERS; i++) {
        long           number = i * 77 % SLEEPERS; /* 77 and 200 have no common factor */
        struct wake_at my = { number, start + number * 10 * WEFT_US };
        check_eq(weft_go(in_turn, &my, sizeof my), 0);
    }
    await_yielding(atomic_load(&n) == SLEEPERS);
    bool in_time = weft_now() < start;
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check_eq(atomic_load(&turn), SLEEPERS);
    return in_time;
}

/* On one P they wake in order of time. */
static int in_order(void *arg)
{
    for (int64_t ns = 20 * WEFT_MS; !sleep_in_disorder(ns); ns *= 2) /* the machine is busy */
        check(ns < 10 * WEFT_S);
    for (long i = 0; i < SLEEPERS; i++)
        check_eq(woken_as[i], i);
    return arg != NULL;
}

Test(sleep, sleepers_wake_in_the_order_of_their_times, .timeout = 30)
{
    run_on(1, in_order, NULL);
}

/* ---- Zero ---------------------------------------------------------------------------------------------- */

static void zero_sleeps(void *arg)
{
    long rounds = *(long *)arg;

    for (long i = 0; i < rounds; i++)
        check_eq(weft_sleep(i % 2), 0); /* 0 yields, 1 is due as soon as it is set */
    atomic_fetch_add(&n, rounds);
    weft_waitgroup_done(&all);
}

static int zero_timers(void *arg)
{
    long rounds = test_scaled(5000);

    atomic_store(&n, 0);
    weft_waitgroup_add(&all, 8);
    for (int i = 0; i < 8; i++)
        check_eq(weft_go(zero_sleeps, &rounds, sizeof rounds), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check_eq(atomic_load(&n), 8 * rounds);
    return arg != NULL;
}

/* ZeroTimer, and timers of Ps that lie idle: lesson 16. */
Test(sleep, lesson_16_no_timer_of_no_length_is_missed, .timeout = 60)
{
    run_on_all(zero_timers, NULL);
}

/* ---- Timers of other Ps ------------------------------------------------------------------------------ */

static atomic_bool woken;

static void wake(void *arg)
{
    (void)arg;
    check_eq(weft_sleep(2 * WEFT_MS), 0);
    atomic_store(&woken, true);
}

/* The sleeper's timer lies in this P's heap, and this P never looks at it. */
static int busy_owner(void *arg)
{
    atomic_store(&woken, false);
    check_eq(weft_go(wake, NULL, 0), 0);
    weft_yield(); /* it sleeps now, or runs on the other P */
    weft_time give_up = weft_after(60 * WEFT_S);
    while (!atomic_load(&woken))
        check(weft_now() < give_up);
    return arg != NULL;
}

Test(sleep, a_timer_of_a_busy_p_is_run_by_another, .timeout = 90)
{
    for (int procs = 2; procs <= 4; procs++)
        for (int i = 0; i < 5; i++)
            run_on(procs, busy_owner, NULL);
}

/* Earlier than what the poller waits for: lesson 17. */
static int moved_earlier(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int64_t    hour = 3600 * WEFT_S;

    check_eq(weft_group_go(&g, far_away, &hour, sizeof hour), 0);
    for (int i = 0; i < 50; i++)
        check_eq(weft_sleep((50 - i) * 20 * WEFT_US), 0);
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

Test(sleep, lesson_17_a_timer_before_all_others_is_not_slept_through, .timeout = 60)
{
    run_on_all(moved_earlier, NULL);
}

static atomic_bool ran;

static void runs(void *arg)
{
    (void)arg;
    atomic_store(&ran, true);
}

/* Busy, in code that never calls weft. */
static void compute(int64_t ns)
{
    for (weft_time until = weft_after(ns); weft_now() < until;)
        ;
}

/* The other P comes to life, has nothing to do, and polls until the hour is over; then this one
 * sets an earlier timer, and goes idle. */
static int earlier_than_the_poll(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int64_t    hour = 3600 * WEFT_S;

    check_eq(weft_group_go(&g, far_away, &hour, sizeof hour), 0);
    for (int i = 0; i < 10; i++) {
        atomic_store(&ran, false);
        check_eq(weft_go(runs, NULL, 0), 0);
        for (weft_time give_up = weft_after(60 * WEFT_S); !atomic_load(&ran);)
            check(weft_now() < give_up);
        compute(3 * WEFT_MS);
        check_eq(weft_sleep(WEFT_MS), 0);
    }
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

Test(sleep, lesson_17_an_earlier_timer_breaks_the_poll_of_another_p, .timeout = 60)
{
    for (int procs = 2; procs <= 4; procs++)
        run_on(procs, earlier_than_the_poll, NULL);
}

/* ---- Timers set and taken back while others fire: lesson 18 -------------------------------------------- */

static void resets(void *arg)
{
    for (long i = 0; i < test_scaled(400); i++) {
        weft_waitgroup never = { { 0 } };
        weft_waitgroup_add(&never, 1);
        check_eq(weft_waitgroup_wait(&never, weft_after(i % 30 * WEFT_US)), -ETIMEDOUT);
    }
    weft_waitgroup_done(arg);
}

static int reset_storm(void *arg)
{
    weft_time before = weft_now();

    weft_waitgroup_add(&all, 32);
    for (int i = 0; i < 32; i++)
        check_eq(weft_go(resets, &all, 0), 0);
    for (int i = 0; i < 10; i++)
        check_eq(weft_sleep(WEFT_MS), 0); /* comes through */
    check(weft_now() - before >= 10 * WEFT_MS);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(sleep, lesson_18_storms_of_deadlines_starve_nobody, .timeout = 60)
{
    run_on_all(reset_storm, NULL);
}

/* ---- Idle ------------------------------------------------------------------------------------------------ */

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * WEFT_S + t.tv_nsec;
}

static int idle(void *arg)
{
    check_eq(weft_sleep(100 * WEFT_MS), 0); /* whatever still settles */
    int64_t before = cpu_ns();
    check_eq(weft_sleep(500 * WEFT_MS), 0);
    check(cpu_ns() - before < 50 * WEFT_MS); /* a thread that spins would take ten times this */
    return arg != NULL;
}

/* A stale "earliest" makes a busy loop (17), and so do Ms that spin for nothing (25). */
Test(sleep, lesson_25_an_idle_process_uses_no_cpu, .timeout = 60)
{
    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, idle, NULL);
}

static int trickle(void *arg)
{
    int64_t before = cpu_ns();

    for (int i = 0; i < 300; i++)
        check_eq(weft_sleep(WEFT_MS), 0);
    check(cpu_ns() - before <
          150 * WEFT_MS); /* half of one core of the 300 ms that pass at least */
    return arg != NULL;
}

Test(sleep, lesson_25_a_trickle_of_work_keeps_no_thread_spinning, .timeout = 60)
{
    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, trickle, NULL);
}
