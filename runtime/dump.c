/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump.c - weft_dump: Ps, threads, the poller, circles, and every coroutine, as text.
 *
 * It is written by a thread of its own, since source lines want a large stack and much
 * time (place.c).  Nothing is stopped meanwhile; the runtime is kept from ending.  A signal
 * that asks for a dump only sets a flag and wakes sysmon, which starts that thread.
 */
#include "dump.h"

#include "census.h"
#include "circle.h"
#include "coroutine.h"
#include "epoll.h"
#include "peek.h"
#include "roll.h"
#include "stack_report.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S wf_the_sched

enum { DUMP_STACK_BYTES = 8 << 20 };

/* ---- The scheduler ------------------------------------------------------------------- */

struct threads {
    wf_census *census;
    int        all, in_block;
};

/* Where the G of this M runs, as far as it still does: the copy may be torn. */
static void note(wf_census *c, const wf_m *copy)
{
    wf_one *one = wf_census_of(c, copy->blocked ? copy->blocked : copy->gp);
    if (!one || one->seen.doing != WF_RUNS)
        return;
    if (copy->blocked)
        strcpy(one->seen.about, "between weft_block_enter and weft_block_leave");
    else if (AO_load(&copy->grip) == WF_GRIP_LOST)
        strcpy(one->seen.about, "in other code for so long that its P was passed on");
    else if (copy->pp) /* NULL: it comes from weft_block_enter, and looks for one */
        snprintf(one->seen.about, sizeof one->seen.about, "on P %u", copy->pp->id);
}

static void note_threads(struct threads *t)
{
    wf_m copy;
    wf_lock_acquire(&S.lock); /* so that no M is freed */
    for (const wf_m *mp = S.all_m; mp; mp = mp->all) {
        if (mp->exited || !wf_peek(&copy, mp, sizeof copy))
            continue;
        t->all++;
        t->in_block += copy.blocked != NULL;
        note(t->census, &copy);
    }
    wf_lock_release(&S.lock);
}

static void print_p(wf_out *o, wf_p *pp, int64_t now)
{
    wf_spin_acquire(&pp->timers.lock);
    int n = pp->timers.n;
    wf_spin_release(&pp->timers.lock);
    int64_t when = wf_timer_heap_when(&pp->timers);
    wf_out_print(o, "    P %u %s, %u in its queue, %d timer%s", pp->id,
                 AO_load(&pp->status) == WF_P_IDLE ? "is idle" : "runs",
                 wf_runq_len(&pp->runq) + (wf_runq_next(&pp->runq) != NULL), n, n == 1 ? "" : "s");
    if (when != WEFT_FOREVER) {
        wf_out_print(o, ", the first in ");
        wf_out_time(o, when > now ? when - now : 0);
    }
    wf_out_print(o, "\n");
}

static void print_sched(wf_census *c, wf_out *o)
{
    static const char *const poll[] = {
        [WF_POLL_ABSENT] = "absent", [WF_POLL_BLOCKED] = "blocked", [WF_POLL_DOZING] = "dozing"
    };
    struct threads t = { .census = c };
    size_t         by[WF_RUNS + 1] = { 0 };
    int64_t        now = wf_now();
    note_threads(&t);
    for (size_t i = 0; i < c->n; i++)
        by[c->all[i].seen.doing]++;
    wf_out_print(o,
                 "weft %s, process %d: %zu coroutine%s: %zu waiting, %zu runnable, %zu running\n",
                 weft_version(), (int)getpid(), c->n, c->n == 1 ? "" : "s", by[WF_WAITS],
                 by[WF_RUNNABLE], by[WF_RUNS]);
    for (int i = 0; i < S.procs; i++)
        print_p(o, S.ps[i], now);
    wf_out_print(o,
                 "    %llu in the global queue; %d threads, %d of them in blocking sections; "
                 "the poller is %s, %llu descriptor%s\n",
                 (unsigned long long)AO_load(&S.n_global), t.all, t.in_block,
                 poll[AO_load(&S.poll_state)], (unsigned long long)wf_netpoll_count(),
                 wf_netpoll_count() == 1 ? "" : "s");
}

/* ---- On its own thread ----------------------------------------------------------------- */

struct job {
    int fd;
    int result;
};

/* The runtime is held, and let go before anything is written: whoever reads slowly does not
 * keep weft_run from returning. */
static int write_dump(int fd)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* libdw is not ours */
    wf_census              c;
    wf_out                 o;
    wf_out_open(&o, fd);
    pthread_mutex_lock(&one_at_a_time);
    int r = wf_census_take(&c);
    if (r == 0) {
        print_sched(&c, &o);
        r = wf_circles_print(&c, &o);
    }
    if (r >= 0)
        r = wf_roll_print(&c, &o);
    wf_census_close(&c);
    pthread_mutex_unlock(&one_at_a_time);
    wf_sched_release();
    int flushed = wf_out_flush(&o);
    if (wf_sched_hold()) {
        wf_stack_report_write(fd);
        wf_sched_release();
    }
    return r < 0 ? r : flushed;
}

static void *dump_main(void *arg)
{
    struct job *job = arg;
    wf_helper_begin();
    job->result = write_dump(job->fd);
    wf_helper_end();
    return NULL;
}

/* With all signals blocked: users' handlers run elsewhere. */
static int start(pthread_t *out, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t       all, old;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, DUMP_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(out, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

int weft_dump(int fd)
{
    struct job job = { .fd = fd };
    pthread_t  thread;
    if (!wf_sched_hold())
        return -ESRCH;
    int r = start(&thread, dump_main, &job);
    if (r != 0) {
        wf_sched_release();
        return r;
    }
    pthread_join(thread, NULL);
    return job.result;
}

/* ---- By a signal --------------------------------------------------------------------------- */

static volatile AO_t asked; /* set by the handler, cleared by sysmon */

enum { SIGNALS = 65 };

static struct {
    wf_lock          lock;
    bool             set[SIGNALS]; /* under lock */
    struct sigaction old[SIGNALS]; /* under lock: the action before */
    bool             by_run;       /* under lock: SIGQUIT, for this run */
} on;

static void handler(int signo)
{
    (void)signo;
    AO_store_release(&asked, 1); /* pairs with the CAS in look */
    wf_sysmon_wake();
}

static void *asked_main(void *arg)
{
    (void)arg;
    wf_helper_begin();
    if (wf_sched_hold())
        write_dump(STDERR_FILENO);
    wf_helper_end();
    return NULL;
}

/* sysmon's, at each look. */
static void look(void)
{
    pthread_t thread;
    /* full: pairs with the store in handler; a signal that comes after it asks for another */
    if (!AO_load(&asked) || !AO_compare_and_swap_full(&asked, 1, 0))
        return;
    if (start(&thread, asked_main, NULL) == 0)
        pthread_detach(thread);
}

/* Under the lock. */
static int set(int signo)
{
    struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };
    sigfillset(&sa.sa_mask);
    if (signo < 1 || signo >= SIGNALS)
        return -EINVAL;
    if (on.set[signo])
        return 0;
    if (sigaction(signo, &sa, &on.old[signo]) != 0)
        return -EINVAL; /* SIGKILL, SIGSTOP, libc's own */
    on.set[signo] = true;
    return 0;
}

/* Under the lock. */
static void unset(int signo)
{
    if (on.set[signo])
        sigaction(signo, &on.old[signo], NULL);
    on.set[signo] = false;
}

int weft_dump_on(int signo)
{
    int r = 0;
    wf_lock_acquire(&on.lock);
    if (signo != 0)
        r = set(signo);
    for (int i = 1; i < SIGNALS && signo == 0; i++)
        unset(i);
    wf_lock_release(&on.lock);
    return r;
}

void wf_dump_start(void)
{
    const char *env = getenv("WEFT_DUMP");
    AO_store(&asked, 0); /* of a time when none ran */
    wf_sysmon_set_hook(WF_HOOK_DUMP, look);
    if (!env || strcmp(env, "1") != 0)
        return;
    wf_lock_acquire(&on.lock);
    on.by_run = !on.set[SIGQUIT] && set(SIGQUIT) == 0;
    wf_lock_release(&on.lock);
}

void wf_dump_stop(void)
{
    wf_lock_acquire(&on.lock);
    if (on.by_run)
        unset(SIGQUIT);
    on.by_run = false;
    wf_lock_release(&on.lock);
}
