/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/floor_futex.c - what the kernel charges to wake a thread.
 *
 * Owns two floors: waking after a pause, each thread on a CPU of its own, and
 * waking by a thread that stays busy, placed as the kernel likes, which is the
 * floor of the wake row.  Must use nothing of weft.
 */
#include "busy.h"
#include "floor.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the waker pauses: both threads were off their CPUs ------------------- */

struct sleeper {
    atomic_uint     word;
    _Atomic int64_t woken_at;
    unsigned        rounds;
};

static long futex(atomic_uint *word, int op, unsigned value)
{
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void pin_to(int which)
{
    cpu_set_t all, one;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) <= which) {
        return; /* one CPU: both threads share it */
    }
    for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && seen++ == which) {
            CPU_SET(cpu, &one);
        }
    }
    sched_setaffinity(0, sizeof(one), &one);
}

static void *sleep_rounds(void *arg)
{
    struct sleeper *s = arg;

    pin_to(1);
    for (unsigned i = 0; i < s->rounds; i++) {
        while (atomic_load(&s->word) == i) {
            futex(&s->word, FUTEX_WAIT, i);
        }
        atomic_store(&s->woken_at, bench_now());
    }
    return NULL;
}

/* Wakes that found nobody asleep do not count; the median of the rest does. */
static void wake_rounds(struct sleeper *s, int64_t *waker, int64_t *reached, unsigned *n)
{
    for (unsigned i = 0; i < s->rounds; i++) {
        struct timespec pause = { 0, 200000 }; /* long enough to be asleep, and off its CPU */
        int64_t         t0, at;
        long            hit;

        nanosleep(&pause, NULL);
        t0 = bench_now();
        atomic_store(&s->word, i + 1);
        hit = futex(&s->word, FUTEX_WAKE, 1);
        waker[*n] = bench_now() - t0;
        while ((at = atomic_exchange(&s->woken_at, 0)) == 0) {
            sched_yield();
        }
        reached[*n] = at - t0;
        *n += hit == 1;
    }
}

void row_futex_wake(const bench_args *a)
{
    struct sleeper s = { 0, 0, (unsigned)(2000 / a->scale + 20) };
    int64_t       *waker = calloc(s.rounds, sizeof(*waker));
    int64_t       *reached = calloc(s.rounds, sizeof(*reached));
    unsigned       n = 0;
    pthread_t      t;

    if (waker == NULL || reached == NULL || pthread_create(&t, NULL, sleep_rounds, &s) != 0) {
        bench_die("cannot start a thread to wake");
    }
    pin_to(0);
    wake_rounds(&s, waker, reached, &n);
    pthread_join(t, NULL);
    if (n == 0) {
        bench_die("none of %u wakes found the thread asleep", s.rounds);
    }
    bench_print("futex_waker", (double)bench_median(waker, n), "ns");
    bench_print("futex_sleeper", (double)bench_median(reached, n), "ns");
    free(waker);
    free(reached);
}

/* ---- the waker stays busy: as the wake row, without a runtime ------------- */

struct answerer {
    atomic_uint     word; /* how many wakes were made; ALL_MADE: no more */
    atomic_long     answered;
    _Atomic int64_t sent;
    int64_t        *latency;
};

#define ALL_MADE UINT32_MAX

static void *answer(void *arg)
{
    struct answerer *w = arg;
    unsigned         made;

    for (unsigned i = 0;; i++) {
        while ((made = atomic_load(&w->word)) == i) {
            futex(&w->word, FUTEX_WAIT, i);
        }
        if (made == ALL_MADE) {
            return NULL;
        }
        w->latency[i] = bench_now() - atomic_load(&w->sent);
        atomic_store_explicit(&w->answered, (long)i + 1, memory_order_release);
    }
}

static long busy_rounds(struct answerer *w, long n, int64_t gap_ns)
{
    int64_t end = bench_now() + BENCH_WAKES_NS;
    long    i;

    for (i = 0; i < n && bench_now() < end; i++) {
        bench_busy(gap_ns, NULL);
        atomic_store(&w->sent, bench_now());
        atomic_store(&w->word, (unsigned)i + 1);
        futex(&w->word, FUTEX_WAKE, 1);
        while (atomic_load_explicit(&w->answered, memory_order_acquire) <= i) {
            bench_relax();
        }
    }
    atomic_store(&w->word, ALL_MADE);
    futex(&w->word, FUTEX_WAKE, 1);
    return i;
}

static void busy_run(const char *name, long n, int64_t gap_ns)
{
    struct answerer w = { 0, 0, 0, calloc((size_t)n, sizeof(int64_t)) };
    pthread_t       t;
    long            made;

    if (w.latency == NULL || pthread_create(&t, NULL, answer, &w) != 0) {
        bench_die("cannot start a thread to wake");
    }
    made = busy_rounds(&w, n, gap_ns);
    pthread_join(t, NULL);
    bench_expect("wakes answered", atomic_load(&w.answered), made);
    bench_print(name, (double)bench_median(w.latency, made) / 1e3, "us");
    free(w.latency);
}

void row_futex_busy(const bench_args *a)
{
    busy_run("futex_busy_3us", 20000 / a->scale + 10, 3000);
    busy_run("futex_busy_100us", 3000 / a->scale + 10, 100000);
    busy_run("futex_busy_1ms", 1000 / a->scale + 10, 1000000);
}
