/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/conn_wait_test.c - weft_conn_wait: what a library that does its own I/O is told, by the
 * level, whatever it and weft's own calls have read and written.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "scale.h"
#include "support/conn_wait.h"

/* ---- What is ready -------------------------------------------------------------------- */

static int levels(void *arg)
{
    pair p = connect_pair();
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLOUT);
    CHECK(parks(p.a, POLLIN));
    put(p.b, "0123456789");
    for (int i = 0; i < 3; i++) /* nobody has read it */
        CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN);
    CHECK_IS(weft_conn_wait(p.a, BOTH), BOTH);
    CHECK_IS(take(p.a, 4), 4);
    CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN); /* the rest, at once */
    take_all(p.a, 6);
    CHECK(parks(p.a, POLLIN));
    put(p.b, "0123456789");
    take_all(p.a, 10);
    CHECK_IS(take(p.a, 100), -EAGAIN);
    CHECK(parks(p.a, POLLIN));
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, tells_the_level_and_not_the_edge)
{
    run_on(1, levels, NULL);
}

/* An edge for bytes that are gone by then is not taken for others, nor makes a wait spin. */
static int edges(void *arg)
{
    pair   p = connect_pair();
    waiter w;
    for (int round = 0; round < 3; round++) {
        start_parked(&w, p.a, POLLIN);
        put(p.b, "01");
        CHECK_IS(finish(&w), POLLIN);
        CHECK_IS(take(p.a, 1), 1);
        put(p.b, "2");
        take_all(p.a, 2);
        CHECK_IS(weft_sleep(WEFT_MS), 0); /* now the edges have been told */
        start_parked(&w, p.a, POLLIN);
        CHECK_IS(weft_sleep(WEFT_MS), 0);
        CHECK(!w.done);
        put(p.b, "3");
        CHECK_IS(finish(&w), POLLIN);
        take_all(p.a, 1);
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, stale_edges_end_no_wait)
{
    run_on(1, edges, NULL);
}

static int room(void *arg)
{
    pair   p = connect_pair();
    waiter w;
    char   buf[4096];
    size_t n = stuff(p.a);
    start_parked(&w, p.a, POLLOUT);
    for (ssize_t r; n > 0; n -= (size_t)r) {
        r = weft_conn_read(p.b, buf, sizeof buf);
        CHECK(r > 0);
    }
    CHECK_IS(finish(&w), POLLOUT);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLOUT); /* nobody has used it */
    CHECK_IS(send(weft_conn_fd(p.a), buf, 1, MSG_DONTWAIT), 1);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT); /* and there is more: at once */
    stuff(p.a);
    CHECK(parks(p.a, BOTH));
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, tells_when_there_is_room)
{
    run_on(1, room, NULL);
}

static int hang_ups(void *arg)
{
    int    fds[2];
    waiter w;
    pair   p = connect_pair();
    start_parked(&w, p.a, POLLIN);
    CHECK_IS(weft_conn_close_write(p.b), 0); /* half: what is asked for is still told apart */
    CHECK_IS(finish(&w), POLLIN);
    stuff(p.a);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLIN);
    start_parked(&w, p.a, POLLOUT);
    CHECK_IS(weft_conn_abort(p.b), 0);
    CHECK_IS(finish(&w), POLLOUT);
    CHECK_IS(weft_conn_wait(p.a, BOTH), BOTH);
    CHECK_IS(weft_conn_close(p.a), 0);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&p.a, fds[0]), 0);
    start_parked(&w, p.a, BOTH);
    close(fds[1]);
    CHECK_IS(finish(&w), BOTH);
    CHECK_IS(weft_conn_close(p.a), 0);
    return arg != NULL;
}

Test(conn_wait, errors_and_hang_ups_report_all_requested)
{
    run_on(1, hang_ups, NULL);
}

static int others(void *arg)
{
    int       fds[2];
    weft_conn c;
    waiter    w;
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_IS(weft_conn_adopt(&c, fds[0]), 0);
    start_parked(&w, c, POLLIN);
    CHECK_IS(write(fds[1], "01", 2), 2);
    CHECK_IS(finish(&w), POLLIN);
    CHECK_IS(take(c, 1), 1);
    CHECK_IS(weft_conn_wait(c, BOTH), BOTH);
    get(c, 1);
    CHECK(parks(c, POLLIN));
    CHECK_IS(weft_conn_close(c), 0);
    close(fds[1]);
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK_IS(weft_conn_adopt(&c, file), 0);
    CHECK_IS(weft_conn_wait(c, BOTH), BOTH); /* a file is always ready */
    CHECK_IS(weft_conn_close(c), 0);
    return arg != NULL;
}

Test(conn_wait, socketpairs_and_files)
{
    run_on(1, others, NULL);
}

/* ---- weft's own calls beside the library's --------------------------------------------- */

/* After it weft's next read parks without trying: its last one was short. */
static void read_short(pair p)
{
    char buf[64];
    put(p.b, "abc");
    CHECK_IS(weft_conn_read(p.a, buf, sizeof buf), 3);
}

static int reads_after(void *arg)
{
    pair   p = connect_pair();
    waiter w;
    char   buf[64];
    for (int parked = 0; parked < 2; parked++) {
        read_short(p);
        if (parked)
            start_parked(&w, p.a, POLLIN); /* this consumes the edge; else it is left */
        put(p.b, "0123456789");
        CHECK_IS(parked ? finish(&w) : weft_conn_wait(p.a, POLLIN), POLLIN);
        CHECK_IS(take(p.a, 4), 4);
        CHECK_IS(weft_conn_set_read_deadline(p.a, weft_after(PATIENCE)), 0);
        CHECK_IS(weft_conn_read(p.a, buf, sizeof buf), 6);
        CHECK(memcmp(buf, "456789", 6) == 0);
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_read_gets_what_the_library_left)
{
    run_on(1, reads_after, NULL);
}

static void read_later(void *arg)
{
    char buf[64];
    CHECK_IS(weft_conn_read(*(weft_conn *)arg, buf, sizeof buf), 4);
    CHECK(memcmp(buf, "next", 4) == 0);
}

static int reads_nothing(void *arg)
{
    pair p = connect_pair();
    for (int round = 0; round < 4; round++) {
        weft_waitgroup wg = { { 0 } };
        read_short(p);
        put(p.b, "0123456789");
        take_all(p.a, 10);
        if (round % 2)
            CHECK_IS(weft_sleep(WEFT_MS), 0); /* the edge has been told */
        spawn(&wg, read_later, &p.a);
        let_others_park();
        put(p.b, "next");
        join(&wg);
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_read_waits_for_more_where_the_library_took_all)
{
    run_on(1, reads_nothing, NULL);
}

/* weft's read took a part; what is left has no edge to come. */
static int library_after(void *arg)
{
    pair p = connect_pair();
    for (int round = 0; round < 2; round++) {
        put(p.b, "0123456789");
        get(p.a, 4);
        take_all(p.a, 6);
        CHECK(parks(p.a, POLLIN));
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, the_library_gets_what_a_read_left)
{
    run_on(1, library_after, NULL);
}

static int writes_after(void *arg)
{
    pair           p = connect_pair();
    weft_waitgroup wg = { { 0 } };
    struct bulk    b = { p.a, 1 << 20 };
    size_t         n = stuff(p.a) + b.n;
    CHECK(parks(p.a, POLLOUT));
    spawn(&wg, write_bulk, &b); /* it fails to write, parks, and is woken by the edge */
    for (size_t part; n > 0; n -= part)
        get(p.b, part = n < 4096 ? n : 4096);
    join(&wg);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_write_waits_for_room_after_the_library_took_it)
{
    run_on_1_2_4(writes_after);
}
