/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c - the waitgroup: one word, so that whoever sees it at zero may free it.
 *
 *   bits 63..32  the count
 *   bit  31      LOCKED: a waiter takes itself out of the chain
 *   bits 30..0   the newest waiter's G index; 0: none.  The chain goes on in the Gs'
 *                wait_next (older waiters), each with its wait_ticket
 *
 *   from          to            by
 *   (c, -, w)     (c+n, -, w)   add, c+n > 0
 *   (c, 0, w)     (0, 0, 0)     add that ends at zero: it owns the chain w, fires all of
 *                               it, and touches the waitgroup no more
 *   (c, L, w)     (0, L, w)     the same while the chain is locked: the lock's holder fires
 *   (c>0, 0, w)   (c, 0, me)    wait, me.wait_next = w
 *   (c>0, 0, w)   (c, L, w)     a wait that ended early (deadline, cancellation)
 *   (c>0, L, w)   (c, 0, w')    its holder has taken itself out
 *   (0, L, w)     (0, 0, 0)     the same, and it fires the rest
 *
 * All are one CAS, full.  A wait that finds LOCKED spins: the holder runs a dozen
 * instructions inside the runtime.  So while LOCKED stands nobody can see the count at
 * zero and free the memory (tests/model/waitgroup.pml).
 */
#include "look.h"
#include "wait.h"

#include <sched.h>

#define LOCKED     ((AO_t)1 << 31)
#define INDEX_MASK (LOCKED - 1)
#define ONE        ((AO_t)1 << 32)

enum { SPINS = 64 };

static volatile AO_t *word_of(weft_waitgroup *wg)
{
    return (volatile AO_t *)&wg->opaque[0];
}

static inline bool swap(volatile AO_t *word, AO_t old, AO_t now)
{
    return AO_compare_and_swap_full(word, old, now); /* pairs with all others on the word */
}

static inline AO_t look(volatile AO_t *word)
{
    return AO_load_acquire(word); /* pairs with all swaps: what came before a done is seen */
}

static int64_t count_of(AO_t w)
{
    return (int64_t)(w >> 32);
}

void wf_waitgroup_look(const weft_waitgroup *copy, wf_look *out)
{
    out->n = count_of((AO_t)copy->opaque[0]);
}

/*
 * The chain belongs to the caller.  Of each G its successor and ticket are read, then
 * wait_ticket = 0 lets go of it: a G that was woken may be gone at once, and one whose
 * wait ended early waits for the 0 (chain_out) before it uses these fields again.
 */
static void fire_chain(AO_t w)
{
    for (unsigned i = (unsigned)(w & INDEX_MASK); i != 0;) {
        wf_g     *gp = wf_g_at(i);
        wf_ticket t = AO_load(&gp->wait_ticket);
        i = gp->wait_next ? gp->wait_next->index : 0;
        AO_store_release(&gp->wait_ticket, 0); /* pairs with chain_out's acquire */
        wf_wake(gp, t, WF_EVENT);
    }
}

static WF_COLD void bad_count(int64_t count, int64_t n)
{
    if (n < -count)
        wf_die("weft_waitgroup_add: the count would become negative (%lld%+lld): more calls of "
               "weft_waitgroup_done than were added",
               (long long)count, (long long)n);
    wf_die("weft_waitgroup_add: the count %lld%+lld is beyond 2^31", (long long)count,
           (long long)n);
}

static inline WF_ALWAYS_INLINE void add(volatile AO_t *word, int64_t n)
{
    for (;;) {
        AO_t    old = look(word);
        int64_t count = count_of(old);
        if (n < -count || n > INT32_MAX - count)
            bad_count(count, n);
        bool zero = count + n == 0 && count > 0;
        AO_t now = zero && !(old & LOCKED) ? 0 : old + (AO_t)n * ONE;
        if (!swap(word, old, now))
            continue;
        if (zero && !(old & LOCKED) && (old & INDEX_MASK))
            fire_chain(old);
        return;
    }
}

void weft_waitgroup_add(weft_waitgroup *wg, int64_t n)
{
    add(word_of(wg), n);
}

void weft_waitgroup_done(weft_waitgroup *wg)
{
    add(word_of(wg), -1);
}

static void relax(int *spins)
{
    if (++*spins % SPINS == 0)
        sched_yield(); /* the holder's thread may have been preempted */
    else
        wf_cpu_relax();
}

/* False: the count is zero, there is nothing to wait for. */
static inline WF_ALWAYS_INLINE bool chain_in(volatile AO_t *word, wf_g *gp)
{
    int spins = 0;
    for (;;) {
        AO_t old = look(word);
        if (old & LOCKED) {
            relax(&spins);
            continue;
        }
        if (count_of(old) == 0)
            return false;
        gp->wait_next = old & INDEX_MASK ? wf_g_at((unsigned)(old & INDEX_MASK)) : NULL;
        if (swap(word, old, (old & ~INDEX_MASK) | gp->index))
            return true;
    }
}

/* The chain without gp; *found tells whether it was in it. */
static AO_t without(AO_t chain, wf_g *gp, bool *found)
{
    wf_g *at = chain ? wf_g_at((unsigned)chain) : NULL;
    *found = at == gp;
    if (*found)
        return gp->wait_next ? gp->wait_next->index : 0;
    for (; at && !*found; at = at->wait_next)
        if (at->wait_next == gp) {
            at->wait_next = gp->wait_next;
            *found = true;
        }
    return chain;
}

static void unlock(volatile AO_t *word, AO_t chain)
{
    for (;;) {
        AO_t old = look(word);
        bool zero = count_of(old) == 0;
        if (!swap(word, old, zero ? 0 : (old & ~(LOCKED | INDEX_MASK)) | chain))
            continue;
        if (zero)
            fire_chain(chain);
        return;
    }
}

/* The wait ended early: out of the chain; or, if the count reached zero meanwhile and
 * the chain is being fired, wait until that has let go of this G. */
static void chain_out(volatile AO_t *word, wf_g *gp)
{
    /* acquire: pairs with fire_chain and publish */
    for (int spins = 0; AO_load_acquire(&gp->wait_ticket) != 0; relax(&spins)) {
        AO_t old = look(word);
        if ((old & LOCKED) || !(old & INDEX_MASK))
            continue;
        if (!swap(word, old, old | LOCKED))
            continue;
        bool found;
        AO_t rest = without(old & INDEX_MASK, gp, &found);
        unlock(word, rest);
        if (found)
            return;
    }
}

/* By the lander.  The 0 lets go of gp, and of the waitgroup, which a G that was cancelled
 * meanwhile may then leave. */
static bool publish(wf_g *gp, void *word)
{
    bool in = chain_in(word, gp);
    if (!in)
        AO_store_release(&gp->wait_ticket, 0); /* pairs with chain_out's acquire */
    return in;
}

/* The count was not zero just now. */
static int wait_for_zero(wf_m **mp, volatile AO_t *word, weft_time deadline)
{
    wf_what what = wf_for(WF_FOR_WAITGROUP, (const void *)word);
    wf_g   *gp = (*mp)->gp;
    AO_t    why = WF_EVENT;
    if (deadline == WEFT_FOREVER) {
        AO_t parked = wf_token_next(gp, gp->shield ? WF_TOKEN_UNCANCELLABLE : 0);
        AO_store(&gp->wait_ticket, parked & WF_TICKET_MASK);
        why = wf_wait_publish(mp, parked, what, publish, (void *)word);
    } else {
        wf_ticket t = wf_wait_arm(*mp);
        AO_store(&gp->wait_ticket, t);
        if (chain_in(word, gp))
            why = wf_wait(mp, t, deadline, what);
        else
            wf_wait_abandon(*mp, t);
    }
    if (why != WF_EVENT)
        chain_out(word, gp);
    return wf_reason_error((enum wf_reason)why);
}

int weft_waitgroup_wait(weft_waitgroup *wg, weft_time deadline)
{
    volatile AO_t *word = word_of(wg);
    wf_m          *mp = wf_enter("weft_waitgroup_wait");
    int            r = 0;
    if (wf_g_cancelled(mp->gp))
        r = -ECANCELED;
    else if (look(word) != 0)
        r = wait_for_zero(&mp, word, deadline);
    wf_leave(mp);
    return r;
}
