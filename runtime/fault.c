/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - the report of a stack overflow; see fault.h.  Everything that runs in the
 * handler is async-signal-safe: it reads, formats by hand and writes once. */
#include "fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SIGSTACK_BYTES = 64 * 1024, LINE_BYTES = 512 };

static struct sigaction old_segv, old_bus;

struct line {
    char   text[LINE_BYTES];
    size_t n;
};

static void put(struct line *l, const char *s)
{
    while (*s && l->n < LINE_BYTES - 1)
        l->text[l->n++] = *s++;
}

static void put_number(struct line *l, uint64_t v)
{
    char  digits[24];
    char *p = digits + sizeof digits;
    *--p = '\0';
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    put(l, p);
}

static void report(const wf_g *gp)
{
    struct line l = { .n = 0 };
    put(&l, "weft: stack overflow in coroutine ");
    put_number(&l, gp->id);
    put(&l, " (");
    put(&l, gp->name ? gp->name : "unnamed");
    put(&l, "): its stack has ");
    put_number(&l, gp->stack.size);
    put(&l, " bytes; set a larger stack_size in weft_go_options or weft_options\n");
    wf_write_stderr(l.text, l.n);
}

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

static void handler(int signo, siginfo_t *info, void *context)
{
    struct search s = { 0 };
    if (wf_stack_find(info->si_addr, (char **)&s.top) == WF_HIT_GUARD) {
        wf_g_each(match, &s);
        if (s.found) {
            report(s.found);
            signal(signo, SIG_DFL); /* the instruction faults again: core */
            return;
        }
    }
    chain(signo, info, context, signo == SIGBUS ? &old_bus : &old_segv);
}

void wf_fault_start(void)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sa.sa_sigaction = handler;
    sigemptyset(&sa.sa_mask);
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
