/* SPDX-License-Identifier: Apache-2.0 */
/* roll.h - a census as text: coroutines that stand alike are listed together; see roll.c. */
#ifndef WF_ROLL_H
#define WF_ROLL_H

#include "census.h"

/* Reorders nothing of the census; 0 or -ENOMEM. */
int wf_roll_print(wf_census *c, wf_out *o);

/* "1.2 s", "3 min": a time that passed. */
void wf_out_time(wf_out *o, int64_t ns);

#endif
