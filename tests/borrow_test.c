/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/borrow_test.c - borrow and release: what is lent, whose it is, how it ends, and that an
 * idle borrower holds no buffer.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <unistd.h>

static pair p;

static void lent(weft_conn c, size_t max, const char *expected)
{
    const void *data = NULL;
    ssize_t     n = weft_conn_borrow(c, &data, max);
    CHECK_IS(n, strlen(expected));
    CHECK(memcmp(data, expected, (size_t)n) == 0);
}

static int lend(void *arg)
{
    const void *data = "before";
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_borrow(p.b, &data, 0), -EINVAL);
    CHECK_IS(weft_conn_write(p.a, "hello world", 11), 11);
    lent(p.b, 5, "hello"); /* at most max; they count as read */
    lent(p.b, 100, " world");
    weft_conn_release(p.b);
    weft_conn_release(p.b); /* nothing to end */
    CHECK_IS(weft_conn_write(p.a, "more", 4), 4);
    CHECK_IS(weft_conn_close(p.a), 0);
    lent(p.b, 100, "more");
    CHECK_IS(weft_conn_borrow(p.b, &data, 1), 0); /* the end */
    CHECK(data == NULL);
    CHECK_IS(weft_conn_borrow(p.b, &data, 1), 0);
    return 0;
}

Test(borrow, lends_what_arrived_at_most_max)
{
    run_on_1_2_4(lend);
}

static int much(void *arg)
{
    static char out[200 << 10];
    size_t      got = 0;
    const void *data;
    ssize_t     n;
    (void)arg;
    p = connect_pair();
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 3 + i / 1000);
    CHECK_IS(weft_conn_write(p.a, out, sizeof out), sizeof out);
    CHECK_IS(weft_conn_close(p.a), 0);
    while ((n = weft_conn_borrow(p.b, &data, SIZE_MAX)) > 0) {
        CHECK(memcmp(data, out + got, (size_t)n) == 0);
        got += (size_t)n;
    }
    CHECK_IS(n, 0);
    CHECK_IS(got, sizeof out);
    return 0;
}

Test(borrow, lends_a_long_stream_piece_by_piece)
{
    run_on_1_2_4(much);
}

/* ---- The turn ------------------------------------------------------------------------ */

static int order;

static void borrow_and_keep(void *arg)
{
    const void *data;
    CHECK_IS(weft_conn_borrow(p.b, &data, 1), 1);
    CHECK_IS(order++, (intptr_t)arg);
}

static void borrow_then_read(void *arg)
{
    char        byte;
    const void *data;
    CHECK_IS(weft_conn_borrow(p.b, &data, 1), 1);
    CHECK_IS(*(const char *)data, '0');
    CHECK_IS(order++, (intptr_t)arg);
    let_others_park(); /* they wait: the turn is held */
    CHECK_IS(order, 1);
    CHECK_IS(weft_conn_read(p.b, &byte, 0), 0); /* the next read ends it, even of nothing */
    let_others_park();
}

static int in_turn(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    order = 0;
    p = connect_pair();
    CHECK_IS(weft_conn_write(p.a, "01234", 5), 5);
    CHECK_IS(weft_conn_set_read_deadline(p.b, weft_after(PATIENCE)), 0);
    spawn(&wg, borrow_then_read, (void *)0);
    for (intptr_t i = 1; i < 4; i++) {
        weft_yield(); /* in this order, while the first one lets others park */
        spawn(&wg, borrow_and_keep, (void *)i); /* each ends its borrow with itself */
    }
    join(&wg);
    CHECK_IS(order, 4);
    lent(p.b, 9, "4");
    return 0;
}

Test(borrow, holds_the_turn_until_it_ends_and_gives_it_on_in_order)
{
    run_on(1, in_turn, NULL);
}

static void wait_with_a_deadline(void *arg)
{
    char byte;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), -ETIMEDOUT);
}

static int turn_obeys(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    char           byte;
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_write(p.a, "01", 2), 2);
    lent(p.b, 1, "0");
    CHECK_IS(weft_conn_set_read_deadline(p.b, weft_after(20 * WEFT_MS)), 0);
    spawn(&wg, wait_with_a_deadline, NULL); /* though a byte is there */
    join(&wg);
    CHECK_IS(weft_conn_set_read_deadline(p.b, WEFT_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        spawn(&wg, wait_with_a_deadline, NULL);
    let_others_park();
    CHECK_IS(weft_conn_set_read_deadline(p.b, weft_after(PATIENCE)), 0); /* set while they wait, */
    CHECK_IS(weft_conn_set_read_deadline(p.b, weft_after(5 * WEFT_MS)), 0); /* and moved */
    join(&wg);
    CHECK_IS(weft_conn_set_read_deadline(p.b, WEFT_FOREVER), 0);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1); /* the holder itself is not kept waiting */
    CHECK_IS(byte, '1');
    return 0;
}

Test(borrow, who_waits_for_the_turn_obeys_the_deadline)
{
    run_on_1_2_4(turn_obeys);
}

/* ---- Closes -------------------------------------------------------------------------- */

static void close_it(void *arg)
{
    CHECK_IS(weft_conn_close(*(weft_conn *)arg), 0);
}

static int close_elsewhere(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    const void    *data;
    char           byte;
    int            before = open_fds();
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_write(p.a, "data", 4), 4);
    CHECK_IS(weft_conn_borrow(p.b, &data, 9), 4);
    spawn(&wg, close_it, &p.b);
    join(&wg);
    CHECK_IS(weft_conn_read(p.a, &byte, 1), 0); /* the borrow holds up nothing */
    CHECK(memcmp(data, "data", 4) == 0);        /* and stays */
    CHECK_IS(weft_conn_close(p.a), 0);
    CHECK_IS(open_fds(), before);
    pair q = connect_pair(); /* takes the slot, perhaps: its turn is not ours to give */
    CHECK_IS(weft_conn_write(q.a, "q", 1), 1);
    weft_conn_release(p.b);
    CHECK_IS(weft_conn_read(q.b, &byte, 1), 1);
    close_pair(q);
    return 0;
}

Test(borrow, outlives_a_close_elsewhere_without_delaying_it)
{
    run_on_1_2_4(close_elsewhere);
}

static int several(void *arg)
{
    pair        q[5];
    const void *data[5];
    (void)arg;
    for (int i = 0; i < 5; i++) {
        q[i] = connect_pair();
        CHECK_IS(weft_conn_write(q[i].a, &"0123456"[i], 2), 2);
        CHECK_IS(weft_conn_borrow(q[i].b, &data[i], 2), 2);
    }
    for (int i = 0; i < 5; i++)
        CHECK(memcmp(data[i], &"0123456"[i], 2) == 0);
    weft_conn_release(q[2].b);
    CHECK_IS(weft_conn_close(q[4].b), 0); /* the last, the first, one between */
    CHECK_IS(weft_conn_close(q[0].b), 0);
    CHECK(memcmp(data[1], "12", 2) == 0);
    CHECK(memcmp(data[3], "34", 2) == 0);
    weft_conn_release(q[3].b);
    weft_conn_release(q[1].b);
    return 0;
}

Test(borrow, one_coroutine_may_hold_several)
{
    run_on_1_2_4(several);
}

/* ---- What waiting costs -------------------------------------------------------------- */

enum { MANY = 300 };

static void echo_once_and_wait(void *arg)
{
    weft_conn   c = { (uintptr_t)arg };
    const void *data;
    CHECK_IS(weft_conn_borrow(c, &data, 100000), 1);
    CHECK_IS(weft_conn_write(c, data, 1), 1);
    CHECK_IS(weft_conn_borrow(c, &data, 100000), 0);
    CHECK_IS(weft_conn_close(c), 0);
}

static int idle_costs_no_buffer(void *arg)
{
    static pair    q[MANY];
    weft_waitgroup wg = { { 0 } };
    long           n = test_scaled(MANY);
    char           byte;
    (void)arg;
    for (int i = 0; i < n; i++)
        q[i] = connect_pair();
    for (int i = 0; i < n; i++)
        spawn(&wg, echo_once_and_wait, (void *)(uintptr_t)q[i].b.id);
    let_others_park();
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < n; i++) {
        CHECK_IS(weft_conn_write(q[i].a, "x", 1), 1);
        CHECK_IS(weft_conn_read(q[i].a, &byte, 1), 1);
    }
    let_others_park(); /* all borrow again, and wait */
    CHECK(mallinfo2().uordblks < before + ((size_t)64 << 14) + (256 << 10)); /* a P's stock */
    for (int i = 0; i < n; i++)
        CHECK_IS(weft_conn_close(q[i].a), 0);
    join(&wg);
    return 0;
}

Test(borrow, an_idle_borrower_holds_no_buffer)
{
    run_on(1, idle_costs_no_buffer, NULL);
}

/* ---- The turn is not kept from others ---------------------------------------------------- */

static void read_b(void *arg)
{
    char c = 0;
    CHECK_IS(weft_conn_read(*(weft_conn *)arg, &c, 1), 1);
    CHECK_IS(c, 'b');
}

static int others_turn(void *arg)
{
    pair           ends = connect_pair();
    weft_waitgroup wg = { { 0 } };
    const char    *data;
    (void)arg;
    CHECK_IS(weft_conn_write(ends.b, "a", 1), 1);
    CHECK_IS(weft_conn_borrow(ends.a, (const void **)&data, 1), 1);
    spawn(&wg, read_b, &ends.a);
    let_others_park();
    CHECK_IS(weft_conn_write(ends.b, "bc", 2), 2);
    CHECK_IS(weft_conn_borrow(ends.a, (const void **)&data, 1), 1); /* after the one who waited */
    CHECK_IS(data[0], 'c');
    join(&wg);
    close_pair(ends);
    return 0;
}

Test(borrow, the_next_borrow_comes_after_those_who_wait)
{
    run_on(1, others_turn, NULL);
}
