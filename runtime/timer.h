/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - timers in a four-ary heap, one heap a P.
 *
 * A timer lies in one heap at most, from wf_timer_add until it is popped by
 * wf_timers_run or removed by wf_timer_del.  Any thread may delete; any thread may
 * run the due timers of any heap (that is how they are stolen).  Callbacks run with
 * no timer lock held and get the sequence number that was given to wf_timer_add, so
 * that one which fires late can tell that it is stale.
 *
 * The four-ary heap is that of D. B. Johnson, "Priority queues with update and
 * finding minimum spanning trees" (1975).
 */
#ifndef WF_TIMER_H
#define WF_TIMER_H

#include "base.h"
#include "lock.h"

struct wf_glist;
struct wf_timer_heap;

/* Appends to `out` the Gs that became runnable. */
typedef void (*wf_timer_fn)(void *arg, AO_t seq, struct wf_glist *out);

typedef struct wf_timer {
    volatile AO_t heap; /* struct wf_timer_heap *; where it was added last; atomic */
    unsigned      id;   /* under heap->lock from here on: its entry there, if that is its own */
} wf_timer;

typedef struct wf_timer_slot {
    int64_t  when;
    unsigned id;
} wf_timer_slot;

typedef struct wf_timer_entry {
    wf_timer   *t; /* NULL: free */
    wf_timer_fn fn;
    void       *arg;
    AO_t        seq;
} wf_timer_entry;

/*
 * What moves in the heap are the numbers of entries, and a move writes to `places`, four
 * bytes a timer.  The timers themselves are not touched: with 100,000 sleepers they have
 * long left the caches, and to write to each that is moved was most of a sleep's price.
 */
typedef struct wf_timer_heap {
    wf_spin         lock;
    int             n, cap;  /* under lock */
    wf_timer_slot  *slots;   /* under lock: the heap, and from n on the ids that are free */
    wf_timer_entry *entries; /* under lock, by id */
    int            *places;  /* under lock, by id: where in slots */
    void           *memory;  /* under lock: of the three */
    volatile AO_t   when0;   /* the earliest, WF_TIMER_NONE if empty; written under lock */
} wf_timer_heap;

#define WF_TIMER_NONE ((AO_t)INT64_MAX)

void wf_timer_heap_init(wf_timer_heap *h);
void wf_timer_heap_free(wf_timer_heap *h);

/*
 * The timer must be in no heap; one owner at a time adds and deletes it.  1: it
 * is now the earliest of h; 0: it is not; -ENOMEM.
 */
int wf_timer_add(wf_timer_heap *h, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq);
/* False: it was in no heap (it fired, is about to call fn, or was never added). */
bool wf_timer_del(wf_timer *t);

/* When t fires, whose id may be `id`; WEFT_FOREVER: it does not lie in h.  From any thread. */
int64_t wf_timer_when(wf_timer_heap *h, const wf_timer *t, unsigned id);

static inline int64_t wf_timer_heap_when(const wf_timer_heap *h)
{
    return (int64_t)AO_load_acquire(&h->when0); /* pairs with the release in timer.c */
}

/* Runs what is due at `now`, at most a fixed batch at once; returns how many. */
int wf_timers_run(wf_timer_heap *h, int64_t now, struct wf_glist *out);

#endif
