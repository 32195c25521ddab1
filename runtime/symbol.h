/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbol.h - what an address is called: the function, and what addr2line takes.
 *
 * Reads the symbol table of the file that the address was loaded from; static functions are
 * found too, unless it was stripped.  Async-signal-safe: open, mmap and no lock.
 */
#ifndef WF_SYMBOL_H
#define WF_SYMBOL_H

#include "cfi.h"
#include "line.h"

/* The file looked into last, kept for the next address; zeroed: none. */
typedef struct wf_symbols {
    const char    *path;
    uintptr_t      base;
    const uint8_t *file; /* mapped; NULL: it cannot be had, or is another by now */
    size_t         size;
} wf_symbols;

/* The function that holds pc, and how far into it; NULL: not known. */
const char *wf_symbol_find(wf_symbols *s, uintptr_t pc, uintptr_t *offset);
void        wf_symbols_close(wf_symbols *s);

/* Writes "function+0x1f (/path/of/object+0x1234)", or what is known of that. */
void wf_line_put_place(wf_line *l, wf_symbols *s, uintptr_t pc);

#endif
