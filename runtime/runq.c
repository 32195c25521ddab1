/* SPDX-License-Identifier: Apache-2.0 */
/* runq.c - the ring's transitions; the table and the argument are in runq.h. */
#include "runq.h"

enum { MASK = WF_RUNQ_SIZE - 1 };

void wf_runq_init(wf_runq *q, bool solo)
{
    AO_store(&q->head, 0);
    AO_store(&q->tail, 0);
    AO_store(&q->next, 0);
    q->fresh = 0;
    q->solo = solo;
}

/* The one who moves the head past a slot owns what stood there.  With one P there is
 * nobody to race with, and 5 ns are saved. */
static inline bool advance_head(wf_runq *q, AO_t head, AO_t n)
{
    if (q->solo) {
        AO_store_release(&q->head, head + n); /* pairs with the acquire in wf_runq_len */
        return true;
    }
    return AO_compare_and_swap_full(&q->head, head, head + n); /* pairs with itself */
}

bool wf_runq_push(wf_runq *q, wf_g *gp)
{
    AO_t tail = AO_load(&q->tail);
    AO_t head = AO_load_acquire(&q->head); /* pairs with advance_head: the slot was read */
    if (tail - head >= WF_RUNQ_SIZE)
        return false;
    AO_store(&q->slots[tail & MASK], (AO_t)gp);
    AO_store_release(&q->tail, tail + 1); /* pairs with the acquire in wf_runq_steal */
    q->fresh = gp->fresh ? q->fresh + 1 : 0;
    return true;
}

wf_g *wf_runq_swap_next(wf_runq *q, wf_g *gp)
{
    AO_t old = AO_load(&q->next);
    if (q->solo) {
        AO_store_release(&q->next, (AO_t)gp);
        return (wf_g *)old;
    }
    /* full: pairs with wf_runq_steal_next; also the fence before the waker's look */
    while (!AO_compare_and_swap_full(&q->next, old, (AO_t)gp))
        old = AO_load(&q->next);
    return (wf_g *)old;
}

wf_g *wf_runq_take_next(wf_runq *q)
{
    AO_t gp = AO_load(&q->next);
    if (!gp)
        return NULL;
    if (q->solo) {
        AO_store(&q->next, 0);
        return (wf_g *)gp;
    }
    return AO_compare_and_swap_full(&q->next, gp, 0) ? (wf_g *)gp : NULL;
}

wf_g *wf_runq_pop_head(wf_runq *q)
{
    for (;;) {
        AO_t head = AO_load_acquire(&q->head); /* pairs with advance_head */
        if (head == AO_load(&q->tail))
            return NULL;
        wf_g *gp = (wf_g *)AO_load(&q->slots[head & MASK]);
        if (advance_head(q, head, 1))
            return gp;
    }
}

static wf_g *pop_tail(wf_runq *q)
{
    AO_t tail = AO_load(&q->tail) - 1;
    AO_store(&q->tail, tail);
    if (!q->solo)
        wf_fence(); /* pairs with the fence in wf_runq_steal */
    AO_t     head = AO_load(&q->head);
    intptr_t left = (intptr_t)(tail - head);
    if (left > 0)
        return (wf_g *)AO_load(&q->slots[tail & MASK]);
    wf_g *gp = NULL;
    if (left == 0) { /* the last one: whoever moves the head has it */
        gp = (wf_g *)AO_load(&q->slots[tail & MASK]);
        if (!advance_head(q, head, 1))
            gp = NULL;
    }
    AO_store_release(&q->tail, tail + 1); /* empty again: tail == head */
    return gp;
}

wf_g *wf_runq_pop(wf_runq *q)
{
    if (q->fresh) {
        q->fresh--;
        if (AO_load(&q->tail) == AO_load(&q->head))
            return NULL;
        return pop_tail(q);
    }
    return wf_runq_pop_head(q);
}

int wf_runq_spill(wf_runq *q, wf_glist *out)
{
    AO_t head = AO_load_acquire(&q->head); /* pairs with advance_head */
    AO_t n = (AO_load(&q->tail) - head) / 2;
    wf_g *taken[WF_RUNQ_SIZE / 2];
    for (AO_t i = 0; i < n; i++)
        taken[i] = (wf_g *)AO_load(&q->slots[(head + i) & MASK]);
    if (n == 0 || !advance_head(q, head, n))
        return 0;
    for (AO_t i = 0; i < n; i++)
        wf_glist_push(out, taken[i]);
    return (int)n;
}

wf_g *wf_runq_steal(wf_runq *q)
{
    AO_t head = AO_load_acquire(&q->head); /* pairs with advance_head */
    wf_fence();                            /* pairs with the fence in pop_tail */
    AO_t tail = AO_load_acquire(&q->tail); /* pairs with the release in wf_runq_push */
    if ((intptr_t)(tail - head) <= 0)
        return NULL;
    wf_g *gp = (wf_g *)AO_load(&q->slots[head & MASK]); /* before the CAS, never after */
    return advance_head(q, head, 1) ? gp : NULL;
}

bool wf_runq_steal_next(wf_runq *q, wf_g *seen)
{
    return AO_compare_and_swap_full(&q->next, (AO_t)seen, 0); /* pairs with swap_next */
}
