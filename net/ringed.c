/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ringed.c - reading and accepting through rings; see ringed.h, and inbox.h for the protocol.
 *
 * Owns nothing: what was brought lies in the poll_desc's inbox.
 */
#include "ringed.h"

#include "conn.h"

#include "runtime/sys.h"
#include "runtime/uring.h"
#include "runtime/wait.h"

#include <poll.h>
#include <string.h>

#define SEND_MOST ((size_t)64 << 10)

/* ---- Reading --------------------------------------------------------------------------- */

/* From the first buffers, as many bytes as there are; they are the reader's alone. */
static ssize_t take_bytes(wf_poll_desc *pd, char *to, size_t n)
{
    size_t got = 0;
    for (wf_buffer *b; got < n;) {
        wf_spin_acquire(&pd->lock);
        b = pd->inbox.head;
        ssize_t nothing = b || got > 0 ? 0 : wf_inbox_nothing(&pd->inbox);
        size_t  part = b ? b->n - b->at : 0;
        bool    whole = part <= n - got;
        if (b && whole)
            wf_inbox_take(&pd->inbox);
        wf_spin_release(&pd->lock);
        if (!b)
            return got > 0 ? (ssize_t)got : nothing;
        part = whole ? part : n - got;
        memcpy(to + got, b->data + b->at, part);
        b->at += (unsigned)part;
        got += part;
        if (whole)
            wf_uring_give(b);
    }
    return (ssize_t)got;
}

wf_buffer *wf_ringed_take(wf_op *op, size_t most)
{
    wf_poll_desc *pd = op->f->pd;
    wf_spin_acquire(&pd->lock);
    wf_buffer *b = pd->inbox.head;
    if (b && b->n - b->at <= most)
        wf_inbox_take(&pd->inbox);
    else
        b = NULL;
    wf_spin_release(&pd->lock);
    return b;
}

/* Nothing is there: the ring is to bring it, else epoll is to tell of it. */
static int wait_for_more(wf_op *op, enum wf_uring_what what)
{
    wf_glist out;
    wf_glist_init(&out);
    int r = wf_uring_arm(op->mp, op->f->pd, what, &out);
    wf_ready_list(op->mp, &out);
    if (r != 0)
        r = wf_ringed_leave(op);
    return r < 0 ? r : -EAGAIN;
}

/* Bytes were left that the request has not brought: perhaps not yet, or it has stopped. */
static ssize_t look(wf_op *op)
{
    int r = wf_fd_ready(op->f, POLLPRI) ? wf_ringed_leave(op) : 0;
    return r < 0 ? r : -EAGAIN;
}

ssize_t wf_ringed_receive(wf_op *op, void *buf, size_t n)
{
    wf_fd  *f = op->f;
    ssize_t r = take_bytes(f->pd, buf, n);
    if (WF_UNLIKELY(r == WF_INBOX_LOOK))
        return look(op);
    if (r != WF_INBOX_ASK)
        return r;
    if (AO_int_load(&f->pd->watch) == WF_WATCH_ALL)
        f->pd->short_rule = true; /* it has left: from here on edges tell of all that comes */
    r = wf_conn_receive_now(f, buf, n);
    return r == -EAGAIN ? wait_for_more(op, WF_URING_RECEIVE) : r;
}

/* ---- Writing --------------------------------------------------------------------------- */

/* Nothing ends this wait but the send itself: the kernel reads the caller's bytes.  It is short,
 * since the send does not wait; and the coroutine keeps its place, so the number is not closed. */
ssize_t wf_ringed_send(wf_op *op, const void *buf, size_t n)
{
    int           fd = op->f->lock.fd;
    wf_uring_sent s;
    wf_glist      out;
    if (!wf_uring_may_send(op->mp) || n > SEND_MOST)
        return wf_sys_send(fd, buf, n, MSG_NOSIGNAL);
    int r = wf_sys_allowed("send", fd);
    if (r < 0)
        return r;
    wf_glist_init(&out);
    s.ticket = wf_wait_arm_shielded(op->mp);
    if (!wf_uring_send(op->mp, fd, buf, n, &s, &out)) {
        wf_wait_abandon(op->mp, s.ticket);
        return wf_sys_send(fd, buf, n, MSG_NOSIGNAL);
    }
    wf_ready_list(op->mp, &out);
    wf_wait(&op->mp, s.ticket, WEFT_FOREVER, wf_for(WF_FOR_WRITABLE, op->f->pd));
    return s.result;
}

/* ---- Accepting ------------------------------------------------------------------------- */

int wf_ringed_accept(wf_op *op, int (*now)(wf_fd *f))
{
    wf_poll_desc *pd = op->f->pd;
    wf_spin_acquire(&pd->lock);
    int r = pd->inbox.count > 0 ? wf_uring_take_fd(&pd->inbox) : (int)wf_inbox_nothing(&pd->inbox);
    wf_spin_release(&pd->lock);
    if (r != WF_INBOX_ASK)
        return r;
    r = now(op->f);
    return r == -EAGAIN ? wait_for_more(op, WF_URING_ACCEPT) : r;
}

/* ---- Leaving and closing --------------------------------------------------------------- */

bool wf_ringed_holds(wf_fd *f)
{
    wf_spin_acquire(&f->pd->lock);
    bool some = !wf_inbox_empty(&f->pd->inbox);
    wf_spin_release(&f->pd->lock);
    return some;
}

/* The words of a wf_fd that only a reader may see are not looked at: anyone may call this. */
int wf_ringed_leave(wf_op *op)
{
    wf_poll_desc *pd = op->f->pd;
    wf_glist      out;
    wf_glist_init(&out);
    int r = wf_poll_watch(pd, WF_WATCH_ALL);
    if (r < 0)
        return r;
    wf_spin_acquire(&pd->lock);
    bool was = pd->inbox.by_ring;
    pd->inbox.by_ring = false;
    wf_spin_release(&pd->lock);
    if (was) {
        wf_uring_cancel(pd, &out);
        wf_ready_list(op->mp, &out);
    }
    return 0;
}

bool wf_ringed_close(wf_fd *f)
{
    wf_poll_desc *pd = f->pd;
    wf_m         *mp = wf_m_self();
    wf_glist      out;
    wf_glist_init(&out);
    bool none = wf_uring_cancel(pd, &out);
    if (mp)
        wf_ready_list(mp, &out);
    wf_spin_acquire(&pd->lock);
    wf_inbox in = pd->inbox;
    none = none || !in.by_ring; /* who was given the descriptor may have a duplicate */
    pd->inbox.head = pd->inbox.tail = NULL;
    pd->inbox.first = pd->inbox.last = -1;
    pd->inbox.count = 0;
    wf_spin_release(&pd->lock);
    while (in.head)
        wf_uring_give(wf_inbox_take(&in));
    while (in.first >= 0)
        wf_sys_close(wf_uring_take_fd(&in));
    return none;
}
