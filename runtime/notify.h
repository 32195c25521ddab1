/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - the end of weft_signal_notify with the runtime's; see notify.c. */
#ifndef WF_NOTIFY_H
#define WF_NOTIFY_H

/* Restores all actions, drops all references. */
void wf_signal_end(void);

#endif
