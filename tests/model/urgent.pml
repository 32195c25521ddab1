/* SPDX-License-Identifier: Apache-2.0 */
/*
 * urgent.pml - the rule of the short read around out-of-band data, and events of a former
 * life of a poll_desc: runtime/netpoll.c, runtime/poll_desc.c.
 *
 * Models wf_poll_prepare, wf_poll_note_read, wf_poll_wait, wf_poll_event with the count of
 * EPOLLPRI, and wf_poll_next_gen at close and open.  The kernel's read stops at the mark, so
 * it falls short though bytes lie behind; epoll_wait fetches what is there and tells of it
 * later.  The reader takes no lock, so it sees an event half told; parking is poll.pml's.
 *
 * Bounds: MARKS marks, with a byte before or behind each or not; one reader with much room; one
 * poller; then the slot is closed and opened for a peer that never sends.
 * Properties: every byte is read (no end state but with all done); no event of the first life
 * reaches the second (assertion).
 *
 * run: one   -DMARKS=1
 * run: two   -DMARKS=2
 * fault: FAULT_seen_now -DMARKS=2 | EAGAIN forgets what was raised after the attempt had begun
 * fault: FAULT_no_urgent  | EPOLLPRI does not suspend the rule
 * fault: FAULT_any_life   | an event's generation is not compared
 */
#define ALL_READ (sent_all && front == 0 && behind == 0)

/* The socket: bytes in front of the first mark not yet passed, and behind it. */
byte front, behind;
bool mark;
bool edge, edge_pri;  /* what epoll has not told yet */
bool sent_all;

bool ready, drained;
byte urgent, urgent_at, urgent_seen;
byte gen = 1;
bool lock;           /* of the poll_desc */

inline arrive()
{
    if
    :: mark -> behind++
    :: else -> front++
    fi;
    edge = true
}

active proctype peer()
{
    byte i;

    for (i : 1 .. MARKS) {
        if
        :: atomic { arrive() }
        :: true
        fi;
        atomic { /* a newer mark takes the place of the old one */
            front = front + (mark -> behind : 0);
            behind = 0;
            mark = true;
            edge = true;
            edge_pri = true
        }
        if
        :: atomic { arrive() }
        :: true
        fi
    }
    sent_all = true
}

/* n: bytes, 0 for EAGAIN */
inline read_some()
{
    d_step {
        if
        :: front > 0 -> n = front; front = 0
        :: else -> n = behind; behind = 0; mark = (mark && n == 0)
        fi
    }
}

active proctype reader()
{
    byte n;
    bool try;

    do
    :: d_step { /* wf_poll_prepare */
#ifdef FAULT_no_urgent
            try = !drained;
#else
            try = !(drained && urgent == urgent_seen);
#endif
            if
            :: try -> urgent_at = urgent
            :: else
            fi
        }
        if
        :: try -> ready = false /* forget */
        :: else
        fi;
        n = 0;
        if
        :: try -> read_some()
        :: else
        fi;
        d_step { /* wf_poll_note_read */
            if
            :: try && n == 0 ->
#ifdef FAULT_seen_now
                urgent_seen = urgent;
#else
                urgent_seen = urgent_at;
#endif
                drained = false
            :: try && n > 0 -> drained = true
            :: else
            fi
        }
        if
        :: n == 0 -> /* wf_poll_wait */
            if
            :: atomic { ready -> ready = false; drained = false }
            :: ALL_READ && !ready -> break
            fi
        :: else
        fi
    od;
    atomic { !lock -> gen++; ready = false; urgent = 0 } /* close, and open for another */
}

active proctype poller()
{
    byte life;
    bool pri;

end:
    do
    :: atomic { edge -> edge = false; pri = edge_pri; edge_pri = false; life = gen }
        atomic { !lock -> lock = true };
        if
#ifndef FAULT_any_life
        :: life != gen
#endif
        :: else ->
            assert(life == gen);
            urgent = urgent + pri;
            ready = true
        fi;
        atomic { lock = false; life = 0; pri = false }
    od
}
