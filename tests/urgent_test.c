/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/urgent_test.c - urgent data: a read stops short of it though more is queued behind, and no
 * edge tells of that.  Whoever takes the short read for a drained socket waits for ever.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <sys/socket.h>

static pair p;

/* "ab", an urgent byte, "cd": the stream is "abcd". */
static void send_round(long i)
{
    int fd = weft_conn_fd(p.a);
    CHECK_IS(send(fd, "ab", 2, MSG_NOSIGNAL), 2);
    if (i % 3 == 0)
        weft_yield();
    CHECK_IS(send(fd, "X", 1, MSG_NOSIGNAL | MSG_OOB), 1);
    if (i % 5 == 0)
        weft_yield();
    CHECK_IS(send(fd, "cd", 2, MSG_NOSIGNAL), 2);
}

static void send_rounds(void *arg)
{
    for (long i = 0, n = (intptr_t)arg; i < n; i++) {
        char byte;
        send_round(i);
        CHECK_IS(weft_conn_read(p.a, &byte, 1), 1); /* one urgent byte at a time */
    }
}

static void read_round(bool borrow)
{
    char        got[8];
    size_t      n = 0;
    const void *data = got;
    while (n < 4) {
        char    buf[8];
        ssize_t r = borrow ? weft_conn_borrow(p.b, &data, 4 - n) : weft_conn_read(p.b, buf, 4 - n);
        CHECK(r > 0);
        memcpy(got + n, borrow ? data : buf, (size_t)r);
        n += (size_t)r;
    }
    CHECK(memcmp(got, "abcd", 4) == 0);
}

static int rounds(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    intptr_t       n = test_scaled(400);
    (void)arg;
    p = connect_pair();
    CHECK_IS(weft_conn_set_deadline(p.b, weft_after(PATIENCE)), 0);
    spawn(&wg, send_rounds, (void *)n);
    for (long i = 0; i < n; i++) {
        read_round(i % 2);
        CHECK_IS(weft_conn_write(p.b, "k", 1), 1);
    }
    join(&wg);
    close_pair(p);
    return 0;
}

Test(urgent, what_is_queued_behind_urgent_data_is_read, .timeout = 60)
{
    run_on_1_2_4(rounds);
}
