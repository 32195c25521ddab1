/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/retake.c - Ps taken from their Ms at any moment: a thread does to all Ps, all the time,
 * what sysmon does to those that stand still for long, beside coroutines that use everything that
 * needs a P.  Nothing may be lost, run twice, or run on two threads.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "runtime/coroutine.h"
#include "runtime/sched.h"
#include "support/check.h"

enum { WORKERS = 24, ROUNDS = 3000, PINNED_EVERY = 8, LOCKS = 40 };

static atomic_bool    attack;
static atomic_long    taken;
static long           guarded; /* by the mutex */
static weft_mutex     mutex;
static weft_waitgroup all;

static void *attacker(void *arg)
{
    uint64_t random = 4711;

    while (atomic_load(&attack)) {
        if (!wf_sched_hold())
            break;
        unsigned i = test_random(&random) % (unsigned)wf_the_sched.procs;
        if (wf_p_retake(wf_the_sched.ps[i], false))
            atomic_fetch_add(&taken, 1);
        wf_sched_release();
        struct timespec t = { .tv_nsec = test_random(&random) % 8 ? 0 : 30000 };
        nanosleep(&t, NULL);
    }
    return arg;
}

static void compute(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++)
        ;
}

static void one_round(int i, weft_chan *c)
{
    int v = i;

    compute(500);
    switch (i % 6) {
    case 0:
        weft_yield();
        break;
    case 1:
        check_eq(weft_sleep(i % 60 == 1 ? 20 * WEFT_US : 0), 0);
        break;
    case 2:
        weft_block_enter();
        compute(300);
        weft_block_leave();
        break;
    case 3:
        for (int k = 0; k < LOCKS; k++) {
            weft_mutex_lock(&mutex);
            guarded++;
            compute(k == 0 ? 100 : 0);
            weft_mutex_unlock(&mutex);
        }
        break;
    case 4: /* full or empty at times: neither matters */
        if (weft_chan_send_until(c, &v, WEFT_NOWAIT) == 0)
            check_eq(weft_chan_recv(c, &v), 0);
        break;
    default:
        check(!weft_cancelled() || !c); /* without c the runtime stops */
    }
}

struct work {
    weft_chan *c;
    int        number;
};

static void worker(void *arg)
{
    struct work *w = arg;
    uint64_t     id = weft_id();
    bool         pin = w->number % PINNED_EVERY == 0;

    if (pin)
        weft_pin();
    pthread_t thread = pthread_self();
    for (int i = 0; i < test_scaled(ROUNDS) / 6 * 6; i++) {
        one_round(i, w->c);
        check_eq(weft_id(), id);
        check(!pin || pthread_self() == thread);
    }
    weft_waitgroup_done(&all);
}

static int storm(void *arg)
{
    pthread_t  thread;
    weft_chan *c = weft_chan_new(sizeof(int), WORKERS);

    guarded = 0;
    atomic_store(&attack, true);
    check_eq(pthread_create(&thread, NULL, attacker, NULL), 0);
    weft_waitgroup_add(&all, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        struct work w = { .c = c, .number = i };
        check_eq(weft_go(worker, &w, sizeof w), 0);
    }
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    atomic_store(&attack, false);
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
    check_eq(guarded, LOCKS * WORKERS * (test_scaled(ROUNDS) / 6));
    weft_chan_unref(c);
    return arg != NULL;
}

/* The attack goes on while the runtime stops. */
static void until_cancelled(void *arg)
{
    for (int i = 2; weft_sleep(0) == 0; i = i == 2 ? 5 : 2)
        one_round(i, NULL);
    check(arg == NULL);
}

static int stop_under_attack(void *arg)
{
    check_eq(pthread_create(arg, NULL, attacker, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        check_eq(weft_go(until_cancelled, NULL, 0), 0);
    for (int i = 0; i < 50; i++)
        weft_yield();
    return 0;
}

int main(void)
{
    for (int i = 0; i < 100 && (i < 4 || atomic_load(&taken) < 100); i++)
        run_on(1 << i % 4, storm, NULL);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        atomic_store(&attack, true);
        run_on(1 + i % 3, stop_under_attack, &thread);
        pthread_join(thread, NULL);
    }
    check(atomic_load(&taken) > 100);
    return 0;
}
