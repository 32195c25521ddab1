/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutex.pml - a lock that is freed by a store while nobody has ever waited: runtime/mutex.c, lot.h.
 *
 * Models weft_mutex_lock with its slow half, weft_mutex_unlock by a store and by compare-and-swap,
 * wake_oldest, wake_overwritten, wf_lot_mark and the end of a wait by deadline, each load, store and
 * compare-and-swap as one step, with store buffers: the store that frees the lock may be seen long
 * after the look at the mark that follows it, unless a membarrier drains it.  The bucket's lock
 * is a step each way, its release a fence.  A wait is published with its G parked, as it is in wf_lot_wait.
 *
 * Bounds: three coroutines, the first ROUNDS calls, the others one; with LATE each wait may end by its deadline.
 * Properties: no two hold the lock, and each sees what the one before wrote (assertion); nobody waits for
 * ever (no stuck end state); the word is not touched after the last of them was done with it, when its
 * memory may be gone (assertion).
 *
 * run: lock   -DTSO -DROUNDS=2
 * run: late   -DTSO -DROUNDS=1 -DLATE
 * run: often  -DROUNDS=2 -DLATE
 * fault: FAULT_no_membarrier  | who waits sets the mark, and goes on at once
 * fault: FAULT_no_second_look | who freed the lock by a store does not look at the mark again
 * fault: FAULT_late_mark      | WAITERS is set before the mark
 * fault: FAULT_mark_unlocked  | the mark is set without the bucket's lock: a second one does not wait for the barrier
 * fault: FAULT_forgets_others | wake_overwritten does not set WAITERS again for those that wait on
 * fault: FAULT_touches        | wake_overwritten sets the word also where it found nobody
 */
#define NPROC 3
#define WORD_ 0
#define MARK  1
#define DATA  2
#define NWORD 3
#include "memory.h"

#define LOCKED  1
#define WAITERS 2
#define WOKEN   4

bool locked;               /* the bucket */
byte queue[NPROC], queued; /* under it: who waits, oldest first */
bool fired[NPROC];         /* its token: its wait ended, by a waker or late */
bool ready[NPROC];         /* and a waker made it runnable */
bool granted[NPROC];
byte holders, seen, using; /* using: who may touch the word yet */

inline lock()
{
    atomic { !locked -> locked = true }
}

inline unlock()
{
    atomic { FENCE -> locked = false }
}

inline touch()
{
    assert(using > 0)
}

/* Under the bucket's lock; front: before those that wait */
inline enter(front)
{
    d_step {
        if
        :: front && queued > 0 ->
           if
           :: queued == 2 -> queue[2] = queue[1]
           :: else
           fi;
           queue[1] = queue[0];
           queue[0] = me
        :: else -> queue[queued] = me
        fi;
        queued++;
        fired[me] = false;
        ready[me] = false;
        granted[me] = false
    }
}

inline drop_first()
{
    queue[0] = queue[1];
    queue[1] = queue[2];
    queue[2] = 0;
    queued--
}

/* wf_lot_take_first: who, or NPROC; one whose wait ended otherwise is passed over */
inline take_first()
{
    d_step {
        who = NPROC;
        do
        :: queued == 0 || who != NPROC -> break
        :: else ->
           if
           :: !fired[queue[0]] -> who = queue[0]; fired[who] = true
           :: else
           fi;
           drop_first()
        od
    }
}

/* wf_lot_forget's removal: it may have been passed over before */
inline forget()
{
    d_step {
        if
        :: queued > 0 && queue[0] == me -> drop_first()
        :: queued > 1 && queue[0] != me && queue[1] == me -> queue[1] = queue[2]; queue[2] = 0; queued--
        :: queued > 2 && queue[0] != me && queue[1] != me && queue[2] == me -> queue[2] = 0; queued--
        :: else
        fi
    }
}

/* A CAS in a loop, which at the end has made the word what `now` says of w. */
inline settle(now)
{
    do
    :: w = LOAD(WORD_);
       touch();
       cas(WORD_, w, now, ok);
       if
       :: ok -> break
       :: else
       fi
    od
}

inline mark()
{
    if
    :: !LOAD(MARK) ->
       swap(MARK, 1, w);
#ifndef FAULT_no_membarrier
       FENCE;
       FENCE_OF(0);
       FENCE_OF(1);
       FENCE_OF(2)
#endif
    :: else
    fi
}

inline try_lock()
{
    w = LOAD(WORD_);
    touch();
    ok = false;
    if
    :: !(w & LOCKED) -> cas(WORD_, w, ((w & ~clear) | LOCKED) & 7, ok)
    :: else
    fi
}

/* ok: WAITERS is set; else the lock is free */
inline announce()
{
    do
    :: w = LOAD(WORD_);
       touch();
       if
       :: !(w & LOCKED) -> ok = false; break
       :: else ->
          cas(WORD_, w, ((w | WAITERS) & ~clear) & 7, ok);
          if
          :: ok -> break
          :: else
          fi
       fi
    od
}

/* lock_slow: got, or the wait was late */
inline take()
{
    clear = 0;
    got = false;
    do
    :: try_lock();
       if
       :: ok -> got = true; break
       :: else
       fi;
#ifdef FAULT_mark_unlocked
       mark();
#endif
       lock();
#if !defined(FAULT_mark_unlocked) && !defined(FAULT_late_mark)
       mark();
#endif
       announce();
#ifdef FAULT_late_mark
       mark();
#endif
       if
       :: !ok -> unlock()
       :: else ->
          enter(clear);
          unlock();
          if
          :: ready[me]
#ifdef LATE
          :: atomic { !fired[me] -> fired[me] = true };
             lock();
             forget();
             if
             :: queued == 0 -> settle(w & ~WAITERS)
             :: else
             fi;
             unlock();
             break
#endif
          fi;
          if
          :: granted[me] -> got = true; break
          :: else -> clear = WOKEN
          fi
       fi
    od
}

inline wake_oldest()
{
    lock();
    take_first();
    left = (queued > 0 -> WAITERS : 0);
    if
    :: who != NPROC -> granted[who] = true; left = left | LOCKED
    :: who != NPROC -> left = left | WOKEN
    :: who == NPROC
    fi;
    settle(left);
    unlock();
    if
    :: who != NPROC -> ready[who] = true
    :: else
    fi
}

inline wake_overwritten()
{
    lock();
    take_first();
    left = WOKEN;
#ifndef FAULT_forgets_others
    left = (queued > 0 -> WOKEN | WAITERS : WOKEN);
#endif
    if
#ifndef FAULT_touches
    :: who == NPROC
    :: who != NPROC ->
#else
    :: true ->
#endif
       settle((w & ~WAITERS) | left)
    fi;
    unlock();
    if
    :: who != NPROC -> ready[who] = true
    :: else
    fi
}

/* The caller counts as one that uses the word until what frees the lock is seen. */
inline release()
{
    w = LOAD(WORD_);
    if
    :: !LOAD(MARK) && w == LOCKED ->
       store(WORD_, 0);
       using--;
#ifndef FAULT_no_second_look
       if
       :: LOAD(MARK) -> wake_overwritten()
       :: else
       fi
#endif
    :: true -> /* the mark was there; or in weft_cond_wait, which does not look */
       do
       :: w = LOAD(WORD_);
          assert(w & LOCKED);
          if
          :: (w & WAITERS) && !(w & WOKEN) -> wake_oldest(); break
          :: else ->
             cas(WORD_, w, w & ~LOCKED, ok);
             if
             :: ok -> break
             :: else
             fi
          fi
       od;
       using--
    fi
}

proctype locker(byte me; byte calls)
{
    byte i, w, x, clear, left, who;
    bool ok, got;
    for (i : 1 .. calls) {
        take();
        if
        :: got ->
           atomic { holders++; assert(holders == 1) };
           x = LOAD(DATA);
           atomic { assert(x == seen); seen++ };
           store(DATA, x + 1);
           atomic { holders-- };
           release()
        :: else -> using--
        fi
    }
}

init
{
    atomic {
        using = ROUNDS + 2;
        run locker(0, ROUNDS);
        run locker(1, 1);
        run locker(2, 1)
    }
}
