/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cfi.h - what the unwind tables (.eh_frame) say of one address: where the caller's
 * registers are.
 *
 * Owns the reading of the tables, no more.  Async-signal-safe: it takes no lock, allocates
 * nothing and reads only the tables of objects that are loaded.
 */
#ifndef WF_CFI_H
#define WF_CFI_H

#include "base.h"

enum { WF_CFI_REGS = 17, WF_CFI_SP = 7, WF_CFI_PC = 16 }; /* x86-64's numbers in the tables */

enum wf_cfi_how {
    WF_CFI_SAME,      /* the caller's is this one */
    WF_CFI_UNDEFINED, /* nobody knows; of the pc: there is no caller */
    WF_CFI_AT,        /* saved at CFA + n */
    WF_CFI_IS,        /* CFA + n itself */
    WF_CFI_REG,       /* in register n */
    WF_CFI_AT_EXPR,   /* saved at what the expression yields */
    WF_CFI_IS_EXPR
};

typedef struct wf_cfi_rule {
    enum wf_cfi_how how;
    intptr_t        n;
    const uint8_t  *expr; /* its length as ULEB128, then its operations */
} wf_cfi_rule;

/* The rules at one address.  CFA: the stack pointer of the caller, after the return. */
typedef struct wf_cfi_row {
    unsigned    cfa_reg;
    wf_cfi_rule cfa; /* WF_CFI_IS: register cfa_reg + n; or WF_CFI_IS_EXPR */
    wf_cfi_rule regs[WF_CFI_REGS];
    bool        signal; /* a signal's frame: its caller was interrupted, and made no call */
} wf_cfi_row;

/* The object that holds an address. */
typedef struct wf_code {
    const char *path; /* "": the program itself */
    uintptr_t   base; /* an address less this is what addr2line takes */
    const void *start;
    const void *eh_frame_hdr;
} wf_code;

bool wf_code_find(uintptr_t pc, wf_code *out);
bool wf_cfi_find(uintptr_t pc, wf_cfi_row *out); /* false: the tables say nothing of it */

uint64_t wf_cfi_uleb(const uint8_t **p);
int64_t  wf_cfi_sleb(const uint8_t **p);
uint64_t wf_cfi_fixed(const uint8_t **p, int bytes); /* little-endian, unsigned */

#endif
