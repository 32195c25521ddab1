/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwind.c - applies the rules of cfi.c to registers and a stack.  Where an object has no
 * tables it tries the frame pointer, and believes it only if it leads into code.
 */
#include "unwind.h"

#include "context.h"

#define RBX 3
#define RBP 6
#define SP  WF_CFI_SP
#define PC  WF_CFI_PC

enum { WORD = sizeof(uintptr_t), EXPR_STACK = 16 };

/* A word of the stack: red zones of sanitizers, or another thread's, are as good as any. */
static __attribute__((no_sanitize_address, no_sanitize_thread)) bool load(const wf_unwind *u,
                                                                          uintptr_t        at,
                                                                          uintptr_t       *out)
{
    if (at < u->low || at > u->high - WORD || at % WORD != 0)
        return false;
    *out = *(const volatile uintptr_t *)(at + u->shift);
    return true;
}

static bool get(const wf_unwind *u, uint64_t reg, uintptr_t *out)
{
    if (reg >= WF_CFI_REGS || !(u->known & 1u << reg))
        return false;
    *out = u->regs[reg];
    return true;
}

static void put(wf_unwind *u, unsigned reg, uintptr_t v)
{
    u->regs[reg] = v;
    u->known |= 1u << reg;
}

/* ---- Expressions ---------------------------------------------------------------------- */

struct expr {
    const wf_unwind *u;
    uintptr_t        stack[EXPR_STACK];
    int              n;
};

static bool push(struct expr *e, uintptr_t v)
{
    if (e->n == EXPR_STACK)
        return false;
    e->stack[e->n++] = v;
    return true;
}

static bool binary(struct expr *e, uint8_t op)
{
    if (e->n < 2)
        return false;
    uintptr_t b = e->stack[--e->n], *a = &e->stack[e->n - 1];
    switch (op) {
    case 0x1a:
        *a &= b;
        return true;
    case 0x1c:
        *a -= b;
        return true;
    case 0x22:
        *a += b;
        return true;
    case 0x24:
        *a = b < 64 ? *a << b : 0;
        return true;
    case 0x2a: /* ge */
        *a = (intptr_t)*a >= (intptr_t)b;
        return true;
    default:
        return false;
    }
}

/* What compilers write for realigned frames, ld for the PLT, libc for a signal's frame. */
static bool do_op(struct expr *e, uint8_t op, const uint8_t **p)
{
    uintptr_t v;
    if (op >= 0x30 && op <= 0x4f) /* lit */
        return push(e, op - 0x30u);
    if (op >= 0x70 && op <= 0x8f) /* breg */
        return get(e->u, op - 0x70u, &v) && push(e, v + (uintptr_t)wf_cfi_sleb(p));
    switch (op) {
    case 0x06: /* deref */
        return e->n > 0 && load(e->u, e->stack[e->n - 1], &e->stack[e->n - 1]);
    case 0x08: /* const1u */
        return push(e, wf_cfi_fixed(p, 1));
    case 0x10: /* constu */
        return push(e, wf_cfi_uleb(p));
    case 0x11: /* consts */
        return push(e, (uintptr_t)wf_cfi_sleb(p));
    case 0x23: /* plus_uconst */
        if (e->n == 0)
            return false;
        e->stack[e->n - 1] += wf_cfi_uleb(p);
        return true;
    default:
        return binary(e, op);
    }
}

/* `first`: what lies on the expression's stack as it begins, or NULL. */
static bool evaluate(const wf_unwind *u, const uint8_t *p, const uintptr_t *first, uintptr_t *out)
{
    struct expr    e = { .u = u };
    uint64_t       bytes = wf_cfi_uleb(&p);
    const uint8_t *end = p + bytes;
    if (first)
        push(&e, *first);
    while (p < end) {
        uint8_t op = *p++;
        if (!do_op(&e, op, &p))
            return false;
    }
    if (e.n == 0)
        return false;
    *out = e.stack[e.n - 1];
    return true;
}

/* ---- One step --------------------------------------------------------------------------- */

static bool cfa_of(const wf_unwind *u, const wf_cfi_row *row, uintptr_t *cfa)
{
    if (row->cfa.how == WF_CFI_IS_EXPR)
        return evaluate(u, row->cfa.expr, NULL, cfa);
    if (!get(u, row->cfa_reg, cfa))
        return false;
    *cfa += (uintptr_t)row->cfa.n;
    return true;
}

static bool apply(const wf_unwind *u, const wf_cfi_rule *rule, uintptr_t cfa, uintptr_t *out)
{
    switch (rule->how) {
    case WF_CFI_AT:
        return load(u, cfa + (uintptr_t)rule->n, out);
    case WF_CFI_IS:
        *out = cfa + (uintptr_t)rule->n;
        return true;
    case WF_CFI_REG:
        return get(u, (uint64_t)rule->n, out);
    case WF_CFI_AT_EXPR:
        return evaluate(u, rule->expr, &cfa, out) && load(u, *out, out);
    case WF_CFI_IS_EXPR:
        return evaluate(u, rule->expr, &cfa, out);
    default:
        return false;
    }
}

static void apply_all(const wf_unwind *u, const wf_cfi_row *row, uintptr_t cfa, wf_unwind *caller)
{
    uintptr_t v;
    for (unsigned reg = 0; reg < WF_CFI_REGS; reg++) {
        if (row->regs[reg].how == WF_CFI_SAME && reg != PC)
            continue;
        caller->known &= ~(1u << reg);
        if (apply(u, &row->regs[reg], cfa, &v))
            put(caller, reg, v);
    }
    if (row->regs[SP].how == WF_CFI_SAME)
        put(caller, SP, cfa);
}

/* By the frame pointer. */
static enum wf_unwind_step step_frame(wf_unwind *u)
{
    wf_code   code;
    uintptr_t fp, next_fp, pc;
    if (!get(u, RBP, &fp) || fp < u->regs[SP] || !load(u, fp, &next_fp) ||
        !load(u, fp + WORD, &pc) || !wf_code_find(pc, &code))
        return WF_UNWIND_LOST;
    u->known = 0;
    u->exact = false;
    put(u, RBP, next_fp);
    put(u, SP, fp + 2 * WORD);
    put(u, PC, pc);
    return WF_UNWIND_MORE;
}

enum wf_unwind_step wf_unwind_step(wf_unwind *u)
{
    wf_cfi_row row;
    uintptr_t  cfa;
    if (!wf_cfi_find(wf_unwind_pc(u), &row))
        return step_frame(u);
    if (row.regs[PC].how == WF_CFI_UNDEFINED)
        return WF_UNWIND_END;
    if (!cfa_of(u, &row, &cfa))
        return WF_UNWIND_LOST;
    wf_unwind caller = *u;
    apply_all(u, &row, cfa, &caller);
    if (!(caller.known & 1u << PC) || !(caller.known & 1u << SP) ||
        (!row.signal && caller.regs[SP] <= u->regs[SP])) /* stacks grow down: no circles */
        return WF_UNWIND_LOST;
    if (caller.regs[PC] == 0)
        return WF_UNWIND_END;
    caller.exact = row.signal;
    *u = caller;
    return WF_UNWIND_MORE;
}

/* ---- Beginnings ---------------------------------------------------------------------------- */

#if defined(__x86_64__)

void wf_unwind_signal(wf_unwind *u, const ucontext_t *uc, const void *low, const void *high)
{
    static const int from[WF_CFI_REGS] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                           REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                           REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };
    *u = (wf_unwind){ .exact = true, .low = (uintptr_t)low, .high = (uintptr_t)high };
    for (unsigned i = 0; i < WF_CFI_REGS; i++)
        put(u, i, (uintptr_t)uc->uc_mcontext.gregs[from[i]]);
}

/* What jump_fcontext of Boost 1.81 saves. */
static bool take_saved(wf_unwind *u, const void *fctx)
{
    static const uint8_t order[] = { 12, 13, 14, 15, RBX, RBP, PC };
    uintptr_t            at = (uintptr_t)fctx + 2 * WORD, v;
    for (size_t i = 0; i < sizeof order; i++, at += WORD) {
        if (!load(u, at, &v))
            return false;
        put(u, order[i], v);
    }
    put(u, SP, at);
    return true;
}

#else

void wf_unwind_signal(wf_unwind *u, const ucontext_t *uc, const void *low, const void *high)
{
    (void)uc;
    *u = (wf_unwind){ .low = (uintptr_t)low, .high = (uintptr_t)high };
}

static bool take_saved(wf_unwind *u, const void *fctx)
{
    (void)u, (void)fctx;
    return false;
}

#endif

bool wf_unwind_saved(wf_unwind *u, const void *fctx, const void *low, const void *high)
{
    *u = (wf_unwind){ .low = (uintptr_t)low, .high = (uintptr_t)high };
    return take_saved(u, fctx);
}

bool wf_unwind_moved(wf_unwind *u, const void *fctx, const uint64_t *words, size_t n)
{
    uintptr_t low = (uintptr_t)fctx;
    *u = (wf_unwind){ .low = low, .high = low + n * WORD, .shift = (uintptr_t)words - low };
    return take_saved(u, fctx);
}
