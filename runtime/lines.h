/* SPDX-License-Identifier: Apache-2.0 */
/* lines.h - functions and source lines of addresses, inlined ones too; see lines.c. */
#ifndef WF_LINES_H
#define WF_LINES_H

#include "base.h"

typedef struct wf_lines wf_lines;

typedef struct wf_source {
    const char *function; /* never NULL */
    const char *file;     /* NULL: not known */
    int         line;
} wf_source;

/* NULL: libdw is not there, or weft was built without its headers.  One at a time. */
wf_lines *wf_lines_open(void);
void      wf_lines_close(wf_lines *l);

/* What stands at pc, innermost first: inlined functions, then the one that they are in.
 * How many; the texts live until the close. */
int wf_lines_find(wf_lines *l, uintptr_t pc, wf_source *out, int most);

#endif
