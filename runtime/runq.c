/* SPDX-License-Identifier: Apache-2.0 */
/* runq.c - the ring's transitions; the table and the argument are in runq.h. */
#include "runq.h"

void wf_runq_init(wf_runq *q, bool solo)
{
    AO_store(&q->head, 0);
    AO_store(&q->tail, 0);
    AO_store(&q->next, 0);
    q->fresh = 0;
    q->solo = solo;
}

int wf_runq_spill(wf_runq *q, wf_glist *out)
{
    AO_t  head = AO_load_acquire(&q->head); /* pairs with wf_runq_advance */
    AO_t  n = (AO_load(&q->tail) - head) / 2;
    wf_g *taken[WF_RUNQ_SIZE / 2];
    for (AO_t i = 0; i < n; i++)
        taken[i] = (wf_g *)AO_load(&q->slots[(head + i) & WF_RUNQ_MASK]);
    if (n == 0 || !wf_runq_advance(q, head, n))
        return 0;
    for (AO_t i = 0; i < n; i++)
        wf_glist_push(out, taken[i]);
    return (int)n;
}

wf_g *wf_runq_steal(wf_runq *q)
{
    AO_t head = AO_load_acquire(&q->head); /* pairs with wf_runq_advance */
    wf_fence();                            /* pairs with the fence in wf_runq_pop_tail */
    AO_t tail = AO_load_acquire(&q->tail); /* pairs with the release in wf_runq_push */
    if ((intptr_t)(tail - head) <= 0)
        return NULL;
    wf_g *gp = (wf_g *)AO_load(&q->slots[head & WF_RUNQ_MASK]); /* before the CAS, never after */
    return wf_runq_advance(q, head, 1) ? gp : NULL;
}

bool wf_runq_steal_next(wf_runq *q, AO_t seen)
{
    if (wf_runq_next_word(q) != seen)
        return false;
    if (seen & WF_RUNQ_SHARED)
        return AO_compare_and_swap_full(&q->next, seen, 0); /* pairs with the owner's */
    AO_store(&q->next, 0);
    return true;
}
