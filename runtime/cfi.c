/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cfi.c - from an address to its row of unwind rules: .eh_frame_hdr's sorted table names
 * the FDE, the FDE its CIE, and both are little programs that make the row.
 *
 * The form is the Linux Standard Base's, as ld writes it.  What is written otherwise is
 * not understood and answered by "nothing known", never by a guess.
 */
#include "cfi.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

enum { REMEMBERED_MOST = 8 };

/* How a pointer is written: the low half its form, the high half what it is relative to. */
enum {
    ENC_ABSPTR = 0x00,
    ENC_UDATA4 = 0x03,
    ENC_SDATA4 = 0x0b,
    ENC_SDATA8 = 0x0c,
    ENC_UDATA8 = 0x04,
    ENC_PCREL = 0x10,
    ENC_DATAREL = 0x30,
    ENC_OMIT = 0xff
};

/* What an FDE and its CIE say. */
struct fde {
    uintptr_t      start, end; /* the code */
    uint64_t       code_align;
    int64_t        data_align;
    const uint8_t *cie_ops, *cie_end, *ops, *ops_end;
    uint8_t        enc;
    bool           augmented; /* 'z': the FDE has augmentation data too */
    bool           signal;
};

/* ---- Numbers ------------------------------------------------------------------------- */

uint64_t wf_cfi_uleb(const uint8_t **p)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t b = *(*p)++;
        if (shift < 64)
            v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
}

int64_t wf_cfi_sleb(const uint8_t **p)
{
    uint64_t v = 0;
    for (unsigned shift = 0;;) {
        uint8_t b = *(*p)++;
        if (shift < 64)
            v |= (uint64_t)(b & 0x7f) << shift;
        shift += 7;
        if (b & 0x80)
            continue;
        if ((b & 0x40) && shift < 64)
            v |= ~(uint64_t)0 << shift;
        return (int64_t)v;
    }
}

uint64_t wf_cfi_fixed(const uint8_t **p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t) * (*p)++ << (8 * i);
    return v;
}

static bool read_encoded(const uint8_t **p, uint8_t enc, uintptr_t *out)
{
    uintptr_t at = (uintptr_t)*p;
    switch (enc & 0x0f) {
    case ENC_ABSPTR:
    case ENC_UDATA8:
    case ENC_SDATA8:
        *out = wf_cfi_fixed(p, 8);
        break;
    case ENC_UDATA4:
        *out = wf_cfi_fixed(p, 4);
        break;
    case ENC_SDATA4:
        *out = (uintptr_t)(int32_t)wf_cfi_fixed(p, 4);
        break;
    default:
        return false;
    }
    if ((enc & 0x70) == ENC_PCREL)
        *out += at;
    return (enc & 0x70) == ENC_PCREL || (enc & 0x70) == 0;
}

/* ---- From an address to its FDE --------------------------------------------------------- */

bool wf_code_find(uintptr_t pc, wf_code *out)
{
    struct dl_find_object found;
    if (_dl_find_object((void *)pc, &found) != 0) /* async-signal-safe, unlike dladdr */
        return false;
    *out = (wf_code){ .path = found.dlfo_link_map->l_name,
                      .base = found.dlfo_link_map->l_addr,
                      .start = found.dlfo_map_start,
                      .eh_frame_hdr = found.dlfo_eh_frame };
    return true;
}

/* .eh_frame_hdr's table: pairs of 4 bytes, relative to its start, sorted by the first. */
static const uint8_t *fde_of(const uint8_t *hdr, uintptr_t pc)
{
    uintptr_t      frames;
    const uint8_t *p = hdr + 4;
    if (hdr[0] != 1 || hdr[2] != ENC_UDATA4 || hdr[3] != (ENC_DATAREL | ENC_SDATA4) ||
        !read_encoded(&p, hdr[1], &frames))
        return NULL;
    size_t         low = 0, high = wf_cfi_fixed(&p, 4);
    const uint8_t *table = p;
    while (low < high) { /* all below low start at or before pc, all from high on after it */
        size_t mid = low + (high - low) / 2;
        p = table + 8 * mid;
        if ((uintptr_t)hdr + (uintptr_t)(int32_t)wf_cfi_fixed(&p, 4) <= pc)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return NULL;
    p = table + 8 * (low - 1) + 4;
    return hdr + (int32_t)wf_cfi_fixed(&p, 4);
}

static bool read_augmentation(struct fde *f, const char *letters, const uint8_t *p)
{
    uintptr_t personality;
    for (; *letters; letters++) {
        switch (*letters) {
        case 'R':
            f->enc = *p++;
            break;
        case 'L':
            p++;
            break;
        case 'P': { /* its value does not matter, its size does */
            uint8_t enc = *p++;
            if (!read_encoded(&p, enc & 0x0f, &personality))
                return false;
            break;
        }
        case 'S':
            f->signal = true;
            break;
        default:
            return false;
        }
    }
    return true;
}

static bool read_cie(struct fde *f, const uint8_t *p)
{
    uint64_t length = wf_cfi_fixed(&p, 4);
    f->cie_end = p + length;
    if (length == 0xffffffff || wf_cfi_fixed(&p, 4) != 0)
        return false;
    uint8_t     version = *p++;
    const char *letters = (const char *)p;
    p += strlen(letters) + 1;
    f->code_align = wf_cfi_uleb(&p);
    f->data_align = wf_cfi_sleb(&p);
    uint64_t pc_reg = version == 1 ? *p++ : wf_cfi_uleb(&p);
    if (pc_reg != WF_CFI_PC || (version != 1 && version != 3))
        return false;
    f->augmented = *letters == 'z';
    f->cie_ops = p;
    if (!f->augmented)
        return *letters == '\0';
    uint64_t bytes = wf_cfi_uleb(&p);
    f->cie_ops = p + bytes;
    return read_augmentation(f, letters + 1, p);
}

static bool read_fde(struct fde *f, const uint8_t *p)
{
    uint64_t       length = wf_cfi_fixed(&p, 4);
    const uint8_t *at = p, *cie = at - wf_cfi_fixed(&p, 4);
    uintptr_t      size;
    f->ops_end = at + length;
    if (length == 0 || length == 0xffffffff || !read_cie(f, cie) ||
        !read_encoded(&p, f->enc, &f->start) || !read_encoded(&p, f->enc & 0x0f, &size))
        return false;
    f->end = f->start + size;
    if (f->augmented) {
        uint64_t bytes = wf_cfi_uleb(&p);
        p += bytes;
    }
    f->ops = p;
    return true;
}

/* ---- From the FDE to the row --------------------------------------------------------------- */

struct run {
    const struct fde *f;
    uintptr_t         loc, pc;
    wf_cfi_row        row, initial, remembered[REMEMBERED_MOST];
    int               n_remembered;
};

/* Registers beyond those kept (vectors) have rules too: they go where nobody looks. */
static void set(struct run *r, uint64_t reg, enum wf_cfi_how how, intptr_t n)
{
    if (reg < WF_CFI_REGS)
        r->row.regs[reg] = (wf_cfi_rule){ .how = how, .n = n };
}

static void set_expr(struct run *r, uint64_t reg, enum wf_cfi_how how, const uint8_t **p)
{
    if (reg < WF_CFI_REGS)
        r->row.regs[reg] = (wf_cfi_rule){ .how = how, .expr = *p };
    uint64_t bytes = wf_cfi_uleb(p);
    *p += bytes;
}

static void set_cfa(struct run *r, uint64_t reg, int64_t n)
{
    r->row.cfa_reg = (unsigned)reg;
    r->row.cfa = (wf_cfi_rule){ .how = WF_CFI_IS, .n = n };
}

static void advance(struct run *r, uint64_t by)
{
    r->loc += by * r->f->code_align;
}

/* The operations whose operands are registers and offsets. */
static bool do_register_op(struct run *r, uint8_t op, const uint8_t **p)
{
    int64_t  align = r->f->data_align;
    uint64_t reg = wf_cfi_uleb(p);
    switch (op) {
    case 0x05: /* offset_extended */
        set(r, reg, WF_CFI_AT, (int64_t)wf_cfi_uleb(p) * align);
        break;
    case 0x06: /* restore_extended */
        if (reg < WF_CFI_REGS)
            r->row.regs[reg] = r->initial.regs[reg];
        break;
    case 0x07:
        set(r, reg, WF_CFI_UNDEFINED, 0);
        break;
    case 0x08:
        set(r, reg, WF_CFI_SAME, 0);
        break;
    case 0x09: /* register */
        set(r, reg, WF_CFI_REG, (intptr_t)wf_cfi_uleb(p));
        break;
    case 0x0c: /* def_cfa */
        set_cfa(r, reg, (int64_t)wf_cfi_uleb(p));
        break;
    case 0x0d: /* def_cfa_register */
        r->row.cfa_reg = (unsigned)reg;
        break;
    case 0x10:
        set_expr(r, reg, WF_CFI_AT_EXPR, p);
        break;
    case 0x11: /* offset_extended_sf */
        set(r, reg, WF_CFI_AT, wf_cfi_sleb(p) * align);
        break;
    case 0x12: /* def_cfa_sf */
        set_cfa(r, reg, wf_cfi_sleb(p) * align);
        break;
    case 0x14: /* val_offset */
        set(r, reg, WF_CFI_IS, (int64_t)wf_cfi_uleb(p) * align);
        break;
    case 0x16:
        set_expr(r, reg, WF_CFI_IS_EXPR, p);
        break;
    default:
        return false;
    }
    return true;
}

static bool remember(struct run *r)
{
    if (r->n_remembered == REMEMBERED_MOST)
        return false;
    r->remembered[r->n_remembered++] = r->row;
    return true;
}

static bool restore(struct run *r)
{
    if (r->n_remembered == 0)
        return false;
    r->row = r->remembered[--r->n_remembered];
    return true;
}

static bool do_op(struct run *r, uint8_t op, const uint8_t **p)
{
    switch (op) {
    case 0x00: /* nop */
        return true;
    case 0x01: /* set_loc */
        return read_encoded(p, r->f->enc, &r->loc);
    case 0x02:
    case 0x03:
    case 0x04: /* advance_loc1, 2, 4 */
        advance(r, wf_cfi_fixed(p, 1 << (op - 0x02)));
        return true;
    case 0x0a:
        return remember(r);
    case 0x0b:
        return restore(r);
    case 0x0e: /* def_cfa_offset */
        r->row.cfa.n = (intptr_t)wf_cfi_uleb(p);
        return true;
    case 0x0f: /* def_cfa_expression */
        r->row.cfa = (wf_cfi_rule){ .how = WF_CFI_IS_EXPR, .expr = *p };
        uint64_t bytes = wf_cfi_uleb(p);
        *p += bytes;
        return true;
    case 0x13: /* def_cfa_offset_sf */
        r->row.cfa.n = wf_cfi_sleb(p) * r->f->data_align;
        return true;
    case 0x2e: /* GNU_args_size */
        wf_cfi_uleb(p);
        return true;
    default:
        return do_register_op(r, op, p);
    }
}

/* Until the rules of r->pc stand; false: an operation that is not known. */
static bool run_ops(struct run *r, const uint8_t *p, const uint8_t *end)
{
    while (p < end && r->loc <= r->pc) {
        uint8_t op = *p++, low = op & 0x3f;
        switch (op & 0xc0) {
        case 0x40:
            advance(r, low);
            break;
        case 0x80:
            set(r, low, WF_CFI_AT, (int64_t)wf_cfi_uleb(&p) * r->f->data_align);
            break;
        case 0xc0:
            if (low < WF_CFI_REGS)
                r->row.regs[low] = r->initial.regs[low];
            break;
        default:
            if (!do_op(r, op, &p))
                return false;
        }
    }
    return true;
}

bool wf_cfi_find(uintptr_t pc, wf_cfi_row *out)
{
    wf_code        code;
    struct fde     f = { 0 };
    const uint8_t *at;
    if (!wf_code_find(pc, &code) || !code.eh_frame_hdr || !(at = fde_of(code.eh_frame_hdr, pc)) ||
        !read_fde(&f, at) || pc < f.start || pc >= f.end)
        return false;
    struct run r;
    r.f = &f;
    r.loc = r.pc = pc; /* all of the CIE's operations hold */
    r.n_remembered = 0;
    memset(&r.row, 0, sizeof r.row);
    if (!run_ops(&r, f.cie_ops, f.cie_end))
        return false;
    r.initial = r.row;
    r.loc = f.start;
    if (!run_ops(&r, f.ops, f.ops_end))
        return false;
    r.row.signal = f.signal;
    *out = r.row;
    return true;
}
