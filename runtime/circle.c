/* SPDX-License-Identifier: Apache-2.0 */
/*
 * circle.c - coroutines that wait for each other: a walk in depth along who waits for whom.
 *
 * Each coroutine was seen at its own moment, so a circle is one only if all its waits still
 * stand at the end, and the locks still name the same holders: these have then waited
 * since they were seen, and did not let go of what they held.
 */
#include "circle.h"

#include <stdlib.h>

/* Where a coroutine stands in the walk. */
struct step {
    size_t edge;  /* the next one to follow */
    size_t depth; /* on the path, from 1; 0: not reached yet; DONE */
};

#define DONE SIZE_MAX

struct walk {
    wf_census   *census;
    wf_out      *out;
    struct step *steps; /* by place in the census */
    wf_one     **path;
    size_t       depth;
    int          n_circles;
};

static struct step *step_of(const struct walk *w, const wf_one *one)
{
    return &w->steps[one - w->census->all];
}

/* ---- Words ------------------------------------------------------------------------- */

void wf_one_print(const wf_one *one, wf_out *o)
{
    wf_out_print(o, "coroutine %llu", (unsigned long long)one->seen.id);
    if (one->seen.name[0])
        wf_out_print(o, " (%s)", one->seen.name);
}

static const char *const held_words[] = { [WF_LOCKED] = "locked",
                                          [WF_WRITE_LOCKED] = "locked for writing",
                                          [WF_READ_LOCKED] = "locked for reading, the latest",
                                          [WF_RUNS_ONCE] = "run" };

void wf_hold_print(wf_census *c, const wf_seen *s, wf_out *o)
{
    if (s->hold == WF_HELD_BY_NONE)
        return;
    const wf_one *holder = wf_census_holder(c, s->holder);
    const char   *at = wf_census_held_at(c, s->holder);
    wf_out_print(o, ", %s by ", held_words[s->hold]);
    if (!holder)
        wf_out_print(o, "a coroutine that has ended, or a thread");
    else if (holder->seen.gp == s->gp)
        wf_out_print(o, "the same coroutine");
    else
        wf_one_print(holder, o);
    if (at)
        wf_out_print(o, " in %s", at);
}

static void print_wait(struct walk *w, const wf_one *one)
{
    const wf_seen *s = &one->seen;
    const char    *at = wf_census_waits_at(w->census, one);
    wf_out_print(w->out, "    ");
    wf_one_print(one, w->out);
    wf_out_print(w->out, " waits");
    if (at)
        wf_out_print(w->out, " in %s", at);
    wf_out_print(w->out, " for %s", s->about);
    wf_hold_print(w->census, s, w->out);
    wf_out_print(w->out, s->until == WEFT_FOREVER ? "\n" : ", until its deadline\n");
}

/* From the one that the last of the path waits for. */
static void found(struct walk *w, const wf_one *first)
{
    size_t from = step_of(w, first)->depth - 1, n = w->depth - from;
    for (size_t i = from; i < w->depth; i++)
        if (!wf_seen_still(&w->path[i]->seen))
            return;
    if (n == 1)
        wf_out_print(w->out, "\na coroutine that waits for itself:\n");
    else
        wf_out_print(w->out, "\na circle of %zu coroutines, each waiting for the next:\n", n);
    for (size_t i = from; i < w->depth; i++) {
        const wf_one *next = w->path[i + 1 < w->depth ? i + 1 : from];
        print_wait(w, w->path[i]);
        if (w->path[i]->seen.kind == WF_FOR_GROUP) {
            wf_out_print(w->out, "        of which ");
            wf_one_print(next, w->out);
            wf_out_print(w->out, " is a member\n");
        }
    }
    w->n_circles++;
}

/* ---- The walk ----------------------------------------------------------------------- */

static void enter(struct walk *w, wf_one *one)
{
    w->path[w->depth++] = one;
    step_of(w, one)->depth = w->depth;
}

static void follow(struct walk *w)
{
    wf_one      *one = w->path[w->depth - 1];
    struct step *step = step_of(w, one);
    wf_one      *next = wf_census_awaited(w->census, one, step->edge++);
    if (!next) {
        step->depth = DONE;
        w->depth--;
    } else if (step_of(w, next)->depth == 0) {
        enter(w, next);
    } else if (step_of(w, next)->depth != DONE) {
        found(w, next);
    }
}

int wf_circles_print(wf_census *c, wf_out *o)
{
    struct walk w = { .census = c, .out = o };
    w.steps = calloc(c->n + 1, sizeof *w.steps);
    w.path = calloc(c->n + 1, sizeof *w.path);
    for (size_t i = 0; w.steps && w.path && i < c->n; i++) {
        if (w.steps[i].depth != 0)
            continue;
        enter(&w, &c->all[i]);
        while (w.depth > 0)
            follow(&w);
    }
    int r = w.steps && w.path ? w.n_circles : -ENOMEM;
    free(w.steps);
    free(w.path);
    return r;
}
