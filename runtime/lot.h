/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lot.h - the parking lot: where those wait that want a lock.
 *
 * The queues of all mutexes, semaphores, conditions and so on are in one table of buckets,
 * by the object's address.  So an object is a word or two, and whoever woke a waiter never
 * touches the object again: it may be freed at once.
 *
 * A waiter is a G itself (wait_node, wait_on, wait_mode, wait_since, granted), under its
 * bucket's lock.  It is published and the lock is freed only once its token is parked
 * (wf_lot_wait), so whoever takes it out finds it parked and may grant it what it wants.
 *
 * After the idea of WebKit's ParkingLot (F. Pizlo, "Locking in WebKit", 2016).
 */
#ifndef WF_LOT_H
#define WF_LOT_H

#include "wait.h"

typedef struct wf_bucket {
    wf_spin lock;
    wf_list waiters; /* under lock: of wf_g.wait_node, oldest first, of several keys */
} WF_ALIGNED wf_bucket;

enum { WF_LOT_BUCKETS = 1024 }; /* a power of two */

static inline unsigned wf_lot_index(const void *key)
{
    return (unsigned)((uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}

wf_bucket *wf_lot_lock(const void *key);

static inline void wf_lot_unlock(wf_bucket *b)
{
    wf_spin_release(&b->lock);
}

/*
 * A mark for each bucket, set for good before the first wait there for a mutex: while there is
 * none, who unlocks need not swap (mutex.c).  After wf_lot_mark, under the bucket's lock, every
 * look finds the mark, and what a thread stored before a look that did not find it is seen.  It
 * costs a membarrier, once a bucket.
 */
extern volatile AO_t wf_lot_marks[WF_LOT_BUCKETS / 64];

static inline bool wf_lot_marked(const void *key)
{
    unsigned at = wf_lot_index(key);
    return AO_load(&wf_lot_marks[at / 64]) >> at % 64 & 1;
}

void wf_lot_mark(const void *key);

enum wf_lot_place { WF_LOT_LAST, WF_LOT_FIRST };

/* Under the lock, which it frees: waits for key as wait t. */
enum wf_reason wf_lot_wait(wf_m **mp, wf_bucket *b, const void *key, unsigned char mode,
                           enum wf_lot_place place, wf_ticket t, weft_time deadline,
                           enum wf_wait_kind kind);
/* Under the lock: publishes only; the G parks later, and may be woken before it has. */
void wf_lot_add(wf_bucket *b, wf_g *gp, const void *key, wf_ticket t);

/* Under the lock: the oldest waiter for key that still is in the queue, or NULL. */
wf_g *wf_lot_first(wf_bucket *b, const void *key);
/* The next after gp. */
wf_g *wf_lot_next(wf_bucket *b, wf_g *gp);
/* Takes gp out: true if this ended its wait; it must then be made runnable, if *parked. */
bool wf_lot_take(wf_g *gp, bool *parked);
/* The oldest whose wait this ended, by wf_lot_wait: parked. */
wf_g *wf_lot_take_first(wf_bucket *b, const void *key);

/* After a wait that ended by deadline or cancellation: out of the queue.  Returns with
 * the bucket locked, so that the caller can adjust its word. */
wf_bucket *wf_lot_forget(wf_g *gp, const void *key);

/* At the runtime's stop: gp will never run again, though a mutex may count on it (mutex.c). */
void wf_mutex_abandon(wf_g *gp);

#endif
