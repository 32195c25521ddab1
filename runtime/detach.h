/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach.h - a ring whose thread is in a call that cannot be interrupted (vfork, fsync, NFS), for
 * uring.c alone.
 *
 * The kernel receives for a request in the thread that submitted it, so until that call returns
 * nothing comes of the ring's requests.  Then others take them away:
 *
 *   sysmon   detached = BEGUN under sq: nothing more is armed; submits what is queued; cancels
 *            all; takes all completions; inboxes that are ARMED or ENDING by this ring become NONE
 *            (inbox.h), and their readers are told, so they ask the system and arm elsewhere;
 *            then detached = DONE
 *   its M    back in the runtime, before it arms anew: if DONE, takes the last completions of
 *            those requests; detached = 0 once there is none left.  It may be back before sysmon
 *            is DONE, which would take what it armed for something to be orphaned
 *
 * No byte is lost or comes late.  The kernel cancels under the lock under which it receives, and
 * a cancelled request receives nothing more, though it ends only when its thread is back; so once
 * all are cancelled, whatever they had received is in the ring, and then in the inboxes, before
 * a reader finds NONE and asks the system.  An orphan's last completion, which brings nothing,
 * finds that the inbox's ring is not this one: it cannot be this one again before it was taken
 * (tests/model/uring.pml).
 */
#ifndef WF_DETACH_H
#define WF_DETACH_H

#include "g.h"
#include "ring.h"

/* sysmon: completions wait for u's thread, which does not see to them. */
bool wf_ring_stalls(wf_uring *u, int64_t now);
void wf_ring_detach(wf_uring *u, wf_glist *out);
/* Its M: may it arm? */
bool wf_ring_settle(wf_uring *u, wf_glist *out);

#endif
