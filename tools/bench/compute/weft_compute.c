/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_compute.c - the compute rows on weft.
 *
 * Owns weft's side of each row; compute/go/main.go is the same work in Go, row
 * by row, and must stay so: same counts, same shape, each written as an expert
 * in its language would.  Every row checks its own result and ends the process
 * with status 1 when it is wrong.  Must never be tuned to a machine.
 */
#include "weft_rows.h"

#include <stdatomic.h>

/* ---- yield: two coroutines take turns ----------------------------------- */

struct yielder {
    weft_waitgroup *wg;
    long            n;
    long           *done; /* where to report how many were made */
};

static void yield_task(void *arg)
{
    struct yielder *y = arg;
    long            i;

    for (i = 0; i < y->n; i++) {
        weft_yield();
    }
    *y->done = i;
    weft_waitgroup_done(y->wg);
}

static int64_t yield_pair(long n)
{
    weft_waitgroup wg = { { 0 } };
    long           done[2] = { 0, 0 };
    int64_t        t0 = bench_now();

    weft_waitgroup_add(&wg, 2);
    for (int i = 0; i < 2; i++) {
        struct yielder y = { &wg, n, &done[i] };
        must("weft_go", weft_go(yield_task, &y, sizeof(y)));
    }
    wait_all(&wg);
    bench_expect("yields made", done[0] + done[1], 2 * n);
    return bench_now() - t0;
}

static void row_yield(const bench_args *a)
{
    long n = 2000000 / a->scale;

    yield_pair(n / 10 + 1);
    bench_print("yield", (double)yield_pair(n) / (double)(2 * n), "ns");
}

/* ---- start and join, one at a time -------------------------------------- */

struct counter {
    weft_waitgroup wg;
    long           n; /* written by one coroutine at a time: the join orders them */
};

static void count_task(void *arg)
{
    struct counter *c = arg;

    c->n++;
    weft_waitgroup_done(&c->wg);
}

static int64_t start_join(long n)
{
    struct counter c = { { { 0 } }, 0 };
    int64_t        t0 = bench_now();

    for (long i = 0; i < n; i++) {
        weft_waitgroup_add(&c.wg, 1);
        must("weft_go", weft_go(count_task, &c, 0));
        wait_all(&c.wg);
    }
    bench_expect("coroutines run", c.n, n);
    return bench_now() - t0;
}

static void row_start_join(const bench_args *a)
{
    long n = 1000000 / a->scale;

    start_join(n / 10 + 1);
    bench_print("start_join", (double)start_join(n) / (double)n, "ns");
}

/* The same through a group, which also carries each member's error. */
static int group_task(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static int64_t group_join(long n)
{
    weft_group g = WEFT_GROUP_INIT;
    long       ran = 0;
    int64_t    t0 = bench_now();

    for (long i = 0; i < n; i++) {
        int first = 0;

        must("weft_group_go", weft_group_go(&g, group_task, &ran, 0));
        must("weft_group_wait", weft_group_wait(&g, WEFT_FOREVER, &first));
        must("a member of the group", first);
    }
    bench_expect("members run", ran, n);
    return bench_now() - t0;
}

static void row_group_join(const bench_args *a)
{
    long n = 1000000 / a->scale;

    group_join(n / 10 + 1);
    bench_print("group_join", (double)group_join(n) / (double)n, "ns");
}

/* ---- start 1,000 at a time ---------------------------------------------- */

struct batch {
    weft_waitgroup wg;
    atomic_long    n; /* on the line that done() has just taken */
};

static void batch_task(void *arg)
{
    struct batch *b = arg;

    atomic_fetch_add_explicit(&b->n, 1, memory_order_relaxed);
    weft_waitgroup_done(&b->wg);
}

static int64_t start_batches(long batches, long size)
{
    struct batch b;
    int64_t      t0 = bench_now();

    memset(&b, 0, sizeof(b));
    for (long i = 0; i < batches; i++) {
        weft_waitgroup_add(&b.wg, size);
        for (long k = 0; k < size; k++) {
            must("weft_go", weft_go(batch_task, &b, 0));
        }
        wait_all(&b.wg);
    }
    bench_expect("coroutines run", atomic_load(&b.n), batches * size);
    return bench_now() - t0;
}

static void row_start_1000(const bench_args *a)
{
    long batches = 1000 / a->scale + 1;

    start_batches(batches / 10 + 1, 1000);
    bench_print("start_1000", (double)start_batches(batches, 1000) / (double)(batches * 1000),
                "ns");
}

/* ---- fib: a start and a join at each inner node ------------------------- */

struct fib_node {
    weft_waitgroup wg;
    long           value;
    int            n, cut;
};

static long fib_sequential(int n)
{
    return n < 2 ? n : fib_sequential(n - 1) + fib_sequential(n - 2);
}

static long fib(int n, int cut);

static void fib_task(void *arg)
{
    struct fib_node *f = arg;

    f->value = fib(f->n, f->cut);
    weft_waitgroup_done(&f->wg);
}

/* One child in a coroutine of its own, the other inline. */
static long fib(int n, int cut)
{
    struct fib_node f = { { { 0 } }, 0, n - 1, cut };
    long            other;

    if (n < cut) {
        return fib_sequential(n);
    }
    weft_waitgroup_add(&f.wg, 1);
    must("weft_go", weft_go(fib_task, &f, 0));
    other = fib(n - 2, cut);
    wait_all(&f.wg);
    return f.value + other;
}

static void run_fib(const char *row, int n, int cut)
{
    int64_t t0;
    long    got;

    fib(n - 7 > cut ? n - 7 : n, cut);
    t0 = bench_now();
    got = fib(n, cut);
    bench_print(row, (double)(bench_now() - t0) / 1e6, "ms");
    bench_expect(row, got, fib_sequential(n));
}

static void row_fib27(const bench_args *a)
{
    run_fib("fib27", a->scale > 1 ? 15 : 27, 2);
}

static void row_fib38(const bench_args *a)
{
    run_fib("fib38", a->scale > 1 ? 26 : 38, 22);
}

/* ---- one million parked ------------------------------------------------- */

struct crowd {
    weft_waitgroup gate, started, ended;
    atomic_long    n;
};

static void crowd_task(void *arg)
{
    struct crowd *c = arg;

    weft_waitgroup_done(&c->started);
    wait_all(&c->gate);
    atomic_fetch_add_explicit(&c->n, 1, memory_order_relaxed);
    weft_waitgroup_done(&c->ended);
}

static void row_parked(const bench_args *a)
{
    struct crowd c;
    long         n = a->parked;
    int64_t      rss = bench_status_bytes("VmRSS"), pte = bench_status_bytes("VmPTE");
    int64_t      t0 = bench_now(), parked;

    memset(&c, 0, sizeof(c));
    weft_waitgroup_add(&c.gate, 1);
    weft_waitgroup_add(&c.started, n);
    weft_waitgroup_add(&c.ended, n);
    for (long i = 0; i < n; i++) {
        must("weft_go", weft_go(crowd_task, &c, 0));
    }
    wait_all(&c.started);
    parked = bench_now() - t0;
    rss = bench_status_bytes("VmRSS") - rss;
    pte = bench_status_bytes("VmPTE") - pte;

    t0 = bench_now();
    weft_waitgroup_done(&c.gate);
    wait_all(&c.ended);
    bench_print("start_park", (double)parked / (double)n, "ns");
    bench_print("wake_end", (double)(bench_now() - t0) / (double)n, "ns");
    bench_print("parked_rss", (double)rss / (double)n, "bytes");
    bench_print("parked_pte", (double)pte / (double)n, "bytes");
    bench_print("parked_all", (double)(rss + pte) / (double)n, "bytes");
    bench_expect("coroutines woken", atomic_load(&c.n), n);
}

/* ---- hello: the first line of the first coroutine ------------------------ */

static void row_hello(const bench_args *a)
{
    (void)a;
    bench_print("hello", 0, "us");
}

/* ---- the command line --------------------------------------------------- */

static const bench_row rows[] = {
    { "hello", row_hello },
    { "yield", row_yield },
    { "start_join", row_start_join },
    { "group_join", row_group_join },
    { "start_1000", row_start_1000 },
    { "fib27", row_fib27 },
    { "fib38", row_fib38 },
    { "pingpong", row_pingpong },
    { "chan128", row_chan128 },
    { "select4", row_select4 },
    { "mutex", row_mutex },
    { "mutex100", row_mutex100 },
    { "skynet", row_skynet },
    { "sleeps", row_sleeps },
    { "sleepers", row_sleepers },
    { "timer", row_timer },
    { "wake", row_wake },
    { "parked", row_parked },
    { "readers", row_readers },
};

static int in_weft(void *arg)
{
    const bench_args *a = arg;
    weft_stats        st;

    bench_expect("Ps", weft_procs(), a->procs);
    bench_find(rows, sizeof(rows) / sizeof(rows[0]), a->row)->run(a);
    weft_stats_read(&st);
    fprintf(stderr,
            "stats: started %llu switches %llu steals %llu stolen %llu parks %llu "
            "wakes %llu handoffs %llu threads %llu\n",
            (unsigned long long)st.started, (unsigned long long)st.switches,
            (unsigned long long)st.steals, (unsigned long long)st.stolen,
            (unsigned long long)st.parks, (unsigned long long)st.wakes,
            (unsigned long long)st.handoffs, (unsigned long long)st.threads);
    return 0;
}

int main(int argc, char **argv)
{
    bench_args   a = bench_parse(argc, argv);
    weft_options opt;

    memset(&opt, 0, sizeof(opt));
    opt.procs = a.procs;
    must("weft_run", weft_run(&opt, in_weft, &a));
    return 0;
}
