/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waitgroup.pml - the waitgroup's one word and its chain: runtime/sync.c.
 *
 * Models weft_waitgroup_done and fire_chain, chain_in, without, unlock, chain_out,
 * publish and wait_for_zero, each load and compare-and-swap as one step; the fields of a
 * waiter (wait_next, wait_ticket) are words.  The token is park.pml's: here one CAS decides
 * between the event and an early end, and a waker needs its ticket.
 *
 * Bounds: WAITERS waiters, each waits ROUNDS times on the same waitgroup, the first
 * DEADLINES of them with a deadline that may pass at any time; the others' waits are
 * published by landers, and the last CANCELS of them may be cancelled at any time after
 * that began; COUNT calls of done by as many threads.  The memory is freed as soon as the count is zero and every wait has returned.
 * Properties: nobody touches the waitgroup after that (assertion); a waiter's fields are its
 * own again when its wait returns, and nobody follows them after (assertions); a wait
 * returns 0 only if the count is zero (assertion); everybody returns (invalid end state).
 *
 * run: two    -DWAITERS=2 -DDEADLINES=2 -DROUNDS=1 -DCOUNT=1
 * run: again  -DWAITERS=2 -DDEADLINES=1 -DROUNDS=2 -DCOUNT=1
 * run: count  -DWAITERS=2 -DDEADLINES=1 -DROUNDS=1 -DCOUNT=2
 * run: three  -DWAITERS=3 -DDEADLINES=1 -DROUNDS=1 -DCOUNT=1
 * run: lander -DWAITERS=2 -DDEADLINES=0 -DCANCELS=1 -DROUNDS=2 -DCOUNT=1
 * run: both   -DWAITERS=2 -DDEADLINES=1 -DCANCELS=1 -DROUNDS=1 -DCOUNT=1
 * fault: FAULT_touch_after_zero | done looks at the word again after it made it zero
 * fault: FAULT_ignores_locked -DWAITERS=3 -DDEADLINES=1 -DROUNDS=1 -DCOUNT=1 | chain_in
 * fault: FAULT_not_let_go       | chain_out returns before the chain has let go of its G
 * fault: FAULT_unlock_forgets -DWAITERS=2 -DDEADLINES=1 -DROUNDS=1 -DCOUNT=1 | the rest
 * fault: FAULT_next_late -DWAITERS=2 -DDEADLINES=1 -DROUNDS=2 -DCOUNT=1 | after it let go
 * fault: FAULT_zero_frees_lock  | done fires the chain though it is locked
 * fault: FAULT_lander_early -DWAITERS=1 -DDEADLINES=0 -DCANCELS=1 -DROUNDS=1 -DCOUNT=1 | lets go
 * fault: FAULT_ticket_late -DWAITERS=2 -DDEADLINES=0 -DCANCELS=1 -DROUNDS=1 -DCOUNT=1 | by publish
 */
#ifndef CANCELS
#define CANCELS 0
#endif
#define LOCKED  8
#define CHAIN(w) ((w) % 8)  /* the newest waiter, 1 and up; 0: none */
#define ONE     16
#define COUNT_OF(w) ((w) / ONE)

byte word = COUNT * ONE;
bool freed;
byte returned;               /* waiters that have */
byte wait_next[WAITERS + 1];
byte wait_ticket[WAITERS + 1];
byte waiting[WAITERS + 1];   /* the token: the number of a wait that goes on, or 0 */
bool fired[WAITERS + 1];
bool in_use[WAITERS + 1];    /* the fields belong to the chain */
byte landing[WAITERS + 1];   /* the wait that the lander is to publish */

/* Each look at the word is a touch. */
inline load(to_)
{
    d_step { assert(!freed); to_ = word }
}

inline cas_word(old_, new_, ok_)
{
    d_step {
        assert(!freed);
        ok_ = (word == (old_));
        if
        :: ok_ -> word = (new_)
        :: else
        fi
    }
}

inline may_be_freed()
{
    d_step {
        if
        :: COUNT_OF(word) == 0 && returned == WAITERS -> freed = true
        :: else
        fi
    }
}

/* i: the first of the chain, which belongs to the caller */
inline fire_chain()
{
    do
    :: i == 0 -> break
    :: else ->
        gp = i;
        t = wait_ticket[gp];
#ifdef FAULT_next_late
        d_step { wait_ticket[gp] = 0; in_use[gp] = false }
        i = wait_next[gp];
        d_step { assert(i == 0 || in_use[i]) }
#else
        assert(in_use[gp]);
        i = wait_next[gp];
        d_step { wait_ticket[gp] = 0; in_use[gp] = false }
#endif
        d_step {
            if
            :: waiting[gp] == t -> waiting[gp] = 0; fired[gp] = true
            :: else
            fi
        }
    od;
    gp = 0;
    t = 0
}

proctype worker()
{
    byte old, now, i, gp, t;
    bool ok, zero;

    do
    :: load(old);
        zero = (COUNT_OF(old) == 1);
#ifdef FAULT_zero_frees_lock
        now = (zero -> 0 : old - ONE);
#else
        now = (zero && !(old & LOCKED) -> 0 : old - ONE);
#endif
        atomic {
            cas_word(old, now, ok);
            may_be_freed()
        }
        if
        :: ok -> break
        :: else
        fi
    od;
#ifdef FAULT_touch_after_zero
    load(now);
#endif
    if
#ifdef FAULT_zero_frees_lock
    :: zero -> i = CHAIN(old); fire_chain()
#else
    :: zero && !(old & LOCKED) -> i = CHAIN(old); fire_chain()
#endif
    :: else
    fi
}

/* ok: whether me is in the chain */
inline chain_in()
{
    do
    :: load(old);
        if
#ifndef FAULT_ignores_locked
        :: old & LOCKED /* relax */
#endif
        :: else ->
            if
            :: COUNT_OF(old) == 0 -> ok = false; break
            :: else
            fi;
            wait_next[me] = CHAIN(old);
            atomic {
                cas_word(old, (old & ~7) | me, ok);
                if
                :: ok -> in_use[me] = true
                :: else
                fi
            }
            if
            :: ok -> break
            :: else
            fi
        fi
    od
}

/* rest: the chain from rest on, without me */
inline without()
{
    gp = rest;
    ok = (gp == me);
    if
    :: ok -> rest = wait_next[me]
    :: else ->
        do
        :: gp != 0 && !ok ->
            if
            :: wait_next[gp] == me -> wait_next[gp] = wait_next[me]; ok = true
            :: else
            fi;
            gp = wait_next[gp]
        :: else -> break
        od
    fi;
    gp = 0
}

inline unlock()
{
    do
    :: load(old);
        cas_word(old, (COUNT_OF(old) == 0 -> 0 : (old & ~15) | rest), gone);
        if
        :: gone -> break
        :: else
        fi
    od;
    gone = false;
#ifndef FAULT_unlock_forgets
    i = (COUNT_OF(old) == 0 -> rest : 0);
    fire_chain()
#endif
    skip
}

/* The fields are the G's own again when this returns. */
inline chain_out()
{
    do
    :: wait_ticket[me] == 0 -> break
    :: else ->
        load(old);
        ok = false;
        if
#ifdef FAULT_not_let_go
        :: (old & LOCKED) || CHAIN(old) == 0 -> break
#else
        :: (old & LOCKED) || CHAIN(old) == 0 /* relax */
#endif
        :: else -> cas_word(old, old | LOCKED, ok)
        fi;
        if
        :: ok ->
            rest = CHAIN(old);
            without();
            if
            :: ok -> in_use[me] = false
            :: else
            fi;
            unlock();
            rest = 0
        :: else
        fi;
        if
        :: ok -> break
        :: else
        fi
    od;
    ok = false
}

/* commit_publish and publish: the G has been left */
proctype lander(byte me)
{
    byte n, old;
    bool ok;

end:
    do
    :: atomic { landing[me] > n -> n = landing[me] }
        waiting[me] = n;
#ifdef FAULT_ticket_late
        wait_ticket[me] = n;
#endif
#ifdef FAULT_lander_early
        wait_ticket[me] = 0;
#endif
        chain_in();
        if
        :: !ok ->
            wait_ticket[me] = 0;
            d_step {
                if
                :: waiting[me] == n -> waiting[me] = 0; fired[me] = true
                :: else
                fi
            }
        :: else -> ok = false
        fi
    od
}

proctype waiter(byte me)
{
    byte n, old, i, gp, t, rest;
    bool ok, gone;

    for (n : 1 .. ROUNDS) {
        load(old);
        if
        :: old == 0 -> goto next
        :: else
        fi;
#ifndef FAULT_ticket_late
        wait_ticket[me] = n;
#endif
        if
        :: me > DEADLINES -> atomic { fired[me] = false; landing[me] = n }
        :: else ->
            atomic { waiting[me] = n; fired[me] = false }
            chain_in();
            if
            :: !ok -> waiting[me] = 0; goto next /* the count is zero */
            :: else -> ok = false
            fi
        fi;
        if
        :: fired[me] -> ok = true
        :: atomic { (me <= DEADLINES || me > WAITERS - CANCELS) && waiting[me] == n ->
                    waiting[me] = 0 }
        fi;
        if
        :: ok -> ok = false; assert(COUNT_OF(word) == 0 && !in_use[me])
        :: else -> chain_out(); assert(!in_use[me])
        fi;
next:
        wait_next[me] = 0 /* its next wait may be anywhere */
    }
    atomic { returned++; may_be_freed() }
}

init
{
    byte i;
    atomic {
        for (i : 1 .. COUNT) {
            run worker()
        }
        for (i : 1 .. WAITERS) {
            run waiter(i);
            if
            :: i > DEADLINES -> run lander(i)
            :: else
            fi
        }
        i = 0
    }
}
