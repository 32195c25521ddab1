/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwind.h - walks a stack, frame by frame, by the unwind tables that every object has.
 *
 * Owns nothing.  Reads the stack only between the given bounds, so it cannot fault on a
 * spoilt one.  Async-signal-safe, and it never allocates.  The stack's owner must not run
 * meanwhile, or the walk must stand it: then it ends early, or yields addresses of no use.
 */
#ifndef WF_UNWIND_H
#define WF_UNWIND_H

#include "cfi.h"

#include <ucontext.h>

typedef struct wf_unwind {
    uintptr_t regs[WF_CFI_REGS]; /* of the current frame */
    unsigned  known;             /* a bit for each register */
    bool      exact;             /* pc is where the frame stands, not where it returns to */
    uintptr_t low, high;         /* of the stack */
    uintptr_t shift;             /* from an address there to where its word is read */
} wf_unwind;

/* From where a signal interrupted it; from a context that wf_jump saved. */
void wf_unwind_signal(wf_unwind *u, const ucontext_t *uc, const void *low, const void *high);
bool wf_unwind_saved(wf_unwind *u, const void *fctx, const void *low, const void *high);
/* The same, where the n words from fctx up were moved to `words`. */
bool wf_unwind_moved(wf_unwind *u, const void *fctx, const uint64_t *words, size_t n);

/* To the caller's frame.  WF_UNWIND_END: the outermost one was reached, as its table says. */
enum wf_unwind_step { WF_UNWIND_MORE, WF_UNWIND_END, WF_UNWIND_LOST };
enum wf_unwind_step wf_unwind_step(wf_unwind *u);

/* An address inside the current frame's function: for a caller, of its call. */
static inline uintptr_t wf_unwind_pc(const wf_unwind *u)
{
    return u->regs[WF_CFI_PC] - !u->exact;
}

#endif
