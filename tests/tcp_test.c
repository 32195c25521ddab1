/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/tcp_test.c - bytes over connections: echo in numbers, whole reads, the end of a stream and
 * its reset told apart, half-close, what a close and an abort do to bytes on their way, turns.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* ---- Echo in numbers ----------------------------------------------------------------- */

static char           echo_address[WEFT_ADDR_MAX];
static volatile long  echoed;
static weft_waitgroup servers;

static void serve(void *arg)
{
    weft_conn c = { (uintptr_t)arg };
    char      buf[256];
    ssize_t   n;
    while ((n = weft_conn_read(c, buf, sizeof buf)) > 0)
        CHECK_IS(weft_conn_write(c, buf, (size_t)n), n);
    CHECK_IS(n, 0);
    CHECK_IS(weft_conn_close(c), 0);
}

static void accept_all(void *arg)
{
    weft_listener l = *(weft_listener *)arg;
    weft_conn     c;
    int           r;
    while ((r = weft_listener_accept(l, &c)) == 0)
        spawn(&servers, serve, (void *)(uintptr_t)c.id);
    CHECK_IS(r, -EBADF);
}

static void talk(void *arg)
{
    weft_conn c = dial(echo_address);
    char      out[64], in[64];
    for (int i = 0; i < 20; i++) {
        memset(out, (int)(intptr_t)arg * 31 + i, sizeof out);
        CHECK_IS(weft_conn_write(c, out, sizeof out), sizeof out);
        CHECK_IS(weft_conn_read_full(c, in, sizeof in, NULL), sizeof in);
        CHECK(memcmp(in, out, sizeof in) == 0);
        __sync_fetch_and_add(&echoed, 1);
    }
    CHECK_IS(weft_conn_close(c), 0);
}

static int echo_thousand(void *arg)
{
    long           n = test_scaled(1000);
    weft_waitgroup wg = { { 0 } };
    weft_listener  l = listen_loopback(echo_address);
    (void)arg;
    echoed = 0;
    spawn(&servers, accept_all, &l);
    for (intptr_t i = 0; i < n; i++)
        spawn(&wg, talk, (void *)i);
    join(&wg);
    CHECK_IS(echoed, 20 * n);
    CHECK_IS(weft_listener_close(l), 0);
    join(&servers);
    return 0;
}

Test(tcp, a_thousand_connections_all_echo_correctly)
{
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    run_on_1_2_4(echo_thousand);
}

/* ---- Reading whole ------------------------------------------------------------------- */

static void send_pieces(void *arg)
{
    weft_conn *c = arg;
    for (int i = 0; i < 10; i++) {
        CHECK_IS(weft_conn_write(*c, &"0123456789"[i], 1), 1);
        weft_yield();
    }
}

static int whole(void *arg)
{
    pair           p = connect_pair();
    char           buf[16];
    size_t         done = 99;
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    spawn(&wg, send_pieces, &p.a);
    CHECK_IS(weft_conn_read_full(p.b, buf, 10, &done), 10);
    CHECK_IS(done, 10);
    CHECK(memcmp(buf, "0123456789", 10) == 0);
    join(&wg);
    CHECK_IS(weft_conn_write(p.a, "abc", 3), 3);
    CHECK_IS(weft_conn_close(p.a), 0);
    CHECK_IS(weft_conn_read_full(p.b, buf, 10, &done), -EPIPE); /* the end after the first byte */
    CHECK_IS(done, 3);
    CHECK(memcmp(buf, "abc", 3) == 0);
    CHECK_IS(weft_conn_read_full(p.b, buf, 10, &done), 0); /* and before it */
    CHECK_IS(done, 0);
    CHECK_IS(weft_conn_read(p.b, buf, 10), 0); /* an end stays one */
    return 0;
}

Test(tcp, read_full_reads_all_or_tells_where_the_stream_ended)
{
    run_on_1_2_4(whole);
}

static int reset(void *arg)
{
    pair   p = connect_pair();
    char   buf[16];
    size_t done = 9;
    (void)arg;
    CHECK_IS(weft_conn_abort(p.a), 0);
    CHECK_IS(weft_conn_read_full(p.b, buf, 10, &done), -ECONNRESET);
    CHECK_IS(done, 0);
    p = connect_pair();
    CHECK_IS(weft_conn_abort(p.a), 0);
    CHECK_IS(weft_conn_read(p.b, buf, 10), -ECONNRESET);
    return 0;
}

Test(tcp, a_reset_is_told_from_an_end)
{
    run_on_1_2_4(reset);
}

static int cancelled_calls(void *arg)
{
    pair       *p = arg;
    const void *data;
    char        buf[1];
    weft_conn   c;
    while (!weft_cancelled())
        weft_yield();
    CHECK_IS(weft_conn_read(p->a, buf, 1), -ECANCELED);
    CHECK_IS(weft_conn_read(p->a, buf, 0), -ECANCELED);
    CHECK_IS(weft_conn_write(p->a, buf, 1), -ECANCELED); /* though there is room */
    CHECK_IS(weft_conn_write(p->a, buf, 0), -ECANCELED);
    CHECK_IS(weft_conn_borrow(p->a, &data, 1), -ECANCELED);
    CHECK_IS(weft_dial(&c, "tcp", "127.0.0.1:1", WEFT_NOWAIT), -ECANCELED);
    bool was = weft_shield(true);
    CHECK_IS(weft_conn_write(p->a, "s", 1), 1); /* shielded, it goes */
    weft_shield(was);
    return 0;
}

static int nothing(void *arg)
{
    pair       p = connect_pair();
    weft_group g = WEFT_GROUP_INIT;
    char       byte;
    int        first;
    (void)arg;
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_read(p.a, &byte, 0), 0);
    CHECK_IS(weft_conn_read_full(p.a, &byte, 0, NULL), 0);
    CHECK_IS(weft_conn_write(p.a, &byte, 0), 0);
    CHECK_IS(weft_conn_writev(p.a, NULL, 0, NULL), 0);
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_FOREVER), 0);
    CHECK_IS(weft_conn_read(p.a, &byte, 0), 0); /* with nothing there to read */
    CHECK_IS(weft_group_go(&g, cancelled_calls, &p, sizeof p), 0);
    weft_group_cancel(&g);
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    CHECK_IS(byte, 's');
    return 0;
}

Test(tcp, no_bytes_take_no_time_and_the_cancelled_do_nothing)
{
    run_on(1, nothing, NULL);
}

/* ---- Half-close, close and abort ----------------------------------------------------- */

static int half_close(void *arg)
{
    pair p = connect_pair();
    char buf[16];
    (void)arg;
    CHECK_IS(weft_conn_write(p.a, "question", 8), 8);
    CHECK_IS(weft_conn_close_write(p.a), 0);
    CHECK_IS(weft_conn_write(p.a, "more", 4), -EPIPE);
    CHECK_IS(weft_conn_read_full(p.b, buf, 8, NULL), 8);
    CHECK_IS(weft_conn_read(p.b, buf, 8), 0);
    CHECK_IS(weft_conn_write(p.b, "answer", 6), 6);
    CHECK_IS(weft_conn_read_full(p.a, buf, 6, NULL), 6);
    CHECK(memcmp(buf, "answer", 6) == 0);
    CHECK_IS(weft_conn_close(p.b), 0);
    CHECK_IS(weft_conn_read(p.a, buf, 8), 0);
    return 0;
}

Test(tcp, one_half_closes_without_the_other)
{
    run_on_1_2_4(half_close);
}

/* Reads as slowly as it can until the end; every byte must be there and right. */
static void read_slowly(weft_conn c, size_t expected)
{
    char    buf[3000];
    size_t  got = 0;
    ssize_t n;
    while ((n = weft_conn_read(c, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            CHECK_IS(buf[i], (char)((got + (size_t)i) * 7));
        got += (size_t)n;
        weft_yield();
    }
    CHECK_IS(n, 0); /* an end, not a reset */
    CHECK_IS(got, expected);
}

/* Lesson 42; and with bytes unread on our side, for which the kernel alone would reset. */
static int close_behind_data(void *arg)
{
    static char data[400 << 10];
    (void)arg;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    for (int unread = 0; unread <= 1; unread++) {
        pair   p = connect_pair();
        size_t sent = 0;
        int    room = 300 << 10;
        setsockopt(weft_conn_fd(p.b), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        if (unread)
            CHECK_IS(weft_conn_write(p.a, data, 50000), 50000);
        CHECK_IS(weft_conn_set_write_deadline(p.b, weft_after(50 * WEFT_MS)), 0);
        ssize_t r = weft_conn_write_part(p.b, data, sizeof data, &sent);
        CHECK(r == -ETIMEDOUT || r == (ssize_t)sizeof data); /* more than the peer took */
        CHECK_IS(weft_conn_close(p.b), 0);
        read_slowly(p.a, sent);
        CHECK_IS(weft_conn_close(p.a), 0);
    }
    return 0;
}

Test(tcp, a_close_discards_nothing_that_was_written)
{
    run_on_1_2_4(close_behind_data);
}

static int abort_drops(void *arg)
{
    pair   p = connect_pair();
    size_t sent = fill(p.b), got = 0;
    char   buf[4096];
    (void)arg;
    CHECK_IS(weft_conn_abort(p.b), 0);
    ssize_t n;
    while ((n = weft_conn_read(p.a, buf, sizeof buf)) > 0)
        got += (size_t)n;
    CHECK_IS(n, -ECONNRESET);
    CHECK(got < sent);
    return 0;
}

Test(tcp, an_abort_resets_and_drops_what_is_unsent)
{
    run_on_1_2_4(abort_drops);
}

/* ---- Turns --------------------------------------------------------------------------- */

enum { WRITERS = 6, RECORD = 150000, RECORDS = 4 };

static pair turns;

static void write_records(void *arg)
{
    char *record = malloc(RECORD);
    memset(record, 'a' + (int)(intptr_t)arg, RECORD);
    for (int i = 0; i < RECORDS; i++)
        CHECK_IS(weft_conn_write(turns.a, record, RECORD), RECORD);
    free(record);
}

static void read_records(void *arg)
{
    char *record = malloc(RECORD);
    (void)arg;
    for (int i = 0; i < RECORDS; i++) {
        CHECK_IS(weft_conn_read_full(turns.b, record, RECORD, NULL), RECORD);
        for (int at = 1; at < RECORD; at++)
            CHECK_IS(record[at], record[0]);
    }
    free(record);
}

static int take_turns(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    turns = connect_pair();
    for (intptr_t i = 0; i < WRITERS; i++) {
        spawn(&wg, write_records, (void *)i);
        spawn(&wg, read_records, NULL);
    }
    join(&wg);
    close_pair(turns);
    return 0;
}

Test(tcp, calls_of_several_coroutines_never_mix)
{
    run_on_1_2_4(take_turns);
}

/* ---- More than 2 GiB in one call ----------------------------------------------------- */

#define BIG (((size_t)2 << 30) + (3 << 20) + 1)

static void swallow(void *arg)
{
    pair   *p = arg;
    size_t  got = 0, size = 1 << 20;
    char   *buf = malloc(size);
    ssize_t n;
    while ((n = weft_conn_read(p->b, buf, size)) > 0)
        got += (size_t)n;
    CHECK_IS(n, 0);
    CHECK_IS(got, BIG);
    free(buf);
}

static int write_big(void *arg)
{
    pair           p = connect_pair();
    size_t         done = 0;
    weft_waitgroup wg = { { 0 } };
    char *data = mmap(NULL, BIG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    (void)arg;
    CHECK(data != MAP_FAILED);
    spawn(&wg, swallow, &p);
    CHECK_IS(weft_conn_write_part(p.a, data, BIG, &done), BIG);
    CHECK_IS(done, BIG);
    CHECK_IS(weft_conn_close(p.a), 0);
    join(&wg);
    munmap(data, BIG);
    return 0;
}

Test(tcp, one_write_may_be_larger_than_2_gib)
{
    run_on(2, write_big, NULL);
}
