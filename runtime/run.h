/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - what higher floors have called at the runtime's end; NULL: nothing. */
#ifndef WF_RUN_H
#define WF_RUN_H

#include "sched.h"

/* On weft_run's thread, after all Ms have ended: closes all descriptors. */
extern void (*wf_net_stop_hook)(void);
/* The same, for each P: frees what hangs on it. */
extern void (*wf_p_free_hook)(wf_p *pp);

#endif
