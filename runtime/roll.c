/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roll.c - a census as text.  Coroutines of the same backtrace, state and kind of wait make
 * one paragraph; in it those which agree in all else too make one line.
 */
#include "roll.h"

#include "circle.h"
#include "wait.h"

#include <stdlib.h>
#include <string.h>

/* ---- Order --------------------------------------------------------------------------- */

struct entry {
    const wf_one    *one;
    const uintptr_t *frames;
};

#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b))

static int compare_paragraph(const struct entry *a, const struct entry *b)
{
    const wf_seen *x = &a->one->seen, *y = &b->one->seen;
    int            r = ORDER(x->doing, y->doing);
    if (r == 0)
        r = ORDER(x->kind, y->kind);
    if (r == 0)
        r = ORDER(x->n_frames, y->n_frames);
    return r ? r : memcmp(a->frames, b->frames, (size_t)x->n_frames * sizeof *a->frames);
}

static int compare_line(const struct entry *a, const struct entry *b)
{
    const wf_seen *x = &a->one->seen, *y = &b->one->seen;
    int            r = strcmp(x->name, y->name);
    if (r == 0)
        r = ORDER(x->started_at, y->started_at);
    if (r == 0)
        r = ORDER(x->function, y->function);
    if (r == 0)
        r = strcmp(x->about, y->about);
    return r ? r : ORDER(x->holder, y->holder);
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int                 r = compare_paragraph(x, y);
    if (r == 0)
        r = compare_line(x, y);
    return r ? r : ORDER(x->one->seen.id, y->one->seen.id);
}

/* ---- A line ---------------------------------------------------------------------------- */

void wf_out_time(wf_out *o, int64_t ns)
{
    if (ns < WEFT_S)
        wf_out_print(o, "%lld ms", (long long)(ns / WEFT_MS));
    else if (ns < 100 * WEFT_S)
        wf_out_print(o, "%.1f s", (double)ns / 1e9);
    else
        wf_out_print(o, "%lld min", (long long)(ns / WEFT_S / 60));
}

/* "7, 9-12" */
static void print_ids(wf_out *o, const struct entry *e, size_t n)
{
    for (size_t i = 0, j; i < n; i = j) {
        uint64_t first = e[i].one->seen.id;
        for (j = i + 1; j < n && e[j].one->seen.id == first + (j - i); j++)
            ;
        wf_out_print(o, "%s%llu", i > 0 ? ", " : "", (unsigned long long)first);
        if (j - i > 1)
            wf_out_print(o, "%s%llu", j - i == 2 ? ", " : "-",
                         (unsigned long long)(first + (j - i - 1)));
    }
}

static int64_t waited(const wf_seen *s, int64_t now)
{
    unsigned ticks = (unsigned)(now / WF_CLOCK_NS) - (unsigned)s->began;
    return (int64_t)ticks * WF_CLOCK_NS;
}

/* Since when and until when, from the shortest to the longest. */
static void print_times(wf_out *o, const struct entry *e, size_t n, int64_t now)
{
    int64_t   least = INT64_MAX, most = 0;
    weft_time first = WEFT_FOREVER;
    for (size_t i = 0; i < n; i++) {
        int64_t t = waited(&e[i].one->seen, now);
        least = t < least ? t : least;
        most = t > most ? t : most;
        first = e[i].one->seen.until < first ? e[i].one->seen.until : first;
    }
    wf_out_print(o, " for ");
    wf_out_time(o, least);
    if (most > least) {
        wf_out_print(o, " to ");
        wf_out_time(o, most);
    }
    if (first == WEFT_FOREVER)
        return;
    wf_out_print(o, n == 1 ? ", at most another " : ", the first at most another ");
    wf_out_time(o, first > now ? first - now : 0);
}

static void print_line(wf_census *c, wf_out *o, const struct entry *e, size_t n, int64_t now)
{
    const wf_seen *s = &e->one->seen;
    wf_out_print(o, "    ");
    print_ids(o, e, n);
    if (s->name[0])
        wf_out_print(o, " (%s)", s->name);
    if (s->doing == WF_WAITS)
        print_times(o, e, n, now);
    if (s->about[0])
        wf_out_print(o, "; %s", s->about);
    wf_hold_print(c, s, o);
    if (s->n_frames <= wf_census_inner_frames(c, e->one) + s->whole) /* else a frame says it */
        wf_out_print(o, "; function %s", wf_place_at(c->places, s->function)->text[0]);
    if (s->started_at)
        wf_out_print(o, "; started in %s", wf_place_at(c->places, s->started_at)->text[0]);
    wf_out_print(o, "\n");
}

/* ---- A paragraph ------------------------------------------------------------------------ */

/* From the call that the user made on; the last is weft's own again. */
static void print_frames(wf_census *c, wf_out *o, const wf_one *one)
{
    int inner = wf_census_inner_frames(c, one);
    for (int i = inner > 0 ? inner - 1 : 0; i < one->seen.n_frames - one->seen.whole; i++) {
        const wf_place *at = wf_place_at(c->places, c->frames[one->frames + (size_t)i]);
        for (int k = i < inner ? at->n - 1 : 0; k < at->n; k++)
            wf_out_print(o, "        %s\n", at->text[k]);
    }
    if (one->seen.n_frames == WF_FRAMES_MOST)
        wf_out_print(o, "        ...\n");
}

static void print_head(wf_out *o, const wf_seen *s, size_t n)
{
    static const char *const words[][2] = { [WF_WAITS] = { "waits ", "wait " },
                                            [WF_RUNNABLE] = { "is runnable", "are runnable" },
                                            [WF_RUNS] = { "runs", "run" } };
    wf_out_print(o, "\n%zu coroutine%s %s%s:\n", n, n == 1 ? "" : "s", words[s->doing][n != 1],
                 s->doing == WF_WAITS ? wf_wait_text[s->kind] : "");
}

static void print_paragraph(wf_census *c, wf_out *o, const struct entry *e, size_t n, int64_t now)
{
    print_head(o, &e->one->seen, n);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && compare_line(&e[i], &e[j]) == 0; j++)
            ;
        print_line(c, o, &e[i], j - i, now);
    }
    print_frames(c, o, e->one);
}

int wf_roll_print(wf_census *c, wf_out *o)
{
    struct entry *e = calloc(c->n + 1, sizeof *e);
    if (!e)
        return -ENOMEM;
    for (size_t i = 0; i < c->n; i++)
        e[i] = (struct entry){ &c->all[i], c->frames + c->all[i].frames };
    qsort(e, c->n, sizeof *e, compare);
    int64_t now = wf_now();
    for (size_t i = 0, j; i < c->n; i = j) {
        for (j = i + 1; j < c->n && compare_paragraph(&e[i], &e[j]) == 0; j++)
            ;
        print_paragraph(c, o, &e[i], j - i, now);
    }
    free(e);
    return 0;
}
