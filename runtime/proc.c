/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.c - find_runnable: where an M on its g0 looks for the next G, and in what order.
 *
 * Due timers; now and then the global queue and the ring's oldest first; runnext; the
 * ring; the global queue; the netpoller, without blocking; other Ps' rings, timers and,
 * last, their runnext; then idle.c.  Every choice is a named function here.
 *
 * Rejected: waking a P for each batch that a poll or the timers return.  A handler that
 * takes a few microseconds is done before the woken thread has run, and each wake costs the
 * waker 6 to 8 us: so what they readied wakes nobody until it shows that it is slow
 * (batch_is_slow) or has waited for 1 ms (sysmon).
 */
#include "epoll.h"
#include "hibernate.h"
#include "sched.h"
#include "uring.h"

#define S               wf_the_sched
#define SPIN_NS         (30 * WEFT_US)
#define OLDEST_WAITS_NS (10 * WEFT_MS)
#define NEXT_GRACE_NS   (2 * WEFT_US)
#define BORROW_NS       (10 * WEFT_US)
#define BATCH_LOOK_NS   (50 * WEFT_US)
#define BATCH_SLOW_NS   (16 * WEFT_US)

enum {
    LOOK_TICKS = 64,
    PAUSES = 16,
    RING_TURNS = 16,
    TIMERS_ENOUGH = 64 /* Gs in the ring: what else is due waits in the heap, in order */
};

void wf_ready_batch(wf_m *mp, wf_glist *out, int64_t now)
{
    wf_p *pp = mp->pp;
    if (pp->batch_left == 0) {
        pp->batch_run = 0;
        pp->batch_time = now;
    }
    pp->batch_left += (unsigned)out->n;
    wf_push_local(mp, out);
}

/* ---- The P's own -------------------------------------------------------------------- */

static bool run_timers(wf_m *mp, wf_timer_heap *h, int64_t now)
{
    wf_glist out;
    wf_glist_init(&out);
    int  n = wf_timers_run(h, now, &out);
    bool surplus = out.n > 1;
    wf_ready_batch(mp, &out, now);
    if (surplus && AO_load(&S.n_idle_p) && !AO_load(&S.n_spinning) && !AO_load(&S.futile))
        wf_wakep(); /* some may compute for long; where they do not, this soon proves futile */
    return n > 0;
}

static void run_own_timers(wf_m *mp)
{
    wf_timer_heap *h = &mp->pp->timers;
    int64_t        when = wf_timer_heap_when(h);
    if (when == WEFT_FOREVER)
        return;
    int64_t now = wf_now();
    while (when <= now && run_timers(mp, h, now) && wf_runq_len(&mp->pp->runq) < TIMERS_ENOUGH)
        when = wf_timer_heap_when(h);
}

/* Do the Gs of this batch take so long that another thread would help? */
static bool batch_is_slow(const wf_p *pp)
{
    if (!AO_load(&S.n_idle_p) || AO_load(&S.n_spinning))
        return false;
    int64_t spent = wf_now() - pp->batch_time;
    return spent > BATCH_LOOK_NS && spent > BATCH_SLOW_NS * (int64_t)pp->batch_run;
}

static wf_g *take_ring(wf_p *pp)
{
    wf_g *gp = wf_runq_pop(&pp->runq);
    if (pp->batch_left == 0)
        return gp;
    pp->batch_left--;
    pp->batch_run++;
    wf_runq_near(&pp->runq);
    if (!gp) {
        pp->batch_left = 0;
    } else if (pp->batch_left > 0 && batch_is_slow(pp)) {
        pp->batch_left = 0;
        wf_wakep();
    }
    return gp;
}

/*
 * The oldest entry is due now and then, lest runnext and newer starts starve it: at once
 * unless it has never run and all the ring is a tree of starts; then only when it has
 * waited for long, since such a tree wants its oldest, largest part last.
 */
static bool oldest_is_due(wf_p *pp)
{
    if (pp->runq.fresh < wf_runq_len(&pp->runq) || wf_runq_oldest_has_run(&pp->runq))
        return true;
    AO_t    head = AO_load(&pp->runq.head);
    int64_t now = wf_now();
    if (head != pp->oldest) {
        pp->oldest = head;
        pp->oldest_since = now;
    }
    return now - pp->oldest_since > OLDEST_WAITS_NS;
}

static wf_g *take_old(wf_m *mp)
{
    wf_p *pp = mp->pp;
    AO_t  tick = AO_load(&pp->tick);
    bool  due = tick % LOOK_TICKS == 0 && tick != pp->looked; /* once: ticks may stand still */
    pp->looked = tick;
    if (!due && !pp->global_turn)
        return NULL;
    pp->global_turn = false;
    if (mp->ring)
        wf_flush_ring(mp); /* it never runs dry: so requests go out now and then */
    wf_g *gp = wf_global_take_one();
    return gp || !oldest_is_due(pp) ? gp : wf_runq_pop_head(&pp->runq);
}

/* A queued write must not wait for others' slices: so g0 looks again at the next switch. */
static void see_to_sends(wf_m *mp)
{
    wf_glist out;
    wf_glist_init(&out);
    enum wf_uring_sends sends = wf_uring_hold(mp, &out);
    if (sends == WF_URING_HELD)
        AO_store(&mp->pp->poke, 1);
    else if (sends == WF_URING_GONE)
        mp->pp->global_turn = true;
    wf_ready_list(mp, &out);
}

static wf_g *find_local(wf_m *mp)
{
    wf_p *pp = mp->pp;
    AO_store(&pp->poke, 0);
    if (mp->ring)
        see_to_sends(mp);
    run_own_timers(mp);
    wf_g *gp = take_old(mp);
    if (!gp)
        gp = wf_runq_take_next(&pp->runq);
    if (!gp)
        gp = take_ring(pp);
    return gp ? gp : wf_global_take(mp);
}

/* ---- The netpoller, without blocking --------------------------------------------------- */

static bool others_run(void)
{
    return AO_load(&S.n_idle_p) + 1 < (AO_t)S.procs;
}

static wf_g *run_polled(wf_m *mp, int n, wf_glist *out)
{
    wf_count(&mp->pp->n_polls, 1);
    wf_count(&mp->pp->n_poll_events, (AO_t)n);
    wf_polled(mp, out, wf_now());
    return take_ring(mp->pp);
}

/* The M's own ring, in memory; now and then epoll too, lest what it alone tells of waits. */
static wf_g *find_in_ring(wf_m *mp)
{
    wf_glist out;
    wf_glist_init(&out);
    int n = wf_uring_poll(mp, &out);
    if (n == 0)
        return NULL;
    if (mp->ring_turns++ % RING_TURNS == 0)
        n += wf_netpoll(&out);
    return run_polled(mp, n, &out);
}

static wf_g *find_polled(wf_m *mp)
{
    wf_g *gp = mp->ring ? find_in_ring(mp) : NULL;
    if (gp)
        return gp;
    /* Blocked: an M sees it.  Nobody else runs: the blocking poll is next, and enough. */
    if (!wf_netpoll_used() || AO_load(&S.poll_state) == WF_POLL_BLOCKED || !others_run())
        return NULL;
    wf_glist out;
    wf_glist_init(&out);
    int n = wf_netpoll(&out);
    return run_polled(mp, n, &out);
}

/* ---- Stealing ------------------------------------------------------------------------------ */

static wf_g *steal_half(wf_m *mp, wf_p *victim)
{
    unsigned n = (wf_runq_len(&victim->runq) + 1) / 2;
    if (n == 0)
        return NULL;
    wf_g *first = wf_runq_steal(&victim->runq);
    if (!first)
        return NULL;
    wf_glist rest;
    wf_glist_init(&rest);
    while (--n > 0) {
        wf_g *gp = wf_runq_steal(&victim->runq);
        if (!gp)
            break;
        wf_glist_push(&rest, gp);
    }
    wf_count(&mp->pp->n_steals, 1);
    wf_count(&mp->pp->n_stolen, 1 + (AO_t)rest.n);
    wf_ready_list(mp, &rest); /* on its way it was in no queue: who looked then missed it */
    return first;
}

/* Each look takes a line from the victim, which writes there at each switch. */
static void pause_between_looks(void)
{
    for (int i = 0; i < PAUSES; i++)
        wf_cpu_relax();
}

/* One that its owner did not share, which takes a membarrier. */
static bool borrow_next(wf_p *victim, AO_t seen)
{
    int64_t now = wf_now();
    if (AO_load(&victim->next_seen) != seen) {
        AO_store(&victim->next_seen, seen);
        AO_store(&victim->next_since, (AO_t)now);
        return false;
    }
    return now - (int64_t)AO_load(&victim->next_since) > BORROW_NS && wf_p_lend(victim, seen);
}

static bool take_shared(wf_p *victim, AO_t seen)
{
    for (int64_t end = wf_now() + NEXT_GRACE_NS; wf_now() < end;) {
        pause_between_looks();
        if (wf_runq_next_word(&victim->runq) != seen)
            return false; /* its owner is quicker */
    }
    return wf_runq_steal_next(&victim->runq, seen);
}

static wf_g *steal_next(wf_m *mp, wf_p *victim)
{
    AO_t seen = wf_runq_next_word(&victim->runq);
    if (!seen)
        return NULL;
    if (!(seen & WF_RUNQ_SHARED ? take_shared : borrow_next)(victim, seen))
        return NULL;
    wf_count(&mp->pp->n_steals, 1);
    wf_count(&mp->pp->n_stolen, 1);
    return wf_runq_unmark(seen);
}

/* The i-th victim of a round that starts at random. */
static wf_p *choose_victim(uint32_t start, int i)
{
    return S.ps[(start + (uint32_t)i) % (uint32_t)S.procs];
}

static wf_g *steal_round(wf_m *mp, wf_g *(*steal)(wf_m *mp, wf_p *victim))
{
    uint32_t start = wf_random_next(&mp->pp->random);
    for (int i = 0; i < S.procs; i++) {
        wf_p *victim = choose_victim(start, i);
        if (victim == mp->pp || AO_load(&victim->status) == WF_P_IDLE)
            continue;
        wf_g *gp = steal(mp, victim);
        if (gp)
            return gp;
    }
    return NULL;
}

/* Due timers of all Ps: those of idle ones are nobody else's. */
static wf_g *steal_timers(wf_m *mp)
{
    int64_t now = 0;
    for (int i = 0; i < S.procs; i++) {
        int64_t when = wf_timer_heap_when(&S.ps[i]->timers);
        if (when == WEFT_FOREVER)
            continue;
        if (now == 0)
            now = wf_now();
        if (when <= now && run_timers(mp, &S.ps[i]->timers, now)) {
            wf_g *gp = wf_runq_pop(&mp->pp->runq);
            if (gp)
                return gp;
        }
    }
    return NULL;
}

static wf_g *steal_once(wf_m *mp)
{
    wf_g *gp = steal_round(mp, steal_half);
    if (!gp)
        gp = wf_global_take(mp);
    if (!gp)
        gp = steal_timers(mp);
    return gp || !mp->spinning ? gp : steal_round(mp, steal_next);
}

static wf_g *find_elsewhere(wf_m *mp)
{
    if (S.procs == 1)
        return NULL;
    if (!others_run())
        return steal_timers(mp);
    if (!mp->spinning && AO_compare_and_swap_full(&S.n_spinning, 0, 1)) /* as in wf_wakep */
        mp->spinning = true;
    wf_g *gp = steal_once(mp);
    if (gp || !mp->spinning || !S.may_spin)
        return gp;
    for (int64_t end = wf_now() + SPIN_NS; others_run() && wf_now() < end;) {
        pause_between_looks();
        gp = steal_once(mp);
        if (gp || AO_load(&S.stopped))
            return gp;
    }
    return NULL;
}

/* ---- All together ------------------------------------------------------------------------------ */

/* It found work, so there may be more: another may look while this one runs. */
static void stop_spinning(wf_m *mp)
{
    mp->spinning = mp->woken = false;
    AO_store(&S.n_spinning, 0); /* the fence is what orders it */
    wf_fence();                 /* pairs with a producer's, which saw the spinner and woke nobody */
    if (AO_load(&S.n_idle_p) && wf_work_anywhere())
        wf_wakep();
}

wf_g *wf_find_runnable(wf_m *mp)
{
    if (WF_UNLIKELY(mp->pinned != NULL))
        return wf_await_pinned(mp);
    while (!AO_load(&S.stopped) && !mp->retired) {
        if (!mp->pp) {
            wf_stop_m(mp);
            continue;
        }
        wf_g *gp = find_local(mp);
        if (!gp)
            gp = find_polled(mp);
        if (!gp)
            gp = find_elsewhere(mp);
        if (!gp) {
            wf_go_idle(mp);
            continue;
        }
        if (mp->spinning)
            stop_spinning(mp);
        if (WF_UNLIKELY(gp->bound & WF_HIBERNATES))
            wf_hibernate_end(gp);
        if (WF_LIKELY(!gp->bound))
            return gp;
        wf_give_p(mp, gp);
    }
    return NULL;
}
