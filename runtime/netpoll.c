/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netpoll.c - waiting for descriptors: open, prepare, wait, deadlines, unblock, close.
 *
 * The words rg and wg, their table and the argument are in poll_desc.h; the transitions
 * of the poller's side are in poll_desc.c, those of the waiting side are here.
 */
#include "netpoll.h"

#include "epoll.h"
#include "sys.h"
#include "wait.h"

#include <poll.h>

static const enum wf_wait_kind wait_kinds[] = { WF_FOR_READABLE, WF_FOR_WRITABLE };

/* ---- Open and close -------------------------------------------------------------- */

static void reset(wf_poll_desc *pd, int fd, bool stream_tcp)
{
    pd->fd = fd;
    pd->closing = false;
    pd->short_rule = stream_tcp;
    AO_store(&pd->urgent, 0);
    pd->urgent_at = pd->urgent_seen = 0;
    AO_store(&pd->sticky, 0);
    for (int m = WF_READ; m <= WF_WRITE; m++) {
        wf_poll_side *side = &pd->side[m];
        AO_store(&side->g, WF_PD_NONE);
        AO_store(&side->deadline, 0);
        AO_store(&side->timer.heap, 0);
        side->armed = 0;
        side->drained = false;
    }
}

int wf_poll_open(int fd, bool stream_tcp, wf_poll_desc **out)
{
    wf_poll_desc *pd = wf_poll_cache_alloc();
    if (!pd)
        return -ENOMEM;
    wf_lock_acquire(&pd->lock);
    reset(pd, fd, stream_tcp);
    wf_poll_next_gen(pd);
    wf_lock_release(&pd->lock);
    int r = wf_netpoll_open(pd);
    pd->pollable = r == 0;
    if (r < 0 && r != -EPERM) { /* EPERM: a regular file, always ready */
        wf_poll_cache_free(pd);
        return r;
    }
    *out = pd;
    return 0;
}

static void disarm(wf_poll_desc *pd)
{
    for (int m = WF_READ; m <= WF_WRITE; m++) {
        if (pd->side[m].armed)
            wf_timer_del(&pd->side[m].timer);
        pd->side[m].armed = 0;
    }
    pd->timer_seq++; /* one that fired already is stale now */
}

void wf_poll_unblock(wf_m *mp, wf_poll_desc *pd)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_lock_acquire(&pd->lock);
    pd->closing = true;
    disarm(pd);
    wf_poll_fire(pd, WF_READ, WF_CLOSE, &out);
    wf_poll_fire(pd, WF_WRITE, WF_CLOSE, &out);
    wf_lock_release(&pd->lock);
    wf_ready_list(mp, &out);
}

void wf_poll_close(wf_poll_desc *pd)
{
    if (pd->pollable)
        wf_netpoll_close(pd);
    wf_lock_acquire(&pd->lock);
    disarm(pd);
    wf_poll_next_gen(pd); /* handles and events of before are stale */
    wf_lock_release(&pd->lock);
    wf_poll_cache_free(pd);
}

/* ---- Waiting ------------------------------------------------------------------------ */

/* With or without the lock: a change that comes later is seen in the wait. */
static int error_of(const wf_poll_desc *pd, const wf_poll_side *side)
{
    if (pd->closing)
        return -EBADF;
    return (intptr_t)AO_load(&side->deadline) < 0 ? -ETIMEDOUT : 0;
}

int wf_poll_prepare(wf_m *mp, wf_poll_desc *pd, enum wf_mode mode)
{
    wf_poll_side *side = &pd->side[mode];
    if (wf_g_cancelled(mp->gp))
        return -ECANCELED;
    wf_lock_acquire(&pd->lock);
    int  r = error_of(pd, side);
    bool drained =
        side->drained && !AO_load(&pd->sticky) && AO_load(&pd->urgent) == pd->urgent_seen;
    if (r == 0 && drained) {
        r = 1; /* no reset: an edge since the last read stays seen */
    } else if (r == 0) {
        if (AO_load(&side->g) == WF_PD_READY)
            AO_store(&side->g, WF_PD_NONE); /* before the attempt, never after it */
        if (mode == WF_READ)
            pd->urgent_at = AO_load(&pd->urgent);
    }
    wf_lock_release(&pd->lock);
    return r;
}

static bool poll_commit(wf_g *gp, void *arg)
{
    wf_poll_side *side = arg;
    /* full: pairs with wf_poll_fire's CAS */
    if (AO_compare_and_swap_full(&side->g, WF_PD_WAIT, (AO_t)gp))
        return true;
    wf_token_withdraw(gp, side->ticket);
    return false;
}

/* Under the lock: news consumed, or an error; 1: there is nothing but to wait. */
static int consume(wf_poll_desc *pd, wf_poll_side *side)
{
    int r = error_of(pd, side);
    if (r != 0)
        return r;
    if (pd->pollable && AO_load(&side->g) != WF_PD_READY)
        return 1;
    AO_store(&side->g, WF_PD_NONE);
    side->drained = false;
    return 0;
}

/* After the wait: out of the word, if its waker did not see to that. */
static int finish(wf_poll_desc *pd, wf_poll_side *side, enum wf_reason why)
{
    wf_lock_acquire(&pd->lock);
    int r = consume(pd, side);
    if (r == 1) {
        AO_store(&side->g, WF_PD_NONE);
        side->drained = false;
        r = 0;
    }
    wf_lock_release(&pd->lock);
    return why == WF_CANCEL ? -ECANCELED : r;
}

int wf_poll_wait(wf_m **mp, wf_poll_desc *pd, enum wf_mode mode)
{
    wf_poll_side *side = &pd->side[mode];
    if (wf_g_cancelled((*mp)->gp))
        return -ECANCELED;
    wf_ticket t = wf_wait_arm(*mp);
    wf_lock_acquire(&pd->lock);
    int r = consume(pd, side);
    if (r == 1) {
        side->ticket = t;
        AO_store(&side->g, WF_PD_WAIT);
    }
    wf_lock_release(&pd->lock);
    if (r != 1) {
        wf_wait_abandon(*mp, t);
        return r;
    }
    enum wf_reason why =
        wf_wait_commit(mp, t, WEFT_FOREVER, wf_for(wait_kinds[mode], pd), poll_commit, side);
    return finish(pd, side, why);
}

struct any {
    wf_poll_desc *pd;
    const bool   *wanted;
    wf_ticket     ticket;
};

static bool any_commit(wf_g *gp, void *arg)
{
    struct any *a = arg;
    bool        news = false;
    for (int m = WF_READ; m <= WF_WRITE; m++)
        if (a->wanted[m]) /* full: pairs with wf_poll_fire's CAS */
            news = !AO_compare_and_swap_full(&a->pd->side[m].g, WF_PD_WAIT, (AO_t)gp) || news;
    if (!news)
        return true;
    /* If a waker was first it left the G to us as well: the token was not parked. */
    wf_token_withdraw(gp, a->ticket);
    return false;
}

/* Under the lock: 0 if a wanted side has news, which are consumed; 1: to wait. */
static int consume_any(struct any *a)
{
    int r = 1;
    for (int m = WF_READ; m <= WF_WRITE; m++) {
        int one = a->wanted[m] ? consume(a->pd, &a->pd->side[m]) : 1;
        r = one < r ? one : r;
    }
    return r;
}

int wf_poll_wait_any(wf_m **mp, wf_ticket t, wf_poll_desc *pd, const bool sides[2],
                     weft_time deadline)
{
    struct any a = { .pd = pd, .wanted = sides, .ticket = t };
    wf_lock_acquire(&pd->lock);
    int r = wf_g_cancelled((*mp)->gp) ? -ECANCELED : consume_any(&a);
    for (int m = WF_READ; m <= WF_WRITE && r == 1; m++)
        if (a.wanted[m]) {
            pd->side[m].ticket = t;
            AO_store(&pd->side[m].g, WF_PD_WAIT);
        }
    wf_lock_release(&pd->lock);
    if (r != 1) {
        wf_wait_abandon(*mp, t);
        return r;
    }
    enum wf_reason why =
        wf_wait_commit(mp, t, deadline, wf_for(WF_FOR_DESCRIPTOR, pd), any_commit, &a);
    r = 0;
    for (int m = WF_READ; m <= WF_WRITE; m++)
        if (a.wanted[m]) {
            int one = finish(pd, &pd->side[m], why);
            r = one < r ? one : r;
        }
    if (why == WF_CANCEL)
        return -ECANCELED;
    return why == WF_TIMEOUT && r == 0 ? -ETIMEDOUT : r;
}

int wf_poll_ask(int fd, int events, int wanted)
{
    struct pollfd p = { .fd = fd, .events = (short)events };
    int           r = wf_sys_poll(&p);
    if (r < 0)
        return r == -EINTR ? 0 : r;
    if (p.revents & POLLNVAL)
        return -EBADF;
    return p.revents & (POLLERR | POLLHUP) ? wanted : p.revents & events;
}

void wf_poll_note_read(wf_poll_desc *pd, size_t wanted, ssize_t got)
{
    if (!pd->short_rule)
        return;
    if (got == -EAGAIN)
        pd->urgent_seen = pd->urgent_at;
    pd->side[WF_READ].drained = got > 0 && (size_t)got < wanted;
}

/* ---- Deadlines ------------------------------------------------------------------------ */

/* They end waits by WF_CLOSE (look again), since TIMEOUT says that the wait's own timer has
 * fired (wait.c), which a wait_any may have besides. */

static void deadline_fired(void *arg, AO_t seq, wf_glist *out);

/* Under pd->lock.  Where there is no memory for a timer the deadline counts as passed:
 * better too early than never. */
static void arm(wf_m *mp, wf_poll_desc *pd, wf_poll_side *side, int64_t when, wf_glist *out)
{
    if (side->armed)
        wf_timer_del(&side->timer);
    int r =
        wf_timer_add(&mp->pp->timers, &side->timer, when, deadline_fired, side, ++pd->timer_seq);
    side->timer_seq = pd->timer_seq;
    side->armed = when;
    if (r == 1)
        wf_timer_wake(when);
    if (r >= 0)
        return;
    side->armed = 0;
    AO_store(&side->deadline, (AO_t)-1);
    wf_poll_fire(pd, side == &pd->side[WF_READ] ? WF_READ : WF_WRITE, WF_CLOSE, out);
}

static void deadline_fired(void *arg, AO_t seq, wf_glist *out)
{
    wf_poll_side *side = arg;
    enum wf_mode  mode = side->mode;
    wf_poll_desc *pd = WF_CONTAINER(side - mode, wf_poll_desc, side);
    wf_lock_acquire(&pd->lock);
    if (side->armed && side->timer_seq == seq) {
        int64_t when = (int64_t)AO_load(&side->deadline);
        side->armed = 0;
        if (when > wf_now()) {
            arm(wf_m_self(), pd, side, when, out); /* it was moved later meanwhile */
        } else if (when > 0) {
            AO_store(&side->deadline, (AO_t)-1);
            wf_poll_fire(pd, mode, WF_CLOSE, out);
        }
    }
    wf_lock_release(&pd->lock);
}

static void set_side(wf_m *mp, wf_poll_desc *pd, enum wf_mode mode, weft_time when, wf_glist *out)
{
    wf_poll_side *side = &pd->side[mode];
    if (when == WEFT_FOREVER) {
        AO_store(&side->deadline, 0);
    } else if (when <= wf_now()) {
        AO_store(&side->deadline, (AO_t)-1);
        wf_poll_fire(pd, mode, WF_CLOSE, out);
    } else {
        AO_store(&side->deadline, (AO_t)when);
        if (!side->armed || side->armed > when)
            arm(mp, pd, side, when, out); /* else it re-arms when it fires */
    }
}

void wf_poll_set_deadline(wf_m *mp, wf_poll_desc *pd, bool read, bool write, weft_time deadline)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_lock_acquire(&pd->lock);
    if (!pd->closing && read)
        set_side(mp, pd, WF_READ, deadline, &out);
    if (!pd->closing && write)
        set_side(mp, pd, WF_WRITE, deadline, &out);
    wf_lock_release(&pd->lock);
    wf_ready_list(mp, &out);
}
