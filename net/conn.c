/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - read, read_full, write, write_part, writev.
 *
 * A call holds its turn from its first byte to its last, so that calls of several
 * coroutines never mix.  Waiting and retrying are fd.c's; here is only what is tried.
 */
#include "conn.h"
#include "ringed.h"

#include "runtime/sys.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <weft/net.h>

enum { WINDOW = 16 }; /* elements copied when a vector is resumed within one */

/* ---- Reading ------------------------------------------------------------------------- */

/*
 * At an urgent mark TCP answers -EAGAIN, whatever lies behind it, while the thread has a signal
 * to take or a ring's completions to see to; and no edge tells of what was there before.
 */
static bool refused_at_mark(wf_fd *f)
{
    return WF_UNLIKELY(AO_int_load(&f->pd->news) >= WF_POLL_URGENT) && f->type == WF_FD_TCP &&
           wf_fd_ready(f, POLLIN);
}

ssize_t wf_conn_receive_now(wf_fd *f, void *buf, size_t n)
{
    ssize_t r = WF_UNLIKELY(f->type == WF_FD_FILE) ? wf_sys_read(f->lock.fd, buf, n)
                                                   : wf_sys_recv(f->lock.fd, buf, n, 0);
    if (r == -EAGAIN && refused_at_mark(f))
        return -EINTR;
    if (r == 0)
        f->eof = true;
    wf_poll_note_read(f->pd, wf_sys_asked(n), r);
    return r;
}

ssize_t wf_conn_receive(wf_op *op, void *buf, size_t n)
{
    return op->f->ringed ? wf_ringed_receive(op, buf, n) : wf_conn_receive_now(op->f, buf, n);
}

int wf_conn_begin_read(wf_op *op, const char *call, uint64_t id, size_t n)
{
    wf_m *mp = wf_enter(call);
    op->mp = mp;
    if (WF_LIKELY(n > 0)) {
        if (!mp->gp->borrow || !wf_borrow_resume(op, id))
            return wf_op_take(op, id, WF_FD_CONN, WF_READ);
        return wf_g_cancelled(mp->gp) ? -ECANCELED : 0;
    }
    if (mp->gp->borrow)
        wf_borrow_drop(mp, id);
    int r = wf_op_begin(op, call, id, WF_FD_CONN);
    return wf_g_cancelled(mp->gp) ? -ECANCELED : r;
}

typedef struct span {
    char  *at;
    size_t n;
} span;

static ssize_t try_read(wf_op *op, void *arg)
{
    span *s = arg;
    return wf_conn_receive(op, s->at, s->n);
}

ssize_t weft_conn_read(weft_conn c, void *buf, size_t n)
{
    wf_op   op;
    span    s = { buf, n };
    ssize_t r = wf_conn_begin_read(&op, "weft_conn_read", c.id, n);
    if (r == 0 && n > 0)
        r = wf_op_attempt(&op, try_read, &s);
    wf_op_end(&op);
    return r;
}

/* Until the span is full, the stream ends or an error comes; *got counts on. */
static ssize_t read_on(wf_op *op, span *s, size_t *got)
{
    while (s->n > 0) {
        ssize_t r = wf_op_attempt(op, try_read, s);
        if (r == 0)
            return *got > 0 ? -EPIPE : 0;
        if (r < 0)
            return r;
        s->at += r;
        s->n -= (size_t)r;
        *got += (size_t)r;
    }
    return (ssize_t)*got;
}

ssize_t weft_conn_read_full(weft_conn c, void *buf, size_t n, size_t *done)
{
    wf_op   op;
    span    s = { buf, n };
    size_t  got = 0;
    ssize_t r = wf_conn_begin_read(&op, "weft_conn_read_full", c.id, n);
    if (r == 0)
        r = read_on(&op, &s, &got);
    wf_op_end(&op);
    if (done)
        *done = got;
    return r;
}

/* ---- Writing ------------------------------------------------------------------------- */

static ssize_t try_write(wf_op *op, void *arg)
{
    const span *s = arg;
    wf_fd      *f = op->f;
    if (WF_UNLIKELY(f->type == WF_FD_FILE))
        return wf_sys_write(f->lock.fd, s->at, s->n);
    if (f->ringed)
        return wf_ringed_send(op, s->at, s->n);
    return wf_sys_send(f->lock.fd, s->at, s->n, MSG_NOSIGNAL);
}

static ssize_t write_on(wf_op *op, span *s, size_t *sent)
{
    while (s->n > 0) {
        ssize_t r = wf_op_attempt(op, try_write, s);
        if (r <= 0)
            return r < 0 ? r : -EIO; /* a device that takes nothing, yet does not say why */
        s->at += r;
        s->n -= (size_t)r;
        *sent += (size_t)r;
    }
    return (ssize_t)*sent;
}

static ssize_t write_all(const char *call, uint64_t id, const void *buf, size_t n, size_t *done)
{
    wf_op  op;
    span   s = { (char *)buf, n };
    size_t sent = 0;
    if (done)
        *done = 0;
    if (n == 0)
        return wf_op_probe(call, id, WF_FD_CONN);
    ssize_t r = wf_op_begin_turn(&op, call, id, WF_FD_CONN, WF_WRITE);
    if (r == 0)
        r = write_on(&op, &s, &sent);
    wf_op_end(&op);
    if (done)
        *done = sent;
    return r;
}

ssize_t weft_conn_write(weft_conn c, const void *buf, size_t n)
{
    return write_all("weft_conn_write", c.id, buf, n, NULL);
}

ssize_t weft_conn_write_part(weft_conn c, const void *buf, size_t n, size_t *done)
{
    return write_all("weft_conn_write_part", c.id, buf, n, done);
}

/* ---- Vectors ------------------------------------------------------------------------- */

/* What is left of the caller's vector, which is never changed. */
typedef struct vector {
    const struct iovec *iov;
    int                 n;
    size_t              skip; /* bytes of iov[0] that went already */
} vector;

static void advance(vector *v, size_t by)
{
    v->skip += by;
    while (v->n > 0 && v->skip >= v->iov->iov_len) {
        v->skip -= v->iov->iov_len;
        v->iov++;
        v->n--;
    }
}

static ssize_t send_vector(wf_fd *f, const struct iovec *iov, int n)
{
    if (f->type == WF_FD_FILE)
        return wf_sys_writev(f->lock.fd, iov, n);
    struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
    return wf_sys_sendmsg(f->lock.fd, &m, MSG_NOSIGNAL);
}

/* Where the last attempt ended within an element, a few are copied and the first is cut. */
static ssize_t try_writev(wf_op *op, void *arg)
{
    const vector *v = arg;
    struct iovec  window[WINDOW];
    if (v->skip == 0)
        return send_vector(op->f, v->iov, v->n < IOV_MAX ? v->n : IOV_MAX);
    int n = v->n < WINDOW ? v->n : WINDOW;
    memcpy(window, v->iov, (size_t)n * sizeof window[0]);
    window[0].iov_base = (char *)window[0].iov_base + v->skip;
    window[0].iov_len -= v->skip;
    return send_vector(op->f, window, n);
}

static ssize_t writev_on(wf_op *op, vector *v, size_t *sent)
{
    for (advance(v, 0); v->n > 0;) {
        ssize_t r = wf_op_attempt(op, try_writev, v);
        if (r <= 0)
            return r < 0 ? r : -EIO;
        *sent += (size_t)r;
        advance(v, (size_t)r);
    }
    return (ssize_t)*sent;
}

/* All the bytes of a vector, or -EINVAL. */
static ssize_t vector_size(const struct iovec *iov, int n)
{
    size_t total = 0;
    if (n < 0 || (n > 0 && !iov))
        return -EINVAL;
    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - total)
            return -EINVAL;
        total += iov[i].iov_len;
    }
    return (ssize_t)total;
}

ssize_t weft_conn_writev(weft_conn c, const struct iovec *iov, int iovcnt, size_t *done)
{
    wf_op   op;
    vector  v = { iov, iovcnt, 0 };
    size_t  sent = 0;
    ssize_t r = vector_size(iov, iovcnt);
    if (done)
        *done = 0;
    if (r < 0)
        return r;
    if (r == 0)
        return wf_op_probe("weft_conn_writev", c.id, WF_FD_CONN);
    r = wf_op_begin_turn(&op, "weft_conn_writev", c.id, WF_FD_CONN, WF_WRITE);
    if (r == 0)
        r = writev_on(&op, &v, &sent);
    wf_op_end(&op);
    if (done)
        *done = sent;
    return r;
}
