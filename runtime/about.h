/* SPDX-License-Identifier: Apache-2.0 */
/* about.h - the object that a coroutine waits for, in words; see about.c. */
#ifndef WF_ABOUT_H
#define WF_ABOUT_H

#include "snapshot.h"

/* Of a wait: sets about, hold and holder by kind and on. */
void wf_about(wf_seen *s);

/* Can nothing but another coroutine end such a wait? */
bool wf_about_inside(enum wf_wait_kind kind);

#endif
