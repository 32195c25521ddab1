/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/net_support.h - what the tests of net share: checks that may fail on any thread, runs on
 * several numbers of Ps, joined coroutines, connected pairs, descriptors counted.
 */
#ifndef WEFT_TESTS_NET_SUPPORT_H
#define WEFT_TESTS_NET_SUPPORT_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

#define SUPPORT __attribute__((unused)) static

/* Coroutines run on threads that no test framework knows: a failure ends the process. */
#define CHECK(e)            ((e) ? (void)0 : check_failed(__FILE__, __LINE__, #e))
#define CHECK_IS(got, want) check_is(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))

SUPPORT void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    abort();
}

SUPPORT void check_is(const char *file, int line, const char *what, long long got, long long want)
{
    if (got == want)
        return;
    fprintf(stderr, "%s:%d: failed: %s is %lld (%s), not %lld\n", file, line, what, got,
            got < 0 && got > -4096 ? strerror((int)-got) : "no error", want);
    abort();
}

#define PATIENCE (30 * WEFT_S) /* what must happen happens long before */

/* ---- Running ------------------------------------------------------------------------- */

SUPPORT void run_on(int procs, int (*fn)(void *arg), void *arg)
{
    weft_options opt = { .procs = procs, .stop_ns = PATIENCE };
    CHECK_IS(weft_run(&opt, fn, arg), 0);
}

SUPPORT void run_on_1_2_4(int (*fn)(void *arg))
{
    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, fn, NULL);
}

/* A coroutine that counts itself off: spawn, then join. */
typedef struct spawned {
    void (*fn)(void *arg);
    void           *arg;
    weft_waitgroup *wg;
} spawned;

SUPPORT void spawn_entry(void *arg)
{
    spawned *s = arg;
    s->fn(s->arg);
    weft_waitgroup_done(s->wg);
}

SUPPORT void spawn(weft_waitgroup *wg, void (*fn)(void *arg), void *arg)
{
    spawned s = { fn, arg, wg };
    weft_waitgroup_add(wg, 1);
    CHECK_IS(weft_go(spawn_entry, &s, sizeof s), 0);
}

SUPPORT void join(weft_waitgroup *wg)
{
    CHECK_IS(weft_waitgroup_wait(wg, weft_after(PATIENCE)), 0);
}

/* On one P: all others run until they park. */
SUPPORT void let_others_park(void)
{
    for (int i = 0; i < 8; i++)
        weft_yield();
}

/* ---- Connections --------------------------------------------------------------------- */

SUPPORT weft_listener listen_loopback(char address[WEFT_ADDR_MAX])
{
    weft_listener l = { 0 };
    CHECK_IS(weft_listen(&l, "tcp", "127.0.0.1:0"), 0);
    CHECK_IS(weft_listener_address(l, address), 0);
    return l;
}

/* At an address that no other process listens at or dials from, which could get the port as soon
 * as this listener is closed. */
SUPPORT weft_listener listen_apart(char address[WEFT_ADDR_MAX])
{
    unsigned      pid = (unsigned)getpid();
    weft_listener l = { 0 };
    snprintf(address, WEFT_ADDR_MAX, "127.%u.%u.%u:0", 1 + pid / 65536 % 254, pid / 256 % 256,
             pid % 256);
    CHECK_IS(weft_listen(&l, "tcp", address), 0);
    CHECK_IS(weft_listener_address(l, address), 0);
    return l;
}

SUPPORT weft_conn dial(const char *address)
{
    weft_conn c = { 0 };
    CHECK_IS(weft_dial(&c, "tcp", address, weft_after(PATIENCE)), 0);
    return c;
}

/* Two ends of one connection: dialled and accepted. */
typedef struct pair {
    weft_conn a, b;
} pair;

SUPPORT pair connect_pair(void)
{
    char          address[WEFT_ADDR_MAX];
    pair          p = { { 0 }, { 0 } };
    weft_listener l = listen_loopback(address);
    p.a = dial(address);
    CHECK_IS(weft_listener_accept(l, &p.b), 0);
    CHECK_IS(weft_listener_close(l), 0);
    return p;
}

SUPPORT void close_pair(pair p)
{
    CHECK_IS(weft_conn_close(p.a), 0);
    CHECK_IS(weft_conn_close(p.b), 0);
}

/* What no connection's buffers take: tcp_rmem and tcp_wmem allow 36 MiB together. */
enum { MORE_THAN_FITS = 40 << 20 };

/* Writes until nothing more goes without waiting, twice in a row, since a deadline may pass
 * before anything was tried, or moved on; returns how much went. */
SUPPORT size_t fill(weft_conn c)
{
    static char chunk[64 << 10];
    size_t      sum = 0, done = 0;
    int         in_vain = 0;
    while (in_vain < 2) {
        CHECK_IS(weft_conn_set_write_deadline(c, weft_after(20 * WEFT_MS)), 0);
        ssize_t r = weft_conn_write_part(c, chunk, sizeof chunk, &done);
        CHECK(r > 0 || r == -ETIMEDOUT);
        in_vain = done > 0 ? 0 : in_vain + 1;
        sum += done;
    }
    CHECK_IS(weft_conn_set_write_deadline(c, WEFT_FOREVER), 0);
    return sum;
}

/* ---- Descriptors --------------------------------------------------------------------- */

SUPPORT bool on_uring(void)
{
    const char *netpoll = getenv("WEFT_NETPOLL");
    return netpoll && strcmp(netpoll, "io_uring") == 0;
}

/* The runtime's: a ring, made when its M first needs one; and what sysmon looks with whether a
 * thread sleeps, open for a moment at any time, and by now perhaps no more. */
enum fd_kind { FD_RING, FD_LOOK, FD_GONE, FD_OTHER };

SUPPORT enum fd_kind fd_kind_of(int fd)
{
    char path[40], what[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, what, sizeof what);
    if (n < 0)
        return FD_GONE;
    if (memmem(what, (size_t)n, "io_uring", 8))
        return FD_RING;
    return memmem(what, (size_t)n, "/task/", 6) ? FD_LOOK : FD_OTHER;
}

/* But for the runtime's. */
SUPPORT int open_fds(void)
{
    int  n = -1; /* the one that reads the folder */
    DIR *d = opendir("/proc/self/fd");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.' && fd_kind_of(atoi(e->d_name)) == FD_OTHER;
    closedir(d);
    return n;
}

#endif
