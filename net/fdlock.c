/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdlock.c - the transitions of the fdlock's word; see the table in fdlock.h.
 *
 * No other file changes the word.  Makes no system call and knows of no slot: what is to
 * be closed or freed is told to the caller.
 */
#include "fdlock.h"

#include <sched.h>

enum { SPINS = 64 };

static inline bool swap(wf_fdlock *l, AO_t old, AO_t new)
{
    return AO_compare_and_swap_full(&l->word, old, new); /* pairs with all others on the word */
}

void wf_fdlock_open(wf_fdlock *l, int fd)
{
    wf_assert(!(AO_load(&l->word) & WF_FDLOCK_OPEN) && AO_load(&l->word) >> 8 == 0);
    l->fd = fd;
    wf_list_init(&l->queue[WF_READ]);
    wf_list_init(&l->queue[WF_WRITE]);
    AO_store_release(&l->word, WF_FDLOCK_OPEN); /* pairs with the CAS of ref and take */
}

bool wf_fdlock_ref(wf_fdlock *l)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN))
            return false;
        if (swap(l, w, w + WF_FDLOCK_USER))
            return true;
    }
}

enum wf_fdlock_take wf_fdlock_take(wf_fdlock *l, enum wf_mode mode)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN))
            return WF_TAKE_CLOSED;
        if (swap(l, w, (w | WF_FDLOCK_TURN(mode)) + WF_FDLOCK_USER))
            return w & WF_FDLOCK_TURN(mode) ? WF_TAKE_BUSY : WF_TAKE_TURN;
    }
}

bool wf_fdlock_resume(wf_fdlock *l, enum wf_mode mode)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN) || w & WF_FDLOCK_QUEUED(mode))
            return false;
        if (swap(l, w, w + WF_FDLOCK_USER))
            return true;
    }
}

/* The word after one user less. */
static inline AO_t less_user(AO_t w, enum wf_fdlock_duty *duty)
{
    wf_assert(WF_FDLOCK_USERS(w) > 0);
    w -= WF_FDLOCK_USER;
    *duty = WF_DUTY_NONE;
    if (WF_UNLIKELY(!(w & WF_FDLOCK_OPEN)) && WF_FDLOCK_USERS(w) == 0) {
        *duty = WF_DUTY_CLOSE_FD;
        w += WF_FDLOCK_PARKED;
    }
    return w;
}

enum wf_fdlock_duty wf_fdlock_drop(wf_fdlock *l)
{
    enum wf_fdlock_duty duty;
    AO_t                w;
    do
        w = AO_load(&l->word);
    while (!swap(l, w, less_user(w, &duty)));
    return duty;
}

bool wf_fdlock_leave(wf_fdlock *l)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        wf_assert(!(w & WF_FDLOCK_OPEN) && WF_FDLOCK_PARKEDS(w) > 0);
        if (swap(l, w, w - WF_FDLOCK_PARKED))
            return (w - WF_FDLOCK_PARKED) >> 8 == 0;
    }
}

/* ---- Parking ------------------------------------------------------------------------- */

static bool move(wf_fdlock *l, AO_t from, AO_t to)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN))
            return false;
        if (swap(l, w, w - from + to))
            return true;
    }
}

bool wf_fdlock_rest(wf_fdlock *l)
{
    return move(l, WF_FDLOCK_USER, WF_FDLOCK_PARKED);
}

bool wf_fdlock_back(wf_fdlock *l)
{
    return move(l, WF_FDLOCK_PARKED, WF_FDLOCK_USER);
}

/* ---- Turns --------------------------------------------------------------------------- */

/* Under l->lock. */
static void clear_bits(wf_fdlock *l, AO_t bits)
{
    AO_t w;
    do
        w = AO_load(&l->word);
    while (!swap(l, w, w & ~bits));
}

/* Under l->lock: the turn is taken, or QUEUED is set for a caller about to enter the queue. */
static int claim_or_queue(wf_fdlock *l, enum wf_mode mode)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN))
            return -EBADF;
        bool free = !(w & WF_FDLOCK_TURN(mode));
        if (swap(l, w, w | (free ? WF_FDLOCK_TURN(mode) : WF_FDLOCK_QUEUED(mode))))
            return free ? 0 : -EAGAIN;
    }
}

bool wf_fdlock_claim(wf_fdlock *l, enum wf_mode mode)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN) || w & WF_FDLOCK_TURN(mode))
            return false;
        if (swap(l, w, w | WF_FDLOCK_TURN(mode)))
            return true;
    }
}

/* Under l->lock: ends the oldest wait; granted: with the turn.  After the fire a waiter's
 * memory may be gone, unless the fire was lost: then it has yet to part, under l->lock. */
static enum wf_fire end_oldest(wf_list *q, enum wf_reason reason, bool granted, wf_g **gp)
{
    wf_fdlock_waiter *w = WF_CONTAINER(q->next, wf_fdlock_waiter, node);
    *gp = w->gp;
    wf_list_remove(&w->node);
    w->granted = granted;
    enum wf_fire how = wf_token_fire(w->gp, w->ticket, reason);
    if (how == WF_LOST)
        w->granted = false;
    return how;
}

/* The turn goes to the oldest who still waits, or to nobody. */
static WF_NOINLINE void hand_over(wf_m *mp, wf_fdlock *l, enum wf_mode mode)
{
    wf_list     *q = &l->queue[mode];
    enum wf_fire how = WF_LOST;
    wf_g        *gp = NULL;
    wf_lock_acquire(&l->lock);
    while (how == WF_LOST && !wf_list_empty(q))
        how = end_oldest(q, WF_EVENT, true, &gp);
    if (how == WF_LOST)
        clear_bits(l, WF_FDLOCK_TURN(mode) | WF_FDLOCK_QUEUED(mode));
    else if (wf_list_empty(q))
        clear_bits(l, WF_FDLOCK_QUEUED(mode));
    wf_lock_release(&l->lock);
    if (how == WF_WON_PARKED)
        wf_ready(mp, gp);
}

void wf_fdlock_give(wf_m *mp, wf_fdlock *l, enum wf_mode mode)
{
    for (;;) {
        AO_t w = AO_load(&l->word);
        wf_assert(w & WF_FDLOCK_TURN(mode));
        if (w & WF_FDLOCK_QUEUED(mode)) {
            hand_over(mp, l, mode);
            return;
        }
        if (swap(l, w, w & ~WF_FDLOCK_TURN(mode)))
            return;
    }
}

enum wf_fdlock_duty wf_fdlock_release(wf_m *mp, wf_fdlock *l, enum wf_mode mode)
{
    for (;;) {
        enum wf_fdlock_duty duty;
        AO_t                w = AO_load(&l->word);
        wf_assert(w & WF_FDLOCK_TURN(mode));
        if (WF_UNLIKELY(w & WF_FDLOCK_QUEUED(mode))) {
            hand_over(mp, l, mode);
            return wf_fdlock_drop(l);
        }
        if (swap(l, w, less_user(w & ~WF_FDLOCK_TURN(mode), &duty)))
            return duty;
    }
}

/* Under l->lock: ends the waits of one queue. */
static void end_waits(wf_fdlock *l, enum wf_mode mode, enum wf_reason reason, wf_glist *out)
{
    wf_g *gp;
    while (!wf_list_empty(&l->queue[mode]))
        if (end_oldest(&l->queue[mode], reason, false, &gp) == WF_WON_PARKED)
            wf_glist_push(out, gp);
    clear_bits(l, WF_FDLOCK_QUEUED(mode));
}

void wf_fdlock_deadline_changed(wf_m *mp, wf_fdlock *l, enum wf_mode mode)
{
    wf_glist out;
    wf_fence(); /* the deadline was stored; pairs with the CAS of claim_or_queue */
    if (!(AO_load(&l->word) & WF_FDLOCK_QUEUED(mode)))
        return;
    wf_glist_init(&out);
    wf_lock_acquire(&l->lock);
    end_waits(l, mode, WF_CLOSE, &out); /* not TIMEOUT: a wait's own timer alone says that */
    wf_lock_release(&l->lock);
    wf_ready_list(mp, &out);
}

bool wf_fdlock_close(wf_m *mp, wf_fdlock *l)
{
    wf_glist out;
    AO_t     w;
    do {
        w = AO_load(&l->word);
        if (!(w & WF_FDLOCK_OPEN))
            return false;
    } while (!swap(l, w, w & ~WF_FDLOCK_OPEN));
    if (!(w & (WF_FDLOCK_QUEUED(WF_READ) | WF_FDLOCK_QUEUED(WF_WRITE))))
        return true;
    wf_glist_init(&out);
    wf_lock_acquire(&l->lock);
    end_waits(l, WF_READ, WF_CLOSE, &out);
    end_waits(l, WF_WRITE, WF_CLOSE, &out);
    wf_lock_release(&l->lock);
    wf_ready_list(mp, &out);
    return true;
}

void wf_fdlock_await_users(const wf_fdlock *l)
{
    wf_assert(!(AO_load(&l->word) & WF_FDLOCK_OPEN));
    for (int i = 1; WF_FDLOCK_USERS(AO_load_acquire(&l->word)) > 1; i++) /* pairs with drop's CAS */
        if (i % SPINS == 0)
            sched_yield(); /* its thread may have been preempted */
        else
            wf_cpu_relax();
}

enum wf_fdlock_duty wf_fdlock_abandon(wf_fdlock *l, bool *used)
{
    AO_t w = AO_load(&l->word);
    bool open = w & WF_FDLOCK_OPEN || WF_FDLOCK_USERS(w) > 0;
    *used = open || WF_FDLOCK_PARKEDS(w) > 0;
    AO_store_release(&l->word, 0); /* pairs with the loads of the next run */
    return open ? WF_DUTY_CLOSE_FD : WF_DUTY_NONE;
}

/* ---- Waiting for the turn ------------------------------------------------------------ */

int wf_fdlock_join(wf_fdlock *l, enum wf_mode mode, wf_fdlock_waiter *w, wf_g *gp, wf_ticket t)
{
    *w = (wf_fdlock_waiter){ .gp = gp, .ticket = t };
    wf_list_init(&w->node);
    wf_lock_acquire(&l->lock);
    int r = claim_or_queue(l, mode);
    if (r == -EAGAIN)
        wf_list_append(&l->queue[mode], &w->node);
    wf_lock_release(&l->lock);
    return r;
}

bool wf_fdlock_part(wf_fdlock *l, enum wf_mode mode, wf_fdlock_waiter *w)
{
    wf_lock_acquire(&l->lock);
    wf_list_remove(&w->node);
    if (wf_list_empty(&l->queue[mode]))
        clear_bits(l, WF_FDLOCK_QUEUED(mode));
    wf_lock_release(&l->lock);
    return w->granted;
}

static wf_what turn_of(const wf_fdlock *l, enum wf_mode mode)
{
    enum wf_wait_kind kind = mode == WF_READ ? WF_FOR_TURN_TO_READ : WF_FOR_TURN_TO_WRITE;
    return wf_for(kind, (const void *)(intptr_t)l->fd); /* a user: the number is its */
}

int wf_fdlock_wait(wf_m **mp, wf_fdlock *l, enum wf_mode mode, const volatile AO_t *deadline)
{
    for (;;) {
        wf_fdlock_waiter w;
        if (wf_fdlock_passed(deadline))
            return -ETIMEDOUT;
        wf_ticket t = wf_wait_arm(*mp);
        int       r = wf_fdlock_join(l, mode, &w, (*mp)->gp, t);
        if (r != -EAGAIN) {
            wf_wait_abandon(*mp, t);
            return r;
        }
        /* The deadline anew, after the CAS: see the header. */
        enum wf_reason why = wf_wait(mp, t, wf_fdlock_deadline(deadline), turn_of(l, mode));
        if (why == WF_EVENT)
            return 0;
        wf_fdlock_part(l, mode, &w);
        if (why == WF_CANCEL)
            return -ECANCELED;
        /* Closed, the deadline passed, or it was changed: look again. */
    }
}
