/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sysmon.c - a thread without a P that sees to what a busy P cannot: due timers, the
 * poller while all compute, work that waits beside an idle P, Ps whose M blocks or computes
 * for long without a switch, memory after a burst and of readers that wait for long.
 *
 * It looks every TICK while Ps run, seldomer while all of them switch and poll by
 * themselves and after a quiet time, and sleeps for good while all Ps idle and nothing is
 * left to give back.  Handshake of that sleep:
 *   sysmon           sysmon_asleep = 1; fence; are all Ps still idle?  else awake again
 *   who runs a P     n_idle_p - 1; fence; sysmon_asleep?  then wake it (idle.c: watch)
 * so at least one sees the other, and a P never runs unwatched.
 */
#include "epoll.h"
#include "hibernate.h"
#include "sched.h"
#include "uring.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define S            wf_the_sched
#define TICK_NS      (1 * WEFT_MS)
#define TICK_MOST_NS (10 * WEFT_MS)
#define HOG_NS       (10 * WEFT_MS)
#define TRIM_NS      (500 * WEFT_MS)

enum { CALM_RARE = 4, QUIET_SLEEP = 10 };

/* What was seen of a P at the last look. */
struct seen {
    AO_t  tick;
    AO_t  head;
    wf_g *next;
    bool  work;
};

/* Since when a P has the same M and has not switched; and since when nor begun or ended a block. */
struct stall {
    AO_t    turn;
    int64_t turn_since;
    AO_t    changes;
    int64_t since;
    int64_t cpu_first, cpu, cpu_at; /* its M's CPU time at the first and the last look, and when
                                       that was; -1: unknown */
};

static struct {
    pthread_t         thread;
    volatile unsigned word; /* futex: 1 = look now, 2 = end */
    struct seen      *seen;
    struct stall     *stalls;
    AO_t              activity;
    int               quiet;  /* looks that found all Ps idle */
    int               steady; /* looks that found every P that ran in no need of one */
    int64_t           trim_at;
} mon;

static volatile AO_t hooks[WF_HOOKS]; /* void (*)(void): what else is to be done at each look */
static volatile AO_t sleep_hook;      /* bool (*)(void): see wf_sysmon_set_sleep_hook */

void wf_sysmon_set_hook(enum wf_sysmon_hook which, void (*fn)(void))
{
    AO_store_release(&hooks[which], (AO_t)fn); /* pairs with the acquire in tick */
}

void wf_sysmon_set_sleep_hook(bool (*fn)(void))
{
    AO_store_release(&sleep_hook, (AO_t)fn); /* pairs with the acquire in may_sleep */
}

static bool all_idle(void)
{
    return AO_load_acquire(&S.n_idle_p) == (AO_t)S.procs; /* pairs with idle_push */
}

/* Has the oldest work of pp waited since the last look? */
static bool work_waits(wf_p *pp, struct seen *last)
{
    struct seen now = {
        .tick = AO_load(&pp->tick),
        .head = AO_load(&pp->runq.head),
        .next = wf_runq_next(&pp->runq),
    };
    now.work = wf_runq_len(&pp->runq) > 0;
    bool waits = (now.work && last->work && now.head == last->head) ||
                 (now.next && now.next == last->next && now.tick == last->tick);
    *last = now;
    return waits;
}

static bool timer_due(const wf_p *pp, int64_t now)
{
    return wf_timer_heap_when(&pp->timers) <= now;
}

/* Work or a due timer that nobody sees to: ask the owner, and another if one idles. */
static void look_at(int i, int64_t now)
{
    wf_p *pp = S.ps[i];
    bool  runs = AO_load(&pp->status) != WF_P_IDLE;
    bool  due = timer_due(pp, now);
    if (runs && due)
        AO_store(&pp->poke, 1);
    if (due && !runs && AO_load(&S.poll_state) == WF_POLL_BLOCKED)
        due = false; /* the poller has it */
    if ((work_waits(pp, &mon.seen[i]) || due) && AO_load(&S.n_idle_p))
        wf_wakep();
}

static void begin_stall(struct stall *st, AO_t changes, int64_t now)
{
    st->changes = changes;
    st->since = now;
    st->cpu_first = st->cpu = -1;
}

/* The same coroutine for HOG_NS, which begins and ends blocks, each too short to be noticed.  It
 * had the CPU since the last look: so it is not that the machine is busy. */
static bool blocks_on_and_on(struct stall *st, AO_t turn, int64_t now)
{
    if (turn != st->turn) {
        st->turn = turn;
        st->turn_since = now;
    }
    return now - st->turn_since >= HOG_NS && AO_load(&S.n_idle_p) == 0;
}

/* Looks at the CPU clock of pp's M: does it block?  One that could run, and does not get the
 * CPU, does not: another thread would only take more of it away. */
static bool blocks_untold(wf_p *pp, struct stall *st, int64_t now)
{
    int     tid = 0;
    int64_t cpu = wf_p_cpu(pp, &tid);
    bool    still = cpu >= 0 && st->cpu >= 0 && cpu - st->cpu < (now - st->cpu_at) / 8;
    st->cpu_first = st->cpu_first < 0 ? cpu : st->cpu_first;
    st->cpu = cpu;
    st->cpu_at = now;
    return still && tid && wf_thread_sleeps(tid);
}

/*
 * Takes the P of an M that has been in other code since the last look and blocks there, or
 * that has computed for HOG_NS without a switch: of its own CPU time, else on a busy machine
 * thread after thread would be made for Ps whose Ms had no time to get anywhere; or that for
 * HOG_NS blocks for a moment, again and again.  While another P idles nobody waits for this
 * one; then only a P whose M blocks for HOG_NS is taken, so that all Ps can be idle and sysmon
 * asleep beside it.
 */
static void look_for_stall(int i, int64_t now)
{
    wf_p         *pp = S.ps[i];
    struct stall *st = &mon.stalls[i];
    AO_t          blocks = AO_load(&pp->blocks);
    AO_t          turn = AO_load(&pp->tick) + AO_load(&pp->owners), changes = turn + blocks;
    if (changes != st->changes || AO_load(&pp->status) == WF_P_IDLE) {
        begin_stall(st, changes, now);
        if (blocks_on_and_on(st, turn, now))
            (void)wf_p_retake(pp, true);
        return;
    }
    bool spare = AO_load(&S.n_idle_p) > 0;
    if (spare && now - st->since < HOG_NS)
        return;
    bool blocked = blocks % 2 || blocks_untold(pp, st, now);
    bool hogged = !spare && st->cpu >= 0 && st->cpu - st->cpu_first >= HOG_NS;
    if ((blocked || hogged) && wf_p_retake(pp, !blocked))
        begin_stall(st, changes, now);
}

/* Nobody needs a look at pp soon: it idles, or has switched and polled since the last one. */
static bool is_steady(int i, int64_t now)
{
    wf_p *pp = S.ps[i];
    if (AO_load(&pp->status) == WF_P_IDLE)
        return true;
    return mon.stalls[i].since == now && now - (int64_t)AO_load(&pp->polled) < TICK_NS;
}

static int64_t last_polled(void)
{
    int64_t last = 0;
    for (int i = 0; i < S.procs; i++)
        if ((int64_t)AO_load(&S.ps[i]->polled) > last)
            last = (int64_t)AO_load(&S.ps[i]->polled);
    return last;
}

static void poll_for_others(int64_t now)
{
    if (!wf_netpoll_used() || AO_load(&S.poll_state) == WF_POLL_BLOCKED ||
        now - last_polled() < TICK_NS)
        return;
    wf_glist out;
    wf_glist_init(&out);
    int n = wf_netpoll(&out);
    AO_fetch_and_add(&S.n_polls, 1);
    AO_fetch_and_add(&S.n_poll_events, (AO_t)n);
    wf_ready_list(NULL, &out);
}

static void with_rings(void (*see_to)(wf_glist *out))
{
    wf_glist out;
    wf_glist_init(&out);
    see_to(&out);
    wf_ready_list(NULL, &out);
}

/* How long to sleep: until the next tick, or a timer that no poller waits for. */
static int64_t until(int64_t now)
{
    int     calm = all_idle() ? mon.quiet : mon.steady;
    int64_t rarer = TICK_NS << (calm < CALM_RARE ? calm : CALM_RARE);
    int64_t tick = now + (rarer < TICK_MOST_NS ? rarer : TICK_MOST_NS);
    if (wf_hibernate_busy())
        tick = now + TICK_NS;
    if (AO_load(&S.poll_state) == WF_POLL_BLOCKED)
        return tick;
    for (int i = 0; i < S.procs; i++) {
        int64_t when = wf_timer_heap_when(&S.ps[i]->timers);
        if (when > now && when < tick)
            tick = when;
    }
    return tick;
}

static AO_t activity(void)
{
    AO_t sum = 0;
    for (int i = 0; i < S.procs; i++)
        sum += AO_load(&S.ps[i]->tick);
    return sum;
}

/* Quiet ticks make the next ones rarer; only ticks without any switch count towards
 * sleeping for good, so that a request now and then wakes no thread. */
static void count_quiet(void)
{
    AO_t now = activity();
    if (!all_idle())
        mon.quiet = 0;
    else if (now == mon.activity || mon.quiet < CALM_RARE)
        mon.quiet++;
    mon.activity = now;
}

static void tick(int64_t now)
{
    for (int i = 0; i < WF_HOOKS; i++) {
        void (*also)(void) = (void (*)(void))AO_load_acquire(&hooks[i]); /* pairs with set_hook */
        if (also)
            also();
    }
    bool steady = true;
    if (AO_load(&S.futile)) /* a line that every ready reads */
        AO_store(&S.futile, 0);
    wf_clock_set(now);
    for (int i = 0; i < S.procs; i++) {
        look_at(i, now);
        look_for_stall(i, now);
        steady = steady && is_steady(i, now);
    }
    mon.steady = !steady ? 0 : mon.steady < CALM_RARE ? mon.steady + 1 : CALM_RARE;
    if (AO_load(&S.n_global) && AO_load(&S.n_idle_p))
        wf_wakep();
    if (!all_idle() || AO_load(&S.short_until))
        poll_for_others(now);
    if (wf_uring_on())
        with_rings(wf_uring_attend);
    if (now >= mon.trim_at) {
        wf_g_trim();
        wf_netpoll_recount();
        mon.trim_at = now + TRIM_NS;
    }
    wf_hibernate_look(now, activity());
    count_quiet();
}

static bool may_sleep(void)
{
    bool (*look_on)(void) = (bool (*)(void))AO_load_acquire(&sleep_hook); /* pairs with its set */
    if (AO_load(&S.short_until) && AO_load(&S.poll_state) != WF_POLL_BLOCKED)
        return false; /* all threads may block, and no other can be made: nobody else polls */
    return mon.quiet > QUIET_SLEEP && !wf_hibernate_busy() && !(look_on && look_on());
}

static void sleep_for_good(void)
{
    AO_store(&S.sysmon_asleep, 1);
    wf_fence(); /* pairs with idle.c's watch */
    if (all_idle()) {
        if (wf_uring_on()) /* a P that runs what comes of it sets the word */
            with_rings(wf_uring_leave_none);
        int64_t limit = wf_g_any_warm() ? wf_now() + TRIM_NS : WEFT_FOREVER;
        int64_t round = wf_hibernate_until(activity());
        limit = round < limit ? round : limit;
        wf_futex_wait(&mon.word, 0, limit);
    }
    AO_store(&S.sysmon_asleep, 0);
    mon.quiet = 0;
}

static void *sysmon(void *arg)
{
    (void)arg;
    for (;;) {
        int64_t now = wf_now();
        tick(now);
        if (may_sleep())
            sleep_for_good();
        else
            wf_futex_wait(&mon.word, 0, until(now));
        unsigned w = AO_int_load_acquire(&mon.word); /* pairs with the CASes below */
        if (w == 2)
            return NULL;
        if (w == 1)
            AO_int_compare_and_swap_full(&mon.word, 1, 0); /* pairs with both; fails: the end */
    }
}

void wf_sysmon_wake(void)
{
    if (AO_int_compare_and_swap_full(&mon.word, 0, 1)) /* pairs with sysmon's */
        wf_futex_wake(&mon.word, 1);
}

static void release(void)
{
    free(mon.seen);
    free(mon.stalls);
}

int wf_sysmon_start(void)
{
    memset(&mon, 0, sizeof mon);
    int64_t now = wf_now();
    wf_clock_set(now);
    mon.trim_at = now + TRIM_NS;
    mon.seen = calloc((size_t)S.procs, sizeof *mon.seen);
    mon.stalls = calloc((size_t)S.procs, sizeof *mon.stalls);
    if (!mon.seen || !mon.stalls) {
        release();
        return -ENOMEM;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* users' handlers run elsewhere */
    int r = pthread_create(&mon.thread, NULL, sysmon, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0)
        release();
    return -r;
}

void wf_sysmon_stop(void)
{
    /* the CAS pairs with sysmon's acquire */
    for (unsigned w = AO_int_load(&mon.word); !AO_int_compare_and_swap_full(&mon.word, w, 2);)
        w = AO_int_load(&mon.word);
    wf_futex_wake(&mon.word, 1);
    pthread_join(mon.thread, NULL);
    release();
}
