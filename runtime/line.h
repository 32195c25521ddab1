/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.h - one line of text, made without libc: for signal handlers, where printf must not
 * be called.  What does not fit is left off.
 */
#ifndef WF_LINE_H
#define WF_LINE_H

#include "base.h"

enum { WF_LINE_BYTES = 1024 };

typedef struct wf_line {
    char   text[WF_LINE_BYTES];
    size_t n;
} wf_line;

static inline void wf_line_put(wf_line *l, const char *s)
{
    while (*s && l->n < WF_LINE_BYTES - 1) /* there is always room for the line's end */
        l->text[l->n++] = *s++;
}

static inline void wf_line_put_base(wf_line *l, uint64_t v, unsigned base)
{
    char  digits[24];
    char *p = digits + sizeof digits;
    *--p = '\0';
    do
        *--p = "0123456789abcdef"[v % base];
    while (v /= base);
    wf_line_put(l, p);
}

static inline void wf_line_put_number(wf_line *l, uint64_t v)
{
    wf_line_put_base(l, v, 10);
}

/* In a column: at least a space and so many characters wide. */
static inline void wf_line_put_padded(wf_line *l, uint64_t v, int width)
{
    for (uint64_t least = 10; width > 2; least *= 10, width--)
        wf_line_put(l, v < least ? " " : "");
    wf_line_put(l, " ");
    wf_line_put_number(l, v);
}

static inline void wf_line_put_hex(wf_line *l, uint64_t v)
{
    wf_line_put(l, "0x");
    wf_line_put_base(l, v, 16);
}

/* Ends the line, and makes it empty again once it was used. */
static inline void wf_line_end(wf_line *l)
{
    l->text[l->n++] = '\n';
}

#endif
