/* SPDX-License-Identifier: Apache-2.0 */
/* deadlock.h - all wait and nothing can wake one: says so and ends; see deadlock.c. */
#ifndef WF_DEADLOCK_H
#define WF_DEADLOCK_H

#include "base.h"

void wf_deadlock_start(void); /* of weft_run */

#endif
