/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters/ops.c - each operation of weft many times over, for callgrind to count.
 *
 * Owns the operations and how often each is done; run.sh divides what weft itself executed by it.
 * Runs on one P, so that the same work is done in the same order each time.  Must do nothing
 * between the two marks whose amount depends on how fast the machine is: the sleepers wake by the
 * hundred, at instants so far apart that all of them are asleep by then.
 *
 *   ops        under callgrind: "name count" a line, and a dump of counts for each
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>
#include <weft.h>

enum { BATCH = 1000, ROOM = 128, WAYS = 4, NAPS = 10, BYTES = 64 };

#define NAP_NS (60 * WEFT_MS)

static void must(const char *what, int64_t err)
{
    if (err < 0) {
        fprintf(stderr, "ops: %s: %s\n", what, strerror((int)-err));
        exit(1);
    }
}

static void check(const char *what, int64_t got, int64_t want)
{
    if (got != want) {
        fprintf(stderr, "ops: %s: got %lld, want %lld\n", what, (long long)got, (long long)want);
        exit(1);
    }
}

static weft_chan *new_chan(size_t capacity)
{
    weft_chan *c = weft_chan_new(sizeof(long), capacity);

    must("weft_chan_new", c == NULL ? -ENOMEM : 0);
    return c;
}

static void join(weft_waitgroup *wg)
{
    must("weft_waitgroup_wait", weft_waitgroup_wait(wg, WEFT_FOREVER));
}

/* A coroutine that does its part n times; its partner is whoever called. */
struct part {
    weft_waitgroup wg;
    weft_chan     *there, *back, *ways[WAYS];
    weft_conn      conn;
    weft_time      start;
    long           n, sum;
};

static void begin(struct part *p, void (*fn)(void *arg))
{
    weft_waitgroup_add(&p->wg, 1);
    must("weft_go", weft_go(fn, p, 0));
}

/* ---- coroutines ---------------------------------------------------------- */

static void yields(void *arg)
{
    struct part *p = arg;

    for (long i = 0; i < p->n; i++) {
        weft_yield();
    }
    weft_waitgroup_done(&p->wg);
}

static void op_yield(long n)
{
    struct part p = { .n = n / 2 };

    begin(&p, yields);
    begin(&p, yields);
    join(&p.wg);
}

static void ends(void *arg)
{
    struct part *p = arg;

    p->sum++;
    weft_waitgroup_done(&p->wg);
}

static void op_start_join(long n)
{
    struct part p = { .n = n };

    for (long i = 0; i < n; i++) {
        begin(&p, ends);
        join(&p.wg);
    }
    check("coroutines run", p.sum, n);
}

static void op_start_batch(long n)
{
    struct part p = { .n = n };

    for (long i = 0; i < n; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            begin(&p, ends);
        }
        join(&p.wg);
    }
    check("coroutines run", p.sum, n);
}

static int member(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static void op_group(long n)
{
    weft_group g = WEFT_GROUP_INIT;
    long       ran = 0;

    for (long i = 0; i < n; i++) {
        must("weft_group_go", weft_group_go(&g, member, &ran, 0));
        must("weft_group_wait", weft_group_wait(&g, WEFT_FOREVER, NULL));
    }
    check("members run", ran, n);
}

static void op_waitgroup(long n)
{
    weft_waitgroup wg = { { 0 } };

    for (long i = 0; i < n; i++) {
        weft_waitgroup_add(&wg, 1);
        weft_waitgroup_done(&wg);
        join(&wg);
    }
}

/* ---- channels ------------------------------------------------------------ */

static void returns(void *arg)
{
    struct part *p = arg;
    long         v;

    for (long i = 0; i < p->n; i++) {
        must("weft_chan_recv", weft_chan_recv(p->there, &v));
        v++;
        must("weft_chan_send", weft_chan_send(p->back, &v));
    }
    weft_waitgroup_done(&p->wg);
}

static void op_pingpong(long n)
{
    struct part p = { .n = n, .there = new_chan(0), .back = new_chan(0) };
    long        v;

    begin(&p, returns);
    for (long i = 0; i < n; i++) {
        must("weft_chan_send", weft_chan_send(p.there, &i));
        must("weft_chan_recv", weft_chan_recv(p.back, &v));
        p.sum += v - i;
    }
    join(&p.wg);
    check("round trips", p.sum, n);
    weft_chan_unref(p.there);
    weft_chan_unref(p.back);
}

static void produces(void *arg)
{
    struct part *p = arg;

    for (long i = 0; i < p->n; i++) {
        must("weft_chan_send", weft_chan_send(p->there, &i));
    }
    weft_waitgroup_done(&p->wg);
}

static void op_chan128(long n)
{
    struct part p = { .n = n, .there = new_chan(ROOM) };
    long        v;

    begin(&p, produces);
    for (long i = 0; i < n; i++) {
        must("weft_chan_recv", weft_chan_recv(p.there, &v));
        p.sum += v;
    }
    join(&p.wg);
    check("the sum of the elements", p.sum, n * (n - 1) / 2);
    weft_chan_unref(p.there);
}

/* One coroutine sends on the four channels in turn, so that the order is the same each time. */
static void deals(void *arg)
{
    struct part *p = arg;

    for (long i = 0; i < p->n; i++) {
        must("weft_chan_send", weft_chan_send(p->ways[i % WAYS], &i));
    }
    weft_waitgroup_done(&p->wg);
}

static void op_select4(long n)
{
    struct part p = { .n = n };
    weft_case   cases[WAYS];
    long        v;

    for (int k = 0; k < WAYS; k++) {
        p.ways[k] = new_chan(0);
        cases[k] = (weft_case){ p.ways[k], &v, NULL, false };
    }
    begin(&p, deals);
    for (long i = 0; i < n; i++) {
        must("weft_select", weft_select(cases, WAYS, WEFT_FOREVER));
        p.sum += v;
    }
    join(&p.wg);
    check("the sum of the elements", p.sum, n * (n - 1) / 2);
    for (int k = 0; k < WAYS; k++) {
        weft_chan_unref(p.ways[k]);
    }
}

/* ---- locks and time ------------------------------------------------------ */

static void op_mutex(long n)
{
    weft_mutex m = { { 0 } };

    for (long i = 0; i < n; i++) {
        weft_mutex_lock(&m);
        weft_mutex_unlock(&m);
    }
}

static void op_timer(long n)
{
    long stopped = 0;

    for (long i = 0; i < n; i++) {
        weft_timer *t = weft_timer_new(weft_after(3600 * WEFT_S), 0);
        must("weft_timer_new", t == NULL ? -ENOMEM : 0);
        stopped += weft_timer_stop(t);
        weft_timer_free(t);
    }
    check("timers stopped before they fired", stopped, n);
}

static void naps(void *arg)
{
    struct part *p = arg;

    for (int k = 1; k <= NAPS; k++) {
        must("weft_sleep_until", weft_sleep_until(p->start + k * NAP_NS));
    }
    p->sum += NAPS;
    weft_waitgroup_done(&p->wg);
}

static void op_sleep(long n)
{
    struct part p = { .start = weft_now() };

    for (long i = 0; i < n / NAPS; i++) {
        begin(&p, naps);
    }
    join(&p.wg);
    check("naps taken", p.sum, n);
}

/* ---- the network --------------------------------------------------------- */

static void echoes(void *arg)
{
    struct part *p = arg;
    char         buf[4 * BYTES];
    ssize_t      n;

    while ((n = weft_conn_read(p->conn, buf, sizeof(buf))) > 0) {
        must("weft_conn_write", weft_conn_write(p->conn, buf, (size_t)n));
    }
    must("weft_conn_read", n);
    weft_conn_close(p->conn);
    weft_waitgroup_done(&p->wg);
}

static void connect_pair(weft_conn *here, weft_conn *there)
{
    weft_listener l;
    char          address[WEFT_ADDR_MAX];

    must("weft_listen", weft_listen(&l, "tcp", "127.0.0.1:0"));
    must("weft_listener_address", weft_listener_address(l, address));
    must("weft_dial", weft_dial(here, "tcp", address, WEFT_FOREVER));
    must("weft_listener_accept", weft_listener_accept(l, there));
    weft_listener_close(l);
}

/* A request and its answer, both sides on weft: two writes, two reads that wait. */
static void op_echo(long n)
{
    struct part p = { .n = n };
    weft_conn   conn;
    char        buf[4 * BYTES] = "";

    connect_pair(&conn, &p.conn);
    begin(&p, echoes);
    for (long i = 0; i < n; i++) {
        memcpy(buf, &i, sizeof(i));
        must("weft_conn_write", weft_conn_write(conn, buf, BYTES));
        check("bytes echoed", weft_conn_read(conn, buf, sizeof(buf)), BYTES);
        check("the bytes", memcmp(buf, &i, sizeof(i)), 0);
    }
    weft_conn_close(conn);
    join(&p.wg);
}

/* ---- all of them --------------------------------------------------------- */

static const struct op {
    const char *name;
    void (*run)(long n);
    long count;
} ops[] = {
    { "sleep", op_sleep, 100 * NAPS },
    { "echo", op_echo, 5000 },
    { "yield", op_yield, 10000 },
    { "start_join", op_start_join, 5000 },
    { "group", op_group, 5000 },
    { "waitgroup", op_waitgroup, 10000 },
    { "pingpong", op_pingpong, 5000 },
    { "chan128", op_chan128, 20000 },
    { "select4", op_select4, 5000 },
    { "mutex", op_mutex, 10000 },
    { "timer", op_timer, 5000 },
    /* Last: some time later most of its stacks are given back, which counts wherever it happens. */
    { "start_1000", op_start_batch, 5 * BATCH },
};

static int all(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        const struct op *op = &ops[i];
        op->run(op->count); /* caches fill, stacks are made */
        CALLGRIND_ZERO_STATS;
        op->run(op->count);
        CALLGRIND_DUMP_STATS_AT(op->name);
        printf("%s %ld\n", op->name, op->count);
    }
    return 0;
}

int main(void)
{
    weft_options opt = { .procs = 1 };
    int          err = weft_run(&opt, all, NULL);

    must("weft_run", err);
    return 0;
}
