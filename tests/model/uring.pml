/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.pml - a connection's inbox and its multishot receive: runtime/inbox.h, completed.c, uring.c,
 * net/ringed.c.
 *
 * Models take_bytes, wf_uring_arm, the submission by the M or by sysmon, the kernel's receive and its
 * completions, news with end_early, wf_uring_cancel, wf_ringed_leave, and the wait with rg as in
 * poll.pml, whose deadline (GIVES_UP) may end it at any time, whereupon the reader reads again.  A
 * section under pd->lock is a step; so are a system call, what the kernel does at once, and taking
 * a completion.  The peer sends CHUNKS bytes and its end.  The kernel receives one byte at a time,
 * as long as it is armed, and has BUFS buffers; without one, or when it is cancelled, it says that
 * it has ended.  Submitted is what the reader's M submits when it parks; or, where the M is in
 * other code (HOG), sysmon.
 *
 * With MARK the kernel stops before that byte, which stands behind an urgent mark, as if there were
 * nothing; and goes on once another comes.  It says of each byte whether more is there, and a reader
 * that was told so and finds nothing looks whether it is at the mark, and leaves if so.
 *
 * There are two rings, HERE and ELSEWHERE; the reader arms in either.  With HANGS the thread of HERE
 * hangs in a call at some time, so that the kernel receives nothing for it, and sysmon detaches that
 * ring (detach.h).  The thread comes back at any time, also while sysmon works, or never; the last
 * completion of the detached request comes when it will.
 *
 * Bounds: one reader, CHUNKS bytes, one end, at most MOST bytes in the inbox before the receive is
 * ended, one leave or none (LEAVES).
 * Properties: every byte is read once and in order, then the end; the reader never stays parked;
 * once it has left, the kernel takes nothing off the socket.
 *
 * run: plain    -DCHUNKS=4 -DBUFS=4 -DMOST=4
 * run: few      -DCHUNKS=4 -DBUFS=2 -DMOST=2
 * run: hog      -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHOG
 * run: gives_up -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DGIVES_UP
 * run: leaves   -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DLEAVES
 * run: hangs    -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS
 * run: hangs_leaves -DCHUNKS=2 -DBUFS=2 -DMOST=2 -DHANGS -DLEAVES
 * run: mark     -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DMARK=2
 * run: mark_leaves -DCHUNKS=2 -DBUFS=2 -DMOST=2 -DMARK=1 -DLEAVES
 * fault: FAULT_tells_first   | the side is told before the bytes lie in the inbox
 * fault: FAULT_last_untold -DCHUNKS=3 -DBUFS=1 -DMOST=3 | the last completion tells nobody
 * fault: FAULT_forgets_late  | the reader forgets READY after it looked into the inbox
 * fault: FAULT_drops -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DGIVES_UP | what nobody waits for is dropped
 * fault: FAULT_unsubmitted   | an M parks with requests that were not submitted
 * fault: FAULT_no_sysmon -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHOG | nobody submits for an M in other code
 * fault: FAULT_asks_though_armed -DCHUNKS=4 -DBUFS=4 -DMOST=4 | the reader receives beside its ring
 * fault: FAULT_leaves_armed -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DLEAVES | leaving does not end the receive
 * fault: FAULT_stays_there -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS | nobody detaches
 * fault: FAULT_not_cancelled -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS | an orphan receives on
 * fault: FAULT_before_taken -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS | detached before what came was taken
 * fault: FAULT_orphan_ends -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS | its last completion ends another's
 * fault: FAULT_settles_early -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS | its M arms while sysmon works
 * fault: FAULT_settles_owing -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DHANGS | and before that last completion
 * fault: FAULT_looks_not -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DMARK=2 | the reader parks though more was said
 * fault: FAULT_stays -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DMARK=2 | it sees the mark, and does not leave
 * fault: FAULT_arms_after -DCHUNKS=3 -DBUFS=2 -DMOST=2 -DLEAVES | a reader arms though it has left
 */
#define NONE  0
#define READY 1
#define WAIT  2
#define PARK  3

#define LOOK 4
#define HERE 1
#define ELSEWHERE 2
#define LAST 100 /* and the ring: a completion that is the request's last, and brings nothing */

byte rg = NONE;
bool woken;
byte sent, taken;   /* bytes the peer sent; that left the socket, in order */
bool at_end;
chan cq = [CHUNKS + 4] of { byte, bool }; /* completions: the number of a byte or LAST + a ring; more */
chan inbox = [CHUNKS + 1] of { byte };   /* under the lock */
byte ring;          /* under the lock: where a request is out, or 0 */
bool more;          /* under the lock: the last completion said so */
bool by_ring = true, left_it;
bool queued, armed, cancelled; /* the request: in the M's queue; the kernel's; to be ended */
byte where;         /* its ring */
bool hung;          /* the thread of HERE */
byte detached;      /* HERE: see detach.h */
bool orphaned;      /* its detached request has not ended */
bool owes;          /* nor was its last completion taken */
bool taking;        /* the lock of who takes completions */
byte free = BUFS;
byte got;
bool done, edge;

inline fire(gp)
{
    gp = rg;
    rg = READY;
    if
    :: gp == PARK -> woken = true
    :: else
    fi
}

/* Does a receive find something? */
#ifdef MARK
bool blind; /* it has stopped before the mark, which lies in the past of what it said */
#define READABLE (taken < sent && !blind)
#else
#define READABLE (taken < sent)
#endif

active proctype Peer()
{
    do
    :: sent < CHUNKS ->
       atomic {
           sent++;
           edge = left_it;
#ifdef MARK
           blind = false
#endif
       }
    :: else -> break
    od;
    atomic { at_end = true; edge = left_it }
}

/* What the kernel does once it has the request. */
#define RUNS (!hung || where != HERE)

active proctype Kernel()
{
    do
    :: atomic { RUNS && armed && cancelled -> armed = false; cancelled = false; cq ! LAST + where, false }
    :: atomic { RUNS && armed && !cancelled && READABLE && free > 0 ->
           assert(!left_it);
           free--;
           cq ! taken, (taken + 1 < sent);
#ifdef MARK
           if
           :: taken + 1 == MARK && MARK < sent -> blind = true
           :: true
           fi;
#endif
           taken++
       }
    :: atomic { RUNS && armed && !cancelled && READABLE && free == 0 -> armed = false; cq ! LAST + where, false }
    :: atomic { RUNS && armed && !cancelled && taken == sent && at_end -> armed = false; cq ! LAST + where, false }
    :: atomic { orphaned -> orphaned = false; cq ! LAST + HERE, false }
    :: atomic { done && !armed && !queued && !orphaned -> break }
    od
}

/* Whoever takes completions; and epoll, for one that has left. */
active proctype Taker()
{
    byte c, gp;
    bool m;
    do
    :: atomic { cq ? c, m -> taking = true };
#ifdef FAULT_tells_first
       atomic { fire(gp) };
#endif
       atomic { /* under the lock */
           if
#ifdef FAULT_orphan_ends
           :: c >= LAST -> ring = 0
#else
           :: c >= LAST -> ring = (c == LAST + ring -> 0 : ring)
#endif
#ifdef FAULT_drops
           :: c < LAST && rg == NONE -> free++
           :: c < LAST && rg != NONE -> inbox ! c
#else
           :: c < LAST -> inbox ! c
#endif
           fi;
           if
           :: len(inbox) >= MOST && ring && armed -> cancelled = true
           :: else
           fi;
           owes = owes && c != LAST + HERE;
           more = (c >= LAST && ring -> more : m && c < LAST);
#ifndef FAULT_tells_first
#ifdef FAULT_last_untold
           if
           :: c < LAST -> fire(gp)
           :: else
           fi;
#else
           fire(gp);
#endif
#endif
           c = 0;
           m = false;
           gp = 0;
           taking = false
       }
    :: atomic { edge -> edge = false; fire(gp); gp = 0 }
    :: atomic { done && empty(cq) && !armed && !queued && !orphaned -> break }
    od
}

inline submit()
{
    atomic {
        if
        :: queued -> queued = false; armed = true
        :: else
        fi
    }
}

inline forget()
{
    if
    :: rg == READY -> rg = NONE
    :: else
    fi
}

inline wait_for_news(r)
{
    atomic {
        if
        :: rg == NONE -> rg = WAIT; r = 1
        :: else -> r = 0
        fi
    };
    if
    :: r == 0 -> forget()
    :: else ->
       atomic { /* the lander */
           if
           :: rg == WAIT -> rg = PARK
           :: else -> r = 0
           fi
       };
#if !defined(FAULT_unsubmitted) && !defined(HOG)
       submit(); /* its P runs dry */
#endif
       if
       :: r == 1 ->
          if
          :: atomic { woken -> woken = false }
#ifdef GIVES_UP
          :: atomic { !woken && rg == PARK -> rg = NONE } /* its deadline passed; then it reads again */
#endif
          fi
       :: else
       fi;
       forget()
    fi
}

#if defined(FAULT_settles_early)
#define SETTLED (!owes)
#elif defined(FAULT_settles_owing)
#define SETTLED (detached == 2)
#else
#define SETTLED (detached == 2 && !owes)
#endif

inline arm()
{
    if
    :: !hung && detached == 0 -> where = HERE
    :: !hung && detached > 0 && SETTLED -> detached = 0; where = HERE
    :: where = ELSEWHERE
    fi;
    ring = where;
    queued = true
}

/* wf_ringed_leave */
inline leave(was)
{
    atomic { edge = true }; /* registered with epoll: it tells of what is there already */
    atomic { was = by_ring; by_ring = false };
#ifndef FAULT_leaves_armed
    if
    :: was ->
       submit();
       atomic {
           if
           :: armed -> cancelled = true
           :: else
           fi
       }
    :: else
    fi;
#endif
    atomic { left_it = left_it || was; edge = true; was = false }
}

active proctype Reader()
{
    byte r, c;
#ifdef MARK
    bool was;
#endif
    do
    :: true ->
#ifndef FAULT_forgets_late
       forget();
#endif
       atomic { /* take_bytes, under the lock */
           if
           :: nempty(inbox) -> inbox ? c; assert(c == got); got++; free++; r = 3
           :: empty(inbox) && ring -> r = (more -> LOOK : 1); more = false
           :: empty(inbox) && !ring -> r = 0
           fi;
#ifdef FAULT_asks_though_armed
           if
           :: r == 1 -> r = 0
           :: else
           fi;
#endif
           c = 0
       };
#ifdef FAULT_forgets_late
       forget();
#endif
       if
       :: r == 3 -> skip
       :: r == 1 -> wait_for_news(r)
       :: r == LOOK ->
#if defined(MARK) && !defined(FAULT_looks_not)
          atomic { /* poll */
              if
              :: taken == MARK && MARK < sent -> r = 5
              :: else
              fi
          };
#ifndef FAULT_stays
          if
          :: r == 5 -> leave(was)
          :: else
          fi;
#endif
#endif
          wait_for_news(r)
       :: r == 0 ->
          atomic { /* recv */
              if
              :: taken < sent -> assert(taken == got); taken++; got++; r = 3
              :: taken == sent && at_end -> r = 2
              :: taken == sent && !at_end -> r = 0
              fi
          };
          if
          :: r == 2 -> assert(got == CHUNKS); break
          :: r == 3 -> skip
          :: else ->
             atomic { /* wf_uring_arm, under the lock */
                 if
#ifdef FAULT_arms_after
                 :: !ring -> arm()
#else
                 :: by_ring && !ring -> arm()
#endif
                 :: else
                 fi
             };
             wait_for_news(r)
          fi
       fi
    od;
    done = true
}

#if defined(HOG) && !defined(FAULT_no_sysmon)
active proctype Sysmon()
{
    do
    :: queued -> submit()
    :: done && !queued -> break
    od
}
#endif

#ifdef HANGS
/* The thread comes back, or not. */
active proctype Thread()
{
    if
    :: atomic { hung -> hung = false }
    :: hung || done
    fi
}

active proctype Detacher()
{
    byte gp;
    if
    :: atomic { ring == HERE -> hung = true; detached = 1 };
#ifndef FAULT_stays_there
       atomic {
           if
           :: where == HERE && queued -> queued = false; armed = true
           :: else
           fi
       };
#ifndef FAULT_not_cancelled
       atomic {
           if
           :: where == HERE && armed -> armed = false; cancelled = false; orphaned = true; owes = true
           :: else
           fi
       };
#endif
#ifndef FAULT_before_taken
       atomic { empty(cq) && !taking -> skip }; /* take_all */
#endif
       atomic { /* orphan, under the lock */
           if
           :: ring == HERE -> ring = 0; more = false; fire(gp)
           :: else
           fi;
           gp = 0
       };
       detached = 2
#endif
    :: atomic { done -> skip }
    fi
}
#endif

#ifdef LEAVES
/* Somebody asks for the descriptor. */
active proctype Leaver()
{
    bool was;
    leave(was)
}
#endif
