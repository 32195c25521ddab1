/* SPDX-License-Identifier: Apache-2.0 */
/*
 * used.pml - whether descriptors are registered: runtime/epoll.c.
 *
 * Models wf_netpoll_open and wf_netpoll_close on two Ps, each with its counters, and sysmon's
 * wf_netpoll_recount with wf_netpoll_count, with store buffers: each load and store is a step.
 * One P opens a descriptor and hands it to the other, which closes it, and then one that it
 * closes itself; the other P has one of its own meanwhile.  Sysmon recounts whenever it likes,
 * and once more when all is closed.
 *
 * Bounds: three descriptors; RECOUNTS recounts besides the last.
 * Properties: the word never says NONE while a descriptor is registered whose open's stores
 * are out (assertion); in the end it does (assertion); nobody counts less than none (assertion).
 *
 * run: store_buffers -DTSO -DRECOUNTS=2
 * run: in_order      -DRECOUNTS=4
 * fault: FAULT_open_no_fence    | open looks at the word before its count is out
 * fault: FAULT_recount_no_fence | sysmon counts before DOUBTED is out
 * fault: FAULT_look_first       | open looks at the word, then counts
 * fault: FAULT_opens_first      | the opens are summed before the closes
 * fault: FAULT_undoubted        | sysmon counts, and takes SOME for its own word
 * fault: FAULT_store            | sysmon stores NONE, whatever came meanwhile
 * fault: FAULT_open_is_content  | open takes DOUBTED for SOME
 * fault: FAULT_close_forgets    | close does not count
 */
#define NPROC     3
#define USED      0
#define OPENED(p) (1 + (p))
#define CLOSED(p) (3 + (p))
#define HANDED    5
#define NWORD     6
#include "memory.h"

#define NONE    0
#define SOME    1
#define DOUBTED 2

#define OPENER 0
#define CLOSER 1
#define SYSMON 2

byte registered; /* whose open's stores are out, and whose close has not begun */
byte done;       /* Ps */

inline count(word_)
{
    n = LOAD(word_);
    store(word_, n + 1)
}

inline say_some()
{
    if
#ifdef FAULT_open_is_content
    :: LOAD(USED) == NONE -> store(USED, SOME)
#else
    :: LOAD(USED) != SOME -> store(USED, SOME)
#endif
    :: else
    fi
}

inline open()
{
#ifdef FAULT_look_first
    say_some();
    count(OPENED(me));
#else
    count(OPENED(me));
#ifndef FAULT_open_no_fence
    FENCE;
#endif
    say_some();
#endif
    atomic { FENCE -> registered++ }
}

inline close()
{
    registered--;
#ifndef FAULT_close_forgets
    count(CLOSED(me))
#endif
}

active proctype opener()
{
    byte me = OPENER, n;
    open();
    store(HANDED, 1);
    open();
    close();
    atomic { FENCE -> done++ }
}

active proctype closer()
{
    byte me = CLOSER, n;
    open();
    LOAD(HANDED) == 1;
    close();
    close();
    atomic { FENCE -> done++ }
}

inline sum_opened()
{
    n = LOAD(OPENED(0)); sum = sum + n;
    n = LOAD(OPENED(1)); sum = sum + n
}

inline sum_closed()
{
    n = LOAD(CLOSED(0)); sum = sum - n;
    n = LOAD(CLOSED(1)); sum = sum - n
}

inline say_none()
{
#ifdef FAULT_store
    store(USED, NONE)
#elif defined(FAULT_undoubted)
    cas(USED, SOME, NONE, ok)
#else
    cas(USED, DOUBTED, NONE, ok)
#endif
}

inline recount()
{
    if
    :: LOAD(USED) == NONE
    :: else ->
#ifndef FAULT_undoubted
       store(USED, DOUBTED);
#endif
#ifndef FAULT_recount_no_fence
       FENCE;
#endif
       sum = 0;
#ifdef FAULT_opens_first
       sum_opened();
       sum_closed();
#else
       sum_closed();
       sum_opened();
#endif
       assert(sum >= 0);
       if
       :: sum == 0 -> say_none()
       :: else
       fi
    fi
}

active proctype sysmon()
{
    byte  me = SYSMON, n, i;
    short sum;
    bool  ok;
    for (i : 1 .. RECOUNTS) {
        recount()
    }
    done == 2;
    recount();
    atomic { FENCE -> assert(mem[USED] == NONE) }
}

active proctype looker()
{
end:
    atomic { registered > 0 && mem[USED] == NONE -> assert(false) }
}
