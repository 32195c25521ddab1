/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poller.h - what poller.pml's processes share: idle Ps and Ms, hand, the pipe, waking.
 *
 * Owns the state under sched.lock and the wake flag.  Must never look for work.
 */
#ifndef EVENTS
#define EVENTS 0
#endif
#ifndef FOREIGN
#define FOREIGN 0
#endif
#ifndef TIMERS
#define TIMERS 0
#endif
#ifndef HOGS
#define HOGS 0
#endif
#ifndef BLOCKS
#define BLOCKS 0
#endif
#define NONE    PS
#define NOBODY  MS
#define NOW_END 2
#define FOREVER 3

/* ---- Under sched.lock; n_idle_p is in memory when the lock is free -------------- */

bool p_idle[PS];
bool m_idle[MS];
byte nextp[MS];
bool woken[MS];       /* park_word */
byte poller = NOBODY;
bool blocked;         /* poll_state is BLOCKED */
byte global;

byte ring[PS];
byte when[PS];        /* the timer of each heap; 0: none */
byte until = FOREVER; /* poll_until */

byte now;
byte unseen;          /* in the kernel: events that nobody has fetched */
bool byte_in_pipe;
bool broken;          /* the wake flag */
bool mon_word;        /* sysmon's futex */

byte events = EVENTS, foreigners = FOREIGN, timers = TIMERS, hogs = HOGS, blocks = BLOCKS;

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

/* to_poller_: it must be broken out of its poll */
inline hand(p_, to_poller_)
{
    m = 0;
    do
    :: m < MS && !m_idle[m] -> m++
    :: else -> break
    od;
    if
    :: m == MS && poller != NOBODY && nextp[poller] == NONE -> m = poller; to_poller_ = true
    :: else
    fi;
    assert(m < MS); /* else MS is too small */
    if
    :: !to_poller_ -> m_idle[m] = false; woken[m] = true
    :: else
    fi;
    nextp[m] = p_;
    m = 0
}

inline watch()
{
#ifndef FAULT_no_watch
    if
    :: LOAD(ASLEEP) -> mon_word = true
    :: else
    fi
#endif
    skip
}

inline netpoll_break()
{
    d_step { ok = !broken; broken = true }
    if
    :: ok -> byte_in_pipe = true; ok = false
    :: else
    fi
}

/* x: NONE if no P idled */
inline wake()
{
    d_step {
        FENCE;
        idle_take(x);
        if
        :: x != NONE -> hand(x, to_poller)
        :: else
        fi
    }
    if
    :: x != NONE ->
        if
        :: to_poller -> to_poller = false; netpoll_break()
        :: else
        fi;
        watch()
    :: else
    fi;
    x = 0
}
