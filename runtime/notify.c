/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - weft_signal_notify: signals as values in channels.
 *
 * The handler sets a bit and wakes sysmon, no more; sysmon's thread delivers (deliver).  So
 * nothing of the runtime runs in a signal handler, and no descriptor is needed.  Arrivals of
 * one signal before it was delivered are one, as the kernel has it for those pending.
 *
 * Lock: table.lock, before a channel's.
 */
#include "notify.h"

#include "chan.h"

#include <signal.h>
#include <stdlib.h>

enum { SIGNALS = 64 };

struct entry {
    weft_chan    *c; /* a reference */
    int           signo;
    struct entry *next;
};

static struct {
    wf_lock          lock;
    struct entry    *entries;            /* under lock */
    unsigned         users[SIGNALS + 1]; /* under lock: entries of each signal */
    struct sigaction old[SIGNALS + 1];   /* under lock: what to restore */
} table;

static volatile AO_t n_entries; /* written under lock */
static volatile AO_t pending;   /* bit signo - 1; set by the handler, taken by deliver */

static void handler(int signo)
{
    AO_or_full(&pending, (AO_t)1 << (signo - 1)); /* pairs with the CAS in take_pending */
    wf_sysmon_wake();
}

static AO_t take_pending(void)
{
    AO_t p = AO_load(&pending);
    while (p && !AO_compare_and_swap_full(&pending, p, 0)) /* pairs with the OR in handler */
        p = AO_load(&pending);
    return p;
}

static void deliver_to(weft_chan *c, int signo)
{
    wf_g *wake;
    wf_spin_acquire(&c->lock);
    wf_chan_try_send(c, &signo, &wake); /* full or closed: dropped */
    wf_spin_release(&c->lock);
    if (wake)
        wf_ready_anywhere(wake);
}

static void deliver(void)
{
    AO_t p = take_pending();
    if (!p)
        return;
    wf_lock_acquire(&table.lock);
    for (struct entry *e = table.entries; e; e = e->next)
        if (p & ((AO_t)1 << (e->signo - 1)))
            deliver_to(e->c, e->signo);
    wf_lock_release(&table.lock);
}

/* Under the lock. */
static void hook(int signo)
{
    struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };
    sigfillset(&sa.sa_mask);
    if (table.users[signo]++ == 0)
        sigaction(signo, &sa, &table.old[signo]);
}

static void unhook(int signo)
{
    if (--table.users[signo] == 0)
        sigaction(signo, &table.old[signo], NULL);
}

static bool can_notify(int signo)
{
    switch (signo) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGSYS:
        return false;
    default: /* the C library keeps 32 and 33 for itself */
        return signo >= 1 && signo <= SIGNALS && (signo < 32 || signo >= SIGRTMIN);
    }
}

static struct entry *find(const weft_chan *c, int signo)
{
    for (struct entry *e = table.entries; e; e = e->next)
        if (e->c == c && e->signo == signo)
            return e;
    return NULL;
}

int weft_signal_notify(weft_chan *c, int signo)
{
    if (!c || c->elem_size != sizeof(int) || !can_notify(signo))
        return -EINVAL;
    struct entry *e = malloc(sizeof *e);
    if (!e)
        return -ENOMEM;
    wf_m *mp = wf_enter("weft_signal_notify");
    wf_sysmon_set_hook(WF_HOOK_SIGNALS, deliver);
    wf_lock_acquire(&table.lock);
    bool known = find(c, signo) != NULL;
    if (!known) {
        *e = (struct entry){ .c = weft_chan_ref(c), .signo = signo, .next = table.entries };
        table.entries = e;
        wf_count(&n_entries, 1);
        hook(signo);
    }
    wf_lock_release(&table.lock);
    wf_leave(mp);
    if (known)
        free(e);
    return 0;
}

/* Under the lock: takes out the entries of c, or all; the caller frees them. */
static struct entry *detach(const weft_chan *c)
{
    struct entry *out = NULL;
    for (struct entry **at = &table.entries; *at;) {
        struct entry *e = *at;
        if (c && e->c != c) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        wf_count(&n_entries, (AO_t)-1);
        e->next = out;
        out = e;
        unhook(e->signo);
    }
    return out;
}

static int drop(const weft_chan *c)
{
    wf_lock_acquire(&table.lock);
    struct entry *e = detach(c);
    wf_lock_release(&table.lock);
    int n = 0;
    for (struct entry *next; e; e = next, n++) {
        next = e->next;
        weft_chan_unref(e->c);
        free(e);
    }
    return n;
}

int weft_signal_stop(weft_chan *c)
{
    wf_m *mp = wf_enter("weft_signal_stop");
    int   n = c ? drop(c) : 0;
    wf_leave(mp);
    return n > 0 ? 0 : -EINVAL;
}

bool wf_signal_wanted(void)
{
    return AO_load(&n_entries) > 0;
}

void wf_signal_end(void)
{
    drop(NULL);
    AO_store(&pending, 0);
}
