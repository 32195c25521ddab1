/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/net_test.c - handles: stale, zeroed, mistaken and doubly closed ones; what a descriptor is
 * set to; options of a listener; what the stop of the runtime leaves behind.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <unistd.h>

/* ---- Handles ------------------------------------------------------------------------- */

static void conn_is_closed(weft_conn c)
{
    char         buf[4];
    char         text[WEFT_ADDR_MAX];
    const void  *data;
    size_t       done = 9;
    struct iovec iov = { buf, sizeof buf };
    CHECK_IS(weft_conn_read(c, buf, sizeof buf), -EBADF);
    CHECK_IS(weft_conn_read(c, buf, 0), -EBADF);
    CHECK_IS(weft_conn_read_full(c, buf, sizeof buf, &done), -EBADF);
    CHECK_IS(done, 0);
    done = 9;
    CHECK_IS(weft_conn_write_part(c, buf, sizeof buf, &done), -EBADF);
    CHECK_IS(done, 0);
    CHECK_IS(weft_conn_write(c, buf, 0), -EBADF);
    done = 9;
    CHECK_IS(weft_conn_writev(c, &iov, 1, &done), -EBADF);
    CHECK_IS(done, 0);
    CHECK_IS(weft_conn_borrow(c, &data, 4), -EBADF);
    CHECK(data == NULL);
    weft_conn_release(c);
    CHECK_IS(weft_conn_set_deadline(c, WEFT_FOREVER), -EBADF);
    CHECK_IS(weft_conn_set_read_deadline(c, WEFT_NOWAIT), -EBADF);
    CHECK_IS(weft_conn_set_write_deadline(c, WEFT_NOWAIT), -EBADF);
    CHECK_IS(weft_conn_close_write(c), -EBADF);
    CHECK_IS(weft_conn_local_address(c, text), -EBADF);
    CHECK_IS(weft_conn_remote_address(c, text), -EBADF);
    CHECK_IS(weft_conn_fd(c), -EBADF);
    CHECK_IS(weft_conn_abort(c), -EBADF);
    CHECK_IS(weft_conn_close(c), -EBADF);
}

static void listener_is_closed(weft_listener l)
{
    weft_conn c = { 5 };
    char      text[WEFT_ADDR_MAX];
    CHECK_IS(weft_listener_accept(l, &c), -EBADF);
    CHECK_IS(c.id, 5);
    CHECK_IS(weft_listener_set_deadline(l, WEFT_FOREVER), -EBADF);
    CHECK_IS(weft_listener_address(l, text), -EBADF);
    CHECK_IS(weft_listener_fd(l), -EBADF);
    CHECK_IS(weft_listener_close(l), -EBADF);
}

static int wrong_handles(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    weft_conn     c = dial(address);
    (void)arg;
    conn_is_closed((weft_conn){ 0 });
    listener_is_closed((weft_listener){ 0 });
    conn_is_closed((weft_conn){ UINT64_MAX });
    conn_is_closed((weft_conn){ c.id + ((uint64_t)1 << 24) });
    conn_is_closed((weft_conn){ l.id }); /* of the other kind */
    listener_is_closed((weft_listener){ c.id });
    CHECK(weft_conn_fd(c) >= 0); /* and none of these did harm */
    CHECK(weft_listener_fd(l) >= 0);
    return 0;
}

Test(net, a_handle_that_is_none_is_a_closed_one)
{
    run_on(1, wrong_handles, NULL);
}

/* Lesson 1: what was opened later under the same number and in the same slot is another. */
static int stale_handles(void *arg)
{
    enum { N = 50 };
    static pair old[N];
    int         before = open_fds();
    (void)arg;
    for (int i = 0; i < N; i++) {
        old[i] = connect_pair();
        close_pair(old[i]);
        pair p = connect_pair();
        for (int j = 0; j <= i; j++) {
            conn_is_closed(old[j].a);
            conn_is_closed(old[j].b);
        }
        char byte = 0;
        CHECK_IS(weft_conn_write(p.a, "x", 1), 1);
        CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
        CHECK_IS(byte, 'x');
        close_pair(p);
    }
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(net, a_stale_handle_never_touches_what_came_after)
{
    run_on_1_2_4(stale_handles);
}

static int closed_twice(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    (void)arg;
    CHECK_IS(weft_listener_close(l), 0);
    listener_is_closed(l);
    pair p = connect_pair();
    CHECK_IS(weft_conn_close(p.a), 0);
    conn_is_closed(p.a);
    CHECK_IS(weft_conn_abort(p.b), 0);
    conn_is_closed(p.b);
    return 0;
}

Test(net, the_second_close_is_an_error)
{
    run_on(1, closed_twice, NULL);
}

/* ---- What descriptors are set to ----------------------------------------------------- */

static int option(int fd, int level, int name)
{
    int       value = -1;
    socklen_t len = sizeof value;
    CHECK_IS(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void is_set_up(int fd)
{
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(option(fd, IPPROTO_TCP, TCP_NODELAY));
}

static int settings(void *arg)
{
    char          address[WEFT_ADDR_MAX], a[WEFT_ADDR_MAX], b[WEFT_ADDR_MAX];
    weft_listener l = listen_loopback(address);
    weft_conn     c = dial(address), s;
    (void)arg;
    CHECK_IS(weft_listener_accept(l, &s), 0);
    is_set_up(weft_listener_fd(l));
    is_set_up(weft_conn_fd(c));
    is_set_up(weft_conn_fd(s));
    CHECK(option(weft_listener_fd(l), SOL_SOCKET, SO_REUSEADDR));
    CHECK_IS(weft_conn_remote_address(c, a), 0);
    CHECK(strcmp(a, address) == 0);
    CHECK_IS(weft_conn_local_address(c, a), 0);
    CHECK_IS(weft_conn_remote_address(s, b), 0);
    CHECK(strcmp(a, b) == 0);
    return 0;
}

Test(net, descriptors_are_non_blocking_close_on_exec_and_undelayed)
{
    run_on(1, settings, NULL);
}

/* ---- Listeners ----------------------------------------------------------------------- */

static int options(void *arg)
{
    char                address[WEFT_ADDR_MAX];
    weft_listener       l, second;
    weft_listen_options wrong[] = { { .backlog = -1 },
                                    { .fd = -1 },
                                    { .reserved = { 0, 0, 0, 1 } } };
    weft_listen_options opt = { .backlog = 7, .reuse_port = true };
    (void)arg;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_IS(weft_listen_with(&l, "tcp", "127.0.0.1:0", &wrong[i]), -EINVAL);
    CHECK_IS(weft_listen_with(&l, "tcp", "127.0.0.1:0", &opt), 0);
    CHECK_IS(weft_listener_address(l, address), 0);
    CHECK_IS(weft_listen_with(&second, "tcp", address, &opt), 0); /* shares the port */
    CHECK_IS(weft_listener_close(second), 0);
    CHECK_IS(weft_listen(&second, "tcp", address), -EADDRINUSE);
    return 0;
}

Test(net, listeners_share_a_port_if_both_say_so)
{
    run_on(1, options, NULL);
}

static bool reaches(const char *network, const char *host, const char *port)
{
    char      address[WEFT_ADDR_MAX];
    weft_conn c;
    snprintf(address, sizeof address, "%s%s", host, port);
    int r = weft_dial(&c, network, address, weft_after(PATIENCE));
    CHECK(r == 0 || r == -ECONNREFUSED);
    return r == 0 && weft_conn_close(c) == 0;
}

static int both_families(void *arg)
{
    weft_listener l;
    char          address[WEFT_ADDR_MAX], peer[WEFT_ADDR_MAX];
    weft_conn     c;
    (void)arg;
    CHECK_IS(weft_listen(&l, "tcp", ":0"), 0);
    CHECK_IS(weft_listener_address(l, address), 0);
    const char *port = strrchr(address, ':');
    CHECK(reaches("tcp", "127.0.0.1", port));
    CHECK_IS(weft_listener_accept(l, &c), 0);
    CHECK_IS(weft_conn_remote_address(c, peer), 0);
    CHECK(strncmp(peer, "127.0.0.1:", 10) == 0); /* not as mapped into IPv6 */
    CHECK(reaches("tcp6", "[::1]", port));
    CHECK(reaches("tcp", "", port)); /* ":port" dials this host */
    CHECK_IS(weft_listener_close(l), 0);
    CHECK_IS(weft_listen(&l, "tcp6", ":0"), 0);
    CHECK_IS(weft_listener_address(l, address), 0);
    CHECK(reaches("tcp6", "localhost", strrchr(address, ':')));
    CHECK(!reaches("tcp4", "localhost", strrchr(address, ':')));
    return 0;
}

Test(net, tcp_serves_both_families_and_tcp6_one)
{
    run_on(2, both_families, NULL);
}

/* ---- The stop ------------------------------------------------------------------------ */

static weft_listener left_listener;
static weft_conn     left_conns[3];

static void hold_a_borrow(void *arg)
{
    const void     *data;
    weft_waitgroup *borrowed = *(weft_waitgroup **)arg;
    CHECK_IS(weft_conn_borrow(left_conns[1], &data, 1), 1);
    weft_waitgroup_done(borrowed);
    CHECK_IS(weft_conn_borrow(left_conns[1], &data, 1), -ECANCELED);
}

static int leave_all_open(void *arg)
{
    char address[WEFT_ADDR_MAX];
    int  fds[2];
    if (arg) { /* the second run: nothing of the first is left */
        listener_is_closed(left_listener);
        for (int i = 0; i < 3; i++)
            conn_is_closed(left_conns[i]);
    }
    left_listener = listen_loopback(address);
    left_conns[0] = dial(address);
    CHECK_IS(weft_listener_accept(left_listener, &left_conns[1]), 0);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&left_conns[2], fds[0]), 0);
    close(fds[1]);
    CHECK_IS(weft_conn_write(left_conns[0], "x", 1), 1);
    static weft_waitgroup borrowed, *wg = &borrowed;
    weft_waitgroup_add(wg, 1);
    CHECK_IS(weft_go(hold_a_borrow, &wg, sizeof wg), 0);
    join(wg);
    return 0;
}

Test(net, the_stop_closes_all_and_makes_handles_stale)
{
    int before = open_fds();
    for (long i = 0, n = test_scaled(100); i < n; i++) {
        run_on(1 + (int)i % 3, leave_all_open, i > 0 ? "again" : NULL);
        cr_assert_eq(open_fds(), before);
    }
}

/* ---- SIGPIPE ------------------------------------------------------------------------- */

static int write_to_nobody(void *arg)
{
    int       fds[2];
    weft_conn c;
    pair      p = connect_pair();
    ssize_t   r;
    (void)arg;
    CHECK_IS(weft_conn_abort(p.b), 0);
    do /* the reset is on its way */
        r = weft_conn_write(p.a, "x", 1);
    while (r == 1);
    CHECK(r == -EPIPE || r == -ECONNRESET);
    CHECK_IS(weft_conn_write(p.a, "x", 1), -EPIPE);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&c, fds[1]), 0);
    close(fds[0]);
    CHECK_IS(weft_conn_write(c, "x", 1), -EPIPE);
    return 0;
}

Test(net, sigpipe_is_never_raised)
{
    signal(SIGPIPE, SIG_DFL); /* its action: the end of the process */
    run_on(1, write_to_nobody, NULL);
}
