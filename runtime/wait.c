/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - parking on a token with a deadline, waking it, queues of waiters. */
#include "wait.h"

#include "coroutine.h"

const char *const wf_wait_text[WF_FOR_KINDS] = {
    [WF_FOR_NOTHING] = "for nothing",
    [WF_FOR_TIME] = "for time to pass",
    [WF_FOR_MUTEX] = "for a mutex",
    [WF_FOR_READ_LOCK] = "to read-lock",
    [WF_FOR_WRITE_LOCK] = "to write-lock",
    [WF_FOR_CONDITION] = "for a condition",
    [WF_FOR_SEMAPHORE] = "for a semaphore",
    [WF_FOR_WAITGROUP] = "for a waitgroup",
    [WF_FOR_ONCE] = "for a once",
    [WF_FOR_GROUP] = "for a group",
    [WF_FOR_SEND] = "to send",
    [WF_FOR_RECEIVE] = "to receive",
    [WF_FOR_SELECT] = "in select",
    [WF_FOR_READABLE] = "to read",
    [WF_FOR_WRITABLE] = "to write",
    [WF_FOR_DESCRIPTOR] = "for a descriptor",
    [WF_FOR_TURN_TO_READ] = "for its turn to read",
    [WF_FOR_TURN_TO_WRITE] = "for its turn to write",
    [WF_FOR_FREE_DESCRIPTOR] = "for a free descriptor",
    [WF_FOR_NAME] = "to resolve a name",
};

static void timed_out(void *arg, AO_t seq, wf_glist *out)
{
    wf_g *gp = arg;
    if (wf_token_fire(gp, seq, WF_TIMEOUT) == WF_WON_PARKED) {
        wf_g_prefetch(gp);
        wf_glist_push(out, gp);
    }
}

/* Where there is no memory for a timer the deadline counts as passed. */
static bool arm_timer(wf_m *mp, wf_ticket t, weft_time deadline)
{
    wf_g *gp = mp->gp;
    int   r = wf_timer_start(mp, &gp->timer, deadline, timed_out, gp, t);
    if (r < 0)
        wf_token_fire(gp, t, WF_TIMEOUT);
    return r == 0;
}

static inline void tell(wf_g *gp, wf_what what)
{
    AO_char_store(&gp->wait_for, (unsigned char)what.kind);
    AO_store(&gp->wait_on, (AO_t)what.on);
    AO_int_store(&gp->wait_began, (unsigned)AO_load(&wf_the_sched.clock));
}

/* Sets the timer; true: it is set and must be taken back unless it fires. */
static inline bool begin(wf_m *mp, wf_ticket t, weft_time deadline, wf_what what)
{
    wf_g *gp = mp->gp;
    tell(gp, what);
    if (deadline == WEFT_FOREVER)
        return false;
    if (deadline > wf_now())
        return arm_timer(mp, t, deadline);
    wf_token_fire(gp, t, WF_TIMEOUT);
    return false;
}

static inline enum wf_reason end(wf_g *gp, bool timer)
{
    enum wf_reason why = wf_token_reason(gp);
    if (timer && why != WF_TIMEOUT)
        wf_timer_del(&gp->timer);
    AO_char_store(&gp->wait_for, WF_FOR_NOTHING);
    return why;
}

static bool is_armed(AO_t token)
{
    return (token & WF_TOKEN_STATE_MASK) == WF_ARMED;
}

/* Parks, unless a waker was first. */
static inline enum wf_reason park(wf_m **mp, bool timer, bool (*commit)(wf_g *gp, void *arg),
                                  void *arg)
{
    wf_g *gp = (*mp)->gp;
    AO_t  token = AO_load_acquire(&gp->token); /* pairs with the CAS in wf_token_fire */
    if (is_armed(token))
        *mp = wf_park(*mp, token, commit, arg);
    return end(gp, timer);
}

enum wf_reason wf_wait(wf_m **mp, wf_ticket t, weft_time deadline, wf_what what)
{
    return park(mp, begin(*mp, t, deadline, what), NULL, NULL);
}

enum wf_reason wf_wait_time(wf_m **mp, wf_ticket t, weft_time future, wf_what what)
{
    tell((*mp)->gp, what);
    return park(mp, future != WEFT_FOREVER && arm_timer(*mp, t, future), NULL, NULL);
}

enum wf_reason wf_wait_commit(wf_m **mp, wf_ticket t, weft_time deadline, wf_what what,
                              bool (*commit)(wf_g *gp, void *arg), void *arg)
{
    return park(mp, begin(*mp, t, deadline, what), commit, arg);
}

enum wf_reason wf_wait_then(wf_m **mp, wf_ticket t, weft_time deadline, wf_what what,
                            void (*after)(void *arg), void *arg)
{
    wf_g *gp = (*mp)->gp;
    bool  timer = begin(*mp, t, deadline, what);
    AO_t  token = AO_load_acquire(&gp->token); /* pairs with the CAS in wf_token_fire */
    if (is_armed(token))
        *mp = wf_park_then(*mp, token, after, arg);
    else
        after(arg);
    return end(gp, timer);
}

enum wf_reason wf_wait_publish(wf_m **mp, AO_t parked, wf_what what,
                               bool (*publish)(wf_g *gp, void *arg), void *arg)
{
    wf_g *gp = (*mp)->gp;
    tell(gp, what);
    *mp = wf_park_publish(*mp, parked, publish, arg);
    return end(gp, false);
}

enum wf_reason wf_wait_guarded(wf_m **mp, wf_spin *guard, wf_what what)
{
    wf_g *gp = (*mp)->gp;
    tell(gp, what);
    wf_token_guard(gp);
    *mp = wf_park_guarded(*mp, guard);
    return end(gp, false);
}

/* ---- Waking ------------------------------------------------------------------------ */

static volatile AO_t guard_users; /* cancellers that may touch a guard */

void wf_guard_settle(void)
{
    wf_fence_after_rmw();                     /* NULL in gp->guard came before; then the look */
    while (AO_load_acquire(&guard_users) > 0) /* pairs with the decrement in cancel_guarded */
        wf_cpu_relax();
}

static enum wf_fire cancel_guarded(wf_g *gp)
{
    bool won = false;
    AO_fetch_and_add_full(&guard_users, 1);
    wf_fence_after_rmw();                                    /* pairs with wf_guard_settle's */
    wf_spin *guard = (wf_spin *)AO_load_acquire(&gp->guard); /* pairs with wf_guard_begin */
    if (guard) {
        wf_spin_acquire(guard);
        won = AO_load(&gp->guard) == (AO_t)guard && wf_token_cancel(gp);
        wf_spin_release(guard);
    }
    AO_fetch_and_add_full(&guard_users, (AO_t)-1); /* pairs with wf_guard_settle's acquire */
    return won ? WF_WON_PARKED : WF_LOST;
}

/* One that has left its guarded call since sees the flag in all that it waits for later. */
static enum wf_fire fire(wf_g *gp, wf_ticket t, enum wf_reason reason)
{
    if (reason == WF_CANCEL && AO_load(&gp->guard))
        return cancel_guarded(gp);
    return wf_token_fire(gp, t, reason);
}

void wf_wait_cancel(wf_g *gp)
{
    AO_t guard = AO_load(&gp->guard), w = AO_load(&gp->token);
    if (guard || (w & WF_TOKEN_STATE_MASK) != WF_FIRED)
        wf_wake(gp, w & WF_TICKET_MASK, WF_CANCEL);
}

/* On a thread that holds no P: the runtime must not end meanwhile. */
static WF_NOINLINE enum wf_fire wake_foreign(wf_g *gp, wf_ticket t, enum wf_reason reason)
{
    if (!wf_sched_hold()) /* none runs, or it ends: nobody waits any more */
        return WF_LOST;
    enum wf_fire how = fire(gp, t, reason);
    if (how == WF_WON_PARKED)
        wf_ready_anywhere(gp);
    wf_sched_release();
    return how;
}

/* A coroutine's thread: inside, if it has its P still. */
static bool enter_with_p(wf_m *mp)
{
    AO_store(&mp->inside, 1);
    wf_compiler_barrier(); /* pairs with the membarrier in retake.c's take */
    if (WF_LIKELY(AO_load_acquire(&mp->grip) == WF_GRIP_HELD)) /* pairs with wf_p_lend's release */
        return true;
    bool held = wf_grip_regain(mp);
    if (!held)
        wf_leave(mp);
    return held;
}

bool wf_wake(wf_g *gp, wf_ticket t, enum wf_reason reason)
{
    wf_m *mp = wf_m_self();
    bool  outside = mp && !AO_load(&mp->inside); /* a call marked [anywhere], by a coroutine */
    if (WF_UNLIKELY(!mp || !(outside ? (void *)mp->gp : (void *)mp->pp)))
        return wake_foreign(gp, t, reason) != WF_LOST; /* or between block_enter and leave */
    if (outside && WF_UNLIKELY(!enter_with_p(mp))) /* who was woken need not wait for a P of mine */
        return wake_foreign(gp, t, reason) != WF_LOST;
    enum wf_fire how = fire(gp, t, reason);
    if (how == WF_WON_PARKED)
        wf_ready(mp, gp);
    if (outside)
        wf_leave(mp);
    return how != WF_LOST;
}

int wf_reason_error(enum wf_reason reason)
{
    static const int errors[] = {
        [WF_EVENT] = 0, [WF_TIMEOUT] = -ETIMEDOUT, [WF_CANCEL] = -ECANCELED, [WF_CLOSE] = -EBADF
    };
    return errors[reason];
}

/* ---- Queues ---------------------------------------------------------------------- */

void wf_waitq_add(wf_waitq *q, wf_g *gp, wf_ticket t)
{
    if (!q->head.next)
        wf_list_init(&q->head);
    gp->wait_ticket = t;
    wf_list_append(&q->head, &gp->wait_node);
}

wf_g *wf_waitq_take(wf_waitq *q, enum wf_reason reason, bool *parked)
{
    while (q->head.next && !wf_list_empty(&q->head)) {
        wf_g *gp = WF_CONTAINER(q->head.next, wf_g, wait_node);
        wf_list_remove(&gp->wait_node);
        enum wf_fire how = wf_token_fire(gp, gp->wait_ticket, reason);
        *parked = how == WF_WON_PARKED;
        if (how != WF_LOST)
            return gp;
    }
    return NULL;
}

void wf_waitq_forget(wf_g *gp)
{
    if (gp->wait_node.next)
        wf_list_remove(&gp->wait_node);
}
