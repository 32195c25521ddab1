/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - weft_block_enter and weft_block_leave: code that blocks its thread.
 *
 * On enter the P stays with the M, which leaves the runtime; if the block lasts, sysmon
 * takes the P and gives it to another M.  On the way back the G has its P still, or takes
 * an idle one, or one whose M blocks, or waits in the global queue.  Where blocks have
 * lasted lately, or a G waits there, the P is given up at once: then others need not wait
 * for sysmon's next look.  Between the two mp->gp is NULL, so that every call that needs a
 * P ends the process with a message.
 */
#include "sched.h"

#define SHORT_NS (20 * WEFT_US) /* a hand-off costs no less */

void weft_block_enter(void)
{
    wf_m *mp = wf_m_self();
    if (mp && mp->blocked) { /* counted */
        mp->block_depth++;
        return;
    }
    mp = wf_enter("weft_block_enter");
    if (mp->ring)
        wf_flush_ring(mp);
    mp->blocked = mp->gp;
    mp->block_depth = 1;
    mp->gp = NULL;
    mp->gave_up_at = 0;
    if (AO_load(&mp->pp->blocks_long) || AO_load(&wf_the_sched.n_global)) {
        mp->gave_up_at = wf_now();
        wf_handoff(mp);
        AO_store(&mp->grip, WF_GRIP_LOST);
    } else {
        wf_count(&mp->pp->blocks, 1);
    }
    wf_leave(mp);
}

/* Its P was taken, or given up.  Returns with another, perhaps on another M. */
static wf_m *come_back(wf_m *mp)
{
    bool was_short = mp->gave_up_at && wf_now() - mp->gave_up_at < SHORT_NS;
    if (mp->gp->pins > 0) {
        wf_p_await(mp);
    } else {
        mp->pp = NULL;
        if (!wf_p_acquire(mp))
            mp = wf_leave_without_p(mp);
    }
    if (was_short)
        AO_store(&mp->pp->blocks_long, 0);
    return mp;
}

void weft_block_leave(void)
{
    wf_m *mp = wf_m_self();
    if (!mp || !mp->blocked)
        wf_die("weft_block_leave was called without weft_block_enter");
    if (--mp->block_depth > 0)
        return;
    AO_store(&mp->inside, 1);
    wf_compiler_barrier(); /* pairs with the membarrier in retake.c's take */
    bool held = wf_grip_regain(mp);
    mp->gp = mp->blocked;
    mp->blocked = NULL;
    if (held)
        wf_count(&mp->pp->blocks, 1);
    else
        mp = come_back(mp);
    wf_leave(mp);
}
