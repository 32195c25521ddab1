/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - what the files that read from connections share: receiving, and borrows. */
#ifndef WF_CONN_H
#define WF_CONN_H

#include "fd.h"

/* One attempt, by the owner of the turn to read; tells the poller how it went. */
ssize_t wf_conn_receive(wf_op *op, void *buf, size_t n);
/* The same of a descriptor for which no ring has anything: asks the system. */
ssize_t wf_conn_receive_now(wf_fd *f, void *buf, size_t n);

/* Begins a read of n bytes: ends the caller's borrow on the connection, takes the turn
 * (but for n = 0, which has nothing to wait for).  As wf_op_begin_turn. */
int wf_conn_begin_read(wf_op *op, const char *call, uint64_t id, size_t n);

/* Ends the current coroutine's borrow on the connection, and begins with the turn it had, as
 * wf_op_resume_turn.  False: nothing has begun. */
bool wf_borrow_resume(wf_op *op, uint64_t id);
/* Ends the current coroutine's borrow on the connection, if there is one.  Inside. */
void wf_borrow_drop(wf_m *mp, uint64_t id);
/* gp has one on the connection, and with it the turn to read. */
bool wf_borrow_held(const wf_g *gp, uint64_t id);

#endif
