/* SPDX-License-Identifier: Apache-2.0 */
/* overflow.h - what is said of a coroutine that ran out of stack; see overflow.c. */
#ifndef WF_OVERFLOW_H
#define WF_OVERFLOW_H

#include "g.h"

#include <ucontext.h>

/* Async-signal-safe; on another stack than gp's.  uc: where gp was when it happened. */
void wf_overflow_report(const wf_g *gp, const ucontext_t *uc);

#endif
