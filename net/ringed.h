/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ringed.h - how connections and listeners are read where the netpoller has rings (uring.h): of
 * TCP, opened while it has (`ringed`), until they leave.
 *
 * An attempt looks into the inbox; where no request is out it asks the system, as everywhere,
 * and where that finds nothing a request is left with the ring of the M.  So a connection that
 * is read while there is something costs what it costs elsewhere, and one that waits is told
 * of every byte without a further call.
 *
 * What a ring has brought is weft's: who reads the descriptor himself would miss it.  So a
 * connection leaves the rings, for good, when its descriptor is asked for (weft_conn_fd) or it
 * is waited for (weft_conn_wait); from then on it is epoll's.  What had come by then only weft's
 * own calls can give out, and until they have those two answer -EBUSY.
 *
 * It leaves too where it stands at a byte of urgent data.  There the kernel refuses a receive
 * while another completion waits for the thread (conn.c), and a multishot receive does not look
 * again before the next segment.  With each buffer the kernel says whether more is there; a
 * reader that was told so and finds nothing asks the system whether it stands at a mark.
 */
#ifndef WF_RINGED_H
#define WF_RINGED_H

#include "fd.h"

/* One attempt to read, or to accept, by the owner of the turn to read: a count, -EAGAIN (park)
 * or an error; `now` asks the system. */
wf_buffer *wf_ringed_take(wf_op *op, size_t most); /* the first, if no more is in it; NULL: none */
ssize_t    wf_ringed_receive(wf_op *op, void *buf, size_t n);
int        wf_ringed_accept(wf_op *op, int (*now)(wf_fd *f));

/* One attempt to write, by the owner of the turn to write: as send(2) without waiting.  Where
 * others run on the P anyway it goes with the round's other requests.  [parks] */
ssize_t wf_ringed_send(wf_op *op, const void *buf, size_t n);

/* From here on it is epoll's.  0, or why it could not be registered there. */
int  wf_ringed_leave(wf_op *op);
bool wf_ringed_holds(wf_fd *f); /* something that only weft's calls can give out */

/* Its number is about to be closed: ends its request, drops what nobody read.  False: there was
 * one, so that the kernel may hold its file for a moment yet, and nobody else has the socket. */
bool wf_ringed_close(wf_fd *f);

#endif
