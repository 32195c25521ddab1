/* SPDX-License-Identifier: Apache-2.0 */
/*
 * borrow.c - reading without a buffer of one's own: borrow and release, and the read
 * buffers of each P.
 *
 * A borrow is a buffer in the chain of its coroutine (gp->borrow) that names the
 * connection.  It holds the connection's turn to read, but no place in its fdlock, so a
 * close elsewhere takes effect at once; the bytes stay until the borrow ends.  While a
 * borrow waits it has no buffer.
 *
 * Where a ring has received the bytes its buffer is lent as it is.  Else the buffer is a P's:
 * taken newest first, so that few pages are touched; a P keeps BUFFERS_KEPT.
 */
#include "conn.h"
#include "net.h"
#include "ringed.h"

#include <stdlib.h>
#include <weft/net.h>

enum { BUFFER_BYTES = 16 << 10, BUFFERS_KEPT = 64 };

typedef wf_buffer buffer;

/* ---- The P's buffers: all by the thread that holds the P ----------------------------- */

static buffer *buffer_get(wf_p *pp)
{
    buffer *b = pp->buffers;
    if (!b) {
        b = malloc(sizeof *b + BUFFER_BYTES);
        if (b)
            b->ring = NULL;
        return b;
    }
    pp->buffers = b->next;
    pp->nbuffers--;
    return b;
}

static void buffer_put(wf_p *pp, buffer *b)
{
    if (WF_UNLIKELY(b->ring != NULL)) {
        wf_uring_give(b);
        return;
    }
    if (pp->nbuffers >= BUFFERS_KEPT) {
        free(b);
        return;
    }
    b->next = pp->buffers;
    pp->buffers = b;
    pp->nbuffers++;
}

void wf_buffers_free(wf_p *pp)
{
    for (buffer *b; (b = pp->buffers);) {
        pp->buffers = b->next;
        free(b);
    }
    pp->nbuffers = 0;
}

/* ---- The coroutine's borrows --------------------------------------------------------- */

static void end_one(wf_m *mp, buffer *b)
{
    wf_fd_return_turn(mp, b->conn, WF_READ); /* a stale one has none */
    buffer_put(mp->pp, b);
}

/* Out of the chain; NULL: there is none on the connection. */
static buffer *take_out(wf_g *gp, uint64_t id)
{
    buffer *before = NULL, *b = gp->borrow;
    while (b && b->conn != id) {
        before = b;
        b = b->next;
    }
    if (b && before)
        before->next = b->next;
    else if (b)
        gp->borrow = b->next;
    return b;
}

void wf_borrow_drop(wf_m *mp, uint64_t id)
{
    buffer *b = take_out(mp->gp, id);
    if (b)
        end_one(mp, b);
}

bool wf_borrow_resume(wf_op *op, uint64_t id)
{
    wf_m   *mp = op->mp;
    buffer *b = take_out(mp->gp, id);
    if (!b)
        return false;
    bool resumed = wf_op_resume_turn(op, id, WF_READ);
    if (!resumed)
        wf_fd_return_turn(mp, id, WF_READ);
    buffer_put(mp->pp, b);
    return resumed;
}

bool wf_borrow_held(const wf_g *gp, uint64_t id)
{
    const buffer *b = gp->borrow;
    while (b && b->conn != id)
        b = b->next;
    return b != NULL;
}

void wf_borrow_end(wf_m *mp, wf_g *gp)
{
    for (buffer *b; (b = gp->borrow);) {
        gp->borrow = b->next;
        end_one(mp, b);
    }
}

typedef struct attempt {
    size_t  want;
    buffer *b;    /* out: holds what was received */
    char   *data; /* out: where in it */
} attempt;

static ssize_t try_borrow(wf_op *op, void *arg)
{
    attempt *a = arg;
    if (op->f->ringed && (a->b = wf_ringed_take(op, a->want))) {
        a->data = a->b->data + a->b->at;
        return a->b->n - a->b->at;
    }
    buffer *b = buffer_get(op->mp->pp);
    if (!b)
        return -ENOMEM;
    a->data = b->data;
    ssize_t r = wf_conn_receive(op, b->data, a->want);
    if (r > 0)
        a->b = b;
    else
        buffer_put(op->mp->pp, b);
    return r;
}

/* The turn stays with the coroutine; the place is given back by wf_op_end. */
static void keep(wf_op *op, buffer *b, uint64_t id)
{
    wf_g *gp = op->mp->gp;
    b->conn = id;
    b->next = gp->borrow;
    gp->borrow = b;
    op->turn = false;
}

ssize_t weft_conn_borrow(weft_conn c, const void **data, size_t max)
{
    wf_op   op;
    attempt a = { max < BUFFER_BYTES ? max : BUFFER_BYTES, NULL, NULL };
    ssize_t r = wf_conn_begin_read(&op, "weft_conn_borrow", c.id, max);
    *data = NULL;
    if (r == 0)
        r = max > 0 ? wf_op_attempt(&op, try_borrow, &a) : -EINVAL;
    if (r > 0) {
        *data = a.data;
        keep(&op, a.b, c.id);
    }
    wf_op_end(&op);
    return r;
}

void weft_conn_release(weft_conn c)
{
    wf_m *mp = wf_enter("weft_conn_release");
    wf_borrow_drop(mp, c.id);
    wf_leave(mp);
}
