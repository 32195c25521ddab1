/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overflow.c - the report of a stack overflow: who, what to set, and the frames at both
 * ends.  It runs in a signal handler, so all of it is async-signal-safe; and as what it
 * walks is spoilt by nature, the line that matters is out before the walk begins.
 */
#include "overflow.h"

#include "sched.h"
#include "symbol.h"
#include "unwind.h"

enum { INNERMOST = 8, OUTERMOST = 4, FRAMES_MOST = 1 << 22 };

static void print(wf_line *l)
{
    wf_line_end(l);
    wf_write_stderr(l->text, l->n);
    l->n = 0;
}

static void who_and_what(wf_line *l, const wf_g *gp)
{
    bool own = gp->stack.class != wf_the_sched.stack_class; /* not the size of all */
    wf_line_put(l, "weft: stack overflow in coroutine ");
    wf_line_put_number(l, gp->id);
    wf_line_put(l, " (");
    wf_line_put(l, gp->name ? gp->name : "unnamed");
    wf_line_put(l, "): its stack has ");
    wf_line_put_number(l, gp->stack.size);
    wf_line_put(l, " bytes; set a larger stack_size");
    if (gp->stack.class + 1 < WF_STACK_CLASSES) {
        wf_line_put(l, " (");
        wf_line_put_number(l, 2 * (uint64_t)gp->stack.size);
        wf_line_put(l, ", say)");
    }
    wf_line_put(l, own ? " in weft_go_options" : " in weft_options");
    print(l);
}

static void where_started(wf_line *l, wf_symbols *s, const wf_g *gp)
{
    if (!gp->started_at)
        return;
    wf_line_put(l, "    started at ");
    wf_line_put_place(l, s, (uintptr_t)gp->started_at - 1); /* the call, not what follows it */
    print(l);
}

static void frame(wf_line *l, wf_symbols *s, uintptr_t n, uintptr_t pc)
{
    wf_line_put(l, "    #");
    wf_line_put_number(l, n);
    wf_line_put(l, " ");
    wf_line_put_place(l, s, pc);
    print(l);
}

/* The innermost frames as they come; of the others the last few, when the end is known. */
static void frames(wf_line *l, wf_symbols *s, wf_unwind *u)
{
    uintptr_t           last[OUTERMOST] = { 0 }, n = 0;
    enum wf_unwind_step step;
    do {
        if (n < INNERMOST)
            frame(l, s, n, wf_unwind_pc(u));
        last[n++ % OUTERMOST] = wf_unwind_pc(u);
        step = n < FRAMES_MOST ? wf_unwind_step(u) : WF_UNWIND_LOST;
    } while (step == WF_UNWIND_MORE);
    if (n > INNERMOST + OUTERMOST) {
        wf_line_put(l, "    ...");
        print(l);
    }
    uintptr_t from = n > INNERMOST + OUTERMOST ? n - OUTERMOST : INNERMOST;
    for (uintptr_t i = from; i < n; i++)
        frame(l, s, i, last[i % OUTERMOST]);
    wf_line_put(l, step == WF_UNWIND_END ? "    depth: " : "    depth: at least ");
    wf_line_put_number(l, n);
    wf_line_put(l, n == 1 ? " frame" : " frames");
    print(l);
}

void wf_overflow_report(const wf_g *gp, const ucontext_t *uc)
{
    wf_line    l = { .n = 0 };
    wf_symbols s = { 0 };
    wf_unwind  u;
    who_and_what(&l, gp);
    where_started(&l, &s, gp);
    wf_unwind_signal(&u, uc, gp->stack.top - gp->stack.size, gp->stack.top);
    frames(&l, &s, &u);
    wf_symbols_close(&s);
}
