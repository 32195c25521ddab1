/* SPDX-License-Identifier: Apache-2.0 */
/*
 * g.h - G, the coroutine: its fields, its lists, and the wait token.
 *
 * Gs are type-stable: their memory is never unmapped nor used for anything else, so
 * a late waker may always look at a token.  This file must never schedule.
 */
#ifndef WF_G_H
#define WF_G_H

#include "base.h"
#include "context.h"
#include "list.h"
#include "stack.h"
#include "timer.h"

struct weft_group;
typedef struct wf_g wf_g;

/*
 * The wait token: one word in which event, deadline, cancellation and close compete
 * for a waiting G.
 *
 *   bits 63..8 the number of the wait, 7..4 the reason, 3 uncancellable, 2 guarded, 1..0 state
 *
 *   from     to       by                 when, order, pairs with
 *   FIRED    ARMED    wf_token_arm       the G itself, before it shows its wait to
 *                                        anybody: plain store, published by the lock
 *                                        or CAS that shows it
 *   ARMED    PARKED   wf_token_park      who landed after the G's switch: CAS, full;
 *                                        the G's registers are saved before it
 *   ARMED    FIRED    wf_token_fire      a waker came first; park then fails and the
 *                                        lander runs the G again
 *   PARKED   FIRED    wf_token_fire      the waker must make the G runnable
 *   ARMED    FIRED    wf_token_withdraw  the G itself decides not to wait
 *   FIRED    PARKED   wf_token_show      the lander, of a wait that it alone publishes,
 *                                        after this: plain store with release
 *   PARKED   ARMED    wf_token_unpark    sysmon, to move the G's stack, as the lander of that
 *                                        switch once more: CAS, full (hibernate.c)
 *   ARMED    PARKED   wf_token_guard     the G itself, guarded: under the guard, which is
 *                                        freed once its registers are saved: plain store
 *   PARKED   FIRED    wf_token_take      an event, guarded: under the guard: plain store
 *   PARKED   FIRED    wf_token_cancel    a canceller, guarded: the same
 *
 * Each wait has another number, and a waker names the wait it means, so a late one
 * (a timer that fires as the event comes) finds another number or FIRED and does
 * nothing.  Exactly one waker wins, and exactly one thread makes the G runnable: the
 * waker that took PARKED away, or the lander whose ARMED -> PARKED failed.
 *
 * No wake-up is lost.  An event, deadline or close sees the wait where it was
 * published (after ARMED) and fires it.  Cancellation is not published: the canceller
 * sets the flag, then looks at the token; the lander sets PARKED, then looks at the
 * flag.  Both are a full-fence read-modify-write followed by a load, so at least one
 * of them sees the other (tests/model/park.pml).
 *
 * A guarded wait is published under one spinning lock, its guard, and has no deadline.  All
 * that happens to its token happens under the guard, which saves two read-modify-writes
 * a wait.  A canceller must come by the guard:
 *
 *   the G       gp->guard = the lock; acquires it; looks at the flag; arms, waits.  It, or
 *               who ends its wait, sets gp->guard = NULL before the lock is freed
 *   canceller   sets the flag; fence; gp->guard: NULL: the G is in no guarded call, or sees
 *               the flag; else acquires that lock and ends the wait if there still is one
 *
 * Acquiring is a full fence, so one of them sees the other.  The lock may lie in memory
 * that is freed when the wait has ended: the canceller therefore counts itself in
 * (wf_guard_users) before it reads gp->guard, and who frees such memory waits until none
 * is in.  Either the canceller's count came first and is waited for, or it reads the NULL
 * that came before the free (tests/model/guard.pml).
 */
typedef AO_t wf_ticket; /* the number of a wait, in its place: low 8 bits zero */

enum wf_token_state { WF_FIRED = 0, WF_ARMED = 1, WF_PARKED = 2 };
enum wf_reason { WF_EVENT = 0, WF_TIMEOUT = 1, WF_CANCEL = 2, WF_CLOSE = 3 };

#define WF_TOKEN_STATE_MASK    ((AO_t)3)
#define WF_TOKEN_GUARDED       ((AO_t)4)
#define WF_TOKEN_UNCANCELLABLE ((AO_t)8)
#define WF_TOKEN_REASON_SHIFT  4
#define WF_TICKET_MASK         (~(AO_t)0xff)

enum { WF_PREFETCH_LINES = 8 };

/* What who takes a G out of a queue must look at first: bits of wf_g.bound, of which it
 * tests all at once. */
enum wf_bound {
    WF_BOUND = 1,     /* only bound_to may run it (pin.c) */
    WF_HIBERNATES = 2 /* its stack is to be restored (hibernate.c) */
};

/* Where a G stands; for dumps, the stop of the runtime, and assertions. */
enum wf_g_state { WF_G_FREE, WF_G_ALIVE, WF_G_ABANDONED };

/* What a G waits for; its words are wf_wait_text (wait.c). */
enum wf_wait_kind {
    WF_FOR_NOTHING,
    WF_FOR_TIME,
    WF_FOR_MUTEX,
    WF_FOR_READ_LOCK,
    WF_FOR_WRITE_LOCK,
    WF_FOR_CONDITION,
    WF_FOR_SEMAPHORE,
    WF_FOR_WAITGROUP,
    WF_FOR_ONCE,
    WF_FOR_GROUP,
    WF_FOR_SEND,
    WF_FOR_RECEIVE,
    WF_FOR_SELECT,
    WF_FOR_READABLE, /* on: its wf_poll_desc; so are the next two */
    WF_FOR_WRITABLE,
    WF_FOR_DESCRIPTOR,
    WF_FOR_TURN_TO_READ, /* on: the descriptor's number; so is the next */
    WF_FOR_TURN_TO_WRITE,
    WF_FOR_FREE_DESCRIPTOR,
    WF_FOR_NAME,
    WF_FOR_KINDS
};

typedef struct wf_what {
    enum wf_wait_kind kind;
    const void       *on; /* the object; NULL where there is none */
} wf_what;

/*
 * A G's turns: `turns` counts how often it was resumed or its stack moved, fctx is NULL
 * while it runs.
 *
 *   wf_turn_begin  who resumes it: fctx = NULL, then turns + 1, then the G may run
 *   wf_turn_move   who moved its stack: turns + 1, then the old place is given back
 *   wf_turn_end    who landed after its switch: fctx, once its registers are saved
 *
 * So another thread may read what only the G itself writes, its stack above all: turns;
 * fctx, not NULL; a copy; turns again.  The same: it was not resumed, and nothing of it
 * moved since fctx was read (snapshot.c).
 */

struct wf_g {
    /* The switch: owned by whoever runs the G, handed over with it. */
    void                  *fctx;  /* saved context; NULL: it runs; of a free G: to be made anew */
    wf_g                  *link;  /* owner of the list it is in */
    volatile AO_t          token; /* atomic; see the table above */
    volatile AO_t          guard; /* atomic: wf_spin *, the lock that guards its wait, or 0 */
    int                    saved_errno; /* carried with the G across switches */
    unsigned               index;       /* fixed: its number, > 0 */
    volatile unsigned      turns;       /* atomic; see above */
    volatile unsigned      wait_began;  /* atomic; the G itself: wf_the_sched.clock then */
    volatile unsigned char state;       /* enum wf_g_state; owner P; ALIVE once all else is set */
    volatile unsigned char fresh;       /* atomic; owner P: has not run yet */
    unsigned char          shield;      /* the G itself: weft_shield */
    volatile unsigned char wait_for;    /* atomic; the G itself: enum wf_wait_kind */
    unsigned char          wait_mode;   /* under the bucket's lock: what a waiter of lot.h wants */
    unsigned char          granted; /* under the bucket's lock: its waker gave it what it wants */
    unsigned char          bound; /* atomic; enum wf_bound: the G itself; sysmon, while it has taken
                                  its token; who resumes it */
    volatile unsigned char cancel;  /* atomic; 1: its group was cancelled */
    volatile AO_t          wait_on; /* the G itself: the object it waits for; lot.h's key */

    void (*fn)(void *);
    void       *arg;
    const void *started_at;   /* where weft_go or its like was called: a return address */
    uint64_t    id;           /* never reused */
    wf_stack    stack;        /* kept when the G is free */
    unsigned    arg_room;     /* bytes below the stack's start that an argument may take */
    unsigned    batch;        /* of free Gs: how many follow in this batch */
    unsigned    pins;         /* the G itself: weft_pin */
    unsigned hibernate_after; /* atomic; the G itself: units of WF_CLOCK_NS, or see hibernate.c */
    struct wf_m *bound_to;    /* the G itself, before it sets bound */

    struct weft_group *group; /* fixed while alive; NULL: none */
    int (*group_fn)(void *);

    volatile wf_ticket wait_ticket; /* under the lock of what it waits for: this wait */
    union {
        wf_g   *wait_next;  /* the waitgroup's chain; the next batch of free Gs */
        int64_t wait_since; /* under the bucket's lock: when it began to wait (lot.h) */
    };
    void     *locals;     /* the G itself: its coroutine-local values (local.c) */
    wf_list   wait_node;  /* under the lock of what it waits for */
    wf_list   group_node; /* under the group's lock */
    wf_timer  timer;      /* of sleeps and deadlines: armed and disarmed by the G */
    void     *borrow;     /* the G itself: the buffers it has borrowed */
    char     *name;       /* malloc'ed or NULL */
    void     *moved;      /* as bound: where its live bytes are while it hibernates, or NULL */
    wf_shadow shadow;
} WF_ALIGNED;

/* A parked G runs soon, after others: its registers and the frames that it returns through
 * come from memory meanwhile.  After a long sleep each of these lines is a cache miss. */
static inline void wf_g_prefetch(const wf_g *gp)
{
    const char *frames = gp->fctx;
#pragma GCC unroll 16
    for (int i = 0; i < WF_PREFETCH_LINES; i++)
        __builtin_prefetch(frames + i * WF_CACHELINE);
}

/* A FIFO of Gs linked by ->link. */
typedef struct wf_glist {
    wf_g *head, **tail;
    int   n;
} wf_glist;

static inline void wf_glist_init(wf_glist *l)
{
    l->head = NULL;
    l->tail = &l->head;
    l->n = 0;
}

static inline void wf_glist_push(wf_glist *l, wf_g *gp)
{
    gp->link = NULL;
    *l->tail = gp;
    l->tail = &gp->link;
    l->n++;
}

static inline wf_g *wf_glist_pop(wf_glist *l)
{
    wf_g *gp = l->head;
    if (gp) {
        l->head = gp->link;
        l->n--;
        if (!l->head)
            l->tail = &l->head;
    }
    return gp;
}

/* ---- Token transitions ---------------------------------------------------- */

static inline wf_ticket wf_token_arm(wf_g *gp, AO_t uncancellable)
{
    AO_t old = AO_load(&gp->token);
    wf_assert((old & WF_TOKEN_STATE_MASK) == WF_FIRED);
    wf_ticket t = (old & WF_TICKET_MASK) + 0x100;
    AO_store(&gp->token, t | uncancellable | WF_ARMED);
    return t;
}

/* By the lander: false if a waker was first (the lander must run the G again). */
static inline bool wf_token_park(wf_g *gp, AO_t armed)
{
    wf_assert((armed & WF_TOKEN_STATE_MASK) == WF_ARMED);
    /* full: pairs with wf_token_fire; the saved registers are seen by who fires */
    return AO_compare_and_swap_full(&gp->token, armed, armed - WF_ARMED + WF_PARKED);
}

/* By the G itself: the token of its next wait as the lander is to show it. */
static inline AO_t wf_token_next(const wf_g *gp, AO_t uncancellable)
{
    AO_t old = AO_load(&gp->token);
    wf_assert((old & WF_TOKEN_STATE_MASK) == WF_FIRED);
    return ((old & WF_TICKET_MASK) + 0x100) | uncancellable | WF_PARKED;
}

/* By the lander: nobody knows of the wait, nor fires what is FIRED. */
static inline void wf_token_show(wf_g *gp, AO_t parked)
{
    /* release, pairs with the CAS in wf_token_fire: a canceller, who asks nobody where to look,
     * sees the saved registers */
    AO_store_release(&gp->token, parked);
}

static inline bool wf_token_is_parked(AO_t token)
{
    return (token & (WF_TOKEN_GUARDED | WF_TOKEN_STATE_MASK)) == WF_PARKED;
}

/* By sysmon: false if a waker was first.  Who succeeds is the lander again: wf_token_park. */
static inline bool wf_token_unpark(wf_g *gp, AO_t parked)
{
    wf_assert(wf_token_is_parked(parked));
    /* full: pairs with wf_token_park, after which the stack is at rest, and wf_token_fire */
    return AO_compare_and_swap_full(&gp->token, parked, parked - WF_PARKED + WF_ARMED);
}

enum wf_fire { WF_LOST, WF_WON, WF_WON_PARKED };

/*
 * Ends wait t for `reason`.  WF_WON_PARKED: the caller must make gp runnable, and
 * nobody else does.  WF_LOST: it had ended already (or is uncancellable).
 */
static inline enum wf_fire wf_token_fire(wf_g *gp, wf_ticket t, enum wf_reason reason)
{
    for (;;) {
        AO_t w = AO_load(&gp->token);
        AO_t state = w & WF_TOKEN_STATE_MASK;
        if ((w & WF_TICKET_MASK) != t || state == WF_FIRED || (w & WF_TOKEN_GUARDED))
            return WF_LOST;
        if (reason == WF_CANCEL && (w & WF_TOKEN_UNCANCELLABLE))
            return WF_LOST;
        AO_t fired = t | ((AO_t)reason << WF_TOKEN_REASON_SHIFT) | WF_FIRED;
        /* full: pairs with wf_token_park */
        if (AO_compare_and_swap_full(&gp->token, w, fired))
            return state == WF_PARKED ? WF_WON_PARKED : WF_WON;
    }
}

/* By the G itself, under the guard, before it leaves; no waker knows of the wait yet. */
static inline void wf_token_guard(wf_g *gp)
{
    AO_t w = AO_load(&gp->token);
    wf_assert((w & WF_TOKEN_STATE_MASK) == WF_ARMED);
    AO_store(&gp->token, w - WF_ARMED + (WF_PARKED | WF_TOKEN_GUARDED));
}

static inline bool wf_token_is_guarded(AO_t token)
{
    return (token & (WF_TOKEN_GUARDED | WF_TOKEN_STATE_MASK)) == (WF_TOKEN_GUARDED | WF_PARKED);
}

/* An event, under the lock that wait t was published under, guarded or not. */
static inline enum wf_fire wf_token_take(wf_g *gp, wf_ticket t)
{
    AO_t w = AO_load(&gp->token);
    if ((w & WF_TICKET_MASK) != t || !wf_token_is_guarded(w))
        return wf_token_fire(gp, t, WF_EVENT);
    AO_store(&gp->guard, 0);
    AO_store(&gp->token, t | ((AO_t)WF_EVENT << WF_TOKEN_REASON_SHIFT) | WF_FIRED);
    return WF_WON_PARKED;
}

/* Under gp->guard: false if gp waits no more, or not to be cancelled. */
static inline bool wf_token_cancel(wf_g *gp)
{
    AO_t w = AO_load(&gp->token);
    if (!wf_token_is_guarded(w) || (w & WF_TOKEN_UNCANCELLABLE))
        return false;
    AO_store(&gp->guard, 0);
    AO_store(&gp->token,
             (w & WF_TICKET_MASK) | ((AO_t)WF_CANCEL << WF_TOKEN_REASON_SHIFT) | WF_FIRED);
    return true;
}

/* By the G itself, still running: false if a waker was first. */
static inline bool wf_token_withdraw(wf_g *gp, wf_ticket t)
{
    return wf_token_fire(gp, t, WF_EVENT) != WF_LOST;
}

static inline enum wf_reason wf_token_reason(const wf_g *gp)
{
    return (enum wf_reason)((AO_load(&gp->token) >> WF_TOKEN_REASON_SHIFT) & 15);
}

/* ---- Turns ---------------------------------------------------------------- */

/* The context to jump to. */
static inline void *wf_turn_begin(wf_g *gp)
{
    void *fctx = gp->fctx;
    wf_assert(!(gp->bound & WF_HIBERNATES));
    gp->fctx = NULL;
    wf_fence_stores(); /* pairs with the looks of who copies (snapshot.c) */
    AO_int_store(&gp->turns, AO_int_load(&gp->turns) + 1);
    wf_fence_stores(); /* the same */
    return fctx;
}

static inline void wf_turn_move(wf_g *gp)
{
    wf_fence_stores(); /* pairs with the looks of who copies (snapshot.c) */
    AO_int_store(&gp->turns, AO_int_load(&gp->turns) + 1);
    wf_fence_stores(); /* the same */
}

static inline void wf_turn_end(wf_g *gp, void *fctx)
{
    wf_fence_stores(); /* pairs with the load of fctx in snapshot.c */
    gp->fctx = fctx;
}

/* ---- The table of all Gs (coroutine.c) ------------------------------------ */

wf_g *wf_g_at(unsigned index);
/* Calls visit on each G that was ever made, free ones too; concurrent with all. */
void wf_g_each(void (*visit)(wf_g *gp, void *arg), void *arg);

#endif
