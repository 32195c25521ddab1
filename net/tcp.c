/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - listeners: making or adopting one, and accepting.
 *
 * TCP_NODELAY is set on the listener once: Linux hands it on to what is accepted.
 */
#include "addr.h"
#include "fd.h"
#include "ringed.h"
#include "scarce.h"

#include "runtime/hibernate.h"
#include "runtime/sys.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <weft/net.h>

/* ---- Listening ----------------------------------------------------------------------- */

static int switch_on(int fd, int level, int name, bool wanted)
{
    int on = 1;
    return wanted ? wf_sys_setsockopt(fd, level, name, &on, sizeof on) : 0;
}

/* "tcp" serves both families on one socket, "tcp6" is IPv6 alone. */
static int separate(int fd, const weft_addr *a, int family)
{
    int only = family == AF_INET6;
    if (a->sa.ss_family != AF_INET6)
        return 0;
    return wf_sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
}

static int set_up(int fd, const weft_addr *a, int family, const weft_listen_options *opt)
{
    int r = switch_on(fd, SOL_SOCKET, SO_REUSEADDR, true);
    if (r == 0)
        r = switch_on(fd, SOL_SOCKET, SO_REUSEPORT, opt->reuse_port);
    if (r == 0)
        r = switch_on(fd, IPPROTO_TCP, TCP_NODELAY, true);
    if (r == 0)
        r = separate(fd, a, family);
    if (r == 0)
        r = wf_sys_bind(fd, wf_addr_csa(a), a->len);
    if (r == 0)
        r = wf_sys_listen(fd, opt->backlog > 0 ? opt->backlog : INT_MAX);
    return r;
}

static int listen_at(wf_m *mp, const weft_addr *a, int family, const weft_listen_options *opt,
                     weft_listener *out)
{
    int fd = wf_sys_socket(a->sa.ss_family, SOCK_STREAM, IPPROTO_TCP);
    if (fd < 0)
        return fd;
    int r = set_up(fd, a, family, opt);
    if (r == 0)
        r = wf_fd_open(fd, WF_FD_LISTENER, WF_FD_TCP, &out->id);
    if (r < 0)
        wf_scarce_close(mp, fd);
    return r;
}

/* Where to listen; -EINVAL: no literal, or one of another family. */
static int place(const wf_endpoint *e, int family, weft_addr *out)
{
    if (wf_endpoint_is_localhost(e)) {
        wf_addr_loopback(out, family == AF_INET6 ? AF_INET6 : AF_INET, e->port);
        return 0;
    }
    if (e->host[0] == 0) {
        wf_addr_any(out, family == AF_INET ? AF_INET : AF_INET6, e->port);
        return 0;
    }
    int r = wf_endpoint_literal(e, out);
    return r == 0 && family != AF_UNSPEC && out->sa.ss_family != family ? -EINVAL : r;
}

static int listen_new(wf_m *mp, const char *address, int family, const weft_listen_options *opt,
                      weft_listener *out)
{
    wf_endpoint e;
    weft_addr   a;
    int         r = wf_endpoint_parse(&e, address);
    if (r == 0)
        r = place(&e, family, &a);
    if (r < 0)
        return r;
    r = listen_at(mp, &a, family, opt, out);
    if (e.host[0] || family != AF_UNSPEC || (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL))
        return r;
    wf_addr_any(&a, AF_INET, e.port); /* all interfaces of a host without IPv6 */
    return listen_at(mp, &a, family, opt, out);
}

/* ---- Adopting a listener ------------------------------------------------------------- */

static int require(int fd, int name, int wanted)
{
    int       value = 0;
    socklen_t len = sizeof value;
    int       r = wf_sys_getsockopt(fd, SOL_SOCKET, name, &value, &len);
    if (r < 0)
        return r;
    return value == wanted ? 0 : -EINVAL;
}

static int adopt(wf_m *mp, int fd, int family, weft_listener *out)
{
    int r = require(fd, SO_ACCEPTCONN, 1);
    if (r == 0)
        r = require(fd, SO_PROTOCOL, IPPROTO_TCP);
    if (r == 0 && family != AF_UNSPEC)
        r = require(fd, SO_DOMAIN, family);
    if (r == 0)
        r = wf_fd_adopt(mp, fd, WF_FD_LISTENER, WF_FD_TCP, &out->id);
    if (r == 0) /* of use, but no condition */
        (void)switch_on(fd, IPPROTO_TCP, TCP_NODELAY, true);
    return r;
}

static bool options_valid(const weft_listen_options *opt)
{
    static const uint64_t zero[4];
    return opt->backlog >= 0 && opt->fd >= 0 &&
           memcmp(opt->reserved, zero, sizeof opt->reserved) == 0;
}

int weft_listen_with(weft_listener *out, const char *network, const char *address,
                     const weft_listen_options *opt)
{
    static const weft_listen_options usual;
    wf_m                            *mp = wf_enter("weft_listen");
    int                              family = wf_network_family(network);
    int                              r;
    opt = opt ? opt : &usual;
    if (family < 0 || !options_valid(opt))
        r = -EINVAL;
    else if (opt->fd > 0)
        r = adopt(mp, opt->fd, family, out);
    else
        r = listen_new(mp, address, family, opt, out);
    wf_leave(mp);
    return r;
}

int weft_listen(weft_listener *out, const char *network, const char *address)
{
    return weft_listen_with(out, network, address, NULL);
}

/* ---- Accepting ----------------------------------------------------------------------- */

/* The connection died in the queue, or its network did: the next one may be well. */
static bool skips(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

/*
 * An accept that finds nothing makes and frees a socket and a file: 4 us, where to ask costs
 * 0.2 us.  So after one that was accepted it asks first; after a wait there is something.
 */
static bool none_left(wf_fd *f)
{
    struct pollfd p = { .fd = f->lock.fd, .events = POLLIN };
    bool          ask = f->accepted;
    f->accepted = false;
    return ask && wf_sys_poll(&p) == 0; /* an error is accept's to tell */
}

static int accept_now(wf_fd *f)
{
    if (none_left(f))
        return -EAGAIN;
    int fd = wf_sys_accept(f->lock.fd, NULL, NULL);
    f->accepted = fd >= 0;
    return fd;
}

static ssize_t try_accept(wf_op *op, void *arg)
{
    (void)arg;
    int fd = op->f->ringed ? wf_ringed_accept(op, accept_now) : accept_now(op->f);
    return skips(fd) ? -EINTR : fd; /* at once again, unless deadline or cancellation came */
}

/* One that could not be registered for want of memory is held, never dropped. */
static int take_one(wf_op *op, weft_conn *out)
{
    wf_fd  *f = op->f;
    ssize_t fd = f->held >= 0 ? wf_op_check(op) : wf_op_attempt(op, try_accept, NULL);
    if (fd < 0)
        return (int)fd;
    if (f->held < 0)
        f->held = (int)fd;
    int r = wf_fd_open(f->held, WF_FD_CONN, WF_FD_TCP, &out->id);
    if (wf_scarce_is(r))
        return r;
    if (r < 0)
        wf_scarce_close(op->mp, f->held);
    f->held = -1;
    return r;
}

static int accept_one(wf_op *op, weft_conn *out)
{
    wf_scarce s = { 0, 0 };
    int       r;
    do {
        r = take_one(op, out);
        if (!wf_scarce_is(r))
            break;
        r = wf_scarce_wait(&s, op);
    } while (r == 0);
    wf_scarce_end(&s);
    return r;
}

int weft_listener_accept(weft_listener l, weft_conn *out)
{
    wf_op op;
    int   r = wf_op_begin_turn(&op, "weft_listener_accept", l.id, WF_FD_LISTENER, WF_READ);
    if (r == 0) {
        wf_g    *gp = op.mp->gp;
        unsigned was = wf_hibernate_forbid(gp);
        r = accept_one(&op, out);
        wf_hibernate_allow(gp, was);
    }
    wf_op_end(&op);
    return r;
}
