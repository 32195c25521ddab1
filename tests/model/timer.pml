/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.pml - a timer that is added while the netpoller goes to block: runtime/idle.c, timer.c.
 *
 * Models wf_timer_start (coming, the heap's lock, when0, the look at the poller), poll_timeout
 * with earliest_timer, and whoever takes timers out of the heap, due or not, and publishes
 * when0 anew; with store buffers: each load, store and read-modify-write is a step.  The
 * poller's state and until are its own words, set by go_idle and poll_return; sched.lock, which
 * orders pollers among each other, is not modelled but for the fence that freeing it is.
 *
 * Bounds: one heap, whose owner adds timers for the times 2 and 1, in this order; TAKES are
 * taken out.  The poller looks again as often as it is broken or its time comes.
 * Property (assertion): when all has been done and the poller blocks, unbroken, it comes back
 * no later than the earliest timer of the heap.
 *
 * run: added    -DTSO -DTAKES=0
 * run: taken    -DTSO -DTAKES=1
 * run: both     -DTSO -DTAKES=2
 * fault: FAULT_not_told      | the poller is not told what is coming
 * fault: FAULT_heap_first    | the poller looks at the heap, then at what is coming
 * fault: FAULT_cleared_first | coming is cleared before the timer is in the heap
 * fault: FAULT_no_fence      | the poller's, before it looks
 * fault: FAULT_no_look       | the owner does not look whether the poller blocks
 * fault: FAULT_until_left    | the poller leaves until as it was while it looks
 */
#define NPROC   3
#define COMING  0
#define WHEN    1
#define LOCK    2
#define BLOCKED 3
#define UNTIL   4
#define NWORD   5
#include "memory.h"

#define OWNER   0
#define TAKER   1
#define POLLER  2
#define FOREVER 3

bool there[FOREVER]; /* under the lock: a timer for time 1, 2 */
bool broken;         /* the pipe */
bool blocks;         /* the poller is in the kernel, until `limit` */
byte limit;
byte over;           /* processes that have ended */

#define EARLIEST (there[1] -> 1 : (there[2] -> 2 : FOREVER))

inline acquire()
{
    do
    :: cas(LOCK, 0, 1, ok);
       if
       :: ok -> break
       :: else -> LOAD(LOCK) == 0
       fi
    od;
    ok = false;
    FENCE
}

inline start(w_)
{
#ifndef FAULT_not_told
    store(COMING, w_);
#endif
    acquire();
#ifdef FAULT_cleared_first
    store(COMING, FOREVER);
#endif
    there[w_] = true;
    first = (EARLIEST == w_);
    if
    :: first -> store(WHEN, w_)
    :: else
    fi;
    store(LOCK, 0);
#ifndef FAULT_no_look
    if
    :: first && LOAD(BLOCKED) ->
       if
       :: w_ < LOAD(UNTIL) -> broken = true
       :: else
       fi
    :: else
    fi;
#endif
    store(COMING, FOREVER)
}

proctype owner(byte me)
{
    bool ok, first;

    start(2);
    start(1);
    FENCE;
    over++
}

proctype taker(byte me)
{
    bool ok;
    byte n;

    do
    :: n < TAKES ->
       n++;
       acquire();
       there[EARLIEST % FOREVER] = false; /* of none: there[0] */
       store(WHEN, EARLIEST);
       store(LOCK, 0)
    :: else -> break
    od;
    FENCE;
    over++
}

proctype poller(byte me)
{
    byte soon, added;

    store(BLOCKED, 1);
again:
#ifndef FAULT_until_left
    store(UNTIL, FOREVER);
#endif
#ifndef FAULT_no_fence
    FENCE;
#endif
#ifdef FAULT_heap_first
    added = LOAD(WHEN);
    soon = LOAD(COMING);
#else
    soon = LOAD(COMING);
    added = LOAD(WHEN);
#endif
    soon = (added < soon -> added : soon);
    store(UNTIL, soon);
    limit = soon;
    blocks = true;
end:
    do
    :: atomic { broken -> broken = false; blocks = false }; goto again
    :: atomic { limit != FOREVER -> blocks = false }; goto again
    od
}

/* Nobody but the poller, whose time has not come, may do anything more. */
proctype judge()
{
end:
    atomic {
        over == 2 && blocks && !broken && stored[POLLER] == 0;
        assert(limit <= EARLIEST)
    }
}

init
{
    atomic {
        mem[COMING] = FOREVER;
        mem[WHEN] = FOREVER;
        mem[UNTIL] = 1; /* of the poll before */
        run owner(OWNER);
        run taker(TAKER);
        run poller(POLLER);
        run judge()
    }
}
