/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h - channels and who waits at them, for select.pml: runtime/chan.c, runtime/g.h.
 *
 * Models try_send, try_recv, take_waiter, close_queue and weft_chan_close; the token, of which
 * firing is one step.  Owns the channels, the slots and the Gs' words.  Must never wait.
 *
 * Before the include: CAP, the room of a channel (0 or 1), and NG, one more than the Gs,
 * which are numbered from 1.  Who uses the macros has s, how, done, wake, and to close
 * g and woken[NG].
 */
#define RECV 0
#define SEND 1
#define QUEUE(c, side) (2 * (c) + (side))

#define SLOT(g, k) (2 * (g) + (k)) /* the slot of G g for its case k; never 0 */
#define OWNER(slot) ((slot) / 2)

#define FIRED  0
#define ARMED  1
#define PARKED 2

#define EVENT     0
#define TIMEOUT   1
#define CANCELLED 2

#define NOT_READY 0
#define DONE      1
#define CLOSED    2

/* Channels. */
bool locked[2];
bool closed[2];
byte count[2];
byte buffer[2];
chan queue[4] = [4] of { byte };

/* Slots, on the stack of their G. */
byte chan_of[2 * NG];
byte side_of[2 * NG];
byte element[2 * NG];     /* to send, or received; they are numbered from 1 */
byte ticket[2 * NG];
bool fired[2 * NG];
bool of_close[2 * NG];

/* Gs. */
byte state[NG];           /* the token: its state, the wait's number, the reason */
byte number[NG];
byte reason[NG];
bool frame[NG];           /* its call has not returned */
bool running[NG] = true;
byte runnable[NG];
byte left[NG];            /* the wait whose lander may begin */
byte published[NG];       /* the wait that a timer knows */

inline acquire(c_)
{
    atomic { !locked[c_] -> locked[c_] = true }
}

inline release(c_)
{
    locked[c_] = false
}

inline touch(g_)
{
    assert(frame[g_])
}

inline make_runnable(g_)
{
    d_step { assert(!running[g_] && runnable[g_] == 0); runnable[g_] = 1 }
}

/* how: the state that was taken away, 0 if the wait had ended */
inline fire(g_, n_, why_, how_)
{
    d_step {
        how_ = (number[g_] == (n_) -> state[g_] : FIRED);
        if
        :: how_ -> state[g_] = FIRED; reason[g_] = why_
        :: else
        fi
    }
}

/* ---- chan.c --------------------------------------------------------------------------- */

/* s: the oldest waiter whose token this call wins, or 0 */
inline take_waiter(q_)
{
    do
    :: d_step {
           if
           :: len(queue[q_]) == 0 -> s = 0
           :: else -> queue[q_] ? s; touch(OWNER(s))
           fi
       }
       if
       :: s == 0 -> break
       :: else
       fi;
       touch(OWNER(s));
       fire(OWNER(s), ticket[s], EVENT, how);
#ifdef FAULT_no_token
       how = PARKED;
#endif
       if
       :: how ->
           assert(how == PARKED);
#ifndef FAULT_fired_late
           d_step { touch(OWNER(s)); fired[s] = true }
#endif
           break
       :: else
       fi
    od;
    how = 0
}

/* The waker writes to, or reads from, the stack of the one that it won. */
inline give(to_, from_)
{
#ifdef FAULT_ready_early
    make_runnable(OWNER(s));
    d_step { touch(OWNER(s)); assert(!running[OWNER(s)]); to_ = from_ }
#else
    d_step { touch(OWNER(s)); assert(!running[OWNER(s)]); to_ = from_; wake = OWNER(s) }
#endif
}

inline wake_up()
{
    if
    :: wake -> make_runnable(wake)
    :: else
    fi;
#ifdef FAULT_fired_late
    if
    :: wake -> fired[s] = true
    :: else
    fi;
#endif
    d_step { wake = 0; s = 0 }
}

/* Under the lock. */
inline try_send(c_, v_)
{
    if
    :: closed[c_] -> done = CLOSED
    :: else ->
        take_waiter(QUEUE(c_, RECV));
        if
        :: s -> give(element[s], v_); done = DONE
        :: !s && count[c_] == CAP -> done = NOT_READY
        :: else -> d_step { buffer[c_] = v_; count[c_] = 1; done = DONE }
        fi
    fi
}

inline try_recv(c_, v_)
{
    if
    :: count[c_] == 0 ->
        take_waiter(QUEUE(c_, SEND));
        if
        :: s -> give(v_, element[s]); done = DONE
        :: else -> done = (closed[c_] -> CLOSED : NOT_READY)
        fi
    :: else ->
        d_step { v_ = buffer[c_]; buffer[c_] = 0; count[c_] = 0; done = DONE }
        take_waiter(QUEUE(c_, SEND));
        if
        :: s -> give(buffer[c_], element[s]); count[c_] = 1
        :: else
        fi
    fi
}

inline attempt(c_, side_, v_)
{
    if
    :: side_ == SEND -> try_send(c_, v_)
    :: else -> try_recv(c_, v_)
    fi
}

inline close_queue(q_)
{
    do
    :: take_waiter(q_);
       if
       :: s == 0 -> break
       :: else -> d_step { touch(OWNER(s)); of_close[s] = true; woken[OWNER(s)] = true }
       fi
    od
}

/* weft_chan_close; a second one is harmless here. */
inline close_chan(c_)
{
    acquire(c_);
    closed[c_] = true;
    close_queue(QUEUE(c_, RECV));
#ifndef FAULT_closes_one_side
    close_queue(QUEUE(c_, SEND));
#endif
    release(c_);
    for (g : 1 .. NG - 1) {
        if
        :: woken[g] -> woken[g] = false; make_runnable(g)
        :: else
        fi
    }
    g = 0
}
