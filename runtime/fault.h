/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.h - a stack overflow is reported by the coroutine's name.
 *
 * Owns the handler of SIGSEGV and SIGBUS while a runtime runs, and an alternate signal
 * stack per M.  A fault that hits no guard goes to whoever handled it before.
 */
#ifndef WF_FAULT_H
#define WF_FAULT_H

#include "sched.h"

void wf_fault_start(void);
void wf_fault_stop(void);
void wf_fault_thread(wf_m *mp);
void wf_fault_thread_end(wf_m *mp);

#endif
