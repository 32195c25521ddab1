/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retake.c - an M's grip on its P: taking the P from an M in other code, lending it, and how the
 * owner finds out when it comes back.
 *
 * Owns the word wf_m.grip but for wf_own and one store of weft_block_enter's; the table and the
 * argument are at wf_grip.  Must never take or lend a P without sched.lock, nor wait for its
 * owner: only the owner may wait, while its P is lent.  What becomes of a P that was taken is
 * idle.c's.
 */
#include "sched.h"

#define S wf_the_sched

enum { PATIENCE = 4096 }; /* pauses: several membarriers */

/* ---- The owner ------------------------------------------------------------------ */

/* Outside again until who asked has decided; not for long, as it may wait for this very CPU. */
static void let_be_taken(wf_m *mp)
{
    AO_store_release(&mp->inside, 0); /* pairs with the load in take, as wf_leave's */
    for (int i = 0; i < PATIENCE && AO_load(&mp->grip) == WF_GRIP_ASKED; i++)
        wf_cpu_relax();
    AO_store(&mp->inside, 1);
    wf_compiler_barrier(); /* pairs with the membarrier in take, as wf_enter's */
}

bool wf_grip_regain(wf_m *mp)
{
    if (AO_load(&mp->grip) == WF_GRIP_ASKED)
        let_be_taken(mp);
    for (;;) {
        AO_t grip = AO_load_acquire(&mp->grip); /* pairs with who took or lent, and with wf_own */
        if (grip == WF_GRIP_HELD || grip == WF_GRIP_LOST)
            return grip == WF_GRIP_HELD;
        /* full: pairs with the CASes in take; whoever wins owns the P */
        if (grip != WF_GRIP_LENT && AO_compare_and_swap_full(&mp->grip, grip, WF_GRIP_HELD))
            return true;
        wf_cpu_relax(); /* LENT: a thief is at runnext, for a few instructions */
    }
}

void wf_enter_slow(wf_m *mp)
{
    if (!wf_grip_regain(mp))
        wf_p_await(mp);
}

/* ---- The taker, who holds sched.lock ------------------------------------------------ */

/* From HELD by way of `by` to `to`, if pp's M is outside the runtime and stays there. */
static bool take(wf_p *pp, AO_t by, AO_t to)
{
    wf_m *mp = pp->m;
    /* full: pairs with the owner's load in wf_enter, by the membarrier */
    if (!mp || !AO_compare_and_swap_full(&mp->grip, WF_GRIP_HELD, by))
        return false;
    wf_membarrier();                  /* pairs with the compiler barrier in wf_enter */
    if (AO_load_acquire(&mp->inside)) /* pairs with wf_leave */
        to = WF_GRIP_HELD;
    /* full: pairs with wf_grip_regain; fails if the owner came inside meanwhile */
    return AO_compare_and_swap_full(&mp->grip, by, to) && to != WF_GRIP_HELD;
}

bool wf_p_take(wf_p *pp)
{
    return take(pp, WF_GRIP_ASKED, WF_GRIP_LOST);
}

wf_p *wf_p_take_blocked(void)
{
    for (int i = 0; i < S.procs; i++) {
        wf_p *pp = S.ps[i];
        if (AO_load(&pp->blocks) % 2 && take(pp, WF_GRIP_TAKING, WF_GRIP_LOST)) {
            wf_count(&pp->blocks, 1);
            AO_fetch_and_add(&S.n_handoffs, 1);
            return pp;
        }
    }
    return NULL;
}

bool wf_p_lend(wf_p *pp, AO_t seen)
{
    if (!wf_lock_try(&S.lock)) /* busy: somebody wakes or goes idle; there is a next round */
        return false;
    bool lent = take(pp, WF_GRIP_TAKING, WF_GRIP_LENT);
    bool taken = lent && wf_runq_steal_next(&pp->runq, seen);
    if (lent)
        AO_store_release(&pp->m->grip, WF_GRIP_HELD); /* pairs with wf_enter's load */
    wf_lock_release(&S.lock);
    return taken;
}

static bool needs_thread(void)
{
    return !S.idle_m && !S.poller &&
           (S.n_threads - S.n_exited >= S.max_threads || !wf_m_possible());
}

bool wf_p_retake(wf_p *pp, bool computes)
{
    wf_lock_acquire(&S.lock);
    if (AO_load(&S.stopped) || (computes && needs_thread()) ||
        !take(pp, WF_GRIP_ASKED, WF_GRIP_LOST)) {
        wf_lock_release(&S.lock);
        return false;
    }
    if (AO_load(&pp->blocks) % 2) {
        wf_count(&pp->blocks, 1);
        AO_store(&pp->blocks_long, 1);
    }
    /* Who hogs P after P does not switch, so ticks stand still; those that came back wait in
     * the global queue, with a thread each.  So it and the ring take turns. */
    pp->global_turn = AO_load(&pp->tick) + AO_load(&pp->owners) != pp->given;
    wf_p_pass_on(pp);
    return true;
}

int64_t wf_p_cpu(wf_p *pp, int *tid)
{
    struct timespec t = { .tv_sec = -1 };
    wf_lock_acquire(&S.lock);
    wf_m *mp = pp->m;
    *tid = mp ? (int)AO_int_load_acquire(&mp->tid) : 0; /* pairs with m_main */
    if (*tid)
        clock_gettime(mp->cpu_clock, &t);
    if (mp && AO_load_acquire(&mp->inside)) /* pairs with wf_leave */
        *tid = 0;
    wf_lock_release(&S.lock);
    return t.tv_sec < 0 ? -1 : t.tv_sec * WEFT_S + t.tv_nsec;
}
