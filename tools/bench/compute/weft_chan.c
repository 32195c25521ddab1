/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_chan.c - channels and select on weft.
 *
 * Owns weft's side of pingpong, chan128, select4 and skynet; compute/go/chan.go
 * is the same work in Go, and must stay so.  Every row checks its own result.
 * Must never be tuned to a machine.
 */
#include "weft_rows.h"

static weft_chan *new_chan(size_t elem_size, size_t capacity)
{
    weft_chan *c = weft_chan_new(elem_size, capacity);

    if (c == NULL) {
        bench_die("weft_chan_new: no memory");
    }
    return c;
}

static void send_long(weft_chan *c, long v)
{
    must("weft_chan_send", weft_chan_send(c, &v));
}

static long recv_long(weft_chan *c)
{
    long v = 0;

    must("weft_chan_recv", weft_chan_recv(c, &v));
    return v;
}

/* ---- pingpong: two coroutines, two unbuffered channels, a round trip ---- */

struct player {
    weft_chan      *there, *back;
    weft_waitgroup *wg;
    long            n;
    long           *sum; /* of what came back */
};

static void serve_task(void *arg)
{
    struct player *p = arg;
    long           sum = 0;

    for (long i = 0; i < p->n; i++) {
        send_long(p->there, i);
        sum += recv_long(p->back);
    }
    *p->sum = sum;
    weft_waitgroup_done(p->wg);
}

static void return_task(void *arg)
{
    struct player *p = arg;

    for (long i = 0; i < p->n; i++) {
        send_long(p->back, recv_long(p->there) + 1);
    }
    weft_waitgroup_done(p->wg);
}

static int64_t pingpong(long n)
{
    weft_waitgroup wg = { { 0 } };
    long           sum = 0;
    struct player  p = { new_chan(sizeof(long), 0), new_chan(sizeof(long), 0), &wg, n, &sum };
    int64_t        t0 = bench_now();

    weft_waitgroup_add(&wg, 2);
    must("weft_go", weft_go(serve_task, &p, 0));
    must("weft_go", weft_go(return_task, &p, 0));
    wait_all(&wg);
    t0 = bench_now() - t0;
    bench_expect("the sum of what came back", sum, n * (n + 1) / 2);
    weft_chan_unref(p.there);
    weft_chan_unref(p.back);
    return t0;
}

void row_pingpong(const bench_args *a)
{
    long n = 1000000 / a->scale;

    pingpong(n / 10 + 1);
    bench_print("pingpong", (double)pingpong(n) / (double)n, "ns");
}

/* ---- chan128: one producer, one consumer, 128 elements of room ---------- */

struct stream {
    weft_chan     *c;
    weft_waitgroup wg;
    long           n, sum;
};

static void produce_task(void *arg)
{
    struct stream *s = arg;

    for (long i = 1; i <= s->n; i++) {
        send_long(s->c, i);
    }
    weft_chan_close(s->c);
    weft_waitgroup_done(&s->wg);
}

static void consume_task(void *arg)
{
    struct stream *s = arg;
    long           v, sum = 0;

    while (weft_chan_recv(s->c, &v) == 0) {
        sum += v;
    }
    s->sum = sum;
    weft_waitgroup_done(&s->wg);
}

static int64_t stream(long n)
{
    struct stream s = { new_chan(sizeof(long), 128), { { 0 } }, n, 0 };
    int64_t       t0 = bench_now();

    weft_waitgroup_add(&s.wg, 2);
    must("weft_go", weft_go(produce_task, &s, 0));
    must("weft_go", weft_go(consume_task, &s, 0));
    wait_all(&s.wg);
    t0 = bench_now() - t0;
    bench_expect("the sum of the elements", s.sum, n * (n + 1) / 2);
    weft_chan_unref(s.c);
    return t0;
}

void row_chan128(const bench_args *a)
{
    long n = 10000000 / a->scale;

    stream(n / 10 + 1);
    bench_print("chan128", (double)stream(n) / (double)n, "ns");
}

/* ---- select4: one consumer selects over the channels of four producers -- */

enum { WAYS = 4 };

struct fan {
    weft_chan     *c[WAYS];
    weft_waitgroup wg;
    long           n; /* elements of each producer */
    long           sum;
};

struct spoke {
    struct fan *f;
    int         way;
};

static void spoke_task(void *arg)
{
    struct spoke *s = arg;

    for (long i = 1; i <= s->f->n; i++) {
        send_long(s->f->c[s->way], i);
    }
    weft_waitgroup_done(&s->f->wg);
}

static void select_task(void *arg)
{
    struct fan *f = arg;
    long        v[WAYS], sum = 0;
    weft_case   cases[WAYS];

    for (int k = 0; k < WAYS; k++) {
        cases[k] = (weft_case){ f->c[k], &v[k], NULL, false };
    }
    for (long i = 0; i < WAYS * f->n; i++) {
        int k = weft_select(cases, WAYS, WEFT_FOREVER);
        must("weft_select", k);
        sum += v[k];
    }
    f->sum = sum;
    weft_waitgroup_done(&f->wg);
}

static int64_t select_fan(long n)
{
    struct fan f = { { 0 }, { { 0 } }, n, 0 };
    int64_t    t0;

    for (int k = 0; k < WAYS; k++) {
        f.c[k] = new_chan(sizeof(long), 0);
    }
    t0 = bench_now();
    weft_waitgroup_add(&f.wg, WAYS + 1);
    must("weft_go", weft_go(select_task, &f, 0));
    for (int k = 0; k < WAYS; k++) {
        struct spoke s = { &f, k };
        must("weft_go", weft_go(spoke_task, &s, sizeof(s)));
    }
    wait_all(&f.wg);
    t0 = bench_now() - t0;
    bench_expect("the sum of the elements", f.sum, WAYS * (n * (n + 1) / 2));
    for (int k = 0; k < WAYS; k++) {
        weft_chan_unref(f.c[k]);
    }
    return t0;
}

void row_select4(const bench_args *a)
{
    long n = 500000 / a->scale;

    select_fan(n / 10 + 1);
    bench_print("select4", (double)select_fan(n) / (double)(WAYS * n), "ns");
}

/* ---- skynet: a tree of coroutines, each sums its ten children ----------- */

enum { CHILDREN = 10 };

struct node {
    weft_chan *parent;
    long       first, leaves; /* the numbers below it: first .. first + leaves - 1 */
};

/* A child uses its parent's channel no more once its number was received. */
static void node_task(void *arg)
{
    struct node *s = arg;
    weft_chan   *mine;
    long         sum = 0;

    if (s->leaves == 1) {
        send_long(s->parent, s->first);
        return;
    }
    mine = new_chan(sizeof(long), 0);
    for (int i = 0; i < CHILDREN; i++) {
        long        share = s->leaves / CHILDREN;
        struct node child = { mine, s->first + i * share, share };
        must("weft_go", weft_go(node_task, &child, sizeof(child)));
    }
    for (int i = 0; i < CHILDREN; i++) {
        sum += recv_long(mine);
    }
    weft_chan_unref(mine);
    send_long(s->parent, sum);
}

static int64_t skynet(long leaves)
{
    weft_chan  *c = new_chan(sizeof(long), 0);
    struct node root = { c, 0, leaves };
    int64_t     t0 = bench_now();

    must("weft_go", weft_go(node_task, &root, sizeof(root)));
    bench_expect("the sum of the leaves", recv_long(c), leaves * (leaves - 1) / 2);
    weft_chan_unref(c);
    return bench_now() - t0;
}

void row_skynet(const bench_args *a)
{
    skynet(1000);
    bench_print("skynet", (double)skynet(a->scale > 1 ? 1000 : 1000000) / 1e6, "ms");
}
