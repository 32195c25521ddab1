/* SPDX-License-Identifier: Apache-2.0 */
/*
 * white/ring_fault_test.c - rings that cannot be made, or that take no request, in mid-run: the
 * connections concerned are epoll's from then on, and nothing is lost.  Needs WEFT_FAULTS.
 *
 * Where epoll is the netpoller no such call is made, and all goes well all the more.
 */
#include "net_support.h"
#include "runtime/sys.h"
#include "scale.h"

#include <criterion/criterion.h>

#ifdef WEFT_FAULTS

static volatile AO_t fails; /* the calls that fail: 1 those that make a ring, 2 those that submit */
static volatile AO_t failed;
static volatile AO_t error;

static long fail(const char *call, int fd)
{
    AO_t which = strcmp(call, "uring_setup") == 0 ? 1 : strcmp(call, "uring_enter") == 0 ? 2 : 0;
    (void)fd;
    if (!(AO_load(&fails) & which))
        return 0;
    AO_fetch_and_add_full(&failed, 1);
    return (long)AO_load(&error);
}

static void echo(void *arg)
{
    char    buf[64];
    ssize_t n;
    while ((n = weft_conn_read(*(weft_conn *)arg, buf, sizeof buf)) > 0)
        CHECK_IS(weft_conn_write(*(weft_conn *)arg, buf, (size_t)n), n);
    CHECK_IS(n, 0);
    CHECK_IS(weft_conn_close(*(weft_conn *)arg), 0);
}

static void talk(void *arg)
{
    char           buf[64];
    weft_waitgroup wg = { { 0 } };
    pair           q = connect_pair();
    (void)arg;
    spawn(&wg, echo, &q.b);
    for (long i = 0, n = test_scaled(300); i < n; i++) {
        size_t size = 1 + (size_t)i % sizeof buf;
        memset(buf, (int)i, size);
        CHECK_IS(weft_conn_write(q.a, buf, size), size);
        memset(buf, (int)~i, size);
        CHECK_IS(weft_conn_read_full(q.a, buf, size, NULL), size);
        CHECK_IS(buf[size - 1], (char)i);
    }
    CHECK_IS(weft_conn_close(q.a), 0);
    join(&wg);
}

/* Some talk as it begins to fail, others begin to after that, and again when all is well. */
static int talks(void *arg)
{
    AO_t which = *(AO_t *)arg;
    for (int round = 0; round < 4; round++) {
        weft_waitgroup wg = { { 0 } };
        for (int i = 0; i < 10; i++)
            spawn(&wg, talk, NULL);
        weft_yield();
        AO_store(&fails, round % 2 ? 0 : which);
        for (int i = 0; i < 10; i++)
            spawn(&wg, talk, NULL);
        join(&wg);
    }
    AO_store(&fails, 0);
    return 0;
}

static void talk_through(AO_t which, long with, int procs)
{
    AO_store(&error, (AO_t)with);
    AO_store(&failed, 0);
    wf_sys_fault = fail;
    run_on(procs, talks, &which);
    wf_sys_fault = NULL;
}

Test(ring_fault, where_a_ring_takes_no_request_epoll_does, .timeout = 60)
{
    for (int procs = 1; procs <= 4; procs *= 2) {
        talk_through(2, -ENOMEM, procs);
        cr_assert(!on_uring() || AO_load(&failed) > 0);
        talk_through(2, -EAGAIN, procs);
        cr_assert(!on_uring() || AO_load(&failed) > 0);
    }
}

Test(ring_fault, an_m_without_a_ring_serves_by_epoll, .timeout = 60)
{
    for (int procs = 1; procs <= 4; procs *= 2) {
        talk_through(1, -EPERM, procs);
        talk_through(3, -ENOMEM, procs);
    }
}

/* ---- Tried again ----------------------------------------------------------------------- */

static volatile AO_t refused, granted;

static long refuse_rings(const char *call, int fd)
{
    (void)fd;
    if (strcmp(call, "uring_setup") != 0)
        return 0;
    AO_fetch_and_add_full(AO_load(&fails) ? &refused : &granted, 1);
    return AO_load(&fails) ? -EMFILE : 0;
}

static void read_in_vain(void)
{
    char byte = 0;
    pair q = connect_pair();
    CHECK_IS(weft_conn_set_read_deadline(q.b, weft_after(WEFT_MS)), 0);
    CHECK_IS(weft_conn_read(q.b, &byte, 1), -ETIMEDOUT);
    close_pair(q);
}

static void read_until_granted(void *arg)
{
    (void)arg;
    read_in_vain();
    CHECK(!on_uring() || AO_load(&refused) > 0);
    AO_store(&fails, 0);
    for (int64_t end = weft_now() + PATIENCE; on_uring() && !AO_load(&granted);) {
        CHECK(weft_now() < end);
        read_in_vain();
    }
}

/* The first M has its ring since the start, and keeps its coroutine: others run on another. */
static int another_m(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    weft_pin();
    read_in_vain();
    AO_store(&granted, 0);
    AO_store(&fails, 1);
    spawn(&wg, read_until_granted, NULL);
    join(&wg);
    weft_unpin();
    return 0;
}

Test(ring_fault, an_m_that_could_have_no_ring_tries_again, .timeout = 60)
{
    wf_sys_fault = refuse_rings;
    run_on(1, another_m, NULL);
    wf_sys_fault = NULL;
}

#endif
