/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched.h - M, P and what they share; the entry check; parking and readying.
 *
 * G is a coroutine (g.h), M a thread, P the right to run Gs.  An M that holds a P is
 * either running a G or is on its g0 (its own stack), looking for one.
 */
#ifndef WF_SCHED_H
#define WF_SCHED_H

#include "g.h"
#include "lock.h"
#include "os.h"
#include "poll_desc.h"
#include "runq.h"
#include "timer.h"

#include <time.h>

typedef struct wf_m wf_m;
typedef struct wf_p wf_p;

/*
 * An M's grip on its P, which every call of weft checks: the P of an M whose G blocks or
 * computes for long without a call is taken and given to another M (retake.c).
 *
 *   from    to      by
 *   HELD    TAKING  the taker, by CAS: it means to take or to borrow the P
 *   HELD    ASKED   wf_p_retake, wf_p_take, by CAS: the same, and the owner is to let it
 *   TAKING, ASKED -> HELD  wf_grip_regain: the owner came inside, and keeps the P: CAS
 *                   take: the taker saw `inside` set: CAS
 *   TAKING, ASKED -> LOST  wf_p_take_blocked; wf_p_retake, wf_p_take: CAS after the membarrier;
 *                   the P is the taker's
 *   TAKING  LENT    wf_p_lend: the same, for a moment, in which the taker may do what else
 *                   only the owner may: take runnext
 *   LENT    HELD    wf_p_lend: release by the taker; the owner, if it comes, waits for it
 *   HELD    LOST    weft_block_enter: the M itself gave its P away
 *   LOST    HELD    wf_own, under sched.lock: with another P
 *
 * The owner stores `inside`, then loads the grip; the taker stores TAKING, passes a
 * membarrier (a full fence on every thread), then loads `inside`.  So either the owner
 * sees TAKING and contests it by CAS, or the taker sees `inside` and lets go: never do
 * both believe that they own the P.  The taker holds sched.lock, so pp->m is stable.  The
 * owner pays a store, a compiler barrier and a load of the same cache line; the fence is
 * the taker's.  `inside` is set while anything of the runtime is in use and cleared round
 * users' callbacks: no holder of a lock loses its P (tests/model/grip.pml).
 *
 * A coroutine whose P is retaken has had it for long, or is to end.  If it calls weft every few
 * nanoseconds no membarrier finds it outside; so who comes inside and finds ASKED steps out again
 * for a moment.
 */
enum wf_grip { WF_GRIP_HELD, WF_GRIP_TAKING, WF_GRIP_ASKED, WF_GRIP_LENT, WF_GRIP_LOST };

enum wf_p_status { WF_P_IDLE, WF_P_RUNNING }; /* in the idle list or not; under sched.lock */

struct wf_p {
    wf_runq runq;

    /* What whoever looks for work reads of every P has a line that changes seldom: in the
     * owner's, each look would cost the owner a miss at its next switch. */
    volatile AO_t status WF_ALIGNED; /* enum wf_p_status */
    volatile AO_t owners;            /* under sched.lock: how often it got an M */
    wf_m         *m;                 /* under sched.lock */
    wf_p         *link;              /* under sched.lock: idle list */
    unsigned      id;                /* fixed */
    volatile AO_t next_seen;         /* the spinner: a runnext that was not shared, and since */
    volatile AO_t next_since;        /* when it has seen that */

    volatile AO_t polled WF_ALIGNED; /* owner writes: when it last polled, ns */
    volatile AO_t blocks;      /* owner, then taker: odd between block_enter and block_leave */
    volatile AO_t blocks_long; /* hint: blocks last so long that the P is better given up */

    volatile AO_t poke WF_ALIGNED; /* atomic; others ask the owner for a slow look */
    volatile AO_t tick;            /* owner writes, sysmon reads: one a switch */
    wf_random     random;          /* owner */

    wf_g    *free;  /* owner: dead Gs with default stacks, newest first */
    wf_g    *spare; /* owner: a full batch of them, or NULL */
    unsigned nfree;
    unsigned batch_left; /* owner: Gs of polls and timers not yet run */
    unsigned batch_run;
    AO_t     looked;      /* owner: the tick of the last look at the global queue, see take_old */
    bool     global_turn; /* taker, then owner: the global queue comes before the ring */
    AO_t given; /* under sched.lock: tick + owners when a G was last given it that waited there */
    int64_t  batch_time;
    AO_t     oldest; /* owner: the ring's head as last seen by oldest_is_due */
    int64_t  oldest_since;
    void    *buffers; /* owner: free read buffers (net) */
    int      nbuffers;
    void    *timers_kept; /* owner: memory of freed weft_timers (chan_timer.c) */
    int      n_timers_kept;
    AO_t     io_tick; /* owner: the switch after which io_run attempts were made (net) */
    unsigned io_run;
    uint64_t next_id, end_id; /* owner: coroutine numbers set aside */

    volatile AO_t coming; /* owner writes: a timer that it is about to add; else WF_TIMER_NONE */

    /* Counters: the owner writes, wf_stats reads. */
    volatile AO_t n_started, n_finished, n_lone_yields, n_steals, n_stolen, n_polls, n_poll_events;
    volatile AO_t n_opened, n_closed; /* the same: descriptors registered and not; see epoll.c */

    wf_poll_spares polls; /* owner */

    wf_timer_heap timers WF_ALIGNED;
};

/* What the one who lands does for the G that was left. */
enum wf_commit {
    WF_COMMIT_NONE,
    WF_COMMIT_PARK,
    WF_COMMIT_GUARDED,
    WF_COMMIT_PUBLISH,
    WF_COMMIT_YIELD,
    WF_COMMIT_EXIT,
    WF_COMMIT_GLOBAL
};

struct wf_m {
    volatile AO_t inside;    /* atomic: this thread uses the runtime or its P; see wf_grip */
    volatile AO_t grip;      /* enum wf_grip; see the table */
    wf_p         *pp;        /* the M itself; stale once the grip is lost */
    wf_g         *gp;        /* the G it runs; NULL on g0 and between block_enter and leave */
    wf_g         *blocked;   /* the G between block_enter and leave */
    int          *errno_loc; /* of this thread */

    wf_g          *prev; /* the G that was left; read by who lands */
    enum wf_commit commit;
    AO_t           commit_token;
    bool (*commit_fn)(wf_g *gp, void *arg);
    void (*after_fn)(void *arg);
    void *commit_arg;

    wf_g              g0;           /* its own stack: only fctx and shadow are used */
    volatile unsigned park_word;    /* futex: 1 = a P (or the end) was handed over */
    wf_p             *nextp;        /* under sched.lock: handed over while it slept */
    bool              spinning;     /* the M itself; set by the waker with nextp */
    bool              woken;        /* the same: by a waker, and it has not found work since */
    wf_g             *pinned;       /* the M itself: the only G that it may run (weft_pin) */
    volatile AO_t     waits_pinned; /* the M itself: on g0, for a P for that G */
    bool              surplus; /* under sched.lock: as it went idle there were enough without it */
    bool              retired; /* the M itself: it ends, having been idle for long */
    bool              zombie;  /* under sched.lock: abandoned by the stop, in other code */
    bool              exited;  /* under sched.lock: it touches nothing of the runtime any more */
    unsigned          block_depth;
    int64_t           gave_up_at; /* when block_enter gave its P away at once; 0: it did not */
    clockid_t         cpu_clock;  /* fixed: of this thread's CPU time */
    volatile unsigned tid;        /* atomic: the kernel's number of this thread; 0: none yet */
    wf_m             *link;       /* under sched.lock: idle list */
    wf_m             *all;        /* under sched.lock: all Ms */
    void             *sigstack;
    uint64_t          thread;     /* pthread_t */
    struct wf_uring  *ring;       /* the M itself: NULL: it has none yet (uring.c) */
    int64_t           ring_again; /* the M itself: it could have none: when to try anew; else 0 */
    unsigned          ring_turns; /* the M itself: polls of it that found something */
};

/* By lines of the cache: what changes seldom, and is read at each switch, lies apart from
 * what changes as Ps idle and spin, and that apart from what changes under the lock. */
typedef struct wf_sched {
    int           procs WF_ALIGNED; /* fixed while running */
    bool          may_spin;         /* fixed: at least 2 Ps and a quota of 2 CPUs */
    uint8_t       stack_class;      /* fixed */
    unsigned      hibernate_after;  /* fixed: of coroutines that do not say; see hibernate.c */
    volatile AO_t stopping;         /* atomic; main returned: all are cancelled */
    volatile AO_t stopped;          /* atomic; nothing is scheduled any more */
    volatile AO_t clock; /* coarse: units of WF_CLOCK_NS; by whoever has just read the time */
    void (*lockcheck)(unsigned long long id, const char *name, const char *what); /* fixed */
    wf_p **ps; /* fixed while running */

    /* Read on every ready; written when Ps idle or spin. */
    volatile AO_t n_idle_p WF_ALIGNED; /* atomic; changed under lock */
    volatile AO_t n_spinning;          /* atomic; 0 or 1 */
    volatile AO_t futile; /* a wake-up for a lone runnext found nothing; until sysmon's next tick */

    volatile AO_t poll_state WF_ALIGNED; /* enum wf_poll_state; see below */
    volatile AO_t poll_until;            /* when the blocked poller returns by itself */
    volatile AO_t sysmon_asleep;         /* see sysmon.c */
    volatile AO_t n_global;              /* the length of global; written under lock */

    wf_lock           lock WF_ALIGNED;
    wf_glist          global;      /* under lock */
    wf_p             *idle_p;      /* under lock */
    wf_m             *idle_m;      /* under lock */
    wf_m             *poller;      /* under lock: who is in the blocking poll */
    int               n_idle_m;    /* under lock */
    wf_m             *retired;     /* under lock: the last that ended; the next one joins it */
    wf_m             *all_m;       /* under lock */
    int               n_threads;   /* under lock */
    int               n_exited;    /* under lock: of n_threads */
    int               max_threads; /* fixed */
    bool              short_said;  /* under lock: that a thread could not be made */
    volatile AO_t     short_until; /* atomic; the last one could not: when to try again; else 0 */
    volatile AO_t     n_parks, n_wakes, n_handoffs; /* counters, atomic adds */
    volatile AO_t     n_started, n_finished;        /* by threads without a P */
    volatile AO_t     n_polls, n_poll_events;       /* by threads without a P */
    volatile unsigned exit_word;   /* futex: changes as Ms exit and as the last G ends */
    volatile AO_t gate WF_ALIGNED; /* last; 1: running; 2 for each foreign thread inside (m.c) */
} wf_sched;

extern wf_sched wf_the_sched;

/* Atomic: one P, and nobody is left of a run before; who is left looks too, while the next one's
 * wf_sched is made. */
extern volatile AO_t wf_one_p;

/* Whoever is inside with a P is alone. */
static inline bool wf_alone(void)
{
    return AO_load(&wf_one_p);
}

/*
 * The coarse clock, which a park reads for nothing.  sysmon sets it at each look, so it
 * is late by its tick while Ps run; who ends an idleness sets it before anybody runs.
 */
#define WF_CLOCK_NS (10 * WEFT_MS)

static inline void wf_clock_set(int64_t now)
{
    AO_t clock = (AO_t)(now / WF_CLOCK_NS);
    if (clock != AO_load(&wf_the_sched.clock)) /* its line is every switch's */
        AO_store(&wf_the_sched.clock, clock);
}

/* ---- Entry check ---------------------------------------------------------- */

extern _Thread_local wf_m *wf_this_m; /* never by its name: see wf_m_self */

/*
 * The M of this thread, NULL outside.  The result is never kept across a park: the G may have
 * moved.  Nor may a compiler keep the address, which is another thread's then: this load it does
 * not see.
 */
#if defined(__x86_64__)
static inline wf_m *wf_m_self(void)
{
    wf_m *mp;
    __asm__ volatile("movq wf_this_m@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0"
                     : "=r"(mp)
                     :
                     : "memory");
    return mp;
}
#else
wf_m *wf_m_self(void);
#endif

WF_COLD _Noreturn void wf_die_outside(const wf_m *mp, const char *call);
WF_COLD void           wf_enter_slow(wf_m *mp);
WF_COLD bool           wf_grip_regain(wf_m *mp); /* inside: false if it has lost its P */
WF_COLD _Noreturn void wf_sleep_for_ever(void);
void                   wf_m_set_self(wf_m *mp);

/* Dies if this thread runs no coroutine: first in calls that mostly need no P, and do not enter. */
static inline wf_m *wf_expect_coroutine(const char *call)
{
    wf_m *mp = wf_m_self();
    if (WF_UNLIKELY(!mp || !mp->gp))
        wf_die_outside(mp, call);
    return mp;
}

/* By a thread that runs a coroutine.  Inside either way; false: its P may be another's, so it
 * must leave, or regain it as wf_enter_slow does. */
static inline bool wf_try_enter(wf_m *mp)
{
    AO_store(&mp->inside, 1);
    wf_compiler_barrier(); /* pairs with the membarrier in retake.c's take */
    /* acquire: pairs with the release in wf_p_lend */
    return AO_load_acquire(&mp->grip) == WF_GRIP_HELD;
}

/* By a thread that runs a coroutine: the check alone. */
static inline void wf_enter_as(wf_m *mp)
{
    if (WF_UNLIKELY(!wf_try_enter(mp)))
        wf_enter_slow(mp);
}

/* Every call that needs a P starts with wf_enter and ends with wf_leave. */
static inline wf_m *wf_enter(const char *call)
{
    wf_m *mp = wf_expect_coroutine(call);
    wf_enter_as(mp);
    return mp;
}

static inline void wf_leave(wf_m *mp)
{
    AO_store_release(&mp->inside, 0); /* pairs with the load in take */
}

/* Under sched.lock: from here on pp is mp's. */
static inline void wf_own(wf_m *mp, wf_p *pp)
{
    AO_store_release(&mp->grip, WF_GRIP_HELD); /* pairs with wf_enter's load */
    pp->m = mp;
    wf_count(&pp->owners, 1);
}

/* ---- Switching (sched.c); all called inside, with a P ---------------------- */

/*
 * Leaves the current G, whose token is `armed`.  Whoever lands first calls commit
 * (NULL: nothing), which may publish the wait and answers false if the G must run on
 * at once, then parks the token.  Returns on the M where the G was resumed.
 */
wf_m *wf_park(wf_m *mp, AO_t armed, bool (*commit)(wf_g *gp, void *arg), void *arg);
/*
 * The same for a wait that was published under locks which are still held: after(arg)
 * frees them once the token is parked.  So whoever finds the wait finds it parked, and
 * may write to the G's stack before it makes the G runnable.  When after frees the last
 * lock the G may be gone.
 */
wf_m *wf_park_then(wf_m *mp, AO_t armed, void (*after)(void *arg), void *arg);
/* The same for a guarded wait: the lander frees the guard.  It always leaves. */
wf_m *wf_park_guarded(wf_m *mp, wf_spin *guard);
/* The same for a wait that only the lander publishes: it stores the token `parked`, then
 * calls publish(arg); false: there is nothing to wait for.  It always leaves. */
wf_m *wf_park_publish(wf_m *mp, AO_t parked, bool (*publish)(wf_g *gp, void *arg), void *arg);
wf_m *wf_yield(wf_m *mp);
/* The current G ends.  Returns only when the G is started again, as another. */
wf_m *wf_exit(wf_m *mp);

/* Makes gp runnable, next on this P; wakes another P if there is cause. */
void wf_ready(wf_m *mp, wf_g *gp);
/* The same from any thread, with a P or without. */
void wf_ready_anywhere(wf_g *gp);
void wf_ready_list(wf_m *mp, wf_glist *list); /* mp NULL: without a P */
void wf_push_local(wf_m *mp, wf_glist *list); /* as ready_list, but wakes nobody */
/* Its P was given away: the current G waits for one in the global queue. */
wf_m *wf_leave_without_p(wf_m *mp);

/* The seam for libweft-lockcheck.so (lockcheck.c): found at the start, called before a switch. */
void         wf_lockcheck_find(void);
WF_COLD void wf_lockcheck_call(const wf_g *gp, enum wf_commit how);

static inline bool wf_g_cancelled(const wf_g *gp)
{
    return WF_UNLIKELY((AO_t)AO_char_load(&gp->cancel) | AO_load(&wf_the_sched.stopping)) &&
           !gp->shield;
}

/* ---- Looking for work (proc.c) ---------------------------------------------- */

wf_g *wf_find_runnable(wf_m *mp); /* on g0; NULL: the runtime has stopped */
/* Readied by a poll or by timers: the G that runs next decides on wake-ups. */
void wf_ready_batch(wf_m *mp, wf_glist *out, int64_t now);

/* ---- Idle Ps and Ms, waking, the netpoller's turn (idle.c) -------------------- */

/*
 * The netpoller, one at a time.  While BLOCKED, sched.poller is the M that holds no P
 * and is in epoll_wait; the word is changed under sched.lock only.
 *
 *   BLOCKED  an M waits in epoll_wait until an event, the next timer or a break
 *   DOZING   nobody waits there: Ps run and poll for themselves when they run dry;
 *            sysmon dozes, 1 ms at a time, and polls in their stead if none did
 *   ABSENT   from the runtime's start until its first M goes idle
 *
 *   from      to        by
 *   DOZING    BLOCKED   go_idle: the M that makes the last P idle, or one that goes idle
 *                       while no running P has polled for 1 ms
 *   ABSENT    BLOCKED   go_idle: the first time
 *   BLOCKED   DOZING    poll_return: the poller takes a P and runs what it got, or finds
 *                       no P idle and lets those that run poll from here on
 *   BLOCKED   DOZING    withdraw: it saw work at its second look, and takes a P for it
 *
 * So there is always somebody to see an event: BLOCKED itself; or a running P when it
 * runs dry; or, where they all compute, sysmon within 1 ms (10 ms after a calm time).
 * sysmon is awake whenever a P runs: see sysmon.c.  An earlier timer breaks BLOCKED only
 * (wf_timer_start); only the blocking poll drains the pipe (epoll.c).
 */
enum wf_poll_state { WF_POLL_ABSENT, WF_POLL_BLOCKED, WF_POLL_DOZING };

void wf_go_idle(wf_m *mp); /* on g0, nothing found: returns with a P, or stopped */
void wf_stop_m(wf_m *mp);  /* without a P: sleeps until it is handed one, or the end */
void wf_wakep(void);       /* one more M, if a P idles and none spins */
void wf_handoff(wf_m *mp); /* mp gives its P up: it lies idle or gets another M */
/* Under sched.lock, which it releases: pp, which lost its M, lies idle or gets another. */
void wf_p_pass_on(wf_p *pp);
bool wf_p_acquire(wf_m *mp); /* an idle P for mp, or one whose M blocks */
/* Until mp, in no list or in the idle list, is handed a P, or the end.  False: the limit.  Looks
 * at mp alone: the stop does not wait for one that is outside.  Who calls counts in n_parks. */
bool wf_doze(wf_m *mp, int64_t limit);
/* What mp queued in its ring goes to the kernel, before mp sleeps or is in other code. */
void wf_flush_ring(wf_m *mp);
/* A P has polled: its batch goes to the ring; the G that runs next decides on wake-ups. */
void wf_polled(wf_m *mp, wf_glist *out, int64_t now);
bool wf_work_anywhere(void); /* in the global queue or a ring */
/* wf_timer_add to mp's heap; an earlier timer breaks the blocked poll.  0 or -ENOMEM. */
int wf_timer_start(wf_m *mp, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq);

/* ---- Taking a P from its M: see wf_grip (retake.c) ------------------------------ */

/* Under sched.lock: from an M that runs outside; true: it is the caller's. */
bool wf_p_take(wf_p *pp);
/* Under sched.lock: one whose M is between weft_block_enter and leave, or NULL. */
wf_p *wf_p_take_blocked(void);
/* Takes it and passes it on: it lies idle or gets another M.  Where the M only computes it
 * keeps its P rather than that a thread over the cap is made. */
bool wf_p_retake(wf_p *pp, bool computes);
bool wf_p_lend(wf_p *pp, AO_t seen); /* its runnext, if it still is `seen` and its M is outside */
/* CPU time, ns, of the M that holds pp; -1: none.  *tid: its thread where it is in other code,
 * else 0. */
int64_t wf_p_cpu(wf_p *pp, int *tid);

/* ---- The global queue (global.c) ----------------------------------------------- */

void  wf_global_push_list(wf_glist *list);
void  wf_global_push_locked(wf_glist *list); /* under sched.lock */
wf_g *wf_global_take(wf_m *mp);              /* one to run now, and a share for the local ring */
wf_g *wf_global_take_one(void);

/* ---- Gs that only one M may run (pin.c) ------------------------------------------- */

/* mp has no P: takes an idle one, else its thread waits, and its G stays on it. */
void wf_p_await(wf_m *mp);
/* On g0: gives mp's P to the M that alone may run gp. */
void wf_give_p(wf_m *mp, wf_g *gp);
/* On g0 of an M with a pinned G: gives its P up until it is given one for that G. */
wf_g        *wf_await_pinned(wf_m *mp);
WF_COLD void wf_unpin_ended(wf_m *mp);

/* ---- Threads and the life of the runtime (m.c) --------------------------------- */

wf_m *wf_m_new_locked(wf_p *pp, bool spinning); /* under sched.lock; NULL: no memory */
int   wf_m_launch(wf_m *mp);                    /* its thread; after the lock is released */
/* Under sched.lock: one that was not launched.  Beside how many threads, if it is to be said. */
int  wf_m_undo_locked(wf_m *mp);
void wf_m_say_short(int beside, int error);
bool wf_m_possible(void); /* the last was, or it is time to try again */
bool wf_m_is_alone(void); /* there is no other M */
int  wf_proc_start(int procs, int max_threads);
int  wf_proc_first(void); /* the first M */
void wf_sched_open(void); /* threads that are no Ms may start and wake coroutines now */
/* Stops scheduling, ends the threads; true: all ended, false: some were abandoned. */
bool     wf_proc_stop(void);
void     wf_schedule(wf_m *mp);          /* an M's loop on its g0 (sched.c); returns at the stop */
uint64_t wf_live(void);                  /* coroutines alive */
void     wf_live_changed(void);          /* while stopping: a coroutine ended */
bool     wf_wait_live(int64_t deadline); /* false: some live still */
void     wf_proc_free(bool clean);       /* after wf_proc_stop, which told whether it was clean */

/* Threads of weft's own that are no Ms, but for sysmon: each says so itself. */
void wf_helper_begin(void);
void wf_helper_end(void); /* the last thing it does */
int  wf_helpers(void);

/* ---- sysmon (sysmon.c) ------------------------------------------------------ */

int  wf_sysmon_start(void);
void wf_sysmon_stop(void);
void wf_sysmon_wake(void); /* async-signal-safe */

/* Called at each look, on sysmon's thread. */
enum wf_sysmon_hook { WF_HOOK_SIGNALS, WF_HOOK_DUMP, WF_HOOKS };
void wf_sysmon_set_hook(enum wf_sysmon_hook which, void (*fn)(void));
/* The same when all has been quiet and it means to sleep; true: look again first. */
void wf_sysmon_set_sleep_hook(bool (*fn)(void));

/* ---- Coroutines (coroutine.c) ------------------------------------------------ */

void wf_g_free(wf_m *mp, wf_g *gp); /* dead and landed: back to the caches */
void wf_g_trim(void);               /* sysmon: gives back what was not needed lately */
bool wf_g_any_warm(void); /* free stacks that still hold pages: there is more to give back */

#endif
