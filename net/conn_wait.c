/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_wait.c - weft_conn_wait: readiness of a connection for a library that reads and
 * writes its descriptor itself.
 *
 * The turns.  One who waited for a turn while it holds the other would stop a connection:
 * the writer who has the turn to write may wait for a peer that first wants to be read,
 * and nobody can read.  So no wait here is for a turn alone.  Of the turns wanted those
 * that are free are taken, and what is ready of their sides is the answer.  Else one
 * token stands in both places: in the word (rg, wg) of each side whose turn is held, and
 * in the queue of each turn that is not.  Whatever comes first wakes it, and it asks
 * again.  So whoever waits behind it for a turn waits for what it could not have now
 * either, and there is no order of the turns to keep.
 *
 * Readiness and the library.  weft does not see what the library reads and writes; the
 * words rg and wg are about edges, and what the library wants to know is the level.  So
 * the kernel is asked (poll) before each park, and the words only say when to ask again:
 *
 *   It reads until -EAGAIN, or all of it, and waits: nothing is ready.  READY may be left
 *     of an edge whose bytes it has read: it is consumed by the wait that then does not
 *     park, poll says no once more, and the next wait parks.  One round for an edge at
 *     most, so it never spins on what is stale.
 *   It reads some and waits: poll says that the rest is ready, at once.
 *   Something comes between the poll and the park: its edge makes the word READY, or
 *     finds WAIT, or the G, so the wait does not park or ends.  Readiness is erased only
 *     by who has the side's turn, before it asks or tries; that is this coroutine here.
 *   It writes until -EAGAIN, or poll says that there is no room: both make the kernel
 *     raise an edge when there is.  It writes some and waits: poll says so at once.
 *
 * Then weft's own calls, after the library's.  A write always tries first.  A read tries
 * first too, unless `drained` is set: weft's last read emptied the socket, and no edge
 * was consumed since, for whoever consumes one clears it (netpoll.c).  What is unread now
 * came after that read.  Its edge is in rg still or yet to come, so the read that parks
 * untried wakes; that the library has read meanwhile takes bytes away and never an edge.
 * At worst the edge was for bytes that the library took: one -EAGAIN, and it parks.
 * tests/model/poll.pml has a reader of either kind in turn.
 *
 * A descriptor that epoll does not take (a regular file) is always ready.
 */
#include "conn.h"
#include "ringed.h"

#include <poll.h>
#include <weft/net.h>

static const short bit_of[] = { [WF_READ] = POLLIN, [WF_WRITE] = POLLOUT };

typedef struct waiting {
    wf_op            op;
    int              events;
    bool             own[2];   /* turns that were taken here */
    bool             borrowed; /* the caller's borrow has the turn to read */
    wf_fdlock_waiter in[2];
} waiting;

static bool has(const waiting *w, enum wf_mode m)
{
    return w->own[m] || (m == WF_READ && w->borrowed);
}

static bool lacks(const waiting *w, enum wf_mode m)
{
    return w->events & bit_of[m] && !has(w, m);
}

/* May it go on?  0, -ECANCELED, -ETIMEDOUT, -EBADF. */
static int check(const waiting *w)
{
    int r = wf_g_cancelled(w->op.mp->gp) ? -ECANCELED : 0;
    for (enum wf_mode m = WF_READ; m <= WF_WRITE && r == 0; m++)
        if (w->events & bit_of[m])
            r = wf_poll_over(w->op.f->pd, m);
    return r;
}

/* What is ready of the sides whose turn is free or held already; 0: nothing; -EBUSY: weft has
 * bytes that the descriptor no longer has, so that who reads it himself would miss them. */
static int ask(waiting *w)
{
    wf_fd *f = w->op.f;
    int    held = 0;
    for (enum wf_mode m = WF_READ; m <= WF_WRITE; m++) {
        if (lacks(w, m))
            w->own[m] = wf_fdlock_claim(&f->lock, m);
        held |= has(w, m) ? w->events & bit_of[m] : 0;
    }
    if (held & POLLIN && f->ringed && wf_ringed_holds(f))
        return -EBUSY;
    return wf_poll_ask(f->lock.fd, held, w->events);
}

/* Into the queues of the turns it lacks; -EAGAIN: it is in all of them, until *deadline; 0:
 * a turn has just become free, so there is something to ask; -EBADF. */
static int join(waiting *w, wf_ticket t, weft_time *deadline)
{
    wf_fd *f = w->op.f;
    int    r = -EAGAIN;
    *deadline = WEFT_FOREVER;
    for (enum wf_mode m = WF_READ; m <= WF_WRITE && r == -EAGAIN; m++) {
        if (!lacks(w, m))
            continue;
        r = wf_fdlock_join(&f->lock, m, &w->in[m], w->op.mp->gp, t);
        w->own[m] = r == 0;
        weft_time d = wf_fdlock_deadline(&f->pd->deadline[m]); /* after the join */
        *deadline = d < *deadline ? d : *deadline;
    }
    return r;
}

static void part(waiting *w)
{
    for (enum wf_mode m = WF_READ; m <= WF_WRITE; m++)
        if (w->in[m].gp && !w->own[m])
            w->own[m] = wf_fdlock_part(&w->op.f->lock, m, &w->in[m]);
}

/* One wait, by a parked one: for readiness of the turns it has, for the others' turns. */
static int wait_once(waiting *w)
{
    wf_op     *op = &w->op;
    weft_time  deadline;
    wf_ticket  t = wf_wait_arm(op->mp);
    const bool sides[2] = { w->events & POLLIN && has(w, WF_READ),
                            w->events & POLLOUT && has(w, WF_WRITE) };
    w->in[WF_READ].gp = w->in[WF_WRITE].gp = NULL;
    int r = join(w, t, &deadline);
    if (r == -EAGAIN)
        r = wf_poll_wait_any(&op->mp, t, op->f->pd, sides, deadline);
    else
        wf_wait_abandon(op->mp, t);
    part(w);
    return r;
}

static int wait_on(waiting *w)
{
    for (;;) {
        int r = check(w);
        if (r == 0)
            r = ask(w);
        if (r != 0)
            return r;
        if (!wf_op_rest(&w->op))
            return -EBADF;
        r = wait_once(w);
        if (!wf_op_back(&w->op))
            return -EBADF;
        if (r == -ECANCELED)
            return r;
        /* Perhaps ready, or a turn was given, or a deadline passed or was changed. */
    }
}

static void finish(waiting *w)
{
    for (enum wf_mode m = WF_READ; w->op.f && m <= WF_WRITE; m++)
        if (w->own[m])
            wf_fdlock_give(w->op.mp, &w->op.f->lock, m);
    wf_op_end(&w->op);
}

int weft_conn_wait(weft_conn c, int events)
{
    if (events == 0 || (events & ~(POLLIN | POLLOUT)))
        return -EINVAL;
    waiting w = { .events = events };
    int     r = wf_op_begin(&w.op, "weft_conn_wait", c.id, WF_FD_CONN);
    w.borrowed = wf_borrow_held(w.op.mp->gp, c.id);
    if (wf_g_cancelled(w.op.mp->gp))
        r = -ECANCELED;
    if (r == 0)
        r = wf_ringed_leave(&w.op);
    if (r == 0)
        r = wf_op_share(&w.op) ? wait_on(&w) : -EBADF;
    finish(&w);
    return r;
}
