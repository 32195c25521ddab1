/* SPDX-License-Identifier: Apache-2.0 */
/* out.h - text to a descriptor, gathered; see out.c. */
#ifndef WF_OUT_H
#define WF_OUT_H

#include "base.h"

typedef struct wf_out {
    int    fd;
    int    error; /* the first one; then nothing is written any more */
    size_t n, room;
    char  *text; /* malloc'ed */
} wf_out;

static inline void wf_out_open(wf_out *o, int fd)
{
    o->fd = fd;
    o->error = 0;
    o->n = o->room = 0;
    o->text = NULL;
}

__attribute__((format(printf, 2, 3))) void wf_out_print(wf_out *o, const char *format, ...);
int wf_out_flush(wf_out *o); /* writes and frees it: 0 or the first error */

#endif
