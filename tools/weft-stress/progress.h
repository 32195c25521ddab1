/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/progress.h - a line on stderr each second: how many are up, how fast it goes. */
#ifndef WEFT_STRESS_PROGRESS_H
#define WEFT_STRESS_PROGRESS_H

#include "load.h"

/* A coroutine's function; arg is the struct load.  It ends when it is cancelled. */
int progress_show(void *arg);

#endif
