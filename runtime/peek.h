/* SPDX-License-Identifier: Apache-2.0 */
/* peek.h - copies memory that may be gone; see peek.c. */
#ifndef WF_PEEK_H
#define WF_PEEK_H

#include "base.h"

/* False: it is not mapped, or the system lends no means to find out. */
bool wf_peek(void *to, const void *from, size_t n);

#endif
