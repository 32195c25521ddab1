/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idle.pml - why no work lies while a P idles: runtime/idle.c, proc.c, sched.c.
 *
 * Models wake_for_ring, wf_wakep and hand; find_runnable with find_local, wf_global_take,
 * steal_half and stop_spinning; wf_go_idle with withdraw and doze; wf_stop_m; wf_handoff,
 * wf_p_acquire and wf_leave_without_p.  A load, a store or a read-modify-write is a step;
 * so is a section under sched.lock, which begins and ends with an empty store buffer.
 * A coroutine starts others, ends, computes for ever or blocks.  Not modelled: sysmon,
 * so nothing that is lost here is found again; runnext, which is sysmon's; the poller
 * (poller.pml), whose M here dozes like all; the order of the rings (runq.pml); threads that
 * cannot be made, which are sysmon's too.
 *
 * Bounds: PS Ps, MS Ms (threads not born yet count as idle), STARTS coroutines started by
 * others, FOREIGN ones started by a thread without a P, ENDS that end, BLOCKS blocking
 * sections; each spinner looks once.
 * Property: when nobody can go on, no P idles beside a queue with work (assertion).
 *
 * run: two      -DPS=2 -DMS=2 -DSTARTS=1 -DFOREIGN=3 -DENDS=2
 * run: three    -DPS=3 -DMS=3 -DSTARTS=3 -DFOREIGN=0 -DENDS=1
 * run: block    -DPS=2 -DMS=3 -DSTARTS=1 -DFOREIGN=1 -DENDS=1 -DBLOCKS=1
 * run: buffers  -DPS=2 -DMS=2 -DSTARTS=2 -DFOREIGN=1 -DENDS=2 -DTSO
 * fault: FAULT_clear_unlocked   | wakep gives up being the spinner after it freed the lock
 * fault: FAULT_no_second_look   | go_idle does not look again
 * fault: FAULT_look_before_idle | go_idle looks before it makes its P idle
 * fault: FAULT_own_ring_only -DPS=3 -DMS=3 -DSTARTS=3 -DFOREIGN=0 -DENDS=1 | stop_spinning
 * fault: FAULT_withdraw_quietly -DPS=3 -DMS=3 -DSTARTS=1 -DFOREIGN=2 -DENDS=1 | as no spinner
 * fault: FAULT_stolen_quietly -DPS=3 -DMS=3 -DSTARTS=3 -DFOREIGN=0 -DENDS=1 | wakes nobody
 * fault: FAULT_handoff_no_look -DPS=2 -DMS=3 -DSTARTS=1 -DFOREIGN=1 -DENDS=1 -DBLOCKS=1 | handoff
 * fault: FAULT_no_fence_push -DPS=2 -DMS=2 -DSTARTS=2 -DFOREIGN=1 -DENDS=2 -DTSO | producer
 * fault: FAULT_no_fence_idle -DPS=2 -DMS=2 -DSTARTS=2 -DFOREIGN=1 -DENDS=2 -DTSO | go_idle
 */
#ifndef BLOCKS
#define BLOCKS 0
#endif
#define NPROC    (MS + 1)
#define N_IDLE   0
#define N_SPIN   1
#define N_GLOBAL 2
#define TAIL(p)  (3 + 2 * (p))
#define HEAD(p)  (4 + 2 * (p))
#define NWORD    (3 + 2 * PS)
#include "memory.h"

#define LEN(p)   (LOAD(TAIL(p)) - LOAD(HEAD(p)))
#define NONE     PS

/* ---- Under sched.lock --------------------------------------------------------- */

bool p_idle[PS];
bool m_idle[MS];
byte nextp[MS];
bool woken[MS];    /* park_word */
bool spinning[MS]; /* its own while it has a P */

byte starts = STARTS, blocks = BLOCKS, ends = ENDS;

/* What they write is in memory when the lock is free: so here they write to it. */
inline idle_push(p_)
{
    p_idle[p_] = true;
    mem[N_IDLE]++
}

inline idle_take(p_)
{
    p_ = 0;
    do
    :: p_ < PS && !p_idle[p_] -> p_++
    :: else -> break
    od;
    if
    :: p_ < PS -> p_idle[p_] = false; mem[N_IDLE]--
    :: else
    fi
}

inline hand(p_, spinning_)
{
    m = 0;
    do
    :: m < MS && !m_idle[m] -> m++
    :: else -> break
    od;
    assert(m < MS); /* else MS is too small */
    m_idle[m] = false;
    nextp[m] = p_;
    spinning[m] = spinning_;
    woken[m] = true;
    m = 0
}

/* ---- Waking ------------------------------------------------------------------- */

inline wakep()
{
    cas(N_SPIN, 0, 1, ok);
    if
    :: ok ->
        d_step {
            FENCE;
            idle_take(x);
            if
            :: x < PS -> hand(x, true); ok = false
            :: else ->
#ifndef FAULT_clear_unlocked
                mem[N_SPIN] = 0
#endif
                skip
            fi;
            x = 0
        }
#ifdef FAULT_clear_unlocked
        if
        :: ok -> store(N_SPIN, 0)
        :: else
        fi
#endif
    :: else
    fi;
    ok = false
}

inline wake_for_ring()
{
#ifndef FAULT_no_fence_push
    FENCE;
#endif
    if
    :: LOAD(N_IDLE) > 0 ->
        if
        :: LOAD(N_SPIN) == 0 -> wakep()
        :: else
        fi
    :: else
    fi
}

/* n becomes 1 if a queue has work */
inline work_anywhere()
{
    n = (LOAD(N_GLOBAL) > 0);
    do
    :: !n && i < PS -> n = (LEN(i) > 0); i++
    :: else -> break
    od;
    i = 0
}

inline push(p_)
{
    atomic { x = LOAD(TAIL(p_)) + 1; store(TAIL(p_), x); x = 0 }
}

inline global_push()
{
    d_step { FENCE; mem[N_GLOBAL]++ }
    wake_for_ring()
}

/* ---- Looking for work --------------------------------------------------------- */

/* n Gs that were on their way, in no queue */
inline ready_list()
{
    if
    :: n > 0 ->
        do
        :: n > 0 -> push(pp); n--
        :: else -> break
        od;
#ifdef FAULT_stolen_quietly
        skip
#else
        wake_for_ring()
#endif
    :: else
    fi
}

/* An empty ring that no store is on its way to looks like any other. */
inline take(p_, ok_)
{
    d_step {
        LEN(p_) <= 0 || FENCE;
        if
        :: LEN(p_) > 0 -> mem[HEAD(p_)]++; ok_ = true
        :: else
        fi;
#ifndef TSO
        if
        :: LEN(p_) == 0 -> mem[HEAD(p_)] = 0; mem[TAIL(p_)] = 0
        :: else
        fi
#endif
    }
}

inline global_take()
{
    d_step {
        LOAD(N_GLOBAL) == 0 || FENCE;
        if
        :: mem[N_GLOBAL] > 0 ->
            got = true;
            mem[N_GLOBAL]--;
            n = mem[N_GLOBAL] / PS;
            mem[N_GLOBAL] = mem[N_GLOBAL] - n
        :: else
        fi
    }
    ready_list()
}

inline steal_half(p_)
{
    if
    :: LEN(p_) > 0 ->
        m = (LEN(p_) + 1) / 2;
        if
        :: take(p_, got)
        :: skip /* another was quicker */
        fi;
        do
        :: got && m > 1 ->
            take(p_, ok);
            d_step { n = n + ok; ok = false; m-- }
        :: else -> break
        od;
        m = 0;
        ready_list()
    :: else
    fi
}

inline steal_round()
{
    do
    :: !got && i < PS ->
        if
        :: i != pp && !p_idle[i] -> steal_half(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline find_elsewhere()
{
    if
    :: LOAD(N_IDLE) + 1 < PS ->
        if
        :: !spinning[me] ->
            cas(N_SPIN, 0, 1, ok);
            d_step { spinning[me] = ok; ok = false }
        :: else
        fi;
        steal_round();
        if
        :: !got -> global_take()
        :: else
        fi
    :: else
    fi
}

inline stop_spinning()
{
    spinning[me] = false;
    store(N_SPIN, 0);
    FENCE;
    if
    :: LOAD(N_IDLE) > 0 ->
#ifdef FAULT_own_ring_only
        n = (LEN(pp) > 0);
#else
        work_anywhere();
#endif
        if
        :: n -> n = 0; wakep()
        :: else
        fi
    :: else
    fi
}

/* ---- Sleeping ----------------------------------------------------------------- */

inline withdraw()
{
    d_step {
        FENCE;
        if
        :: woken[me] -> pp = nextp[me]
        :: else -> m_idle[me] = false; idle_take(pp)
        fi;
        woken[me] = false;
        nextp[me] = 0
    }
#ifndef FAULT_withdraw_quietly
    if
    :: pp != NONE && !spinning[me] ->
        cas(N_SPIN, 0, 1, ok);
        d_step { spinning[me] = ok; ok = false }
    :: else
    fi
#endif
}

/* The M that woken[] belongs to has it, or has pp == NONE and is to doze. */
inline go_idle()
{
#ifdef FAULT_look_before_idle
    work_anywhere();
#endif
    d_step {
        FENCE;
        if
        :: mem[N_GLOBAL] > 0 -> got = true
        :: else ->
            idle_push(pp);
            pp = NONE;
            ok = spinning[me];
            spinning[me] = false;
            m_idle[me] = true
        fi
    }
    if
    :: got -> got = false
    :: else ->
        if
        :: ok -> store(N_SPIN, 0); ok = false
        :: else
        fi;
#ifndef FAULT_no_fence_idle
        FENCE;
#endif
#if !defined(FAULT_no_second_look) && !defined(FAULT_look_before_idle)
        work_anywhere();
#endif
        if
        :: n -> n = 0; withdraw()
        :: else -> goto doze
        fi
    fi
}

inline handoff()
{
    n = (LEN(pp) > 0);
    d_step {
        FENCE;
        if
        :: n || mem[N_GLOBAL] > 0 -> hand(pp, false); ok = true
        :: else -> idle_push(pp)
        fi;
        n = 0;
        pp = NONE
    }
    if
    :: ok -> ok = false
    :: else ->
        FENCE;
#ifndef FAULT_handoff_no_look
        work_anywhere();
#endif
        if
        :: n -> n = 0; wakep()
        :: else
        fi
    fi
}

inline block_leave()
{
    d_step { FENCE; idle_take(pp) }
    if
    :: pp == NONE -> global_push(); goto look
    :: else
    fi
}

/* ---- The processes ------------------------------------------------------------ */

proctype thread(byte me)
{
    byte pp = NONE;
    byte n, i, x, m;
    bool ok, got;

    if
    :: me == 0 -> pp = 0; goto running
    :: else
    fi;
doze:
end_doze:
    atomic {
        woken[me] -> woken[me] = false;
        pp = nextp[me];
        nextp[me] = 0
    }
look:
    if
    :: pp == NONE -> d_step { FENCE; m_idle[me] = true } goto doze
    :: else
    fi;
    take(pp, got);
    if
    :: !got -> global_take()
    :: else
    fi;
    if
    :: !got -> find_elsewhere()
    :: else
    fi;
    if
    :: !got -> go_idle(); goto look
    :: else -> got = false
    fi;
    if
    :: spinning[me] -> stop_spinning()
    :: else
    fi;
running:
    do
    :: atomic { starts > 0 -> starts-- } push(pp); wake_for_ring()
    :: atomic { blocks > 0 -> blocks-- }
        handoff();
        if
        :: block_leave()
        :: goto end_hog
        fi
    :: atomic { ends > 0 -> ends-- } goto look
    :: goto end_hog
    od;
end_hog:
    false
}

proctype foreign(byte me)
{
    byte x, m, left = FOREIGN;
    bool ok;

    do
    :: left > 0 -> left--; global_push()
    :: else -> break
    od
}

init
{
    byte i;
    d_step {
        for (i : 1 .. PS - 1) {
            idle_push(i)
        }
        for (i : 1 .. MS - 1) {
            m_idle[i] = true
        }
        i = 0
    }
    atomic {
        for (i : 0 .. MS - 1) {
            run thread(i)
        }
        run foreign(MS);
        i = 0
    }
    timeout;
    for (i : 0 .. PS - 1) {
        assert(mem[N_IDLE] == 0 || mem[TAIL(i)] == mem[HEAD(i)])
    }
    assert(mem[N_IDLE] == 0 || mem[N_GLOBAL] == 0)
}
