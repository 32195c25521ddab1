/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grip.pml - the entry check against who takes, borrows or hands on a P: runtime/sched.h, retake.c,
 * pin.c.
 *
 * Models wf_enter, let_be_taken, wf_grip_regain, wf_p_await and wf_leave (two Ms and one P), wf_p_retake (sysmon),
 * wf_p_lend (a thief), wf_p_take (the stop), wf_give_p and wf_own, each load, store and
 * compare-and-swap as one step, with store buffers: an owner's `inside` may be seen late, unless
 * the taker's membarrier drains it.  Inside, the owner sets and takes runnext by plain stores; the
 * thief takes it while the P is lent to it.  sched.lock makes all takers one process, and its
 * release is a fence.  M 0 is born with the P, M 1 comes back for it as one that has lost its own.
 *
 * Bounds: ROUNDS calls of each owner, TAKES attempts of the taker, each to take or to borrow;
 * with STOP the last attempt is the stop's.
 * Properties: no two are ever at the P (assertion); no element of runnext is taken twice
 * (assertion); whoever lost the P gets it back, unless the runtime stopped (no stuck end state).
 *
 * run: take   -DTSO -DROUNDS=2 -DTAKES=2
 * run: stop   -DTSO -DROUNDS=2 -DTAKES=2 -DSTOP
 * run: often  -DROUNDS=3 -DTAKES=3
 * fault: FAULT_no_membarrier   | the taker looks at `inside` without draining the owner's buffer
 * fault: FAULT_no_check        | the owner does not look at its grip
 * fault: FAULT_trusts          | it stepped out and takes it that it has the P still
 * fault: FAULT_taking_is_lost  | gives up when it sees TAKING
 * fault: FAULT_born_outside    | an M is not inside from its birth
 * fault: FAULT_blind_store     | the taker stores what it means to CAS
 * fault: FAULT_no_second_check | an M that was handed a P trusts that it has it still
 * fault: FAULT_no_regrip       | who hands a P over does not renew the grip
 * fault: FAULT_park_first      | who hands a P over wakes the M before it renews the grip
 */
#define NPROC     3
#define INSIDE(m) (m)
#define GRIP(m)   (2 + (m))
#define PARK(m)   (4 + (m))
#define NEXT      6
#define NWORD     7
#include "memory.h"

#define HELD   0
#define TAKING 1
#define LOST   2
#define LENT   3
#define ASKED  4
#define IDLE   2 /* nobody's */

byte owner_of_p;  /* under the lock: pp->m */
bool waits[2];    /* under the lock: its G is in the global queue */
bool locked, stopped;
byte at;          /* how many are at the P */
bool taken[2 * ROUNDS + 2];

inline lock()
{
    atomic { !locked -> locked = true }
}

inline unlock()
{
    atomic { FENCE -> locked = false }
}

inline take_elem(x_)
{
    if
    :: x_ -> assert(!taken[x_]); taken[x_] = true
    :: else
    fi
}

/* wf_own and the futex, under the lock */
inline hand(m_)
{
    owner_of_p = m_;
    waits[m_] = false;
#ifdef FAULT_park_first
    store(PARK(m_), 1);
#endif
#ifndef FAULT_no_regrip
    store(GRIP(m_), HELD);
#endif
#ifndef FAULT_park_first
    store(PARK(m_), 1)
#endif
}

/* pass_on, under the lock: to one that waits, or it lies idle */
inline pass_on()
{
    if
    :: waits[0] && !stopped -> hand(0)
    :: waits[1] && !stopped -> hand(1)
    :: else -> owner_of_p = IDLE
    fi
}

/* Outside for any time, or none */
inline let_be_taken()
{
    s = LOAD(GRIP(me));
    if
    :: s == ASKED ->
       store(INSIDE(me), 0);
       if
       :: LOAD(GRIP(me)) != ASKED
       :: true
       fi;
       store(INSIDE(me), 1)
    :: else
    fi
}

/* wf_grip_regain: ok, or lost */
inline regain()
{
    let_be_taken();
#ifdef FAULT_trusts
    ok = true;
#else
    do
    :: s = LOAD(GRIP(me));
       if
       :: s == HELD -> ok = true; break
#ifdef FAULT_taking_is_lost
       :: s == LOST || s == TAKING || s == ASKED -> ok = false; break
#else
       :: s == LOST -> ok = false; break
#endif
       :: s == LENT
       :: else ->
          cas(GRIP(me), s, HELD, ok);
          if
          :: ok -> break
          :: else
          fi
       fi
    od
#endif
}

/* wf_p_await */
inline await()
{
    do
    :: lock();
       if
       :: stopped -> gone = true; unlock(); break
       :: !stopped && owner_of_p == IDLE ->
          owner_of_p = me;
          store(GRIP(me), HELD);
          unlock();
          break
       :: else -> waits[me] = true; unlock()
       fi;
       store(INSIDE(me), 0);
       (LOAD(PARK(me)) || stopped);
       if
       :: !LOAD(PARK(me)) -> gone = true; break
       :: else
       fi;
       store(PARK(me), 0);
       store(INSIDE(me), 1);
#ifdef FAULT_no_second_check
       break
#else
       regain();
       if
       :: ok -> break
       :: else
       fi
#endif
    od
}

/* One call of weft: what a coroutine does at the P. */
inline visit()
{
    atomic { at++; assert(at == 1) };
    x = LOAD(NEXT);
    if
    :: x -> store(NEXT, 0); atomic { take_elem(x) }
    :: !x -> store(NEXT, 1 + me * ROUNDS + i)
    fi;
    atomic { at-- }
}

/* On g0: another's G was found, or nothing (wf_give_p, wf_go_idle). */
inline give_up()
{
    lock();
    pass_on();
    store(GRIP(me), LOST); /* as far as this M's next G is concerned */
    unlock()
}

proctype owner(byte me; bool born)
{
    byte i, s, x;
    bool ok, gone;
    if
    :: born -> /* unchecked: on g0 */
       atomic { at++; assert(at == 1) };
       atomic { at-- };
       store(INSIDE(me), 0)
    :: else
    fi;
    for (i : 0 .. ROUNDS - 1) {
        store(INSIDE(me), 1); /* wf_enter; the compiler keeps the order */
#ifndef FAULT_no_check
        regain();
        if
        :: !ok -> await()
        :: else
        fi;
#endif
        if
        :: gone -> break
        :: else
        fi;
        visit();
        if
        :: i == ROUNDS - 1 || waits[1 - me] -> give_up()
        :: i < ROUNDS - 1
        fi;
        store(INSIDE(me), 0) /* wf_leave */
    }
    (!gone || stopped)
}

/* Under the lock: take. */
inline attempt(by, to)
{
    m = owner_of_p;
    ok = false;
    if
    :: m != IDLE ->
       cas(GRIP(m), HELD, by, ok)
    :: else
    fi;
    if
    :: ok ->
       FENCE;
#ifndef FAULT_no_membarrier
       FENCE_OF(0) && FENCE_OF(1);
#endif
       s = LOAD(INSIDE(m));
       want = (s -> HELD : to);
#ifdef FAULT_blind_store
       store(GRIP(m), want);
       ok = true;
#else
       cas(GRIP(m), by, want, ok);
#endif
       FENCE;
       ok = ok && want == to
    :: else
    fi
}

inline borrow()
{
    attempt(TAKING, LENT);
    if
    :: ok ->
       atomic { at++; assert(at == 1) };
       x = LOAD(NEXT);
       if
       :: x -> store(NEXT, 0); atomic { take_elem(x) }
       :: else
       fi;
       atomic { at-- };
       store(GRIP(m), HELD)
    :: else
    fi
}

inline retake(by)
{
    attempt(by, LOST);
    if
    :: ok ->
       atomic { at++; assert(at == 1) };
       atomic { at-- };
       pass_on()
    :: else
    fi
}

proctype taker(byte me)
{
    byte i, s, x, m, want;
    bool ok;
    do
    :: i < TAKES ->
        lock();
        if
#ifdef STOP
        :: i == TAKES - 1 -> stopped = true; retake(ASKED)
#endif
        :: retake(TAKING)
        :: retake(ASKED)
        :: borrow()
        fi;
        unlock();
        i++
    :: else -> break
    od
}

init
{
    atomic {
#ifndef FAULT_born_outside
        mem[INSIDE(0)] = 1; /* wf_m_new_locked */
#endif
        mem[GRIP(1)] = LOST;
        owner_of_p = 0;
        run owner(0, true);
        run owner(1, false);
        run taker(2)
    }
}
