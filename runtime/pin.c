/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin.c - Gs that only one M may run: weft_pin, and the way back of a G whose P was
 * taken while it blocked or computed on its thread.
 *
 * Such a G has gp->bound set, and gp->bound_to is its M.  It is queued like any other, but in the global
 * queue once somebody noticed; whichever M takes it out gives its P to that M and
 * goes idle without one.  bound is written by the G itself, before it can be queued.
 * The M waits on its park word, in no list, so nobody else hands it a P.
 *
 * A pinned M keeps pp->poke set: so every switch of its G goes through g0, where it
 * gives its P up (wf_await_pinned), and others pay nothing.
 */
#include "sched.h"

#define S wf_the_sched

static void bind(wf_g *gp, wf_m *mp)
{
    gp->bound_to = mp;
    AO_char_store(&gp->bound, WF_BOUND);
}

static void queue(wf_g *gp)
{
    wf_glist one;
    wf_glist_init(&one);
    wf_glist_push(&one, gp);
    wf_ready_list(NULL, &one);
}

/* The P that it is given may be taken again before its thread runs: so in a loop. */
void wf_p_await(wf_m *mp)
{
    wf_g *gp = mp->gp;
    do {
        mp->pp = NULL;
        if (wf_p_acquire(mp))
            break;
        if (mp->ring)
            wf_flush_ring(mp);
        bind(gp, mp);
        queue(gp);
        AO_fetch_and_add(&S.n_parks, 1);
        wf_leave(mp); /* the stop need not wait for it, and what is S by now is not its runtime's */
        wf_doze(mp, WEFT_FOREVER);
        AO_store(&mp->inside, 1);
        wf_compiler_barrier();     /* pairs with the membarrier in retake.c's take */
    } while (!wf_grip_regain(mp)); /* pairs with the release in wf_own */
    if (gp->pins == 0)
        AO_char_store(&gp->bound, 0);
    else
        AO_store(&mp->pp->poke, 1);
}

void wf_give_p(wf_m *mp, wf_g *gp)
{
    wf_m *to = gp->bound_to;
    wf_p *pp = mp->pp;
    mp->pp = NULL;
    wf_lock_acquire(&S.lock);
    bool stopped = AO_load(&S.stopped); /* then it is abandoned */
    if (!stopped) {
        to->nextp = pp;
        wf_own(to, pp);
        pp->given = AO_load(&pp->tick) + AO_load(&pp->owners);
        AO_int_store_release(&to->park_word, 1); /* pairs with wf_doze's acquire */
    }
    wf_lock_release(&S.lock);
    if (stopped)
        return;
    AO_fetch_and_add(&S.n_wakes, 1);
    wf_futex_wake(&to->park_word, 1);
}

wf_g *wf_await_pinned(wf_m *mp)
{
    if (mp->ring)
        wf_flush_ring(mp);
    AO_store(&mp->waits_pinned, 1);
    wf_handoff(mp); /* it may have been given another by now: its grip is on that one */
    if (AO_load(&S.short_until) && wf_m_is_alone())
        wf_die("no thread can be created beside that of a pinned coroutine which waits, to wait "
               "for events: raise the limit of processes (ulimit -u) or of memory");
    while (!mp->pp && !AO_load(&S.stopped)) { /* the stop wakes it too, again and again */
        AO_fetch_and_add(&S.n_parks, 1);
        wf_doze(mp, WEFT_FOREVER);
    }
    AO_store(&mp->waits_pinned, 0);
    if (!mp->pp)
        return NULL;
    AO_store(&mp->pp->poke, 1);
    return mp->pinned;
}

void weft_pin(void)
{
    wf_m *mp = wf_enter("weft_pin");
    if (mp->gp->pins++ == 0) {
        bind(mp->gp, mp);
        mp->pinned = mp->gp;
        AO_store(&mp->pp->poke, 1);
    }
    wf_leave(mp);
}

void weft_unpin(void)
{
    wf_m *mp = wf_enter("weft_unpin");
    if (mp->gp->pins == 0)
        wf_die("weft_unpin was called without weft_pin");
    if (--mp->gp->pins == 0) {
        AO_char_store(&mp->gp->bound, 0);
        mp->pinned = NULL;
    }
    wf_leave(mp);
}

void wf_unpin_ended(wf_m *mp)
{
    mp->gp->pins = 0;
    AO_char_store(&mp->gp->bound, 0);
    mp->pinned = NULL;
}
