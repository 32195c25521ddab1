/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/conn_wait.h - for tests of weft_conn_wait: a library that does its own I/O, and
 * waits in coroutines of their own.
 */
#ifndef WEFT_TESTS_CONN_WAIT_H
#define WEFT_TESTS_CONN_WAIT_H

#include <poll.h>
#include <sys/socket.h>

#include "net_support.h"

enum { BOTH = POLLIN | POLLOUT };

/* The library: its own calls, on the descriptor. */
SUPPORT ssize_t take(weft_conn c, size_t n)
{
    char    buf[4096];
    ssize_t r = recv(weft_conn_fd(c), buf, n, MSG_DONTWAIT);
    return r < 0 ? -errno : r;
}

SUPPORT size_t send_what_goes(weft_conn c)
{
    static char chunk[64 << 10];
    size_t      sum = 0;
    ssize_t     r;
    while ((r = send(weft_conn_fd(c), chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
        sum += (size_t)r;
    CHECK_IS(errno, EAGAIN);
    return sum;
}

/* Until there is no more room, nor comes any as the other side's kernel takes what was sent. */
SUPPORT size_t stuff(weft_conn c)
{
    size_t sum = 0, more;
    while ((more = send_what_goes(c)) > 0) {
        sum += more;
        CHECK_IS(weft_sleep(2 * WEFT_MS), 0);
    }
    return sum;
}

SUPPORT void put(weft_conn c, const char *text)
{
    CHECK_IS(weft_conn_write(c, text, strlen(text)), strlen(text));
}

SUPPORT void get(weft_conn c, size_t n)
{
    char buf[4096];
    CHECK_IS(weft_conn_read_full(c, buf, n, NULL), n);
}

/* A wait in a coroutine of its own; on one P it has returned or waits after start. */
typedef struct waiter {
    weft_conn  c;
    int        events, result;
    bool       done;
    weft_group group;
} waiter;

SUPPORT int wait_entry(void *arg)
{
    waiter *w = *(waiter **)arg;
    w->result = weft_conn_wait(w->c, w->events);
    w->done = true;
    return 0;
}

SUPPORT void start(waiter *w, weft_conn c, int events)
{
    *w = (waiter){ .c = c, .events = events, .group = WEFT_GROUP_INIT };
    CHECK_IS(weft_group_go(&w->group, wait_entry, &w, sizeof w), 0);
    let_others_park();
}

SUPPORT int finish(waiter *w)
{
    int first;
    CHECK_IS(weft_group_wait(&w->group, weft_after(PATIENCE), &first), 0);
    CHECK(w->done);
    return w->result;
}

SUPPORT void start_parked(waiter *w, weft_conn c, int events)
{
    start(w, c, events);
    CHECK(!w->done);
}

/* It parks, and says so when it is cancelled. */
SUPPORT bool parks(weft_conn c, int events)
{
    waiter w;
    start(&w, c, events);
    bool parked = !w.done;
    weft_group_cancel(&w.group);
    int r = finish(&w);
    if (parked)
        CHECK_IS(r, -ECANCELED);
    return parked;
}

/* The library waits for n bytes and takes them. */
SUPPORT void take_all(weft_conn c, size_t n)
{
    for (ssize_t r; n > 0; n -= (size_t)r) {
        CHECK_IS(weft_conn_wait(c, POLLIN), POLLIN);
        r = take(c, n);
        CHECK(r > 0);
    }
}

/* Far more than fits in the sockets' buffers: one that waits for room. */
struct bulk {
    weft_conn c;
    size_t    n;
};

SUPPORT void write_bulk(void *arg)
{
    static char        data[1 << 20];
    const struct bulk *b = arg;
    CHECK_IS(weft_conn_write(b->c, data, b->n), b->n);
}

#endif
