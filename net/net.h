/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - what the runtime calls of the net package, as coroutines, Ps and the runtime
 * itself end.
 */
#ifndef WF_NET_H
#define WF_NET_H

#include "runtime/sched.h"

/* gp ends with gp->borrow set: gives back its buffers and its turns.  Inside, with a P. */
void wf_borrow_end(wf_m *mp, wf_g *gp);

/* pp ends: frees its read buffers.  Nobody else uses pp any more. */
void wf_buffers_free(wf_p *pp);

/*
 * On the thread of weft_run, when no coroutine runs any more and before the poller ends:
 * closes every listener and connection, whoever was inside of them, and forgets every
 * look-up.  Handles of before are -EBADF from then on.
 */
void wf_net_stop(void);

#endif
