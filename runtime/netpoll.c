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
#include "uring.h"
#include "wait.h"

#include <poll.h>

static const enum wf_wait_kind wait_kinds[] = { WF_FOR_READABLE, WF_FOR_WRITABLE };

/* ---- Open and close -------------------------------------------------------------- */

static void reset(wf_poll_desc *pd, int fd, bool stream_tcp, bool ringed)
{
    pd->fd = fd;
    AO_int_store(&pd->watch, WF_WATCH_NOTHING);
    wf_inbox_reset(&pd->inbox, ringed);
    pd->closing = pd->drained = false;
    pd->short_rule = stream_tcp && !ringed;
    AO_int_store(&pd->news, 0);
    pd->urgent_at = pd->urgent_seen = 0;
    for (int m = WF_READ; m <= WF_WRITE; m++) {
        AO_store(&pd->g[m], WF_PD_NONE);
        AO_store(&pd->deadline[m], 0);
        AO_store(&pd->side[m].timer.heap, 0);
        pd->side[m].armed = 0;
    }
}

/* This P's; none when all have stopped, on weft_run's thread. */
static wf_poll_spares *spares(void)
{
    wf_m *mp = wf_m_self();
    return mp ? &mp->pp->polls : NULL;
}

int wf_poll_open(int fd, enum wf_poll_kind kind, wf_poll_desc **out)
{
    wf_poll_desc *pd = wf_poll_cache_alloc(spares());
    if (!pd)
        return -ENOMEM;
    bool ringed = kind >= WF_POLL_TCP && wf_uring_claim(fd);
    wf_spin_acquire(&pd->lock);
    reset(pd, fd, kind == WF_POLL_TCP || kind == WF_POLL_TCP_ADOPTED, ringed);
    wf_poll_next_gen(pd);
    wf_spin_release(&pd->lock);
    int r = wf_netpoll_open(pd, ringed ? WF_WATCH_NOTHING : WF_WATCH_ALL);
    AO_char_store(&pd->pollable, r == 0);
    if (r < 0 && r != -EPERM) { /* EPERM: a regular file, always ready */
        wf_poll_cache_free(spares(), pd);
        return r;
    }
    *out = pd;
    return 0;
}

int wf_poll_watch(wf_poll_desc *pd, enum wf_watch watch)
{
    wf_spin_acquire(&pd->lock);
    int r = AO_char_load(&pd->pollable) ? wf_netpoll_watch(pd, watch) : 0;
    wf_spin_release(&pd->lock);
    return r;
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
    wf_spin_acquire(&pd->lock);
    pd->closing = true;
    AO_store(&pd->deadline[WF_READ], WF_PD_CLOSED);
    AO_store(&pd->deadline[WF_WRITE], WF_PD_CLOSED);
    disarm(pd);
    wf_poll_fire(pd, WF_READ, WF_CLOSE, &out);
    wf_poll_fire(pd, WF_WRITE, WF_CLOSE, &out);
    wf_spin_release(&pd->lock);
    wf_ready_list(mp, &out);
}

void wf_poll_close(wf_poll_desc *pd)
{
    if (AO_char_load(&pd->pollable))
        wf_netpoll_close(pd);
    wf_spin_acquire(&pd->lock);
    disarm(pd);
    wf_poll_next_gen(pd); /* handles and events of before are stale */
    wf_spin_release(&pd->lock);
    wf_poll_cache_free(spares(), pd);
}

/* ---- Waiting ------------------------------------------------------------------------ */

/* As wf_poll_over, but that a late timer is left to end the wait. */
static int ended(const wf_poll_desc *pd, enum wf_mode mode)
{
    AO_t d = AO_load(&pd->deadline[mode]);
    if (WF_LIKELY((intptr_t)d >= 0))
        return 0;
    return d == WF_PD_CLOSED ? -EBADF : -ETIMEDOUT;
}

/* By the turn's owner, who does not wait: nobody else takes READY away. */
static inline void forget(wf_poll_desc *pd, enum wf_mode mode)
{
    if (AO_load(&pd->g[mode]) != WF_PD_READY)
        return;
    AO_compare_and_swap_full(&pd->g[mode], WF_PD_READY, WF_PD_NONE);
    wf_fence_after_rmw(); /* before the attempt; pairs with poll_fire's CAS */
}

int wf_poll_prepare(wf_m *mp, wf_poll_desc *pd, enum wf_mode mode)
{
    if (wf_g_cancelled(mp->gp))
        return -ECANCELED;
    int r = wf_poll_over(pd, mode);
    if (r != 0 || mode == WF_WRITE)
        return r;
    unsigned news = AO_int_load_acquire(&pd->news); /* pairs with tell's release */
    if (pd->drained && news == pd->urgent_seen)
        return 1; /* nothing is forgotten: an edge since the last read stays seen */
    pd->urgent_at = news & ~(unsigned)WF_POLL_STICKY;
    forget(pd, mode);
    return 0;
}

/* The owner does not wait after all; nothing is done to a word that is not WAIT. */
static void retract(wf_poll_desc *pd, enum wf_mode mode)
{
    AO_compare_and_swap_full(&pd->g[mode], WF_PD_WAIT, WF_PD_NONE); /* pairs with poll_fire's */
}

/* Any news are consumed: 0; 1: there is nothing but to wait, and the word says so; or an error. */
static int announce(wf_poll_desc *pd, enum wf_mode mode)
{
    bool wait = AO_char_load(&pd->pollable) &&
                AO_compare_and_swap_full(&pd->g[mode], WF_PD_NONE, WF_PD_WAIT);
    wf_fence_after_rmw(); /* pairs with poll_fire's fence: the deadline, then the word */
    int r = ended(pd, mode);
    if (r == 0 && wait)
        return 1;
    if (wait) {
        retract(pd, mode);
    } else if (r == 0) {
        forget(pd, mode);
        if (mode == WF_READ)
            pd->drained = false;
    }
    return r;
}

static bool withdraw(wf_g *gp)
{
    wf_token_withdraw(gp, AO_load(&gp->token) & WF_TICKET_MASK);
    return false;
}

struct wait {
    wf_poll_desc *pd;
    enum wf_mode  mode;
};

static bool poll_commit(wf_g *gp, void *arg)
{
    const struct wait *w = arg; /* the CAS pairs with poll_fire's */
    return AO_compare_and_swap_full(&w->pd->g[w->mode], WF_PD_WAIT, (AO_t)gp) || withdraw(gp);
}

/* After a wait that was not ended by an event of this side: out of the word; and who took
 * it out of the word has fired its token, both under the lock. */
static void unpublish(wf_poll_desc *pd, enum wf_mode mode)
{
    wf_spin_acquire(&pd->lock);
    if (AO_load(&pd->g[mode]) != WF_PD_READY)
        AO_store(&pd->g[mode], WF_PD_NONE);
    wf_spin_release(&pd->lock);
}

static int finish(wf_poll_desc *pd, enum wf_mode mode)
{
    forget(pd, mode);
    if (mode == WF_READ)
        pd->drained = false;
    return ended(pd, mode);
}

int wf_poll_wait(wf_m **mp, wf_poll_desc *pd, enum wf_mode mode)
{
    if (wf_g_cancelled((*mp)->gp))
        return -ECANCELED;
    int r = 0;
    if (WF_UNLIKELY(mode == WF_WRITE && !AO_int_load(&pd->watch)))
        r = wf_poll_watch(pd, WF_WATCH_WRITE);
    if (r == 0)
        r = announce(pd, mode);
    if (r != 1)
        return r;
    struct wait    w = { pd, mode };
    wf_ticket      t = wf_wait_arm(*mp);
    enum wf_reason why =
        wf_wait_commit(mp, t, WEFT_FOREVER, wf_for(wait_kinds[mode], pd), poll_commit, &w);
    if (WF_UNLIKELY(why != WF_EVENT))
        unpublish(pd, mode);
    r = finish(pd, mode);
    return why == WF_CANCEL ? -ECANCELED : r;
}

struct wait_any {
    wf_poll_desc *pd;
    const bool   *wanted;
};

static bool any_commit(wf_g *gp, void *arg)
{
    struct wait_any *a = arg;
    bool             news = false;
    for (int m = WF_READ; m <= WF_WRITE; m++)
        if (a->wanted[m]) /* the CAS pairs with poll_fire's */
            news = !AO_compare_and_swap_full(&a->pd->g[m], WF_PD_WAIT, (AO_t)gp) || news;
    /* It stays in the words until unpublish; a waker then finds a token that was fired. */
    return !news || withdraw(gp);
}

/* 0 if a wanted side has news, which are consumed; 1: to wait, announced; or an error. */
static int announce_any(wf_poll_desc *pd, const bool wanted[2])
{
    int r = 1;
    for (int m = WF_READ; m <= WF_WRITE; m++) {
        int one = wanted[m] ? announce(pd, (enum wf_mode)m) : 1;
        r = one < r ? one : r;
    }
    for (int m = WF_READ; m <= WF_WRITE && r != 1; m++)
        if (wanted[m])
            retract(pd, (enum wf_mode)m);
    return r;
}

int wf_poll_wait_any(wf_m **mp, wf_ticket t, wf_poll_desc *pd, const bool sides[2],
                     weft_time deadline)
{
    struct wait_any a = { pd, sides };
    int             r = wf_g_cancelled((*mp)->gp) ? -ECANCELED : announce_any(pd, sides);
    if (r != 1) {
        wf_wait_abandon(*mp, t);
        return r;
    }
    enum wf_reason why =
        wf_wait_commit(mp, t, deadline, wf_for(WF_FOR_DESCRIPTOR, pd), any_commit, &a);
    r = 0;
    for (int m = WF_READ; m <= WF_WRITE; m++)
        if (sides[m]) {
            unpublish(pd, (enum wf_mode)m); /* whatever ended it: there may have been two */
            int one = finish(pd, (enum wf_mode)m);
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
    pd->drained = got > 0 && (size_t)got < wanted;
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
    int r = wf_timer_start(mp, &side->timer, when, deadline_fired, side, ++pd->timer_seq);
    side->timer_seq = pd->timer_seq;
    side->armed = when;
    if (r == 0)
        return;
    side->armed = 0;
    AO_store(&pd->deadline[side->mode], WF_PD_PASSED);
    wf_poll_fire(pd, side == &pd->side[WF_READ] ? WF_READ : WF_WRITE, WF_CLOSE, out);
}

static void deadline_fired(void *arg, AO_t seq, wf_glist *out)
{
    wf_poll_side *side = arg;
    enum wf_mode  mode = side->mode;
    wf_poll_desc *pd = WF_CONTAINER(side - mode, wf_poll_desc, side);
    wf_spin_acquire(&pd->lock);
    if (side->armed && side->timer_seq == seq) {
        int64_t when = (int64_t)AO_load(&pd->deadline[mode]);
        side->armed = 0;
        if (when > wf_now()) {
            arm(wf_m_self(), pd, side, when, out); /* it was moved later meanwhile */
        } else if (when > 0) {
            AO_store(&pd->deadline[side->mode], WF_PD_PASSED);
            wf_poll_fire(pd, mode, WF_CLOSE, out);
        }
    }
    wf_spin_release(&pd->lock);
}

static void set_side(wf_m *mp, wf_poll_desc *pd, enum wf_mode mode, weft_time when, wf_glist *out)
{
    wf_poll_side *side = &pd->side[mode];
    if (when == WEFT_FOREVER) {
        AO_store(&pd->deadline[mode], 0);
    } else if (when <= wf_now()) {
        AO_store(&pd->deadline[side->mode], WF_PD_PASSED);
        wf_poll_fire(pd, mode, WF_CLOSE, out);
    } else {
        AO_store(&pd->deadline[mode], (AO_t)when);
        if (!side->armed || side->armed > when)
            arm(mp, pd, side, when, out); /* else it re-arms when it fires */
    }
}

void wf_poll_set_deadline(wf_m *mp, wf_poll_desc *pd, bool read, bool write, weft_time deadline)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_spin_acquire(&pd->lock);
    if (!pd->closing && read)
        set_side(mp, pd, WF_READ, deadline, &out);
    if (!pd->closing && write)
        set_side(mp, pd, WF_WRITE, deadline, &out);
    wf_spin_release(&pd->lock);
    wf_ready_list(mp, &out);
}
