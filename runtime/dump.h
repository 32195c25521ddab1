/* SPDX-License-Identifier: Apache-2.0 */
/* dump.h - what everybody does, as text; see dump.c. */
#ifndef WF_DUMP_H
#define WF_DUMP_H

#include "base.h"

/* Of weft_run: looks at $WEFT_DUMP. */
void wf_dump_start(void);
void wf_dump_stop(void); /* SIGQUIT has its former action again */

#endif
