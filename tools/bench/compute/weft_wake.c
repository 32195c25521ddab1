/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_wake.c - a parked coroutine, woken by one that stays busy.
 *
 * Owns weft's side of wake; compute/go/wake.go is the same in Go, and
 * compute/floor_futex.c with two bare threads.  The waker never gives its P away,
 * so the other P, idle until then, has to fetch the woken one.  Must never let
 * the waker park: then its own P would run the woken one.
 */
#include "busy.h"
#include "weft_rows.h"

#include <stdatomic.h>

struct alarm {
    weft_chan     *c; /* of int64_t: when it was sent; room for one */
    weft_waitgroup wg;
    atomic_long    answered;
    int64_t       *latency;
};

static void woken_task(void *arg)
{
    struct alarm *w = arg;
    int64_t       sent;

    for (long i = 0; weft_chan_recv(w->c, &sent) == 0; i++) {
        w->latency[i] = bench_now() - sent;
        atomic_store_explicit(&w->answered, i + 1, memory_order_release);
    }
    weft_waitgroup_done(&w->wg);
}

/* How many were made: n, fewer if they take too long. */
static long wake_rounds(struct alarm *w, long n, int64_t gap_ns, struct bench_burn *burn)
{
    int64_t end = bench_now() + BENCH_WAKES_NS;
    long    i;

    for (i = 0; i < n && bench_now() < end; i++) {
        int64_t sent;

        bench_busy(gap_ns, burn);
        sent = bench_now();
        must("weft_chan_send", weft_chan_send(w->c, &sent));
        while (atomic_load_explicit(&w->answered, memory_order_acquire) <= i) {
            bench_relax();
        }
    }
    return i;
}

static void wake_run(const char *name, const char *burn_name, long n, int64_t gap_ns)
{
    struct alarm w = {
        weft_chan_new(sizeof(int64_t), 1), { { 0 } }, 0, calloc((size_t)n, sizeof(int64_t))
    };
    struct bench_burn burn = { 0, 0 };
    long              made;

    if (w.c == NULL || w.latency == NULL) {
        bench_die("no memory for %ld wakes", n);
    }
    weft_waitgroup_add(&w.wg, 1);
    must("weft_go", weft_go(woken_task, &w, 0));
    made = wake_rounds(&w, n, gap_ns, burn_name != NULL ? &burn : NULL);
    weft_chan_close(w.c);
    wait_all(&w.wg);
    bench_expect("wakes answered", atomic_load(&w.answered), made);
    bench_print(name, (double)bench_median(w.latency, made) / 1e3, "us");
    if (burn_name != NULL) {
        bench_print(burn_name, bench_burned(&burn), "us");
    }
    weft_chan_unref(w.c);
    free(w.latency);
}

void row_wake(const bench_args *a)
{
    if (a->procs < 2) {
        bench_die("wake: the waker keeps its P, so give --procs 2");
    }
    wake_run("wake_3us", NULL, 20000 / a->scale + 10, 3000);
    wake_run("wake_100us", NULL, 3000 / a->scale + 10, 100000);
    wake_run("wake_1ms", "wake_1ms_burn", 1000 / a->scale + 10, 1000000);
}
