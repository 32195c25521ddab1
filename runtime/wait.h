/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.h - the one way to wait: an armed token, a deadline, a park.
 *
 *   wf_ticket t = wf_wait_arm(mp);          from here on a waker may fire t
 *   ... publish gp and t under the object's lock; on second thoughts wf_wait_abandon
 *   enum wf_reason why = wf_wait(&mp, t, deadline);
 *
 * After wf_wait the G must take itself out of where it published itself, unless the
 * waker did.  Wakers call wf_wake(gp, t, reason): true if they ended the wait.
 */
#ifndef WF_WAIT_H
#define WF_WAIT_H

#include "sched.h"

static inline wf_ticket wf_wait_arm(wf_m *mp)
{
    return wf_token_arm(mp->gp, mp->gp->shield ? WF_TOKEN_UNCANCELLABLE : 0);
}

/* The wait goes through cancellation. */
static inline wf_ticket wf_wait_arm_shielded(wf_m *mp)
{
    return wf_token_arm(mp->gp, WF_TOKEN_UNCANCELLABLE);
}

/* Not waiting after all.  False: a waker was first, and believes it woke this G. */
static inline bool wf_wait_abandon(wf_m *mp, wf_ticket t)
{
    return wf_token_withdraw(mp->gp, t);
}

extern const char *const wf_wait_text[WF_FOR_KINDS]; /* "to receive": it waits ... */

static inline wf_what wf_for(enum wf_wait_kind kind, const void *on)
{
    return (wf_what){ kind, on };
}

/* Parks until t is fired; `what` is shown to people.  A deadline that has passed is a
 * timeout, unless a waker was first.  *mp becomes the M on which the G goes on. */
enum wf_reason wf_wait(wf_m **mp, wf_ticket t, weft_time deadline, wf_what what);
/* The same for a deadline that is known to be yet to come: the clock is not read. */
enum wf_reason wf_wait_time(wf_m **mp, wf_ticket t, weft_time future, wf_what what);
/* As wf_wait with a commit, run by whoever lands (see wf_park). */
enum wf_reason wf_wait_commit(wf_m **mp, wf_ticket t, weft_time deadline, wf_what what,
                              bool (*commit)(wf_g *gp, void *arg), void *arg);

/* The same for a wait published under locks that are still held: after(arg) frees them
 * once the token is parked (see wf_park_then), or at once if it has been fired already. */
enum wf_reason wf_wait_then(wf_m **mp, wf_ticket t, weft_time deadline, wf_what what,
                            void (*after)(void *arg), void *arg);

/*
 * A wait without a deadline as the token `parked` (wf_token_next), which publish(gp, arg)
 * shows to wakers when the G has been left; false: there is nothing to wait for.  One that
 * is cancelled may be back before publish has done so: it must await that, and take itself
 * out of where it was shown.
 */
enum wf_reason wf_wait_publish(wf_m **mp, AO_t parked, wf_what what,
                               bool (*publish)(wf_g *gp, void *arg), void *arg);

/*
 * A guarded wait (g.h), without a deadline, which the G published under `guard`; frees it.
 * Before it acquired that it called wf_guard_begin, and found the flag clear since; who
 * does not wait after all calls wf_guard_end before it frees the lock.  A shielded wait
 * needs neither.
 */
enum wf_reason wf_wait_guarded(wf_m **mp, wf_spin *guard, wf_what what);

static inline void wf_guard_begin(wf_g *gp, wf_spin *guard)
{
    /* acquiring it is the fence; release: a canceller may be the first to hear of the lock;
     * pairs with cancel_guarded */
    AO_store_release(&gp->guard, (AO_t)guard);
}

static inline void wf_guard_end(wf_g *gp)
{
    AO_store(&gp->guard, 0);
}

/* Before memory with a lock is freed that was a guard; directly after the read-modify-write
 * that dropped its last reference. */
void wf_guard_settle(void);

/* From any thread: gp's flag was set, with a fence since; ends its wait. */
void wf_wait_cancel(wf_g *gp);

/* From any thread, inside or not.  True: this call ended the wait.  WF_TIMEOUT is for the
 * wait's own timer alone: one that ended so is known to be in no heap. */
bool wf_wake(wf_g *gp, wf_ticket t, enum wf_reason reason);

/* -ETIMEDOUT, -ECANCELED, -EBADF or 0. */
int wf_reason_error(enum wf_reason reason);

/* ---- A FIFO of waiters under the object's own lock -------------------------- */

typedef struct wf_waitq {
    wf_list head; /* of wf_g.wait_node; zeroed counts as empty */
} wf_waitq;

/* Under the lock: appends the current G as waiter t. */
void wf_waitq_add(wf_waitq *q, wf_g *gp, wf_ticket t);
/* Under the lock: the oldest waiter whose wait this call ended, taken out; it must be
 * made runnable by wf_ready_anywhere after the lock is released if *parked.  NULL:
 * nobody waits. */
wf_g *wf_waitq_take(wf_waitq *q, enum wf_reason reason, bool *parked);
/* Under the lock, by the waiter after its wait: out of the queue if it still is in it. */
void wf_waitq_forget(wf_g *gp);

#endif
