/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadlock.c - finds that every coroutine waits and nothing can ever wake one, explains it,
 * and ends the process.
 *
 * sysmon asks before it goes to sleep, which it does only when all Ps have been idle for
 * some ticks: so it costs those who run nothing, and every idleness is looked at once.
 *
 * A deadlock is reported only if all of this holds at one moment, under sched.lock:
 *   - main has not returned (a stop that waits for somebody is no deadlock);
 *   - all Ps are idle, so no timer's function runs, and none can begin to run: for that a
 *     P is taken from the idle list, under the same lock;
 *   - no timer is set;
 *   - every coroutine's token is PARKED, for something that only a coroutine gives.  One in
 *     a blocking section or in other code has none; nor has one that was woken and is on its
 *     way to a queue.  A count shows that none was left out;
 *   - no signal is delivered to a channel;
 *   - the process has no thread but weft's: another may start a coroutine, close a channel or
 *     release a semaphore at any time.  weft_run's caller waits, and counts as weft's.
 * Then nothing but a signal handler can run, and handlers may not call weft.  So no report
 * is false.  Some deadlocks stay unsaid, those above all of programs with other threads.
 */
#include "deadlock.h"

#include "about.h"
#include "census.h"
#include "circle.h"
#include "coroutine.h"
#include "notify.h"
#include "roll.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S wf_the_sched

enum { MORE_LOOKS = 3, OWN_THREADS = 2 /* sysmon, and weft_run's caller */ };

/* ---- Is it one? ---------------------------------------------------------------------- */

struct count {
    uint64_t waiting;
    bool     other;
};

/* Written by the G alone, before its token says PARKED, which was seen; the sanitizer does
 * not know that it does not run. */
static __attribute__((no_sanitize_thread, noinline)) enum wf_wait_kind kind_of(const wf_g *gp)
{
    return *(const volatile unsigned char *)&gp->wait_for;
}

static void count_one(wf_g *gp, void *arg)
{
    struct count *n = arg;
    /* acquire: pairs with set_alive in coroutine.c */
    if (n->other || AO_char_load_acquire(&gp->state) != WF_G_ALIVE)
        return;
    AO_t token = AO_load_acquire(&gp->token); /* pairs with wf_token_park */
    n->other = (token & WF_TOKEN_STATE_MASK) != WF_PARKED || !wf_about_inside(kind_of(gp));
    n->waiting++;
}

static bool no_timers(void)
{
    for (int i = 0; i < S.procs; i++)
        if (wf_timer_heap_when(&S.ps[i]->timers) != WEFT_FOREVER)
            return false;
    return true;
}

static bool all_wait(void)
{
    struct count n = { 0 };
    if (AO_load(&S.stopping) || AO_load(&S.n_idle_p) != (AO_t)S.procs || AO_load(&S.n_global) ||
        !no_timers() || wf_signal_wanted())
        return false;
    wf_g_each(count_one, &n);
    return !n.other && n.waiting > 0 && n.waiting == wf_live();
}

/* Of this process; 0: not known. */
static int count_threads(void)
{
    char text[4096];
    int  fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *line = strstr(text, "\nThreads:");
    return line ? atoi(line + strlen("\nThreads:")) : 0;
}

/* Under sched.lock: an M that is being made holds a P, so none is missing. */
static bool only_own_threads(void)
{
    return count_threads() == OWN_THREADS + S.n_threads - S.n_exited + wf_helpers();
}

/* ---- The report ------------------------------------------------------------------------- */

static _Noreturn void report(void)
{
    wf_out    o;
    wf_census c;
    wf_out_open(&o, STDERR_FILENO);
    wf_out_print(&o,
                 "weft: deadlock: %llu coroutine%s, and nothing can wake one: no timer is set, no "
                 "descriptor or signal is waited for, nothing blocks, no other thread runs\n",
                 (unsigned long long)wf_live(), wf_live() == 1 ? " waits" : "s, all of them wait");
    if (wf_census_take(&c) == 0) {
        wf_circles_print(&c, &o);
        wf_roll_print(&c, &o);
    }
    wf_out_flush(&o);
    abort();
}

/* sysmon's, before it sleeps: true if it should look again soon, since a thread that is
 * ending may be all that speaks against it. */
static bool look(void)
{
    static int again;
    if (!all_wait()) {
        again = 0;
        return false;
    }
    wf_lock_acquire(&S.lock);
    bool dead = all_wait();
    bool alone = dead && only_own_threads();
    wf_lock_release(&S.lock);
    if (alone)
        report();
    again = dead && again < MORE_LOOKS ? again + 1 : 0;
    return again > 0;
}

void wf_deadlock_start(void)
{
    wf_sysmon_set_sleep_hook(look);
}
