/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/close_test.c - a close ends every wait on the object, takes effect before it returns, and
 * leaves nothing behind: no registration, no event for whoever comes next under the number.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static pair p;
static int  ended;

/* ---- Waits end ----------------------------------------------------------------------- */

static void read_until_closed(void *arg)
{
    char byte;
    (void)arg;
    CHECK_IS(weft_conn_read(p.a, &byte, 1), -EBADF);
    __sync_fetch_and_add(&ended, 1);
}

static void borrow_until_closed(void *arg)
{
    const void *data;
    (void)arg;
    CHECK_IS(weft_conn_borrow(p.a, &data, 1), -EBADF);
    __sync_fetch_and_add(&ended, 1);
}

static void write_until_closed(void *arg)
{
    static char data[MORE_THAN_FITS];
    (void)arg;
    CHECK_IS(weft_conn_write(p.a, data, sizeof data), -EBADF);
    __sync_fetch_and_add(&ended, 1);
}

static void accept_until_closed(void *arg)
{
    weft_listener l = { (uintptr_t)arg };
    weft_conn     c;
    CHECK_IS(weft_listener_accept(l, &c), -EBADF);
    __sync_fetch_and_add(&ended, 1);
}

static int (*closer)(weft_conn c);

/* One of each is in its call, the others wait for their turn. */
static int close_under_waits(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    int            before = open_fds();
    (void)arg;
    ended = 0;
    p = connect_pair();
    fill(p.a);
    for (int i = 0; i < 3; i++) {
        spawn(&wg, read_until_closed, NULL);
        spawn(&wg, borrow_until_closed, NULL);
        spawn(&wg, write_until_closed, NULL);
    }
    let_others_park();
    CHECK_IS(closer(p.a), 0);
    join(&wg);
    CHECK_IS(ended, 9);
    CHECK_IS(weft_conn_close(p.b), 0);
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(close, a_close_ends_reads_and_writes_and_waits_for_turns)
{
    closer = weft_conn_close;
    for (long i = 0; i < 5; i++)
        run_on_1_2_4(close_under_waits);
}

Test(close, so_does_an_abort)
{
    closer = weft_conn_abort;
    run_on_1_2_4(close_under_waits);
}

static int close_under_accepts(void *arg)
{
    char           address[WEFT_ADDR_MAX];
    weft_waitgroup wg = { { 0 } };
    int            before = open_fds();
    (void)arg;
    ended = 0;
    weft_listener l = listen_loopback(address);
    for (int i = 0; i < 4; i++)
        spawn(&wg, accept_until_closed, (void *)(uintptr_t)l.id);
    let_others_park();
    CHECK_IS(weft_listener_close(l), 0);
    CHECK_IS(open_fds(), before); /* on one P: before any of them ran again */
    join(&wg);
    CHECK_IS(ended, 4);
    return 0;
}

Test(close, a_close_ends_accepts)
{
    for (int i = 0; i < 5; i++)
        run_on(1, close_under_accepts, NULL);
}

/* ---- At once ------------------------------------------------------------------------- */

/* ClosingListener, ListenAfterClose: the port is free though an accept has not returned yet. */
static int listen_again(void *arg)
{
    char           address[WEFT_ADDR_MAX];
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    weft_listener l = listen_apart(address);
    for (int i = 0; i < 100; i++) {
        spawn(&wg, accept_until_closed, (void *)(uintptr_t)l.id);
        if (i % 2)
            let_others_park();
        else
            weft_yield(); /* on several Ps it may be trying to accept just now */
        weft_listener old = l;
        CHECK_IS(weft_listener_close(old), 0);
        CHECK_IS(weft_listen(&l, "tcp", address), 0);
        join(&wg);
        CHECK_IS(weft_listener_close(old), -EBADF);
    }
    weft_conn c = dial(address), s;
    CHECK_IS(weft_listener_accept(l, &s), 0);
    CHECK_IS(weft_conn_close(c), 0);
    return 0;
}

Test(close, a_port_is_free_when_the_close_returns)
{
    run_on_1_2_4(listen_again);
}

static int close_seen_by_peer(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    char           byte;
    (void)arg;
    ended = 0;
    p = connect_pair();
    spawn(&wg, read_until_closed, NULL);
    let_others_park();
    CHECK_IS(weft_conn_close(p.a), 0);
    CHECK_IS(ended, 0); /* it has not run since, and held up nothing */
    CHECK_IS(read(weft_conn_fd(p.b), &byte, 1), 0);
    join(&wg);
    return 0;
}

Test(close, the_peer_reads_the_end_though_a_reader_was_parked)
{
    run_on(1, close_seen_by_peer, NULL);
}

/* ---- Numbers and slots used again, with events in flight ----------------------------- */

enum { LANES = 8, HANDLES = 2 };

static struct lane {
    weft_conn     shared[HANDLES]; /* what the lane's connections are now; read racily */
    weft_conn     peer;
    volatile int  tag;
    volatile bool over;
} lanes[LANES];

/* Reads from whatever the handles are: its lane's bytes or an error, never another's. */
static void intrude(void *arg)
{
    struct lane *lane = arg;
    while (!lane->over) {
        char      byte[16];
        int       tag = lane->tag;
        weft_conn c = lane->shared[0];
        weft_conn_set_read_deadline(c, weft_after(WEFT_MS));
        ssize_t n = weft_conn_read(c, byte, sizeof byte);
        for (ssize_t i = 0; i < n; i++)
            CHECK(byte[i] == tag || byte[i] == lane->tag);
        CHECK(n >= 0 || n == -EBADF || n == -ETIMEDOUT || n == -ECONNRESET || n == -ECANCELED);
        weft_yield();
    }
}

static void churn(void *arg)
{
    struct lane *lane = arg;
    char         out[40];
    memset(out, lane->tag, sizeof out);
    for (long i = 0, n = test_scaled(300); i < n; i++) {
        pair q = connect_pair();
        lane->shared[0] = q.a;
        CHECK_IS(weft_conn_write(q.b, out, sizeof out), sizeof out);
        if (i % 3 == 0)
            weft_yield();
        CHECK_IS(i % 2 ? weft_conn_close(q.a) : weft_conn_abort(q.a), 0); /* its event in flight */
        CHECK_IS(weft_conn_close(q.b), 0);
        CHECK_IS(weft_conn_close(q.a), -EBADF);
    }
    lane->over = true;
}

static int storm(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    int            before = open_fds();
    (void)arg;
    for (int i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){ .tag = 'a' + i };
        spawn(&wg, churn, &lanes[i]);
        spawn(&wg, intrude, &lanes[i]);
    }
    join(&wg);
    CHECK_IS(open_fds(), before);
    return 0;
}

/* Lessons 1, 2, 3 and FileCloseRace. */
Test(close, a_storm_of_closes_and_opens_never_crosses_wires, .timeout = 120)
{
    run_on_1_2_4(storm);
}

static int number_used_again(void *arg)
{
    long reused = 0, n = test_scaled(300);
    (void)arg;
    for (long i = 0; i < n; i++) {
        weft_waitgroup wg = { { 0 } };
        char           byte = 0;
        ended = 0;
        p = connect_pair();
        spawn(&wg, read_until_closed, NULL);
        let_others_park();
        int number = weft_conn_fd(p.a);
        CHECK_IS(weft_conn_close(p.a), 0);
        pair q = connect_pair(); /* takes the number, is registered anew, and hears its events */
        reused += weft_conn_fd(q.a) == number || weft_conn_fd(q.b) == number;
        CHECK_IS(weft_conn_write(q.a, "q", 1), 1);
        CHECK_IS(weft_conn_read(q.b, &byte, 1), 1);
        CHECK_IS(byte, 'q');
        join(&wg);
        close_pair(q);
        CHECK_IS(weft_conn_close(p.b), 0);
    }
    CHECK(reused > n / 2); /* but for the moments in which sysmon has one open */
    return 0;
}

/* Lesson 2: a waiter at the close, then the same number again. */
Test(close, a_number_used_again_is_registered_again)
{
    run_on(1, number_used_again, NULL);
}

/* Lesson 4: a duplicate of the descriptor keeps the connection; its events must reach nobody. */
static int duplicate(void *arg)
{
    weft_stats      before, after;
    struct timespec from, to;
    char            byte;
    (void)arg;
    p = connect_pair();
    int copy = dup(weft_conn_fd(p.a));
    CHECK(copy >= 0);
    CHECK_IS(weft_conn_close(p.a), 0);
    weft_stats_read(&before);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < 50; i++) {
        CHECK_IS(weft_conn_write(p.b, "x", 1), 1);
        CHECK_IS(weft_sleep(2 * WEFT_MS), 0);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    weft_stats_read(&after);
    CHECK((to.tv_sec - from.tv_sec) * WEFT_S + to.tv_nsec - from.tv_nsec < 70 * WEFT_MS);
    CHECK(after.poll_events - before.poll_events <= 10); /* and not one for each byte */
    CHECK_IS(read(copy, &byte, 1), 1);
    close(copy);
    return 0;
}

Test(close, a_duplicate_keeps_no_registration)
{
    run_on(1, duplicate, NULL);
    run_on(2, duplicate, NULL);
}
