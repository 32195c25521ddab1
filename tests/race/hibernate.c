/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/hibernate.c - readers that hibernate as soon as they may are woken at all times: by
 * bytes and by deadlines, all at once while sysmon is at them, and while dumps and snapshots of
 * them are taken.  Each checks its locals after each wait; a wake-up that is lost hangs the
 * program.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/check.h"

enum { READERS = 200, CYCLES = 60, DUMPS = 40, DEPTHS = 5 };

struct reader {
    weft_conn      conn, peer;
    unsigned       number;
    weft_waitgroup done;
};

static struct reader  readers[READERS];
static weft_waitgroup cycle_done;
static atomic_bool    over;
static atomic_long    dumps;

/* One wait, at some depth, amid locals that it alone knows. */
static __attribute__((noinline)) ssize_t wait_at(struct reader *r, unsigned salt, unsigned depth)
{
    volatile unsigned char locals[150];
    char                   byte;
    ssize_t                n;

    for (unsigned i = 0; i < sizeof locals; i++)
        locals[i] = (unsigned char)(i * 3 + salt);
    if (depth > 0)
        n = wait_at(r, salt + 1, depth - 1);
    else
        n = weft_conn_read(r->conn, &byte, 1);
    for (unsigned i = 0; i < sizeof locals; i++)
        check_eq(locals[i], (unsigned char)(i * 3 + salt));
    return n;
}

/* A byte for each cycle, whatever deadlines come between; then the end. */
static void reads(void *arg)
{
    struct reader *r = *(struct reader **)arg;
    ssize_t        n;

    weft_hibernate(1);
    for (unsigned i = 0; (n = wait_at(r, r->number + i, (r->number + i) % DEPTHS)) != 0; i++) {
        check(n == 1 || n == -ETIMEDOUT);
        if (n == 1)
            weft_waitgroup_done(&cycle_done);
        else
            check_eq(weft_conn_set_read_deadline(r->conn, WEFT_FOREVER), 0);
    }
    weft_waitgroup_done(&r->done);
}

/* By turns a pipe and a TCP connection, which another netpoller may serve otherwise. */
static void open_pipe(struct reader *r)
{
    int fds[2];

    check_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    check_eq(weft_conn_adopt(&r->conn, fds[0]), 0);
    check_eq(weft_conn_adopt(&r->peer, fds[1]), 0);
}

static void start_all(void)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l;

    check_eq(weft_listen(&l, "tcp", "127.0.0.1:0"), 0);
    check_eq(weft_listener_address(l, address), 0);
    for (unsigned i = 0; i < READERS; i++) {
        struct reader *r = &readers[i];
        *r = (struct reader){ .number = i };
        if (i % 2 == 0) {
            open_pipe(r);
        } else {
            check_eq(weft_dial(&r->peer, "tcp", address, weft_after(60 * WEFT_S)), 0);
            check_eq(weft_listener_accept(l, &r->conn), 0);
        }
        weft_waitgroup_add(&r->done, 1);
        check_eq(weft_go(reads, &r, sizeof r), 0);
    }
    check_eq(weft_listener_close(l), 0);
}

static void end_all(void)
{
    for (int i = 0; i < READERS; i++) {
        check_eq(weft_conn_close(readers[i].peer), 0);
        check_eq(weft_waitgroup_wait(&readers[i].done, weft_after(60 * WEFT_S)), 0);
        check_eq(weft_conn_close(readers[i].conn), 0);
    }
}

/* As the first ones hibernate, or a little before or after. */
static void wait_a_little(uint64_t *random)
{
    weft_stats s;
    weft_time  give_up = weft_after(60 * WEFT_S);

    for (bool some = test_random(random) % 4 == 0; !some; some = s.hibernated > 0) {
        check(weft_now() < give_up);
        check_eq(weft_sleep(200 * WEFT_US), 0);
        weft_stats_read(&s);
    }
    check_eq(weft_sleep(test_random(random) % 20 * 100 * WEFT_US), 0);
}

static void wake_all(uint64_t *random)
{
    weft_waitgroup_add(&cycle_done, READERS);
    for (int i = 0; i < READERS; i++) {
        if (test_random(random) % 8 == 0)
            check_eq(weft_conn_set_read_deadline(readers[i].conn, WEFT_NOWAIT), 0);
        check_eq(weft_conn_write(readers[i].peer, "x", 1), 1);
    }
    check_eq(weft_waitgroup_wait(&cycle_done, weft_after(60 * WEFT_S)), 0);
}

static int body(void *arg)
{
    uint64_t   random = 88172645463325252U;
    weft_stats s;

    start_all();
    for (long i = 0, n = test_scaled(CYCLES); i < n; i++) {
        wait_a_little(&random);
        wake_all(&random);
    }
    weft_stats_read(&s);
    check(s.hibernations > 0);
    end_all();
    return arg != NULL;
}

static void *dumper(void *arg)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    check(fd >= 0);
    while (!atomic_load(&over) && atomic_load(&dumps) < DUMPS) {
        int r = weft_dump(fd);
        check(r == 0 || r == -ESRCH);
        atomic_fetch_add(&dumps, r == 0);
        usleep(1000);
    }
    close(fd);
    return arg;
}

int main(void)
{
    pthread_t thread;

    check_eq(pthread_create(&thread, NULL, dumper, NULL), 0);
    run_on(1, body, NULL);
    run_on(2, body, NULL);
    run_on(4, body, NULL);
    atomic_store(&over, true);
    check_eq(pthread_join(thread, NULL), 0);
    check(atomic_load(&dumps) > 0);
    return 0;
}
