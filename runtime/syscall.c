/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - weft_block_enter and weft_block_leave: code that blocks its thread.
 *
 * On enter the P is handed on at once; on the way back the G takes its old P, an idle
 * one, or waits in the global queue.  Between them the M has no P, and mp->gp is NULL so
 * that every call that needs one ends the process with a message.
 */
#include "sched.h"

void weft_block_enter(void)
{
    wf_m *mp = wf_m_self();
    if (mp && mp->blocked) { /* counted */
        mp->block_depth++;
        return;
    }
    mp = wf_enter("weft_block_enter");
    wf_p *pp = mp->pp;
    mp->blocked = mp->gp;
    mp->block_depth = 1;
    mp->old_p = pp;
    mp->gp = NULL;
    mp->pp = NULL;
    AO_fetch_and_add_full(&wf_the_sched.n_handoffs, 1);
    wf_handoff(mp, pp);
    wf_leave(mp);
}

void weft_block_leave(void)
{
    wf_m *mp = wf_m_self();
    if (!mp || !mp->blocked)
        wf_die("weft_block_leave was called without weft_block_enter");
    if (--mp->block_depth > 0)
        return;
    AO_store(&mp->inside, 1); /* no P can be taken from an M that has none */
    bool have = wf_p_acquire(mp, mp->old_p);
    if (!have && mp->in_block) { /* the runtime stopped without it */
        wf_leave(mp);
        wf_sleep_for_ever();
    }
    mp->gp = mp->blocked;
    mp->blocked = NULL;
    if (!have)
        mp = wf_leave_without_p(mp);
    wf_leave(mp);
}
