/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poller.pml - the netpoller's turn: runtime/idle.c, epoll.c, proc.c, sysmon.c.
 *
 * Models wf_go_idle and withdraw; blocked_poll, poll_timeout and poll_return; hand, to a
 * dozing M or to the poller; wf_netpoll_break and drain_pipe with the wake flag;
 * find_polled; run_own_timers and steal_timers; wf_timer_start; wf_handoff; and of sysmon
 * poll_for_others, look_at and sleep_for_good with idle.c's watch.  The kernel counts the
 * events that nobody has fetched; time is a number that grows at any moment.  Not
 * modelled: spinning and the steps of a look at the queues (idle.pml), which are one here.
 *
 * Bounds: PS Ps, MS Ms, EVENTS events, FOREIGN coroutines readied by a thread without a
 * P, TIMERS timers at time 1 or 2, HOGS coroutines that compute for ever and BLOCKS that
 * block for ever; without SYSMON there is no sysmon; with POLLING M 1 is in the poll from
 * the start.
 * Properties, when nobody can go on (assertions): no event is unseen; no timer is due, nor
 * work waits, while a P idles; nobody sleeps on who was handed a P; sysmon does not sleep
 * while a P runs.
 *
 * run: block    -DPS=2 -DMS=2 -DEVENTS=1 -DFOREIGN=2
 * run: timers   -DPS=2 -DMS=2 -DTIMERS=2 -DPOLLING
 * run: handoff  -DPS=2 -DMS=3 -DEVENTS=2 -DBLOCKS=1
 * run: sysmon   -DPS=2 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=2 -DSYSMON
 * run: buffers  -DPS=1 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=1 -DSYSMON -DTSO
 * fault: FAULT_any_drains       | a poll that does not block drains the pipe
 * fault: FAULT_flag_first -DPS=2 -DMS=2 -DFOREIGN=2 -DTIMERS=1 -DHOGS=1 | drain
 * fault: FAULT_last_dozes       | the last to idle trusts that another P polls
 * fault: FAULT_state_left -DPS=2 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=2 -DSYSMON | withdraw
 * fault: FAULT_timer_no_look -DPS=2 -DMS=2 -DTIMERS=2 -DPOLLING | no break
 * fault: FAULT_until_left -DPS=2 -DMS=3 -DTIMERS=2 -DPOLLING | poll_return
 * fault: FAULT_handoff_idles -DPS=2 -DMS=3 -DEVENTS=2 -DBLOCKS=1 | the last P
 * fault: FAULT_no_dozer -DPS=2 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=2 -DSYSMON | nobody polls
 * fault: FAULT_sleep_blind -DPS=1 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=1 -DSYSMON | sysmon
 * fault: FAULT_no_watch -DPS=1 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=1 -DSYSMON | who runs
 * fault: FAULT_no_fence -DPS=1 -DMS=2 -DEVENTS=1 -DFOREIGN=1 -DHOGS=1 -DSYSMON -DTSO | sysmon
 */
#define NPROC  (MS + 2)
#define N_IDLE 0
#define ASLEEP 1 /* sysmon_asleep */
#define NWORD  2
#include "memory.h"

#include "poller.h"

/* ---- Looking for work ------------------------------------------------------------ */

inline take_own()
{
    d_step {
        if
        :: ring[pp] > 0 -> ring[pp]--; got = true
        :: else ->
            if
            :: global > 0 -> global--; got = true
            :: else
            fi
        fi
    }
}

/* The due timers of P p_ ready Gs for this ring. */
inline run_timers(p_)
{
    d_step {
        if
        :: when[p_] > 0 && when[p_] <= now -> when[p_] = 0; ring[pp]++; ok = true
        :: else
        fi
    }
    if
    :: ok -> ok = false; wake()
    :: else
    fi
}

inline find_polled()
{
    if
    :: !blocked && LOAD(N_IDLE) + 1 < PS ->
        d_step {
            ring[pp] = ring[pp] + unseen;
            unseen = 0;
#ifdef FAULT_any_drains
            if
            :: byte_in_pipe -> byte_in_pipe = false; broken = false
            :: else
            fi
#endif
        }
    :: else
    fi
}

inline find_elsewhere()
{
    do
    :: i < PS ->
        if
        :: i != pp -> run_timers(i)
        :: else
        fi;
        d_step {
            if
            :: !got && i != pp && ring[i] > 0 -> ring[i]--; got = true
            :: else
            fi;
            i++
        }
    :: else -> break
    od;
    i = 0
}

inline work_anywhere()
{
    d_step {
        n = (global > 0);
        do
        :: i < PS -> n = (n || ring[i] > 0); i++
        :: else -> break
        od;
        i = 0
    }
}

/* ---- Sleeping ---------------------------------------------------------------------- */

/* May it trust that a P which runs polls for itself? */
inline others_poll()
{
    if
    :: mem[N_IDLE] + 1 < PS -> ok = true
    :: true
    fi
}

inline become_idle()
{
    d_step {
        FENCE;
        if
        :: global > 0 -> got = true
        :: else ->
            idle_push(pp);
            pp = NONE;
#ifdef FAULT_last_dozes
            block = (poller == NOBODY && !ok);
#else
            block = (poller == NOBODY && (mem[N_IDLE] == PS || !ok));
#endif
            if
            :: block -> poller = me; until = FOREVER; blocked = true
            :: else -> m_idle[me] = true
            fi
        fi;
        ok = false
    }
}

inline withdraw()
{
    d_step {
        FENCE;
        pp = nextp[me];
        nextp[me] = NONE;
        if
        :: poller == me ->
            poller = NOBODY;
#ifndef FAULT_state_left
            blocked = false
#endif
            skip
        :: else -> m_idle[me] = false
        fi;
        woken[me] = false;
        if
        :: pp == NONE -> idle_take(pp)
        :: else
        fi
    }
    if
    :: pp != NONE -> watch()
    :: else
    fi
}

inline poll_timeout()
{
    x = FOREVER;
    do
    :: i < PS ->
        d_step {
            if
            :: when[i] > 0 && when[i] < x -> x = when[i]
            :: else
            fi;
            i++
        }
    :: else -> break
    od;
    i = 0;
    until = x;
    x = 0
}

inline drain_pipe()
{
#ifdef FAULT_flag_first
    broken = false;
    byte_in_pipe = false
#else
    byte_in_pipe = false;
    broken = false
#endif
}

/* block stays true if it came back for nothing */
inline poll_return()
{
    d_step {
        FENCE;
        pp = nextp[me];
        nextp[me] = NONE;
        block = (pp == NONE && n == 0 && global == 0);
        do
        :: i < PS -> block = (block && (when[i] == 0 || when[i] > now)); i++
        :: else -> break
        od;
        i = 0;
        if
        :: !block ->
            if
            :: pp == NONE -> idle_take(pp)
            :: else
            fi;
            poller = NOBODY;
            blocked = false
        :: else ->
#ifndef FAULT_until_left
            until = FOREVER;
#endif
            skip
        fi
    }
}

inline handoff()
{
    work_anywhere();
    d_step {
        FENCE;
        if
#ifdef FAULT_handoff_idles
        :: n || global > 0 ->
#else
        :: n || global > 0 || (mem[N_IDLE] == PS - 1 && poller == NOBODY) ->
#endif
            hand(pp, to_poller)
        :: else -> idle_push(pp)
        fi;
        pp = NONE;
        n = 0
    }
    if
    :: to_poller -> to_poller = false; netpoll_break()
    :: else
    fi;
    work_anywhere();
    if
    :: n -> n = 0; wake()
    :: else
    fi
}

/* ---- The processes ------------------------------------------------------------------ */

inline add_timer(w_)
{
    when[pp] = w_;
#ifndef FAULT_timer_no_look
    if
    :: blocked && w_ < until -> netpoll_break()
    :: else
    fi
#endif
    skip
}

proctype thread(byte me)
{
    byte pp = NONE;
    byte n, i, x, m;
    bool ok, got, block, to_poller;

    if
    :: me == 0 -> pp = 0; goto running
#ifdef POLLING
    :: me == 1 -> goto poll
#endif
    :: else
    fi;
doze:
end_doze:
    atomic { woken[me] -> woken[me] = false; pp = nextp[me]; nextp[me] = NONE }
look:
    if
    :: pp == NONE -> atomic { FENCE; m_idle[me] = true; goto doze }
    :: else
    fi;
    run_timers(pp);
    take_own();
    if
    :: !got -> find_polled(); take_own()
    :: else
    fi;
    if
    :: !got -> find_elsewhere()
    :: else
    fi;
    if
    :: got -> got = false; goto running
    :: else
    fi;
    others_poll();
    become_idle();
    if
    :: got -> got = false; goto look
    :: else
    fi;
    work_anywhere();
    if
    :: n -> atomic { n = 0; block = false } withdraw(); goto look
    :: !n && !block -> goto doze
    :: !n && block
    fi;
poll:
    poll_timeout();
end_poll:
    atomic {
        unseen > 0 || byte_in_pipe || until <= now;
        n = unseen;
        unseen = 0;
        ok = byte_in_pipe
    }
    if
    :: ok -> ok = false; drain_pipe()
    :: else
    fi;
    poll_return();
    if
    :: block -> goto poll
    :: else
    fi;
    if
    :: pp == NONE && n > 0 -> atomic { global = global + n; n = 0 } wake()
    :: pp == NONE && n == 0
    :: pp != NONE -> atomic { ring[pp] = ring[pp] + n; n = 0 } watch()
    fi;
    goto look;
running:
    do
    :: atomic { timers > 0 && when[pp] == 0 -> timers-- }
        if
        :: add_timer(1)
        :: add_timer(2)
        fi
    :: atomic { blocks > 0 -> blocks-- } handoff(); break
    :: atomic { hogs > 0 -> hogs-- } break
    :: goto look
    od;
end_hog:
    false
}

proctype outside(byte me)
{
    byte x, m;
    bool ok, to_poller;

end:
    do
    :: now < NOW_END -> now++
    :: events > 0 -> atomic { events--; unseen++ }
    :: foreigners > 0 -> atomic { foreigners--; global++ } wake()
    od
}

inline check()
{
    assert(unseen == 0);
    for (i : 0 .. MS - 1) {
        assert(nextp[i] == NONE)
    }
    for (i : 0 .. PS - 1) {
        assert(mem[N_IDLE] == 0 || (when[i] == 0 && ring[i] == 0))
    }
    assert(mem[N_IDLE] == 0 || global == 0)
}

#ifdef SYSMON

/* A tick that changed anything is followed by another. */
inline tick()
{
    if
    :: LOAD(N_IDLE) < PS && !blocked && unseen > 0 ->
#ifndef FAULT_no_dozer
        atomic { global = global + unseen; unseen = 0; ok = true }
        wake();
        ok = true;
#endif
        skip
    :: else
    fi;
    for (i : 0 .. PS - 1) {
        if
        :: LOAD(N_IDLE) > 0 && (ring[i] > 0 || (when[i] > 0 && !blocked)) -> wake(); ok = true
        :: else
        fi
    }
}

proctype sysmon(byte me)
{
    byte i, x, m;
    bool ok, to_poller;

    do
    :: LOAD(N_IDLE) == PS ->
        store(ASLEEP, 1);
#ifndef FAULT_no_fence
        FENCE;
#endif
        if
#ifdef FAULT_sleep_blind
        :: true ->
#else
        :: LOAD(N_IDLE) == PS ->
#endif
            if
            :: mon_word
            :: timeout -> assert(mem[N_IDLE] == PS); break
            fi
#ifndef FAULT_sleep_blind
        :: else
#endif
        fi;
        atomic { store(ASLEEP, 0); mon_word = false }
    :: timeout ->
        tick();
        if
        :: ok -> ok = false
        :: else -> break
        fi
    od;
    check()
}

#endif

init
{
    byte i;
    d_step {
        for (i : 1 .. PS - 1) {
            idle_push(i)
        }
        for (i : 0 .. MS - 1) {
            m_idle[i] = (i > 0);
            nextp[i] = NONE
        }
#ifdef POLLING
        m_idle[1] = false;
        poller = 1;
        blocked = true;
#endif
        i = 0
    }
    atomic {
        for (i : 0 .. MS - 1) {
            run thread(i)
        }
        run outside(MS);
#ifdef SYSMON
        run sysmon(MS + 1);
#endif
        i = 0
    }
#ifndef SYSMON
    timeout;
    check()
#endif
}
