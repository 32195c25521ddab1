/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/epoll_test.c - how many descriptors are registered, by counters of each P, and the
 * word by which those who look for work know that there are any; and that no poll_desc is lost
 * from run to run.  What sysmon's count may meet meanwhile is tests/race/net_count.c's, and
 * tests/model/used.pml's.
 */
#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/epoll.h"
#include "runtime/netpoll.h"
#include "support/coro.h"

/* ---- Counting ----------------------------------------------------------------------------------- */

static int an_event(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    check(fd >= 0);
    return fd;
}

static int open_end(int fd, wf_poll_desc **out)
{
    wf_m *mp = wf_enter("a test");
    int   r = wf_poll_open(fd, WF_POLL_ANY, out);
    wf_leave(mp);
    return r;
}

static void close_end(wf_poll_desc *pd)
{
    wf_m *mp = wf_enter("a test");
    int   fd = pd->fd;
    wf_poll_close(pd);
    wf_leave(mp);
    check_eq(close(fd), 0);
}

static int only_what_is_registered_counts(void *arg)
{
    wf_poll_desc *pd, *file;
    FILE         *f = tmpfile();

    check_eq(wf_netpoll_count(), 0);
    check(!wf_netpoll_used());
    check_eq(open_end(dup(fileno(f)), &file), 0); /* always ready: epoll knows nothing of it */
    check_eq(open_end(-1, &pd), -EBADF);
    check_eq(wf_netpoll_count(), 0);
    check(!wf_netpoll_used());
    check_eq(open_end(an_event(), &pd), 0);
    check_eq(wf_netpoll_count(), 1);
    check(wf_netpoll_used());
    close_end(pd);
    close_end(file);
    check_eq(wf_netpoll_count(), 0);
    fclose(f);
    return arg != NULL;
}

Test(epoll, only_what_is_registered_counts, .timeout = 30)
{
    run_on_1_2_8(only_what_is_registered_counts, NULL);
}

static void opens(void *arg)
{
    check_eq(open_end(an_event(), arg), 0);
}

static void closes(void *arg)
{
    close_end(*(wf_poll_desc **)arg);
}

static int closed_elsewhere(void *arg)
{
    enum { N = 200 };
    wf_poll_desc  *all[N];
    weft_waitgroup wg = { 0 };

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < N; i++)
            spawn(&wg, opens, &all[i]);
        check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
        check_eq(wf_netpoll_count(), N);
        for (int i = 0; i < N; i++) {
            spawn(&wg, closes, &all[(i * 7) % N]);
            if (i % 16 == 0)
                weft_yield();
        }
        check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
        check_eq(wf_netpoll_count(), 0);
    }
    return arg != NULL;
}

Test(epoll, the_count_is_right_though_others_close_than_opened, .timeout = 60)
{
    run_on_1_2_8(closed_elsewhere, NULL);
}

/* sysmon finds it, at its next count; and that one is there again is known at once. */
static int used_and_not(void *arg)
{
    wf_poll_desc *pd;

    for (int i = 0; i < 2; i++) {
        opens(&pd);
        check(wf_netpoll_used());
        close_end(pd);
        while (wf_netpoll_used())
            check_eq(weft_sleep(WEFT_MS), 0);
    }
    return arg != NULL;
}

Test(epoll, when_all_are_closed_nobody_looks_for_events_any_more, .timeout = 60)
{
    run_on(2, used_and_not, NULL);
}

/* ---- From run to run ---------------------------------------------------------------------------- */

enum { PS = 4, OPEN = 60, LEFT = 20, RUNS = 40 };

static void adopts(void *arg)
{
    weft_conn c;
    int       ends[2];

    check_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    check_eq(weft_conn_adopt(&c, ends[0]), 0);
    check_eq(close(ends[1]), 0);
    weft_yield();
    if (arg)
        check_eq(weft_conn_close(c), 0);
}

static int opens_some(void *arg)
{
    weft_waitgroup wg = { 0 };

    for (int i = 0; i < OPEN; i++)
        spawn(&wg, adopts, i < LEFT ? NULL : &wg); /* those left are closed as the runtime ends */
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(epoll, no_poll_desc_is_lost_from_run_to_run, .timeout = 60)
{
    for (int i = 0; i < RUNS; i++)
        run_on(PS, opens_some, NULL);
    cr_assert_leq(wf_poll_cache_count(), 1 + OPEN + PS * 3 * WF_POLL_BATCH);
}
