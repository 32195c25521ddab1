/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pstatus.pml - the entry check against who takes or borrows a P: runtime/sched.h, idle.c.
 *
 * Models wf_enter, wf_enter_slow, wf_leave (the owner), wf_p_lend (a thief) and wf_p_take (the
 * stop), each load, store and compare-and-swap as one step, with store buffers: the owner's
 * `inside` may be seen late, unless the taker's membarrier drains it.  Inside, the owner sets
 * and takes runnext by plain stores; the thief takes it while the P is lent to it.  Thief and
 * stop exclude each other by sched.lock.
 *
 * Bounds: ROUNDS calls of the owner, LENDS attempts of the thief, TAKES of the stop.
 * Properties: the owner and a taker are never both at the P (assertion); no element of runnext
 * is taken twice (assertion); an owner whose P was taken stops, and nobody else is stuck.
 *
 * run: lend   -DTSO -DROUNDS=3 -DLENDS=2 -DTAKES=0
 * run: take   -DTSO -DROUNDS=3 -DLENDS=0 -DTAKES=2
 * run: both   -DTSO -DROUNDS=2 -DLENDS=1 -DTAKES=1
 * fault: FAULT_no_membarrier   | the taker looks at `inside` without draining the owner's buffer
 * fault: FAULT_no_check        | the owner does not look at the status
 * fault: FAULT_taking_is_taken -DTSO -DROUNDS=3 -DLENDS=2 -DTAKES=0 | stops when it sees TAKING
 * fault: FAULT_born_outside    | an M is not inside from its birth
 * fault: FAULT_blind_store     | the taker stores what it means to CAS
 */
#define NPROC  3
#define INSIDE 0
#define STATUS 1
#define NEXT   2
#define NWORD  3
#include "memory.h"

#define RUNNING 0
#define TAKING  1
#define TAKEN   2
#define LENT    3

bool owner_at, taker_at, locked, stopped, given_up;
bool taken[ROUNDS + 1];

inline take_elem(x_)
{
    if
    :: x_ -> assert(!taken[x_]); taken[x_] = true
    :: else
    fi
}

proctype owner(byte me)
{
    byte i, s, x;
    bool ok;
    atomic { owner_at = true; assert(!taker_at) }; /* from its birth, unchecked: on g0 */
    atomic { owner_at = false };
    store(INSIDE, 0);
    for (i : 1 .. ROUNDS) {
        store(INSIDE, 1); /* wf_enter; the compiler keeps the order */
#ifndef FAULT_no_check
        do
        :: s = LOAD(STATUS);
           if
           :: s == RUNNING -> break
#ifdef FAULT_taking_is_taken
           :: s == TAKEN || s == TAKING -> stopped = true; break
#else
           :: s == TAKEN -> stopped = true; break
#endif
           :: else ->
              cas(STATUS, TAKING, RUNNING, ok);
              if
              :: ok -> break
              :: else
              fi
           fi
        od;
#endif
        if
        :: stopped -> break
        :: else
        fi;
        atomic { owner_at = true; assert(!taker_at) };
        x = LOAD(NEXT);
        if
        :: x -> store(NEXT, 0); atomic { take_elem(x) }
        :: !x -> store(NEXT, i)
        fi;
        atomic { owner_at = false };
        store(INSIDE, 0) /* wf_leave */
    }
    if
    :: stopped -> store(INSIDE, 0)
    :: else
    fi;
    (!stopped || given_up) /* else it stopped for nothing: stuck here */
}

/* Under sched.lock: wf_p_lend or wf_p_take. */
inline attempt(to)
{
    cas(STATUS, RUNNING, TAKING, ok);
    if
    :: ok ->
       FENCE;
#ifndef FAULT_no_membarrier
       FENCE_OF(0);
#endif
       s = LOAD(INSIDE);
       want = (s -> RUNNING : to);
#ifdef FAULT_blind_store
       store(STATUS, want);
       ok = true;
#else
       cas(STATUS, TAKING, want, ok);
#endif
       FENCE;
       ok = ok && want == to
    :: else
    fi
}

proctype thief(byte me)
{
    byte i, s, x, want;
    bool ok;
    do
    :: i < LENDS ->
        atomic { !locked -> locked = true };
        attempt(LENT);
        if
        :: ok ->
           atomic { taker_at = true; assert(!owner_at) };
           x = LOAD(NEXT);
           if
           :: x -> store(NEXT, 0); atomic { take_elem(x) }
           :: else
           fi;
           atomic { taker_at = false };
           store(STATUS, RUNNING)
        :: else
        fi;
        FENCE;
        locked = false;
        i++
    :: else -> break
    od
}

proctype stop(byte me)
{
    byte i, s, want;
    bool ok;
    do
    :: i < TAKES ->
        atomic { !locked -> locked = true };
        attempt(TAKEN);
        if
        :: ok -> atomic { taker_at = true; given_up = true; assert(!owner_at) }
        :: else
        fi;
        FENCE;
        locked = false;
        i++
    :: else -> break
    od
}

init
{
#ifndef FAULT_born_outside
    mem[INSIDE] = 1; /* wf_m_new_locked */
#endif
    atomic { run owner(0); run thief(1); run stop(2) }
}
