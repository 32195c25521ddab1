/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runq.pml - the ring and runnext: runtime/runq.h, runtime/runq.c.
 *
 * Models push, pop_head, pop_tail, spill, swap_next, take_next (one owner), steal and
 * steal_next (thieves), each load, store and compare-and-swap as one step.  What the owner
 * puts in runnext it shares or not, as it likes; how a thief is lent one that is not shared
 * is grip.pml's.  The owner does any sequence of them and in the end empties the queue;
 * thieves come and stall anywhere.  Not modelled: `fresh` (the owner's own choice which end to pop), `solo`.
 *
 * Bounds: a ring of SIZE slots, N elements, each pushed once, THIEVES thieves with
 * STEALS attempts each; RING_ONLY leaves runnext out, NEXT_ONLY thieves of the ring.
 * Properties: no element is taken twice (assertion); in the end each was taken
 * (assertion); nobody is stuck (invalid end state).
 *
 * run: two      -DSIZE=2 -DN=4 -DTHIEVES=2 -DSTEALS=1
 * run: again    -DSIZE=2 -DN=5 -DTHIEVES=2 -DSTEALS=2 -DRING_ONLY
 * run: four     -DSIZE=4 -DN=6 -DTHIEVES=2 -DSTEALS=1 -DRING_ONLY
 * run: next     -DSIZE=2 -DN=4 -DTHIEVES=2 -DSTEALS=2 -DNEXT_ONLY
 * run: buffers  -DSIZE=2 -DN=3 -DTHIEVES=2 -DSTEALS=1 -DTSO
 * run: next_buffers -DSIZE=2 -DN=3 -DTHIEVES=2 -DSTEALS=2 -DTSO -DNEXT_ONLY
 * fault: FAULT_no_fence -DSIZE=2 -DN=3 -DTHIEVES=2 -DSTEALS=1 -DTSO | pop_tail's fence
 * fault: FAULT_slot_after_cas    | a thief reads the slot after it moved the head
 * fault: FAULT_last_without_cas  | pop_tail takes the last entry as if it were alone
 * fault: FAULT_tail_before_slot  | push publishes the tail before it writes the slot
 * fault: FAULT_push_when_full    | push does not look whether there is room
 * fault: FAULT_spill_store       | spill stores the head instead of comparing
 * fault: FAULT_steal_own -DSIZE=2 -DN=4 -DTHIEVES=1 -DSTEALS=1 -DNEXT_ONLY | one not shared
 * fault: FAULT_take_plain -DSIZE=2 -DN=4 -DTHIEVES=1 -DSTEALS=1 -DNEXT_ONLY | take_next
 * fault: FAULT_swap_plain -DSIZE=2 -DN=4 -DTHIEVES=1 -DSTEALS=1 -DNEXT_ONLY | swap_next
 */
#define NPROC (1 + THIEVES)
#define HEAD  0
#define TAIL  1
#define NEXT  2
#define SLOT  3 /* the first of SIZE */
#define NWORD (SLOT + SIZE)
#include "memory.h"

/* What stands in NEXT: an element, twice, and whether it is shared. */
#define SHARED 1
#define OF(next) ((next) / 2)

bool taken[N + 1];
byte thieves_done;

/* The owner of x is settled by the step that takes it. */
inline take(gp_)
{
    d_step { assert(gp_ > 0 && !taken[gp_]); taken[gp_] = true }
}

inline cas_take(word, from, to, gp)
{
    atomic {
        cas(word, from, to, ok);
        if
        :: ok -> take(gp)
        :: else
        fi
    }
}

/* ---- The owner, process 0 --------------------------------------------------- */

inline push(gp)
{
    d_step { head = LOAD(HEAD); tail = LOAD(TAIL) }
    if
#ifndef FAULT_push_when_full
    :: tail - head >= SIZE -> ok = false
#endif
    :: else ->
#ifdef FAULT_tail_before_slot
        store(TAIL, tail + 1);
        store(SLOT + tail % SIZE, gp);
#else
        store(SLOT + tail % SIZE, gp);
        store(TAIL, tail + 1);
#endif
        ok = true
    fi
}

/* What it moves away counts as taken. */
inline spill()
{
    d_step { head = LOAD(HEAD); n = (LOAD(TAIL) - head) / 2 }
    d_step { x = LOAD(SLOT + head % SIZE); y = LOAD(SLOT + (head + 1) % SIZE) }
    if
    :: n > 0 ->
#ifdef FAULT_spill_store
        store(HEAD, head + n);
        ok = true;
#else
        cas(HEAD, head, head + n, ok);
#endif
        if
        :: ok -> take(x)
        :: else
        fi;
        if
        :: ok && n == 2 -> take(y)
        :: else
        fi
    :: else
    fi;
    d_step { n = 0; y = 0 }
}

inline push_or_spill(gp)
{
    do
    :: push(gp);
        if
        :: ok -> break
        :: else -> spill()
        fi
    od
}

inline swap_next(gp)
{
    old = LOAD(NEXT);
#ifndef FAULT_swap_plain
    if
    :: old & SHARED ->
        cas(NEXT, old, 0, ok);
        if
        :: ok
        :: else -> old = 0
        fi
    :: else
    fi;
#endif
    if
    :: store(NEXT, 2 * (gp))
    :: store(NEXT, 2 * (gp) + SHARED)
    fi;
    old = OF(old)
}

inline take_next()
{
    x = LOAD(NEXT);
    if
#ifndef FAULT_take_plain
    :: x & SHARED -> cas_take(NEXT, x, 0, OF(x))
    :: x && !(x & SHARED) -> store(NEXT, 0); take(OF(x))
#else
    :: x -> store(NEXT, 0); take(OF(x))
#endif
    :: else
    fi
}

inline pop_head()
{
    do
    :: d_step { head = LOAD(HEAD); tail = LOAD(TAIL) }
        if
        :: head == tail -> break
        :: else
        fi;
        x = LOAD(SLOT + head % SIZE);
        cas_take(HEAD, head, head + 1, x);
        if
        :: ok -> break
        :: else
        fi
    od
}

inline pop_tail()
{
    tail = LOAD(TAIL) - 1;
    store(TAIL, tail);
#ifndef FAULT_no_fence
    FENCE;
#endif
    d_step { head = LOAD(HEAD); x = LOAD(SLOT + tail % SIZE) }
    if
    :: tail > head -> take(x)
    :: tail == head ->
#ifdef FAULT_last_without_cas
        take(x);
#else
        cas_take(HEAD, head, head + 1, x);
#endif
        store(TAIL, tail + 1)
    :: tail < head -> store(TAIL, tail + 1)
    fi
}

/* A dead variable that differs would make states differ. */
inline forget()
{
    d_step { head = 0; tail = 0; x = 0; old = 0; ok = false }
}

active proctype owner()
{
    byte me = 0, fresh = 1; /* fresh: the next element to push */
    byte head, tail, n, x, y, old;
    bool ok;

    do
#ifndef RING_ONLY
    :: fresh <= N ->
        swap_next(fresh);
        if
        :: old -> push_or_spill(old)
        :: else
        fi;
        fresh++;
        forget()
#endif
    :: fresh <= N -> push_or_spill(fresh); fresh++; forget()
    :: LOAD(NEXT) != 0 -> take_next(); forget()
    :: LOAD(TAIL) != LOAD(HEAD) -> pop_head(); forget()
    :: LOAD(TAIL) != LOAD(HEAD) -> pop_tail(); forget()
    :: fresh > N -> break
    od;
    do
    :: take_next();
        pop_head();
        if
        :: LOAD(TAIL) == LOAD(HEAD) && LOAD(NEXT) == 0 -> break
        :: else
        fi
    od;
    atomic {
        thieves_done == THIEVES;
        for (x : 1 .. N) {
            assert(taken[x])
        }
    }
}

/* ---- A thief ------------------------------------------------------------------ */

inline steal()
{
    head = LOAD(HEAD);
    FENCE;
    tail = LOAD(TAIL);
    if
    :: tail > head ->
#ifdef FAULT_slot_after_cas
        cas(HEAD, head, head + 1, ok);
        x = LOAD(SLOT + head % SIZE);
        if
        :: ok -> take(x)
        :: else
        fi
#else
        x = LOAD(SLOT + head % SIZE);
        cas_take(HEAD, head, head + 1, x)
#endif
    :: else
    fi
}

inline steal_next()
{
    x = LOAD(NEXT);
    if
#ifdef FAULT_steal_own
    :: x -> cas_take(NEXT, x, 0, OF(x))
#else
    :: x & SHARED -> cas_take(NEXT, x, 0, OF(x))
#endif
    :: else
    fi
}

proctype thief(byte me)
{
    byte head, tail, x, i;
    bool ok;

    for (i : 1 .. STEALS) {
        if
#ifndef NEXT_ONLY
        :: steal()
#endif
#ifndef RING_ONLY
        :: steal_next()
#endif
        fi;
        d_step { head = 0; tail = 0; x = 0; ok = false }
    }
    thieves_done++
}

init
{
    byte i;
    atomic {
        for (i : 1 .. THIEVES) {
            run thief(i)
        }
    }
}
