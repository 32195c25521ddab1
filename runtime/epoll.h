/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.h - the poller proper: epoll and a pipe to interrupt it.
 *
 * Asks what happened and returns the list of Gs to run, not events; never calls the
 * scheduler.  Another backend is another file with these functions.
 */
#ifndef WF_EPOLL_H
#define WF_EPOLL_H

#include "poll_desc.h"

int  wf_netpoll_init(void); /* the epoll and the pipe; 0 or a negative errno */
void wf_netpoll_end(void);

/* Registers pd->fd once, edge-triggered, for writing and hang-up, for reading besides, or not
 * yet. */
int wf_netpoll_open(wf_poll_desc *pd, enum wf_watch watch);
/* Under pd->lock: the same of one that is open; never for less than before. */
int  wf_netpoll_watch(wf_poll_desc *pd, enum wf_watch watch);
void wf_netpoll_close(wf_poll_desc *pd);
/* Registers a ring: its completions are taken by whoever polls (uring.h). */
int  wf_netpoll_add_ring(int fd, unsigned number);
bool wf_netpoll_used(void);    /* descriptors are registered, or were lately */
AO_t wf_netpoll_count(void);   /* how many; while they change perhaps more, never fewer */
void wf_netpoll_recount(void); /* sysmon, now and then: are there any still? */

/* Without blocking; returns the number of descriptors reported. */
int wf_netpoll(wf_glist *out);
/* Blocks, for ever if timeout_ns < 0; one thread at a time.  Only it drains the pipe. */
int wf_netpoll_block(int64_t timeout_ns, wf_glist *out);
/* Makes the blocking poll return: one write, however many ask. */
void wf_netpoll_break(void);

#endif
