/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/net_echo.c - many connections at once, each byte checked: dial, accept, read, borrow,
 * vectors, turns shared by several writers and readers, and the stop with all still open.
 */
#include "net_support.h"
#include "scale.h"

static char          address[WEFT_ADDR_MAX];
static weft_listener l;

static void echo_read(weft_conn c)
{
    char    buf[100];
    ssize_t n;
    while ((n = weft_conn_read(c, buf, sizeof buf)) > 0)
        CHECK_IS(weft_conn_write(c, buf, (size_t)n), n);
    CHECK_IS(n, 0);
}

static void echo_borrow(weft_conn c)
{
    const void *data;
    ssize_t     n;
    while ((n = weft_conn_borrow(c, &data, 4000)) > 0)
        CHECK_IS(weft_conn_write(c, data, (size_t)n), n);
    CHECK_IS(n, 0);
}

static void serve(void *arg)
{
    weft_conn c = { (uintptr_t)arg };
    if (c.id & 1)
        echo_read(c);
    else
        echo_borrow(c);
    CHECK_IS(weft_conn_close(c), 0);
}

static void accept_all(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    weft_conn      c;
    int            r;
    (void)arg;
    while ((r = weft_listener_accept(l, &c)) == 0)
        spawn(&wg, serve, (void *)(uintptr_t)c.id);
    CHECK_IS(r, -EBADF);
    join(&wg);
}

static void talk(void *arg)
{
    weft_conn c = dial(address);
    char      out[300], in[300];
    for (int i = 0; i < 10; i++) {
        memset(out, (int)(intptr_t)arg + i, sizeof out);
        struct iovec iov[2] = { { out, 100 }, { out + 100, 200 } };
        CHECK_IS(weft_conn_writev(c, iov, 2, NULL), sizeof out);
        CHECK_IS(weft_conn_read_full(c, in, sizeof in, NULL), sizeof in);
        CHECK(memcmp(in, out, sizeof in) == 0);
    }
    CHECK_IS(weft_conn_close(c), 0);
}

static pair shared;

static void write_records(void *arg)
{
    char record[2000];
    memset(record, 'a' + (int)(intptr_t)arg, sizeof record);
    for (int i = 0; i < 20; i++)
        CHECK_IS(weft_conn_write(shared.a, record, sizeof record), sizeof record);
}

static void read_records(void *arg)
{
    char record[2000];
    (void)arg;
    for (int i = 0; i < 20; i++) {
        CHECK_IS(weft_conn_read_full(shared.b, record, sizeof record, NULL), sizeof record);
        for (size_t at = 1; at < sizeof record; at++)
            CHECK_IS(record[at], record[0]);
    }
}

static void stay(void *arg)
{
    weft_conn c = { (uintptr_t)arg };
    char      byte;
    CHECK_IS(weft_conn_read(c, &byte, 1), -ECANCELED);
}

static int body(void *arg)
{
    weft_waitgroup wg = { { 0 } }, server = { { 0 } };
    (void)arg;
    l = listen_loopback(address);
    for (int i = 0; i < 3; i++)
        spawn(&server, accept_all, NULL);
    for (intptr_t i = 0, n = test_scaled(150); i < n; i++)
        spawn(&wg, talk, (void *)i);
    shared = connect_pair();
    for (intptr_t i = 0; i < 3; i++) {
        spawn(&wg, write_records, (void *)i);
        spawn(&wg, read_records, NULL);
    }
    join(&wg);
    CHECK_IS(weft_listener_close(l), 0);
    join(&server);
    for (int i = 0; i < 20; i++) { /* these the stop finds open, and in a wait */
        pair p = connect_pair();
        CHECK_IS(weft_go(stay, (void *)(uintptr_t)p.a.id, 0), 0);
        CHECK_IS(weft_go(stay, (void *)(uintptr_t)p.a.id, 0), 0);
    }
    return 0;
}

int main(void)
{
    int before = open_fds();
    for (int i = 0; i < 3; i++) {
        run_on(1 << i, body, NULL);
        CHECK_IS(open_fds(), before);
    }
    return 0;
}
