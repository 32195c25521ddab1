/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_desc.h - one pollable descriptor, and poll_cache, the free ones.
 *
 * poll_descs are cut from memory that is never unmapped; a freed one gets another
 * generation, so a stale event or handle finds that it is stale.  This file never
 * schedules: what becomes runnable is returned in a list.
 *
 * Each P keeps a few free ones by their numbers; the rest lie in poll_cache, which gives
 * and takes them by batches, under its lock.  To be free is to have one's number in one
 * of these places: nothing of that is written in the poll_desc, which a late event, the
 * timer of an old deadline or a ring that is being detached may look at still.
 */
#ifndef WF_POLL_DESC_H
#define WF_POLL_DESC_H

#include "g.h"
#include "inbox.h"
#include "lock.h"

enum wf_mode { WF_READ = 0, WF_WRITE = 1 };
/* What epoll is asked to tell of a descriptor. */
enum wf_watch { WF_WATCH_NOTHING, WF_WATCH_WRITE, WF_WATCH_ALL };

/*
 * The word `news`: sticky bits, only ever added while the descriptor is open, and above
 * them how often EPOLLPRI was seen (29 bits: to come round it takes half a milliard of
 * urgent bytes between two reads that find nothing).
 */
enum wf_poll_bits { WF_POLL_RDHUP = 1, WF_POLL_HUP = 2, WF_POLL_ERR = 4, WF_POLL_STICKY = 7 };
#define WF_POLL_URGENT 8u

/*
 * rg and wg (here: g[WF_READ] and g[WF_WRITE]), each one word:
 *
 *   NONE   no news, nobody waits
 *   READY  the event came first; the next wait returns at once
 *   WAIT   a G is about to park
 *   (G *)  that G has parked, or does now; whoever swaps the pointer out must fire its
 *          token, under pd->lock
 *
 *   from   to      by
 *   READY  NONE    forget, by the turn's owner: wf_poll_prepare before an attempt, or a
 *                  wait that consumes the news: CAS
 *   NONE   WAIT    announce, by the turn's owner: CAS; it fails if READY came
 *   WAIT   G       poll_commit, by the lander: CAS; it fails if anything came meanwhile
 *   WAIT   NONE    retract, by the turn's owner, who does not wait after all: CAS
 *   NONE, WAIT -> READY  poll_fire (an event), under the lock: CAS
 *   WAIT   NONE    poll_fire (deadline, close), under the lock: CAS
 *   G      READY   poll_fire (an event), under the lock: CAS, and fires G's token
 *   G      NONE    poll_fire (deadline, close), under the lock: CAS, and fires G's token
 *   WAIT, G -> NONE  unpublish, by the turn's owner, under the lock: its wait was ended
 *                  otherwise (cancelled)
 *
 * The owner of the turn takes no lock where an event woke it: that event's poll_fire was
 * through with the word.  In every other case it takes it, so nobody who swapped the G
 * out has yet to fire the token of a wait that is over; which is why that wait is simply
 * the one that the token is in.
 *
 * No wake-up is lost: an event either finds NONE or WAIT and leaves READY, which the wait
 * or the commit then sees, or finds the G.  A deadline or a close stores it, passes a
 * fence, and looks at the word; the owner announces its wait by a CAS and then looks at
 * the deadline: whoever comes second sees the first, and a word taken away from WAIT makes
 * the commit fail.  And forgetting loses nothing: what an
 * event told of was there before the READY that is forgotten, hence before the attempt
 * that follows, whose system call comes after the CAS; what comes later finds NONE.
 * tests/model/poll.pml checks it with deadline and close; cancellation is park.pml's.
 */
#define WF_PD_NONE  ((AO_t)0)
#define WF_PD_READY ((AO_t)1)
#define WF_PD_WAIT  ((AO_t)2)

/* A deadline: 0 none, when, or one of these. */
#define WF_PD_PASSED ((AO_t)-1)
#define WF_PD_CLOSED ((AO_t)-2)

typedef struct wf_poll_desc wf_poll_desc;

/* The timer of one side's deadline. */
typedef struct wf_poll_side {
    wf_timer timer;     /* under lock */
    int64_t  armed;     /* under lock: when the timer is set for; 0: not armed */
    unsigned timer_seq; /* under lock: of the timer; an older one that fires is stale */
    uint8_t  mode;      /* fixed: which side this is, enum wf_mode */
} wf_poll_side;

/* All that reading, writing and their events touch is in the first line.  There is one for
 * each connection, idle ones too: three lines. */
struct wf_poll_desc {
    wf_spin                lock WF_ALIGNED;
    unsigned               index;       /* fixed: its number, > 0 */
    volatile AO_t          gen;         /* 40 bits, never 0; changed under lock at open and close */
    volatile unsigned      news;        /* atomic: see above; written under lock */
    unsigned               urgent_at;   /* the reader: the count in news before the attempt */
    unsigned               urgent_seen; /* the reader: that before one that found nothing left;
                                      while the two differ a short read means nothing */
    bool                   closing;     /* under lock */
    volatile unsigned char pollable;    /* atomic: one can wait for it; until its number goes */
    bool                   short_rule;  /* the reader: a short read means drained (TCP) */
    bool                   drained;     /* the reader: the last read fell short */
    volatile AO_t          deadline[2]; /* int64_t; written under lock: see above */
    volatile AO_t          g[2];        /* rg and wg; see the table */

    wf_poll_side      side[2];
    int               fd;    /* fixed while open */
    volatile unsigned watch; /* enum wf_watch; written under lock, never lowered but at the end */
    wf_inbox          inbox; /* under lock: what a ring has brought */
    unsigned          timer_seq; /* under lock: the last number given to a timer */
};

_Static_assert(offsetof(struct wf_poll_desc, side) == WF_CACHELINE, "a read touches one line");
_Static_assert(sizeof(struct wf_poll_desc) == 3 * WF_CACHELINE, "see above");

/* Free ones of a P, newest last; its owner's.  One that is given and taken evenly asks
 * poll_cache for nothing, one that only gives or only takes does so once a batch. */
enum { WF_POLL_BATCH = 16 };

typedef struct wf_poll_spares {
    unsigned n;
    unsigned index[2 * WF_POLL_BATCH];
} wf_poll_spares;

/* index 24 bits, generation 40 bits: a handle and the epoll_data. */
static inline uint64_t wf_poll_id(const wf_poll_desc *pd)
{
    return ((uint64_t)AO_load(&pd->gen) << 24) | pd->index;
}

wf_poll_desc *wf_poll_cache_alloc(wf_poll_spares *own);                  /* NULL: no memory */
void          wf_poll_cache_free(wf_poll_spares *own, wf_poll_desc *pd); /* own NULL: no P */
void          wf_poll_cache_flush(wf_poll_spares *own); /* its owner has ended: all go back */
wf_poll_desc *wf_poll_cache_at(unsigned index);         /* NULL: never made */
unsigned      wf_poll_cache_count(void);                /* one past the largest index */

void wf_poll_next_gen(wf_poll_desc *pd); /* under lock: stale from here on */

/* Hints for an event that is about to be told: brings the poll_desc near; its reader. */
void wf_poll_near(uint64_t id);
void wf_poll_near_g(uint64_t id);
/* What the netpoller does for one event: `events` are EPOLL* bits. */
void wf_poll_event(uint64_t id, uint32_t events, wf_glist *out);

/* News of one side, or the end of its wait; under pd->lock. */
void wf_poll_fire(wf_poll_desc *pd, enum wf_mode mode, enum wf_reason reason, wf_glist *out);

#endif
