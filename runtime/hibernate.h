/* SPDX-License-Identifier: Apache-2.0 */
/* hibernate.h - stacks of readers that have waited for long are given back; see hibernate.c. */
#ifndef WF_HIBERNATE_H
#define WF_HIBERNATE_H

#include "g.h"

enum { WF_HIBERNATE_WORDS = 1024 }; /* live words that are moved, at most */

/* Live words of a G that does not run, from fctx up; while it hibernates, packed at gp->moved. */
size_t wf_hibernate_live(const wf_g *gp);

/* gp hibernates and is about to be resumed: its stack is as it was. */
WF_COLD void wf_hibernate_end(wf_g *gp);

/* The G itself, round a wait to read in which it does not hibernate, whoever allowed it. */
unsigned wf_hibernate_forbid(wf_g *gp);
void     wf_hibernate_allow(wf_g *gp, unsigned was); /* again, what wf_hibernate_forbid returned */

/* ---- sysmon's --------------------------------------------------------------- */

/* At each tick: goes on with the round, or begins one that is due.  `activity` changes
 * whenever a G parks. */
void wf_hibernate_look(int64_t now, AO_t activity);
bool wf_hibernate_busy(void); /* in the middle of a round */
/* When the next round is due, as seen while all Ps idle. */
int64_t wf_hibernate_until(AO_t activity);

int  wf_hibernate_start(void); /* of a runtime; -EINVAL: $WEFT_HIBERNATE */
AO_t wf_hibernate_now(void);   /* Gs that hibernate */
AO_t wf_hibernate_count(void); /* how often one began to */

#endif
