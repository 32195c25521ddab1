/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/ring_test.c - what a netpoller that receives by itself must not do: lose bytes that it
 * has, or connections, and nobody asked for yet; take more than is read.
 *
 * The same holds of the other netpoller, so all runs on both (see CMakeLists.txt).
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

static pair p;

/* A reader parks in a read, so that whatever comes is received for it; one byte ends that. */
static void arm_reader(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    CHECK_IS(byte, '!');
}

static void arm(void)
{
    weft_waitgroup wg = { { 0 } };
    spawn(&wg, arm_reader, NULL);
    let_others_park();
    CHECK_IS(weft_conn_write(p.a, "!", 1), 1);
    join(&wg);
}

/* ---- Nothing is lost ------------------------------------------------------------------- */

enum { NUMBERS = 20000 };

static void write_numbers(void *arg)
{
    (void)arg;
    for (unsigned i = 0, n = (unsigned)test_scaled(NUMBERS); i < n; i++) {
        CHECK_IS(weft_conn_write(p.a, &i, sizeof i), sizeof i);
        if (i % 7 == 0)
            weft_yield();
    }
    CHECK_IS(weft_conn_close_write(p.a), 0);
}

/* Reads by deadlines that mostly pass; now and then of odd lengths, and by borrows. */
static size_t read_some(size_t round, unsigned char *to, size_t room)
{
    const void *lent;
    size_t      most = round % 3 ? room : 1 + round % 11;
    CHECK_IS(weft_conn_set_read_deadline(p.b, weft_after((int64_t)(round % 20) * WEFT_US)), 0);
    ssize_t n = round % 2 ? weft_conn_read(p.b, to, most) : weft_conn_borrow(p.b, &lent, most);
    if (n > 0 && round % 2 == 0) {
        memcpy(to, lent, (size_t)n);
        weft_conn_release(p.b);
    }
    CHECK(n >= 0 || n == -ETIMEDOUT);
    if (n == 0)
        return (size_t)-1;
    if (n < 0)
        weft_yield();
    return n > 0 ? (size_t)n : 0;
}

static int numbers_in_order(void *arg)
{
    static unsigned char got[NUMBERS * sizeof(unsigned) + 64];
    weft_waitgroup       wg = { { 0 } };
    size_t               total = 0, n = 0;
    (void)arg;
    p = connect_pair();
    spawn(&wg, write_numbers, NULL);
    for (size_t round = 1; n != (size_t)-1; round++) {
        size_t room = sizeof got - total;
        n = read_some(round, got + total, room < 4096 ? room : 4096);
        total += n == (size_t)-1 ? 0 : n;
    }
    join(&wg);
    CHECK_IS(total, (size_t)test_scaled(NUMBERS) * sizeof(unsigned));
    for (unsigned i = 0, value; i < total / sizeof i; i++) {
        memcpy(&value, got + i * sizeof i, sizeof value);
        CHECK_IS(value, i);
    }
    close_pair(p);
    return 0;
}

Test(ring, reads_that_time_out_lose_no_byte, .timeout = 60)
{
    run_on_1_2_4(numbers_in_order);
}

static int cancelled(void *arg)
{
    char byte = 0;
    (void)arg;
    return (int)weft_conn_read(p.b, &byte, 1) == -ECANCELED ? 0 : -EIO;
}

static int cancel_then_read(void *arg)
{
    char text[8] = { 0 };
    (void)arg;
    p = connect_pair();
    for (int i = 0; i < 100; i++) {
        weft_group g = WEFT_GROUP_INIT;
        int        first = -1;
        CHECK_IS(weft_group_go(&g, cancelled, NULL, 0), 0);
        let_others_park();
        weft_group_cancel(&g);
        CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
        CHECK_IS(first, 0);
        CHECK_IS(weft_conn_write(p.a, "after", 5), 5);
        CHECK_IS(weft_conn_read_full(p.b, text, 5, NULL), 5);
        CHECK_IS(strcmp(text, "after"), 0);
    }
    close_pair(p);
    return 0;
}

Test(ring, what_comes_after_a_cancelled_read_is_read)
{
    run_on(1, cancel_then_read, NULL);
}

static int reset_after_bytes(void *arg)
{
    char text[8] = { 0 };
    (void)arg;
    for (int i = 0; i < 50; i++) {
        p = connect_pair();
        arm();
        CHECK_IS(weft_conn_write(p.a, "last", 4), 4);
        if (i % 2) { /* the end; it stays */
            CHECK_IS(weft_conn_close(p.a), 0);
            CHECK_IS(weft_conn_read_full(p.b, text, 4, NULL), 4);
            CHECK_IS(weft_conn_read(p.b, text, 1), 0);
            CHECK_IS(weft_conn_read(p.b, text, 1), 0);
        } else { /* TCP itself drops what was not read before a reset */
            CHECK_IS(weft_conn_read_full(p.b, text, 4, NULL), 4);
            CHECK_IS(weft_conn_abort(p.a), 0);
            CHECK_IS(weft_conn_read(p.b, text, 1), -ECONNRESET);
            CHECK_IS(weft_conn_read(p.b, text, 1), 0); /* as the system has it */
        }
        CHECK_IS(weft_conn_close(p.b), 0);
    }
    return 0;
}

Test(ring, ends_and_resets_are_told_after_the_bytes)
{
    run_on_1_2_4(reset_after_bytes);
}

/* ---- A slow reader --------------------------------------------------------------------- */

enum { FLOOD = 32 << 20, QUEUED_MOST = 2 << 20, PIECE = 64 << 10, SMALL = 32 << 10 };

/* The kernel itself keeps little. */
static pair connect_narrow(void)
{
    char          address[WEFT_ADDR_MAX];
    pair          q = { { 0 }, { 0 } };
    int           small = SMALL;
    weft_listener at = listen_loopback(address);
    CHECK_IS(setsockopt(weft_listener_fd(at), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    q.a = dial(address);
    CHECK_IS(setsockopt(weft_conn_fd(q.a), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    CHECK_IS(weft_listener_accept(at, &q.b), 0);
    CHECK_IS(weft_listener_close(at), 0);
    return q;
}

static size_t flood(void)
{
    static char piece[PIECE];
    size_t      sent = 0, done = PIECE;
    CHECK_IS(weft_conn_set_write_deadline(p.a, weft_after(300 * WEFT_MS)), 0);
    while (sent < FLOOD && done == PIECE) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = (char)((sent + i) * 31 >> 8);
        ssize_t r = weft_conn_write_part(p.a, piece, PIECE, &done);
        CHECK(r == PIECE || r == -ETIMEDOUT);
        sent += done;
        CHECK_IS(weft_sleep(200 * WEFT_US), 0); /* the P runs dry, and looks what came */
    }
    return sent;
}

static int slow_reader(void *arg)
{
    static char buf[PIECE];
    (void)arg;
    p = connect_narrow();
    arm();
    size_t sent = flood();
    CHECK(sent < QUEUED_MOST); /* the peer was made to wait */
    CHECK_IS(weft_conn_close_write(p.a), 0);
    for (size_t at = 0; at <= sent;) {
        ssize_t n = weft_conn_read(p.b, buf, sizeof buf);
        CHECK(n > 0 || at == sent);
        for (ssize_t i = 0; i < n; i++)
            CHECK(buf[i] == (char)((at + (size_t)i) * 31 >> 8));
        at += n > 0 ? (size_t)n : 1;
    }
    close_pair(p);
    return 0;
}

Test(ring, a_slow_reader_makes_the_peer_wait, .timeout = 60)
{
    run_on(1, slow_reader, NULL); /* else how much comes is a matter of whose thread gets a CPU */
}

/* ---- The descriptor ---------------------------------------------------------------------- */

static int descriptor(void *arg)
{
    char text[16] = { 0 };
    (void)arg;
    for (int i = 0; i < 50; i++) {
        size_t got = 0;
        p = connect_pair();
        arm();
        CHECK_IS(weft_conn_write(p.a, "0123456789", 10), 10);
        int fd = weft_conn_fd(p.b); /* some may have been received by now, for weft to give out */
        CHECK(fd >= 0 || fd == -EBUSY);
        while (got < 10) {
            int ready = weft_conn_wait(p.b, POLLIN);
            CHECK(ready == POLLIN || ready == -EBUSY);
            ssize_t n = weft_conn_read(p.b, text + got, 10 - got);
            CHECK(n > 0);
            got += (size_t)n;
        }
        fd = weft_conn_fd(p.b);
        CHECK_IS(memcmp(text, "0123456789", 10), 0);
        CHECK_IS(weft_conn_write(p.a, "raw", 3), 3); /* from here on all is the reader's own */
        CHECK_IS(weft_conn_wait(p.b, POLLIN), POLLIN);
        CHECK_IS(recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_WAITALL), 3);
        CHECK_IS(weft_conn_write(p.a, "weft", 4), 4);
        CHECK_IS(weft_conn_read_full(p.b, text, 4, NULL), 4);
        CHECK_IS(memcmp(text, "weft", 4), 0);
        close_pair(p);
    }
    return 0;
}

Test(ring, a_connection_whose_descriptor_is_asked_for_is_its_reader_s)
{
    run_on_1_2_4(descriptor);
}

/* ---- Accepting ----------------------------------------------------------------------------- */

enum { BURST = 100 };

static weft_listener listening;
static weft_conn     accepted;

static void accept_one(void *arg)
{
    (void)arg;
    CHECK_IS(weft_listener_accept(listening, &accepted), 0);
}

/* One waits in accept, so that whatever comes is accepted for it; then more come at once. */
static int burst(void *arg)
{
    char           address[WEFT_ADDR_MAX], byte = 0;
    weft_conn      c[BURST], s;
    weft_waitgroup wg = { { 0 } };
    int            before = open_fds();
    (void)arg;
    listening = listen_loopback(address);
    spawn(&wg, accept_one, NULL);
    let_others_park();
    for (int i = 0; i < BURST; i++)
        c[i] = dial(address);
    join(&wg);
    CHECK_IS(weft_conn_close(accepted), 0);
    for (int i = 1; i < BURST / 2; i++) {
        CHECK_IS(weft_listener_accept(listening, &s), 0);
        CHECK_IS(weft_conn_close(s), 0);
    }
    CHECK_IS(weft_listener_close(listening), 0); /* the rest is closed with it */
    for (int i = 0; i < BURST; i++) {
        ssize_t r = weft_conn_read(c[i], &byte, 1);
        CHECK(r == 0 || r == -ECONNRESET);
        CHECK_IS(weft_conn_close(c[i]), 0);
    }
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(ring, whatever_was_accepted_is_given_out_or_closed)
{
    run_on_1_2_4(burst);
}

enum { CLIENTS = 10, FREE = 3 };

/* Of the descriptors below the limit so many are free; sysmon opens one now and then. */
static void leave_free(int n)
{
    struct rlimit limit;
    int           next = dup(0);
    CHECK(next >= 0);
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)(next + n);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close(next);
}

static int served[CLIENTS];

static void serve(weft_conn c)
{
    unsigned char who = 0;
    CHECK_IS(weft_conn_read(c, &who, 1), 1);
    CHECK(who < CLIENTS);
    served[who]++;
}

/* A request to accept is out as they run out: it ends, and nobody who connected is lost. */
static int run_out(void *arg)
{
    char      address[WEFT_ADDR_MAX];
    int       fds[CLIENTS], n = 0, open = 0;
    weft_conn c[CLIENTS];
    weft_addr a;
    (void)arg;
    memset(served, 0, sizeof served);
    listening = listen_loopback(address);
    leave_free(CLIENTS + FREE); /* now: a request keeps to the limit as it was */
    CHECK_IS(weft_listener_set_deadline(listening, weft_after(5 * WEFT_MS)), 0);
    CHECK_IS(weft_listener_accept(listening, &c[0]), -ETIMEDOUT);
    CHECK_IS(weft_addr_parse(&a, address), 0);
    for (int i = 0; i < CLIENTS; i++)
        CHECK((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    for (unsigned char i = 0; i < CLIENTS; i++) {
        CHECK_IS(connect(fds[i], (struct sockaddr *)&a.sa, a.len), 0);
        CHECK_IS(send(fds[i], &i, 1, MSG_NOSIGNAL), 1);
    }
    CHECK_IS(weft_listener_set_deadline(listening, weft_after(50 * WEFT_MS)), 0);
    for (; n < CLIENTS && weft_listener_accept(listening, &c[n]) == 0; n++)
        serve(c[n]);
    CHECK(n <= FREE);
    CHECK_IS(weft_listener_set_deadline(listening, weft_after(PATIENCE)), 0);
    for (; n < CLIENTS; n++) {
        if (n > open)
            CHECK_IS(weft_conn_close(c[open++]), 0);
        CHECK_IS(weft_listener_accept(listening, &c[n]), 0);
        serve(c[n]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_IS(served[i], 1);
        CHECK_IS(close(fds[i]), 0);
    }
    for (; open < CLIENTS; open++)
        CHECK_IS(weft_conn_close(c[open]), 0);
    return weft_listener_close(listening);
}

Test(ring, nobody_is_lost_who_connects_as_descriptors_run_out)
{
    run_on(1, run_out, NULL);
}

/* ---- The end of the runtime ------------------------------------------------------------------ */

static void read_for_ever(void *arg)
{
    char byte = 0;
    CHECK(weft_conn_read(*(weft_conn *)arg, &byte, 1) < 0);
}

static int leave_readers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        pair q = connect_pair();
        CHECK_IS(weft_go(read_for_ever, &q.a, sizeof q.a), 0);
        CHECK_IS(weft_go(read_for_ever, &q.b, sizeof q.b), 0);
    }
    let_others_park();
    return 0; /* their reads are out still */
}

Test(ring, the_runtime_ends_with_reads_under_way_and_runs_again)
{
    int before = open_fds();
    for (int i = 0; i < 20; i++) {
        run_on(1 + i % 4, leave_readers, NULL);
        cr_assert_eq(open_fds(), before);
    }
    run_on_1_2_4(descriptor);
}
