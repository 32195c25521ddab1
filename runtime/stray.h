/* SPDX-License-Identifier: Apache-2.0 */
/* stray.h - what leaves a coroutine's function other than by its return; see stray.c. */
#ifndef WF_STRAY_H
#define WF_STRAY_H

#include "sched.h"

/* Names wf_stray_left as the personality of the function that it stands in: the unwinder
 * calls it there.  It is said in assembly because C has no word for it. */
#define WF_STRAY_NOTE __asm__ volatile(".cfi_personality 0x1b, wf_stray_left")

/* gp ran until now and sp is its stack pointer: dies if that is not on its stack. */
void wf_stray_check(const wf_g *gp, const void *sp);

#endif
