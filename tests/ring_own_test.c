/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/ring_own_test.c - what a netpoller that receives by itself must leave to others: sockets
 * that they hold too, bytes that they read themselves or still read as the runtime ends.
 *
 * The same holds of the other netpoller, so all runs on both (see CMakeLists.txt).
 */
#include "net_support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 8 };

/* ---- Sockets from outside -------------------------------------------------------------- */

static int listening(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int       fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    CHECK_IS(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    CHECK_IS(listen(fd, 2 * CLIENTS), 0);
    CHECK_IS(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static int connected(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_IS(connect(fd, (const struct sockaddr *)at, sizeof *at), 0);
    return fd;
}

static weft_conn    reading;
static volatile int begun;

static void read_until_closed(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(reading, &byte, 1), -EBADF);
}

static void close_it(void *arg)
{
    (void)arg;
    CHECK_IS(weft_conn_close(reading), 0);
    __atomic_store_n(&begun, 1, __ATOMIC_SEQ_CST);
}

/* The reader's thread does not call weft until another has closed the connection. */
static int closed_but_held(void *arg)
{
    struct sockaddr_in at;
    char               byte = 0;
    (void)arg;
    for (int i = 0; i < 5; i++) {
        weft_waitgroup wg = { { 0 } };
        int            l = listening(&at), peer = connected(&at);
        int            ours = accept(l, NULL, NULL), held = dup(ours);
        CHECK_IS(weft_conn_adopt(&reading, ours), 0);
        __atomic_store_n(&begun, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, read_until_closed, NULL);
        let_others_park();
        spawn(&wg, close_it, NULL);
        for (int64_t end = weft_now() + PATIENCE; !__atomic_load_n(&begun, __ATOMIC_SEQ_CST);)
            CHECK(weft_now() < end);
        join(&wg);
        CHECK_IS(send(peer, "x", 1, MSG_NOSIGNAL), 1);
        CHECK_IS(fcntl(held, F_SETFL, 0), 0);
        CHECK_IS(recv(held, &byte, 1, 0), 1);
        CHECK_IS(send(held, "y", 1, MSG_NOSIGNAL), 1);
        CHECK_IS(recv(peer, &byte, 1, 0), 1);
        close(held);
        close(peer);
        close(l);
    }
    return 0;
}

Test(ring_own, a_socket_that_others_hold_lives_on, .timeout = 60)
{
    run_on(2, closed_but_held, NULL);
}

/* An accept that timed out is over: what comes then is the other holder's. */
static int shared_listener(void *arg)
{
    struct sockaddr_in  at;
    int                 clients[CLIENTS], fd = listening(&at);
    weft_listen_options o = { .fd = dup(fd) };
    weft_listener       l;
    weft_conn           c;
    (void)arg;
    CHECK_IS(weft_listen_with(&l, "tcp4", "", &o), 0);
    CHECK_IS(weft_listener_set_deadline(l, weft_after(20 * WEFT_MS)), 0);
    CHECK_IS(weft_listener_accept(l, &c), -ETIMEDOUT);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connected(&at);
    let_others_park();
    for (int i = 0; i < CLIENTS; i++) {
        int got = accept(fd, NULL, NULL); /* not blocking: as the adopted one */
        CHECK(got >= 0);
        close(got);
    }
    CHECK_IS(weft_listener_close(l), 0);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    clients[0] = connected(&at); /* it listens still */
    close(clients[0]);
    close(fd);
    return 0;
}

Test(ring_own, a_listener_that_others_hold_accepts_what_was_asked_for)
{
    run_on_1_2_4(shared_listener);
}

static int whose(void *arg)
{
    weft_conn again;
    pair      p = connect_pair();
    int       fd = weft_conn_fd(p.b);
    (void)arg;
    pair q = connect_pair(); /* its descriptors are the next; nobody has asked for them */
    for (int i = fd; i <= fd + 4; i++) {
        struct sockaddr_in a;
        socklen_t          len = sizeof a;
        if (getpeername(i, (struct sockaddr *)&a, &len) < 0)
            continue;
        CHECK_IS(weft_fd_wait(i, POLLIN, weft_after(20 * WEFT_MS)), -EEXIST);
        CHECK_IS(weft_conn_adopt(&again, i), -EEXIST);
    }
    close_pair(q);
    close_pair(p);
    return 0;
}

Test(ring_own, what_is_weft_s_already_is_told)
{
    run_on_1_2_4(whose);
}

/* ---- A library that reads itself ------------------------------------------------------- */

static pair p;

static void read_one(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    CHECK_IS(byte, '!');
}

/* Whatever the wait calls ready the descriptor gives; what weft has it says so. */
static int handed_over(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        char           text[8] = { 0 };
        weft_waitgroup wg = { { 0 } };
        p = connect_pair();
        spawn(&wg, read_one, NULL);
        let_others_park();
        CHECK_IS(weft_conn_write(p.a, "!HELLO", 6), 6);
        join(&wg);
        let_others_park();
        int     fd = weft_conn_fd(p.b), ready = weft_conn_wait(p.b, POLLIN);
        ssize_t n = fd == -EBUSY ? weft_conn_read(p.b, text, 5) : recv(fd, text, 5, MSG_DONTWAIT);
        CHECK_IS(ready, fd == -EBUSY ? -EBUSY : POLLIN);
        CHECK_IS(n, 5);
        CHECK_IS(strcmp(text, "HELLO"), 0);
        CHECK_IS(weft_conn_write(p.a, "more", 4), 4);
        CHECK_IS(weft_conn_wait(p.b, POLLIN), POLLIN);
        CHECK_IS(recv(weft_conn_fd(p.b), text, 8, MSG_DONTWAIT), 4);
        close_pair(p);
    }
    return 0;
}

Test(ring_own, what_weft_has_received_is_not_called_ready)
{
    run_on_1_2_4(handed_over);
}

/* ---- The end of the runtime ------------------------------------------------------------ */

static volatile int ended, sum;

/* Reads what it has borrowed until well after the runtime has given it up. */
static void read_on(void *arg)
{
    const char *data;
    ssize_t     n = weft_conn_borrow(p.b, (const void **)&data, 8);
    (void)arg;
    CHECK_IS(n, 5);
    __atomic_store_n(&begun, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&ended, __ATOMIC_SEQ_CST))
        sum += ((const volatile char *)data)[sum % n];
    for (int i = 0; i < 5; i++)
        CHECK(((const volatile char *)data)[i] == "lent!"[i]);
    __atomic_store_n(&begun, 2, __ATOMIC_SEQ_CST);
}

static int abandon(void *arg)
{
    (void)arg;
    p = connect_pair();
    __atomic_store_n(&begun, 0, __ATOMIC_SEQ_CST);
    CHECK_IS(weft_go(read_on, NULL, 0), 0);
    let_others_park();
    CHECK_IS(weft_conn_write(p.a, "lent!", 5), 5);
    for (int64_t end = weft_now() + PATIENCE; !__atomic_load_n(&begun, __ATOMIC_SEQ_CST);) {
        CHECK(weft_now() < end);
        CHECK_IS(weft_sleep(WEFT_MS), 0);
    }
    return 0;
}

Test(ring_own, borrowed_bytes_stay_for_one_that_was_abandoned, .timeout = 60)
{
    weft_options o = { .procs = 2, .stop_ns = WEFT_MS };
    cr_assert_eq(weft_run(&o, abandon, NULL), 0);
    __atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 20000 && __atomic_load_n(&begun, __ATOMIC_SEQ_CST) != 2; i++)
        usleep(1000);
    cr_assert_eq(__atomic_load_n(&begun, __ATOMIC_SEQ_CST), 2);
}
