/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/scale/scale.c - runs the workloads with many Ps and prints what was counted, one
 * figure a line, for tables.awk.  Each run is a process of its own.
 *
 *   bench_scale count WORK PROCS PERCENT YIELD   "count WORK PROCS ROW EVENTS MOVED", each per
 *                                                operation
 *   bench_scale places WORK PROCS PERCENT YIELD  the places in the sources where most lines
 *                                                moved, for whoever wants to change that
 *   bench_scale hold WORK PROCS PERCENT          "hold WORK ROW NS", per acquisition
 *   bench_scale_plain rate WORK PERCENT          "rate WORK NS", of CPU per operation at 1 P
 *   bench_scale_plain prices                     "price WHAT NS": see kernel.c
 *
 * It checks what it counted: every lock taken was freed, and the runtime's own statistics
 * agree with the counts at their places.
 */
#include "scale.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PLACES = 1024, PLACES_SHOWN = 25, SETTLE_MS = 5000 };

struct counts {
    uint64_t n[CLASSES_MOST], moved[CLASSES_MOST], ends[CLASSES_MOST], held_ns[CLASSES_MOST];
    uint64_t all_moved, rmw, locks, freed;
};

struct run {
    const workload *work;
    const char     *mode;
    int             procs, percent;
    uint64_t        ops;
    int64_t         cpu_ns;
    struct counts   before, after;
    weft_stats      stats_before, stats_after;
};

void die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "bench_scale: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    exit(1);
}

void must(const char *call, int r)
{
    if (r < 0)
        die("%s: %s", call, strerror(-r));
}

void expect(const char *what, int64_t got, int64_t wanted)
{
    if (got != wanted)
        die("%s: %lld, not %lld", what, (long long)got, (long long)wanted);
}

/* ---- Reading the counters ------------------------------------------------------------- */

static void add_line(const tally_line *line, void *arg)
{
    struct counts *c = arg;
    int            i = class_of(line);
    c->all_moved += line->moved;
    if (line->kind == TALLY_RMW)
        c->rmw += line->n;
    if (line->kind == TALLY_LOCK) {
        c->locks += line->n;
        c->freed += line->ends;
    }
    if (i < 0)
        return;
    c->n[i] += line->n;
    c->moved[i] += line->moved;
    c->ends[i] += line->ends;
    c->held_ns[i] += line->held_ns;
}

static struct counts read_counts(void)
{
    struct counts c;
    memset(&c, 0, sizeof c);
    if (wf_tally_each)
        wf_tally_each(add_line, &c);
    return c;
}

static uint64_t counted(const struct counts *c, const char *row)
{
    for (int i = 0; i < n_classes; i++)
        if (strcmp(class_name(i), row) == 0)
            return c->n[i];
    die("no row is called \"%s\"", row);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * WEFT_S + ts.tv_nsec;
}

/* The runtime's own statistics and the counts of the places that keep them are the same, once
 * the other threads have come to rest. */
static void check_statistics(void)
{
    int64_t end = clock_ns(CLOCK_MONOTONIC) + SETTLE_MS * WEFT_MS;
    for (;;) {
        weft_stats    s;
        struct counts c = read_counts();
        weft_stats_read(&s);
        if (counted(&c, "word n_wakes") == s.wakes && counted(&c, "word n_parks") == s.parks &&
            counted(&c, "word n_handoffs") == s.handoffs)
            return;
        if (clock_ns(CLOCK_MONOTONIC) > end)
            die("counted %llu wakes, %llu parks, %llu hand-offs; the runtime says %llu, %llu, %llu",
                (unsigned long long)counted(&c, "word n_wakes"),
                (unsigned long long)counted(&c, "word n_parks"),
                (unsigned long long)counted(&c, "word n_handoffs"), (unsigned long long)s.wakes,
                (unsigned long long)s.parks, (unsigned long long)s.handoffs);
        sched_yield();
    }
}

/* ---- One run ----------------------------------------------------------------------------- */

static int size_of(const struct run *r, int whole)
{
    int64_t size = r->work->fixed ? whole : whole / r->procs;
    if (strcmp(r->work->name, "tree") == 0) /* it grows by the power: one n less, 38 % less */
        for (int p = r->percent; p < 62 && size > 5; p = p * 8 / 5)
            size--;
    else
        size = size * r->percent / 100;
    return size > 0 ? (int)size : 1;
}

static int measure(void *arg)
{
    struct run *r = arg;
    bool        rate = strcmp(r->mode, "rate") == 0;
    int         size = size_of(r, rate ? r->work->rate_size : r->work->size);
    r->work->run(r->procs, size); /* caches filled, threads made */
    weft_stats_read(&r->stats_before);
    r->before = read_counts();
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    r->ops = r->work->run(r->procs, size);
    r->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    r->after = read_counts();
    weft_stats_read(&r->stats_after);
    if (strcmp(r->mode, "count") == 0)
        check_statistics();
    return 0;
}

static void run(struct run *r, enum tally_mode mode, unsigned yield_every)
{
    weft_options opt = { .procs = r->procs };
    if (mode != TALLY_OFF && !wf_tally_set)
        die("this program's runtime does not count: run bench_scale");
    if (mode != TALLY_OFF)
        wf_tally_set(mode, yield_every);
    must("weft_run", weft_run(&opt, measure, r));
    struct counts end = read_counts();
    expect("locks freed, of those that were taken", (int64_t)end.freed, (int64_t)end.locks);
    if (mode != TALLY_OFF && end.locks == 0)
        die("%s with %d Ps took no lock at all: nothing is counted", r->work->name, r->procs);
}

/* ---- What is printed ------------------------------------------------------------------------ */

static void print_row(const struct run *r, const char *row, uint64_t n, uint64_t moved)
{
    printf("count\t%s\t%d\t%s\t%.6g\t%.6g\n", r->work->name, r->procs, row,
           (double)n / (double)r->ops, (double)moved / (double)r->ops);
}

static void print_statistics(const struct run *r)
{
    const weft_stats *a = &r->stats_before, *b = &r->stats_after;
    print_row(r, "switches", b->switches - a->switches, 0);
    print_row(r, "steals", b->steals - a->steals, 0);
    print_row(r, "coroutines stolen", b->stolen - a->stolen, 0);
    print_row(r, "parks of threads", b->parks - a->parks, 0);
    print_row(r, "wakes of threads", b->wakes - a->wakes, 0);
    print_row(r, "hand-offs of Ps", b->handoffs - a->handoffs, 0);
    print_row(r, "calls of epoll_wait", b->polls - a->polls, 0);
    print_row(r, "events of epoll_wait", b->poll_events - a->poll_events, 0);
    printf("count\t%s\t%d\tthreads\t%llu\t0\n", r->work->name, r->procs,
           (unsigned long long)b->threads);
}

static void print_counts(const struct run *r)
{
    const struct counts *a = &r->before, *b = &r->after;
    printf("count\t%s\t%d\toperations\t%llu\t0\n", r->work->name, r->procs,
           (unsigned long long)r->ops);
    print_row(r, "all: atomic read-modify-writes", b->rmw - a->rmw, 0);
    print_row(r, "all: locks", b->locks - a->locks, 0);
    print_row(r, "all: cache lines", 0, b->all_moved - a->all_moved);
    for (int i = 0; i < n_classes; i++)
        if (b->n[i] > a->n[i])
            print_row(r, class_name(i), b->n[i] - a->n[i], b->moved[i] - a->moved[i]);
    print_statistics(r);
}

static void print_holds(const struct run *r)
{
    for (int i = 0; i < n_classes; i++) {
        uint64_t n = r->after.ends[i] - r->before.ends[i];
        if (n > 0)
            printf("hold\t%s\t%s\t%.1f\n", r->work->name, class_name(i),
                   (double)(r->after.held_ns[i] - r->before.held_ns[i]) / (double)n);
    }
}

static void print_prices(void)
{
    struct epoll_prices p = epoll_prices();
    printf("price\tline\t%.1f\n", line_ns());
    printf("price\tepoll_ctl ADD\t%.1f\n", p.add);
    printf("price\tepoll_ctl DEL\t%.1f\n", p.del);
    printf("price\tepoll_wait\t%.1f\n", p.empty);
    printf("price\tevent\t%.1f\n", p.event);
}

struct places {
    int        n;
    tally_line line[PLACES];
};

static void add_place(const tally_line *line, void *arg)
{
    struct places *p = arg;
    for (int i = 0; i < p->n; i++) /* one place of a header, met in several files */
        if (strcmp(p->line[i].file, line->file) == 0 && p->line[i].kind == line->kind &&
            strcmp(p->line[i].function, line->function) == 0 &&
            strcmp(p->line[i].what, line->what) == 0) {
            p->line[i].n += line->n;
            p->line[i].moved += line->moved;
            return;
        }
    if (p->n < PLACES)
        p->line[p->n++] = *line;
}

static int by_moved(const void *a, const void *b)
{
    uint64_t x = ((const tally_line *)a)->moved, y = ((const tally_line *)b)->moved;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void print_places(const struct run *r)
{
    static const char *const kinds[] = { "read", "write", "update", "lock", "event" };
    static struct places     p;
    wf_tally_each(add_place, &p);
    qsort(p.line, (size_t)p.n, sizeof p.line[0], by_moved);
    for (int i = 0; i < p.n && i < PLACES_SHOWN; i++)
        printf("%10.4f moved %10.4f  %-6s %s %s: %s\n", (double)p.line[i].moved / (double)r->ops,
               (double)p.line[i].n / (double)r->ops, kinds[p.line[i].kind], p.line[i].file,
               p.line[i].function, p.line[i].what);
}

/* ---- Arguments --------------------------------------------------------------------------------- */

static const workload *work_named(const char *name)
{
    for (int i = 0; i < n_workloads; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    die("%s: there is no such workload; see workloads in work.c", name);
}

static int number(char **argv, int argc, int i, int least, int most)
{
    char *end = NULL;
    long  n = i < argc ? strtol(argv[i], &end, 10) : -1;
    if (i >= argc || *end || n < least || n > most)
        die("argument %d must be a number from %d to %d; see the head of scale.c", i, least, most);
    return (int)n;
}

int main(int argc, char **argv)
{
    struct run  r = { .mode = argc > 1 ? argv[1] : "", .procs = 1 };
    const char *mode = r.mode;
    if (strcmp(mode, "prices") == 0) {
        print_prices();
        return 0;
    }
    if (argc < 3)
        die("usage: bench_scale count|places|hold|rate WORK ...; see the head of scale.c");
    r.work = work_named(argv[2]);
    if (strcmp(mode, "rate") == 0) {
        r.percent = number(argv, argc, 3, 1, 10000);
        run(&r, TALLY_OFF, 0);
        printf("rate\t%s\t%.1f\n", r.work->name, (double)r.cpu_ns / (double)r.ops);
        return 0;
    }
    r.procs = number(argv, argc, 3, 1, 1024);
    r.percent = number(argv, argc, 4, 1, 10000);
    if (strcmp(mode, "hold") == 0) {
        run(&r, TALLY_HOLD, 0);
        print_holds(&r);
        return 0;
    }
    run(&r, TALLY_COUNT, (unsigned)number(argv, argc, 5, 0, 1000000));
    strcmp(mode, "places") == 0 ? print_places(&r) : print_counts(&r);
    return 0;
}
