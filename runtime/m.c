/* SPDX-License-Identifier: Apache-2.0 */
/*
 * m.c - threads: their birth, their end, and with them the runtime's.
 *
 * The thread that calls weft_run is no M: it waits, so that it can return even where a
 * coroutine never comes back.  Stopping: `stopped` is set; idle Ms are woken and end;
 * an M that runs a G ends at the G's next switch; an M whose G is in other code for too
 * long loses its P (wf_p_take) and sleeps for ever at its next call of weft.  Their
 * structures are leaked, on purpose.
 */
#include "coroutine.h"
#include "epoll.h"
#include "fault.h"
#include "sched.h"
#include "uring.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S             wf_the_sched
#define TAKE_AFTER_NS (20 * WEFT_MS)
#define RETRY_NS      (10 * WEFT_MS)

enum { M_STACK_BYTES = 512 * 1024 };

static sigset_t m_signals; /* fixed while running: those that Ms block */

/* ---- The gate ------------------------------------------------------------------------ */

bool wf_sched_hold(void)
{
    for (;;) {
        AO_t g = AO_load(&S.gate);
        if (!(g & 1))
            return false;
        if (AO_compare_and_swap_full(&S.gate, g, g + 2)) /* pairs with gate_close */
            return true;
    }
}

void wf_sched_release(void)
{
    AO_fetch_and_add_full(&S.gate, (AO_t)-2); /* pairs with the load in gate_close */
}

void wf_sched_open(void)
{
    AO_store_release(&S.gate, 1); /* pairs with wf_sched_hold */
}

static void gate_close(void)
{
    if (!(AO_load(&S.gate) & 1))
        return; /* it was never opened: the first M could not be made */
    AO_fetch_and_add_full(&S.gate, (AO_t)-1); /* pairs with the CAS in wf_sched_hold */
    /* Holders are short: they start or wake one G.  Acquire: pairs with wf_sched_release. */
    while (AO_load_acquire(&S.gate) != 0)
        sched_yield();
}

/* ---- Helpers ------------------------------------------------------------------------- */

static volatile AO_t helpers; /* of all runs: they may outlive one */

void wf_helper_begin(void)
{
    AO_fetch_and_add(&helpers, 1);
}

void wf_helper_end(void)
{
    AO_fetch_and_add(&helpers, (AO_t)-1);
}

int wf_helpers(void)
{
    return (int)AO_load(&helpers);
}

/* ---- Ms -------------------------------------------------------------------------------- */

static void m_ended(wf_m *mp)
{
    wf_lock_acquire(&S.lock);
    mp->exited = true;
    S.n_exited++;
    wf_lock_release(&S.lock);
    AO_int_fetch_and_add1_release(&S.exit_word); /* pairs with wait_exits' look */
    wf_futex_wake(&S.exit_word, 1);
}

/* Under sched.lock. */
static void unlink_m(wf_m *mp)
{
    wf_m **at = &S.all_m;
    while (*at != mp)
        at = &(*at)->all;
    *at = mp->all;
}

static void forget(wf_m *mp)
{
    wf_lock_acquire(&S.lock);
    unlink_m(mp);
    wf_lock_release(&S.lock);
    free(mp);
}

/* Each M that retires joins the one that did before it; the stop joins the last. */
static void retire(wf_m *mp)
{
    wf_lock_acquire(&S.lock);
    wf_m *before = S.retired;
    S.retired = mp;
    wf_lock_release(&S.lock);
    if (!before)
        return;
    pthread_join((pthread_t)before->thread, NULL);
    forget(before);
}

static void *m_main(void *arg)
{
    wf_m *mp = arg;
    wf_m_set_self(mp);
    mp->errno_loc = &errno;
    mp->thread = (uint64_t)pthread_self();
    pthread_getcpuclockid(pthread_self(), &mp->cpu_clock);
    AO_int_store_release(&mp->tid, (unsigned)gettid()); /* pairs with wf_p_cpu */
    wf_shadow_thread(&mp->g0.shadow);
    wf_fault_thread(mp);
    wf_schedule(mp);
    if (mp->ring) {
        wf_flush_ring(mp);
        wf_uring_leave(mp);
    }
    wf_fault_thread_end(mp);
    wf_m_set_self(NULL);
    if (mp->retired)
        retire(mp);
    m_ended(mp);
    return NULL;
}

wf_m *wf_m_new_locked(wf_p *pp, bool spinning)
{
    if (S.n_threads - S.n_exited >= S.max_threads)
        wf_die("more than %d threads are needed: so many coroutines block or compute for long at "
               "the same time; raise max_threads in weft_options or let fewer do so",
               S.max_threads);
    wf_m *mp = aligned_alloc(WF_CACHELINE, sizeof *mp);
    if (!mp)
        return NULL;
    memset(mp, 0, sizeof *mp);
    AO_store(&mp->inside, 1); /* from its birth: its P cannot be taken before it runs */
    mp->pp = pp;
    mp->spinning = spinning;
    wf_own(mp, pp);
    mp->all = S.all_m;
    S.all_m = mp;
    S.n_threads++;
    return mp;
}

/* Whoever makes it, sysmon and the resolver's threads too, which block all signals: an M takes
 * those that weft_run's caller takes, and faults always. */
int wf_m_launch(wf_m *mp)
{
    pthread_attr_t attr;
    pthread_t      thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, M_STACK_BYTES);
    pthread_attr_setsigmask_np(&attr, &m_signals);
    int r = pthread_create(&thread, &attr, m_main, mp);
    pthread_attr_destroy(&attr);
    if (r == 0 && AO_load(&S.short_until))
        AO_store(&S.short_until, 0);
    return -r;
}

/*
 * Where a thread cannot be made its P idles, and the run goes on with the threads there are:
 * they look at all queues before they sleep.  Should all of them block, sysmon stays awake,
 * polls, and has it tried again for what waits (sysmon.c).
 */
void wf_m_say_short(int beside, int error)
{
    wf_say("no thread can be created beside %d: %s; the run goes on with those, and "
           "tries again; raise the limit of processes (ulimit -u) or of memory",
           beside, strerror(-error));
}

int wf_m_undo_locked(wf_m *mp)
{
    if (mp) {
        unlink_m(mp);
        S.n_threads--;
        free(mp);
    }
    AO_store(&S.short_until, (AO_t)(wf_now() + RETRY_NS));
    bool said = S.short_said;
    S.short_said = true;
    return said ? 0 : S.n_threads - S.n_exited;
}

bool wf_m_is_alone(void)
{
    wf_lock_acquire(&S.lock);
    bool alone = S.n_threads - S.n_exited == 1;
    wf_lock_release(&S.lock);
    return alone;
}

bool wf_m_possible(void)
{
    int64_t until = (int64_t)AO_load(&S.short_until);
    return until == 0 || wf_now() >= until;
}

/* ---- Counting --------------------------------------------------------------------------- */

/* All ends before all starts: what happens meanwhile can only make it too many. */
uint64_t wf_live(void)
{
    AO_t finished = AO_load_acquire(&S.n_finished); /* pairs with the counting of ends */
    for (int i = 0; i < S.procs; i++)
        finished += AO_load_acquire(&S.ps[i]->n_finished); /* pairs with wf_exit's */
    AO_t started = AO_load(&S.n_started);
    for (int i = 0; i < S.procs; i++)
        started += AO_load(&S.ps[i]->n_started);
    return started > finished ? started - finished : 0;
}

/* The counter was raised; pairs with the fence of another that ends at the same time:
 * at least one of them sees both counters, and wakes the one who waits for none. */
void wf_live_changed(void)
{
    wf_fence();
    if (wf_live() > 0)
        return;
    AO_int_fetch_and_add1_release(&S.exit_word); /* pairs with wf_wait_live's look */
    wf_futex_wake(&S.exit_word, 1);
}

bool wf_wait_live(int64_t deadline)
{
    for (;;) {
        unsigned seen = AO_int_load_acquire(&S.exit_word); /* pairs with wf_live_changed's */
        if (wf_live() == 0)
            return true;
        if (wf_futex_wait(&S.exit_word, seen, deadline) != 0)
            return wf_live() == 0;
    }
}

/* ---- Start --------------------------------------------------------------------------------- */

static wf_p *p_new(int id, bool solo)
{
    wf_p *pp = aligned_alloc(WF_CACHELINE, sizeof *pp);
    if (!pp)
        return NULL;
    memset(pp, 0, sizeof *pp);
    pp->id = (unsigned)id;
    wf_runq_init(&pp->runq, solo);
    wf_timer_heap_init(&pp->timers);
    pp->coming = WF_TIMER_NONE;
    wf_random_seed(&pp->random, (uint64_t)id);
    return pp;
}

static void ps_free(void)
{
    for (int i = 0; i < S.procs; i++) {
        if (!S.ps[i])
            continue;
        wf_timer_heap_free(&S.ps[i]->timers);
        free(S.ps[i]);
    }
    free(S.ps);
    S.ps = NULL;
}

static int ps_make(int procs)
{
    S.ps = calloc((size_t)procs, sizeof *S.ps);
    if (!S.ps)
        return -ENOMEM;
    for (int i = procs - 1; i >= 0; i--) {
        S.ps[i] = p_new(i, procs == 1);
        if (!S.ps[i])
            return -ENOMEM;
        S.ps[i]->link = S.idle_p;
        S.idle_p = S.ps[i];
    }
    AO_store(&S.n_idle_p, (AO_t)procs);
    return 0;
}

volatile AO_t wf_one_p WF_ALIGNED;

static bool left_behind; /* a run ended with coroutines in other code, which may still come */

/* All but the lock and the gate, which other threads may be looking at just now. */
static void reset(void)
{
    char *after = (char *)&S.lock + sizeof S.lock;
    memset(&S, 0, offsetof(wf_sched, lock));
    memset(after, 0, (size_t)((char *)&S.gate - after));
}

static void keep_signals(void)
{
    pthread_sigmask(SIG_SETMASK, NULL, &m_signals);
    sigdelset(&m_signals, SIGSEGV);
    sigdelset(&m_signals, SIGBUS);
}

int wf_proc_start(int procs, int max_threads)
{
    reset();
    keep_signals();
    wf_clock_set(wf_now()); /* sysmon's first look comes later than the first waits */
    wf_glist_init(&S.global);
    S.procs = procs;
    AO_store(&wf_one_p, procs == 1 && !left_behind);
    S.max_threads = max_threads;
    int quota = wf_cpu_quota("");
    S.may_spin = procs > 1 && wf_cpu_count("") > 1 && (quota == 0 || quota > 1);
    int r = ps_make(procs);
    if (r != 0)
        ps_free();
    return r;
}

/* ---- Stop ------------------------------------------------------------------------------------ */

/* Under sched.lock: from Ms that are in other code. */
static void take_ps(void)
{
    for (int i = 0; i < S.procs; i++)
        if (S.ps[i]->m && !S.ps[i]->m->exited)
            wf_p_take(S.ps[i]);
}

/* Under sched.lock: Ms that will never again touch what is freed. */
static bool all_gone(bool take, bool *abandoned)
{
    bool all = true;
    if (take)
        take_ps();
    for (wf_m *mp = S.all_m; mp; mp = mp->all) {
        if (mp->exited)
            continue;
        /* The grip first: with it lost and, later, outside, it will not touch anything more.
         * Pairs with take in retake.c and with wf_leave. */
        bool gone = AO_load_acquire(&mp->grip) == WF_GRIP_LOST && !AO_load_acquire(&mp->inside);
        mp->zombie = gone;
        *abandoned = *abandoned || gone;
        all = all && gone;
    }
    return all;
}

static void wake_all(void)
{
    wf_lock_acquire(&S.lock);
    for (wf_m *mp; (mp = S.idle_m);) {
        S.idle_m = mp->link;
        AO_int_store_release(&mp->park_word, 1); /* pairs with wf_doze's acquire */
        wf_futex_wake(&mp->park_word, 1);
    }
    for (wf_m *mp = S.all_m; mp; mp = mp->all)
        if (AO_load(&mp->waits_pinned)) {
            AO_int_store_release(&mp->park_word, 1); /* pairs with wf_doze's acquire */
            wf_futex_wake(&mp->park_word, 1);
        }
    for (int i = 0; i < S.procs; i++)
        AO_store(&S.ps[i]->poke, 1);
    wf_lock_release(&S.lock);
    wf_netpoll_break();
}

static bool wait_exits(void)
{
    int64_t start = wf_now();
    bool    abandoned = false;
    for (;;) {
        unsigned seen = AO_int_load_acquire(&S.exit_word); /* pairs with m_ended's */
        int64_t  now = wf_now();
        wake_all();
        wf_lock_acquire(&S.lock);
        bool gone = all_gone(now - start > TAKE_AFTER_NS, &abandoned);
        wf_lock_release(&S.lock);
        if (gone)
            return !abandoned;
        wf_futex_wait(&S.exit_word, seen, now + WEFT_MS);
    }
}

static void ms_free(void)
{
    for (wf_m *mp = S.all_m, *next; mp; mp = next) {
        next = mp->all;
        if (mp->exited) {
            pthread_join((pthread_t)mp->thread, NULL);
            free(mp);
        } else {
            pthread_detach((pthread_t)mp->thread);
        }
    }
    S.all_m = NULL;
}

/* An M for a P, the first; later ones come by wf_wakep. */
int wf_proc_first(void)
{
    wf_lock_acquire(&S.lock);
    wf_p *pp = S.idle_p;
    S.idle_p = pp->link;
    AO_fetch_and_add(&S.n_idle_p, (AO_t)-1);
    AO_store(&pp->status, WF_P_RUNNING);
    wf_m *mp = wf_m_new_locked(pp, false);
    wf_lock_release(&S.lock);
    wf_sysmon_wake();
    int r = mp ? wf_m_launch(mp) : -ENOMEM;
    if (r != 0) {
        S.all_m = NULL;
        free(mp);
    }
    return r;
}

bool wf_proc_stop(void)
{
    gate_close();
    AO_store_release(&S.stopped, 1); /* pairs with the looks under the lock */
    wf_fence(); /* pairs with wf_futex_wait's, of the Ms that wait_exits wakes */
    bool clean = wait_exits();
    left_behind = left_behind || !clean;
    AO_store(&wf_one_p, 0);
    for (int i = 0; i < S.procs; i++) {
        wf_g_flush(S.ps[i]);
        wf_poll_cache_flush(&S.ps[i]->polls);
    }
    ms_free();
    return clean;
}

void wf_proc_free(bool clean)
{
    if (clean)
        ps_free();
    S.ps = NULL;
    S.procs = 0;
}
