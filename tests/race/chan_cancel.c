/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/chan_cancel.c - coroutines that wait on channels without a deadline, cancelled by a
 * coroutine and by a thread that is none of weft's, while each channel is freed by whoever used
 * it last: no element is lost or doubled, nobody waits for ever, nothing freed is touched.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/check.h"

enum { ROUNDS = 3000, PAIRS = 3 };

static atomic_long sent, received, cancelled;
static atomic_int  turn, done; /* of the thread: the round it shall cancel; that it has */
static weft_group  hit;        /* whom the thread cancels */

struct end {
    weft_chan *c;
    long       n;
};

/* Frees the channel at once, as each end does when it is through. */
static int receiver(void *arg)
{
    struct end e = *(struct end *)arg;
    int        r = 0;

    for (long i = 0, v; i < e.n && r == 0; i++) {
        r = weft_chan_recv(e.c, &v);
        if (r == 0)
            atomic_fetch_add(&received, v);
    }
    check(r == 0 || r == -ECANCELED || r == -EPIPE);
    atomic_fetch_add(&cancelled, r == -ECANCELED);
    weft_chan_close(e.c);
    weft_chan_unref(e.c);
    return 0;
}

static int sender(void *arg)
{
    struct end e = *(struct end *)arg;
    int        r = 0;

    for (long i = 1; i <= e.n && r == 0; i++) {
        r = weft_chan_send(e.c, &i);
        if (r == 0)
            atomic_fetch_add(&sent, i);
    }
    check(r == 0 || r == -ECANCELED || r == -EPIPE);
    atomic_fetch_add(&cancelled, r == -ECANCELED);
    weft_chan_close(e.c);
    weft_chan_unref(e.c);
    return 0;
}

static void start_pair(weft_group *g, long n)
{
    struct end e = { weft_chan_new(sizeof(long), 0), n };

    check(e.c != NULL);
    weft_chan_ref(e.c);
    check_eq(weft_group_go(g, receiver, &e, sizeof e), 0);
    check_eq(weft_group_go(g, sender, &e, sizeof e), 0);
}

static void *canceller(void *arg)
{
    for (int round = 1; round <= *(int *)arg; round++) {
        while (atomic_load(&turn) < round)
            sched_yield();
        weft_group_cancel(&hit);
        atomic_store(&done, round);
    }
    return NULL;
}

/* Every second round is cancelled by the thread. */
static int rounds(void *arg)
{
    uint64_t  random = 7;
    int       n = (int)test_scaled(ROUNDS), thread_rounds = n / 2;
    pthread_t thread;

    check_eq(pthread_create(&thread, NULL, canceller, &thread_rounds), 0);
    for (int i = 0, asked = 0; i < n; i++) {
        for (int k = 0; k < PAIRS; k++)
            start_pair(&hit, 1 + (long)(test_random(&random) % 4));
        bool by_thread = i % 2 && asked < thread_rounds;
        if (by_thread)
            atomic_store(&turn, ++asked);
        for (unsigned k = test_random(&random) % 8; k > 0; k--)
            weft_yield();
        while (by_thread && atomic_load(&done) < asked)
            weft_yield();
        if (!by_thread)
            weft_group_cancel(&hit);
        check_eq(weft_group_wait(&hit, WEFT_FOREVER, NULL), 0);
        check_eq(atomic_load(&sent), atomic_load(&received));
    }
    pthread_join(thread, NULL);
    return arg != NULL;
}

int main(void)
{
    weft_options opt = { .procs = 2 };

    check_eq(weft_run(&opt, rounds, NULL), 0);
    check(atomic_load(&sent) > 0);
    check(atomic_load(&cancelled) > 0);
    return 0;
}
