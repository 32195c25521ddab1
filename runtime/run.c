/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - weft_run from its options to the last thread's end; statistics.
 *
 * The order of the end: main returns; all others are cancelled and awaited; scheduling
 * stops, threads end; what is still alive is named and abandoned; descriptors are closed.
 */
#include "run.h"
#include "chan.h"
#include "coroutine.h"
#include "deadlock.h"
#include "dump.h"
#include "epoll.h"
#include "fault.h"
#include "hibernate.h"
#include "lot.h"
#include "notify.h"
#include "stack_report.h"
#include "uring.h"
#include "wait.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S               wf_the_sched
#define DEFAULT_STOP_NS (5 * WEFT_S)

enum { DEFAULT_MAX_THREADS = 10000, MOST_PROCS = 1024, NAMED_MOST = 20 };

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

static volatile AO_t running; /* 1: between the beginning and the end of a weft_run */

struct main_call {
    int (*fn)(void *arg);
    void             *arg;
    const void       *called_at;
    int               result;
    volatile unsigned done; /* futex */
};

void (*wf_net_stop_hook)(void);
void (*wf_p_free_hook)(wf_p *pp);

const char *weft_version(void)
{
    return STRING(WEFT_VERSION_MAJOR) "." STRING(WEFT_VERSION_MINOR) "." STRING(WEFT_VERSION_PATCH);
}

int weft_procs(void)
{
    if (!wf_sched_hold())
        return 0;
    int n = S.procs;
    wf_sched_release();
    return n;
}

/* ---- Options ---------------------------------------------------------------------- */

static int choose_procs(int wanted)
{
    if (wanted != 0)
        return wanted > 0 && wanted <= MOST_PROCS ? wanted : -EINVAL;
    const char *env = getenv("WEFT_PROCS");
    if (!env || !*env) {
        int n = wf_cpu_count("");
        return n < MOST_PROCS ? n : MOST_PROCS;
    }
    char *end;
    long  n = strtol(env, &end, 10);
    if (*end || n < 1 || n > MOST_PROCS) {
        wf_say("WEFT_PROCS=%.40s: must be a number from 1 to %d", env, MOST_PROCS);
        return -EINVAL;
    }
    return (int)n;
}

static int check_options(const weft_options *opt, int *procs, uint8_t *class)
{
    static const weft_options defaults;
    if (!opt)
        opt = &defaults;
    for (size_t i = 0; i < sizeof opt->reserved / sizeof opt->reserved[0]; i++)
        if (opt->reserved[i] != 0)
            return -EINVAL;
    if (opt->max_threads < 0)
        return -EINVAL;
    *procs = choose_procs(opt->procs);
    if (*procs < 0)
        return *procs;
    if (opt->max_threads > 0 && opt->max_threads < *procs)
        return -EINVAL; /* each P that runs needs a thread */
    return wf_stack_class(opt->stack_size ? opt->stack_size : WF_STACK_DEFAULT, class);
}

/* ---- SIGPIPE ------------------------------------------------------------------------- */

static void no_sigpipe(int signo)
{
    (void)signo; /* a handler, not SIG_IGN: exec gives the child its default back */
}

static void ignore_sigpipe(void)
{
    struct sigaction old, sa = { .sa_handler = no_sigpipe, .sa_flags = SA_RESTART };
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGPIPE, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
        old.sa_handler == SIG_DFL)
        sigaction(SIGPIPE, &sa, NULL);
}

/* ---- The main coroutine ----------------------------------------------------------------- */

static void main_entry(void *arg)
{
    struct main_call *call = arg;
    wf_g             *gp = wf_m_self()->gp;
    call->result = call->fn(call->arg);
    if (gp->locals)
        wf_local_end(gp);                 /* before the runtime begins to stop */
    AO_int_store_release(&call->done, 1); /* pairs with the acquire in await_main */
    wf_futex_wake(&call->done, 1);
}

static void await_main(struct main_call *call)
{
    while (!AO_int_load_acquire(&call->done)) /* pairs with main_entry */
        wf_futex_wait(&call->done, 0, WEFT_FOREVER);
}

static int start_main(struct main_call *call)
{
    struct wf_start s = { .fn = main_entry,
                          .group_fn = call->fn /* for people */,
                          .arg = call,
                          .name = "main",
                          .started_at = call->called_at };
    int             r = wf_proc_first(); /* before others may start coroutines, and with them Ms */
    if (r != 0)
        return r;
    wf_sched_open();
    return wf_start_foreign(&s);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void cancel_one(wf_g *gp, void *arg)
{
    (void)arg;
    wf_wait_cancel(gp);
}

static void cancel_all(void)
{
    AO_store(&S.stopping, 1);
    wf_membarrier(); /* pairs with commit_park: token, then flag; and with wf_exit: count, flag */
    wf_g_each(cancel_one, NULL);
}

/* Nothing is scheduled any more.  A wake meant for one of these must go to another. */
static void abandon_one(wf_g *gp, void *arg)
{
    int *n = arg;
    if (gp->state != WF_G_ALIVE)
        return;
    gp->state = WF_G_ABANDONED;
    if (++*n <= NAMED_MOST) {
        wf_say("coroutine %llu (%s) did not end when the runtime stopped%s%s; it is abandoned",
               (unsigned long long)gp->id, gp->name ? gp->name : "unnamed",
               gp->wait_for ? ": it waits " : "", gp->wait_for ? wf_wait_text[gp->wait_for] : "");
    }
    wf_mutex_abandon(gp);
    AO_store(&gp->guard, 0);
    AO_t w = AO_load(&gp->token);
    AO_store(&gp->token,
             (w & WF_TICKET_MASK) | ((AO_t)WF_CANCEL << WF_TOKEN_REASON_SHIFT) | WF_FIRED);
}

static void abandon_all(void)
{
    int n = 0;
    wf_g_each(abandon_one, &n);
    if (n > NAMED_MOST)
        wf_say("and %d more coroutines", n - NAMED_MOST);
}

static void finish(int64_t stop_ns)
{
    if (stop_ns == 0)
        stop_ns = DEFAULT_STOP_NS;
    cancel_all();
    bool clean = wf_wait_live(stop_ns < 0 ? WEFT_NOWAIT : weft_after(stop_ns));
    wf_sysmon_stop();
    bool gone = wf_proc_stop();
    wf_signal_end();
    if (!clean)
        abandon_all();
    wf_stack_report_write(STDERR_FILENO);
    if (wf_net_stop_hook)
        wf_net_stop_hook();
    for (int i = 0; i < S.procs; i++) {
        wf_timers_free(S.ps[i]);
        if (wf_p_free_hook)
            wf_p_free_hook(S.ps[i]);
    }
    wf_netpoll_end();
    wf_dump_stop();
    wf_fault_stop();
    wf_proc_free(gone);
}

/* ---- weft_run ----------------------------------------------------------------------------------- */

static int begin(const weft_options *opt, int procs, uint8_t class)
{
    int max_threads = opt && opt->max_threads ? opt->max_threads : DEFAULT_MAX_THREADS;
    int r = wf_stack_report_start();
    if (r == 0)
        r = wf_proc_start(procs, max_threads);
    if (r != 0)
        return r;
    S.stack_class = class;
    r = wf_hibernate_start();
    if (r == 0)
        r = wf_netpoll_init();
    if (r == 0) {
        wf_membarrier_init();
        wf_fault_start();
        wf_lockcheck_find();
        ignore_sigpipe();
        wf_dump_start();
        wf_deadlock_start();
        r = wf_sysmon_start();
        if (r == 0)
            return 0;
        wf_fault_stop();
        wf_netpoll_end();
    }
    wf_proc_free(true);
    return r;
}

int weft_run(const weft_options *opt, int (*fn)(void *arg), void *arg)
{
    int procs;
    uint8_t class;
    int r = fn ? check_options(opt, &procs, &class) : -EINVAL;
    if (r == 0)
        r = wf_uring_choose();
    if (r != 0)
        return r;
    if (!AO_compare_and_swap_full(&running, 0, 1)) /* pairs with the release below */
        return -EALREADY;
    r = begin(opt, procs, class);
    if (r == 0) {
        struct main_call call = { .fn = fn, .arg = arg, .called_at = WF_CALLER };
        r = start_main(&call);
        if (r == 0)
            await_main(&call);
        finish(r != 0 ? -1 : opt ? opt->stop_ns : 0);
        r = r == 0 ? call.result : r;
    }
    AO_store_release(&running, 0); /* pairs with the CAS above */
    return r;
}

/* ---- Statistics ------------------------------------------------------------------------------------ */

static void add_p(weft_stats *out, const wf_p *pp)
{
    out->started += AO_load(&pp->n_started);
    out->switches += AO_load(&pp->tick) - AO_load(&pp->n_lone_yields);
    out->steals += AO_load(&pp->n_steals);
    out->stolen += AO_load(&pp->n_stolen);
    out->polls += AO_load(&pp->n_polls);
    out->poll_events += AO_load(&pp->n_poll_events);
}

void weft_stats_read(weft_stats *out)
{
    memset(out, 0, sizeof *out);
    if (!wf_sched_hold())
        return;
    out->coroutines = wf_live(); /* before what was started: never more alive than that */
    for (int i = 0; i < S.procs; i++)
        add_p(out, S.ps[i]);
    out->started += AO_load(&S.n_started);
    out->parks = AO_load(&S.n_parks);
    out->wakes = AO_load(&S.n_wakes);
    out->handoffs = AO_load(&S.n_handoffs);
    out->polls += AO_load(&S.n_polls);
    out->poll_events += AO_load(&S.n_poll_events);
    wf_lock_acquire(&S.lock);
    out->threads = (uint64_t)(S.n_threads - S.n_exited);
    wf_lock_release(&S.lock);
    out->hibernated = wf_hibernate_now();
    out->hibernations = wf_hibernate_count();
    uint64_t warm = wf_g_warm_stacks();
    out->stack_bytes = warm > out->hibernated ? (warm - out->hibernated) * 4096 : 0;
    wf_sched_release();
}
