/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chan.h - a channel's inside, shared by chan.c (one channel at a time), select.c
 * (several) and timer channels.
 *
 * Invariants, under c->lock:
 *   senders wait only while the buffer is full, receivers only while it is empty, so at
 *   most one of the queues has live waiters, but for a select that waits on both sides;
 *   a closed channel has no waiters;
 *   0 <= count <= cap.
 *
 * A waiter stands in a queue with a wait_slot on its own stack.  It is published under the
 * lock, which is held until its token is parked (wf_wait_guarded, or wf_wait_then).  So whoever takes a slot
 * out and wins its token finds the G parked, copies the element to or from its stack, sets
 * `fired`, and only then makes it runnable.  Who loses the token drops the slot and takes
 * the next.  A waiter whose wait ended otherwise takes its slots out under the lock.
 */
#ifndef WF_CHAN_H
#define WF_CHAN_H

#include "coroutine.h"
#include "wait.h"

struct weft_chan {
    wf_spin       lock;
    bool          closed;    /* under lock */
    bool          of_timer;  /* fixed: its buffer does not show */
    bool          guarded;   /* under lock: it was a guard (wait.h) once */
    size_t        elem_size; /* fixed */
    size_t        cap;       /* fixed */
    size_t        count;     /* under lock */
    size_t        first;     /* under lock: index of the oldest element */
    wf_list       recvq;     /* under lock: of wf_slot.node */
    wf_list       sendq;     /* under lock */
    volatile AO_t refs;      /* atomic */
    char          buffer[];  /* under lock */
};

/* One wait of a G on one side of a channel; on the G's stack. */
typedef struct wf_slot {
    wf_list     node; /* under the channel's lock */
    weft_chan  *chan;
    wf_g       *gp;
    wf_ticket   ticket;
    void       *recv;   /* where the element goes; NULL: nowhere */
    const void *send;   /* the element to send */
    bool        fired;  /* by the waker, before the G runs */
    bool        closed; /* the same: fired because the channel was closed */
} wf_slot;

/* A channel in the caller's memory, from malloc, with room for the buffer and for what the
 * caller has behind it (wf_chan_more), which is its own until the channel is freed. */
void wf_chan_init(weft_chan *c, size_t elem_size, size_t capacity);

/* Under c->lock: the caller has the only reference, and nobody waits. */
bool wf_chan_is_unused(const weft_chan *c);

/* Aligned as elem_size * cap is. */
static inline void *wf_chan_more(weft_chan *c)
{
    return c->buffer + c->elem_size * c->cap;
}

enum wf_side { WF_RECV, WF_SEND };

enum wf_done { WF_NOT_READY, WF_DONE, WF_CLOSED };

/*
 * Under c->lock: goes ahead if it can at once.  *wake is then the parked G whose wait this
 * ended, for the caller to make runnable after it freed the lock, or NULL.
 */
enum wf_done wf_chan_try_send(weft_chan *c, const void *elem, wf_g **wake);
enum wf_done wf_chan_try_recv(weft_chan *c, void *elem, wf_g **wake);

/* The memory of timers that pp keeps (chan_timer.c). */
void wf_timers_free(wf_p *pp);

/* Under c->lock: *out gets the parked Gs whose waits this ended. */
void wf_chan_close(weft_chan *c, wf_glist *out);

static inline wf_list *wf_chan_queue(weft_chan *c, enum wf_side side)
{
    return side == WF_SEND ? &c->sendq : &c->recvq;
}

#endif
