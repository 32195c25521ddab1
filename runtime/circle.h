/* SPDX-License-Identifier: Apache-2.0 */
/* circle.h - coroutines that wait for each other; see circle.c. */
#ifndef WF_CIRCLE_H
#define WF_CIRCLE_H

#include "census.h"

/* Writes each circle in words; how many, or -ENOMEM. */
int wf_circles_print(wf_census *c, wf_out *o);

/* "coroutine 7 (name)" or "coroutine 7". */
void wf_one_print(const wf_one *one, wf_out *o);
/* ", locked by coroutine 7 (name) in f at x.c:12", where the object is held. */
void wf_hold_print(wf_census *c, const wf_seen *s, wf_out *o);

#endif
