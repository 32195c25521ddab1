/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hibernate.pml - stacks that are moved while their coroutine waits: runtime/hibernate.c.
 *
 * Models visit, take (wf_token_unpark), move_out, give_back and flush (wf_token_park) beside a
 * coroutine that waits, the lander of each wait (commit_park), an event for each, a
 * cancellation; wf_hibernate_end by whoever resumes it; and with DUMP wf_snapshot, which reads
 * the stack or what was moved of it.  The stack's bytes are one word: the number of the wait in
 * which they were left, GONE after their pages went, REUSED for memory that was freed.
 *
 * Bounds: WAITS waits; an event for each (not with NO_EVENT, for the last); one cancellation
 * (not with DUMP); sysmon as often as it finds one parked.
 * Properties: a G is made runnable once a wait, and never while sysmon is at its stack
 * (assertion); it goes on with the bytes that it left (assertion); sysmon moves what is at rest
 * (assertion); a snapshot that counts has read what was left (assertion); the wait whose event
 * came or that was cancelled ends (invalid end state).
 *
 * run: sc       -DWAITS=2
 * run: cancel   -DWAITS=2 -DNO_EVENT
 * run: buffers  -DWAITS=1 -DTSO
 * run: dump     -DWAITS=2 -DDUMP
 * run: dump_buffers -DWAITS=1 -DDUMP -DTSO
 * fault: FAULT_blind_unpark | sysmon stores ARMED instead of comparing
 * fault: FAULT_blind_park   | sysmon stores PARKED instead of comparing
 * fault: FAULT_drop         | sysmon forgets the G when a waker was first
 * fault: FAULT_always_ready | sysmon makes it runnable though none was
 * fault: FAULT_pages_first  | the pages go before the token is taken
 * fault: FAULT_pages_late   | the pages go when the G has parked again
 * fault: FAULT_mark_late    | the G is marked when it has parked again
 * fault: FAULT_again        | sysmon does not look whether it hibernates already
 * fault: FAULT_no_restore   | who resumes it does not look
 * fault: FAULT_mark_stays   | who resumes it leaves the mark
 * fault: FAULT_waker_readies | a waker makes runnable what it found ARMED
 * fault: FAULT_turn_late -DWAITS=1 -DDUMP | the pages go before the turn is counted
 * fault: FAULT_free_first -DWAITS=1 -DDUMP | the copy is freed before the turn is counted
 */
#define NPROC  5
#define TOKEN  0
#define CANCEL 1
#define BOUND  2 /* WF_HIBERNATES */
#define STACK  3
#define COPY   4
#define TURNS  5
#define FCTX   6
#define NWORD  7
#include "memory.h"

#define FIRED     0
#define ARMED     1
#define PARKED    2
#define STATE(w)  ((w) % 4)
#define NUMBER(w) ((w) / 4)
#define WORD_OF(n_, state_) ((n_) * 4 + (state_))

#define GONE   100
#define REUSED 101

#define G       0
#define EVENTS  1
#define KILLER  2 /* with DUMP: who takes a snapshot */
#define SYSMON  3
#define LANDER  4 /* of all waits: one at a time */

#ifdef NO_EVENT
#define LAST_EVENT (WAITS - 1)
#else
#define LAST_EVENT WAITS
#endif

bool running = true;
bool moving;      /* sysmon is at the stack */
byte runnable;
byte published;   /* the last wait that was shown to wakers */
byte left;        /* the wait that the lander is to commit */

inline make_runnable()
{
    d_step {
        FENCE;
        assert(runnable == 0 && !running && !moving);
        runnable = 1
    }
}

/* A word that only this process changes now. */
inline count_turn()
{
    word = LOAD(TURNS);
    store(TURNS, word + 1)
}

inline move(from_, to_)
{
    word = LOAD(from_);
    store(to_, word)
}

/* how: 0 lost, 1 won, 2 won and parked. */
inline fire(n_, how_)
{
    how_ = 0;
    do
    :: old = LOAD(TOKEN);
        if
        :: NUMBER(old) != (n_) || STATE(old) == FIRED -> break
        :: else
        fi;
        atomic {
            cas(TOKEN, old, WORD_OF(n_, FIRED), ok);
            if
            :: ok -> how_ = STATE(old)
            :: else
            fi
        }
        if
        :: ok -> break
        :: else
        fi
    od;
    ok = false;
    old = 0
}

inline ready_if_parked()
{
    if
#ifdef FAULT_waker_readies
    :: how > 0 -> make_runnable()
#else
    :: how == 2 -> make_runnable()
#endif
    :: else
    fi;
    how = 0
}

/* commit_park; it may be late, and see the G in a later wait. */
proctype lander(byte me)
{
    byte n, old, how;
    bool ok;

end:
    do
    :: atomic { left > n -> n = left }
        store(FCTX, 1);
        cas(TOKEN, WORD_OF(n, ARMED), WORD_OF(n, PARKED), ok);
        if
        :: !ok -> make_runnable()
        :: else ->
            ok = false;
            FENCE;
            if
            :: LOAD(CANCEL) -> fire(n, how); ready_if_parked()
            :: else
            fi
        fi
    od
}

/* wf_hibernate_end, then wf_turn_begin. */
inline resume()
{
    atomic { runnable == 1 -> runnable = 0 }
#ifndef FAULT_no_restore
    if
    :: LOAD(BOUND) ->
        move(COPY, STACK);
#ifndef FAULT_mark_stays
        store(BOUND, 0);
#endif
#ifdef FAULT_free_first
        store(COPY, REUSED);
#endif
        count_turn();
        store(COPY, REUSED)
    :: else
    fi;
#endif
    store(FCTX, 0);
    count_turn();
    running = true
}

proctype coroutine(byte me)
{
    byte n, word;

    for (n : 1 .. WAITS) {
        if
        :: LOAD(CANCEL) -> goto cancelled
        :: else
        fi;
        store(STACK, n);
        store(TOKEN, WORD_OF(n, ARMED));
        FENCE; /* of the CAS by which it is published */
        published = n;
        if
        :: STATE(LOAD(TOKEN)) == ARMED ->
            atomic { running = false; left = n }
            resume()
        :: else
        fi;
        assert(NUMBER(LOAD(TOKEN)) == n && STATE(LOAD(TOKEN)) == FIRED);
        assert(LOAD(STACK) == n)
    }
cancelled:
    skip
}

proctype waker(byte me)
{
    byte n, old, how;
    bool ok;

end:
    do
    :: atomic { published > n && published <= LAST_EVENT -> n = published }
        fire(n, how);
        ready_if_parked()
    od
}

proctype canceller(byte me)
{
    byte n, old, how;
    bool ok;

    store(CANCEL, 1);
    FENCE;
    n = NUMBER(LOAD(TOKEN));
    fire(n, how);
    ready_if_parked()
}

inline copy()
{
    assert(LOAD(STACK) != GONE);
    move(STACK, COPY)
}

inline mark()
{
    store(BOUND, 1)
}

inline give_back()
{
#ifndef FAULT_turn_late
    count_turn();
    FENCE; /* of the system call */
    store(STACK, GONE);
    FENCE
#else
    store(STACK, GONE);
    FENCE;
    count_turn()
#endif
}

/* What it does when the token is ARMED, and its. */
inline move_out()
{
    moving = true;
    assert(!running && LOAD(FCTX));
#ifndef FAULT_pages_first
    copy();
#endif
#ifndef FAULT_mark_late
    mark();
#endif
#if !defined(FAULT_pages_late) && !defined(FAULT_pages_first)
    give_back();
#endif
    moving = false
}

proctype sysmon(byte me)
{
    byte token, word;
    bool ok;

end:
    do
#ifdef FAULT_again
    :: STATE(LOAD(TOKEN)) == PARKED ->
#else
    :: STATE(LOAD(TOKEN)) == PARKED && !LOAD(BOUND) ->
#endif
        token = LOAD(TOKEN);
        if
        :: STATE(token) == PARKED ->
#ifdef FAULT_pages_first
            copy();
            give_back();
#endif
#ifdef FAULT_blind_unpark
            store(TOKEN, WORD_OF(NUMBER(token), ARMED));
            FENCE;
            ok = true;
#else
            cas(TOKEN, token, WORD_OF(NUMBER(token), ARMED), ok);
#endif
            if
            :: ok ->
                move_out();
#ifdef FAULT_blind_park
                store(TOKEN, token);
                FENCE;
#else
                cas(TOKEN, WORD_OF(NUMBER(token), ARMED), token, ok);
#endif
#ifdef FAULT_mark_late
                mark();
#endif
#ifdef FAULT_pages_late
                give_back();
#endif
                if
#ifdef FAULT_drop
                :: true
#else
                :: !ok -> make_runnable()
#endif
#ifdef FAULT_always_ready
                :: ok -> make_runnable()
#else
                :: ok
#endif
                fi
            :: else
            fi;
            ok = false
        :: else
        fi;
        token = 0
    od
}

/* wf_snapshot: what it reads counts if no turn was counted meanwhile. */
proctype snapshot(byte me)
{
    byte turns, bytes;
    bool parked;

    turns = LOAD(TURNS);
    parked = LOAD(FCTX);
    if
    :: parked && LOAD(BOUND) -> bytes = LOAD(COPY)
    :: parked && !LOAD(BOUND) -> bytes = LOAD(STACK)
    :: !parked
    fi;
    FENCE;
    if
    :: parked && LOAD(TURNS) == turns -> assert(bytes != GONE && bytes != REUSED)
    :: else
    fi
}

init
{
    atomic {
        run coroutine(G);
        run waker(EVENTS);
#ifdef DUMP
        run snapshot(KILLER);
#else
        run canceller(KILLER);
#endif
        run sysmon(SYSMON);
        run lander(LANDER)
    }
}
