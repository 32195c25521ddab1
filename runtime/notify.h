/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - the end of weft_signal_notify with the runtime's; see notify.c. */
#ifndef WF_NOTIFY_H
#define WF_NOTIFY_H

#include <stdbool.h>

bool wf_signal_wanted(void); /* some signal is delivered to a channel */

/* Restores all actions, drops all references. */
void wf_signal_end(void);

#endif
