/* SPDX-License-Identifier: Apache-2.0 */
/*
 * park.pml - the wait token: runtime/g.h, runtime/sched.c, runtime/wait.c.
 *
 * Models wf_token_arm, wf_token_park and wf_token_fire; a deadline that has passed before
 * the wait; commit_park with its look at the cancel flag, by a lander for each wait, which
 * may be late and see the G in its next one; a canceller; with THEN wf_wait_then, whose
 * lock the lander frees; and with PUBLISH wf_wait_publish, where the lander shows the token
 * and then the wait, or finds that there is nothing to wait for.  A waker knows the number
 * that was published to it and comes as late as it likes.
 *
 * Bounds: WAITS waits one after the other; an event for each (not with NO_EVENT) and a timer
 * that may come (with TIMER); one cancellation; with SHIELD the last wait is uncancellable.
 * Properties: a G is made runnable once a park, and only after its registers were saved
 * (assertion); who ended a wait meant that one (assertion); who finds a wait under the lock
 * of THEN finds it parked (assertion); the wait whose event came or that was cancelled ends
 * (invalid end state).
 *
 * run: sc       -DWAITS=2 -DTIMER
 * run: shield   -DWAITS=2 -DTIMER -DSHIELD
 * run: cancel   -DWAITS=2 -DTIMER -DNO_EVENT
 * run: then     -DWAITS=2 -DTIMER -DTHEN
 * run: buffers  -DWAITS=2 -DNO_EVENT -DTSO
 * run: publish  -DWAITS=3 -DPUBLISH
 * run: publish_shield  -DWAITS=2 -DPUBLISH -DSHIELD
 * run: publish_buffers -DWAITS=2 -DPUBLISH -DNO_EVENT -DTSO
 * fault: FAULT_commit_unsaved   | the token is parked before the registers are saved
 * fault: FAULT_no_number        | a waker fires whatever wait there is
 * fault: FAULT_two_runnable     | a waker makes runnable what was armed only
 * fault: FAULT_blind_park -DWAITS=1 -DSHIELD | the lander stores PARKED instead of comparing
 * fault: FAULT_no_cancel_look -DWAITS=2 -DNO_EVENT | the lander does not look at the flag
 * fault: FAULT_token_first -DWAITS=2 -DNO_EVENT | the canceller fires before it sets the flag
 * fault: FAULT_no_fence -DWAITS=2 -DNO_EVENT -DTSO | the canceller's, before it looks at the token
 * fault: FAULT_publish_first -DWAITS=2 -DPUBLISH -DSHIELD | the wait is shown before its token
 * fault: FAULT_publish_runs -DWAITS=2 -DPUBLISH | where there is none, the lander asks no token
 * fault: FAULT_publish_blind -DWAITS=2 -DPUBLISH -DNO_EVENT | it does not look at the flag
 * fault: FAULT_publish_fence -DWAITS=2 -DPUBLISH -DNO_EVENT -DTSO | no fence before that look
 * fault: FAULT_free_first -DWAITS=2 -DTIMER -DTHEN | the lock is freed before it parks
 */
#define NPROC  5
#define TOKEN  0
#define CANCEL 1
#define NWORD  2
#include "memory.h"

/* The token: the number, whether uncancellable, the reason, the state. */
#define FIRED     0
#define ARMED     1
#define PARKED    2
#define STATE(w)  ((w) % 4)
#define NO_CANCEL(w) ((w) & 8)
#define NUMBER(w) ((w) / 64)
#define WORD_OF(n_, no_cancel_, reason_, state_) \
    ((n_) * 64 + (reason_) * 16 + (no_cancel_) * 8 + (state_))

#define EVENT   0
#define TIMEOUT 1
#define CANCELLED 2

#define G       0
#define EVENTS  1
#define KILLER  2
#define LANDERS 2 /* 2 + the number of the wait */
#define TIMERS  1 /* never in a store buffer, which it would need a number for */

bool saved;       /* the registers of the G */
bool running = true;
byte runnable;    /* how many have made it runnable */
byte published;   /* the last wait that was shown to wakers */
bool left[WAITS + 1];
bool shielded[WAITS + 1];
bool locked;      /* by THEN */
bool told[WAITS + 1]; /* the lander has published the wait, or declined */

/* Who shows a G in a queue has shown what it wrote before. */
inline make_runnable()
{
    d_step {
        FENCE;
        assert(saved && runnable == 0 && !running);
        runnable = 1
    }
}

/* how: 0 lost, 1 won, 2 won and parked.  The CAS's result is its step. */
inline fire(n_, reason_, how_)
{
    how_ = 0;
    do
    :: old = LOAD(TOKEN);
        if
#ifdef FAULT_no_number
        :: STATE(old) == FIRED -> break
#else
        :: NUMBER(old) != (n_) || STATE(old) == FIRED -> break
#endif
        :: else
        fi;
        if
        :: (reason_) == CANCELLED && NO_CANCEL(old) -> break
        :: else
        fi;
        atomic {
            cas(TOKEN, old, WORD_OF(NUMBER(old), 0, reason_, FIRED), ok);
            if
            :: ok -> assert(NUMBER(old) == (n_)); how_ = STATE(old)
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
#ifdef FAULT_two_runnable
    :: how > 0 -> make_runnable()
#else
    :: how == 2 -> make_runnable()
#endif
    :: else
    fi;
    how = 0
}

inline look_at_flag()
{
    if
    :: LOAD(CANCEL) && !shielded[n] -> fire(n, CANCELLED, how); ready_if_parked()
    :: else
    fi
}

#ifdef PUBLISH
/* commit_publish */
proctype lander(byte me, n)
{
    byte old, how;
    bool ok;

end:
    left[n];
#ifdef FAULT_publish_first
    published = n;
#endif
    store(TOKEN, WORD_OF(n, shielded[n], 0, PARKED));
#ifndef FAULT_publish_fence
    FENCE; /* of the CAS that publishes */
#endif
    if
    :: atomic { published = n; told[n] = true }
#ifndef FAULT_publish_blind
        look_at_flag()
#endif
        skip
    :: told[n] = true; /* the CAS found that there is nothing to wait for */
#ifdef FAULT_publish_runs
        make_runnable()
#else
        fire(n, EVENT, how);
        ready_if_parked()
#endif
    fi
}
#else
/* commit_park, on the M that the G has left; the G may be elsewhere before it ends. */
proctype lander(byte me, n)
{
    byte old, how;
    bool ok;

end:
    left[n];
#ifdef FAULT_free_first
    locked = false;
#endif
#ifdef FAULT_blind_park
    store(TOKEN, WORD_OF(n, shielded[n], 0, PARKED));
    ok = true;
#else
    cas(TOKEN, WORD_OF(n, shielded[n], 0, ARMED), WORD_OF(n, shielded[n], 0, PARKED), ok);
#endif
#ifdef FAULT_commit_unsaved
    saved = true;
#endif
#if defined(THEN) && !defined(FAULT_free_first)
    locked = false;
#endif
    if
    :: !ok -> make_runnable()
    :: else ->
        ok = false;
        FENCE;
#ifndef FAULT_no_cancel_look
        look_at_flag()
#endif
        skip
    fi
}
#endif

inline park()
{
    atomic {
        running = false;
#ifndef FAULT_commit_unsaved
        saved = true;
#endif
        left[n] = true
    }
    atomic {
        runnable == 1 -> runnable = 0;
        saved = false;
        running = true
    }
}

proctype coroutine(byte me)
{
    byte n, old, how;
    bool ok;

    for (n : 1 .. WAITS) {
#ifdef SHIELD
        shielded[n] = (n == WAITS);
#endif
        if
        :: LOAD(CANCEL) && !shielded[n] -> goto cancelled
        :: else
        fi;
#ifdef PUBLISH
        park();
        told[n]; /* chain_out, where it was cancelled */
#else
        store(TOKEN, WORD_OF(n, shielded[n], 0, ARMED));
#ifdef THEN
        atomic { !locked -> locked = true }
#endif
        FENCE; /* of the lock under which it is published */
        published = n;
#ifdef TIMER
        if
        :: fire(n, TIMEOUT, how); how = 0
        :: true
        fi;
#endif
        if
        :: STATE(LOAD(TOKEN)) == ARMED -> park()
        :: else ->
#ifdef THEN
            locked = false
#endif
            skip
        fi;
#endif
        assert(NUMBER(LOAD(TOKEN)) == n && STATE(LOAD(TOKEN)) == FIRED)
    }
cancelled:
    skip
}

/* The event comes for each wait. */
proctype waker(byte me)
{
    byte n, old, how;
    bool ok;

end:
    do
    :: atomic { published > n -> n = published }
#ifdef THEN
        atomic { !locked -> locked = true }
        fire(n, EVENT, how);
        assert(how != ARMED);
        locked = false;
#else
        fire(n, EVENT, how);
#endif
        ready_if_parked()
    od
}

/* The timer comes late or never. */
proctype timer(byte me)
{
    byte n, old, how;
    bool ok;

end:
    do
    :: atomic { published > n -> n = published } fire(n, TIMEOUT, how); ready_if_parked()
    od
}

proctype canceller(byte me)
{
    byte n, old, how;
    bool ok;

#ifndef FAULT_token_first
    store(CANCEL, 1);
#ifndef FAULT_no_fence
    FENCE;
#endif
#endif
    n = NUMBER(LOAD(TOKEN));
    fire(n, CANCELLED, how);
    ready_if_parked();
#ifdef FAULT_token_first
    store(CANCEL, 1)
#endif
}

init
{
    byte i;
    atomic {
        run coroutine(G);
        run canceller(KILLER);
#ifndef NO_EVENT
        run waker(EVENTS);
#endif
#ifdef TIMER
        run timer(TIMERS);
#endif
        for (i : 1 .. WAITS) {
            run lander(LANDERS + i, i)
        }
        i = 0
    }
}
