/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/net_fault_test.c - system calls that fail: each step of listen, accept, dial and
 * adopt in turn, interrupted and cut transfers, calls that are slow.  Needs WEFT_FAULTS.
 */
#include "net_support.h"
#include "scale.h"

#include "runtime/sys.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef WEFT_FAULTS

/* ---- The n-th call fails ------------------------------------------------------------- */

static const char *const steps[] = { "socket",      "bind",       "listen",     "accept",
                                     "connect",     "getsockopt", "setsockopt", "getsockname",
                                     "getpeername", "nonblock",   "cloexec",    "epoll_ctl" };

static volatile AO_t countdown; /* 0: no fault is due; 1: the next call fails */
static long          error;
static char          failed[32]; /* the call that did */

static long fail_nth(const char *call, int fd)
{
    (void)fd;
    if (!AO_load(&countdown))
        return 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (strcmp(call, steps[i]) == 0 && AO_fetch_and_add_full(&countdown, (AO_t)-1) == 1) {
            snprintf(failed, sizeof failed, "%s", call);
            return error;
        }
    return 0;
}

static int arm(int nth)
{
    failed[0] = 0;
    AO_store(&countdown, (AO_t)nth);
    return nth;
}

/* True: the fault was injected. */
static bool disarm(void)
{
    AO_store(&countdown, 0);
    return failed[0] != 0;
}

static void run_with(long (*fault)(const char *, int), int (*fn)(void *), void *arg)
{
    wf_sys_fault = fault;
    run_on(1, fn, arg);
    run_on(2, fn, arg);
    wf_sys_fault = NULL;
}

static const long sorts[] = { -ENOMEM, -EMFILE, -ENOBUFS, -EPERM, -EINVAL };

enum { SORTS = sizeof sorts / sizeof sorts[0] };

static int sweep_listen(void *arg)
{
    int before = open_fds();
    (void)arg;
    for (int s = 0; s < SORTS; s++) {
        bool injected = true;
        error = sorts[s];
        for (int nth = 1; injected; nth++) {
            weft_listener l = { 1 };
            arm(nth);
            int r = weft_listen(&l, "tcp", "[::1]:0");
            injected = disarm();
            if (injected && strcmp(failed, "epoll_ctl") == 0 && error == -EPERM) {
                CHECK_IS(r, 0); /* taken for a file that is always ready */
            } else {
                CHECK_IS(r, injected ? error : 0);
            }
            CHECK_IS(open_fds(), before + (r == 0));
            CHECK_IS(r == 0 ? weft_listener_close(l) : 0, 0);
            CHECK(nth < 20);
        }
    }
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(net_fault, each_step_of_listen_fails_cleanly)
{
    run_with(fail_nth, sweep_listen, NULL);
}

static int sweep_dial(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    int           before = open_fds();
    (void)arg;
    for (int s = 0; s < SORTS; s++) {
        bool injected = true;
        error = sorts[s];
        for (int nth = 1; injected; nth++) {
            weft_conn c = { 1 };
            arm(nth);
            int r = weft_dial(&c, "tcp", address, weft_after(PATIENCE));
            injected = disarm();
            if (r < 0)
                CHECK_IS(r, error);
            CHECK_IS(injected && r == 0 && error != -EPERM, 0);
            CHECK_IS(open_fds(), before + (r == 0));
            CHECK_IS(r == 0 ? weft_conn_close(c) : 0, 0);
            CHECK(nth < 20);
        }
    }
    CHECK_IS(weft_listener_close(l), 0);
    return 0;
}

Test(net_fault, each_step_of_dial_fails_cleanly)
{
    run_with(fail_nth, sweep_dial, NULL);
}

/* A want of means is waited out; another error is told, and what was accepted is closed. */
static void sweep_accept_for(long sort)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    int           before = open_fds();
    bool          injected = true, scarce = sort == -ENOMEM || sort == -EMFILE || sort == -ENOBUFS;
    error = sort;
    for (int nth = 1; injected; nth++) {
        weft_conn c = dial(address), s = { 1 };
        char      byte;
        arm(nth);
        int r = weft_listener_accept(l, &s);
        injected = disarm();
        if (scarce || !injected)
            CHECK_IS(r, 0);
        else if (r < 0)
            CHECK_IS(r, error);
        if (injected && strcmp(failed, "accept") == 0 && r < 0)
            CHECK_IS(weft_listener_accept(l, &s), 0); /* it waits there still */
        else if (r < 0)                               /* lesson 7: closed, not left open */
            CHECK(weft_conn_read(c, &byte, 1) <= 0);
        if (s.id != 1)
            CHECK_IS(weft_conn_close(s), 0);
        CHECK_IS(weft_conn_close(c), 0);
        CHECK_IS(open_fds(), before);
        CHECK(nth < 20);
    }
    CHECK_IS(weft_listener_close(l), 0);
}

static int sweep_accept(void *arg)
{
    (void)arg;
    for (int s = 0; s < SORTS; s++)
        sweep_accept_for(sorts[s]);
    return 0;
}

Test(net_fault, each_step_of_accept_fails_cleanly_or_is_waited_out)
{
    run_with(fail_nth, sweep_accept, NULL);
}

static int sweep_adopt(void *arg)
{
    int fds[2];
    (void)arg;
    for (int s = 0; s < SORTS; s++) {
        bool injected = true;
        error = sorts[s];
        for (int nth = 1; injected; nth++) {
            weft_conn c;
            CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
            int flags = fcntl(fds[0], F_GETFL), exec = fcntl(fds[0], F_GETFD);
            arm(nth);
            int r = weft_conn_adopt(&c, fds[0]);
            injected = disarm();
            CHECK(r == 0 || r == error);
            if (r < 0) { /* untouched */
                CHECK_IS(fcntl(fds[0], F_GETFL), flags);
                CHECK_IS(fcntl(fds[0], F_GETFD), exec);
                close(fds[0]);
            } else {
                CHECK_IS(weft_conn_close(c), 0);
            }
            close(fds[1]);
            CHECK(nth < 20);
        }
    }
    return 0;
}

Test(net_fault, each_step_of_adopt_fails_and_leaves_the_descriptor_alone)
{
    run_with(fail_nth, sweep_adopt, NULL);
}

/* ---- A connection that cannot be registered is held ---------------------------------- */

static volatile AO_t full; /* 1: the poller takes no more */

static long no_room(const char *call, int fd)
{
    (void)fd;
    return AO_load(&full) && strcmp(call, "epoll_ctl") == 0 ? -ENOSPC : 0;
}

static int hold(void *arg)
{
    char address[WEFT_ADDR_MAX], byte = 0;
    int  before = open_fds();
    if (on_uring())
        return 0; /* there nothing is registered that could find no room */
    weft_listener l = listen_loopback(address);
    weft_conn     c = dial(address), s;
    (void)arg;
    for (int close_it = 0; close_it <= 1; close_it++) {
        AO_store(&full, 1);
        for (int i = 0; i < 3; i++) {
            CHECK_IS(weft_listener_set_deadline(l, weft_after(20 * WEFT_MS)), 0);
            CHECK_IS(weft_listener_accept(l, &s), -ETIMEDOUT);
        }
        CHECK_IS(open_fds(), before + 3); /* it is accepted, and held */
        AO_store(&full, 0);
        CHECK_IS(weft_listener_set_deadline(l, WEFT_NOWAIT), 0);
        CHECK_IS(weft_listener_accept(l, &s), -ETIMEDOUT); /* untried */
        CHECK_IS(weft_listener_set_deadline(l, WEFT_FOREVER), 0);
        if (close_it)
            break;
        CHECK_IS(weft_listener_accept(l, &s), 0);
        CHECK_IS(weft_conn_write(s, "x", 1), 1);
        CHECK_IS(weft_conn_read(c, &byte, 1), 1);
        CHECK_IS(weft_conn_close(s), 0);
        CHECK_IS(weft_conn_close(c), 0);
        c = dial(address);
    }
    CHECK_IS(weft_listener_close(l), 0); /* and closed with its listener */
    CHECK_IS(weft_conn_close(c), 0);
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(net_fault, a_connection_that_finds_no_room_is_held_not_shed)
{
    run_with(no_room, hold, NULL);
}

/* ---- Interrupted, aborted, cut ------------------------------------------------------- */

static volatile AO_t dice, sometimes;

/* EINTR where it may come, ECONNABORTED from accept, transfers of one byte or a few. */
static long rough(const char *call, int fd)
{
    AO_t n = AO_fetch_and_add_full(&dice, 1) * 2654435761u >> 7;
    (void)fd;
    if (strcmp(call, "close") == 0)
        return n % 3 ? 0 : -EINTR; /* and closed all the same */
    if (n % 4 == 0 && strcmp(call, "accept") == 0)
        return n % 8 ? -ECONNABORTED : -EINTR;
    if (strcmp(call, "recv") && strcmp(call, "send") && strcmp(call, "sendmsg"))
        return n % 16 == 0 && strcmp(call, "epoll_wait") == 0 ? -EINTR : 0;
    AO_fetch_and_add_full(&sometimes, 1);
    return n % 4 == 0 ? -EINTR : n % 4 == 1 ? 1 : n % 4 == 2 ? (long)(n % 97 + 1) : 0;
}

enum { BYTES = 20000 };

static void echo(void *arg)
{
    weft_conn   c = { (uintptr_t)arg };
    const void *data;
    ssize_t     n;
    while ((n = weft_conn_borrow(c, &data, BYTES)) > 0)
        CHECK_IS(weft_conn_write(c, data, (size_t)n), n);
    CHECK_IS(n, 0);
    CHECK_IS(weft_conn_close(c), 0);
}

static void ask(void *arg)
{
    weft_conn c = { (uintptr_t)arg };
    char     *out = malloc(BYTES), *in = malloc(BYTES);
    for (int i = 0; i < BYTES; i++)
        out[i] = (char)(i * 7 + i / 300 + (int)c.id);
    struct iovec iov[3] = { { out, 3 },
                            { out + 3, BYTES / 2 },
                            { out + 3 + BYTES / 2, BYTES / 2 - 3 } };
    CHECK_IS(weft_conn_writev(c, iov, 3, NULL), BYTES);
    CHECK_IS(weft_conn_read_full(c, in, BYTES, NULL), BYTES);
    CHECK(memcmp(in, out, BYTES) == 0);
    CHECK_IS(weft_conn_close(c), 0);
    free(in);
    free(out);
}

static int rough_echo(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    int            before = open_fds();
    (void)arg;
    for (long i = 0, n = test_scaled(40); i < n; i++) {
        pair p = connect_pair();
        spawn(&wg, echo, (void *)(uintptr_t)p.b.id);
        spawn(&wg, ask, (void *)(uintptr_t)p.a.id);
    }
    join(&wg);
    CHECK(AO_load(&sometimes) > 100);
    CHECK_IS(open_fds(), before);
    return 0;
}

/* Lessons 36 and 37. */
Test(net_fault, interrupted_aborted_and_cut_calls_lose_nothing, .timeout = 60)
{
    run_with(rough, rough_echo, NULL);
}

/* ---- At the wrong moment ------------------------------------------------------------- */

static volatile AO_t in_accept;

/* A thread that is slow within accept(2). */
static long slow_accept(const char *call, int fd)
{
    (void)fd;
    if (strcmp(call, "accept") == 0 && AO_compare_and_swap_full(&in_accept, 0, 1))
        usleep(3000);
    return 0;
}

static void accept_closed(void *arg)
{
    weft_listener l = { (uintptr_t)arg };
    weft_conn     c;
    CHECK_IS(weft_listener_accept(l, &c), -EBADF);
}

static int close_under_accept(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_apart(address);
    (void)arg;
    for (int i = 0; i < 10; i++) {
        weft_waitgroup wg = { { 0 } };
        AO_store(&in_accept, 0);
        spawn(&wg, accept_closed, (void *)(uintptr_t)l.id);
        while (!AO_load(&in_accept))
            weft_yield();
        CHECK_IS(weft_listener_close(l), 0);
        CHECK_IS(weft_listen(&l, "tcp", address), 0); /* the port is free all the same */
        join(&wg);
    }
    return 0;
}

Test(net_fault, a_port_is_free_though_an_accept_was_inside_the_system)
{
    wf_sys_fault = slow_accept;
    run_on(2, close_under_accept, NULL);
}

/* The connection looks unfinished at first, as one over a network is. */
static long not_yet(const char *call, int fd)
{
    (void)fd;
    return strcmp(call, "getpeername") == 0 && AO_compare_and_swap_full(&countdown, 1, 0)
               ? -ENOTCONN
               : 0;
}

static int dial_and_wait(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    weft_conn     c;
    weft_time     end = 0;
    int           r = -ETIMEDOUT;
    (void)arg;
    for (int64_t ns = 50 * WEFT_MS; r == -ETIMEDOUT && ns < PATIENCE; ns *= 2) { /* it is busy */
        AO_store(&countdown, 1);
        end = weft_after(ns);
        r = weft_dial(&c, "tcp", address, end);
    }
    CHECK_IS(r, 0);
    CHECK_IS(AO_load(&countdown), 0);
    CHECK_IS(weft_sleep_until(end + 10 * WEFT_MS), 0);
    CHECK_IS(weft_conn_write(c, "x", 1), 1); /* the dial's deadline was its own */
    CHECK_IS(weft_listener_close(l), 0);
    return 0;
}

Test(net_fault, a_dial_that_waited_leaves_no_deadline)
{
    run_with(not_yet, dial_and_wait, NULL);
}

/* ---- An urgent mark -------------------------------------------------------------------- */

static long refuse_once(const char *call, int fd)
{
    (void)fd;
    return strcmp(call, "recv") == 0 && AO_compare_and_swap_full(&countdown, 1, 0) ? -EAGAIN : 0;
}

static int read_past_mark(void *arg)
{
    char text[8] = { 0 };
    pair p = connect_pair();
    int  fd = weft_conn_fd(p.a);
    (void)arg;
    CHECK(weft_conn_fd(p.b) >= 0);
    CHECK_IS(send(fd, "ab", 2, MSG_NOSIGNAL), 2);
    CHECK_IS(send(fd, "X", 1, MSG_NOSIGNAL | MSG_OOB), 1);
    CHECK_IS(send(fd, "cd", 2, MSG_NOSIGNAL), 2);
    CHECK_IS(weft_sleep(WEFT_MS), 0); /* no edge is left: the P ran dry and was told of all */
    CHECK_IS(weft_conn_read(p.b, text, 4), 2);
    CHECK_IS(weft_conn_set_deadline(p.b, weft_after(PATIENCE)), 0);
    AO_store(&countdown, 1); /* as it is where a signal came just then */
    CHECK_IS(weft_conn_read(p.b, text + 2, 4), 2);
    CHECK_IS(AO_load(&countdown), 0);
    CHECK_IS(strcmp(text, "abcd"), 0);
    close_pair(p);
    return 0;
}

Test(net_fault, a_read_that_is_refused_at_an_urgent_mark_asks_again, .timeout = 60)
{
    run_with(refuse_once, read_past_mark, NULL);
}

#else

Test(net_fault, needs_a_build_with_faults)
{
    cr_skip_test("built without WEFT_FAULTS");
}

#endif
