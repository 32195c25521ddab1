/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_desc.h - one pollable descriptor, and poll_cache, the free list of them.
 *
 * poll_descs are cut from memory that is never unmapped; a freed one gets another
 * generation, so a stale event or handle finds that it is stale.  This file never
 * schedules: what becomes runnable is returned in a list.
 */
#ifndef WF_POLL_DESC_H
#define WF_POLL_DESC_H

#include "g.h"
#include "lock.h"

enum wf_mode { WF_READ = 0, WF_WRITE = 1 };

/* Sticky bits: only ever added while the descriptor is open. */
enum wf_poll_bits { WF_POLL_RDHUP = 1, WF_POLL_HUP = 2, WF_POLL_ERR = 4 };

/*
 * rg and wg (here: side[WF_READ].g and side[WF_WRITE].g), each one word:
 *
 *   NONE   no news, nobody waits
 *   READY  the event came first; the next wait returns at once
 *   WAIT   a G means to park but still runs on its own stack
 *   (G *)  that G is parked or about to be; whoever swaps the pointer out must fire
 *          its token, under pd->lock
 *
 *   from     to      by
 *   READY    NONE    wf_poll_prepare, by the turn's owner, only before an attempt
 *   READY    NONE    poll_wait consumes the news, by the turn's owner
 *   NONE     WAIT    poll_wait, by the turn's owner
 *   WAIT     G       poll_commit, by the lander: CAS; it fails if READY came
 *   NONE     READY   poll_fire (an event), under the lock
 *   WAIT     READY   poll_fire (an event), under the lock: the commit fails
 *   G        READY   poll_fire (an event), under the lock, and fires G's token
 *   WAIT, G  NONE    poll_fire (deadline, close), under the lock, and fires G's token
 *   G, WAIT  NONE    poll_wait's end, by the turn's owner: its wait was cancelled
 *
 * No wake-up is lost: an event either finds NONE or WAIT and leaves READY, which the
 * wait or the commit then sees, or finds the G.  A deadline or a close sets its flag
 * under the lock before it looks at the word; the wait looks at the flag, under the
 * lock, in the commit, after G was made visible... whoever comes second sees the first.
 * tests/model/poll.pml checks it with deadline and close; cancellation is park.pml's.
 */
#define WF_PD_NONE  ((AO_t)0)
#define WF_PD_READY ((AO_t)1)
#define WF_PD_WAIT  ((AO_t)2)

typedef struct wf_poll_desc wf_poll_desc;

typedef struct wf_poll_side {
    volatile AO_t g;         /* rg or wg; see the table */
    wf_ticket     ticket;    /* under lock: the wait of the G in g */
    volatile AO_t deadline;  /* int64_t; written under lock: 0 none, -1 has passed, else when */
    wf_timer      timer;     /* under lock */
    int64_t       armed;     /* under lock: when the timer is set for; 0: not armed */
    AO_t          timer_seq; /* under lock: of the timer; an older one that fires is stale */
    enum wf_mode  mode;      /* fixed: which side this is */
    bool          drained;   /* the turn's owner (reader): the last read fell short */
} wf_poll_side;

struct wf_poll_desc {
    wf_lock       lock WF_ALIGNED;
    unsigned      index;       /* fixed: its number, > 0 */
    volatile AO_t gen;         /* 40 bits, never 0; changed under lock at open and close */
    int           fd;          /* fixed while open */
    bool          closing;     /* under lock */
    bool          pollable;    /* fixed while open: registered with epoll */
    bool          short_rule;  /* fixed while open: a short read means drained (TCP) */
    volatile AO_t urgent;      /* atomic: how often EPOLLPRI was seen; raised under lock */
    AO_t          urgent_at;   /* the reader: its value before the attempt */
    AO_t          urgent_seen; /* the reader: its value before one that found nothing left;
                                  while the two differ a short read means nothing */
    volatile AO_t sticky;      /* atomic: enum wf_poll_bits */
    AO_t          timer_seq;   /* under lock: the last number given to a timer */
    wf_poll_side  side[2];
    wf_poll_desc *link;        /* under poll_cache's lock */
};

/* index 24 bits, generation 40 bits: a handle and the epoll_data. */
static inline uint64_t wf_poll_id(const wf_poll_desc *pd)
{
    return ((uint64_t)AO_load(&pd->gen) << 24) | pd->index;
}

wf_poll_desc *wf_poll_cache_alloc(void); /* NULL: no memory */
void          wf_poll_cache_free(wf_poll_desc *pd);
wf_poll_desc *wf_poll_cache_at(unsigned index); /* NULL: never allocated */
unsigned      wf_poll_cache_count(void);        /* one past the largest index */

void          wf_poll_next_gen(wf_poll_desc *pd); /* under lock: stale from here on */

/* What the netpoller does for one event: `events` are EPOLL* bits. */
void wf_poll_event(uint64_t id, uint32_t events, wf_glist *out);

/* Ends waits of one side; both under pd->lock. */
void wf_poll_fire(wf_poll_desc *pd, enum wf_mode mode, enum wf_reason reason, wf_glist *out);

#endif
