/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/net_count.c - descriptors that are opened on one P and closed on another, while one
 * coroutine asks how many there are, and recounts as sysmon does: those that stay are always
 * counted, and known of; and in the end there is none.
 */
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "runtime/epoll.h"
#include "runtime/netpoll.h"
#include "support/check.h"

enum { PS = 8, STAY = 2, PAIRS = 6, ROUNDS = 20000 };

static weft_waitgroup open_still;
static atomic_int     at_work;

static wf_poll_desc *open_one(void)
{
    wf_poll_desc *pd;
    int           fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    check(fd >= 0);
    wf_m *mp = wf_enter("a test");
    check_eq(wf_poll_open(fd, WF_POLL_ANY, &pd), 0);
    wf_leave(mp);
    check(wf_netpoll_used());
    return pd;
}

static void close_one(wf_poll_desc *pd)
{
    int fd = pd->fd;

    check(wf_netpoll_used());
    wf_m *mp = wf_enter("a test");
    wf_poll_close(pd);
    wf_leave(mp);
    check_eq(close(fd), 0);
}

static void opens(void *arg)
{
    for (long i = test_scaled(ROUNDS); i > 0; i--) {
        wf_poll_desc *pd = open_one();
        check_eq(weft_chan_send(arg, &pd), 0);
    }
    weft_chan_close(arg);
}

static void closes(void *arg)
{
    wf_poll_desc *pd;

    while (weft_chan_recv(arg, &pd) == 0)
        close_one(pd);
    weft_chan_unref(arg);
    atomic_fetch_sub(&at_work, 1);
    weft_waitgroup_done(&open_still);
}

static int count_all_the_time(void *arg)
{
    wf_poll_desc *stay[STAY];

    for (int i = 0; i < STAY; i++)
        stay[i] = open_one();
    atomic_store(&at_work, PAIRS);
    weft_waitgroup_add(&open_still, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        weft_chan *way = weft_chan_new(sizeof stay[0], 8);
        check_eq(weft_go(opens, way, 0), 0);
        check_eq(weft_go(closes, way, 0), 0);
    }
    for (long n = 0; atomic_load(&at_work) > 0; n++) {
        AO_t count = wf_netpoll_count();
        check(count >= STAY && count < (AO_t)1 << 32);
        wf_netpoll_recount(); /* beside sysmon's: it never counts none */
        check(wf_netpoll_used());
        if (n % 256 == 0)
            weft_yield();
    }
    check_eq(weft_waitgroup_wait(&open_still, WEFT_FOREVER), 0);
    check_eq(wf_netpoll_count(), STAY);
    for (int i = 0; i < STAY; i++)
        close_one(stay[i]);
    check_eq(wf_netpoll_count(), 0);
    return arg != NULL;
}

int main(void)
{
    run_on(PS, count_all_the_time, NULL);
    run_on(2, count_all_the_time, NULL);
    return 0;
}
