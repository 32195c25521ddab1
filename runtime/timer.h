/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - timers, each P's in a wheel, and the nearest of them in a heap.
 *
 * A timer lies with one P at most, from wf_timer_add until it is taken out by
 * wf_timers_run or by wf_timer_del.  Any thread may delete; any thread may run the due
 * timers of any P (that is how they are stolen).  Callbacks run with no timer lock
 * held and get the sequence number that was given to wf_timer_add, so that one which
 * fires late can tell that it is stale.
 *
 * Time is cut in ticks of 4 us, numbered in digits of 64.  A timer of a later tick than
 * the wheel's lies, among others in no order, in the slot of the highest digit in which the
 * two numbers differ.  When near is empty and the first slot begins, the wheel's tick
 * becomes that of the earliest there, and all of the slot are put anew: in near, or
 * in slots of lower digits.  So near has few, in order to the nanosecond, and all others are
 * written and read in runs, at most once a digit.
 *
 * The wheel is that of G. Varghese and A. Lauck, "Hashed and hierarchical timing wheels"
 * (1987), the four-ary heap that of D. B. Johnson, "Priority queues with update and finding
 * minimum spanning trees" (1975).
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

typedef struct wf_timer_item {
    int64_t  when;
    unsigned id;
} wf_timer_item;

typedef struct wf_timer_entry {
    wf_timer   *t; /* NULL: free */
    wf_timer_fn fn;
    void       *arg;
    AO_t        seq;
} wf_timer_entry;

enum {
    WF_TIMER_GRAIN = 12, /* log2 of a tick in ns */
    WF_TIMER_DIGIT = 6,  /* bits */
    WF_TIMER_DIGITS = 1 << WF_TIMER_DIGIT,
    WF_TIMER_LEVELS = (63 - WF_TIMER_GRAIN + WF_TIMER_DIGIT - 1) / WF_TIMER_DIGIT,
    WF_TIMER_BLOCK = 32 /* items, the first of which is the block's head */
};

/*
 * What moves are items, and a move writes to `places`, four bytes a timer.  The timers
 * themselves are not touched: with 100,000 sleepers they have long left the caches.
 *
 * A slot's items lie in a chain of blocks, full but for the last.  A block's head has the
 * place of the slot's last item before the block, or -1, as `when`, and the slot as `id`;
 * that of a free block the next free one as `when`.
 */
typedef struct wf_timer_heap {
    wf_spin         lock;
    int             n_near;  /* under lock, as all below but for when0: how many in near */
    volatile AO_t   when0;   /* written under lock: no timer is earlier; WF_TIMER_NONE: none is */
    int64_t         tick;    /* near has what is due in it or before */
    wf_timer_item  *near;    /* the heap */
    wf_timer_item  *blocks;  /* the slots */
    wf_timer_entry *entries; /* by id */
    int            *places;  /* by id: where in near; or ~where in blocks */
    int             free_id; /* or -1; its place is the next free one */
    int             free_block;                              /* its head, or -1 */
    int             n, cap;                                  /* timers, ids */
    int             n_blocks;                                /* that were ever taken */
    void           *memory;                                  /* of the four tables */
    uint64_t        full[WF_TIMER_LEVELS];                   /* bit d: slot d has items */
    int             last[WF_TIMER_LEVELS * WF_TIMER_DIGITS]; /* of each slot: its place, or -1 */
} wf_timer_heap;

#define WF_TIMER_NONE ((AO_t)INT64_MAX)

void wf_timer_heap_init(wf_timer_heap *h);
void wf_timer_heap_free(wf_timer_heap *h);

/*
 * The timer must lie nowhere; one owner at a time adds and deletes it.  1: it is due before
 * what wf_timer_heap_when told; 0: it is not; -ENOMEM.
 */
int wf_timer_add(wf_timer_heap *h, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq);
/* False: it lay nowhere (it fired, is about to call fn, or was never added). */
bool wf_timer_del(wf_timer *t);

/* When t fires, whose id may be `id`; WEFT_FOREVER: it does not lie in h.  From any thread. */
int64_t wf_timer_when(wf_timer_heap *h, const wf_timer *t, unsigned id);

/* No timer of h is due before this.  It is the earliest's time, or a little earlier where many
 * lie in its slot: then nothing need be due yet when wf_timers_run is called, which tells better.
 * It moves back only for one that is added, and wf_timer_add says so. */
static inline int64_t wf_timer_heap_when(const wf_timer_heap *h)
{
    return (int64_t)AO_load_acquire(&h->when0); /* pairs with the release in timer.c */
}

/* Runs what is due at `now`, at most a fixed batch at once; returns how many. */
int wf_timers_run(wf_timer_heap *h, int64_t now, struct wf_glist *out);

#endif
