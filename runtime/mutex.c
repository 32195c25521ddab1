/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutex.c - weft_mutex and weft_cond.
 *
 * The mutex is one word:
 *   LOCKED   somebody holds it
 *   WAITERS  some wait in the lot; set and cleared under the bucket's lock
 *   WOKEN    one of them was woken and has not yet tried: no need to wake another
 *   above    who holds it, for people (who.h): comes with LOCKED and goes with it, so that
 *            nobody is ever said to hold what it does not; one that it was handed to says so
 *            when it runs
 *
 *   from              to                by (each one CAS, full, but for the stores told of below)
 *   0 (-, W, k)       LOCKED            lock, trylock: whoever comes; the woken one clears k
 *   LOCKED            LOCKED, WAITERS   lock, before it waits; the woken one clears WOKEN
 *   LOCKED [k]        0 [k]             unlock: nobody waits, or one is on its way already
 *   LOCKED, WAITERS   WOKEN [W]         unlock: wakes the oldest, which tries again
 *   LOCKED, WAITERS   LOCKED [W]        unlock: hands the lock to the oldest, which has
 *                                       waited for more than 1 ms: nobody starves
 *   WOKEN             0                 abandon: the runtime stopped before it could try
 *
 * As in Go's mutex a newcomer may take a free lock before the one that was woken, which
 * keeps the lock busy; one that was passed so waits on as the first of the queue.  No
 * wake-up is lost: WAITERS is set while LOCKED stands, under the bucket's lock, and the
 * unlock that finds WAITERS without WOKEN takes that lock and looks.
 *
 * While nobody has ever waited for a mutex of its bucket, unlock is no CAS but a store, which may
 * overwrite a WAITERS that is set meanwhile.  So before it sets the first one, who waits marks the
 * bucket and passes a membarrier (lot.h); and who freed the lock by a store looks at the mark once
 * more.  If its look came before the barrier, so did its store: the waiter sees the lock free.
 * Else it finds the mark, and wakes the oldest (wake_overwritten): it touches the word only if it
 * found one, since without one that waits for a mutex this may be gone, and its memory another's.
 * tests/model/mutex.pml is the model.
 *
 * With one P, whoever is inside with it is alone: a P is only taken from who is outside, and a
 * coroutine whose P was taken waits for it when it enters.  So lock and unlock enter there, which
 * is two stores, and store the word (take_alone, free_alone) where else they would swap it.  Not
 * where a run before left coroutines behind: these go on without a P, and swap.
 */
#include "look.h"
#include "lot.h"
#include "who.h"

#define LOCKED  ((AO_t)1)
#define WAITERS ((AO_t)2)
#define WOKEN   ((AO_t)4)
#define FLAGS   ((AO_t)7)

_Static_assert(WF_WHO_BITS + 3 <= 8 * sizeof(AO_t), "who holds it fits above the flags");

#define STARVING_NS (1 * WEFT_MS)

enum { PAUSES_FIRST = 16, PAUSES_LAST = 64 };

static volatile AO_t *word_of(weft_mutex *m)
{
    return (volatile AO_t *)&m->opaque[0];
}

static inline bool swap(volatile AO_t *word, AO_t old, AO_t now)
{
    return AO_compare_and_swap_full(word, old, now); /* pairs with all others on the word */
}

/* What the word is for the caller of a call that locks. */
static inline AO_t held_by(const void *caller)
{
    return (AO_t)wf_who(caller) << 3 | LOCKED;
}

void wf_mutex_look(const weft_mutex *copy, wf_look *out)
{
    out->holder = copy->opaque[0] >> 3;
    out->held = out->holder != 0;
}

/* ---- Locking ------------------------------------------------------------------------ */

static inline bool try_lock(volatile AO_t *word, AO_t held, AO_t clear)
{
    AO_t w = AO_load(word);
    return !(w & LOCKED) && swap(word, w, (w & ~clear) | held);
}

/* try_lock on the only P; false too where that was taken meanwhile. */
static inline bool take_alone(wf_m *mp, volatile AO_t *word, AO_t held)
{
    bool done = false;
    if (WF_LIKELY(wf_try_enter(mp))) {
        AO_t w = AO_load(word);
        done = !(w & LOCKED);
        if (WF_LIKELY(done))
            AO_store(word, w | held);
    }
    wf_leave(mp);
    return done;
}

/* The holder may run on another P and be done at once.  Each look takes the line from it,
 * which costs it more than these pauses: so they are few, and ever longer apart.  One that was
 * woken looks so too: if it waits again at once, the next unlock has to wake it again. */
static bool try_for_a_moment(volatile AO_t *word, AO_t held, AO_t clear)
{
    if (wf_the_sched.procs == 1)
        return try_lock(word, held, clear);
    for (int pauses = PAUSES_FIRST; pauses <= PAUSES_LAST; pauses *= 2) {
        if (try_lock(word, held, clear))
            return true;
        for (int i = 0; i < pauses; i++)
            wf_cpu_relax();
    }
    return false;
}

/* Under the bucket's lock, before a wait: false if the lock is free now. */
static bool announce(volatile AO_t *word, AO_t clear)
{
    for (;;) {
        AO_t w = AO_load(word);
        if (!(w & LOCKED))
            return false;
        if (swap(word, w, (w | WAITERS) & ~clear))
            return true;
    }
}

/* Under the bucket's lock: no waiter is left. */
static void nobody_waits(volatile AO_t *word)
{
    for (AO_t w = AO_load(word); !swap(word, w, w & ~WAITERS);)
        w = AO_load(word);
}

/* The one that was on its way never comes: who unlocks next wakes another. */
void wf_mutex_abandon(wf_g *gp)
{
    AO_t token = AO_load(&gp->token);
    bool woken = (token & WF_TOKEN_STATE_MASK) == WF_FIRED && wf_token_reason(gp) == WF_EVENT;
    if (gp->wait_for != WF_FOR_MUTEX || !woken || gp->granted)
        return;
    volatile AO_t *word = (volatile AO_t *)AO_load(&gp->wait_on);
    for (AO_t w = AO_load(word); !swap(word, w, w & ~WOKEN);)
        w = AO_load(word);
}

static int give_up(wf_g *gp, volatile AO_t *word, enum wf_reason why)
{
    wf_bucket *b = wf_lot_forget(gp, (const void *)word);
    if (!wf_lot_first(b, (const void *)word))
        nobody_waits(word);
    wf_lot_unlock(b);
    return wf_reason_error(why);
}

enum how { CANCELLABLE, THROUGH_CANCELLATION };

/* It was handed to the caller, under another's hands. */
static void say_who(volatile AO_t *word, AO_t held)
{
    for (AO_t w = AO_load(word); !swap(word, w, w | held);)
        w = AO_load(word);
}

static int lock_slow(wf_m **mp, volatile AO_t *word, AO_t held, weft_time deadline, enum how how)
{
    wf_g *gp = (*mp)->gp;
    AO_t  clear = 0; /* WOKEN, once this one was woken */
    for (int64_t since = 0; !try_for_a_moment(word, held, clear);) {
        since = since ? since : wf_now();
        wf_ticket  t = how == CANCELLABLE ? wf_wait_arm(*mp) : wf_wait_arm_shielded(*mp);
        wf_bucket *b = wf_lot_lock((const void *)word);
        wf_lot_mark((const void *)word);
        if (!announce(word, clear)) {
            wf_lot_unlock(b);
            wf_wait_abandon(*mp, t);
            continue;
        }
        gp->wait_since = since;
        enum wf_reason why =
            wf_lot_wait(mp, b, (const void *)word, 0, clear ? WF_LOT_FIRST : WF_LOT_LAST, t,
                        deadline, WF_FOR_MUTEX);
        if (why != WF_EVENT)
            return give_up(gp, word, why);
        if (gp->granted) {
            say_who(word, held);
            return 0;
        }
        clear = WOKEN;
    }
    return 0;
}

static WF_NOINLINE void lock_contended(volatile AO_t *word, AO_t held)
{
    wf_m *mp = wf_enter("weft_mutex_lock");
    (void)lock_slow(&mp, word, held, WEFT_FOREVER, THROUGH_CANCELLATION);
    wf_leave(mp);
}

void weft_mutex_lock(weft_mutex *m)
{
    wf_m *mp = wf_expect_coroutine("weft_mutex_lock");
    AO_t  held = held_by(WF_CALLER);
    bool  done = wf_alone() ? take_alone(mp, word_of(m), held) : try_lock(word_of(m), held, 0);
    if (WF_UNLIKELY(!done))
        lock_contended(word_of(m), held);
}

bool weft_mutex_trylock(weft_mutex *m)
{
    wf_m *mp = wf_expect_coroutine("weft_mutex_trylock");
    bool  alone = wf_alone();
    if (alone)
        wf_enter_as(mp);
    bool done = try_lock(word_of(m), held_by(WF_CALLER), 0);
    if (alone)
        wf_leave(mp);
    return done;
}

int weft_mutex_lock_until(weft_mutex *m, weft_time deadline)
{
    wf_m *mp = wf_enter("weft_mutex_lock_until");
    AO_t  held = held_by(WF_CALLER);
    int   r = 0;
    if (wf_g_cancelled(mp->gp))
        r = -ECANCELED;
    else if (!try_lock(word_of(m), held, 0))
        r = lock_slow(&mp, word_of(m), held, deadline, CANCELLABLE);
    wf_leave(mp);
    return r;
}

/* ---- Unlocking ------------------------------------------------------------------------ */

/* Under the bucket's lock: from now on the word is as given, whatever it was. */
static void settle(volatile AO_t *word, AO_t now)
{
    for (AO_t w = AO_load(word); !swap(word, w, now);)
        w = AO_load(word);
}

static void wake_oldest(wf_m *mp, volatile AO_t *word)
{
    const void *key = (const void *)word;
    wf_bucket  *b = wf_lot_lock(key);
    wf_g       *gp = wf_lot_take_first(b, key);
    AO_t        left = wf_lot_first(b, key) ? WAITERS : 0;
    if (gp) {
        gp->granted = wf_now() - gp->wait_since > STARVING_NS;
        left |= gp->granted ? LOCKED : WOKEN;
    }
    settle(word, left); /* after this the mutex may be gone */
    wf_lot_unlock(b);
    if (gp)
        wf_ready(mp, gp);
}

/*
 * Where nobody is to be woken.  While one is on its way others may lock and unlock very
 * often: so this is not the slow half, and a CAS that cannot succeed is not tried.
 */
static inline bool wakes_nobody(AO_t w)
{
    return (w & LOCKED) && (w & (WAITERS | WOKEN)) != WAITERS;
}

static inline bool try_unlock(volatile AO_t *word)
{
    AO_t w = AO_load(word);
    return wakes_nobody(w) && swap(word, w, w & FLAGS & ~LOCKED);
}

/* try_unlock on the only P; false too where that was taken meanwhile. */
static inline bool free_alone(wf_m *mp, volatile AO_t *word)
{
    bool done = false;
    if (WF_LIKELY(wf_try_enter(mp))) {
        AO_t w = AO_load(word);
        done = wakes_nobody(w);
        if (WF_LIKELY(done))
            AO_store(word, w & FLAGS & ~LOCKED);
    }
    wf_leave(mp);
    return done;
}

/* wf_lot_take_first of those that wait for a mutex.  If that is gone, its memory may be a semaphore's
 * by now, or another lock's, whose waiters have the same key. */
static wf_g *take_first(wf_bucket *b, const void *key)
{
    bool parked;
    for (wf_g *gp = wf_lot_first(b, key), *next; gp; gp = next) {
        next = wf_lot_next(b, gp);
        if (AO_char_load(&gp->wait_for) == WF_FOR_MUTEX && wf_lot_take(gp, &parked))
            return gp;
    }
    return NULL;
}

/* Who was about to wait as the caller's store freed the lock: its WAITERS may be gone. */
static WF_NOINLINE void wake_overwritten(volatile AO_t *word)
{
    const void *key = (const void *)word;
    wf_m       *mp = wf_enter("weft_mutex_unlock");
    wf_bucket  *b = wf_lot_lock(key);
    wf_g       *gp = take_first(b, key);
    if (gp) {
        AO_t left = WOKEN | (wf_lot_first(b, key) ? WAITERS : 0);
        for (AO_t w = AO_load(word); !swap(word, w, (w & ~WAITERS) | left);)
            w = AO_load(word);
    }
    wf_lot_unlock(b);
    if (gp)
        wf_ready(mp, gp);
    wf_leave(mp);
}

/* By a store, where nobody has ever waited. */
static inline bool free_unwaited(volatile AO_t *word)
{
    AO_t w = AO_load(word);
    if (wf_lot_marked((const void *)word) || (w & FLAGS) != LOCKED)
        return false;
    AO_store_release(word, 0); /* pairs with the CAS of who locks next */
    wf_compiler_barrier();     /* pairs with the membarrier in wf_lot_mark */
    if (WF_UNLIKELY(wf_lot_marked((const void *)word)))
        wake_overwritten(word);
    return true;
}

static void unlock_slow(wf_m *mp, volatile AO_t *word, const char *call)
{
    for (;;) {
        AO_t w = AO_load(word);
        if (!(w & LOCKED))
            wf_die("%s: the mutex is not locked", call);
        if ((w & WAITERS) && !(w & WOKEN)) {
            wake_oldest(mp, word);
            return;
        }
        if (swap(word, w, w & FLAGS & ~LOCKED))
            return;
    }
}

static WF_NOINLINE void unlock_contended(volatile AO_t *word)
{
    wf_m *mp = wf_enter("weft_mutex_unlock");
    unlock_slow(mp, word, "weft_mutex_unlock");
    wf_leave(mp);
}

void weft_mutex_unlock(weft_mutex *m)
{
    wf_m *mp = wf_expect_coroutine("weft_mutex_unlock");
    bool  done = wf_alone() ? free_alone(mp, word_of(m))
                            : free_unwaited(word_of(m)) || try_unlock(word_of(m));
    if (WF_UNLIKELY(!done))
        unlock_contended(word_of(m));
}

/* ---- Conditions -------------------------------------------------------------------------- */

/*
 * opaque[0] of a condition: 1 while some wait, so that signalling nobody costs a load.
 * Written under the bucket's lock, before a waiter is woken: then the memory may be gone.
 * Each release pairs with the acquire in signal_call.
 */
static volatile AO_t *waiting_of(weft_cond *c)
{
    return (volatile AO_t *)&c->opaque[0];
}

int weft_cond_wait(weft_cond *c, weft_mutex *m, weft_time deadline)
{
    wf_m *mp = wf_enter("weft_cond_wait");
    wf_g *gp = mp->gp;
    if (!(AO_load(word_of(m)) & LOCKED))
        wf_die("weft_cond_wait: the mutex is not locked");
    if (wf_g_cancelled(gp)) {
        wf_leave(mp);
        return -ECANCELED;
    }
    wf_ticket  t = wf_wait_arm(mp);
    wf_bucket *b = wf_lot_lock(c);
    wf_lot_add(b, gp, c, t);
    AO_store_release(waiting_of(c), 1); /* pairs with signal_call */
    wf_lot_unlock(b);
    unlock_slow(mp, word_of(m), "weft_cond_wait");
    enum wf_reason why = wf_wait(&mp, t, deadline, wf_for(WF_FOR_CONDITION, c));
    if (why != WF_EVENT) {
        b = wf_lot_forget(gp, c);
        AO_store_release(waiting_of(c), wf_lot_first(b, c) != NULL);
        wf_lot_unlock(b);
    }
    AO_t held = held_by(WF_CALLER);
    if (!try_lock(word_of(m), held, 0))
        (void)lock_slow(&mp, word_of(m), held, WEFT_FOREVER, THROUGH_CANCELLATION);
    wf_leave(mp);
    return wf_reason_error(why);
}

/* The oldest, or all; each wait that had ended otherwise is passed over. */
static void wake(wf_m *mp, weft_cond *c, bool all)
{
    wf_glist out;
    bool     parked, more = true;
    wf_glist_init(&out);
    wf_bucket *b = wf_lot_lock(c);
    for (wf_g *gp; more && (gp = wf_lot_first(b, c));) {
        AO_store_release(waiting_of(c), wf_lot_next(b, gp) != NULL);
        if (!wf_lot_take(gp, &parked))
            continue;
        if (parked)
            wf_glist_push(&out, gp);
        more = all;
    }
    wf_lot_unlock(b);
    wf_ready_list(mp, &out);
}

static void signal_call(const char *call, weft_cond *c, bool all)
{
    wf_expect_coroutine(call);
    if (!AO_load_acquire(waiting_of(c))) /* pairs with the releases */
        return;
    wf_m *mp = wf_enter(call);
    wake(mp, c, all);
    wf_leave(mp);
}

void weft_cond_signal(weft_cond *c)
{
    signal_call("weft_cond_signal", c, false);
}

void weft_cond_broadcast(weft_cond *c)
{
    signal_call("weft_cond_broadcast", c, true);
}
