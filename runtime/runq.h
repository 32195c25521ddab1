/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runq.h - a P's local run queue: a bounded lock-free ring and the slot `runnext`.
 *
 * The owner (the M that holds the P) pushes at the tail and takes from either end;
 * thieves take single Gs from the head.  What does not fit goes to the global queue,
 * which is the scheduler's.  Nothing ever waits for room.
 *
 * Order: runnext first; then, if the newest entries belong to a tree of starts, the newest
 * of them (so that it is walked depth first, on few and warm stacks); otherwise the oldest.
 * Those are the ones that have never run, and the one that a start turned out of runnext:
 * a parent whose children have ended, which taken as the oldest would let all that is
 * older run first, and park in turn.  Thieves take the oldest, which in a tree is the
 * largest piece of work.
 *
 * The ring is the work-stealing deque of D. Chase and Y. Lev, "Dynamic circular
 * work-stealing deque" (2005), in the form of N. M. Le et al., "Correct and efficient
 * work-stealing for weak memory models" (2013), bounded.
 *
 *   word   who writes                        order, pairs with
 *   tail   owner: push                       release; thief's acquire of tail
 *   tail   owner: pop_tail, -1, and back     store, full fence, load of head; pairs with
 *                                            the thief's load of head, fence, load of tail
 *   head   owner and thieves, +1             CAS full, after the slot was read: whoever
 *                                            moves the head owns what it read
 *   slot   owner: push, where tail - head < size, so no head that a live CAS can
 *          succeed from names it
 *   next   owner: set and take              plain; a thief may take it only while the P is
 *                                            lent to it (sched.h, wf_p_lend)
 *   next   owner and thieves, if SHARED:     CAS full, to take or to replace it: whoever
 *          the owner says so as it sets it   moves it away owns it
 *
 * A CAS for each set and take would cost every start and join four, 20 ns; a membarrier,
 * where the other processor is busy, costs a thief 10 us here and its victim 6.  So the
 * owner shares runnext where there is somebody to take it, a spinner or one that it wakes
 * for this, and else keeps it; what is not marked is never touched by a CAS.
 *
 * Why no G is taken twice: a slot is taken by moving the head past it, which only one
 * CAS does, or by pop_tail where the fence makes sure that a thief which has not seen
 * the shorter tail has moved the head already, and that is seen here.  For the last
 * entry both use the CAS.  tests/model/runq.pml checks it; so does the white test.
 */
#ifndef WF_RUNQ_H
#define WF_RUNQ_H

#include "g.h"

#ifndef WF_RUNQ_SIZE
#define WF_RUNQ_SIZE 256 /* a power of two; model and stress builds set 4 */
#endif

#define WF_RUNQ_MASK   (WF_RUNQ_SIZE - 1)
#define WF_RUNQ_SHARED ((AO_t)1) /* of next */

typedef struct wf_runq {
    volatile AO_t head WF_ALIGNED;
    volatile AO_t tail;
    volatile AO_t next;  /* runnext: wf_g *, perhaps SHARED, or 0; see above */
    unsigned      fresh; /* owner: how many of the newest entries are of a tree of starts */
    bool          solo;  /* fixed: there are no thieves, so no fences are needed */
    volatile AO_t slots[WF_RUNQ_SIZE] WF_ALIGNED;
} wf_runq;

void wf_runq_init(wf_runq *q, bool solo);

/* Owner: moves the oldest half to `out`; 0 if thieves emptied it meanwhile. */
int wf_runq_spill(wf_runq *q, wf_glist *out);

/* Thief: the oldest entry or NULL. */
wf_g *wf_runq_steal(wf_runq *q);
/* Thief: takes runnext only if it still is `seen` (wf_runq_next_word): shared, or the P is
 * lent to the thief. */
bool wf_runq_steal_next(wf_runq *q, AO_t seen);

/* ---- The owner's side, on every switch: inline ------------------------------- */

/* The one who moves the head past a slot owns what stood there.  With one P there is
 * nobody to race with, and 5 ns are saved. */
static inline bool wf_runq_advance(wf_runq *q, AO_t head, AO_t n)
{
    if (q->solo) {
        AO_store_release(&q->head, head + n); /* pairs with the acquire in wf_runq_len */
        return true;
    }
    return AO_compare_and_swap_full(&q->head, head, head + n); /* pairs with itself */
}

/* Owner; newest_first: part of a tree of starts.  False: full; the caller spills
 * (wf_runq_spill) and pushes again. */
static inline bool wf_runq_push(wf_runq *q, wf_g *gp, bool newest_first)
{
    AO_t tail = AO_load(&q->tail);
    AO_t head = AO_load_acquire(&q->head); /* pairs with wf_runq_advance: the slot was read */
    if (tail - head >= WF_RUNQ_SIZE)
        return false;
    q->fresh = newest_first ? q->fresh + 1 : 0; /* before a thief can have it */
    AO_store(&q->slots[tail & WF_RUNQ_MASK], (AO_t)gp);
    AO_store_release(&q->tail, tail + 1); /* pairs with the acquire in wf_runq_steal */
    return true;
}

static inline wf_g *wf_runq_unmark(AO_t next)
{
    return (wf_g *)(next & ~WF_RUNQ_SHARED);
}

/* Owner: puts gp in runnext, for thieves too if `shared`, and returns what stood there. */
static inline wf_g *wf_runq_swap_next(wf_runq *q, wf_g *gp, bool shared)
{
    AO_t now = (AO_t)gp | (shared ? WF_RUNQ_SHARED : 0), old = AO_load(&q->next);
    /* full: pairs with the thief's in wf_runq_steal_next, as wf_runq_take_next's does */
    if (WF_UNLIKELY(old & WF_RUNQ_SHARED) && !AO_compare_and_swap_full(&q->next, old, 0))
        old = 0;                     /* a thief was first */
    AO_store_release(&q->next, now); /* pairs with the acquire in wf_runq_next_word */
    return wf_runq_unmark(old);
}

static inline wf_g *wf_runq_take_next(wf_runq *q)
{
    AO_t next = AO_load(&q->next);
    if (WF_UNLIKELY(next & WF_RUNQ_SHARED))
        return AO_compare_and_swap_full(&q->next, next, 0) ? wf_runq_unmark(next) : NULL;
    if (next)
        AO_store(&q->next, 0);
    return (wf_g *)next;
}

static inline wf_g *wf_runq_pop_head(wf_runq *q)
{
    for (;;) {
        AO_t head = AO_load_acquire(&q->head); /* pairs with wf_runq_advance */
        if (head == AO_load(&q->tail))
            return NULL;
        wf_g *gp = (wf_g *)AO_load(&q->slots[head & WF_RUNQ_MASK]);
        if (wf_runq_advance(q, head, 1))
            return gp;
    }
}

static inline wf_g *wf_runq_pop_tail(wf_runq *q)
{
    AO_t tail = AO_load(&q->tail) - 1;
    AO_store(&q->tail, tail);
    if (!q->solo)
        wf_fence(); /* pairs with the fence in wf_runq_steal */
    AO_t     head = AO_load(&q->head);
    intptr_t left = (intptr_t)(tail - head);
    if (left > 0)
        return (wf_g *)AO_load(&q->slots[tail & WF_RUNQ_MASK]);
    wf_g *gp = NULL;
    if (left == 0) { /* the last one: whoever moves the head has it */
        gp = (wf_g *)AO_load(&q->slots[tail & WF_RUNQ_MASK]);
        if (!wf_runq_advance(q, head, 1))
            gp = NULL;
    }
    AO_store_release(&q->tail, tail + 1); /* empty again: tail == head; pairs with thieves' */
    return gp;
}

/* Owner: a thief may take it meanwhile, and run it. */
static inline bool wf_runq_oldest_has_run(const wf_runq *q)
{
    AO_t head = AO_load(&q->head);
    if ((intptr_t)(AO_load(&q->tail) - head) <= 0)
        return false;
    const wf_g *oldest = (const wf_g *)AO_load(&q->slots[head & WF_RUNQ_MASK]);
    return !AO_char_load(&oldest->fresh);
}

/* Owner: the next but for runnext, in the order above. */
static inline wf_g *wf_runq_pop(wf_runq *q)
{
    if (q->fresh) {
        q->fresh--;
        if (AO_load(&q->tail) == AO_load(&q->head))
            return NULL;
        return wf_runq_pop_tail(q);
    }
    return wf_runq_pop_head(q);
}

/*
 * Owner, before it runs a G for microseconds: brings near what runs after it, the G after
 * the next and the frames on which the next was left.  A thief may run that one meanwhile:
 * a wrong address is a useless hint, no more, which TSan cannot know.
 */
static inline void wf_runq_near(const wf_runq *q)
{
#ifndef WEFT_TSAN
    enum { FRAMES = 6 * WF_CACHELINE }; /* of a read that waits */
    AO_t head = AO_load(&q->head), n = AO_load(&q->tail) - head;
    if ((intptr_t)n <= 0)
        return;
    const wf_g *next = (const wf_g *)AO_load(&q->slots[head & WF_RUNQ_MASK]);
    const char *sp = *(void *const volatile *)&next->fctx;
    for (int i = 0; i < FRAMES; i += WF_CACHELINE)
        __builtin_prefetch(sp + i, 1);
    if (n == 1)
        return;
    next = (const wf_g *)AO_load(&q->slots[(head + 1) & WF_RUNQ_MASK]);
    __builtin_prefetch(next, 1);
    __builtin_prefetch(&next->borrow, 1);
#else
    (void)q;
#endif
}

static inline unsigned wf_runq_len(const wf_runq *q)
{
    /* pair with wf_runq_push and wf_runq_advance: a number that was true once */
    intptr_t n = (intptr_t)(AO_load_acquire(&q->tail) - AO_load_acquire(&q->head));
    return n > 0 ? (unsigned)n : 0;
}

static inline AO_t wf_runq_next_word(const wf_runq *q)
{
    return AO_load_acquire(&q->next); /* pairs with wf_runq_swap_next */
}

static inline wf_g *wf_runq_next(const wf_runq *q)
{
    return wf_runq_unmark(wf_runq_next_word(q));
}

static inline bool wf_runq_empty(const wf_runq *q)
{
    return wf_runq_len(q) == 0 && !wf_runq_next(q);
}

#endif
