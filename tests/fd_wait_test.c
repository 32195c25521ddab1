/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fd_wait_test.c - weft_fd_wait: readiness of descriptors that are not weft's, each error,
 * and that nothing of a wait remains.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "support/coro.h"

TestSuite(fd_wait, .timeout = 120);

static void make_pipe(int fds[2])
{
    check_eq(pipe2(fds, O_NONBLOCK), 0);
}

static void close_both(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static int wait_in(void *fd)
{
    return weft_fd_wait(*(int *)fd, POLLIN, WEFT_FOREVER);
}

static int wait_in_now(void *fd)
{
    return weft_fd_wait(*(int *)fd, POLLIN, WEFT_NOWAIT);
}

/* ---- Readiness --------------------------------------------------------------------------------------- */

static int readiness(void *arg)
{
    int  p[2], s[2];
    char byte;

    make_pipe(p);
    check_eq(weft_fd_wait(p[0], POLLIN, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(weft_fd_wait(p[0], POLLIN, weft_after(WEFT_MS)), -ETIMEDOUT);
    check_eq(weft_fd_wait(p[1], POLLOUT, WEFT_FOREVER), POLLOUT);
    check_eq(write(p[1], "!", 1), 1);
    for (int i = 0; i < 3; i++) /* nobody has read it: it is reported again */
        check_eq(weft_fd_wait(p[0], POLLIN, i ? WEFT_FOREVER : WEFT_NOWAIT), POLLIN);
    check_eq(read(p[0], &byte, 1), 1);
    check_eq(weft_fd_wait(p[0], POLLIN, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    check_eq(weft_fd_wait(s[0], POLLIN | POLLOUT, WEFT_FOREVER), POLLOUT);
    check_eq(write(s[1], "!", 1), 1);
    check_eq(weft_fd_wait(s[0], POLLIN | POLLOUT, WEFT_FOREVER), POLLIN | POLLOUT);
    check_eq(weft_fd_wait(s[0], POLLIN, WEFT_FOREVER), POLLIN);
    close_both(p);
    close_both(s);
    return arg != NULL;
}

Test(fd_wait, reports_what_is_ready_until_it_is_consumed)
{
    run_on_1_2_8(readiness, NULL);
}

/* Errors and hang-ups report all that was asked for, at once or while it waits. */
static int hang_ups(void *arg)
{
    int p[2], s[2];

    make_pipe(p);
    attempt    a = { .op = wait_in, .arg = &p[0] };
    weft_group g = WEFT_GROUP_INIT;
    attempt_start(&a, &g);
    check(!a.done);
    close(p[1]);
    join_group(&g);
    check_eq(a.result, POLLIN);
    close(p[0]);
    make_pipe(p);
    while (write(p[1], "0123456789", 10) > 0)
        ;
    check_eq(weft_fd_wait(p[1], POLLOUT, weft_after(WEFT_MS)), -ETIMEDOUT);
    close(p[0]);
    check_eq(weft_fd_wait(p[1], POLLOUT, WEFT_FOREVER), POLLOUT);
    check_eq(weft_fd_wait(p[1], POLLIN | POLLOUT, WEFT_NOWAIT), POLLIN | POLLOUT);
    close(p[1]);
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    close(s[1]);
    check_eq(weft_fd_wait(s[0], POLLIN | POLLOUT, WEFT_FOREVER), POLLIN | POLLOUT);
    close(s[0]);
    return arg != NULL;
}

Test(fd_wait, errors_and_hang_ups_report_all_requested)
{
    run_on(1, hang_ups, NULL);
}

/* ---- Errors ---------------------------------------------------------------------------------------------- */

static int bad_arguments(void *arg)
{
    static const int events[] = { 0, POLLPRI, POLLERR, POLLIN | POLLHUP, POLLIN | POLLRDHUP, -1 };
    int              p[2];

    make_pipe(p);
    for (int i = 0; i < COUNT(events); i++)
        check_eq(weft_fd_wait(p[0], events[i], WEFT_NOWAIT), -EINVAL);
    int gone = fcntl(p[0], F_DUPFD, 500); /* nobody else opens one of so high a number */
    close(gone);
    close_both(p);
    check_eq(weft_fd_wait(gone, POLLIN, WEFT_NOWAIT), -EBADF);
    check_eq(weft_fd_wait(gone, POLLIN, WEFT_FOREVER), -EBADF);
    check_eq(weft_fd_wait(-1, POLLIN, WEFT_FOREVER), -EBADF);
    int file = open("/proc/self/exe", O_RDONLY);
    check(file >= 0);
    check_eq(weft_fd_wait(file, POLLIN, WEFT_FOREVER), -EPERM);
    check_eq(weft_fd_wait(file, POLLIN, WEFT_NOWAIT), -EPERM); /* the first left nothing behind */
    close(file);
    weft_conn c;
    check_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p), 0);
    check_eq(weft_conn_adopt(&c, p[0]), 0);
    check_eq(weft_fd_wait(p[0], POLLIN, WEFT_FOREVER), -EEXIST);
    check_eq(weft_fd_wait(p[1], POLLIN, WEFT_NOWAIT), -ETIMEDOUT); /* the other end is nobody's */
    check_eq(weft_conn_close(c), 0);
    close(p[1]);
    return arg != NULL;
}

Test(fd_wait, each_error)
{
    run_on(1, bad_arguments, NULL);
}

static int second_waiter(void *arg)
{
    int        p[2];
    weft_group g = WEFT_GROUP_INIT;
    weft_conn  c;

    make_pipe(p);
    attempt a = { .op = wait_in, .arg = &p[0] };
    attempt_start(&a, &g);
    check_eq(weft_fd_wait(p[0], POLLIN, WEFT_NOWAIT), -EBUSY);
    check_eq(weft_fd_wait(p[0], POLLOUT, WEFT_FOREVER), -EBUSY);
    check(weft_conn_adopt(&c, p[0]) < 0);
    check_eq(write(p[1], "!", 1), 1);
    join_group(&g);
    check_eq(a.result, POLLIN);
    check_eq(weft_fd_wait(p[0], POLLIN, WEFT_NOWAIT), POLLIN);
    close_both(p);
    return arg != NULL;
}

Test(fd_wait, a_second_waiter_is_told_so)
{
    run_on(1, second_waiter, NULL);
}

/* Two who meet at every point of each other's wait: busy, or late; never "a descriptor of weft's". */
struct meeting {
    int         fd;
    atomic_long late, busy;
};

static void meet(void *arg)
{
    struct meeting *m = arg;

    for (long i = test_scaled(5000); i > 0; i--) {
        int r = weft_fd_wait(m->fd, POLLIN, i % 2 ? weft_after(i % 7 * WEFT_US) : WEFT_NOWAIT);
        check(r == -ETIMEDOUT || r == -EBUSY);
        atomic_fetch_add(r == -EBUSY ? &m->busy : &m->late, 1);
    }
}

static int meetings(void *arg)
{
    int            p[2];
    weft_waitgroup wg = { { 0 } };

    make_pipe(p);
    struct meeting m = { .fd = p[0] };
    for (int i = 0; i < 4; i++)
        spawn(&wg, meet, &m);
    join(&wg);
    check(atomic_load(&m.late) > 0);
    close_both(p);
    return arg != NULL;
}

Test(fd_wait, waiters_that_come_and_go)
{
    run_on_1_2_8(meetings, NULL);
}

/* ---- Cancellation ------------------------------------------------------------------------------------------- */

static int cancelled(void *arg)
{
    int p[2];

    make_pipe(p);
    check(blocks(wait_in, &p[0]));
    check_eq(write(p[1], "!", 1), 1);
    check_eq(when_cancelled(wait_in, &p[0]), -ECANCELED); /* although it is ready */
    check_eq(when_cancelled(wait_in_now, &p[0]), -ECANCELED);
    check_eq(weft_fd_wait(p[0], POLLIN, WEFT_NOWAIT), POLLIN); /* no registration is left */
    close_both(p);
    return arg != NULL;
}

Test(fd_wait, ends_by_cancellation)
{
    run_on(1, cancelled, NULL);
}

/* ---- A library's life --------------------------------------------------------------------------------------------- */

struct talk {
    int  in[2], out[2];
    long n;
};

/* A thread that knows nothing of weft, on the other end of two pipes. */
static void *echo(void *arg)
{
    struct talk *t = arg;
    long         v;

    for (long i = 0; i < t->n; i++) {
        check_eq(read(t->in[0], &v, sizeof v), sizeof v);
        check_eq(write(t->out[1], &v, sizeof v), sizeof v);
    }
    return NULL;
}

static int conversation(void *arg)
{
    struct talk *t = arg;

    for (long i = 0, v; i < t->n; i++) {
        check_eq(write(t->in[1], &i, sizeof i), sizeof i);
        check_eq(weft_fd_wait(t->out[0], POLLIN, weft_after(PATIENCE)), POLLIN);
        check_eq(read(t->out[0], &v, sizeof v), sizeof v);
        check_eq(v, i);
    }
    return 0;
}

Test(fd_wait, waits_for_other_threads)
{
    for (int i = 0; i < COUNT(proc_counts); i++) {
        struct talk t = { .n = test_scaled(2000) };
        pthread_t   thread;
        check_eq(pipe(t.in), 0);
        check_eq(pipe(t.out), 0);
        check_eq(fcntl(t.out[0], F_SETFL, O_NONBLOCK), 0);
        check_eq(pthread_create(&thread, NULL, echo, &t), 0);
        run_on(proc_counts[i], conversation, &t);
        check_eq(pthread_join(thread, NULL), 0);
        close_both(t.in);
        close_both(t.out);
    }
}

/* Between two waits the descriptor is closed, and its number is another's. */
static int reuse(void *arg)
{
    int last = -1, reused = 0;

    for (long i = 0; i < test_scaled(3000); i++) {
        int p[2];
        make_pipe(p);
        reused += p[0] == last; /* but for the moments in which sysmon has one open */
        last = p[0];
        if (i % 2)
            check_eq(write(p[1], "!", 1), 1);
        check_eq(weft_fd_wait(p[0], POLLIN, i % 4 < 2 ? WEFT_NOWAIT : weft_after(WEFT_US)),
                 i % 2 ? POLLIN : -ETIMEDOUT);
        close_both(p);
    }
    check(reused > 0);
    return arg != NULL;
}

Test(fd_wait, descriptors_are_closed_and_reused_between_waits)
{
    run_on_1_2_8(reuse, NULL);
}

static int wait_outside(void *arg)
{
    return weft_fd_wait(0, POLLIN, WEFT_NOWAIT) + (arg != NULL);
}

Test(fd_wait, outside_a_coroutine_ends_the_process)
{
    dies(wait_outside, NULL, false, "weft_fd_wait " NOWHERE);
}
