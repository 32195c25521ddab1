/* SPDX-License-Identifier: Apache-2.0 */
/* timer.c - the four-ary timer heap; see timer.h. */
#include "timer.h"

#include "g.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ARITY = 4, BATCH = 64, LEAST_CAP = 16 };

void wf_timer_heap_init(wf_timer_heap *h)
{
    *h = (wf_timer_heap){ .when0 = WF_TIMER_NONE };
}

void wf_timer_heap_free(wf_timer_heap *h)
{
    for (int i = 0; i < h->n; i++)
        AO_store(&h->entries[h->slots[i].id].t->heap, 0);
    free(h->memory);
    wf_timer_heap_init(h);
}

static void place(wf_timer_heap *h, int i, wf_timer_slot s)
{
    h->slots[i] = s;
    h->places[s.id] = i;
}

static void sift_up(wf_timer_heap *h, int i, wf_timer_slot s)
{
    while (i > 0) {
        int parent = (i - 1) / ARITY;
        if (h->slots[parent].when <= s.when)
            break;
        place(h, i, h->slots[parent]);
        i = parent;
    }
    place(h, i, s);
}

static int least_child(const wf_timer_heap *h, int i)
{
    int first = i * ARITY + 1, last = first + ARITY, least = first;
    if (last > h->n)
        last = h->n;
    for (int c = first + 1; c < last; c++)
        if (h->slots[c].when < h->slots[least].when)
            least = c;
    return least;
}

static void sift_down(wf_timer_heap *h, int i, wf_timer_slot s)
{
    for (;;) {
        int c = least_child(h, i);
        if (c >= h->n || h->slots[c].when >= s.when)
            break;
        place(h, i, h->slots[c]);
        i = c;
    }
    place(h, i, s);
}

static void publish_earliest(wf_timer_heap *h)
{
    /* pairs with the acquire in wf_timer_heap_when */
    AO_store_release(&h->when0, h->n ? (AO_t)h->slots[0].when : WF_TIMER_NONE);
}

/* Takes slot i out; the last slot fills its place. */
static void remove_at(wf_timer_heap *h, int i)
{
    unsigned      id = h->slots[i].id;
    wf_timer_slot last = h->slots[--h->n];
    h->entries[id].t = NULL;
    h->slots[h->n].id = id; /* free */
    if (i < h->n) {
        if (i > 0 && h->slots[(i - 1) / ARITY].when > last.when)
            sift_up(h, i, last);
        else
            sift_down(h, i, last);
    }
    if (i == 0)
        publish_earliest(h);
}

/* One block for the three tables.  The first slot is the last of a cache line, so that the
 * four children of each slot are a line. */
static bool grow(wf_timer_heap *h)
{
    size_t cap = h->cap ? (size_t)h->cap * 2 : LEAST_CAP;
    size_t slots = (cap + ARITY) * sizeof *h->slots, entries = cap * sizeof *h->entries;
    if (cap > INT_MAX / 2)
        return false;
    char *memory = aligned_alloc(WF_CACHELINE, slots + entries + cap * sizeof *h->places);
    if (!memory)
        return false;
    wf_timer_heap was = *h;
    h->memory = memory;
    h->slots = (wf_timer_slot *)memory + ARITY - 1;
    h->entries = (wf_timer_entry *)(memory + slots);
    h->places = (int *)(memory + slots + entries);
    h->cap = (int)cap;
    if (was.n > 0) {
        memcpy(h->slots, was.slots, (size_t)was.n * sizeof *h->slots);
        memcpy(h->entries, was.entries, (size_t)was.n * sizeof *h->entries);
        memcpy(h->places, was.places, (size_t)was.n * sizeof *h->places);
    }
    for (int i = was.n; i < h->cap; i++) { /* it was full: all others are new */
        h->slots[i].id = (unsigned)i;
        h->entries[i].t = NULL;
    }
    free(was.memory);
    return true;
}

int wf_timer_add(wf_timer_heap *h, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq)
{
    int r = -ENOMEM;
    wf_spin_acquire(&h->lock);
    if (h->n < h->cap || grow(h)) {
        wf_timer_slot s = { when, h->slots[h->n].id };
        t->id = s.id;
        h->entries[s.id] = (wf_timer_entry){ t, fn, arg, seq };
        AO_store_release(&t->heap, (AO_t)h); /* pairs with the acquire in wf_timer_del */
        sift_up(h, h->n++, s);
        r = h->slots[0].id == s.id;
        if (r)
            publish_earliest(h);
    }
    wf_spin_release(&h->lock);
    return r;
}

bool wf_timer_del(wf_timer *t)
{
    wf_timer_heap *h = (wf_timer_heap *)AO_load_acquire(&t->heap); /* pairs with wf_timer_add */
    if (!h)
        return false;
    wf_spin_acquire(&h->lock);
    bool was = h->n > 0 && h->entries[t->id].t == t;
    if (was)
        remove_at(h, h->places[t->id]);
    wf_spin_release(&h->lock);
    return was;
}

int64_t wf_timer_when(wf_timer_heap *h, const wf_timer *t, unsigned id)
{
    int64_t when = WEFT_FOREVER;
    wf_spin_acquire(&h->lock);
    if (h->n > 0 && id < (unsigned)h->cap && h->entries[id].t == t)
        when = h->slots[h->places[id]].when;
    wf_spin_release(&h->lock);
    return when;
}

int wf_timers_run(wf_timer_heap *h, int64_t now, wf_glist *out)
{
    wf_timer_entry due[BATCH];
    int            n = 0;
    wf_spin_acquire(&h->lock);
    while (n < BATCH && h->n > 0 && h->slots[0].when <= now) {
        for (int c = 1; c <= ARITY && c < h->n; c++) /* one of them is the next */
            __builtin_prefetch(&h->entries[h->slots[c].id], 1);
        due[n] = h->entries[h->slots[0].id];
        __builtin_prefetch(due[n++].arg, 1); /* for fn, below */
        remove_at(h, 0);
    }
    wf_spin_release(&h->lock);
    for (int i = 0; i < n; i++) /* no timer lock held: a callback may take others */
        due[i].fn(due[i].arg, due[i].seq, out);
    return n;
}
