/* SPDX-License-Identifier: Apache-2.0 */
/*
 * census.c - all coroutines as they were, each at its own moment, and who waits for whom.
 *
 * It allocates and asks place.c: on a thread of its own, never on a coroutine.  The
 * runtime must not end meanwhile.
 */
#include "census.h"

#include "coroutine.h"
#include "who.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

/* ---- Taking ------------------------------------------------------------------------ */

/* Room for `more`; false: no memory, and it is said. */
static bool grow(wf_census *c, void **array, size_t *room, size_t n, size_t more, size_t bytes)
{
    if (n + more <= *room)
        return true;
    size_t to = (n + more) * 2 + 64;
    void  *now = realloc(*array, to * bytes);
    if (!now) {
        c->no_memory = true;
        return false;
    }
    *array = now;
    *room = to;
    return true;
}

static void visit(wf_g *gp, void *arg)
{
    wf_census *c = arg;
    if (c->no_memory || !grow(c, (void **)&c->all, &c->room, c->n, 1, sizeof *c->all) ||
        !grow(c, (void **)&c->frames, &c->frames_room, c->n_frames, WF_FRAMES_MOST,
              sizeof *c->frames))
        return;
    wf_one *one = &c->all[c->n];
    if (!wf_snapshot(gp, &one->seen, c->frames + c->n_frames))
        return;
    one->frames = c->n_frames;
    c->n_frames += (size_t)one->seen.n_frames;
    c->n++;
}

static int compare(const void *a, const void *b)
{
    return a < b ? -1 : a > b;
}

static int compare_stack(const void *a, const void *b)
{
    return compare((*(wf_one *const *)a)->seen.stack_top, (*(wf_one *const *)b)->seen.stack_top);
}

static int compare_group(const void *a, const void *b)
{
    return compare((*(wf_one *const *)a)->seen.group, (*(wf_one *const *)b)->seen.group);
}

static wf_one **sorted(wf_census *c, int (*by)(const void *a, const void *b))
{
    wf_one **list = calloc(c->n + 1, sizeof(wf_one *));
    if (!list) {
        c->no_memory = true;
        return NULL;
    }
    for (size_t i = 0; i < c->n; i++)
        list[i] = &c->all[i];
    qsort(list, c->n, sizeof *list, by);
    return list;
}

int wf_census_take(wf_census *c)
{
    *c = (wf_census){ 0 };
    wf_g_each(visit, c); /* at once: to open places takes a while */
    c->places = c->no_memory ? NULL : wf_places_open();
    c->no_memory = !c->places;
    if (!c->no_memory) {
        c->by_stack = sorted(c, compare_stack);
        c->by_group = sorted(c, compare_group);
    }
    return c->no_memory ? -ENOMEM : 0;
}

void wf_census_close(wf_census *c)
{
    wf_places_close(c->places);
    free(c->by_stack);
    free(c->by_group);
    free(c->frames);
    free(c->all);
}

static int compare_index(const void *key, const void *one)
{
    unsigned a = *(const unsigned *)key, b = ((const wf_one *)one)->seen.gp->index;
    return a < b ? -1 : a > b;
}

wf_one *wf_census_of(const wf_census *c, const wf_g *gp) /* all: as wf_g_each goes, by index */
{
    (void)wf_g_made(); /* acquire: it may have been made since */
    return gp ? bsearch(&gp->index, c->all, c->n, sizeof *c->all, compare_index) : NULL;
}

/* ---- Who waits for whom -------------------------------------------------------------- */

wf_one *wf_census_holder(const wf_census *c, uint64_t who)
{
    wf_one   key, *at = &key;
    wf_one **found;
    if (wf_stack_find((const void *)wf_who_page(who), (char **)&key.seen.stack_top) == WF_HIT_NONE)
        return NULL;
    found = bsearch(&at, c->by_stack, c->n, sizeof(wf_one *), compare_stack);
    return found ? *found : NULL;
}

/* The k-th member; they stand together. */
static wf_one *member(const wf_census *c, const void *group, size_t k)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->by_group[mid]->seen.group < group)
            low = mid + 1;
        else
            high = mid;
    }
    low += k;
    return low < c->n && c->by_group[low]->seen.group == group ? c->by_group[low] : NULL;
}

wf_one *wf_census_awaited(const wf_census *c, const wf_one *one, size_t k)
{
    if (one->seen.doing != WF_WAITS)
        return NULL;
    if (one->seen.kind == WF_FOR_GROUP)
        return member(c, one->seen.on, k);
    /* Of readers only the latest is known, and it may have gone. */
    bool known = one->seen.hold != WF_HELD_BY_NONE && one->seen.hold != WF_READ_LOCKED;
    return known && k == 0 ? wf_census_holder(c, one->seen.holder) : NULL;
}

/* ---- Where --------------------------------------------------------------------------- */

struct call {
    uintptr_t low_bits, found;
};

static bool follows_call(const uint8_t *pc)
{
    return pc[-5] == 0xe8 || (pc[-6] == 0xff && pc[-5] == 0x15) || pc[-2] == 0xff || pc[-3] == 0xff;
}

/* The whole address: the first in that object's code that ends in these bits and follows a call.
 * The program itself comes first; of less than 32 MiB of code it has one that may be it. */
static int complete(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct call *call = arg;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum && !call->found; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t low = info->dlpi_addr + ph->p_vaddr, high = low + ph->p_memsz;
        uintptr_t at = (low & ~(uintptr_t)WF_WHO_CALL_MASK) | call->low_bits;
        if (at < low + 8)
            at += WF_WHO_CALL_MASK + 1;
        if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
            continue;
        for (; at < high && !call->found; at += WF_WHO_CALL_MASK + 1)
            if (follows_call((const uint8_t *)at))
                call->found = at;
    }
    return call->found != 0;
}

const char *wf_census_held_at(wf_census *c, uint64_t who)
{
    struct call call = { .low_bits = (uintptr_t)(who & WF_WHO_CALL_MASK) };
    dl_iterate_phdr(complete, &call);
    return call.found ? wf_place_at(c->places, call.found - 1)->text[0] : NULL;
}

static bool is_public(const char *symbol)
{
    return symbol && strncmp(symbol, "weft_", 5) == 0;
}

/* The public call and what lies within it; none where there are no symbols to tell. */
int wf_census_inner_frames(wf_census *c, const wf_one *one)
{
    for (int i = 0; i < one->seen.n_frames; i++)
        if (is_public(wf_place_at(c->places, c->frames[one->frames + (size_t)i])->symbol))
            return i + 1;
    return 0;
}

const char *wf_census_waits_at(wf_census *c, const wf_one *one)
{
    int inner = wf_census_inner_frames(c, one);
    if (inner == 0 || inner >= one->seen.n_frames - one->seen.whole)
        return NULL;
    return wf_place_at(c->places, c->frames[one->frames + (size_t)inner])->text[0];
}
