/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.pml - guarded waits: runtime/g.h, runtime/wait.h, runtime/wait.c.
 *
 * Models a call that may wait under a guard (wf_guard_begin, the look at the flag,
 * wf_token_guard, wf_park_guarded, wf_guard_end), an event (wf_token_take), a canceller
 * (wf_wait_cancel, cancel_guarded, wf_token_cancel) and who frees the object that the guard
 * lies in (wf_guard_settle), with store buffers: each load, store and read-modify-write is a
 * step.  The G calls ROUNDS times, the last time on the object that is freed afterwards; the
 * first ones are on another, which stays.
 *
 * The freer comes as soon as the last call and the last event have done with the object, the
 * call also by being ended: long before the G has run on.
 *
 * Bounds: ROUNDS calls; an event for each, but with NO_EVENT for the last; one cancellation.
 * Properties: nobody touches the lock when it is freed (assertion); a G is made runnable
 * once a wait, with its registers saved (assertion); a wait that is neither over nor cancelled
 * does not last (invalid end state).
 *
 * run: event    -DTSO -DROUNDS=1
 * run: two      -DTSO -DROUNDS=2
 * run: cancel   -DTSO -DROUNDS=1 -DNO_EVENT
 * run: both     -DTSO -DROUNDS=2 -DNO_EVENT
 * fault: FAULT_look_before_lock -DTSO -DROUNDS=1 -DNO_EVENT | the G looks at the flag before it locks
 * fault: FAULT_no_look -DTSO -DROUNDS=1 -DNO_EVENT | the G does not look at the flag
 * fault: FAULT_guard_late -DTSO -DROUNDS=1 -DNO_EVENT | the guard is set after the lock was taken
 * fault: FAULT_no_fence -DTSO -DROUNDS=1 -DNO_EVENT | the canceller's, between flag and guard
 * fault: FAULT_no_count     | the canceller does not count itself in
 * fault: FAULT_count_late   | it reads the guard before it counts itself in
 * fault: FAULT_no_settle    | who frees does not wait for cancellers
 * fault: FAULT_guard_stays  | who ends the wait leaves the guard set
 * fault: FAULT_end_late     | a call that need not wait frees the lock, then clears the guard
 * fault: FAULT_unlock_unsaved | the lock is freed before the registers are saved
 * fault: FAULT_blind        | the canceller does not look whether there still is a wait
 */
#define NPROC  4
#define FLAG   0
#define GUARD  1 /* 0: none; else the number of the object */
#define USERS  2
#define TOKEN  3
#define LOCK   4 /* LOCK + the number of the object */
#define NWORD  7
#include "memory.h"

#define FIRED     0
#define PARKED    1
#define CANCELLED 2

#define G       0
#define WAKER   1
#define KILLER  2
#define FREER   3

#ifdef NO_EVENT
#define EVENTS (ROUNDS - 1)
#else
#define EVENTS ROUNDS
#endif

#define OBJECT(n) ((n) == ROUNDS -> 2 : 1)

bool saved;      /* the registers of the G */
bool runnable;
bool freed;      /* object 2 */
byte events;     /* under the lock: how many have come */
byte waits;      /* under the lock: the call that stands in the queue, or 0 */
bool call_over;  /* the G's last call uses object 2 no more */
bool event_over; /* nor does the last event */

inline touch(l_)
{
    assert(!((l_) == 2 && freed))
}

inline acquire(l_)
{
    do
    :: touch(l_); cas(LOCK + l_, 0, 1, ok);
       if
       :: ok -> break
       :: else -> LOAD(LOCK + l_) == 0
       fi
    od;
    ok = false;
    FENCE
}

inline release(l_)
{
    touch(l_); store(LOCK + l_, 0)
}

inline make_runnable()
{
    d_step { FENCE; assert(saved && !runnable); runnable = true }
}

inline over(n_)
{
    if
    :: (n_) == ROUNDS -> call_over = true
    :: else
    fi
}

/* The switch, whose other side frees the lock, until it is switched to again. */
inline switch_away(l_)
{
#ifdef FAULT_unlock_unsaved
    release(l_);
    FENCE;
    saved = true;
#else
    saved = true;
    release(l_);
#endif
    atomic { runnable -> runnable = false; saved = false }
}

inline wait(n_, l_)
{
    store(TOKEN, PARKED);
    waits = n_;
    switch_away(l_);
    stopped = (LOAD(TOKEN) == CANCELLED);
    if
    :: stopped -> acquire(l_); over(n_); release(l_)
    :: else
    fi
}

/* One call: what it waits for has come, or it is cancelled, or it waits. */
inline one_call(n_, l_)
{
#ifndef FAULT_guard_late
    store(GUARD, l_);
#endif
#ifdef FAULT_look_before_lock
    flag = LOAD(FLAG);
#endif
    acquire(l_);
#ifdef FAULT_guard_late
    store(GUARD, l_);
#endif
#ifndef FAULT_look_before_lock
    flag = LOAD(FLAG);
#endif
#ifdef FAULT_no_look
    flag = 0;
#endif
    if
    :: events < n_ && !flag -> wait(n_, l_)
    :: else ->
       stopped = (events < n_);
       over(n_);
#ifndef FAULT_end_late
       store(GUARD, 0);
#endif
       release(l_);
#ifdef FAULT_end_late
       store(GUARD, 0);
#endif
       skip
    fi
}

proctype coroutine(byte me)
{
    byte n;
    bool ok, flag, stopped;

    for (n : 1 .. ROUNDS) {
        if
        :: !stopped && !LOAD(FLAG) -> one_call(n, OBJECT(n))
        :: else
        fi
    }
    FENCE;
    call_over = true
}

/* An event for each call, under the lock. */
proctype waker(byte me)
{
    byte n;
    bool ok, won;

    for (n : 1 .. EVENTS) {
        acquire(OBJECT(n));
        events = n;
        if
        :: waits == n && LOAD(TOKEN) == PARKED ->
           waits = 0;
#ifndef FAULT_guard_stays
           store(GUARD, 0);
#endif
           store(TOKEN, FIRED);
           over(n);
           won = true
        :: else
        fi;
        event_over = event_over || n == ROUNDS;
        release(OBJECT(n));
        FENCE;
        if
        :: won -> won = false; make_runnable()
        :: else
        fi
    }
}

proctype canceller(byte me)
{
    byte l;
    bool ok, won;

    store(FLAG, 1);
#ifndef FAULT_no_fence
    FENCE;
#endif
    l = LOAD(GUARD);
    if
    :: !l -> goto done
    :: else
    fi;
#ifndef FAULT_no_count
    add(USERS, 1);
    FENCE;
#endif
#ifndef FAULT_count_late
    l = LOAD(GUARD);
#endif
    if
    :: l ->
       acquire(l);
#ifdef FAULT_blind
       won = true;
#else
       won = (LOAD(GUARD) == l && LOAD(TOKEN) == PARKED);
#endif
       if
       :: won -> store(GUARD, 0); store(TOKEN, CANCELLED)
       :: else
       fi;
       release(l);
       FENCE
    :: else
    fi;
#ifndef FAULT_no_count
    add(USERS, 255);
    FENCE;
#endif
    if
    :: won -> make_runnable()
    :: else
    fi;
done:
    skip
}

/* Takes the lock as the last who uses object 2, drops the reference, and frees. */
proctype freer(byte me)
{
    bool ok;

    call_over && event_over;
    acquire(2);
    release(2);
    FENCE;
#ifndef FAULT_no_settle
    LOAD(USERS) == 0;
#endif
    freed = true
}

init
{
    atomic {
        event_over = (EVENTS < ROUNDS);
        run coroutine(G);
        run waker(WAKER);
        run canceller(KILLER);
        run freer(FREER)
    }
}
