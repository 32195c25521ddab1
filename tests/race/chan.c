/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/chan.c - channels that die young: who was woken drops the last reference at once;
 * closes, deadlines and cancellations that meet sends and receives; threads of the program that
 * send and receive while the runtime starts and stops.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "support/check.h"

/* ---- Short lives --------------------------------------------------------------------------------- */

enum { LIVES = 30000, ROUNDS = 300 };

static weft_waitgroup alive;

static void give(void *arg)
{
    weft_chan *c = *(weft_chan **)arg;
    long       v[3] = { 1, 2, 3 };

    check_eq(weft_chan_send(c, v), 0);
    weft_chan_unref(c);
    weft_waitgroup_done(&alive);
}

static void take(void *arg)
{
    weft_chan *c = *(weft_chan **)arg;
    long       v[3] = { 0 };

    check_eq(weft_chan_recv(c, v), 0);
    weft_chan_unref(c);
    check(v[0] == 1 && v[1] == 2 && v[2] == 3);
    weft_waitgroup_done(&alive);
}

static void take_or_close(void *arg)
{
    weft_chan *c = *(weft_chan **)arg;
    int        r = weft_chan_recv(c, NULL);

    check(r == 0 || r == -EPIPE);
    weft_chan_unref(c);
    weft_waitgroup_done(&alive);
}

static void close_it(void *arg)
{
    weft_chan *c = *(weft_chan **)arg;
    int        r = weft_chan_close(c);

    check(r == 0 || r == -EPIPE);
    weft_chan_unref(c);
    weft_waitgroup_done(&alive);
}

static void start(void (*fn)(void *), weft_chan *c)
{
    weft_chan_ref(c);
    weft_waitgroup_add(&alive, 1);
    check_eq(weft_go(fn, &c, sizeof c), 0);
}

static int short_lives(void *arg)
{
    for (long i = 0; i < test_scaled(LIVES); i++) {
        weft_chan *c = weft_chan_new(3 * sizeof(long), (size_t)i % 2);
        if (i % 3 == 0) {
            for (int k = 0; k < 4; k++)
                start(take_or_close, c);
            start(close_it, c);
            start(close_it, c);
        } else {
            for (int k = 0; k < 2; k++) {
                start(i % 5 ? give : take, c);
                start(i % 5 ? take : give, c);
            }
        }
        weft_chan_unref(c);
        if (i % 8 == 0)
            weft_yield();
    }
    check_eq(weft_waitgroup_wait(&alive, WEFT_FOREVER), 0);
    return arg != NULL;
}

/* ---- Everything that can end a wait, at once ------------------------------------------------------ */

struct round {
    weft_chan  *c;
    atomic_long sent, received, closed, cancelled, late;
};

static void count(struct round *r, int how, atomic_long *went)
{
    check(how == 0 || how == -ETIMEDOUT || how == -ECANCELED || how == -EPIPE);
    atomic_fetch_add(how == 0            ? went
                     : how == -ETIMEDOUT ? &r->late
                     : how == -ECANCELED ? &r->cancelled
                                         : &r->closed,
                     1);
}

static int send_one(void *arg)
{
    struct round *r = *(struct round **)arg;
    long          v = 77;

    count(r, weft_chan_send_until(r->c, &v, weft_after((int64_t)weft_id() % 40 * WEFT_US)),
          &r->sent);
    return 0;
}

static int recv_one(void *arg)
{
    struct round *r = *(struct round **)arg;
    long          v = 0;
    int how = weft_chan_recv_until(r->c, &v, weft_after((int64_t)weft_id() % 40 * WEFT_US));

    check(how != 0 || v == 77);
    count(r, how, &r->received);
    return 0;
}

static int all_ends(void *arg)
{
    for (long i = 0; i < test_scaled(ROUNDS); i++) {
        struct round r = { .c = weft_chan_new(sizeof(long), (size_t)i % 3) }, *at = &r;
        weft_group   g = WEFT_GROUP_INIT, other = WEFT_GROUP_INIT;
        for (int k = 0; k < 60; k++)
            check_eq(weft_group_go(k % 4 < 2 ? &g : &other, k % 2 ? send_one : recv_one, &at,
                                   sizeof at),
                     0);
        weft_yield();
        weft_group_cancel(&g);
        check_eq(weft_chan_close(r.c), 0);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
        check_eq(weft_group_wait(&other, WEFT_FOREVER, NULL), 0);
        check_eq(atomic_load(&r.sent), atomic_load(&r.received) + (long)weft_chan_len(r.c));
        weft_chan_unref(r.c);
    }
    return arg != NULL;
}

/* ---- Threads, across starts and stops ----------------------------------------------------------------- */

static atomic_bool over;
static atomic_long in, out;

static void *thread_sends(void *arg)
{
    long v = 5;

    while (!atomic_load(&over))
        if (weft_chan_send_until(arg, &v, WEFT_NOWAIT) == 0)
            atomic_fetch_add(&in, 1);
        else
            sched_yield();
    return NULL;
}

static void *thread_receives(void *arg)
{
    long v;

    while (!atomic_load(&over))
        if (weft_chan_recv_until(arg, &v, WEFT_NOWAIT) == 0)
            atomic_fetch_add(&out, 1);
        else
            sched_yield();
    return NULL;
}

static void both_ways(void *arg)
{
    weft_chan *c = *(weft_chan **)arg;
    long       v = 5;

    for (;;) {
        int r = weft_chan_recv(c, &v);
        if (r == 0)
            atomic_fetch_add(&out, 1);
        else if (r == -ECANCELED)
            return;
        if (weft_chan_send(c, &v) == 0)
            atomic_fetch_add(&in, 1);
    }
}

static int a_while(void *arg)
{
    for (int i = 0; i < 8; i++)
        check_eq(weft_go(both_ways, &arg, sizeof arg), 0);
    for (int i = 0; i < 300; i++)
        weft_yield();
    return 0;
}

static void threads(void)
{
    weft_chan *c = weft_chan_new(sizeof(long), 2);
    pthread_t  t[2];

    check_eq(pthread_create(&t[0], NULL, thread_sends, c), 0);
    check_eq(pthread_create(&t[1], NULL, thread_receives, c), 0);
    for (long i = 0; i < test_scaled(100); i++)
        run_on(1 + (int)(i % 4), a_while, c);
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        check_eq(pthread_join(t[i], NULL), 0);
    check_eq(atomic_load(&in), atomic_load(&out) + (long)weft_chan_len(c));
    weft_chan_unref(c);
}

int main(void)
{
    static const int procs[] = { 1, 2, 8 };

    for (int p = 0; p < 3; p++) {
        run_on(procs[p], short_lives, NULL);
        run_on(procs[p], all_ends, NULL);
    }
    threads();
    return 0;
}
