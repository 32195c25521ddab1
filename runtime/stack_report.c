/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack_report.c - measures stacks by their deepest byte that is not zero.
 *
 * That is right for a stack that was zero when its coroutine began: fresh pages are, and
 * one that ended is wiped here, up to the context that its next coroutine begins from.  Only
 * where an earlier run of the process had the report off may old bytes lie deeper; then too
 * much is told, never too little.
 *
 * Locks: `reporting` (one report at a time), then `ended.lock`, a leaf.
 */
#include "stack_report.h"

#include "lock.h"
#include "os.h"
#include "symbol.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PLACES = 512,    /* a power of two; the table stays half empty */
    OTHERS = PLACES, /* for starts where there is no room for a place any more */
    UNIT = 64,       /* bytes */
    FINE_BITS = 3,   /* buckets of an eighth */
    FINE = 1 << FINE_BITS,
    BUCKETS = 21 * FINE, /* 256 MiB fit */
    SPARE_BYTES = 4096   /* beyond a quarter: a signal's frame, a path not seen yet */
};

struct place {
    const void *started_at; /* NULL: free, or OTHERS */
    uint64_t    count;
    size_t      most, given; /* bytes: used; the largest stack */
    uint32_t    buckets[BUCKETS];
};

struct table {
    wf_lock      lock;
    int          n;
    struct place places[PLACES + 1];
};

static struct table ended, live; /* live: under `reporting`, made anew for each report */
static wf_lock      reporting;

/* ---- One stack ---------------------------------------------------------------------------- */

/* Redzones and bytes of a running coroutine are read like all others. */
static __attribute__((no_sanitize_address, no_sanitize_thread)) const uintptr_t *deepest(
    const wf_stack *s)
{
    const volatile uintptr_t *p = (const void *)wf_stack_low(s);
    while ((const char *)p < s->top && *p == 0)
        p++;
    return (const uintptr_t *)p;
}

static __attribute__((no_sanitize_address, no_sanitize_thread)) void wipe(const uintptr_t *from,
                                                                          const void      *to)
{
    for (volatile uintptr_t *p = (volatile uintptr_t *)from; (const void *)p < to; p++)
        *p = 0;
}

/* ---- The tables ------------------------------------------------------------------------------ */

static int bucket_of(size_t bytes)
{
    size_t units = bytes / UNIT;
    if (units < FINE)
        return (int)units;
    int octave = 63 - __builtin_clzl(units) - FINE_BITS;
    int bucket = (octave + 1) * FINE + (int)((units >> octave) & (FINE - 1));
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The most that a bucket holds. */
static size_t bucket_end(int bucket)
{
    if (bucket < FINE)
        return ((size_t)bucket + 1) * UNIT - 1;
    int octave = bucket / FINE - 1;
    return ((size_t)(FINE + bucket % FINE + 1) << octave) * UNIT - 1;
}

static struct place *place_of(struct table *t, const void *started_at)
{
    size_t at = ((uintptr_t)started_at * 0x9e3779b97f4a7c15) >> 32;
    for (;; at++) {
        struct place *p = &t->places[at % PLACES];
        if (p->started_at == started_at)
            return p;
        if (p->started_at)
            continue;
        if (t->n == PLACES / 2)
            return &t->places[OTHERS];
        t->n++;
        p->started_at = started_at;
        return p;
    }
}

static void add(struct table *t, const void *started_at, size_t given, size_t used)
{
    wf_lock_acquire(&t->lock);
    struct place *p = place_of(t, started_at);
    p->count++;
    p->buckets[bucket_of(used)]++;
    if (used > p->most)
        p->most = used;
    if (given > p->given)
        p->given = given;
    wf_lock_release(&t->lock);
}

int wf_stack_report_start(void)
{
    const char *want = getenv("WEFT_STACK_REPORT");
    if (!want || !*want || strcmp(want, "0") == 0) {
        wf_stack_watch_clear(WF_STACK_MEASURE);
        return 0;
    }
    if (strcmp(want, "1") != 0) {
        wf_say("WEFT_STACK_REPORT=%.40s: must be 1 or 0", want);
        return -EINVAL;
    }
    memset(ended.places, 0, sizeof ended.places);
    ended.n = 0;
    wf_stack_watch_set(WF_STACK_MEASURE);
    return 0;
}

void wf_stack_report_ended(wf_g *gp)
{
    const uintptr_t *low = deepest(&gp->stack);
    add(&ended, gp->started_at, gp->stack.size, (size_t)(gp->stack.top - (const char *)low));
    wipe(low, gp->fctx);
}

/* It may run, end and be another meanwhile: then a figure is a little wrong. */
static __attribute__((no_sanitize_thread)) void add_live(wf_g *gp, void *arg)
{
    (void)arg;
    if (gp->state == WF_G_FREE)
        return;
    size_t used = (size_t)(gp->stack.top - (const char *)deepest(&gp->stack));
    add(&live, gp->started_at, gp->stack.size, used);
}

/* ---- The report -------------------------------------------------------------------------------- */

/* The least that so many percent of the coroutines do with. */
static size_t percentile(const struct place *p, unsigned percent)
{
    uint64_t seen = 0, rank = (p->count * percent + 99) / 100;
    for (int i = 0; i < BUCKETS; i++) {
        seen += p->buckets[i];
        if (seen >= rank)
            return bucket_end(i) < p->most ? bucket_end(i) : p->most;
    }
    return p->most;
}

static size_t suggested(const struct place *p)
{
    size_t want = p->most + p->most / 4 + SPARE_BYTES, size = WF_STACK_MIN;
    while (size < want && size < (size_t)WF_STACK_MIN << (WF_STACK_CLASSES - 1))
        size *= 2;
    return size;
}

static void merge(struct place *into, const struct place *from)
{
    into->count += from->count;
    if (from->most > into->most)
        into->most = from->most;
    if (from->given > into->given)
        into->given = from->given;
    for (int i = 0; i < BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

static void column(wf_line *l, uint64_t v)
{
    wf_line_put_padded(l, v, 10);
}

static void write_place(int fd, wf_symbols *s, const struct place *p)
{
    wf_line l = { .n = 0 };
    column(&l, p->count);
    column(&l, percentile(p, 50));
    column(&l, percentile(p, 99));
    column(&l, p->most);
    column(&l, p->given);
    column(&l, suggested(p));
    wf_line_put(&l, "  ");
    if (p->started_at)
        wf_line_put_place(&l, s, (uintptr_t)p->started_at - 1);
    else
        wf_line_put(&l, "other places");
    wf_line_end(&l);
    wf_write(fd, l.text, l.n);
}

/* To those that live come those that ended. */
static void merge_ended(void)
{
    static struct place row; /* under `reporting` */
    for (int i = 0; i <= OTHERS; i++) {
        wf_lock_acquire(&ended.lock);
        row = ended.places[i];
        wf_lock_release(&ended.lock);
        if (row.count > 0)
            merge(row.started_at ? place_of(&live, row.started_at) : &live.places[OTHERS], &row);
    }
}

/* The busiest place that was not written yet. */
static struct place *busiest(void)
{
    struct place *most = &live.places[OTHERS];
    for (struct place *p = live.places; p < &live.places[OTHERS]; p++)
        if (p->count > most->count)
            most = p;
    return most->count > 0 ? most : NULL;
}

static void write_all(int fd)
{
    static const char head[] =
        "weft: stacks in bytes, by the place that starts coroutines\n"
        "     count       p50       p99       max     given   suggest  started at\n";
    wf_symbols s = { 0 };
    wf_write(fd, head, sizeof head - 1);
    for (struct place *p; (p = busiest()); p->count = 0)
        write_place(fd, &s, p);
    wf_symbols_close(&s);
}

void wf_stack_report_write(int fd)
{
    if (!(AO_load(&wf_stack_watch) & WF_STACK_MEASURE))
        return;
    wf_lock_acquire(&reporting);
    memset(live.places, 0, sizeof live.places);
    live.n = 0;
    wf_g_each(add_live, NULL);
    merge_ended();
    write_all(fd);
    wf_lock_release(&reporting);
}
