/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox.h - what a ring has brought for one descriptor and nobody has read yet: buffers of
 * received bytes, or accepted descriptors; and the descriptor's request in a ring.
 *
 * Only for descriptors that were opened for rings (`ringed`).  Under pd->lock, but that the
 * first buffer belongs to the owner of the turn to read.  Never parks, never calls the system.
 *
 * The request (`ring`, `ending`), a multishot receive or accept:
 *
 *   NONE     ring NULL: none is out; who reads asks the system itself
 *   ARMED    ring set: whatever comes is brought into the inbox
 *   ENDING   ring set, ending: its cancellation was asked for
 *
 *   from           to      by
 *   NONE           ARMED   wf_uring_arm: the owner of the turn to read, not parked, whose
 *                          attempt found nothing
 *   ARMED          ENDING  wf_uring_cancel: too much lies here unread; leave; close
 *   ARMED, ENDING  NONE    ended: who finds the request's last completion
 *   ARMED, ENDING  NONE    orphan: sysmon, which has cancelled it (detach.h)
 *
 * `by_ring` is true until the descriptor leaves the rings for good (wf_inbox_leave), for epoll.
 *
 * No wake-up is lost.  A reader parks only if, after it has forgotten READY, it found the
 * inbox empty and a request out, both under the lock.  Whatever changes that, a buffer, an
 * error or the last completion, does so under the lock and then tells the side (wf_poll_fire),
 * so the reader finds READY, or is woken.  The request of a closed descriptor belongs to an
 * older generation than the poll_desc and changes nothing here (tests/model/uring.pml).
 */
#ifndef WF_INBOX_H
#define WF_INBOX_H

#include "base.h"

#include <sys/types.h>

typedef struct wf_uring wf_uring;

/* A read buffer: of a ring, or (ring NULL) of a P. */
typedef struct wf_buffer {
    struct wf_buffer *next;   /* in an inbox, a P's list, or a coroutine's chain of borrows */
    uint64_t          conn;   /* of a borrow: whose bytes these are */
    wf_uring         *ring;   /* fixed */
    unsigned          at, n;  /* bytes read already, and received */
    unsigned          number; /* fixed: in its ring */
    char              data[];
} wf_buffer;

typedef struct wf_inbox {
    wf_uring     *ring;        /* see above */
    wf_buffer    *head, *tail; /* of a connection */
    int           first, last; /* of a listener: descriptors, linked; -1: none */
    unsigned      count;       /* buffers or descriptors */
    int           error;       /* a negative errno to be told once, after the buffers */
    bool          by_ring, ending;
    bool          more;   /* of a connection: the kernel said so, and has brought no more */
    bool          orphan; /* a detached request has not ended: it may hold the file for long */
    unsigned char strays; /* completions in a row that came while the ring's M slept */
    unsigned char what;   /* enum wf_uring_what: of the request; fixed while one is out */
} wf_inbox;

/* The answer where there is nothing but to ask the system; and where a request is out that may
 * have stopped (ringed.h). */
#define WF_INBOX_ASK  (-(ssize_t)EXDEV)
#define WF_INBOX_LOOK (-(ssize_t)EXFULL)

static inline void wf_inbox_reset(wf_inbox *in, bool by_ring)
{
    *in = (wf_inbox){ .first = -1, .last = -1, .by_ring = by_ring };
}

static inline bool wf_inbox_empty(const wf_inbox *in)
{
    return in->count == 0 && in->error == 0;
}

static inline void wf_inbox_put(wf_inbox *in, wf_buffer *b)
{
    b->next = NULL;
    if (in->tail)
        in->tail->next = b;
    else
        in->head = b;
    in->tail = b;
    in->count++;
}

/* A buffer of a ring back to it (ring.c). */
void wf_uring_give(wf_buffer *b);

/* The first buffer, which there is, out. */
static inline wf_buffer *wf_inbox_take(wf_inbox *in)
{
    wf_buffer *b = in->head;
    in->head = b->next;
    if (!in->head)
        in->tail = NULL;
    in->count--;
    return b;
}

/* Of an empty inbox: WF_INBOX_ASK, -EAGAIN (a request is out), WF_INBOX_LOOK or the error, both
 * told once. */
static inline ssize_t wf_inbox_nothing(wf_inbox *in)
{
    int  error = in->error;
    bool more = in->more;
    in->error = 0;
    in->more = false;
    return error ? error : !in->ring ? WF_INBOX_ASK : more ? WF_INBOX_LOOK : -EAGAIN;
}

#endif
