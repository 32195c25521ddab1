/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/zombies.c - runtimes that follow each other in one process while coroutines of those
 * before come back from their own code at any moment: they must sleep for ever, touch nothing, and
 * take nothing of the runtime that runs by then.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "runtime/coroutine.h"
#include "runtime/sched.h"
#include "support/check.h"

#if defined(__SANITIZE_ADDRESS__)
/* What those left behind may touch leaks, on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

enum { HOGS = 6, WORKERS = 8, RUNTIMES = 40, LOCKS = 2000 };

static atomic_bool attack;
static atomic_long generation, inside, came_back;

static void *attacker(void *arg)
{
    uint64_t random = 4711;

    while (atomic_load(&attack)) {
        if (wf_sched_hold()) {
            wf_p_retake(wf_the_sched.ps[test_random(&random) % (unsigned)wf_the_sched.procs],
                        false);
            wf_sched_release();
        }
        struct timespec t = { .tv_nsec = test_random(&random) % 8 ? 0 : 30000 };
        nanosleep(&t, NULL);
    }
    return arg;
}

static void compute(long n)
{
    for (volatile long i = 0; i < n; i++)
        ;
}

/* In its own code until the runtime that it belongs to is one of the past. */
static void outlives(long mine)
{
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&generation) == mine)
        compute(200);
    compute(mine * 100);
}

static weft_mutex shared;
static long       locked; /* under shared */

/* A free mutex needs no P: they go on, while the next runtime is made and runs. */
static void locks(void)
{
    for (int i = 0; i < LOCKS; i++) {
        weft_mutex_lock(&shared);
        locked++;
        weft_mutex_unlock(&shared);
        compute(20);
    }
}

static void hog(void *arg)
{
    long mine = atomic_load(&generation);
    int  way = *(int *)arg;

    if (way % 2)
        weft_pin();
    if (way / 2 % 3 == 1)
        weft_block_enter();
    outlives(mine);
    if (way / 2 % 3 == 1)
        weft_block_leave();
    else if (way / 2 % 3 == 2)
        check_eq(weft_go(hog, arg, sizeof way), 1);
    else
        locks();
    weft_yield();
    atomic_fetch_add(&came_back, 1);
}

static void worker(void *arg)
{
    for (int i = 0; i < 50; i++) {
        compute(100);
        if (i % 3)
            weft_yield();
        else if (weft_sleep(10 * WEFT_US) != 0)
            break;
    }
    weft_waitgroup_done(arg);
}

static int generation_main(void *arg)
{
    weft_waitgroup all = { { 0 } };

    /* Those left behind lock without a P: then one P is no reason to lock by plain stores. */
    check_eq(wf_alone(), atomic_load(&generation) == 0);
    atomic_store(&inside, 0);
    weft_waitgroup_add(&all, WORKERS);
    for (int i = 0; i < HOGS; i++)
        check_eq(weft_go(hog, &i, sizeof i), 0);
    for (int i = 0; i < WORKERS; i++)
        check_eq(weft_go(worker, &all, 0), 0);
    while (atomic_load(&inside) < HOGS)
        check_eq(weft_sleep(100 * WEFT_US), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

int main(void)
{
    pthread_t thread;

    atomic_store(&attack, true);
    check_eq(pthread_create(&thread, NULL, attacker, NULL), 0);
    for (int i = 0; i < test_scaled(RUNTIMES); i++) {
        weft_options opt = { .procs = 1 + i % 4, .stop_ns = 1 };
        check_eq(weft_run(&opt, generation_main, NULL), 0);
        atomic_fetch_add(&generation, 1); /* the next runtime begins as they come back */
    }
    atomic_store(&attack, false);
    pthread_join(thread, NULL);
    check_eq(atomic_load(&came_back), 0);
    return 0;
}
