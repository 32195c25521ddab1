/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - which faults are a coroutine's stack overflow; see fault.h.  Everything that runs
 * in the handler is async-signal-safe. */
#include "fault.h"

#include "overflow.h"

#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIGSTACK_BYTES = 64 * 1024, TRAP_PROTECTION = 13 };

static struct sigaction old_segv, old_bus;
static volatile AO_TS_t reporting = AO_TS_INITIALIZER;

struct search {
    const char *top;
    const wf_g *found;
};

static void match(wf_g *gp, void *arg)
{
    struct search *s = arg;
    if (gp->stack.top == s->top)
        s->found = gp;
}

static void chain(int signo, siginfo_t *info, void *context, const struct sigaction *old)
{
    if ((old->sa_flags & SA_SIGINFO) && old->sa_sigaction) {
        old->sa_sigaction(signo, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(signo);
    } else {
        signal(signo, SIG_DFL); /* the instruction faults again: core */
        if (info->si_code <= 0) /* sent by kill: it would not */
            raise(signo);
    }
}

/* A signal found no room for its frame on a coroutine's stack: the kernel names no address then,
 * as of a wild pointer, which has another trap's number. */
static bool no_room(const siginfo_t *info, const ucontext_t *uc, char **top)
{
#if defined(__x86_64__)
    const char *sp = (const char *)uc->uc_mcontext.gregs[REG_RSP];
    char       *below;
    return info->si_signo == SIGSEGV && info->si_code == SI_KERNEL &&
           uc->uc_mcontext.gregs[REG_TRAPNO] != TRAP_PROTECTION &&
           wf_stack_find(sp, top) == WF_HIT_STACK &&
           wf_stack_find(sp - getauxval(AT_MINSIGSTKSZ), &below) != WF_HIT_STACK;
#else
    (void)info, (void)uc, (void)top;
    return false;
#endif
}

static void handler(int signo, siginfo_t *info, void *context)
{
    struct search s = { 0 };
    char         *top;
    if (wf_stack_find(info->si_addr, &top) == WF_HIT_GUARD || no_room(info, context, &top)) {
        s.top = top;
        wf_g_each(match, &s);
    }
    if (!s.found) {
        chain(signo, info, context, signo == SIGBUS ? &old_bus : &old_segv);
        return;
    }
    /* full: pairs with itself; nobody clears it */
    while (AO_test_and_set_full(&reporting) == AO_TS_SET)
        pause(); /* another thread's overflow ends the process just now */
    wf_overflow_report(s.found, context);
    signal(signo, SIG_DFL); /* the instruction faults again: core */
    if (info->si_code == SI_KERNEL)
        raise(signo); /* it would not */
}

void wf_fault_start(void)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sa.sa_sigaction = handler;
    sigemptyset(&sa.sa_mask);
    sigaddset(&sa.sa_mask, SIGSEGV); /* a fault in the handler ends the process at once */
    sigaddset(&sa.sa_mask, SIGBUS);
    sigaction(SIGSEGV, &sa, &old_segv);
    sigaction(SIGBUS, &sa, &old_bus);
}

void wf_fault_stop(void)
{
    struct sigaction now;
    if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == handler)
        sigaction(SIGSEGV, &old_segv, NULL);
    if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction == handler)
        sigaction(SIGBUS, &old_bus, NULL);
}

void wf_fault_thread(wf_m *mp)
{
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE))
        return; /* a sanitizer has one already */
    mp->sigstack = mmap(NULL, SIGSTACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mp->sigstack == MAP_FAILED) {
        mp->sigstack = NULL; /* an overflow then ends the process without the report */
        return;
    }
    sigaltstack(&(stack_t){ .ss_sp = mp->sigstack, .ss_size = SIGSTACK_BYTES }, NULL);
}

void wf_fault_thread_end(wf_m *mp)
{
    if (!mp->sigstack)
        return;
    sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
    munmap(mp->sigstack, SIGSTACK_BYTES);
    mp->sigstack = NULL;
}
