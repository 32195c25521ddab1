/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/deadline_race_test.c - deadlines against everything that may come at the same moment: the
 * data, the park, other deadlines, the close.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>

static pair p;

/* ---- Of every length ----------------------------------------------------------------- */

static void pour(void *arg)
{
    static char data[1 << 14];
    weft_conn   c = { (uintptr_t)arg };
    ssize_t     n;
    do
        n = weft_conn_write(c, data, sizeof data);
    while (n > 0);
    CHECK(n == -ECONNRESET || n == -EPIPE || n == -EBADF);
}

/* Bytes never stop coming: only the deadline ends this. */
static void read_until(int64_t ns)
{
    static char buf[1 << 14];
    ssize_t     n;
    weft_time   end = weft_after(ns);
    CHECK_IS(weft_conn_set_read_deadline(p.a, end), 0);
    do
        n = weft_conn_read(p.a, buf, sizeof buf);
    while (n > 0);
    CHECK_IS(n, -ETIMEDOUT);
    CHECK(weft_now() >= end); /* never early */
}

static int various(void *arg)
{
    static const int64_t lengths[] = { 1,
                                       2,
                                       5,
                                       50,
                                       100,
                                       200,
                                       500,
                                       750,
                                       WEFT_US,
                                       5 * WEFT_US,
                                       25 * WEFT_US,
                                       250 * WEFT_US,
                                       500 * WEFT_US,
                                       WEFT_MS,
                                       5 * WEFT_MS,
                                       100 * WEFT_MS,
                                       250 * WEFT_MS,
                                       500 * WEFT_MS };
    weft_waitgroup       wg = { { 0 } };
    (void)arg;
    p = connect_pair();
    spawn(&wg, pour, (void *)(uintptr_t)p.b.id);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (int again = 0; again < (lengths[i] > WEFT_MS ? 1 : 10); again++)
            read_until(lengths[i]);
    CHECK_IS(weft_conn_abort(p.a), 0);
    join(&wg);
    return 0;
}

/* VariousDeadlines 1, 2, 4 procs. */
Test(deadline_race, of_every_length_ends_a_stream_that_does_not)
{
    run_on_1_2_4(various);
}

/* ---- Reader, writer, and 2 us -------------------------------------------------------- */

static volatile bool over;

static void read_on(void *arg)
{
    char buf[1];
    (void)arg;
    while (!over) {
        ssize_t n = weft_conn_read(p.a, buf, sizeof buf);
        CHECK(n == 1 || n == -ETIMEDOUT);
        if (n < 0)
            weft_yield();
    }
}

static void write_on(void *arg)
{
    char buf[1] = "x";
    (void)arg;
    while (!over) {
        ssize_t n = weft_conn_write(p.a, buf, sizeof buf);
        CHECK(n == 1 || n == -ETIMEDOUT);
        if (n < 0)
            weft_yield();
    }
}

/* Until the other end is closed, which resets what it has not read. */
static void echo(void *arg)
{
    char    buf[4096];
    ssize_t n, sent = 1;
    (void)arg;
    while (sent > 0 && (n = weft_conn_read(p.b, buf, sizeof buf)) > 0)
        sent = weft_conn_write(p.b, buf, (size_t)n);
    CHECK(sent > 0 ? n == 0 || n == -ECONNRESET : sent == -EPIPE || sent == -ECONNRESET);
}

static int read_write(void *arg)
{
    weft_waitgroup wg = { { 0 } }, echoing = { { 0 } };
    (void)arg;
    p = connect_pair();
    over = false;
    spawn(&echoing, echo, NULL);
    spawn(&wg, read_on, NULL);
    spawn(&wg, write_on, NULL);
    for (long i = 0, n = test_scaled(3000); i < n; i++) {
        CHECK_IS(weft_conn_set_deadline(p.a, weft_after(2 * WEFT_US)), 0);
        if (i % 7 == 0)
            CHECK_IS(weft_sleep(WEFT_US), 0);
        else
            weft_yield();
    }
    over = true;
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_NOWAIT), 0);
    join(&wg);
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_FOREVER), 0);
    CHECK_IS(weft_conn_close(p.a), 0);
    join(&echoing);
    return 0;
}

/* ReadWriteDeadlineRace. */
Test(deadline_race, of_two_microseconds_against_reader_and_writer, .timeout = 60)
{
    run_on_1_2_4(read_write);
}

/* ---- Between the attempt and the park ------------------------------------------------ */

static void set_past(void *arg)
{
    for (int i = 0; i < (intptr_t)arg % 40; i++)
        __asm__ volatile("" ::: "memory");
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_NOWAIT), 0);
}

static int seen(void *arg)
{
    (void)arg;
    p = connect_pair();
    for (intptr_t i = 0, n = test_scaled(5000); i < n; i++) {
        weft_waitgroup wg = { { 0 } };
        char           byte;
        CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
        spawn(&wg, set_past, (void *)i);
        CHECK_IS(weft_conn_read(p.a, &byte, 1), -ETIMEDOUT); /* or it hangs */
        join(&wg);
    }
    close_pair(p);
    return 0;
}

/* Lesson 14. */
Test(deadline_race, set_between_the_attempt_and_the_park_is_seen, .timeout = 60)
{
    run_on_1_2_4(seen);
}

/* ---- Many at once -------------------------------------------------------------------- */

static void set_many(void *arg)
{
    weft_conn c = { (uintptr_t)arg };
    for (long i = 0, n = test_scaled(2000); i < n; i++) {
        int64_t ns = i % 50 * 7 * WEFT_US;
        CHECK_IS(weft_conn_set_read_deadline(c, weft_after(ns)), 0);
        CHECK_IS(weft_conn_set_write_deadline(c, i % 3 ? weft_after(ns) : WEFT_FOREVER), 0);
        CHECK_IS(weft_conn_set_deadline(c, i % 5 ? WEFT_FOREVER : WEFT_NOWAIT), 0);
        if (i % 11 == 0)
            weft_yield();
    }
}

static int concurrent(void *arg)
{
    weft_waitgroup setters = { { 0 } }, wg = { { 0 } }, echoing = { { 0 } };
    (void)arg;
    p = connect_pair();
    over = false;
    spawn(&echoing, echo, NULL);
    for (int i = 0; i < 3; i++) {
        spawn(&wg, read_on, NULL); /* with turns to wait for */
        spawn(&wg, write_on, NULL);
    }
    for (int i = 0; i < 8; i++)
        spawn(&setters, set_many, (void *)(uintptr_t)p.a.id);
    join(&setters);
    over = true;
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_NOWAIT), 0);
    join(&wg);
    CHECK_IS(weft_conn_close(p.a), 0);
    join(&echoing);
    return 0;
}

/* Lesson 13, ConcurrentSetDeadline. */
Test(deadline_race, set_by_many_at_once, .timeout = 60)
{
    run_on_1_2_4(concurrent);
}

static void read_until_closed(void *arg)
{
    char    byte;
    ssize_t n;
    (void)arg;
    while ((n = weft_conn_read(p.a, &byte, 1)) == -ETIMEDOUT)
        weft_yield();
    CHECK_IS(n, -EBADF);
}

static void set_until_closed(void *arg)
{
    int r;
    (void)arg;
    do {
        r = weft_conn_set_deadline(p.a, weft_after(WEFT_US));
        weft_yield();
    } while (r == 0);
    CHECK_IS(r, -EBADF);
}

static int against_close(void *arg)
{
    (void)arg;
    for (long i = 0, n = test_scaled(300); i < n; i++) {
        weft_waitgroup wg = { { 0 } };
        p = connect_pair();
        spawn(&wg, read_until_closed, NULL);
        spawn(&wg, read_until_closed, NULL);
        spawn(&wg, set_until_closed, NULL);
        for (int k = 0; k < i % 5; k++)
            weft_yield();
        CHECK_IS(weft_conn_close(p.a), 0);
        join(&wg);
        CHECK_IS(weft_conn_close(p.b), 0);
    }
    return 0;
}

Test(deadline_race, set_as_the_connection_closes, .timeout = 60)
{
    run_on_1_2_4(against_close);
}

/* ---- Moved later and later ----------------------------------------------------------- */

static int later_and_later(void *arg)
{
    char byte;
    (void)arg;
    p = connect_pair();
    for (long i = 0, n = test_scaled(20000); i < n; i++) {
        CHECK_IS(weft_conn_set_deadline(p.a, weft_after(PATIENCE + i)), 0);
        CHECK_IS(weft_conn_set_deadline(p.b, weft_after(PATIENCE + i)), 0);
        CHECK_IS(weft_conn_write(p.a, "x", 1), 1);
        CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    }
    weft_time end = weft_after(5 * WEFT_MS); /* and then earlier */
    CHECK_IS(weft_conn_set_deadline(p.b, end), 0);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), -ETIMEDOUT);
    CHECK(weft_now() >= end);
    end = weft_after(10 * WEFT_MS); /* later, under the timer that was armed for the earlier */
    CHECK_IS(weft_conn_set_deadline(p.b, weft_after(5 * WEFT_MS)), 0);
    CHECK_IS(weft_conn_set_deadline(p.b, end), 0);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), -ETIMEDOUT);
    CHECK(weft_now() >= end);
    return 0;
}

Test(deadline_race, moved_later_with_every_call)
{
    run_on_1_2_4(later_and_later);
}
