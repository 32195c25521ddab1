/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.c - what can be done to a listener or a connection besides moving bytes:
 * deadlines, close, half-close, abort, addresses, the descriptor, adopting one; and the
 * end of all when the runtime stops.
 *
 * Nothing here parks or takes a turn.
 */
#include "conn.h"
#include "net.h"
#include "resolve.h"
#include "ringed.h"
#include "scarce.h"

#include "runtime/sys.h"

#include <netinet/in.h>
#include <weft/net.h>

/* ---- Deadlines ----------------------------------------------------------------------- */

enum sides { READ_SIDE = 1, WRITE_SIDE = 2, BOTH_SIDES = 3 };

static int set_deadline(const char *call, uint64_t id, enum wf_fd_kind kind, enum sides sides,
                        weft_time deadline)
{
    wf_op op;
    int   r = wf_op_begin(&op, call, id, kind);
    if (r == 0) {
        wf_poll_set_deadline(op.mp, op.f->pd, sides & READ_SIDE, sides & WRITE_SIDE, deadline);
        if (sides & READ_SIDE)
            wf_fdlock_deadline_changed(op.mp, &op.f->lock, WF_READ);
        if (sides & WRITE_SIDE)
            wf_fdlock_deadline_changed(op.mp, &op.f->lock, WF_WRITE);
        if (kind == WF_FD_LISTENER)
            wf_scarce_eased(op.mp); /* an accept that waits out a shortage must see it */
    }
    wf_op_end(&op);
    return r;
}

int weft_listener_set_deadline(weft_listener l, weft_time deadline)
{
    return set_deadline("weft_listener_set_deadline", l.id, WF_FD_LISTENER, READ_SIDE, deadline);
}

int weft_conn_set_deadline(weft_conn c, weft_time deadline)
{
    return set_deadline("weft_conn_set_deadline", c.id, WF_FD_CONN, BOTH_SIDES, deadline);
}

int weft_conn_set_read_deadline(weft_conn c, weft_time deadline)
{
    return set_deadline("weft_conn_set_read_deadline", c.id, WF_FD_CONN, READ_SIDE, deadline);
}

int weft_conn_set_write_deadline(weft_conn c, weft_time deadline)
{
    return set_deadline("weft_conn_set_write_deadline", c.id, WF_FD_CONN, WRITE_SIDE, deadline);
}

/* ---- Ends ---------------------------------------------------------------------------- */

static int close_handle(const char *call, uint64_t id, enum wf_fd_kind kind, enum wf_close how)
{
    wf_op op;
    int   r = wf_op_begin(&op, call, id, kind);
    if (r == 0)
        r = wf_op_close(&op, how);
    if (WF_UNLIKELY(op.mp->gp->borrow != NULL) && kind == WF_FD_CONN)
        wf_borrow_drop(op.mp, id); /* after the close, so that the turn goes to nobody */
    wf_op_end(&op);
    return r;
}

int weft_listener_close(weft_listener l)
{
    return close_handle("weft_listener_close", l.id, WF_FD_LISTENER, WF_CLOSE_GRACEFULLY);
}

int weft_conn_close(weft_conn c)
{
    return close_handle("weft_conn_close", c.id, WF_FD_CONN, WF_CLOSE_GRACEFULLY);
}

int weft_conn_abort(weft_conn c)
{
    return close_handle("weft_conn_abort", c.id, WF_FD_CONN, WF_CLOSE_RESET);
}

int weft_conn_close_write(weft_conn c)
{
    wf_op op;
    int   r = wf_op_begin(&op, "weft_conn_close_write", c.id, WF_FD_CONN);
    if (r == 0)
        r = wf_sys_shutdown(op.f->lock.fd, SHUT_WR);
    wf_op_end(&op);
    return r;
}

void wf_net_stop(void)
{
    wf_resolve_stop();
    wf_fd_close_all();
}

/* ---- Addresses, the descriptor ------------------------------------------------------- */

typedef int (*address_of)(int fd, struct sockaddr *sa, socklen_t *len);

static int address(const char *call, uint64_t id, enum wf_fd_kind kind, address_of get, char *out)
{
    wf_op     op;
    weft_addr a = { .len = sizeof a.sa };
    int       r = wf_op_begin(&op, call, id, kind);
    if (r == 0)
        r = get(op.f->lock.fd, (struct sockaddr *)&a.sa, &a.len);
    wf_op_end(&op);
    out[0] = 0;
    return r < 0 ? r : weft_addr_format(&a, out);
}

int weft_listener_address(weft_listener l, char out[WEFT_ADDR_MAX])
{
    return address("weft_listener_address", l.id, WF_FD_LISTENER, wf_sys_getsockname, out);
}

int weft_conn_local_address(weft_conn c, char out[WEFT_ADDR_MAX])
{
    return address("weft_conn_local_address", c.id, WF_FD_CONN, wf_sys_getsockname, out);
}

int weft_conn_remote_address(weft_conn c, char out[WEFT_ADDR_MAX])
{
    return address("weft_conn_remote_address", c.id, WF_FD_CONN, wf_sys_getpeername, out);
}

static int number(const char *call, uint64_t id, enum wf_fd_kind kind)
{
    wf_op op;
    int   r = wf_op_begin(&op, call, id, kind);
    if (r == 0)
        r = wf_ringed_leave(&op);
    if (r == 0)
        r = op.f->ringed && wf_ringed_holds(op.f) ? -EBUSY : op.f->lock.fd;
    wf_op_end(&op);
    return r;
}

int weft_listener_fd(weft_listener l)
{
    return number("weft_listener_fd", l.id, WF_FD_LISTENER);
}

int weft_conn_fd(weft_conn c)
{
    return number("weft_conn_fd", c.id, WF_FD_CONN);
}

/* ---- Adopting ------------------------------------------------------------------------ */

static int option(int fd, int name)
{
    int       value = 0;
    socklen_t len = sizeof value;
    int       r = wf_sys_getsockopt(fd, SOL_SOCKET, name, &value, &len);
    return r < 0 ? r : value;
}

/* How its bytes move: enum wf_fd_type, or -EINVAL: it is no stream of bytes. */
static int stream_type(int fd)
{
    int type = option(fd, SO_TYPE);
    if (type == -ENOTSOCK)
        return WF_FD_FILE;
    if (type < 0)
        return type;
    int listening = option(fd, SO_ACCEPTCONN);
    int protocol = option(fd, SO_PROTOCOL);
    if (type != SOCK_STREAM || listening != 0 || protocol < 0)
        return listening < 0 ? listening : protocol < 0 ? protocol : -EINVAL;
    return protocol == IPPROTO_TCP ? WF_FD_TCP : WF_FD_STREAM;
}

int weft_conn_adopt(weft_conn *out, int fd)
{
    wf_m *mp = wf_enter("weft_conn_adopt");
    int   type = fd < 0 ? -EBADF : stream_type(fd);
    int   r = type < 0 ? type : wf_fd_adopt(mp, fd, WF_FD_CONN, (enum wf_fd_type)type, &out->id);
    wf_leave(mp);
    return r;
}
