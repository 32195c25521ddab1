/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/busy.h - how the wake rows pass the time between two wakes.
 *
 * Owns the waker's busy spell and the count of what other threads burn during it.
 * Must never block: the waker keeps its CPU.
 */
#ifndef WEFT_BENCH_BUSY_H
#define WEFT_BENCH_BUSY_H

#include "bench.h"

#define BENCH_WAKES_NS (INT64_C(5) * 1000000000) /* no more wakes after this long */

/* CPU time of the other threads while this one was busy, over that time. */
struct bench_burn {
    int64_t others_ns, busy_ns;
};

static inline void bench_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static inline int64_t bench_cpu(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* burn may be NULL: then nobody asks, and the two clocks are not read. */
static inline void bench_busy(int64_t ns, struct bench_burn *burn)
{
    int64_t t0 = bench_now(), others = 0;

    if (burn != NULL) {
        others = bench_cpu(CLOCK_PROCESS_CPUTIME_ID) - bench_cpu(CLOCK_THREAD_CPUTIME_ID);
    }
    while (bench_now() - t0 < ns) {
        bench_relax();
    }
    if (burn != NULL) {
        burn->others_ns +=
            bench_cpu(CLOCK_PROCESS_CPUTIME_ID) - bench_cpu(CLOCK_THREAD_CPUTIME_ID) - others;
        burn->busy_ns += bench_now() - t0;
    }
}

/* us a ms */
static inline double bench_burned(const struct bench_burn *b)
{
    return b->busy_ns > 0 ? (double)b->others_ns * 1e3 / (double)b->busy_ns : 0;
}

#endif
