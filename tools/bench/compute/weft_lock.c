/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_lock.c - the mutex on weft.
 *
 * Owns weft's side of mutex and mutex100; compute/go/lock.go is the same work in
 * Go, and must stay so.  Both count under the lock and check the count, so a lock
 * that lets two in fails.  Must never be tuned to a machine.
 */
#include "weft_rows.h"

struct guarded {
    weft_mutex     m;
    weft_waitgroup wg;
    long           rounds; /* of each coroutine */
    long           n;      /* under m */
};

static void count_under_lock(struct guarded *g)
{
    for (long i = 0; i < g->rounds; i++) {
        weft_mutex_lock(&g->m);
        g->n++;
        weft_mutex_unlock(&g->m);
    }
}

/* ---- uncontended: one coroutine locks and unlocks ----------------------- */

static int64_t lock_alone(long n)
{
    struct guarded g = { .rounds = n };
    int64_t        t0 = bench_now();

    count_under_lock(&g);
    t0 = bench_now() - t0;
    bench_expect("the count under the lock", g.n, n);
    return t0;
}

void row_mutex(const bench_args *a)
{
    long n = 20000000 / a->scale;

    lock_alone(n / 10 + 1);
    bench_print("mutex", (double)lock_alone(n) / (double)n, "ns");
}

/* ---- 100 coroutines want the same one ----------------------------------- */

enum { CROWD = 100 };

static void crowd_task(void *arg)
{
    struct guarded *g = arg;

    count_under_lock(g);
    weft_waitgroup_done(&g->wg);
}

static int64_t lock_crowd(long rounds)
{
    struct guarded g = { .rounds = rounds };
    int64_t        t0 = bench_now();

    weft_waitgroup_add(&g.wg, CROWD);
    for (int i = 0; i < CROWD; i++) {
        must("weft_go", weft_go(crowd_task, &g, 0));
    }
    wait_all(&g.wg);
    t0 = bench_now() - t0;
    bench_expect("the count under the lock", g.n, CROWD * rounds);
    return t0;
}

void row_mutex100(const bench_args *a)
{
    long rounds = 50000 / a->scale;

    lock_crowd(rounds / 10 + 1);
    bench_print("mutex100", (double)lock_crowd(rounds) / (double)(CROWD * rounds), "ns");
}
