/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netpoll.h - what the net package (and anything else that waits for descriptors)
 * needs of the netpoller.
 *
 * Who may call what: prepare, wait and drained belong to the side's turn (the fdlock's
 * reader or writer, one at a time); the rest may be called by anyone who holds a
 * reference to the descriptor's fdlock.  All are called inside (wf_enter), with a P.
 */
#ifndef WF_NETPOLL_H
#define WF_NETPOLL_H

#include "poll_desc.h"
#include "sched.h"

#include <sys/types.h>

/* What fd is.  WF_POLL_TCP, a connection: a short read means that nothing is left, so the
 * next read may park untried.  Of one that was adopted others may hold the socket, so it never
 * goes by rings: those end a socket, not a descriptor, and accept what nobody asked for. */
enum wf_poll_kind { WF_POLL_ANY, WF_POLL_TCP_ADOPTED, WF_POLL_TCP, WF_POLL_TCP_LISTENER };

/*
 * Registers fd (non-blocking) once with epoll, edge-triggered; where rings are used TCP is
 * registered only once somebody waits for what no ring tells.  -ENOMEM, -ENOSPC; a regular
 * file (EPERM) gives a descriptor that is always ready.
 */
int wf_poll_open(int fd, enum wf_poll_kind kind, wf_poll_desc **out);
/* From here on epoll tells of that too. */
int wf_poll_watch(wf_poll_desc *pd, enum wf_watch watch);

/*
 * Before an attempt: forgets old readiness, unless the read side is known to be
 * drained; a write's is left, as a write always tries, and at worst tries once more.  0: try; 1: do not try, wait (drained); -ETIMEDOUT, -EBADF, -ECANCELED.
 */
int wf_poll_prepare(wf_m *mp, wf_poll_desc *pd, enum wf_mode mode);

/* May one go on?  0, -ETIMEDOUT (also where the timer is late), -EBADF. */
static inline int wf_poll_over(const wf_poll_desc *pd, enum wf_mode mode)
{
    AO_t d = AO_load(&pd->deadline[mode]);
    if (WF_LIKELY(d == 0))
        return 0;
    return d == WF_PD_CLOSED ? -EBADF : (int64_t)d <= wf_now() ? -ETIMEDOUT : 0;
}

/*
 * After an attempt that answered -EAGAIN (or prepare's 1): parks until the side is
 * ready.  0: try again (perhaps for nothing); -ETIMEDOUT, -EBADF, -ECANCELED.
 * *mp becomes the M on which the G goes on.  [parks]
 */
int wf_poll_wait(wf_m **mp, wf_poll_desc *pd, enum wf_mode mode);

/*
 * For either side, both or neither, as wait t, which the caller armed and others may end
 * too, with a deadline of its own; 0: perhaps ready (the caller asks the system),
 * -ETIMEDOUT, -EBADF, -ECANCELED.  The caller has the turns of the sides.  [parks]
 */
int wf_poll_wait_any(wf_m **mp, wf_ticket t, wf_poll_desc *pd, const bool sides[2],
                     weft_time deadline);
/* Asks the system: the ready ones of events; all of `wanted` on an error or a hang-up; 0:
 * none; -EBADF: there is no such descriptor. */
int wf_poll_ask(int fd, int events, int wanted);

/* The reader tells how its read went: the next prepare may answer 1. */
void wf_poll_note_read(wf_poll_desc *pd, size_t wanted, ssize_t got);

/* Absolute; WEFT_FOREVER lifts it; one that has passed fails waits and attempts. */
void wf_poll_set_deadline(wf_m *mp, wf_poll_desc *pd, bool read, bool write, weft_time deadline);

/* Ends all waits with -EBADF, and those to come.  Before the last reference goes. */
void wf_poll_unblock(wf_m *mp, wf_poll_desc *pd);
/* The last reference is gone: unregisters fd, frees pd.  The caller closes fd after. */
void wf_poll_close(wf_poll_desc *pd);

#endif
