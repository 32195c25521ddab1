/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched.c - switching: parking, yielding, ending, readying, and the loop on g0.
 *
 * The common switch goes from G to G.  What was left is committed by whoever lands,
 * before anything else: only then are its registers saved, so only then may others
 * see it (wf_landed).  g0 runs when there is no next G at hand, and every LOOK_TICKS
 * switches, for what must not wait for ever: timers, the global queue, and the oldest
 * entry of the ring, which runnext would otherwise starve.
 *
 * This file never blocks and never looks beyond its own P: proc.c does.
 */
#include "sched.h"

#include "coroutine.h"
#include "hibernate.h"
#include "stray.h"

enum { LOOK_TICKS = 64 };

wf_sched wf_the_sched;

_Thread_local __attribute__((tls_model("initial-exec"), used)) wf_m *wf_this_m;

#if !defined(__x86_64__) /* else in sched.h */
WF_NOINLINE wf_m *wf_m_self(void)
{
    wf_m **p = &wf_this_m;
    __asm__ volatile("" : "+r"(p) : : "memory"); /* no caller may keep the address */
    return *p;
}
#endif

WF_NOINLINE void wf_m_set_self(wf_m *mp)
{
    wf_this_m = mp;
}

/* ---- The entry check's rare half ---------------------------------------------- */

void wf_die_outside(const wf_m *mp, const char *call)
{
    if (mp && mp->blocked)
        wf_die("%s was called between weft_block_enter and weft_block_leave", call);
    wf_die("%s was called outside a coroutine: start one with weft_run and weft_go", call);
}

void wf_sleep_for_ever(void)
{
    volatile unsigned word = 0;
    for (;;)
        wf_futex_wait(&word, 0, WEFT_FOREVER);
}

/* ---- Wake-ups -------------------------------------------------------------------- */

/*
 * Work was published; if a P idles and none looks for work, wake one.  The fence
 * pairs with the one in proc.c's go_idle: either this load sees the idle P, or the M
 * that made it idle sees the work.  A lone runnext has no fence, and wakes nobody while
 * such wake-ups have lately been futile (its owner took it first): its owner takes it at
 * its next switch, or sysmon sees to it.
 */
static inline void wake_for_ring(void)
{
    wf_fence(); /* pairs with go_idle's */
    if (AO_load(&wf_the_sched.n_idle_p) && !AO_load(&wf_the_sched.n_spinning))
        wf_wakep();
}

static inline bool next_wakes(void)
{
    return AO_load(&wf_the_sched.n_idle_p) && !AO_load(&wf_the_sched.futile);
}

static inline void wake_for_next(void)
{
    if (next_wakes() && !AO_load(&wf_the_sched.n_spinning))
        wf_wakep();
}

/* Is there a thief for runnext, or will there be? */
static inline bool next_is_wanted(const wf_p *pp)
{
    return !pp->runq.solo && (AO_load(&wf_the_sched.n_spinning) || next_wakes());
}

static WF_NOINLINE void spill(wf_p *pp)
{
    wf_glist half;
    wf_glist_init(&half);
    if (wf_runq_spill(&pp->runq, &half) > 0)
        wf_global_push_list(&half);
}

static inline void push_as(wf_p *pp, wf_g *gp, bool newest_first)
{
    wf_assert(pp->m == wf_m_self()); /* only the owner pushes */
    while (WF_UNLIKELY(!wf_runq_push(&pp->runq, gp, newest_first)))
        spill(pp);
}

static inline void push(wf_p *pp, wf_g *gp)
{
    push_as(pp, gp, AO_char_load(&gp->fresh));
}

void wf_ready(wf_m *mp, wf_g *gp)
{
    wf_p *pp = mp->pp;
    bool  start = AO_char_load(&gp->fresh); /* from here on a thief may have it */
    wf_g *kicked = wf_runq_swap_next(&pp->runq, gp, next_is_wanted(pp));
    if (kicked)
        push_as(pp, kicked, AO_char_load(&kicked->fresh) | start);
    if (pp->runq.solo)
        return;
    if (kicked)
        wake_for_ring();
    else
        wake_for_next();
}

void wf_push_local(wf_m *mp, wf_glist *list)
{
    for (wf_g *gp; (gp = wf_glist_pop(list));)
        push(mp->pp, gp);
}

/* Readied in numbers: at the ring's tail, in order. */
void wf_ready_list(wf_m *mp, wf_glist *list)
{
    if (list->n == 0)
        return;
    if (mp && mp->pp) {
        wf_push_local(mp, list);
        if (!mp->pp->runq.solo)
            wake_for_ring();
        return;
    }
    wf_global_push_list(list);
    wake_for_ring();
}

void wf_ready_anywhere(wf_g *gp)
{
    wf_m *mp = wf_m_self();
    if (mp && AO_load(&mp->inside) && mp->pp) { /* outside, pp may be another's by now */
        wf_ready(mp, gp);
        return;
    }
    wf_glist one;
    wf_glist_init(&one);
    wf_glist_push(&one, gp);
    wf_ready_list(NULL, &one);
}

/* ---- Landing ------------------------------------------------------------------------ */

/* What was left is runnable, at the tail; an idle P may have looked just before. */
static inline void push_left(wf_m *mp, wf_g *prev)
{
    push(mp->pp, prev);
    if (WF_UNLIKELY(AO_load(&wf_the_sched.n_idle_p)))
        wake_for_ring(); /* one missed by this plain look is sysmon's, or the next yield's */
}

static inline bool park_token(wf_m *mp, wf_g *prev, AO_t armed)
{
    if (mp->commit_fn && !mp->commit_fn(prev, mp->commit_arg))
        return false;                         /* the commit withdrew the token */
    bool parked = wf_token_park(prev, armed); /* else a waker was first, and left the G to us */
    if (mp->after_fn)
        mp->after_fn(mp->commit_arg);
    return parked;
}

/* Ends prev's wait t, if it goes on. */
static inline void end_wait(wf_m *mp, wf_g *prev, wf_ticket t, enum wf_reason reason)
{
    if (wf_token_fire(prev, t, reason) == WF_WON_PARKED)
        push_left(mp, prev);
}

/* The token was parked; then came a read-modify-write. */
static inline void look_at_flag(wf_m *mp, wf_g *prev, AO_t token)
{
    if (token & WF_TOKEN_UNCANCELLABLE)
        return;
    wf_fence_after_rmw(); /* pairs with the canceller's: flag, then token */
    if (WF_UNLIKELY((AO_t)AO_char_load(&prev->cancel) | AO_load(&wf_the_sched.stopping)))
        end_wait(mp, prev, token & WF_TICKET_MASK, WF_CANCEL);
}

static void commit_park(wf_m *mp, wf_g *prev)
{
    AO_t armed = mp->commit_token;
    if (park_token(mp, prev, armed))
        look_at_flag(mp, prev, armed);
    else
        push_left(mp, prev);
}

static void commit_publish(wf_m *mp, wf_g *prev)
{
    AO_t token = mp->commit_token;
    wf_token_show(prev, token);
    if (mp->commit_fn(prev, mp->commit_arg))
        look_at_flag(mp, prev, token);
    else
        end_wait(mp, prev, token & WF_TICKET_MASK, WF_EVENT); /* else a canceller was first */
}

static inline void commit(wf_m *mp, wf_g *prev)
{
    switch (mp->commit) {
    case WF_COMMIT_NONE:
        break;
    case WF_COMMIT_PARK:
        commit_park(mp, prev);
        break;
    case WF_COMMIT_GUARDED: /* from here on prev may be gone */
        wf_spin_release(mp->commit_arg);
        break;
    case WF_COMMIT_PUBLISH:
        commit_publish(mp, prev);
        break;
    case WF_COMMIT_YIELD:
        push_left(mp, prev);
        break;
    case WF_COMMIT_EXIT:
        wf_g_free(mp, prev);
        break;
    case WF_COMMIT_GLOBAL: /* no P: it waits for one in the global queue */
        wf_ready_anywhere(prev);
        break;
    }
}

static inline wf_m *landed(wf_transfer t, wf_g *self)
{
    wf_m *mp = t.data;
    wf_shadow_land(&self->shadow);
    wf_g *prev = mp->prev;
    wf_turn_end(prev, t.fctx);
    *mp->errno_loc = self->saved_errno;
    commit(mp, prev);
    return mp;
}

wf_m *wf_landed(wf_transfer t)
{
    wf_m *mp = t.data;
    return landed(t, mp->gp);
}

/* ---- Leaving -------------------------------------------------------------------------- */

/* Its stack is to be restored; or only one M may run it, and this is not its g0, which
 * would see to that. */
static WF_COLD wf_g *heed(wf_p *pp, wf_g *gp)
{
    if (gp->bound & WF_HIBERNATES)
        wf_hibernate_end(gp);
    if (!gp->bound)
        return gp;
    wf_glist one;
    wf_glist_init(&one);
    wf_glist_push(&one, gp);
    wf_global_push_list(&one);
    AO_store(&pp->poke, 1);
    return NULL;
}

static WF_NOINLINE wf_g *take_polled(wf_p *pp)
{
    wf_g *gp = wf_runq_pop(&pp->runq);
    pp->batch_left = gp ? pp->batch_left - 1 : 0;
    pp->batch_run++;
    wf_runq_near(&pp->runq);
    return gp;
}

/* The next G at hand, or NULL: then g0 must look. */
static inline wf_g *pick(wf_p *pp)
{
    AO_t tick = AO_load(&pp->tick) + 1;
    AO_store(&pp->tick, tick);
    if (WF_UNLIKELY(AO_load(&pp->poke)) || WF_UNLIKELY(tick % LOOK_TICKS == 0))
        return NULL;
    wf_g *gp = wf_runq_take_next(&pp->runq);
    if (!gp && WF_UNLIKELY(pp->batch_left > 0)) {
        if (AO_load(&wf_the_sched.n_idle_p) && !pp->runq.solo)
            return NULL; /* part of a batch: g0 decides whom to wake */
        gp = take_polled(pp);
    } else if (!gp) {
        gp = wf_runq_pop(&pp->runq);
    }
    return gp && WF_UNLIKELY(gp->bound) ? heed(pp, gp) : gp;
}

static inline wf_m *leave_to(wf_m *mp, wf_g *self, wf_g *next, enum wf_commit how)
{
    if (WF_UNLIKELY(wf_the_sched.lockcheck))
        wf_lockcheck_call(self, how);
    mp->prev = self;
    mp->commit = how;
    self->saved_errno = *mp->errno_loc;
    mp->gp = next;
    if (next)
        AO_char_store(&next->fresh, 0);
    else
        next = &mp->g0;
    wf_shadow_leave(&self->shadow, &next->shadow);
    return landed(wf_jump(wf_turn_begin(next), mp), self);
}

wf_m *wf_park(wf_m *mp, AO_t armed, bool (*commit_fn)(wf_g *gp, void *arg), void *arg)
{
    mp->commit_token = armed;
    mp->commit_fn = commit_fn;
    mp->after_fn = NULL;
    mp->commit_arg = arg;
    return leave_to(mp, mp->gp, pick(mp->pp), WF_COMMIT_PARK);
}

wf_m *wf_park_then(wf_m *mp, AO_t armed, void (*after)(void *arg), void *arg)
{
    mp->commit_token = armed;
    mp->commit_fn = NULL;
    mp->after_fn = after;
    mp->commit_arg = arg;
    return leave_to(mp, mp->gp, pick(mp->pp), WF_COMMIT_PARK);
}

wf_m *wf_park_guarded(wf_m *mp, wf_spin *guard)
{
    mp->commit_arg = guard;
    return leave_to(mp, mp->gp, pick(mp->pp), WF_COMMIT_GUARDED);
}

wf_m *wf_park_publish(wf_m *mp, AO_t parked, bool (*publish)(wf_g *gp, void *arg), void *arg)
{
    mp->commit_token = parked;
    mp->commit_fn = publish;
    mp->commit_arg = arg;
    return leave_to(mp, mp->gp, pick(mp->pp), WF_COMMIT_PUBLISH);
}

wf_m *wf_yield(wf_m *mp)
{
    wf_p *pp = mp->pp;
    wf_g *next = pick(pp);
    if (!next && wf_runq_empty(&pp->runq) && !AO_load(&pp->poke) &&
        AO_load(&pp->tick) % LOOK_TICKS != 0) {
        wf_count(&pp->n_lone_yields, 1);
        return mp; /* nobody else wants to run */
    }
    return leave_to(mp, mp->gp, next, WF_COMMIT_YIELD);
}

wf_m *wf_exit(wf_m *mp)
{
    wf_g *gp = mp->gp;
    AO_char_store(&gp->state, WF_G_FREE);
    volatile AO_t *finished = &mp->pp->n_finished;
    AO_store_release(finished, AO_load(finished) + 1); /* pairs with wf_live */
    wf_compiler_barrier(); /* pairs with the membarrier after stopping was set */
    if (WF_UNLIKELY(AO_load(&wf_the_sched.stopping)))
        wf_live_changed();
    return leave_to(mp, gp, pick(mp->pp), WF_COMMIT_EXIT);
}

wf_m *wf_leave_without_p(wf_m *mp)
{
    return leave_to(mp, mp->gp, NULL, WF_COMMIT_GLOBAL);
}

/* ---- g0 ---------------------------------------------------------------------------------- */

void wf_schedule(wf_m *mp)
{
    for (wf_g *gp; (gp = wf_find_runnable(mp));) {
        mp->prev = &mp->g0;
        mp->commit = WF_COMMIT_NONE;
        mp->gp = gp;
        AO_char_store(&gp->fresh, 0);
        wf_shadow_leave(&mp->g0.shadow, &gp->shadow);
        wf_transfer t = wf_jump(wf_turn_begin(gp), mp);
        wf_stray_check(mp->prev, t.fctx);
        landed(t, &mp->g0); /* g0 never leaves its thread: mp is the same */
    }
}
