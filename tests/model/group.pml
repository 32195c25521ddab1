/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.pml - groups: starting, ending, waiting, cancelling: runtime/group.c.
 *
 * Models join and attach_to, enlist, the end of member_main, drop, leave and empty,
 * weft_group_cancel with cancel_locked and cancel_member, wait_once with wait_begin and
 * wait_end, and what a wait does about cancellation (wf_wait, commit_park, wf_wait_cancel);
 * each a step wherever others may come between.  Firing a token is a step: park.pml has its
 * words and late landers, here a G has one lander at a time.
 *
 * The root starts a member of group P, the owner of group C, which starts C1 and C2 in C and
 * waits for them; the root waits for P.  C1 and C2 end at once, but for the one that PARKS
 * names, which waits for what never comes; SHIELD names a G whose waits are uncancellable, and
 * for C2 the event comes then.  All members end with an error of their own.  Memory goes when
 * the wait for a group has returned, and with CANCEL, where anybody cancels P at any time, not
 * before that call has.
 *
 * Bounds: two groups, one in the other, three members, two with ALONE (without C1); with
 * DEADLINE the owner's first wait has a deadline, which may pass at any time.
 * Properties: nobody touches a group that is gone, and a wait returns when all members have
 * ended and not sooner (assertions); it tells the error of the first member that ended
 * (assertion); a shielded wait ends by its event (assertion); a G is made runnable once a
 * park (assertion); every member of a cancelled group ends, and so every wait, whatever was
 * started or parked meanwhile (invalid end state).
 *
 * run: ends     -DDEADLINE
 * run: cancel   -DCANCEL
 * run: parks    -DCANCEL -DPARKS=C1
 * run: shield   -DCANCEL -DPARKS=C2 -DSHIELD=C2 -DALONE
 * run: below    -DCANCEL -DPARKS=C2 -DSHIELD=OWNER
 * run: deadline -DCANCEL -DDEADLINE -DALONE
 * fault: FAULT_blind_enlist -DCANCEL -DPARKS=C1 | a member that is enlisted late is not told
 * fault: FAULT_blind_attach -DCANCEL -DPARKS=C1 -DSHIELD=OWNER | a group is attached to one that was cancelled
 * fault: FAULT_blind_join -DCANCEL | a member is started in a group that was cancelled
 * fault: FAULT_own_members -DCANCEL -DPARKS=C1 -DSHIELD=OWNER | the groups below are not cancelled
 * fault: FAULT_token_first -DCANCEL -DPARKS=C1 | the canceller fires before it sets the flag
 * fault: FAULT_no_cancel_look -DCANCEL -DPARKS=C1 | the lander does not look at the flag
 * fault: FAULT_shield_open -DCANCEL -DPARKS=C2 -DSHIELD=C2 | a shielded wait is cancelled
 * fault: FAULT_not_detaching | two that ended last detach the group
 * fault: FAULT_no_second_look -DCANCEL -DPARKS=C2 -DSHIELD=OWNER | who detaches does not look whether one was started meanwhile
 * fault: FAULT_waits_for_count | not for the group to be detached
 * fault: FAULT_last_error | each that ends sets the error
 * fault: FAULT_waiter_stays -DDEADLINE | after a deadline the waiter is still set
 */
#define P 0
#define C 1
#define NOBODY 9

/* Gs. */
#define ROOT  0
#define OWNER 1
#define C1    2
#define C2    3
#define NG    4

#define FIRED  0
#define ARMED  1
#define PARKED 2

#define EVENT     0
#define TIMEOUT   1
#define CANCELLED 2

/* Groups; under lock, but for freed. */
bool locked[2];
bool cancelled[2];
bool detaching[2];
byte first[2];
byte count[2];
bool member[NG];          /* in the list of its group */
bool child;               /* C is in P's list */
bool parent;              /* C's is P */
byte waiter[2] = NOBODY;
byte ticket[2];
bool freed[2];
bool cancelling;          /* weft_group_cancel(P) has not returned */

/* Gs. */
bool flag[NG];
byte state[NG];           /* the token: its state, the wait's number, the reason */
byte number[NG];
byte reason[NG];
bool uncancellable[NG];
bool running[NG] = true;
bool runnable[NG];
byte left[NG];            /* the wait whose lander may begin */
byte published;           /* the owner's wait that its timer knows */

bool started[NG];
bool alive[NG];           /* between the start and the end */
byte ended_first[2];      /* who ended first, by its error */

#define GROUP_OF(g_) ((g_) == OWNER -> P : C)
#define ERROR(g_) (g_)
#ifdef SHIELD
#define SHIELDED(g_) ((g_) == SHIELD)
#else
#define SHIELDED(g_) false
#endif
#ifdef PARKS
#define PARKS_ONCE(g_) ((g_) == PARKS)
#else
#define PARKS_ONCE(g_) false
#endif

inline acquire(gr_)
{
    atomic { !locked[gr_] -> locked[gr_] = true; assert(!freed[gr_]) }
}

/* Before a step that is a whole critical section: all it touches is under the lock. */
#define FREE(gr_) !locked[gr_] -> assert(!freed[gr_])

inline release(gr_)
{
    assert(!freed[gr_]);
    locked[gr_] = false
}

/* ---- Tokens --------------------------------------------------------------------------- */

inline make_runnable(g_)
{
    d_step { assert(!running[g_] && !runnable[g_]); runnable[g_] = true }
}

/* how: the state that was taken away, 0 if the wait had ended */
inline fire(g_, n_, why_, how_)
{
    d_step {
        how_ = (number[g_] == (n_) -> state[g_] : FIRED);
#ifndef FAULT_shield_open
        how_ = ((why_) == CANCELLED && uncancellable[g_] -> FIRED : how_);
#endif
        if
        :: how_ -> state[g_] = FIRED; reason[g_] = why_
        :: else
        fi
    }
}

inline wake(g_, n_, why_)
{
    fire(g_, n_, why_, how);
    if
    :: how == PARKED -> make_runnable(g_)
    :: else
    fi;
    how = 0
}

inline arm(shielded_)
{
    d_step {
        number[me]++;
        uncancellable[me] = shielded_;
        state[me] = ARMED
    }
}

/* wf_wait, with what the lander does in `lander`; nobody cancels the root. */
inline wait()
{
    if
    :: atomic { me == ROOT && state[me] == ARMED -> state[me] = PARKED; running[me] = false }
    :: atomic { me != ROOT && state[me] == ARMED -> running[me] = false; left[me] = number[me] }
    :: else
    fi;
    atomic { running[me] || runnable[me] -> runnable[me] = false; running[me] = true }
}

/* commit_park, wait after wait. */
proctype lander(byte me)
{
    byte n, how;
    bool parked;

end:
    do
    :: atomic { left[me] > n -> n = left[me] }
       d_step {
           parked = (state[me] == ARMED);
           if
           :: parked -> state[me] = PARKED
           :: else
           fi
       }
       if
       :: !parked -> make_runnable(me)
       :: else ->
#ifndef FAULT_no_cancel_look
           if
           :: flag[me] && !uncancellable[me] -> wake(me, n, CANCELLED)
           :: else
           fi
#endif
           skip
       fi
    od
}

/* ---- Cancelling ----------------------------------------------------------------------- */

inline cancel_member(g_)
{
    if
    :: member[g_] ->
#ifndef FAULT_token_first
        flag[g_] = true;
#endif
        n = number[g_];
        wake(g_, n, CANCELLED);
#ifdef FAULT_token_first
        flag[g_] = true;
#endif
        n = 0
    :: else
    fi
}

/* Under C's lock. */
inline cancel_c()
{
    if
    :: !cancelled[C] ->
        cancelled[C] = true;
        cancel_member(C1);
        cancel_member(C2)
    :: else
    fi
}

/* weft_group_cancel(P) */
proctype canceller()
{
    byte n, how;

    acquire(P);
    cancelled[P] = true;
    cancel_member(OWNER);
#ifndef FAULT_own_members
    if
    :: child ->
        acquire(C);
        cancel_c();
        release(C)
    :: else
    fi;
#endif
    release(P);
    cancelling = false
}

/* ---- Counting ------------------------------------------------------------------------- */

/* Under lock, which it releases. */
inline now_empty(gr_)
{
    d_step { w = waiter[gr_]; t = ticket[gr_]; waiter[gr_] = NOBODY; release(gr_) }
    if
    :: w != NOBODY -> wake(w, t, EVENT)
    :: else
    fi;
    d_step { w = 0; t = 0 }
}

/* Under P's lock, which it releases: P hangs in no group. */
inline leave_p()
{
    d_step { assert(count[P] > 0); count[P]-- }
    if
    :: atomic { count[P] > 0 -> release(P) }
    :: else -> now_empty(P)
    fi
}

/* Under C's lock, which it releases, and what leave does with P. */
inline leave_c()
{
    d_step { assert(count[C] > 0); count[C]-- }
    if
    :: atomic { count[C] > 0 || detaching[C] -> release(C) }
    :: else ->
        if
        :: !parent -> now_empty(C)
        :: else ->
            d_step {
#ifndef FAULT_not_detaching
                detaching[C] = true;
#endif
                release(C)
            }
            acquire(P);
            acquire(C);
            detaching[C] = false;
            if
#ifndef FAULT_no_second_look
            :: count[C] > 0 -> release(C); release(P)
#endif
            :: else ->
                d_step { child = false; parent = false }
                now_empty(C);
                leave_p()
            fi
        fi
    fi
}

/* Under both locks. */
inline attach_c()
{
    if
#ifndef FAULT_blind_attach
    :: cancelled[P] -> cancel_c()
#endif
    :: else
    fi;
    if
    :: !cancelled[C] -> d_step { parent = true; count[P]++; child = true }
    :: else
    fi
}

/* Under lock.  ok: it may start */
inline count_in(gr_)
{
    d_step {
#ifdef FAULT_blind_join
        ok = true;
#else
        ok = !cancelled[gr_];
#endif
        if
        :: ok -> assert(!cancelled[gr_]); count[gr_]++
        :: else
        fi
    }
}

/* In C, by the owner. */
inline join_c()
{
    atomic {
        FREE(C);
        attach = (count[C] == 0 && !parent);
        if
        :: !attach -> count_in(C)
        :: else
        fi
    }
    if
    :: attach -> /* again, in the order of locks */
        acquire(P);
        acquire(C);
        if
        :: count[C] == 0 && !parent -> attach_c()
        :: else
        fi;
        release(P);
        count_in(C);
        atomic { release(C); attach = false }
    :: else
    fi
}

/* By the root, whose group P is: nobody else starts in it. */
inline join_p()
{
    atomic { FREE(P); count_in(P) }
}

inline start(g_)
{
    atomic {
        FREE(GROUP_OF(g_));
        member[g_] = true;
        alive[g_] = true;
#ifndef FAULT_blind_enlist
        flag[g_] = cancelled[GROUP_OF(g_)];
#endif
        started[g_] = true
    }
}

/* Under its group's lock. */
inline end_of_member()
{
    d_step {
        member[me] = false;
        alive[me] = false;
#ifndef FAULT_last_error
        if
        :: first[GROUP_OF(me)] == 0 -> first[GROUP_OF(me)] = ERROR(me)
        :: else
        fi;
#else
        first[GROUP_OF(me)] = ERROR(me);
#endif
        if
        :: ended_first[GROUP_OF(me)] == 0 -> ended_first[GROUP_OF(me)] = ERROR(me)
        :: else
        fi
    }
}

/* ---- Waiting -------------------------------------------------------------------------- */

/* is_over: the group is empty, and as new; else the wait is published */
inline wait_begin(gr_)
{
    atomic {
        FREE(gr_);
#ifdef FAULT_waits_for_count
        is_over = (count[gr_] == 0);
#else
        is_over = (count[gr_] == 0 && !(gr_ == C && parent));
#endif
        if
        :: is_over -> assert(first[gr_] == ended_first[gr_])
        :: else -> assert(waiter[gr_] == NOBODY); waiter[gr_] = me; ticket[gr_] = number[me]
        fi
    }
}

inline wait_end(gr_)
{
    atomic {
        FREE(gr_);
        if
#ifndef FAULT_waiter_stays
        :: waiter[gr_] == me -> waiter[gr_] = NOBODY
#endif
        :: else
        fi
    }
}

/* weft_group_wait; told: the group was cancelled since the caller is. */
inline wait_for(gr_)
{
    do
    :: if
       :: !told && flag[me] && !SHIELDED(me) ->
           acquire(gr_);
           if
           :: gr_ == C -> cancel_c()
           :: else
           fi;
           release(gr_);
           told = true
       :: else
       fi;
       arm(told || SHIELDED(me));
       wait_begin(gr_);
       if
       :: is_over -> state[me] = FIRED; break
       :: else
       fi;
       if
       :: me == OWNER -> published = number[me]
       :: else
       fi;
       wait();
       if
       :: reason[me] != EVENT -> wait_end(gr_)
       :: else
       fi
    od
}

/* The owner's first wait: its deadline may pass or not, and the timer come late. */
proctype timer()
{
    byte how;

end:
    published == 1;
    if
    :: true
    :: wake(OWNER, 1, TIMEOUT)
    fi
}

/* ---- Coroutines ----------------------------------------------------------------------- */

proctype in_c(byte me)
{
    byte w, t, how;

end:
    started[me];
    if
    :: PARKS_ONCE(me) && (!flag[me] || SHIELDED(me)) ->
        arm(SHIELDED(me));
        wait();
        assert(!SHIELDED(me) || reason[me] == EVENT)
    :: else
    fi;
    acquire(C);
    end_of_member();
    leave_c()
}

/* What C2 waits for. */
proctype event()
{
    byte how;

end:
    number[C2] == 1;
    wake(C2, 1, EVENT)
}

proctype owner(byte me)
{
    byte n, w, t, how;
    bool ok, attach, is_over, told;

end:
    started[me];
#ifndef ALONE
    join_c();
    if
    :: ok -> start(C1)
    :: else
    fi;
#endif
    join_c();
    if
    :: ok -> start(C2)
    :: else
    fi;
    wait_for(C);
    assert(!alive[C1] && !alive[C2] && !parent && !child);
    freed[C] = true;
    acquire(P);
    end_of_member();
    leave_p()
}

proctype root(byte me)
{
    byte n, how;
    bool ok, is_over, told;

    join_p();
    if
    :: ok -> start(OWNER)
    :: else
    fi;
    wait_for(P);
    assert(!alive[OWNER] && !alive[C1] && !alive[C2]);
    !cancelling;
    freed[P] = true
}

init
{
    atomic {
        run root(ROOT);
        run owner(OWNER);
        run in_c(C1);
        run in_c(C2);
        run lander(OWNER);
#ifdef PARKS
        run lander(PARKS);
        if
        :: SHIELDED(C2) -> run event()
        :: else
        fi;
#endif
#ifdef DEADLINE
        run timer();
#endif
#ifdef CANCEL
        cancelling = true;
        run canceller();
#endif
        skip
    }
}
