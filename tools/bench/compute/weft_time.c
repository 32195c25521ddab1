/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_time.c - sleeps and timers on weft.
 *
 * Owns weft's side of sleeps, sleepers and timer; compute/go/time.go is the same
 * work in Go, nap by nap, and must stay so.  No sleep may end early.  Must never
 * be tuned to a machine.
 */
#include "weft_rows.h"

#include <stdatomic.h>
#include <sys/resource.h>

enum { NAPS = 10 };

/* The k-th nap of sleeper i, 1 to 20 ms: scattered, and the same in each run and language. */
static int64_t nap_of(long i, int k)
{
    uint64_t x = (uint64_t)(i * NAPS + k + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return WEFT_MS + (int64_t)((x ^ (x >> 31)) % (uint64_t)(19 * WEFT_MS + 1));
}

/* How long the unluckiest of n sleepers would take if every nap ended on time. */
static int64_t ideal_of(long n)
{
    int64_t longest = 0;

    for (long i = 0; i < n; i++) {
        int64_t sum = 0;
        for (int k = 0; k < NAPS; k++) {
            sum += nap_of(i, k);
        }
        longest = sum > longest ? sum : longest;
    }
    return longest;
}

static double cpu_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* ---- sleeps: very many at once, how long until all are through ---------- */

struct dormitory {
    weft_waitgroup wg;
    atomic_long    naps;
    int64_t       *late; /* of each nap, by sleeper; NULL: nobody asks */
};

struct bed {
    struct dormitory *d;
    long              i;
};

static void sleep_task(void *arg)
{
    struct bed *b = arg;

    for (int k = 0; k < NAPS; k++) {
        must("weft_sleep", weft_sleep(nap_of(b->i, k)));
    }
    atomic_fetch_add_explicit(&b->d->naps, NAPS, memory_order_relaxed);
    weft_waitgroup_done(&b->d->wg);
}

static void timed_sleep_task(void *arg)
{
    struct bed *b = arg;

    for (int k = 0; k < NAPS; k++) {
        int64_t nap = nap_of(b->i, k), t0 = bench_now(), late;

        must("weft_sleep", weft_sleep(nap));
        late = bench_now() - t0 - nap;
        if (late < 0) {
            bench_die("a sleep of %lld ns ended %lld ns early", (long long)nap, (long long)-late);
        }
        b->d->late[b->i * NAPS + k] = late;
    }
    atomic_fetch_add_explicit(&b->d->naps, NAPS, memory_order_relaxed);
    weft_waitgroup_done(&b->d->wg);
}

static int64_t all_sleep(struct dormitory *d, void (*task)(void *arg), long n)
{
    int64_t t0 = bench_now();

    weft_waitgroup_add(&d->wg, n);
    for (long i = 0; i < n; i++) {
        struct bed b = { d, i };
        must("weft_go", weft_go(task, &b, sizeof(b)));
    }
    wait_all(&d->wg);
    t0 = bench_now() - t0;
    bench_expect("naps taken", atomic_load(&d->naps), NAPS * n);
    return t0;
}

void row_sleeps(const bench_args *a)
{
    struct dormitory d = { { { 0 } }, 0, NULL };
    long             n = 100000 / a->scale;
    int64_t          ideal = ideal_of(n), took = all_sleep(&d, sleep_task, n);

    if (took < ideal) {
        bench_die("all were through after %lld ns, before the %lld ns that one had to sleep",
                  (long long)took, (long long)ideal);
    }
    bench_print("sleeps", (double)took / 1e6, "ms");
    bench_print("sleeps_ideal", (double)ideal / 1e6, "ms");
}

/* ---- sleepers: how late each nap ends, and what the CPU pays ------------- */

void row_sleepers(const bench_args *a)
{
    long             n = 10000 / a->scale;
    struct dormitory d = { { { 0 } }, 0, calloc((size_t)(n * NAPS), sizeof(int64_t)) };
    double           cpu = cpu_ms();

    if (d.late == NULL) {
        bench_die("no memory for %ld figures", n * NAPS);
    }
    all_sleep(&d, timed_sleep_task, n);
    cpu = cpu_ms() - cpu;
    bench_print("sleepers_late", (double)bench_median(d.late, n * NAPS) / 1e3, "us");
    bench_print("sleepers_cpu", cpu, "ms");
    free(d.late);
}

/* ---- timer: one is started and stopped before it fires ------------------ */

static int64_t start_stop(long n)
{
    long    stopped = 0;
    int64_t t0 = bench_now();

    for (long i = 0; i < n; i++) {
        weft_timer *t = weft_timer_new(weft_after(3600 * WEFT_S), 0);
        if (t == NULL) {
            bench_die("weft_timer_new: no memory");
        }
        stopped += weft_timer_stop(t);
        weft_timer_free(t);
    }
    t0 = bench_now() - t0;
    bench_expect("timers stopped before they fired", stopped, n);
    return t0;
}

void row_timer(const bench_args *a)
{
    long n = 2000000 / a->scale;

    start_stop(n / 10 + 1);
    bench_print("timer", (double)start_stop(n) / (double)n, "ns");
}
