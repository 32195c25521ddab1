/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll.pml - rg of a poll_desc, and the rule of the short read: runtime/poll_desc.c, netpoll.c.
 *
 * Models wf_poll_event, wf_poll_fire, wf_poll_prepare, wf_poll_wait with announce, poll_commit and finish,
 * wf_poll_note_read, a deadline that passes and wf_poll_unblock.  Each access to a word is a
 * step; so are a CAS, a system call and, of the poller, a section under pd->lock.  The peer sends CHUNKS bytes and its end; each makes an edge, which
 * the poller learns of at any later time, several as one.  The reader has room for ROOM bytes.
 * The token, and with it cancellation, is park.pml's: here who swaps the G out wakes it.
 * With LIBRARY the reader is now weft's and now a library's, which reads what it likes by
 * itself and in between waits as weft_conn_wait does (net/conn_wait.c).
 *
 * Bounds: one reader, CHUNKS bytes, one end (POLITE: once all was read), and one deadline, one
 * close or neither (ENDER).
 * Properties: every byte is read, then the end, or the wait ended by deadline or close; the
 * reader never stays parked (no end state but with all done); a closed one reads no more.
 *
 * run: short     -DCHUNKS=3 -DROOM=4
 * run: full      -DCHUNKS=3 -DROOM=1
 * run: deadline  -DCHUNKS=2 -DROOM=2 -DENDER=1
 * run: close     -DCHUNKS=2 -DROOM=2 -DENDER=2
 * run: polite    -DCHUNKS=3 -DROOM=2 -DPOLITE
 * run: silent    -DCHUNKS=1 -DROOM=2 -DENDER=1 -DNO_END
 * run: library   -DCHUNKS=4 -DROOM=2 -DLIBRARY
 * run: libclose  -DCHUNKS=3 -DROOM=3 -DLIBRARY -DENDER=2
 * fault: FAULT_reset_after_read   | rg is reset after the read
 * fault: FAULT_reset_when_drained -DCHUNKS=2 -DROOM=4 -DPOLITE | untried
 * fault: FAULT_sticky_ignored     | the end of the stream does not forbid to park untried
 * fault: FAULT_flag_late -DCHUNKS=0 -DROOM=2 -DENDER=1 -DNO_END | the flag is set after the look
 * fault: FAULT_commit_blind       | the commit does not compare
 * fault: FAULT_wait_no_look -DCHUNKS=0 -DROOM=2 -DENDER=1 -DNO_END | nor looks at the deadline after WAIT
 * fault: FAULT_keeps_drained -DCHUNKS=3 -DROOM=2 -DLIBRARY -DPOLITE | the library's wait consumes an edge
 * fault: FAULT_resets_late -DCHUNKS=3 -DROOM=2 -DLIBRARY -DPOLITE | it forgets news after it asked
 * fault: FAULT_asks_once -DCHUNKS=3 -DROOM=2 -DLIBRARY -DPOLITE | it parks without asking the kernel
 */
#define NONE  0
#define READY 1
#define WAIT  2
#define PARK  3 /* the G */

byte rg = NONE;
bool drained, sticky, passed, closing;
byte queued;           /* bytes in the socket */
bool at_end;           /* the peer's end is in the socket */
bool edge, edge_end;   /* what epoll has to tell */
byte got;
bool woken, done, sent;
#ifndef ENDER
#define ENDER 0
#endif
#ifdef FAULT_keeps_drained
bool library;
#define CLEAR drained = drained && library
#else
#define CLEAR drained = false
#endif

inline fire(to, gp)
{
    gp = rg;
    if
    :: to == READY -> rg = READY
    :: to == NONE && (gp == PARK || gp == WAIT) -> rg = NONE
    :: else
    fi;
    if
    :: gp == PARK -> woken = true
    :: else
    fi
}

active proctype Peer()
{
    byte i;
    do
    :: i < CHUNKS -> atomic { queued++; edge = true }; i++
    :: else -> break
    od;
#ifdef POLITE
    (got == CHUNKS || done);
#endif
#ifndef NO_END
    atomic { at_end = true; edge = true; edge_end = true };
#endif
    sent = true
}

active proctype Poller()
{
    bool end;
    byte gp;
    do
    :: atomic { edge -> end = edge_end; edge = false; edge_end = false };
       atomic { /* under the lock */
           if
           :: end -> sticky = true
           :: else
           fi;
           fire(READY, gp);
           end = false
       }
    :: atomic { done && !edge -> break }
    od
}

/* By the turn's owner: nobody else takes READY away. */
inline forget()
{
    if
    :: rg == READY -> rg = NONE
    :: else
    fi
}

/* 0: try; 1: wait; 2: over */
inline prepare(r)
{
    if
    :: closing || passed -> r = 2
    :: else ->
       if
#ifdef FAULT_sticky_ignored
       :: drained -> r = 1
#else
       :: drained && !sticky -> r = 1
#endif
       :: else -> r = 0
       fi;
       if
#ifdef FAULT_reset_when_drained
       :: true -> forget()
#else
       :: r == 0 -> forget()
       :: r == 1
#endif
       fi
    fi
}

inline wait_for_news(r)
{
    atomic { /* announce */
        if
        :: rg == NONE -> rg = WAIT; r = 1
        :: else -> r = 0
        fi
    };
    if
#ifdef FAULT_wait_no_look
    :: false ->
#else
    :: closing || passed ->
#endif
       atomic { /* retract */
           if
           :: r == 1 && rg == WAIT -> rg = NONE
           :: else
           fi;
           r = 2
       }
    :: else ->
       if
       :: r == 0 -> forget(); CLEAR
       :: else
       fi
    fi;
    if
    :: r == 1 -> /* poll_commit, by the lander */
#ifdef FAULT_commit_blind
       rg = PARK;
#else
       atomic {
           if
           :: rg == WAIT -> rg = PARK
           :: else -> r = 0
           fi
       };
#endif
       if
       :: r == 1 -> atomic { woken -> woken = false }
       :: else
       fi;
       forget(); CLEAR; r = 0 /* finish; prepare then looks whether it is over */
    :: else
    fi
}

#ifdef LIBRARY
/* Asks the kernel and waits, or reads a part or all. */
inline library_round(r, n, end)
{
#ifdef FAULT_keeps_drained
    library = true;
#endif
    atomic {
        if
        :: closing || passed -> r = 2
#ifdef FAULT_asks_once
        :: !closing && !passed -> r = 1
#else
        :: !closing && !passed && queued == 0 && !at_end -> r = 1
        :: !closing && !passed && (queued > 0 || at_end) -> r = 0
#endif
        fi
    };
#ifdef FAULT_resets_late
    atomic {
        if
        :: r == 1 && rg == READY -> rg = NONE
        :: else
        fi
    };
#endif
    if
    :: r == 1 -> wait_for_news(r)
#ifdef FAULT_asks_once
    :: r == 2
    fi;
    if
    :: r == 0 ->
#else
    :: r == 0 ->
#endif
       atomic {
           if
           :: queued > 0 -> n = 1
           :: queued > 0 -> n = queued
           :: queued == 0 -> n = 0
           fi;
           queued = queued - n;
           got = got + n;
           end = n == 0 && at_end
       }
    :: else
    fi;
#ifdef FAULT_keeps_drained
    library = false;
#endif
    if
    :: r == 2 -> break
    :: end -> assert(got == CHUNKS); break
    :: else
    fi
}
#endif

active proctype Reader()
{
    byte r, n;
    bool end;
    do
#ifdef LIBRARY
    :: true -> library_round(r, n, end)
#endif
    :: true -> /* else prepare's else would be the loop's */
       prepare(r);
       if
       :: r == 2 -> break
       :: r == 1 -> wait_for_news(r)
       :: r == 0 ->
          atomic { /* recv */
              n = (queued < ROOM -> queued : ROOM);
              queued = queued - n;
              got = got + n;
              end = n == 0 && at_end
          };
#ifdef FAULT_reset_after_read
          atomic {
              if
              :: rg == READY -> rg = NONE
              :: else
              fi
          };
#endif
          drained = n > 0 && n < ROOM; /* wf_poll_note_read */
          if
          :: end -> assert(got == CHUNKS); break
          :: !end && n == 0 -> wait_for_news(r)
          :: else
          fi
       fi
    od;
    done = true
}

active proctype Ender()
{
    byte gp;
#if ENDER == 1
#ifdef FAULT_flag_late
    atomic { fire(NONE, gp) };
    passed = true
#else
    atomic { passed = true; fire(NONE, gp) }
#endif
#endif
#if ENDER == 2
    atomic { closing = true; fire(NONE, gp) }
#endif
}
