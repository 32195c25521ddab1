/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scarce.h - waiting out a shortage of descriptors or memory.
 *
 * An accept that fails for want of them would find the listener readable again at once
 * and burn a core.  So it waits: 5 ms, doubling to 1 s, cut short when weft closes a
 * descriptor, and obeying the listener's deadline, its close, and cancellation.
 *
 * No easing is missed: the waiter announces itself (n_waiting, a full read-modify-write),
 * notes the epoch, and tries once more before it sleeps; who closes a descriptor does so,
 * passes a fence, and looks at n_waiting.  So either the close was before that last try,
 * or it changes the epoch, which the waiter compares under the lock as it queues.
 */
#ifndef WF_SCARCE_H
#define WF_SCARCE_H

#include "fd.h"

typedef struct wf_scarce {
    AO_t    epoch;    /* at the last try */
    int64_t pause_ns; /* 0: not announced yet */
} wf_scarce;

static inline bool wf_scarce_is(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM ||
           error == -ENOSPC;
}

/* After a try that failed so: 0 try again, or -ETIMEDOUT, -ECANCELED, -EBADF.  A zeroed s
 * before the first; wf_scarce_end after the last.  [parks] */
int  wf_scarce_wait(wf_scarce *s, wf_op *op);
void wf_scarce_end(wf_scarce *s);

/* Something became free, or a waiter should look at its listener again. */
void wf_scarce_eased(wf_m *mp);
/* When the runtime has stopped: whoever still waits never runs again. */
void wf_scarce_reset(void);
/* Closes a descriptor's number and says so. */
void wf_scarce_close(wf_m *mp, int fd);

#endif
