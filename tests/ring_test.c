/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/ring_test.c - what a netpoller that receives by itself must not do: lose bytes that it
 * has and nobody asked for yet, take more than is read, hold up a connection while its thread
 * is in other code, keep a socket open behind a close.
 *
 * The same holds of the other netpoller, so all runs on both (see CMakeLists.txt).
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOG_MOST (20 * WEFT_S) /* far more than anything takes: it was held up for good */

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

/* ---- Its thread is in other code --------------------------------------------------------- */

static volatile int got_it;

static void note_byte(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    __atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
}

static int64_t thread_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_S + t.tv_nsec;
}

/* Not a call of weft's until the byte was read, by somebody else. */
static void compute(void)
{
    for (int64_t end = thread_clock() + HOG_MOST; thread_clock() < end;)
        if (__atomic_load_n(&got_it, __ATOMIC_SEQ_CST))
            return;
}

static void block(void)
{
    const struct timespec pause = { .tv_nsec = 50 * WEFT_MS };
    for (int i = 0; i < HOG_MOST / pause.tv_nsec && !__atomic_load_n(&got_it, __ATOMIC_SEQ_CST);
         i++)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static void *write_from_outside(void *arg)
{
    CHECK_IS(send(*(int *)arg, "!", 1, MSG_NOSIGNAL), 1);
    return NULL;
}

static int in_other_code(void *arg)
{
    void (*const *other)(void) = arg;
    for (int i = 0; i < 5; i++) {
        weft_waitgroup wg = { { 0 } };
        pthread_t      thread;
        p = connect_pair();
        int fd = weft_conn_fd(p.a);
        __atomic_store_n(&got_it, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, note_byte, NULL);
        let_others_park(); /* its receive is with this thread's ring, perhaps not yet submitted */
        CHECK_IS(pthread_create(&thread, NULL, write_from_outside, &fd), 0);
        (*other)();
        CHECK(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST));
        join(&wg);
        CHECK_IS(pthread_join(thread, NULL), 0);
        close_pair(p);
    }
    return 0;
}

Test(ring, a_thread_that_computes_holds_up_nobody, .timeout = 60)
{
    static void (*other)(void) = compute;
    run_on(1, in_other_code, &other);
    run_on(4, in_other_code, &other);
}

Test(ring, nor_does_one_that_blocks, .timeout = 60)
{
    static void (*other)(void) = block;
    run_on(1, in_other_code, &other);
    run_on(4, in_other_code, &other);
}

/* ---- Close ------------------------------------------------------------------------------ */

static void end_seen(void *arg)
{
    char byte = 0;
    CHECK_IS(weft_conn_read(p.a, &byte, 1), arg ? -ECONNRESET : 0);
    __atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
}

static void read_until_closed(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), -EBADF);
}

static void close_other_end(void *arg)
{
    CHECK_IS(arg ? weft_conn_abort(p.b) : weft_conn_close(p.b), 0);
}

/* The closer runs on another thread than the one whose ring has the receive, which computes
 * until the peer has read the end. */
static int closed_from_elsewhere(void *arg)
{
    for (int i = 0; i < 10; i++) {
        weft_waitgroup wg = { { 0 } };
        p = connect_pair();
        __atomic_store_n(&got_it, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, read_until_closed, NULL);
        spawn(&wg, end_seen, arg);
        let_others_park();
        spawn(&wg, close_other_end, arg);
        compute();
        CHECK(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST));
        join(&wg);
        CHECK_IS(weft_conn_close(p.a), 0);
    }
    return 0;
}

Test(ring, the_peer_reads_the_end_though_the_thread_computes, .timeout = 60)
{
    run_on(2, closed_from_elsewhere, NULL);
    run_on(2, closed_from_elsewhere, "abort");
}

static weft_listener listening;
static char          listening_at[WEFT_ADDR_MAX];

static void accept_until_closed(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_listener_accept(listening, &c), -EBADF);
}

static void listen_again(void *arg)
{
    weft_listener next;
    (void)arg;
    CHECK_IS(weft_listener_close(listening), 0);
    CHECK_IS(weft_listen(&next, "tcp", listening_at), 0);
    __atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
    CHECK_IS(weft_listener_close(next), 0);
}

/* The same of a listener, and with its close the port is free at once. */
static int listener_closed_from_elsewhere(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        weft_waitgroup wg = { { 0 } };
        listening = listen_loopback(listening_at);
        __atomic_store_n(&got_it, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, accept_until_closed, NULL);
        let_others_park();
        spawn(&wg, listen_again, NULL);
        compute();
        CHECK(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST));
        join(&wg);
    }
    return 0;
}

Test(ring, a_port_is_free_though_the_thread_that_accepts_computes, .timeout = 60)
{
    run_on(2, listener_closed_from_elsewhere, NULL);
}

/* A kernel that works on a request lets go of the socket some time after it has told of the
 * request's end: a duplicate holds it here, for longer. */
static int listener_held_by_the_kernel(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    int            number = dup(0), is_listener = 0; /* the one that a descriptor gets next */
    socklen_t      len = sizeof is_listener;
    (void)arg;
    CHECK_IS(close(number), 0);
    listening = listen_loopback(listening_at);
    CHECK_IS(getsockopt(number, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &len), 0);
    CHECK_IS(is_listener, 1);
    int held = dup(number);
    spawn(&wg, accept_until_closed, NULL);
    let_others_park();
    listen_again(NULL);
    join(&wg);
    return close(held);
}

Test(ring, a_port_is_free_though_the_kernel_is_not_through_with_it)
{
    const char *netpoll = getenv("WEFT_NETPOLL");
    if (!netpoll || strcmp(netpoll, "io_uring") != 0)
        cr_skip_test("epoll's kernel holds nothing");
    run_on(1, listener_held_by_the_kernel, NULL);
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

static weft_conn accepted;

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
