/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/deadline_test.c - deadlines of connections and listeners: one that has passed, one that is
 * lifted, one that is set under a wait, each sequence of three.  See also deadline_race_test.c.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>

static pair p;

/* ---- One that has passed ------------------------------------------------------------- */

static int passed(void *arg)
{
    static const weft_time times[] = { 0, 1, -1, INT64_MIN };
    char                   buf[8], address[WEFT_ADDR_MAX];
    size_t                 done = 9;
    const void            *data;
    weft_listener          l = listen_loopback(address);
    (void)arg;
    p.a = dial(address);
    weft_conn second = dial(address), out;
    CHECK_IS(weft_listener_accept(l, &p.b), 0);
    CHECK_IS(weft_conn_write(p.b, "data", 4), 4);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        CHECK_IS(weft_conn_set_deadline(p.a, times[i]), 0);
        for (int again = 0; again < 2; again++) { /* with data ready and room to write */
            CHECK_IS(weft_conn_read(p.a, buf, 4), -ETIMEDOUT);
            CHECK_IS(weft_conn_borrow(p.a, &data, 4), -ETIMEDOUT);
            CHECK_IS(weft_conn_read_full(p.a, buf, 4, &done), -ETIMEDOUT);
            CHECK_IS(done, 0);
            CHECK_IS(weft_conn_write_part(p.a, buf, 4, &done), -ETIMEDOUT);
            CHECK_IS(done, 0);
        }
        CHECK_IS(weft_listener_set_deadline(l, times[i]), 0);
        CHECK_IS(weft_listener_accept(l, &out), -ETIMEDOUT); /* with one waiting */
    }
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_FOREVER), 0);
    CHECK_IS(weft_listener_set_deadline(l, weft_after(PATIENCE)), 0);
    CHECK_IS(weft_conn_read(p.a, buf, 8), 4); /* nothing was lost */
    CHECK_IS(weft_conn_write(p.a, buf, 4), 4);
    CHECK_IS(weft_listener_accept(l, &out), 0);
    CHECK_IS(weft_conn_close(second), 0);
    return 0;
}

Test(deadline, one_that_has_passed_fails_calls_untried)
{
    run_on_1_2_4(passed);
}

/* The coroutine computes beyond its deadline: no other has run, yet it has passed. */
static int passed_while_busy(void *arg)
{
    char byte;
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_write(p.b, "x", 1), 1);
    weft_time end = weft_after(2 * WEFT_MS);
    CHECK_IS(weft_conn_set_deadline(p.a, end), 0);
    while (weft_now() <= end)
        ;
    CHECK_IS(weft_conn_read(p.a, &byte, 1), -ETIMEDOUT);
    CHECK_IS(weft_conn_write(p.a, &byte, 1), -ETIMEDOUT);
    return 0;
}

Test(deadline, one_that_passed_while_the_coroutine_computed_has_passed)
{
    run_on_1_2_4(passed_while_busy);
}

static int directions(void *arg)
{
    char byte;
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_write(p.a, "x", 1), 1);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
    CHECK_IS(weft_conn_set_write_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_write(p.b, "x", 1), 1);
    CHECK_IS(weft_conn_read(p.a, &byte, 1), 1);
    CHECK_IS(weft_conn_write(p.a, "x", 1), -ETIMEDOUT);
    return 0;
}

Test(deadline, each_direction_has_its_own)
{
    run_on(1, directions, NULL);
}

/* ---- Must not return ----------------------------------------------------------------- */

static volatile int returned;

static void read_one(void *arg)
{
    char byte;
    (void)arg;
    CHECK_IS(weft_conn_read(p.a, &byte, 1), 1);
    returned++;
}

static void write_much(void *arg)
{
    static char data[MORE_THAN_FITS];
    (void)arg;
    CHECK_IS(weft_conn_write(p.a, data, sizeof data), sizeof data);
    returned++;
}

static void accept_one(void *arg)
{
    CHECK_IS(weft_listener_accept(*(weft_listener *)arg, &p.b), 0);
    returned++;
}

static void stays_blocked(weft_waitgroup *wg, void (*fn)(void *), void *arg)
{
    returned = 0;
    spawn(wg, fn, arg);
    CHECK_IS(weft_sleep(20 * WEFT_MS), 0);
    CHECK_IS(returned, 0);
}

static int must_not_return(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    char           byte, address[WEFT_ADDR_MAX];
    size_t         drained = 0;
    static char    sink[1 << 16];
    (void)arg;
    p = connect_pair(); /* read: lifted, though the other direction's has passed */
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_read(p.a, &byte, 1), -ETIMEDOUT);
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
    stays_blocked(&wg, read_one, NULL);
    CHECK_IS(weft_conn_write(p.b, "x", 1), 1);
    join(&wg);

    size_t filled = fill((CHECK_IS(weft_conn_set_deadline(p.a, WEFT_FOREVER), 0), p.a)); /* write */
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_write(p.a, "x", 1), -ETIMEDOUT);
    CHECK_IS(weft_conn_set_write_deadline(p.a, WEFT_FOREVER), 0);
    stays_blocked(&wg, write_much, NULL);
    while (drained < filled + MORE_THAN_FITS)
        drained += (size_t)weft_conn_read(p.b, sink, sizeof sink);
    join(&wg);

    weft_listener l = listen_loopback(address); /* accept */
    CHECK_IS(weft_listener_set_deadline(l, WEFT_NOWAIT), 0);
    CHECK_IS(weft_listener_accept(l, &p.b), -ETIMEDOUT);
    CHECK_IS(weft_listener_set_deadline(l, WEFT_FOREVER), 0);
    stays_blocked(&wg, accept_one, &l);
    p.a = dial(address);
    join(&wg);
    return 0;
}

/* Read-, Write- and AcceptTimeoutMustNotReturn. */
Test(deadline, one_that_was_lifted_ends_nothing)
{
    run_on_1_2_4(must_not_return);
}

/* ---- Set under a wait ---------------------------------------------------------------- */

static void read_timed_out(void *arg)
{
    char byte;
    (void)arg;
    CHECK_IS(weft_conn_read(p.a, &byte, 1), -ETIMEDOUT);
}

static void write_timed_out(void *arg)
{
    static char data[MORE_THAN_FITS];
    (void)arg;
    CHECK_IS(weft_conn_write(p.a, data, sizeof data), -ETIMEDOUT);
}

static void accept_timed_out(void *arg)
{
    weft_conn c;
    CHECK_IS(weft_listener_accept(*(weft_listener *)arg, &c), -ETIMEDOUT);
}

/* Three of each: one in its call, two waiting for their turn. */
static int unblock(void *arg)
{
    static const int64_t in_ns[] = { 0, WEFT_US, 3 * WEFT_MS };
    char                 address[WEFT_ADDR_MAX];
    weft_listener        l = listen_loopback(address);
    p = connect_pair();
    (void)arg;
    fill(p.a);
    for (size_t i = 0; i < sizeof in_ns / sizeof in_ns[0]; i++) {
        weft_waitgroup wg = { { 0 } };
        CHECK_IS(weft_conn_set_deadline(p.a, i ? weft_after(PATIENCE) : WEFT_FOREVER), 0);
        CHECK_IS(weft_listener_set_deadline(l, i ? weft_after(PATIENCE) : WEFT_FOREVER), 0);
        for (int k = 0; k < 3; k++) {
            spawn(&wg, read_timed_out, NULL);
            spawn(&wg, write_timed_out, NULL);
            spawn(&wg, accept_timed_out, &l);
        }
        let_others_park();
        weft_time end = in_ns[i] ? weft_after(in_ns[i]) : WEFT_NOWAIT;
        CHECK_IS(weft_conn_set_deadline(p.a, end), 0);
        CHECK_IS(weft_listener_set_deadline(l, end), 0);
        join(&wg);
        CHECK(weft_now() >= end); /* never early */
    }
    return 0;
}

/* ReadTimeoutUnblocksRead, and so for writes, accepts, and turns. */
Test(deadline, one_set_under_a_wait_ends_it)
{
    for (int i = 0; i < 5; i++)
        run_on_1_2_4(unblock);
}

/* ---- Lesson 15: each sequence of three ----------------------------------------------- */

enum step { PAST, NONE, NEAR, FAR, STEPS };

#define NEAR_NS (60 * WEFT_MS)

static weft_time time_of(enum step s)
{
    switch (s) {
    case PAST:
        return weft_now() - WEFT_S;
    case NONE:
        return WEFT_FOREVER;
    case NEAR:
        return weft_after(NEAR_NS);
    default:
        return weft_after(1000 * WEFT_S);
    }
}

static volatile ssize_t read_result;

static void read_and_tell(void *arg)
{
    char byte;
    (void)arg;
    read_result = weft_conn_read(p.a, &byte, 1);
}

/* False: it took so long that a near deadline may have passed in between. */
static bool set_three(const enum step steps[3])
{
    weft_time start = weft_now();
    for (int i = 0; i < 3; i++)
        CHECK_IS(weft_conn_set_read_deadline(p.a, time_of(steps[i])), 0);
    return weft_now() - start < NEAR_NS / 2;
}

/*
 * The last one counts.  A read that was parked when one passed may have ended by that, or go on
 * if it was lifted before the reader ran again: as in Go.
 */
static void try_sequence(const enum step steps[3], bool parked)
{
    weft_waitgroup wg = { { 0 } };
    bool           ends = steps[2] == PAST || steps[2] == NEAR;
    bool           may_end = parked && (steps[0] == PAST || steps[1] == PAST);
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
    if (parked) {
        spawn(&wg, read_and_tell, NULL);
        let_others_park();
    }
    bool in_time = set_three(steps);
    if (!parked) {
        spawn(&wg, read_and_tell, NULL);
        let_others_park();
    }
    if (!ends)
        CHECK_IS(weft_conn_write(p.b, "x", 1), 1);
    join(&wg);
    if (ends)
        CHECK_IS(read_result, -ETIMEDOUT);
    else if (in_time && !may_end)
        CHECK_IS(read_result, 1);
    if (!ends && read_result != 1) {
        CHECK_IS(read_result, -ETIMEDOUT);
        CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
        read_one(NULL); /* the byte is there still */
    }
}

static int sequences(void *arg)
{
    p = connect_pair();
    (void)arg;
    for (int i = 0; i < STEPS * STEPS * STEPS; i++) {
        enum step steps[3] = { i % STEPS, i / STEPS % STEPS, i / STEPS / STEPS };
        try_sequence(steps, false);
        try_sequence(steps, true);
    }
    return 0;
}

Test(deadline, the_last_of_three_counts)
{
    run_on(1, sequences, NULL); /* on one P the reader is parked for certain */
}
