/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.c - idle Ps and Ms, waking one, and the netpoller's turn.
 *
 * Owns sched.lock's lists.  Must never run a G, nor take a P from an M: that is retake.c's.
 *
 * Why no work lies while a P idles and all sleep:
 *   a producer   publishes work; fence; looks for an idle P and for a spinner;
 *                if there is the one and not the other, wakes an M (wf_wakep)
 *   an M         makes its P idle (n_idle_p); stops spinning (n_spinning); fence;
 *                looks at all queues again; finds work: takes a P back
 * If the producer saw no idle P or saw a spinner, then the M's steps came after the
 * producer's load, hence after the work was published, and its second look finds it.
 * Work in a lone runnext is the exception: it belongs to a P that runs, which takes it
 * at its next switch, or sysmon wakes a thief after 1 ms (tests/model/idle.pml).
 */
#include "epoll.h"
#include "sched.h"
#include "uring.h"

#define S                wf_the_sched
#define POLLED_LATELY_NS (1 * WEFT_MS)
#define SURPLUS_MOST_NS  (5 * WEFT_S)

/* ---- Idle Ps, under sched.lock ------------------------------------------------- */

/* n_idle_p is a plain store: freeing sched.lock, a read-modify-write, orders it against what is
 * looked at next, as wf_fence_after_rmw says there. */
static void idle_push(wf_p *pp)
{
    AO_store(&pp->status, WF_P_IDLE);
    pp->m = NULL;
    pp->link = S.idle_p;
    S.idle_p = pp;
    AO_store_release(&S.n_idle_p, AO_load(&S.n_idle_p) + 1); /* pairs with sysmon's all_idle */
}

static wf_p *idle_take(void)
{
    wf_p *pp = S.idle_p;
    if (pp) {
        S.idle_p = pp->link;
        AO_store(&S.n_idle_p, AO_load(&S.n_idle_p) - 1);
        if (AO_load(&S.sysmon_asleep)) /* nobody has set it for long */
            wf_clock_set(wf_now());
        AO_store(&pp->status, WF_P_RUNNING);
    }
    return pp;
}

/* A P has begun to run, and sched.lock was freed: sysmon must be awake. */
static void watch(void)
{
    /* n_idle_p was lowered; now look at the flag; pairs with sleep_for_good's fence */
    wf_fence_after_rmw();
    if (WF_UNLIKELY(AO_load(&S.sysmon_asleep)))
        wf_sysmon_wake();
}

bool wf_p_acquire(wf_m *mp)
{
    wf_lock_acquire(&S.lock);
    /* A zombie stays in its own code for ever, and does not look at the next runtime. */
    bool  stopped = mp->zombie || AO_load(&S.stopped);
    wf_p *pp = stopped ? NULL : idle_take();
    if (!pp && !stopped)
        pp = wf_p_take_blocked();
    mp->pp = pp;
    if (pp)
        wf_own(mp, pp);
    wf_lock_release(&S.lock);
    if (stopped) {
        wf_leave(mp);
        wf_sleep_for_ever();
    }
    if (pp)
        watch();
    return pp != NULL;
}

/* ---- Waking ------------------------------------------------------------------------ */

/* Under sched.lock: an M can be had for a P. */
static bool can_hand(void)
{
    return S.idle_m || (S.poller && !S.poller->nextp) || wf_m_possible();
}

/* Under sched.lock, by pp's owner: there is no thread for it.  From an idle P nobody steals. */
static void leave_its_work(wf_p *pp)
{
    wf_glist all;
    wf_glist_init(&all);
    wf_g *gp = wf_runq_take_next(&pp->runq);
    if (gp)
        wf_glist_push(&all, gp);
    while ((gp = wf_runq_pop_head(&pp->runq)))
        wf_glist_push(&all, gp);
    pp->runq.fresh = 0;
    wf_global_push_locked(&all);
}

/* Its thread could not be made, or there was no memory for it: pp idles after all. */
static WF_COLD void take_back(wf_p *pp, wf_m *mp, bool spinning, int error)
{
    wf_lock_acquire(&S.lock);
    int beside = wf_m_undo_locked(mp);
    leave_its_work(pp);
    idle_push(pp);
    if (spinning)
        AO_store_release(&S.n_spinning, 0); /* as in wf_wakep */
    wf_lock_release(&S.lock);
    if (beside > 0)
        wf_m_say_short(beside, error);
}

/* Under sched.lock, which it releases: gives pp, no longer idle, to an M. */
static void hand(wf_p *pp, bool spinning)
{
    wf_m *mp = S.idle_m;
    bool  poller = false;
    if (mp) {
        S.idle_m = mp->link;
        S.n_idle_m--;
    } else if (S.poller && !S.poller->nextp) {
        mp = S.poller;
        poller = true;
    } else {
        mp = wf_m_new_locked(pp, spinning);
        wf_lock_release(&S.lock);
        int r = mp ? wf_m_launch(mp) : -ENOMEM;
        if (r != 0)
            take_back(pp, mp, spinning, r);
        watch();
        return;
    }
    mp->nextp = pp;
    mp->spinning = mp->woken = spinning;
    wf_own(mp, pp);
    if (!poller)
        AO_int_store_release(&mp->park_word, 1); /* pairs with wf_doze's acquire */
    wf_lock_release(&S.lock);
    AO_fetch_and_add(&S.n_wakes, 1);
    if (poller)
        wf_netpoll_break();
    else
        wf_futex_wake(&mp->park_word, 1);
    watch();
}

void wf_wakep(void)
{
    if (!AO_compare_and_swap_full(&S.n_spinning, 0, 1)) /* at most one; pairs with stop_spinning */
        return;
    wf_lock_acquire(&S.lock);
    wf_p *pp = AO_load(&S.stopped) || !can_hand() ? NULL : idle_take();
    if (pp) {
        hand(pp, true);
        return;
    }
    /* All Ps run, and each looks before it idles; or there is no thread for one, and sysmon
     * tries again.  Under the lock: who sees a P that idles after this must not see a spinner
     * that has given up before it (pairs with wake_for_ring's fence). */
    AO_store_release(&S.n_spinning, 0);
    wf_lock_release(&S.lock);
}

/* While another P runs that polls for itself, nobody need block in the poll. */
static bool others_poll(const wf_p *self)
{
    if (AO_load(&S.n_idle_p) + 1 == (AO_t)S.procs)
        return false; /* nobody else runs */
    int64_t now = wf_now();
    for (int i = 0; i < S.procs; i++)
        if (S.ps[i] != self && AO_load(&S.ps[i]->status) != WF_P_IDLE &&
            now - (int64_t)AO_load(&S.ps[i]->polled) < POLLED_LATELY_NS)
            return true;
    return false;
}

void wf_p_pass_on(wf_p *pp)
{
    bool work = S.global.n > 0 || !wf_runq_empty(&pp->runq);
    bool last = AO_load(&S.n_idle_p) == (AO_t)S.procs - 1;
    AO_fetch_and_add(&S.n_handoffs, 1);
    if (!AO_load(&S.stopped) && (work || (last && !S.poller)) && can_hand()) {
        hand(pp, false);
        return;
    }
    leave_its_work(pp);
    idle_push(pp);
    wf_lock_release(&S.lock);
    wf_fence_after_rmw(); /* pairs with wake_for_ring's in sched.c */
    if (wf_work_anywhere())
        wf_wakep();
}

void wf_handoff(wf_m *mp)
{
    wf_p *pp = mp->pp;
    mp->pp = NULL;
    wf_lock_acquire(&S.lock);
    wf_p_pass_on(pp);
}

void wf_flush_ring(wf_m *mp)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_uring_flush(mp, &out);
    wf_ready_list(mp, &out);
}

/* ---- Sleeping ----------------------------------------------------------------------------- */

bool wf_doze(wf_m *mp, int64_t limit)
{
    while (!AO_int_load_acquire(&mp->park_word)) /* pairs with the releases of who hands over */
        if (wf_futex_wait(&mp->park_word, 0, limit) == -ETIMEDOUT)
            return false;
    AO_int_store(&mp->park_word, 0);
    mp->pp = mp->nextp;
    mp->nextp = NULL;
    return true;
}

/* Under sched.lock.  One that joins while the runtime stops is found by m.c's wake_all. */
static void join_idle(wf_m *mp)
{
    mp->surplus = S.n_idle_m >= S.procs;
    mp->link = S.idle_m;
    S.idle_m = mp;
    S.n_idle_m++;
}

/* Under sched.lock.  False: somebody took it off the list before. */
static bool leave_idle(wf_m *mp)
{
    wf_m **at = &S.idle_m;
    while (*at && *at != mp)
        at = &(*at)->link;
    if (!*at)
        return false;
    *at = mp->link;
    S.n_idle_m--;
    return true;
}

static bool counted_doze(wf_m *mp, int64_t limit)
{
    AO_fetch_and_add(&S.n_parks, 1);
    return wf_doze(mp, limit);
}

/* In the idle list already.  The list is last in, first out, so those that are not needed
 * lie at its end; after a time they retire. */
static void doze_or_retire(wf_m *mp)
{
    if (mp->surplus) {
        if (counted_doze(mp, wf_now() + SURPLUS_MOST_NS))
            return;
        wf_lock_acquire(&S.lock);
        mp->retired = S.n_idle_m > S.procs && leave_idle(mp);
        wf_lock_release(&S.lock);
    }
    if (!mp->retired)
        counted_doze(mp, WEFT_FOREVER);
}

static void doze(wf_m *mp)
{
    if (mp->ring)
        wf_uring_sleeps(mp);
    doze_or_retire(mp);
    if (mp->ring)
        wf_uring_wakes(mp);
}

void wf_stop_m(wf_m *mp)
{
    if (mp->ring)
        wf_flush_ring(mp);
    wf_lock_acquire(&S.lock);
    bool stopped = AO_load(&S.stopped);
    if (!stopped)
        join_idle(mp);
    wf_lock_release(&S.lock);
    if (!stopped)
        doze(mp);
}

static int64_t earliest_timer(void)
{
    int64_t when = WEFT_FOREVER;
    for (int i = 0; i < S.procs; i++) {
        /* pairs with wf_timer_start: if it is not coming any more, the heap has it */
        int64_t coming = (int64_t)AO_load_acquire(&S.ps[i]->coming);
        int64_t added = wf_timer_heap_when(&S.ps[i]->timers);
        if (coming < when)
            when = coming;
        if (added < when)
            when = added;
    }
    return when;
}

/* The poller must be seen to block, or see the timer: told of before the heap's lock, it needs
 * no fence of its own. */
int wf_timer_start(wf_m *mp, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq)
{
    wf_p *pp = mp->pp;
    AO_store(&pp->coming, (AO_t)when);
    int r = wf_timer_add(&pp->timers, t, when, fn, arg, seq);
    wf_fence_after_rmw(); /* coming, then poll_state; pairs with go_idle's, blocked_poll's */
    if (r == 1 && AO_load(&S.poll_state) == WF_POLL_BLOCKED &&
        when < (int64_t)AO_load(&S.poll_until))
        wf_netpoll_break();
    AO_store_release(&pp->coming, WF_TIMER_NONE); /* pairs with earliest_timer */
    return r < 0 ? r : 0;
}

/* Under sched.lock.  The poller has come back; with what it may go on: a P, or none. */
static bool poll_return(wf_m *mp, bool work)
{
    wf_p *pp = mp->nextp;
    mp->nextp = NULL;
    if (!pp && !AO_load(&S.stopped)) {
        if (!work) { /* for nothing: block again */
            AO_store(&S.poll_until, (AO_t)WEFT_FOREVER);
            return false;
        }
        pp = idle_take();
    }
    S.poller = NULL;
    AO_store(&S.poll_state, WF_POLL_DOZING);
    mp->pp = pp;
    if (pp)
        wf_own(mp, pp);
    return true;
}

/* poll_until was set to FOREVER before a fence.  Sets a timeout that no timer is missed by: a
 * timer that is added before the scan is seen by it; one that is added later sees poll_until
 * and breaks the poll. */
static int64_t poll_timeout(void)
{
    int64_t when = earliest_timer();
    AO_store(&S.poll_until, (AO_t)when);
    if (when == WEFT_FOREVER)
        return -1;
    int64_t left = when - wf_now();
    return left > 0 ? left : 0;
}

static void blocked_poll(wf_m *mp)
{
    wf_glist out;
    AO_t     polls = 0, events = 0;
    bool     done = false;
    int64_t  now = 0;
    wf_glist_init(&out);
    while (!done) {
        events += (AO_t)wf_netpoll_block(poll_timeout(), &out);
        if (mp->ring) /* a completion of its own may have ended the wait unsaid */
            events += (AO_t)wf_uring_poll(mp, &out);
        polls++;
        now = wf_now();
        wf_lock_acquire(&S.lock);
        done = poll_return(mp, out.n > 0 || S.global.n > 0 || earliest_timer() <= now);
        wf_lock_release(&S.lock);
        wf_fence_after_rmw(); /* poll_until, then the heaps; pairs with wf_timer_start's */
    }
    if (!mp->pp) { /* all Ps run: what was found waits for them */
        AO_fetch_and_add(&S.n_polls, polls);
        AO_fetch_and_add(&S.n_poll_events, events);
        wf_ready_list(NULL, &out);
        return;
    }
    wf_count(&mp->pp->n_polls, polls);
    wf_count(&mp->pp->n_poll_events, events);
    watch();
    wf_polled(mp, &out, now);
}

void wf_polled(wf_m *mp, wf_glist *out, int64_t now)
{
    wf_p *pp = mp->pp;
    AO_store(&pp->polled, (AO_t)now);
    pp->batch_left = 0;
    wf_ready_batch(mp, out, now);
}

bool wf_work_anywhere(void)
{
    if (AO_load(&S.n_global))
        return true;
    for (int i = 0; i < S.procs; i++)
        if (wf_runq_len(&S.ps[i]->runq) > 0)
            return true;
    return false;
}

/* Off the list or out of the poller's turn again, with a P if one is left. */
static void withdraw(wf_m *mp)
{
    wf_lock_acquire(&S.lock);
    wf_p *pp = mp->nextp;
    if (S.poller == mp) {
        S.poller = NULL;
        AO_store(&S.poll_state, WF_POLL_DOZING);
    } else if (!pp) {
        leave_idle(mp);
    }
    AO_int_store(&mp->park_word, 0);
    mp->nextp = NULL;
    mp->pp = pp ? pp : idle_take();
    if (mp->pp)
        wf_own(mp, mp->pp);
    wf_lock_release(&S.lock);
    if (!mp->pp)
        return;
    watch();
    /* It goes on looking as a spinner, so that with what it finds the chain goes on. */
    if (!mp->spinning && AO_compare_and_swap_full(&S.n_spinning, 0, 1)) /* as in wf_wakep */
        mp->spinning = true;
}

static void give_up_spinning(bool for_nothing)
{
    if (for_nothing)
        AO_store(&S.futile, 1);
    AO_store(&S.n_spinning, 0); /* the fence is what orders it */
    wf_fence();                 /* n_spinning, then the queues; pairs with wake_for_ring's */
}

void wf_go_idle(wf_m *mp)
{
    wf_p *pp = mp->pp;
    if (mp->ring)
        wf_flush_ring(mp); /* before the last look: it may complete at once */
    bool poll_others = S.procs > 1 && others_poll(pp);
    wf_lock_acquire(&S.lock);
    if (S.global.n > 0 || AO_load(&S.stopped)) {
        wf_lock_release(&S.lock);
        return;
    }
    idle_push(pp);
    mp->pp = NULL;
    bool was_spinning = mp->spinning; /* from here on a waker may set it */
    mp->spinning = false;
    bool for_nothing = was_spinning && mp->woken; /* woken, and found nothing at all */
    mp->woken = false;
    bool last = AO_load(&S.n_idle_p) == (AO_t)S.procs;
    bool block = !S.poller && (last || !poll_others);
    if (block) {
        S.poller = mp;
        AO_store(&S.poll_until, (AO_t)WEFT_FOREVER);
        AO_store(&S.poll_state, WF_POLL_BLOCKED);
    } else {
        join_idle(mp);
    }
    wf_lock_release(&S.lock);
    /* n_idle_p, then the queues; pairs with wake_for_ring's in sched.c.  And poll_state and
     * poll_until, then the heaps; pairs with wf_timer_start's. */
    wf_fence_after_rmw();
    if (was_spinning)
        give_up_spinning(for_nothing);
    if (wf_work_anywhere())
        withdraw(mp);
    else if (block)
        blocked_poll(mp);
    else
        doze(mp);
}
