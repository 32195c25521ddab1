/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - the words that a model's processes share, for all models.
 *
 * Owns mem[], the words, by index.  Every access is one step of its process; between
 * two steps anybody may run.  Must never know what a word means.
 *
 * spin runs everything in one total order, in which no fence is ever missed.  With
 * -DTSO each process therefore has a store buffer of two entries: a store waits there
 * until the process `memory` drains it, at any later time, oldest first, and only its
 * own process reads it meanwhile.  That is x86.  One thing is weaker than x86, so that
 * the models also hold for arm64: a read-modify-write waits until the buffer is empty
 * and keeps others' from the word, but its own store goes into the buffer, so a later
 * load may overtake it unless FENCE stands between (wf_fence_after_rmw in the source).
 * That loads overtake loads is not modelled.
 *
 * Before the include: NPROC processes share NWORD words (each a WORD, byte if not
 * defined).  Every process that uses the macros has a local or parameter `me`, its
 * number from 0.
 */
#ifndef WORD
#define WORD byte
#endif

WORD mem[NWORD];

#ifdef TSO

byte stored[NPROC];  /* entries in the buffer */
byte where0[NPROC];  /* the older entry */
WORD what0[NPROC];
byte where1[NPROC];  /* the younger entry */
WORD what1[NPROC];
bool rmw[NPROC];     /* the older entry is a read-modify-write's */
bool held[NWORD];    /* by one whose store is in a buffer still */

#define LOAD(a)                                                    \
    (stored[me] == 2 && where1[me] == (a) -> what1[me] :           \
    (stored[me] >= 1 && where0[me] == (a) -> what0[me] : mem[a]))

#define FENCE (stored[me] == 0)
#define FENCE_OF(p) (stored[p] == 0) /* as a membarrier does to others */

inline put(a_p, v_p)
{
    if
    :: stored[me] == 0 -> where0[me] = a_p; what0[me] = v_p
    :: else -> where1[me] = a_p; what1[me] = v_p
    fi;
    stored[me]++
}

inline put_rmw(a_p, v_p)
{
    where0[me] = a_p;
    what0[me] = v_p;
    stored[me] = 1;
    rmw[me] = true;
    held[a_p] = true
}

inline store(a_, v_)
{
    d_step { stored[me] < 2; put(a_, v_) }
}

/* ok_: whether the word was old_ and now is v_ */
inline cas(a_, old_, v_, ok_)
{
    d_step {
        stored[me] == 0 && !held[a_];
        if
        :: mem[a_] == (old_) -> put_rmw(a_, v_); ok_ = true
        :: else -> ok_ = false
        fi
    }
}

inline swap(a_, v_, was_)
{
    d_step { stored[me] == 0 && !held[a_]; was_ = mem[a_]; put_rmw(a_, v_) }
}

inline add(a_, n_)
{
    d_step { stored[me] == 0 && !held[a_]; put_rmw(a_, mem[a_] + (n_)) }
}

/* The oldest entry of p becomes memory; one of a held word waits for its holder. */
inline drain(p)
{
    d_step {
        stored[p] > 0 && (rmw[p] || !held[where0[p]]);
        mem[where0[p]] = what0[p];
        if
        :: rmw[p] -> held[where0[p]] = false; rmw[p] = false
        :: else
        fi;
        where0[p] = where1[p];
        what0[p] = what1[p];
        where1[p] = 0;
        what1[p] = 0;
        stored[p]--
    }
}

active proctype memory()
{
end:
    do
    :: drain(0)
#if NPROC > 1
    :: drain(1)
#endif
#if NPROC > 2
    :: drain(2)
#endif
#if NPROC > 3
    :: drain(3)
#endif
#if NPROC > 4
    :: drain(4)
#endif
#if NPROC > 5
#error "memory.h: at most 5 processes"
#endif
    od
}

#else

#define LOAD(a) (mem[a])
#define FENCE true
#define FENCE_OF(p) true

inline store(a_, v_)
{
    mem[a_] = v_
}

inline cas(a_, old_, v_, ok_)
{
    d_step {
        if
        :: mem[a_] == (old_) -> mem[a_] = v_; ok_ = true
        :: else -> ok_ = false
        fi
    }
}

inline swap(a_, v_, was_)
{
    d_step { was_ = mem[a_]; mem[a_] = v_ }
}

inline add(a_, n_)
{
    mem[a_] = mem[a_] + (n_)
}

#endif
