/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sem.c - weft_sem and weft_once.
 *
 * The semaphore's word is the number of permits, doubled, and WAITERS in bit 0.  Permits
 * and waiters are never there together: a release hands its permits to those who wait,
 * oldest first, and keeps what is left.
 *
 *   from          to             by (each one CAS, full; pairs with each other)
 *   n > 0         n - 1          acquire
 *   0             WAITERS        acquire, before it waits, under the bucket's lock
 *   n             n + k          release, nobody waits
 *   WAITERS       n [WAITERS]    release, under the lock: what those who waited left
 *   WAITERS       0              acquire that gave up as the last, under the lock
 */
#include "look.h"
#include "lot.h"
#include "who.h"

#include "coroutine.h"

#define WAITERS ((AO_t)1)
#define PERMIT  ((AO_t)2)

static volatile AO_t *word_of(weft_sem *s)
{
    return (volatile AO_t *)&s->opaque[0];
}

static inline bool swap(volatile AO_t *word, AO_t old, AO_t now)
{
    return AO_compare_and_swap_full(word, old, now); /* pairs with all others on the word */
}

static bool try_acquire(volatile AO_t *word)
{
    for (;;) {
        AO_t w = AO_load(word);
        if (w < PERMIT)
            return false;
        if (swap(word, w, w - PERMIT))
            return true;
    }
}

/* Under the bucket's lock: false if it got a permit after all. */
static bool announce(volatile AO_t *word)
{
    for (;;) {
        if (try_acquire(word))
            return false;
        AO_t w = AO_load(word);
        if (w < PERMIT && swap(word, w, WAITERS))
            return true;
    }
}

static int acquire_slow(wf_m **mp, volatile AO_t *word, weft_time deadline)
{
    const void *key = (const void *)word;
    wf_g       *gp = (*mp)->gp;
    wf_ticket   t = wf_wait_arm(*mp);
    wf_bucket  *b = wf_lot_lock(key);
    if (!announce(word)) {
        wf_lot_unlock(b);
        wf_wait_abandon(*mp, t);
        return 0;
    }
    enum wf_reason why = wf_lot_wait(mp, b, key, 0, WF_LOT_LAST, t, deadline, WF_FOR_SEMAPHORE);
    if (why == WF_EVENT)
        return 0;
    b = wf_lot_forget(gp, key);
    if (!wf_lot_first(b, key))
        swap(word, WAITERS, 0);
    wf_lot_unlock(b);
    return wf_reason_error(why);
}

int weft_sem_acquire(weft_sem *s, weft_time deadline)
{
    wf_m *mp = wf_enter("weft_sem_acquire");
    int   r = 0;
    if (wf_g_cancelled(mp->gp))
        r = -ECANCELED;
    else if (!try_acquire(word_of(s)))
        r = acquire_slow(&mp, word_of(s), deadline);
    wf_leave(mp);
    return r;
}

/* Under the bucket's lock: the word is WAITERS, and only who holds the lock changes it. */
static void hand_out(wf_bucket *b, volatile AO_t *word, AO_t n, wf_glist *out)
{
    const void *key = (const void *)word;
    for (wf_g *gp; n > 0 && (gp = wf_lot_take_first(b, key)); n--)
        wf_glist_push(out, gp);
    AO_store_release(word, wf_lot_first(b, key) ? WAITERS : n * PERMIT); /* pairs with swap */
}

enum runtime { RUNS, RUNS_NOT };

/* Without a runtime, or while it ends, whoever still waits never runs again. */
static void forget_all(wf_bucket *b, const void *key)
{
    for (wf_g *gp; (gp = wf_lot_first(b, key));)
        wf_list_remove(&gp->wait_node);
}

static void release_slow(wf_m *mp, volatile AO_t *word, AO_t n, enum runtime runtime)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_bucket *b = wf_lot_lock((const void *)word);
    AO_t       w = AO_load(word);
    while (!(w & WAITERS) && !swap(word, w, w + n * PERMIT))
        w = AO_load(word);
    if (runtime == RUNS_NOT)
        forget_all(b, (const void *)word);
    if (w & WAITERS)
        hand_out(b, word, n, &out);
    wf_lot_unlock(b);
    wf_ready_list(mp, &out);
}

void weft_sem_release(weft_sem *s, uint32_t n)
{
    volatile AO_t *word = word_of(s);
    for (AO_t w; !((w = AO_load(word)) & WAITERS);)
        if (swap(word, w, w + n * PERMIT))
            return;
    wf_m *mp = wf_m_self();
    if (mp && mp->gp) {
        mp = wf_enter("weft_sem_release");
        release_slow(mp, word, n, RUNS);
        wf_leave(mp);
    } else if (wf_sched_hold()) {
        release_slow(NULL, word, n, RUNS);
        wf_sched_release();
    } else {
        release_slow(NULL, word, n, RUNS_NOT);
    }
}

/* ---- Once ------------------------------------------------------------------------------ */

/*
 *   NEW -> RUNNING  the first call, CAS
 *   RUNNING -> DONE the same call after fn, release, under the bucket's lock; pairs with
 *                   the acquire loads of those who find it done
 */
enum { NEW, RUNNING, DONE };

void wf_once_look(const weft_once *copy, wf_look *out)
{
    out->held = copy->opaque[0] == RUNNING && copy->opaque[1] != 0;
    out->holder = copy->opaque[1];
}

static void finish_once(wf_m *mp, volatile AO_t *word)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_bucket *b = wf_lot_lock((const void *)word);
    for (wf_g *gp; (gp = wf_lot_take_first(b, (const void *)word));)
        wf_glist_push(&out, gp);
    AO_store_release(word, DONE); /* pairs with the acquires below */
    wf_lot_unlock(b);
    wf_ready_list(mp, &out);
}

static void wait_once(wf_m **mp, volatile AO_t *word)
{
    wf_ticket  t = wf_wait_arm_shielded(*mp);
    wf_bucket *b = wf_lot_lock((const void *)word);
    if (AO_load_acquire(word) == DONE) { /* pairs with finish_once */
        wf_lot_unlock(b);
        wf_wait_abandon(*mp, t);
        return;
    }
    (void)wf_lot_wait(mp, b, (const void *)word, 0, WF_LOT_LAST, t, WEFT_FOREVER, WF_FOR_ONCE);
}

void weft_once_do(weft_once *o, void (*fn)(void *arg), void *arg)
{
    volatile AO_t *word = (volatile AO_t *)&o->opaque[0];
    wf_expect_coroutine("weft_once_do");
    if (AO_load_acquire(word) == DONE) /* pairs with finish_once */
        return;
    wf_m *mp = wf_enter("weft_once_do");
    if (AO_compare_and_swap(word, NEW, RUNNING)) { /* one wins: it needs no order */
        o->opaque[1] = wf_who(WF_CALLER);          /* for people */
        unsigned was = mp->gp->shield;
        mp->gp->shield = 1;
        wf_leave(mp); /* fn is the user's: it may park, or block */
        fn(arg);
        mp = wf_enter("weft_once_do");
        mp->gp->shield = was;
        finish_once(mp, word);
    } else {
        wait_once(&mp, word);
    }
    wf_leave(mp);
}
