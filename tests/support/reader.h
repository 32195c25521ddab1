/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/reader.h - coroutines that read a byte of a pipe amid locals that must stay as they
 * are, and hibernate as soon as they may; how many pages of their stacks are resident.
 */
#ifndef WEFT_TESTS_READER_H
#define WEFT_TESTS_READER_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#include "coro.h"

#if defined(__SANITIZE_ADDRESS__)
enum { ASAN = 1 }; /* frames are larger, and full of what was there before */
#else
enum { ASAN = 0 };
#endif

enum { PAGE = 4096, SOON = 1 /* ns: after one tick of the coarse clock */ };

static weft_waitgroup all;

HELPER weft_stats stats(void)
{
    weft_stats s;

    weft_stats_read(&s);
    return s;
}

HELPER void await_hibernated(uint64_t n)
{
    weft_time give_up = weft_after(PATIENCE);

    while (stats().hibernated != n) {
        check(weft_now() < give_up);
        check_eq(weft_sleep(WEFT_MS), 0);
    }
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* One that reads a byte of a pipe, with a stack of its own depth. */
struct reader {
    weft_conn conn;
    int       to;    /* the pipe's other end */
    int       bytes; /* of a buffer on its stack, all of them filled */
    int       zeros; /* of another, all zero */
    ssize_t   result;
    char     *low, *high; /* of its stack, about */
};

HELPER struct reader reader_make(void)
{
    struct reader r = { .result = 1 };
    int           fds[2];

    check_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    check_eq(weft_conn_adopt(&r.conn, fds[0]), 0);
    r.to = fds[1];
    return r;
}

HELPER void reader_end(struct reader *r)
{
    if (r->result != -EBADF)
        check_eq(weft_conn_close(r->conn), 0);
    close(r->to);
}

HELPER unsigned char pattern(const struct reader *r, int i)
{
    return (unsigned char)((uintptr_t)r / 64 + (unsigned)i * 7 + 1);
}

/* Its frame has all that must be as it was. */
HELPER __attribute__((noinline)) void read_amid_locals(struct reader *r)
{
    volatile unsigned char  filled[r->bytes + 1], zero[r->zeros + 1];
    volatile unsigned char *at = filled;
    volatile double         number = r->bytes + 0.5;
    char                    byte;

    for (int i = 0; i < r->bytes; i++)
        filled[i] = pattern(r, i);
    for (int i = 0; i < r->zeros; i++)
        zero[i] = 0;
    r->result = weft_conn_read(r->conn, &byte, 1);
    check(at == filled && number == r->bytes + 0.5);
    for (int i = 0; i < r->bytes; i++)
        check_eq(filled[i], pattern(r, i));
    for (int i = 0; i < r->zeros; i++)
        check_eq(zero[i], 0);
    check(r->result != 1 || byte == 'x');
}

HELPER __attribute__((noinline)) void touch_below(int pages)
{
    volatile char frame[PAGE];

    frame[0] = (char)pages;
    if (pages > 0)
        touch_below(pages - 1);
    frame[1] = frame[0];
}

HELPER void reads(void *arg)
{
    struct reader *r = *(struct reader **)arg;

    r->high = (char *)(((uintptr_t)arg + PAGE) / PAGE * PAGE);
    r->low = r->high - 12 * PAGE;
    touch_below(8);
    check_eq(weft_hibernate(SOON), 0);
    read_amid_locals(r);
    weft_waitgroup_done(&all);
}

HELPER void start_reading(struct reader *r)
{
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(reads, &r, sizeof r), 0);
}

HELPER void join_all(void)
{
    check_eq(weft_waitgroup_wait(&all, weft_after(PATIENCE)), 0);
}

HELPER int resident(const struct reader *r)
{
    unsigned char there[12];
    int           n = 0;

    check_eq(mincore(r->low, (size_t)(r->high - r->low), there), 0);
    for (size_t i = 0; i < sizeof there; i++)
        n += there[i] & 1;
    return n;
}

/* The only one of them; returns when it has read. */
HELPER void wake_one(const struct reader *r)
{
    check_eq(write(r->to, "x", 1), 1);
    join_all();
}

/* The pages that one keeps which hibernates with so many live bytes, or zeros; it is woken. */
HELPER int one_of_depth(int bytes, int zeros)
{
    struct reader r = reader_make();

    r.bytes = bytes;
    r.zeros = zeros;
    start_reading(&r);
    await_hibernated(1);
    int pages = resident(&r);
    wake_one(&r);
    check_eq(r.result, 1);
    check(resident(&r) > 0);
    reader_end(&r);
    return pages;
}

#endif
