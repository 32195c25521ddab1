/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completed.h - from a ring's completions to the inboxes; for uring.c alone.
 *
 * user_data: what was asked in 3 bits, above them the poll_desc's number less the 3 highest
 * bits of its generation; a slot would have to be reused 2^37 times for two to meet.
 */
#ifndef WF_COMPLETED_H
#define WF_COMPLETED_H

#include "ring.h"
#include "uring.h"

enum { WF_KIND_BITS = 3, WF_KIND_MASK = 7 };

static inline uint64_t wf_ring_key(const wf_poll_desc *pd)
{
    return wf_poll_id(pd) << WF_KIND_BITS;
}

/* At most `most`; their number. */
int wf_ring_take(wf_uring *u, unsigned most, wf_glist *out);
int wf_ring_take_all(wf_uring *u, wf_glist *out);
/* Submits what is queued.  What the kernel will not take, for want of memory, ends: its
 * reader asks the system itself, and then epoll. */
void wf_ring_flush(wf_uring *u, wf_glist *out);

/* Room for the links of descriptors that lie in inboxes. */
int  wf_ring_reserve_links(void);
void wf_ring_free_links(void);

#endif
