/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/adopt_test.c - descriptors from outside: pipes, socketpairs, terminals, files, listeners;
 * what they are set to, and that a refused one is as it was.
 */
#include "net_support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

static weft_conn adopted(int fd)
{
    weft_conn c;
    CHECK_IS(weft_conn_adopt(&c, fd), 0);
    CHECK_IS(weft_conn_fd(c), fd);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    return c;
}

static void send_later(void *arg)
{
    static char data[300 << 10];
    weft_conn   c = { (uintptr_t)arg };
    let_others_park();
    CHECK_IS(weft_conn_write(c, data, sizeof data), sizeof data);
    CHECK_IS(weft_conn_close(c), 0);
}

static void flows(weft_conn from, weft_conn to)
{
    weft_waitgroup wg = { { 0 } };
    const void    *data;
    char           buf[1000];
    size_t         done, sum = 0;
    ssize_t        n;
    spawn(&wg, send_later, (void *)(uintptr_t)from.id);
    CHECK_IS(weft_conn_read_full(to, buf, sizeof buf, &done), sizeof buf);
    while ((n = weft_conn_borrow(to, &data, 5000)) > 0)
        sum += (size_t)n;
    CHECK_IS(n, 0);
    CHECK_IS(sum, (300 << 10) - sizeof buf);
    join(&wg);
    CHECK_IS(weft_conn_close(to), 0);
}

static int streams(void *arg)
{
    int fds[2], before = open_fds();
    (void)arg;
    CHECK_IS(pipe(fds), 0);
    flows(adopted(fds[1]), adopted(fds[0]));
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    flows(adopted(fds[1]), adopted(fds[0]));
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(adopt, bytes_flow_through_pipes_and_socketpairs)
{
    run_on_1_2_4(streams);
}

static int pipe_calls(void *arg)
{
    int          fds[2];
    char         byte, text[WEFT_ADDR_MAX];
    struct iovec iov[2] = { { "ab", 2 }, { "c", 1 } };
    char         buf[3];
    (void)arg;
    CHECK_IS(pipe(fds), 0);
    weft_conn r = adopted(fds[0]), w = adopted(fds[1]);
    CHECK_IS(weft_conn_set_read_deadline(r, weft_after(10 * WEFT_MS)), 0);
    CHECK_IS(weft_conn_read(r, &byte, 1), -ETIMEDOUT);
    CHECK_IS(weft_conn_set_read_deadline(r, WEFT_FOREVER), 0);
    CHECK_IS(weft_conn_writev(w, iov, 2, NULL), 3);
    CHECK_IS(weft_conn_read_full(r, buf, 3, NULL), 3);
    CHECK(memcmp(buf, "abc", 3) == 0);
    CHECK_IS(weft_conn_write(r, "x", 1), -EBADF); /* the system's own answer: the wrong end */
    CHECK_IS(weft_conn_close_write(w), -ENOTSOCK);
    CHECK_IS(weft_conn_local_address(w, text), -ENOTSOCK);
    CHECK_IS(weft_conn_abort(w), 0); /* no reset to send: a close */
    CHECK_IS(weft_conn_read(r, &byte, 1), 0);
    return 0;
}

Test(adopt, a_pipe_obeys_deadlines_and_has_no_address)
{
    run_on(1, pipe_calls, NULL);
}

static int socketpair_calls(void *arg)
{
    int  fds[2];
    char byte, text[WEFT_ADDR_MAX] = "before";
    (void)arg;
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    weft_conn a = adopted(fds[0]), b = adopted(fds[1]);
    CHECK_IS(weft_conn_local_address(a, text), 0);
    CHECK(text[0] == 0);
    CHECK_IS(weft_conn_close_write(a), 0);
    CHECK_IS(weft_conn_read(b, &byte, 1), 0);
    CHECK_IS(weft_conn_write(b, "x", 1), 1);
    CHECK_IS(weft_conn_read(a, &byte, 1), 1);
    return 0;
}

Test(adopt, a_socketpair_half_closes)
{
    run_on(1, socketpair_calls, NULL);
}

static void type_a_line(void *arg)
{
    int master = *(int *)arg;
    let_others_park();
    CHECK_IS(write(master, "line\n", 5), 5);
}

static int terminal(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    char           buf[100];
    (void)arg;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    weft_conn c = adopted(slave);
    spawn(&wg, type_a_line, &master);
    CHECK_IS(weft_conn_read(c, buf, 2), 2); /* a short read leaves the rest of the line there */
    CHECK_IS(weft_conn_read(c, buf + 2, 50), 3);
    CHECK(memcmp(buf, "line\n", 5) == 0);
    join(&wg);
    CHECK_IS(weft_conn_write(c, "out", 3), 3);
    CHECK_IS(weft_conn_close(c), 0);
    close(master);
    return 0;
}

Test(adopt, a_terminal_is_read_by_the_line)
{
    run_on_1_2_4(terminal);
}

/* Lesson 6: the poller refuses a regular file with EPERM; it is always ready. */
static int regular_file(void *arg)
{
    char buf[10];
    (void)arg;
    FILE *f = tmpfile();
    CHECK(f != NULL);
    int       fd = dup(fileno(f));
    weft_conn c = adopted(fd);
    CHECK_IS(weft_conn_write(c, "contents", 8), 8);
    CHECK_IS(lseek(fd, 0, SEEK_SET), 0);
    CHECK_IS(weft_conn_read_full(c, buf, 8, NULL), 8);
    CHECK(memcmp(buf, "contents", 8) == 0);
    CHECK_IS(weft_conn_read(c, buf, 8), 0);
    CHECK_IS(weft_conn_set_deadline(c, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_read(c, buf, 8), -ETIMEDOUT);
    CHECK_IS(weft_conn_close(c), 0);
    fclose(f);
    return 0;
}

Test(adopt, a_regular_file_is_always_ready)
{
    run_on(1, regular_file, NULL);
}

static volatile bool enough;

static void say_enough(void *arg)
{
    (void)arg;
    enough = true;
}

static int never_empty(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    char           buf[64];
    (void)arg;
    weft_conn c = adopted(open("/dev/zero", O_RDONLY));
    enough = false;
    spawn(&wg, say_enough, NULL);
    while (!enough) /* it never parks: nothing but its share of the P ends this */
        CHECK_IS(weft_conn_read(c, buf, sizeof buf), sizeof buf);
    join(&wg);
    return 0;
}

Test(adopt, who_never_has_to_wait_lets_others_run)
{
    run_on(1, never_empty, NULL);
}

/* ---- Refusals ------------------------------------------------------------------------ */

static void refused(int fd, int error)
{
    weft_conn c = { 3 };
    int       flags = fcntl(fd, F_GETFL), exec = fcntl(fd, F_GETFD);
    CHECK_IS(weft_conn_adopt(&c, fd), error);
    CHECK_IS(c.id, 3);
    CHECK_IS(fcntl(fd, F_GETFL), flags);
    CHECK_IS(fcntl(fd, F_GETFD), exec);
}

static int refusals(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    int           fds[2];
    weft_listener l = listen_loopback(address);
    (void)arg;
    refused(-1, -EBADF);
    refused(19999, -EBADF);
    CHECK_IS(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    refused(fds[0], -EINVAL);
    CHECK_IS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    refused(fds[0], -EINVAL);
    refused(weft_listener_fd(l), -EINVAL);
    CHECK_IS(pipe(fds), 0);
    weft_conn c = adopted(fds[0]);
    refused(fds[0], -EEXIST);
    int zero = open("/dev/zero", O_RDONLY); /* which the poller does not take */
    CHECK_IS(weft_conn_close(adopted(zero)), 0);
    zero = open("/dev/zero", O_RDONLY);
    adopted(zero);
    refused(zero, -EEXIST);
    char byte;
    CHECK_IS(write(fds[1], "x", 1), 1);
    CHECK_IS(weft_conn_read(c, &byte, 1), 1); /* the first adoption is none the worse */
    return 0;
}

Test(adopt, what_is_refused_is_untouched)
{
    run_on(1, refusals, NULL);
}

/* ---- Listeners ----------------------------------------------------------------------- */

static int raw_listener(int domain)
{
    int                     fd = socket(domain, SOCK_STREAM, 0);
    struct sockaddr_storage any = { .ss_family = (sa_family_t)domain };
    CHECK(fd >= 0);
    CHECK_IS(bind(fd, (struct sockaddr *)&any,
                  domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
             0);
    CHECK_IS(listen(fd, 8), 0);
    return fd;
}

static void listener_refused(int fd, const char *network, int error)
{
    weft_listener       l = { 3 };
    weft_listen_options opt = { .fd = fd };
    int                 flags = fcntl(fd, F_GETFL), exec = fcntl(fd, F_GETFD);
    CHECK_IS(weft_listen_with(&l, network, NULL, &opt), error);
    CHECK_IS(l.id, 3);
    CHECK_IS(fcntl(fd, F_GETFL), flags);
    CHECK_IS(fcntl(fd, F_GETFD), exec);
}

static int adopt_listener(void *arg)
{
    weft_listener       l;
    char                address[WEFT_ADDR_MAX], target[WEFT_ADDR_MAX];
    weft_conn           c, s;
    int                 fds[2], fd = raw_listener(AF_INET);
    weft_listen_options opt = { .fd = fd };
    (void)arg;
    listener_refused(19999, "tcp", -EBADF);
    listener_refused(fd, "tcp6", -EINVAL);
    listener_refused(fd, "udp", -EINVAL);
    CHECK_IS(pipe(fds), 0);
    listener_refused(fds[0], "tcp", -ENOTSOCK);
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    listener_refused(fds[0], "tcp", -EINVAL);

    CHECK_IS(weft_listen_with(&l, "tcp4", NULL, &opt), 0);
    CHECK_IS(weft_listener_fd(l), fd);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_IS(weft_listener_address(l, address), 0);
    snprintf(target, sizeof target, "127.0.0.1%s", strrchr(address, ':'));
    c = dial(target);
    CHECK_IS(weft_listener_accept(l, &s), 0);
    CHECK_IS(weft_conn_write(c, "x", 1), 1);
    CHECK_IS(weft_conn_read(s, address, 1), 1);
    CHECK_IS(weft_listener_close(l), 0);
    CHECK_IS(fcntl(fd, F_GETFD), -1); /* it was weft's to close */
    return 0;
}

Test(adopt, a_listening_socket_from_outside_serves)
{
    run_on(1, adopt_listener, NULL);
}
