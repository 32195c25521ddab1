/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.pml - select and its peers: runtime/select.c, runtime/chan.c, runtime/wait.c.
 *
 * Models weft_select from its look at the flag on (lock_all, choose with is_ready and
 * has_waiter, go_ahead, enqueue, wf_wait_then, unlock_all by the lander or by the G itself,
 * dequeue), try_send, try_recv and take_waiter, a call without a deadline (operate_for_ever,
 * wait_for_ever: guarded) and weft_chan_close; each a step wherever others may come between.
 * The token's words are park.pml's and guard.pml's: here firing one is a step.
 *
 * Channels A and B have room for CAP elements.  S1 receives from both; a sender waits at
 * each (SENDERS), or S2 sends to one of both (SELECTS=2).  With MIXED S1 sends to A or
 * receives from B, and S2 the other way round; with SAME both channels are A.  Both select
 * ROUNDS times; S1 then closes the channels.
 *
 * Bounds: at most two selects and two senders, two elements each; S1's deadline may pass
 * at any time (TIMER), it may be cancelled (CANCEL), and A closed (CLOSER).
 * Properties: a slot or frame is not touched when its call has returned, and an element is
 * copied to or from a stack whose G is parked (assertions); of a select that was woken by an
 * event one case has fired, else none (assertion); what was sent is received once or in the
 * buffer, and what was not sent is nowhere (assertion); a G is made runnable once a park,
 * with its registers saved (assertion); no call waits while its peer does, and none waits
 * for a closed channel (invalid end state).
 *
 * run: senders  -DSENDERS -DROUNDS=2
 * run: deadline -DSENDERS -DROUNDS=2 -DTIMER
 * run: buffer   -DSENDERS -DROUNDS=2 -DCAP=1
 * run: close    -DSENDERS -DROUNDS=1 -DCLOSER -DTIMER
 * run: cancel   -DSENDERS -DROUNDS=2 -DCANCEL
 * run: alone    -DROUNDS=1 -DCANCEL
 * run: two      -DSELECTS=2 -DROUNDS=2
 * run: lost     -DSELECTS=2 -DROUNDS=1 -DTIMER -DCANCEL
 * run: mixed    -DSELECTS=2 -DROUNDS=1 -DMIXED
 * run: same     -DSELECTS=2 -DROUNDS=1 -DMIXED -DSAME
 * fault: FAULT_unsorted -DSELECTS=2 -DROUNDS=1 | one select locks in another order
 * fault: FAULT_looks_on | unlock_all looks at the cases after it freed the last lock
 * fault: FAULT_freed_before_parked -DSENDERS -DROUNDS=1 -DTIMER | wf_wait_then
 * fault: FAULT_looks_unlocked | the locks are freed between the look and the enqueueing
 * fault: FAULT_stays_enqueued | the other cases' slots are left in their queues
 * fault: FAULT_dequeues_unlocked -DSENDERS -DROUNDS=1 -DTIMER | so is dequeue
 * fault: FAULT_no_token | a waker takes a slot whose wait has ended
 * fault: FAULT_fired_late | after the G was made runnable
 * fault: FAULT_ready_early | the G is made runnable before the element is copied
 * fault: FAULT_go_ahead_once -DSELECTS=2 -DROUNDS=1 -DTIMER | though the waiter was lost since
 * fault: FAULT_no_cancel_look -DROUNDS=1 -DCANCEL | the lander does not look at the flag
 * fault: FAULT_closes_one_side -DSENDERS -DROUNDS=1 -DCLOSER -DTIMER | senders wait on
 */
#ifndef CAP
#define CAP 0
#endif
#ifndef SELECTS
#define SELECTS 1
#endif

#define A 0
#ifdef SAME
#define B A
#else
#define B 1
#endif

/* 1 and 2 select, 3 and 4 send. */
#define NG 5
#include "channel.h"

bool cancel;              /* S1's flag */
byte got[NG * 2];         /* by element */
bool sent[NG * 2];
byte returned;

#define ELEMENT(g, n) (2 * (g) + (n) - 1)
#define CALLS (SELECTS + SENDER_COUNT)
#ifdef SENDERS
#define SENDER_COUNT 2
#else
#define SENDER_COUNT 0
#endif

/* What came of a call, once it has returned. */
inline account(side_, v_)
{
    d_step {
        if
        :: side_ == SEND -> assert(!sent[v_]); sent[v_] = true
        :: else -> assert(v_ && !got[v_]); got[v_]++
        fi
    }
}

/* weft_chan_send without a deadline. */
proctype sender(byte me, c)
{
    byte s, how, done, wake;

    frame[me] = true;
    acquire(c);
    try_send(c, ELEMENT(me, 1));
    if
    :: done == NOT_READY ->
        d_step {
            element[SLOT(me, 0)] = ELEMENT(me, 1);
            ticket[SLOT(me, 0)] = 1;
            number[me] = 1;
            queue[QUEUE(c, SEND)] ! SLOT(me, 0);
            state[me] = PARKED;
            running[me] = false
        }
        release(c); /* by the lander */
        atomic { runnable[me] == 1 -> runnable[me] = 0; running[me] = true }
        assert(fired[SLOT(me, 0)]);
        done = (of_close[SLOT(me, 0)] -> CLOSED : DONE)
    :: else -> release(c); wake_up()
    fi;
    frame[me] = false;
    if
    :: done == DONE -> account(SEND, ELEMENT(me, 1))
    :: else
    fi;
    returned++
}

/* ---- select.c ------------------------------------------------------------------------- */

#define CHAN(g, k) chan_of[SLOT(g, k)]

/* Two cases, in order of address. */
inline lock_all(g_)
{
#ifdef FAULT_unsorted
    if
    :: g_ == 2 -> acquire(CHAN(g_, 1)); acquire(CHAN(g_, 0))
    :: else -> acquire(CHAN(g_, 0)); acquire(CHAN(g_, 1))
    fi
#else
    acquire(CHAN(g_, 0));
    if
    :: CHAN(g_, 1) != CHAN(g_, 0) -> acquire(CHAN(g_, 1))
    :: else
    fi
#endif
}

/* Each look at the cases touches the frame. */
inline unlock_all(g_)
{
    d_step {
        touch(g_);
        if
        :: CHAN(g_, 1) != CHAN(g_, 0) -> release(CHAN(g_, 1))
        :: else
        fi
    }
    d_step { touch(g_); release(CHAN(g_, 0)) }
#ifdef FAULT_looks_on
    ;
    touch(g_)
#endif
}

/* yes: somebody stands in the queue that is still to be won */
inline has_waiter(q_)
{
    yes = false;
    for (i : 1 .. len(queue[q_])) {
        queue[q_] ? s;
        queue[q_] ! s;
        touch(OWNER(s));
        yes = yes || (number[OWNER(s)] == ticket[s] && state[OWNER(s)] != FIRED)
    }
    i = 0;
    s = 0
}

/* One look, since nothing but a token can change under the locks. */
inline is_ready(k_)
{
    d_step {
        if
        :: closed[CHAN(me, k_)] -> yes = true
        :: !closed[CHAN(me, k_)] && side_of[SLOT(me, k_)] == SEND ->
            has_waiter(QUEUE(CHAN(me, k_), RECV));
            yes = yes || count[CHAN(me, k_)] < CAP
        :: else ->
            has_waiter(QUEUE(CHAN(me, k_), SEND));
            yes = yes || count[CHAN(me, k_)] > 0
        fi
    }
}

/* chosen: any of the ready cases, or NONE */
#define NONE 2
inline choose()
{
    chosen = NONE;
    for (k : 0 .. 1) {
        is_ready(k);
        if
        :: yes -> chosen = k
        :: !yes || chosen != NONE
        fi
    }
    k = 0;
    yes = false
}

inline enqueue()
{
    d_step {
        state[me] = ARMED;
        number[me] = n;
        for (k : 0 .. 1) {
            fired[SLOT(me, k)] = false;
            of_close[SLOT(me, k)] = false;
            ticket[SLOT(me, k)] = n;
        }
        k = 0
    }
    queue[QUEUE(CHAN(me, 0), side_of[SLOT(me, 0)])] ! SLOT(me, 0);
    queue[QUEUE(CHAN(me, 1), side_of[SLOT(me, 1)])] ! SLOT(me, 1)
}

inline remove(slot_)
{
    if
    :: queue[QUEUE(chan_of[slot_], side_of[slot_])] ?? [eval(slot_)] ->
        queue[QUEUE(chan_of[slot_], side_of[slot_])] ?? eval(slot_)
    :: else
    fi
}

/* chosen: the case that fired, or NONE */
inline dequeue()
{
#ifndef FAULT_dequeues_unlocked
    lock_all(me);
#endif
    chosen = NONE;
    for (k : 0 .. 1) {
        d_step {
#ifndef FAULT_stays_enqueued
            remove(SLOT(me, k));
#endif
            if
            :: fired[SLOT(me, k)] -> assert(chosen == NONE); chosen = k
            :: else
            fi
        }
    }
    k = 0;
#ifndef FAULT_dequeues_unlocked
    unlock_all(me)
#endif
}

/* wf_wait_then; what the lander does is in `lander`. */
inline wait_then()
{
    published[me] = n;
#ifdef FAULT_freed_before_parked
    unlock_all(me);
#endif
    if
    :: state[me] == ARMED ->
        atomic { running[me] = false; left[me] = n }
        atomic { runnable[me] == 1 -> runnable[me] = 0; running[me] = true }
    :: else ->
#ifndef FAULT_freed_before_parked
        unlock_all(me)
#endif
        skip
    fi
}

inline wait_for_one()
{
#ifdef FAULT_looks_unlocked
    unlock_all(me);
    lock_all(me);
#endif
    enqueue();
    wait_then();
    dequeue();
    assert((reason[me] == EVENT) == (chosen != NONE));
    if
    :: chosen != NONE ->
        done = (of_close[SLOT(me, chosen)] -> CLOSED : DONE)
    :: else -> done = NOT_READY
    fi
}

proctype lander(byte me, n)
{
    byte how;

end:
    left[me] == n;
    d_step {
        how = (state[me] == ARMED && number[me] == n);
        if
        :: how -> state[me] = PARKED
        :: else
        fi
    }
#ifndef FAULT_freed_before_parked
    unlock_all(me);
#endif
    if
    :: !how -> make_runnable(me)
    :: else ->
#ifndef FAULT_no_cancel_look
        if
        :: me == 1 && cancel ->
            fire(me, n, CANCELLED, how);
            if
            :: how == PARKED -> make_runnable(me)
            :: else
            fi
        :: else
        fi
#endif
        skip
    fi
}

inline one_select()
{
    lock_all(me);
    do
    :: choose();
       if
       :: chosen == NONE -> break
       :: else
       fi;
       attempt(CHAN(me, chosen), side_of[SLOT(me, chosen)], element[SLOT(me, chosen)]);
#ifdef FAULT_go_ahead_once
       done = (done == NOT_READY -> DONE : done);
#endif
       if
       :: done != NOT_READY -> break
       :: else
       fi
    od;
    if
    :: chosen == NONE -> wait_for_one()
    :: else -> unlock_all(me); wake_up()
    fi
}

inline give_elements()
{
    for (k : 0 .. 1) {
        element[SLOT(me, k)] = (side_of[SLOT(me, k)] == SEND -> ELEMENT(me, n) : 0)
    }
    k = 0
}

proctype selector(byte me, side0, side1)
{
    byte n, k, i, s, g, how, done, wake, chosen;
    bool yes, woken[NG];

    d_step {
        chan_of[SLOT(me, 0)] = A;
        chan_of[SLOT(me, 1)] = B;
        side_of[SLOT(me, 0)] = side0;
        side_of[SLOT(me, 1)] = side1
    }
    for (n : 1 .. ROUNDS) {
        if
        :: me == 1 && cancel -> break
        :: else
        fi;
        d_step { give_elements(); frame[me] = true }
        one_select();
        d_step {
            frame[me] = false;
            if
            :: done == DONE -> account(side_of[SLOT(me, chosen)], element[SLOT(me, chosen)])
            :: else
            fi;
            done = 0;
            chosen = 0
        }
    }
    if
    :: me == 1 ->
        close_chan(A);
        close_chan(B)
    :: else
    fi;
    returned++
}

/* S1's deadline: it may pass or not, and the timer come as late as it likes. */
proctype timer(byte n)
{
    byte how;

end:
    published[1] == n;
    if
    :: true
    :: fire(1, n, TIMEOUT, how);
       if
       :: how == PARKED -> make_runnable(1)
       :: else
       fi
    fi
}

proctype canceller()
{
    byte n, how;

    cancel = true;
    n = number[1];
    fire(1, n, CANCELLED, how);
    if
    :: how == PARKED -> make_runnable(1)
    :: else
    fi
}

proctype closer()
{
    byte g, s, how;
    bool woken[NG];

    close_chan(A)
}

/* When all have returned each element is in one place. */
proctype judge()
{
    byte v;

    returned == CALLS;
    for (v : 2 .. 2 * NG - 1) {
        assert(sent[v] == got[v] + (buffer[A] == v) + (B != A && buffer[B] == v))
    }
}

init
{
    byte n;
    atomic {
#ifdef MIXED
        run selector(1, SEND, RECV);
        run selector(2, RECV, SEND);
#else
        run selector(1, RECV, RECV);
#if SELECTS > 1
        run selector(2, SEND, SEND);
#endif
#endif
#ifdef SENDERS
        run sender(3, A);
        run sender(4, B);
#endif
        for (n : 1 .. ROUNDS) {
            run lander(1, n);
#if SELECTS > 1
            run lander(2, n);
#endif
#ifdef TIMER
            run timer(n);
#endif
        }
#ifdef CANCEL
        run canceller();
#endif
#ifdef CLOSER
        run closer();
#endif
        run judge();
        n = 0
    }
}
