/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.c - connecting: the addresses in their order, each with its share of the time.
 *
 * A socket that says it is writable need not be connected (it may have been woken for
 * nothing), so it is asked: getpeername answers for a connected one only, SO_ERROR says
 * why another failed, and neither means: wait on.
 *
 * On one host a socket may connect to itself: the port it dials is the very one it was
 * given.  That is taken for nobody listening, and tried anew with another port.
 */
#include "addr.h"
#include "fd.h"
#include "resolve.h"
#include "scarce.h"

#include "runtime/sys.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <weft/net.h>

enum { TRIES = 3 };

#define SHARE_MIN_NS (2 * WEFT_S) /* of the time for one address, while there is so much */

/* ---- One address --------------------------------------------------------------------- */

/* 0: connected; -EAGAIN: not yet; or why it failed. */
static int connected(int fd)
{
    weft_addr peer = { .len = sizeof peer.sa };
    int       error = 0;
    socklen_t len = sizeof error;
    int       r = wf_sys_getpeername(fd, wf_addr_sa(&peer), &peer.len);
    if (r != -ENOTCONN)
        return r;
    r = wf_sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (r < 0)
        return r;
    if (error == 0 || error == EINPROGRESS || error == EALREADY || error == EINTR)
        return -EAGAIN;
    return -error;
}

/* 1: yes. */
static int connected_to_itself(int fd)
{
    weft_addr here = { .len = sizeof here.sa }, there = { .len = sizeof there.sa };
    int       r = wf_sys_getsockname(fd, wf_addr_sa(&here), &here.len);
    if (r == 0)
        r = wf_sys_getpeername(fd, wf_addr_sa(&there), &there.len);
    if (r == -ENOTCONN)
        return 0; /* the peer has reset it already: the first read will tell */
    return r < 0 ? r : wf_addr_equal(&here, &there);
}

static int start(int fd, const weft_addr *a)
{
    int on = 1;
    int r = wf_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (r == 0)
        r = wf_sys_connect(fd, wf_addr_csa(a), a->len);
    if (r < 0 && r != -EINPROGRESS && r != -EINTR) /* interrupted, it goes on all the same */
        return r;
    return connected(fd);
}

static ssize_t try_connected(wf_op *op, void *arg)
{
    (void)arg;
    return connected(op->f->lock.fd);
}

/* Waits by the write deadline of the connection, which nobody else knows yet.  [parks] */
static int wait_connected(wf_m **mp, weft_conn c, weft_time deadline)
{
    wf_op op;
    int   r = wf_op_begin_turn(&op, "weft_dial", c.id, WF_FD_CONN, WF_WRITE);
    if (r == 0) {
        wf_poll_set_deadline(op.mp, op.f->pd, false, true, deadline);
        r = (int)wf_op_attempt(&op, try_connected, NULL);
        if (op.f && deadline != WEFT_FOREVER)
            wf_poll_set_deadline(op.mp, op.f->pd, false, true, WEFT_FOREVER);
    }
    wf_op_end(&op);
    *mp = wf_enter("weft_dial");
    return r;
}

static void hang_up(wf_m **mp, weft_conn c)
{
    wf_op op;
    if (wf_op_begin(&op, "weft_dial", c.id, WF_FD_CONN) == 0)
        (void)wf_op_close(&op, WF_CLOSE_RESET);
    wf_op_end(&op);
    *mp = wf_enter("weft_dial");
}

/* 1: it met itself. */
static int connect_once(wf_m **mp, const weft_addr *a, weft_time deadline, weft_conn *out)
{
    int fd = wf_sys_socket(a->sa.ss_family, SOCK_STREAM, IPPROTO_TCP);
    if (fd < 0)
        return fd;
    int state = start(fd, a);
    int r = state == 0 || state == -EAGAIN ? 0 : state;
    if (r == 0)
        r = wf_fd_open(fd, WF_FD_CONN, WF_FD_TCP, &out->id);
    if (r < 0) {
        wf_scarce_close(*mp, fd);
        return r;
    }
    if (state == -EAGAIN)
        r = wait_connected(mp, *out, deadline);
    if (r == 0)
        r = connected_to_itself(fd);
    if (r != 0)
        hang_up(mp, *out);
    return r;
}

/* Another local port may serve: the one it got was the dialled one, or none was free. */
static int connect_to(wf_m **mp, const weft_addr *a, weft_time deadline, weft_conn *out)
{
    int r = 1;
    for (int i = 0; i < TRIES && (r == 1 || r == -EADDRNOTAVAIL); i++)
        r = connect_once(mp, a, deadline, out);
    return r == 1 ? -ECONNREFUSED : r;
}

/* ---- All addresses ------------------------------------------------------------------- */

typedef struct targets {
    const weft_addr *a;
    int              n;
    wf_addrs        *found;  /* to be freed */
    weft_addr        own[2]; /* where no name was looked up */
} targets;

/* This host, by each family that the network has. */
static int target_here(targets *t, int family, uint16_t port)
{
    t->a = t->own;
    if (family != AF_INET6)
        wf_addr_loopback(&t->own[t->n++], AF_INET, port);
    if (family != AF_INET)
        wf_addr_loopback(&t->own[t->n++], AF_INET6, port);
    return 0;
}

static int target_literal(targets *t, int family)
{
    t->a = t->own;
    t->n = 1;
    return family == AF_UNSPEC || t->own[0].sa.ss_family == family ? 0 : -EINVAL;
}

static int target_name(wf_m **mp, targets *t, const wf_endpoint *e, int family, weft_time deadline)
{
    if (!wf_endpoint_is_name(e))
        return -EINVAL;
    int r = wf_resolve(mp, e, family, deadline, &t->found);
    if (r == 0) {
        t->a = t->found->a;
        t->n = t->found->n;
    }
    return r;
}

/* The address that is tried next may use up to its share of what is left. */
static weft_time share(weft_time deadline, int left)
{
    if (deadline == WEFT_FOREVER || left <= 1)
        return deadline;
    int64_t   now = wf_now();
    int64_t   part = deadline > now ? (deadline - now) / left : 0;
    weft_time end = now + (part > SHARE_MIN_NS ? part : SHARE_MIN_NS);
    return end < deadline ? end : deadline;
}

/* What no other address would help against. */
static bool is_final(int error)
{
    return error == 0 || error == -ECANCELED || wf_scarce_is(error);
}

/* In their order, until one answers; else the first one's error. */
static int dial_all(wf_m **mp, const targets *t, weft_time deadline, weft_conn *out)
{
    int first = 0;
    for (int i = 0; i < t->n; i++) {
        int r = connect_to(mp, &t->a[i], share(deadline, t->n - i), out);
        if (is_final(r))
            return r;
        if (r == -ETIMEDOUT && deadline <= wf_now())
            return r;
        first = first ? first : r;
    }
    return first;
}

static int dial(wf_m **mp, const char *address, int family, weft_time deadline, weft_conn *out)
{
    wf_endpoint e;
    targets     t = { .n = 0 };
    int         r = wf_endpoint_parse(&e, address);
    if (r < 0)
        return r;
    if (wf_endpoint_is_localhost(&e) || e.host[0] == 0)
        r = target_here(&t, family, e.port);
    else if (wf_endpoint_literal(&e, t.own) == 0)
        r = target_literal(&t, family);
    else
        r = target_name(mp, &t, &e, family, deadline);
    if (r == 0)
        r = dial_all(mp, &t, deadline, out);
    free(t.found);
    return r;
}

int weft_dial(weft_conn *out, const char *network, const char *address, weft_time deadline)
{
    wf_m     *mp = wf_enter("weft_dial");
    weft_conn c = { 0 };
    int       family = wf_network_family(network);
    int       r = family < 0 ? -EINVAL : wf_g_cancelled(mp->gp) ? -ECANCELED : 0;
    if (r == 0)
        r = dial(&mp, address, family, deadline, &c);
    if (r == 0)
        *out = c;
    wf_leave(mp);
    return r;
}
