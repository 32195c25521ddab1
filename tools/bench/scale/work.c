/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/scale/work.c - the workloads that need no network: a tree of starts, pairs that
 * pass a ball, a crowd at one mutex, sleepers.
 *
 * Each checks its own result.  Must never be tuned to a machine.
 */
#include "scale.h"

const workload workloads[] = {
    { "tree", tree_run, true, 27, 25 },            /* starts and joins */
    { "pairs", pairs_run, false, 100000, 400000 }, /* round trips over two channels */
    { "crowd", crowd_run, false, 50000, 500000 },  /* locks and unlocks */
    { "sleep", sleep_run, true, 40, 20000 },       /* sleeps */
    { "echo", echo_run, false, 4000, 8000 },       /* messages */
    { "churn", churn_run, false, 500, 500 },       /* connections */
};

const int n_workloads = sizeof workloads / sizeof workloads[0];

static void wait_all(weft_waitgroup *wg)
{
    must("weft_waitgroup_wait", weft_waitgroup_wait(wg, WEFT_FOREVER));
}

/* ---- tree: fib, a start and a join at each inner node ------------------------------- */

struct fib {
    int             n;
    int64_t         result;
    weft_waitgroup *wg;
};

static int64_t fib(int n);

static void fib_task(void *arg)
{
    struct fib *f = arg;
    f->result = fib(f->n);
    weft_waitgroup_done(f->wg);
}

static int64_t fib(int n)
{
    if (n < 2)
        return n;
    weft_waitgroup wg = { { 0 } };
    struct fib     left = { n - 1, 0, &wg };
    weft_waitgroup_add(&wg, 1);
    must("weft_go", weft_go(fib_task, &left, 0));
    int64_t right = fib(n - 2);
    wait_all(&wg);
    return left.result + right;
}

/* size: of which n; the inner nodes are one fewer than fib(n + 1). */
uint64_t tree_run(int procs, int size)
{
    (void)procs;
    int64_t a = 0, b = 1;
    for (int i = 0; i < size; i++) {
        int64_t sum = a + b;
        a = b;
        b = sum;
    }
    expect("fib", fib(size), a);
    return (uint64_t)b - 1;
}

/* ---- pairs: as many as Ps, each with two channels of its own ---------------------------- */

struct player {
    weft_chan      *in, *out;
    int             rounds;
    bool            serves;
    int64_t        *sum;
    weft_waitgroup *wg;
};

static void play(void *arg)
{
    struct player *p = arg;
    int64_t        ball = 0;
    if (p->serves)
        must("weft_chan_send", weft_chan_send(p->out, &ball));
    for (int i = 0; i < p->rounds; i++) {
        must("weft_chan_recv", weft_chan_recv(p->in, &ball));
        ball++;
        if (!p->serves || i + 1 < p->rounds)
            must("weft_chan_send", weft_chan_send(p->out, &ball));
    }
    if (p->serves)
        *p->sum = ball;
    weft_chan_unref(p->in);
    weft_waitgroup_done(p->wg);
}

uint64_t pairs_run(int procs, int size)
{
    weft_waitgroup wg = { { 0 } };
    int64_t       *sums = calloc((size_t)procs, sizeof *sums);
    if (!sums)
        die("no memory for %d pairs", procs);
    weft_waitgroup_add(&wg, 2 * procs);
    for (int i = 0; i < procs; i++) {
        weft_chan    *a = weft_chan_new(sizeof(int64_t), 0), *b = weft_chan_new(sizeof(int64_t), 0);
        struct player server = { a, b, size, true, &sums[i], &wg };
        struct player other = { b, a, size, false, NULL, &wg };
        if (!a || !b)
            die("no memory for %d pairs", procs);
        must("weft_go", weft_go(play, &server, sizeof server));
        must("weft_go", weft_go(play, &other, sizeof other));
    }
    wait_all(&wg);
    for (int i = 0; i < procs; i++)
        expect("hits of a ball", sums[i], 2 * (int64_t)size);
    free(sums);
    return (uint64_t)procs * (uint64_t)size;
}

/* ---- crowd: some coroutines a P want one mutex ------------------------------------------- */

enum { CROWD = 8 };

struct guarded {
    weft_mutex     m;
    weft_waitgroup wg;
    int            rounds;
    int64_t        n; /* under m */
};

static void want(void *arg)
{
    struct guarded *g = arg;
    for (int i = 0; i < g->rounds; i++) {
        weft_mutex_lock(&g->m);
        g->n++;
        weft_mutex_unlock(&g->m);
    }
    weft_waitgroup_done(&g->wg);
}

uint64_t crowd_run(int procs, int size)
{
    struct guarded g = { .rounds = size };
    weft_waitgroup_add(&g.wg, CROWD * procs);
    for (int i = 0; i < CROWD * procs; i++)
        must("weft_go", weft_go(want, &g, 0));
    wait_all(&g.wg);
    expect("the count under the lock", g.n, (int64_t)CROWD * procs * size);
    return (uint64_t)g.n;
}

/* ---- sleep: some coroutines a P sleep ten times, each for 1 to 10 ms ------------------------ */

enum { NAPS = 10 };

struct sleeper {
    int             i;
    int64_t        *woken;
    weft_waitgroup *wg;
};

static void doze(void *arg)
{
    struct sleeper *s = arg;
    for (int i = 0; i < NAPS; i++) {
        must("weft_sleep", weft_sleep((1 + (s->i * 7 + i * 3) % NAPS) * WEFT_MS));
        s->woken[s->i]++;
    }
    weft_waitgroup_done(s->wg);
}

/* size: sleepers a P */
uint64_t sleep_run(int procs, int size)
{
    int            n = procs * size;
    weft_waitgroup wg = { { 0 } };
    int64_t       *woken = calloc((size_t)n, sizeof *woken), sum = 0;
    if (!woken)
        die("no memory for %d sleepers", n);
    weft_waitgroup_add(&wg, n);
    for (int i = 0; i < n; i++) {
        struct sleeper s = { i, woken, &wg };
        must("weft_go", weft_go(doze, &s, sizeof s));
    }
    wait_all(&wg);
    for (int i = 0; i < n; i++)
        sum += woken[i];
    expect("sleeps", sum, (int64_t)n * NAPS);
    free(woken);
    return (uint64_t)sum;
}
