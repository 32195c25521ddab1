/* SPDX-License-Identifier: Apache-2.0 */
/*
 * global.c - the global run queue: what a full ring spilled, what threads without a P
 * readied, and Gs that only one M may run.
 *
 * Under sched.lock.  Must never wake anybody: who pushes decides on that.
 */
#include "sched.h"

enum { SHARE_MOST = WF_RUNQ_SIZE / 2 };

#define S wf_the_sched

void wf_global_push_locked(wf_glist *list)
{
    if (list->n == 0)
        return;
    *S.global.tail = list->head;
    S.global.tail = list->tail;
    S.global.n += list->n;
    AO_store(&S.n_global, (AO_t)S.global.n);
    wf_glist_init(list);
}

void wf_global_push_list(wf_glist *list)
{
    if (list->n == 0)
        return;
    wf_lock_acquire(&S.lock);
    wf_global_push_locked(list);
    wf_lock_release(&S.lock);
}

static wf_g *global_pop(void)
{
    wf_g *gp = wf_glist_pop(&S.global);
    AO_store(&S.n_global, (AO_t)S.global.n);
    return gp;
}

wf_g *wf_global_take_one(void)
{
    if (!AO_load(&S.n_global))
        return NULL;
    wf_lock_acquire(&S.lock);
    wf_g *gp = global_pop();
    wf_lock_release(&S.lock);
    return gp;
}

wf_g *wf_global_take(wf_m *mp)
{
    if (!AO_load(&S.n_global))
        return NULL;
    wf_glist share;
    wf_glist_init(&share);
    wf_lock_acquire(&S.lock);
    wf_g *gp = global_pop();
    int   n = S.global.n / S.procs;
    for (int i = 0; i < n && i < SHARE_MOST; i++)
        wf_glist_push(&share, global_pop());
    wf_lock_release(&S.lock);
    wf_ready_list(mp, &share); /* on its way it was in no queue: who looked then missed it */
    return gp;
}
