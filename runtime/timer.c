/* SPDX-License-Identifier: Apache-2.0 */
/* timer.c - the four-ary timer heap; see timer.h. */
#include "timer.h"

#include "g.h"

#include <stdlib.h>

enum { ARITY = 4, BATCH = 64 };

void wf_timer_heap_init(wf_timer_heap *h)
{
    *h = (wf_timer_heap){ .when0 = WF_TIMER_NONE };
}

void wf_timer_heap_free(wf_timer_heap *h)
{
    for (int i = 0; i < h->n; i++) {
        h->slots[i].t->pos = 0;
        AO_store(&h->slots[i].t->heap, 0);
    }
    free(h->slots);
    wf_timer_heap_init(h);
}

static void place(wf_timer_heap *h, int i, wf_timer_slot s)
{
    h->slots[i] = s;
    s.t->pos = i + 1;
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
    h->slots[i].t->pos = 0;
    wf_timer_slot last = h->slots[--h->n];
    if (i < h->n) {
        if (i > 0 && h->slots[(i - 1) / ARITY].when > last.when)
            sift_up(h, i, last);
        else
            sift_down(h, i, last);
    }
    if (i == 0)
        publish_earliest(h);
}

static bool grow(wf_timer_heap *h)
{
    int            cap = h->cap ? h->cap * 2 : 16;
    wf_timer_slot *slots = realloc(h->slots, (size_t)cap * sizeof *slots);
    if (!slots)
        return false;
    h->slots = slots;
    h->cap = cap;
    return true;
}

int wf_timer_add(wf_timer_heap *h, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq)
{
    int r = -ENOMEM;
    wf_lock_acquire(&h->lock);
    wf_assert(t->pos == 0);
    if (h->n < h->cap || grow(h)) {
        t->when = when;
        t->fn = fn;
        t->arg = arg;
        t->seq = seq;
        AO_store_release(&t->heap, (AO_t)h); /* pairs with the acquire in wf_timer_del */
        sift_up(h, h->n++, (wf_timer_slot){ when, t });
        r = t->pos == 1;
        if (r)
            publish_earliest(h);
    }
    wf_lock_release(&h->lock);
    return r;
}

bool wf_timer_del(wf_timer *t)
{
    wf_timer_heap *h = (wf_timer_heap *)AO_load_acquire(&t->heap); /* pairs with wf_timer_add */
    if (!h)
        return false;
    wf_lock_acquire(&h->lock);
    bool was = t->pos != 0;
    if (was)
        remove_at(h, t->pos - 1);
    wf_lock_release(&h->lock);
    return was;
}

struct due {
    wf_timer_fn fn;
    void       *arg;
    AO_t        seq;
};

int wf_timers_run(wf_timer_heap *h, int64_t now, wf_glist *out)
{
    struct due due[BATCH];
    int        n = 0;
    wf_lock_acquire(&h->lock);
    while (n < BATCH && h->n > 0 && h->slots[0].when <= now) {
        wf_timer *t = h->slots[0].t;
        due[n++] = (struct due){ t->fn, t->arg, t->seq };
        remove_at(h, 0);
    }
    wf_lock_release(&h->lock);
    for (int i = 0; i < n; i++) /* no timer lock held: a callback may take others */
        due[i].fn(due[i].arg, due[i].seq, out);
    return n;
}
