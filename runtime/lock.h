/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - the runtime's own lock: a word, a short spin, then a futex.
 *
 * For critical sections of some dozen instructions, by threads (a coroutine holds
 * one only while its thread is inside the runtime, and never across a park).
 * Unlocking writes nothing after the store that frees the lock, so whoever sees it
 * free may free the memory it lies in.  A zeroed lock is free.
 *
 * Lock order, outermost first (a thread may take one further to the right):
 *   group (parent before child) > notify table > fdlock queue > channel (by address),
 *   bucket > poll_desc > timer heap > sched
 * A ring's, where there are any: cq before poll_desc, sq after it (ring.h); its pool is a leaf.
 * Leaves, under which no other is taken: gpool, stack pool, poll_cache, and the small
 * tables of local.c, fd_wait.c, resolve.c and scarce.c.
 */
#ifndef WF_LOCK_H
#define WF_LOCK_H

#include "base.h"

/*
 * The word, changed only in lock.h and lock.c:
 *   0 FREE -> 1 HELD       wf_lock_acquire, CAS acquire, pairs with release
 *   1 HELD -> 2 CONTENDED  lock_slow, before it sleeps on the futex
 *   0 FREE -> 2 CONTENDED  lock_slow, after a sleep: others may sleep still
 *   1 HELD -> 0 FREE       wf_lock_release, CAS release
 *   2 CONT -> 0 FREE       wf_lock_release, then one futex wake
 * No wake-up is lost: a sleeper sets 2 before the kernel compares the word with 2,
 * so a release either finds 2 and wakes, or made the kernel's comparison fail.
 */
typedef struct wf_lock {
    volatile unsigned word;
} wf_lock;

void wf_lock_slow(wf_lock *l);
void wf_lock_wake(wf_lock *l);

static inline bool wf_lock_try(wf_lock *l)
{
    return AO_int_compare_and_swap_full(&l->word, 0, 1); /* pairs with wf_lock_release */
}

static inline void wf_lock_acquire(wf_lock *l)
{
    if (WF_UNLIKELY(!wf_lock_try(l)))
        wf_lock_slow(l);
}

static inline void wf_lock_release(wf_lock *l)
{
    /* pairs with the CAS in wf_lock_try and wf_lock_slow */
    if (WF_UNLIKELY(!AO_int_compare_and_swap_full(&l->word, 1, 0)))
        wf_lock_wake(l);
}

/*
 * A lock for a dozen instructions that touch one object's queue: freed by a plain store,
 * which saves half the price of the lock above.  It may be held across one switch, by a
 * G that parks: who lands frees it (wf_park_then).  A thread that waits long gives up
 * its time slice, since the holder's thread may have been preempted.
 *
 *   0 -> 1  wf_spin_acquire, CAS acquire, pairs with the release
 *   1 -> 0  wf_spin_release, store release
 */
typedef struct wf_spin {
    volatile unsigned word;
} wf_spin;

void wf_spin_slow(wf_spin *l);

static inline void wf_spin_acquire(wf_spin *l)
{
    /* pairs with wf_spin_release */
    if (WF_UNLIKELY(!AO_int_compare_and_swap_full(&l->word, 0, 1)))
        wf_spin_slow(l);
}

static inline void wf_spin_release(wf_spin *l)
{
    AO_int_store_release(&l->word, 0); /* pairs with the CAS in wf_spin_acquire */
}

#ifdef WEFT_COUNT /* each with the lock's name at the place that takes it; see tally.h */
#define WF_COUNTED_ACQUIRE(acquire, l)                            \
    __extension__({                                               \
        __typeof__(l) counted_l = WF_TALLY(WF_TALLY_LOCK, #l, l); \
        (acquire)(counted_l);                                     \
        wf_tally_locked(counted_l);                               \
    })
#define WF_COUNTED_RELEASE(release, l) \
    __extension__({                    \
        __typeof__(l) counted_l = (l); \
        wf_tally_unlocked(counted_l);  \
        (release)(counted_l);          \
    })
#define wf_lock_try(l)                                           \
    __extension__({                                              \
        __typeof__(l) counted_t = (l);                           \
        bool          counted_got = (wf_lock_try)(counted_t);    \
        if (counted_got) {                                       \
            (void)WF_TALLY(WF_TALLY_LOCK, "try " #l, counted_t); \
            wf_tally_locked(counted_t);                          \
        }                                                        \
        counted_got;                                             \
    })
#define wf_lock_acquire(l) WF_COUNTED_ACQUIRE(wf_lock_acquire, l)
#define wf_lock_release(l) WF_COUNTED_RELEASE(wf_lock_release, l)
#define wf_spin_acquire(l) WF_COUNTED_ACQUIRE(wf_spin_acquire, l)
#define wf_spin_release(l) WF_COUNTED_RELEASE(wf_spin_release, l)
#endif

#endif
