/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/net_conn_wait.c - a library's own reads and writes beside weft's, on connections
 * that are full in both directions, while deadlines change: nobody is left behind, and what
 * comes back is as much as went.
 */
#include "net_support.h"
#include "scale.h"

#include <poll.h>

enum { PAIRS = 3, CHUNK = 3000 };

typedef struct line {
    weft_conn a, b;
    int64_t   sent, got; /* atomic */
    int       senders;   /* atomic */
    bool      over;      /* atomic */
} line;

static long chunks;

static void count(int64_t *sum, ssize_t n)
{
    __atomic_fetch_add(sum, n, __ATOMIC_RELAXED);
}

static void sender_ends(line *l)
{
    if (__atomic_sub_fetch(&l->senders, 1, __ATOMIC_ACQ_REL) == 0)
        CHECK_IS(weft_conn_close_write(l->a), 0);
}

static void weft_writer(void *arg)
{
    line *l = arg;
    char  buf[CHUNK] = "";
    for (long i = 0; i < chunks; i++) {
        size_t  done;
        ssize_t n = weft_conn_write_part(l->a, buf, sizeof buf, &done);
        CHECK(n == CHUNK || n == -ETIMEDOUT);
        count(&l->sent, (ssize_t)done);
    }
    sender_ends(l);
}

static void weft_reader(void *arg)
{
    line *l = arg;
    char  buf[CHUNK];
    for (ssize_t n; (n = weft_conn_read(l->a, buf, sizeof buf)) != 0;) {
        CHECK(n > 0 || n == -ETIMEDOUT);
        if (n > 0)
            count(&l->got, n);
        else
            weft_yield();
    }
}

static ssize_t answer(ssize_t r)
{
    return r < 0 ? -errno : r;
}

/* Reads now a part and now until there is no more; false: the end. */
static bool library_reads(line *l, long i)
{
    char    buf[CHUNK];
    ssize_t n;
    do {
        n = answer(recv(weft_conn_fd(l->a), buf, i % 3 ? sizeof buf : 100, MSG_DONTWAIT));
        CHECK(n >= 0 || n == -EAGAIN);
        if (n > 0)
            count(&l->got, n);
    } while (n > 0 && i % 2);
    return n != 0;
}

static void library_writes(line *l)
{
    static const char buf[CHUNK] = "";
    ssize_t n = answer(send(weft_conn_fd(l->a), buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL));
    CHECK(n > 0 || n == -EAGAIN);
    count(&l->sent, n > 0 ? n : 0);
}

static void library_both(void *arg)
{
    line *l = arg;
    long  left = chunks;
    for (long i = 0;; i++) {
        int r = weft_conn_wait(l->a, left > 0 ? POLLIN | POLLOUT : POLLIN);
        CHECK(r > 0 || r == -ETIMEDOUT);
        if (r < 0)
            weft_yield();
        else if (r & POLLIN && !library_reads(l, i))
            break;
        if (r > 0 && r & POLLOUT) {
            library_writes(l);
            if (--left == 0)
                sender_ends(l);
        }
    }
    CHECK_IS(left, 0); /* the end comes after the last sender's */
}

static void echo(void *arg)
{
    line       *l = arg;
    const void *data;
    ssize_t     n;
    while ((n = weft_conn_borrow(l->b, &data, 4096)) > 0)
        CHECK_IS(weft_conn_write(l->b, data, (size_t)n), n);
    CHECK_IS(n, 0);
    CHECK_IS(weft_conn_close(l->b), 0);
}

static void disturb(void *arg)
{
    line *l = arg;
    for (long i = 0; !__atomic_load_n(&l->over, __ATOMIC_ACQUIRE); i++) {
        weft_time t = i % 3 == 0 ? WEFT_FOREVER : weft_after(i % 37 * 11 * WEFT_US);
        CHECK_IS(i % 2 ? weft_conn_set_read_deadline(l->a, t)
                       : weft_conn_set_write_deadline(l->a, t),
                 0);
        CHECK_IS(weft_sleep(i % 5 * 50 * WEFT_US), 0);
    }
}

static void run_line(void *arg)
{
    line           l = { .senders = 3 };
    pair           p = connect_pair();
    int            small = 4096;
    weft_waitgroup users = { { 0 } }, rest = { { 0 } };
    l.a = p.a, l.b = p.b;
    for (int i = 0; i < 2; i++)
        CHECK_IS(setsockopt(weft_conn_fd(i ? l.a : l.b), SOL_SOCKET, SO_SNDBUF, &small,
                            sizeof small),
                 0);
    spawn(&rest, echo, &l);
    if (arg)
        spawn(&rest, disturb, &l);
    spawn(&users, weft_writer, &l);
    spawn(&users, weft_reader, &l);
    spawn(&users, library_both, &l);
    spawn(&users, library_both, &l);
    join(&users);
    __atomic_store_n(&l.over, true, __ATOMIC_RELEASE);
    join(&rest);
    CHECK_IS(l.got, l.sent);
    CHECK_IS(weft_conn_close(l.a), 0);
}

static int body(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    for (int i = 0; i < PAIRS; i++)
        spawn(&wg, run_line, arg);
    join(&wg);
    return 0;
}

int main(void)
{
    chunks = test_scaled(600);
    for (int procs = 1; procs <= 4; procs *= 2) {
        run_on(procs, body, NULL);
        run_on(procs, body, "with deadlines");
    }
    return 0;
}
