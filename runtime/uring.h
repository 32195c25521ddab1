/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.h - the netpoller's other half where WEFT_NETPOLL chose it: rings of io_uring, one for
 * an M, that accept and receive for TCP (inbox.h); epoll serves all else, and tells of rings.
 *
 * A ring belongs to an M: it alone queues requests there, submits what a scheduling round
 * queued in one call, and looks for completions in memory it shares with the kernel.  What an
 * M leaves lying while it sleeps or is in other code others take: the completions whoever hears
 * of them from epoll, unsubmitted requests sysmon.  Never calls the scheduler.
 */
#ifndef WF_URING_H
#define WF_URING_H

#include "poll_desc.h"
#include "sched.h"

enum wf_uring_wish { WF_URING_NO, WF_URING_YES, WF_URING_AUTO };

/* $WEFT_NETPOLL, remembered; -EINVAL, with a line on stderr: it is none of the choices. */
int wf_uring_choose(void);
/* As chosen; where the kernel has no io_uring that serves, a line says so and 0 is returned. */
int wf_uring_start(void);
/* When no thread uses the runtime any more: ends every request, frees the rings. */
void wf_uring_end(void);
bool wf_uring_on(void); /* fixed while running */

/* ---- Whose a descriptor is ------------------------------------------------------------- */

/* weft opened fd itself, so rings may serve it: nobody else has its socket.  epoll does not
 * know it then, and cannot tell that it is weft's already.  False: no ring is to serve it. */
bool wf_uring_claim(int fd);
void wf_uring_disclaim(int fd); /* before its number is closed; of any other a no-op */
bool wf_uring_has(int fd);

/* ---- Requests: inside, by the owner of pd's turn to read ------------------------------- */

enum wf_uring_what { WF_URING_RECEIVE = 1, WF_URING_ACCEPT = 2, WF_URING_SENT = 3 };

/* Asks mp's ring to bring what comes.  -ENOMEM, -EOPNOTSUPP: not by a ring. */
int wf_uring_arm(wf_m *mp, wf_poll_desc *pd, enum wf_uring_what what, wf_glist *out);
/*
 * Ends pd's request, if one is out: from here on nothing is taken off the socket, and what was
 * is in the inbox.  False: one was out, or is still, detached.  Then the kernel may hold the socket's file for a
 * moment more, though the request has completed: it lets go of it only afterwards, in the
 * thread that asked, which may not run just now.
 */
bool wf_uring_cancel(wf_poll_desc *pd, wf_glist *out);
/* Under the lock: the first of the accepted descriptors, which there is, out. */
int wf_uring_take_fd(wf_inbox *in);

/* ---- Sending ---------------------------------------------------------------------------- */

/* A send that goes with the round's submission; on the stack of a coroutine that waits for it,
 * as wait `ticket`, which nothing else ends. */
typedef struct wf_uring_sent {
    volatile AO_t gp; /* atomic: wf_g *, once it is queued; says that the ticket is there */
    wf_ticket     ticket;
    int           result; /* as send(2)'s without waiting: sent, or a negative errno */
} wf_uring_sent;

/* Does it pay to queue one?  Others are about to run on mp's P, or have queued already, and
 * lately none lay for long. */
bool wf_uring_may_send(const wf_m *mp);
/* False: there is no room; else the caller parks. */
bool wf_uring_send(wf_m *mp, int fd, const void *buf, size_t n, wf_uring_sent *s, wf_glist *out);
enum wf_uring_sends { WF_URING_NONE, WF_URING_HELD, WF_URING_GONE };

/* Between two Gs: do sends stay queued on mp's ring, a little?  GONE: no longer; what
 * completed is in out, or, where others took it, whose it was waits in the global queue. */
enum wf_uring_sends wf_uring_hold(wf_m *mp, wf_glist *out);

/* ---- Polling --------------------------------------------------------------------------- */

/* mp's own ring: submits what is queued, takes some completions; their number.  No system
 * call where nothing is queued. */
int wf_uring_poll(wf_m *mp, wf_glist *out);
/* The same, of what is queued alone: before mp leaves the runtime for long. */
void wf_uring_flush(wf_m *mp, wf_glist *out);
/* epoll told of a ring: takes all its completions. */
int wf_uring_event(unsigned number, wf_glist *out);
/* sysmon: submits what has lain queued since its last look; takes requests from threads that are
 * stuck in a call (detach.h). */
void wf_uring_attend(wf_glist *out);
/* sysmon, before it sleeps as all Ps idle: the same of all that are in other code, for nobody
 * would notice that one is stuck. */
void wf_uring_leave_none(wf_glist *out);
/* mp begins or ends to doze, without a P. */
void wf_uring_sleeps(wf_m *mp);
void wf_uring_wakes(wf_m *mp);
/* mp's thread ends: another M may have its ring. */
void wf_uring_leave(wf_m *mp);

#endif
