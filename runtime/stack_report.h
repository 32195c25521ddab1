/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack_report.h - how much of their stacks coroutines use, by the place that starts them.
 *
 * Owns the histograms.  On by WEFT_STACK_REPORT=1: then each stack is measured and wiped as
 * its coroutine ends, which takes as long as reading all of it.  Memory is bounded: so many
 * places, the rest in one line.
 */
#ifndef WF_STACK_REPORT_H
#define WF_STACK_REPORT_H

#include "g.h"

int  wf_stack_report_start(void);     /* at the beginning of a run: 0, or -EINVAL: it said why */
void wf_stack_report_ended(wf_g *gp); /* gp is dead, and nobody stands on its stack */
void wf_stack_report_write(int fd);   /* with those that live; nothing where it is off */

#endif
