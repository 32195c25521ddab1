/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rwmutex.c - weft_rwmutex: many readers or one writer, first come, first served.
 *
 *   bit 0     WRITER holds it
 *   bit 1     WAITERS: some wait in the lot; set and cleared under the bucket's lock
 *   bits 2..  the number of readers that hold it
 *
 *   from           to                  by (each one CAS, full; pairs with each other)
 *   r              r + 1               rdlock, neither WRITER nor WAITERS
 *   0              WRITER              lock
 *   any held       the same, WAITERS   rdlock, lock, before they wait, under the lock
 *   r, no WAITERS  r - 1               rdunlock
 *   WRITER         0                   unlock, nobody waits
 *   r, WAITERS     r - 1, WAITERS      rdunlock, under the lock; at 0 it grants
 *   last holder    what the oldest     grant, under the lock: to the oldest writer, or to
 *                  waiters want        all readers that stand before the next writer
 *
 * Newcomers queue behind whoever waits, so neither side starves; what is granted is theirs
 * when they wake, so no wake-up can be lost to a newcomer.
 */
#include "look.h"
#include "lot.h"
#include "who.h"

#define WRITER  ((AO_t)1)
#define WAITERS ((AO_t)2)
#define READER  ((AO_t)4)
#define HELD    (~WAITERS)

enum mode { READ, WRITE };

static volatile AO_t *word_of(weft_rwmutex *m)
{
    return (volatile AO_t *)&m->opaque[0];
}

void wf_rwmutex_look(const weft_rwmutex *copy, wf_look *out)
{
    AO_t w = (AO_t)copy->opaque[0];
    out->held = (w & WRITER) != 0 && copy->opaque[1] != 0;
    out->n = (int64_t)(w / READER);
    out->holder = out->held ? copy->opaque[1] : copy->opaque[2];
}

static inline bool swap(volatile AO_t *word, AO_t old, AO_t now)
{
    return AO_compare_and_swap_full(word, old, now); /* pairs with all others on the word */
}

static bool try_take(volatile AO_t *word, enum mode mode)
{
    for (;;) {
        AO_t w = AO_load(word);
        if (mode == READ ? (w & (WRITER | WAITERS)) != 0 : w != 0)
            return false;
        if (swap(word, w, mode == READ ? w + READER : WRITER))
            return true;
    }
}

/* Under the bucket's lock: false if the lock is free for this one now. */
static bool announce(volatile AO_t *word, enum mode mode)
{
    for (;;) {
        if (try_take(word, mode))
            return false;
        AO_t w = AO_load(word);
        if ((w & HELD) && swap(word, w, w | WAITERS))
            return true;
    }
}

static void take_slow(const char *call, volatile AO_t *word, enum mode mode)
{
    const void *key = (const void *)word;
    wf_m       *mp = wf_enter(call);
    wf_ticket   t = wf_wait_arm_shielded(mp);
    wf_bucket  *b = wf_lot_lock(key);
    if (announce(word, mode)) {
        (void)wf_lot_wait(&mp, b, key, (unsigned char)mode, WF_LOT_LAST, t, WEFT_FOREVER,
                          mode == READ ? WF_FOR_READ_LOCK : WF_FOR_WRITE_LOCK);
    } else {
        wf_lot_unlock(b);
        wf_wait_abandon(mp, t);
    }
    wf_leave(mp);
}

/* Under the bucket's lock; nobody holds it any more. */
static void grant(wf_bucket *b, volatile AO_t *word, wf_glist *out)
{
    const void *key = (const void *)word;
    AO_t        held = 0;
    for (wf_g *gp; (gp = wf_lot_first(b, key)) && !(held & WRITER);) {
        if (gp->wait_mode == WRITE && held)
            break;
        bool      parked;
        enum mode mode = gp->wait_mode;
        if (!wf_lot_take(gp, &parked))
            continue;
        wf_glist_push(out, gp);
        held = mode == WRITE ? WRITER : held + READER;
    }
    if (wf_lot_first(b, key))
        held |= WAITERS;
    /* pairs with all swaps; nobody else writes it while WAITERS stands */
    AO_store_release(word, held);
}

static void release_slow(const char *call, volatile AO_t *word, AO_t what)
{
    wf_glist out;
    wf_glist_init(&out);
    wf_m      *mp = wf_enter(call);
    wf_bucket *b = wf_lot_lock((const void *)word);
    AO_t       w = AO_load(word);
    while (!swap(word, w, w - what))
        w = AO_load(word);
    if (((w - what) & HELD) == 0)
        grant(b, word, &out);
    wf_lot_unlock(b);
    wf_ready_list(mp, &out);
    wf_leave(mp);
}

void weft_rwmutex_rdlock(weft_rwmutex *m)
{
    wf_expect_coroutine("weft_rwmutex_rdlock");
    if (WF_UNLIKELY(!try_take(word_of(m), READ)))
        take_slow("weft_rwmutex_rdlock", word_of(m), READ);
    AO_store((volatile AO_t *)&m->opaque[2], wf_who(WF_CALLER)); /* one of those that read */
}

void weft_rwmutex_lock(weft_rwmutex *m)
{
    wf_expect_coroutine("weft_rwmutex_lock");
    if (WF_UNLIKELY(!try_take(word_of(m), WRITE)))
        take_slow("weft_rwmutex_lock", word_of(m), WRITE);
    m->opaque[1] = wf_who(WF_CALLER); /* for people: by the holder alone */
}

void weft_rwmutex_rdunlock(weft_rwmutex *m)
{
    volatile AO_t *word = word_of(m);
    wf_expect_coroutine("weft_rwmutex_rdunlock");
    for (;;) {
        AO_t w = AO_load(word);
        if (w < READER)
            wf_die("weft_rwmutex_rdunlock: no reader holds the lock");
        if (WF_UNLIKELY(w & WAITERS)) {
            release_slow("weft_rwmutex_rdunlock", word, READER);
            return;
        }
        if (swap(word, w, w - READER))
            return;
    }
}

void weft_rwmutex_unlock(weft_rwmutex *m)
{
    volatile AO_t *word = word_of(m);
    wf_expect_coroutine("weft_rwmutex_unlock");
    m->opaque[1] = 0; /* before it lets go: nobody is said to hold what it does not */
    if (WF_LIKELY(swap(word, WRITER, 0)))
        return;
    if (!(AO_load(word) & WRITER))
        wf_die("weft_rwmutex_unlock: no writer holds the lock");
    release_slow("weft_rwmutex_unlock", word, WRITER);
}
