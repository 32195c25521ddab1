/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/blocking.c - what it costs to wait for a descriptor in each way that
 * docs/blocking.md offers.
 *
 * The rows *_now: a byte is written to a pipe and read from it, so nobody waits; what a row costs
 * above `plain_now` is the price of being careful; `enter_leave` is that of the two calls alone.  The
 * rows *_wait: two coroutines send a byte to and fro, each read waits for the other; per byte.
 * `threads_wait` does it with two bare threads.
 *
 *   bench_blocking ROW|all [--procs N] [--scale N]
 */
#include "weft_rows.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

struct link {
    int       in, out;
    weft_conn conn; /* of in, where weft reads */
};

struct way {
    const char *name;
    long        n; /* of bytes to and fro, or of calls */
    bool        nonblock;
    void (*get)(struct link *l);
};

/* ---- The ways to read a byte --------------------------------------------------------------------- */

static void get_plain(struct link *l)
{
    char c;

    bench_expect("bytes read", read(l->in, &c, 1), 1);
}

/* Says nothing before it blocks; the call of weft after it is where it needs a P again. */
static void get_unannounced(struct link *l)
{
    get_plain(l);
    weft_cancelled();
}

static void get_announced(struct link *l)
{
    weft_block_enter();
    get_plain(l);
    weft_block_leave();
}

static void get_when_ready(struct link *l)
{
    must("weft_fd_wait", weft_fd_wait(l->in, POLLIN, WEFT_FOREVER));
    get_plain(l);
}

/* As most libraries do it: first try, then wait. */
static void get_tried(struct link *l)
{
    char c;

    while (read(l->in, &c, 1) != 1)
        must("weft_fd_wait", weft_fd_wait(l->in, POLLIN, WEFT_FOREVER));
}

static void get_by_conn(struct link *l)
{
    char c;

    bench_expect("bytes read", weft_conn_read(l->conn, &c, 1), 1);
}

static const struct way now_ways[] = {
    { "plain_now", 400000, false, get_plain },
    { "block_now", 400000, false, get_announced },
    { "fd_wait_now", 400000, true, get_when_ready },
    { "conn_now", 400000, true, get_by_conn },
};

static const struct way wait_ways[] = {
    { "conn_wait", 100000, true, get_by_conn },
    { "fd_wait_wait", 100000, true, get_tried },
    { "block_wait", 40000, false, get_announced },
    { "unannounced_wait", 400, false, get_unannounced },
};

/* ---- Now ----------------------------------------------------------------------------------------- */

static void put(const struct link *l)
{
    bench_expect("bytes written", write(l->out, "x", 1), 1);
}

static void make_link(const struct way *w, struct link *reads, struct link *writes)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        bench_die("pipe2: %s", strerror(errno));
    reads->in = ends[0];
    writes->out = ends[1];
    if (w->nonblock)
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (w->get == get_by_conn)
        must("weft_conn_adopt", weft_conn_adopt(&reads->conn, ends[0]));
}

static void end_link(const struct way *w, const struct link *reads)
{
    if (w->get == get_by_conn)
        weft_conn_close(reads->conn);
    else
        close(reads->in);
    close(reads->out);
}

static void calls(const struct way *w, struct link *l, long n)
{
    for (long i = 0; i < n; i++) {
        put(l);
        w->get(l);
    }
}

static void run_now(const struct way *w, long n)
{
    struct link l;

    make_link(w, &l, &l);
    calls(w, &l, n / 10 + 1);
    int64_t t0 = bench_now();
    calls(w, &l, n);
    bench_print(w->name, (double)(bench_now() - t0) / (double)n, "ns");
    end_link(w, &l);
}

static void run_pairs(long n)
{
    int64_t t0 = bench_now();

    for (long i = 0; i < n; i++) {
        weft_block_enter();
        weft_block_leave();
    }
    bench_print("enter_leave", (double)(bench_now() - t0) / (double)n, "ns");
}

/* ---- Waiting ----------------------------------------------------------------------------------------- */

struct player {
    const struct way *way;
    struct link      *link;
    long              n;
    weft_waitgroup   *wg;
};

static void answer(const struct player *p)
{
    for (long i = 0; i < p->n; i++) {
        p->way->get(p->link);
        put(p->link);
    }
}

static void answer_task(void *arg)
{
    answer(arg);
    weft_waitgroup_done(((struct player *)arg)->wg);
}

static void ask(const struct player *p)
{
    for (long i = 0; i < p->n; i++) {
        put(p->link);
        p->way->get(p->link);
    }
}

static void run_wait(const struct way *w, long n)
{
    weft_waitgroup wg = { { 0 } };
    struct link    a, b;
    struct player  asker = { w, &a, n, NULL }, answerer = { w, &b, n, &wg };

    make_link(w, &a, &b);
    make_link(w, &b, &a);
    weft_waitgroup_add(&wg, 1);
    int64_t t0 = bench_now();
    must("weft_go", weft_go(answer_task, &answerer, sizeof answerer));
    ask(&asker);
    bench_print(w->name, (double)(bench_now() - t0) / (double)(2 * n), "ns");
    wait_all(&wg);
    end_link(w, &a);
    end_link(w, &b);
}

static void *answer_thread(void *arg)
{
    answer(arg);
    return NULL;
}

static void run_threads(long n)
{
    static const struct way w = { "threads_wait", 0, false, get_plain };
    struct link             a, b;
    struct player           asker = { &w, &a, n, NULL }, answerer = { &w, &b, n, NULL };
    pthread_t               thread;

    make_link(&w, &a, &b);
    make_link(&w, &b, &a);
    int64_t t0 = bench_now();
    if (pthread_create(&thread, NULL, answer_thread, &answerer) != 0)
        bench_die("no thread");
    ask(&asker);
    bench_print(w.name, (double)(bench_now() - t0) / (double)(2 * n), "ns");
    pthread_join(thread, NULL);
    end_link(&w, &a);
    end_link(&w, &b);
}

/* ---- All ------------------------------------------------------------------------------------------------ */

static bool wanted(const bench_args *a, const char *row)
{
    return strcmp(a->row, "all") == 0 || strcmp(a->row, row) == 0;
}

static int run(void *arg)
{
    const bench_args *a = arg;

    if (wanted(a, "enter_leave"))
        run_pairs(4000000 / a->scale + 1);
    for (size_t i = 0; i < sizeof now_ways / sizeof now_ways[0]; i++)
        if (wanted(a, now_ways[i].name))
            run_now(&now_ways[i], now_ways[i].n / a->scale + 1);
    for (size_t i = 0; i < sizeof wait_ways / sizeof wait_ways[0]; i++)
        if (wanted(a, wait_ways[i].name))
            run_wait(&wait_ways[i], wait_ways[i].n / a->scale + 1);
    return 0;
}

int main(int argc, char **argv)
{
    bench_args   a = bench_parse(argc, argv);
    weft_options opt = { .procs = a.procs };

    if (wanted(&a, "threads_wait"))
        run_threads(40000 / a.scale + 1);
    return weft_run(&opt, run, &a) == 0 ? 0 : 1;
}
