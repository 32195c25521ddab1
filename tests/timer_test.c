/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/timer_test.c - weft_timer by the rule of Go 1.23: no value of an old setting after stop or
 * reset, len and cap 0, ticks dropped; and sleeps, of which none is early.
 */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(timer, .timeout = 120);

#define HOUR (3600 * WEFT_S)

static weft_timer *make(weft_time first, int64_t period)
{
    weft_timer *t = weft_timer_new(first, period);

    check(t != NULL);
    check_eq(weft_chan_len(weft_timer_chan(t)), 0);
    check_eq(weft_chan_cap(weft_timer_chan(t)), 0);
    return t;
}

static bool has_value(weft_timer *t)
{
    weft_time v;

    return weft_chan_recv_until(weft_timer_chan(t), &v, WEFT_NOWAIT) == 0;
}

/* The value of t, which was due at `due`: not before, and not from the future. */
static weft_time take(weft_timer *t, weft_time due)
{
    weft_time v;

    check_eq(weft_chan_recv_until(weft_timer_chan(t), &v, weft_after(PATIENCE)), 0);
    check(v >= due && v <= weft_now());
    return v;
}

/* What was due at `due` has fired; if not, the test would only see less. */
static void let_fire(weft_time due)
{
    check_eq(weft_sleep_until(due + 2 * WEFT_MS), 0);
    for (int i = 0; i < 200; i++)
        weft_yield();
}

/* ---- One shot ------------------------------------------------------------------------------------------- */

static int one_shot(void *arg)
{
    weft_time   due = weft_after(WEFT_MS);
    weft_timer *t = make(due, 0);

    take(t, due); /* waits for it */
    check(!has_value(t));
    check(!weft_timer_stop(t)); /* it has fired, and its value was received */
    check(!weft_timer_reset(t, due = weft_after(WEFT_MS), 0));
    let_fire(due);
    check_eq(weft_chan_len(weft_timer_chan(t)), 0); /* even now */
    check_eq(weft_chan_cap(weft_timer_chan(t)), 0);
    take(t, due); /* had waited in the channel */
    check(!has_value(t));
    weft_timer_free(t);
    weft_timer_free(NULL);
    check(weft_timer_new(WEFT_NOWAIT, -1) == NULL);
    return arg != NULL;
}

Test(timer, fires_once_with_the_time)
{
    run_on_1_2_8(one_shot, NULL);
}

/* Stop and reset tell whether it was still to fire: no value of it was received. */
static int results(void *arg)
{
    weft_timer *t = make(weft_after(HOUR), 0);

    check(weft_timer_stop(t));
    check(!weft_timer_stop(t));
    check(!weft_timer_reset(t, weft_after(HOUR), 0));
    check(weft_timer_reset(t, weft_after(HOUR), HOUR));
    check(weft_timer_stop(t));
    for (int period = 0; period < 2; period++)
        for (int how = 0; how < 2; how++) { /* fired, but not received: taken back */
            weft_time due = weft_after(100 * WEFT_US);
            check(!weft_timer_reset(t, due, period ? HOUR : 0));
            let_fire(due);
            check(how ? weft_timer_stop(t) : weft_timer_reset(t, weft_after(HOUR), 0));
            check(!has_value(t)); /* not a stale one */
            check(weft_timer_stop(t) == !how);
        }
    weft_timer_free(t);
    return arg != NULL;
}

Test(timer, stop_and_reset_take_back_what_was_not_received)
{
    run_on_1_2_8(results, NULL);
}

/* ---- Extreme times ------------------------------------------------------------------------------------------ */

static int extremes(void *arg)
{
    static const weft_time past[] = { 0, -1, INT64_MIN, 1 };
    static const weft_time never[] = { INT64_MAX, INT64_MAX - 1 };

    for (int i = 0; i < COUNT(past); i++) {
        weft_timer *t = make(past[i], i % 2 ? INT64_MAX : 0); /* at once, but once */
        take(t, 0);
        let_fire(weft_now());
        check(!has_value(t));
        check_eq(weft_timer_stop(t), i % 2);
        weft_timer_free(t);
    }
    for (int i = 0; i < COUNT(never); i++) {
        weft_timer *t = make(never[i], INT64_MAX);
        let_fire(weft_now());
        check(!has_value(t));
        check(weft_timer_reset(t, weft_after(INT64_MAX), 1));
        check(weft_timer_stop(t));
        weft_timer_free(t);
    }
    check_eq(weft_after(INT64_MAX), WEFT_FOREVER);
    check(weft_after(INT64_MIN) <= weft_now());
    check_eq(weft_sleep(INT64_MIN), 0);
    check_eq(weft_sleep_until(INT64_MIN), 0);
    return arg != NULL;
}

Test(timer, overflow_and_times_long_past)
{
    run_on_1_2_8(extremes, NULL);
}

/* Due already when they are made: none is missed, and freeing meets the firing. */
static int zero_timers(void *arg)
{
    for (long i = 0; i < test_scaled(20000); i++) {
        weft_timer *t = make(i % 2 ? WEFT_NOWAIT : weft_now(), 0);
        if (i % 16 == 0)
            take(t, 0);
        weft_timer_free(t);
    }
    return arg != NULL;
}

Test(timer, zero_timers_fire)
{
    run_on_1_2_8(zero_timers, NULL);
}

static int receive_from(void *arg)
{
    return weft_chan_recv(arg, NULL);
}

/* Stopped first, it fires no more; who waits all the same, and who holds the channel, hears. */
static int freed_after_a_stop(void *arg)
{
    weft_timer *t = make(WEFT_FOREVER, 0);
    attempt     waiter = { .op = receive_from, .arg = weft_timer_chan(t) };
    weft_group  g = WEFT_GROUP_INIT;

    check(weft_timer_stop(t));
    attempt_start(&waiter, &g);
    check(!waiter.done);
    weft_timer_free(t);
    join_group(&g);
    check_eq(waiter.result, -EPIPE);

    t = make(WEFT_FOREVER, 0);
    weft_chan *c = weft_chan_ref(weft_timer_chan(t));
    check(weft_timer_stop(t));
    weft_timer_free(t);
    check_eq(weft_chan_recv(c, NULL), -EPIPE);
    weft_chan_unref(c);
    return arg != NULL;
}

Test(timer, freed_after_a_stop_it_closes_its_channel)
{
    run_on(1, freed_after_a_stop, NULL);
}

/* ---- Order ------------------------------------------------------------------------------------------------------ */

static int modified_earlier(void *arg)
{
    weft_timer *many[64], *t = make(weft_after(HOUR), 0);
    weft_time   due;

    for (int i = 0; i < 64; i++)
        many[i] = make(weft_after(HOUR + i * WEFT_S), 0);
    check(weft_timer_reset(t, due = weft_after(WEFT_MS), 0)); /* while an M may wait for an hour */
    take(t, due);
    for (int i = 63; i >= 0; i--)
        check(weft_timer_reset(many[i], due = weft_after((64 - i) * 50 * WEFT_US), 0));
    for (int i = 0; i < 64; i++)
        take(many[i], 0);
    for (int i = 0; i < 64; i++)
        weft_timer_free(many[i]);
    weft_timer_free(t);
    return arg != NULL;
}

Test(timer, moved_earlier)
{
    run_on_1_2_8(modified_earlier, NULL);
}

/* The values are times: in the order of the deadlines, whoever is received first. */
static int in_order(void *arg)
{
    weft_timer *t[20];
    weft_time   base = weft_after(WEFT_MS), last = 0;

    for (int i = 19; i >= 0; i--)
        t[i] = make(base + i * 200 * WEFT_US, 0);
    for (int i = 0; i < 20; i++) {
        weft_time at = take(t[i], base + i * 200 * WEFT_US);
        check(at >= last);
        last = at;
        weft_timer_free(t[i]);
    }
    return arg != NULL;
}

Test(timer, fire_in_the_order_of_their_deadlines)
{
    run_on(1, in_order, NULL);
}

/* ---- Tickers ---------------------------------------------------------------------------------------------------- */

static int ticker(void *arg)
{
    weft_time   first = weft_after(WEFT_MS), last = 0;
    weft_timer *t = make(first, WEFT_MS / 2);

    for (int i = 0; i < 10; i++) {
        weft_time at = take(t, first + i * (WEFT_MS / 2));
        check(at > last);
        last = at;
    }
    let_fire(weft_after(10 * WEFT_MS)); /* twenty ticks: all but one are dropped */
    check_eq(weft_chan_len(weft_timer_chan(t)), 0);
    check(weft_timer_reset(t, weft_after(HOUR), HOUR));
    check(!has_value(t));
    check(weft_timer_reset(t, weft_now(), WEFT_MS)); /* and ticks on anew */
    for (int i = 0; i < 3; i++)
        take(t, last);
    check(weft_timer_stop(t));
    check(!has_value(t));
    weft_timer_free(t);
    return arg != NULL;
}

Test(timer, ticks_until_it_is_stopped)
{
    run_on_1_2_8(ticker, NULL);
}

/* Ticks that nobody could deliver, as one computed, do not follow in a burst: the next value comes
 * no sooner than the next period of the first grid. */
static int drops(void *arg)
{
    const int64_t period = 4 * WEFT_MS;
    weft_time     first = weft_after(WEFT_MS), v = first;
    weft_timer   *t = make(first, period);

    for (int i = 0; i < 5; i++) {
        weft_time due = first + ((v - first) / period + (i > 0)) * period;
        for (weft_time end = weft_after(i % 2 * 13 * WEFT_MS); weft_now() < end;)
            ;
        v = take(t, due);
    }
    weft_timer_free(t);
    return arg != NULL;
}

Test(timer, ticks_are_dropped_not_queued)
{
    run_on_1_2_8(drops, NULL);
}

/* Always-ready channels do not keep a timer from winning a select. */
static int fair(void *arg)
{
    weft_chan  *full = weft_chan_new(0, 1);
    weft_timer *t = make(weft_after(2 * WEFT_MS), 0);
    weft_case   cases[] = { { .chan = full }, { .chan = full }, { .chan = weft_timer_chan(t) } };

    check_eq(weft_chan_send(full, ""), 0);
    for (weft_time limit = weft_after(PATIENCE); weft_select(cases, 3, WEFT_NOWAIT) != 2;) {
        check_eq(weft_chan_send(full, ""), 0);
        check(weft_now() < limit);
        weft_yield();
    }
    weft_timer_free(t);
    weft_chan_unref(full);
    return arg != NULL;
}

Test(timer, wins_against_ready_channels)
{
    run_on_1_2_8(fair, NULL);
}

/* ---- Free, and the runtime's end -------------------------------------------------------------------------------- */

static int recv_op(void *c)
{
    return weft_chan_recv(c, NULL);
}

/* While one waits to receive from it. */
static void free_under_a_waiter(weft_timer *t)
{
    attempt    a = { .op = recv_op, .arg = weft_timer_chan(t) };
    weft_group g = WEFT_GROUP_INIT;

    attempt_start(&a, &g);
    check(!a.done);
    weft_timer_free(t);
    join_group(&g);
    check_eq(a.result, -EPIPE);
}

static int freeing(void *arg)
{
    weft_timer *t = make(weft_after(HOUR), 0);
    weft_chan  *c = weft_chan_ref(weft_timer_chan(t));

    free_under_a_waiter(t);
    check_eq(weft_chan_recv(c, NULL), -EPIPE);
    weft_chan_unref(c);
    t = make(WEFT_NOWAIT, 0);
    c = weft_chan_ref(weft_timer_chan(t));
    let_fire(weft_now());
    weft_timer_free(t);
    check_eq(weft_chan_recv(c, NULL), -EPIPE); /* its value is taken back */
    weft_chan_unref(c);
    return arg != NULL;
}

/* The timer's owner has the only reference, and the one who waits none. */
static int freeing_the_only_reference(void *arg)
{
    free_under_a_waiter(make(weft_after(HOUR), 0));
    return arg != NULL;
}

Test(timer, freeing_closes_the_channel)
{
    run_on(1, freeing, NULL);
    run_on(1, freeing_the_only_reference, NULL);
}

static int leave_timers(void *arg)
{
    weft_timer **t = arg;

    t[0] = make(weft_after(HOUR), 0);
    t[1] = make(weft_after(WEFT_MS), WEFT_MS);
    t[2] = make(weft_now(), 0);
    t[3] = make(weft_after(20 * WEFT_US), 20 * WEFT_US);
    take(t[1], 0);
    return 0;
}

static int take_them_up(void *arg)
{
    weft_timer **t = arg;
    weft_time    due = weft_after(WEFT_MS);

    check(weft_timer_stop(t[0])); /* they did not fire meanwhile, and do not know it */
    check(weft_timer_reset(t[1], due, 0));
    take(t[1], due);
    check(!weft_timer_stop(t[1]));
    check(weft_timer_reset(t[3], due = weft_after(WEFT_MS), WEFT_MS));
    take(t[3], due);
    for (int i = 0; i < 4; i++)
        weft_timer_free(t[i]);
    return 0;
}

Test(timer, timers_outlive_the_end_of_the_runtime)
{
    for (int lap = 0; lap < 20; lap++)
        for (int i = 0; i < COUNT(proc_counts); i++) {
            weft_timer *t[4];
            run_on(proc_counts[i], leave_timers, t);
            run_on(proc_counts[lap % 3], take_them_up, t);
        }
}

/* ---- Sleeps ------------------------------------------------------------------------------------------------------- */

static void sleeper(void *arg)
{
    for (int i = 0; i < 10; i++) {
        int64_t ns = WEFT_MS + (int64_t)(weft_id() * 7919 + (uint64_t)i * 104729) % (19 * WEFT_MS);
        weft_time due = weft_after(ns);
        check_eq(i % 2 ? weft_sleep(ns) : weft_sleep_until(due), 0);
        check(weft_now() >= due);
    }
    atomic_fetch_add((atomic_long *)arg, 1);
}

static int sleepers(void *arg)
{
    atomic_long    done = 0;
    weft_waitgroup wg = { { 0 } };
    long           n = test_scaled(10000);

    for (long i = 0; i < n; i++)
        spawn(&wg, sleeper, &done);
    join(&wg);
    check_eq(atomic_load(&done), n);
    return arg != NULL;
}

Test(timer, ten_thousand_sleepers_none_early)
{
    run_on_1_2_8(sleepers, NULL);
}

static int new_outside(void *arg)
{
    return weft_timer_new(WEFT_NOWAIT, 0) == arg;
}

static int bad_reset(void *arg)
{
    return weft_timer_reset(make(WEFT_NOWAIT, 0), WEFT_NOWAIT, -5) && arg;
}

Test(timer, misuse_ends_the_process_with_one_line_that_names_the_call)
{
    dies(new_outside, NULL, false, "weft_timer_new " NOWHERE);
    dies(bad_reset, NULL, true, "weft_timer_reset: the period -5 is negative");
}
