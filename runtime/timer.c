/* SPDX-License-Identifier: Apache-2.0 */
/* timer.c - the heap of timers that are near, the wheel of those that are far; see timer.h. */
#include "timer.h"

#include "g.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARITY = 4,
    BATCH = 64,
    LEAST_CAP = 16,
    DIGITS = WF_TIMER_DIGITS,
    SLOTS = WF_TIMER_LEVELS * WF_TIMER_DIGITS,
    BLOCK = WF_TIMER_BLOCK
};

/* ---- Near: the heap -------------------------------------------------------------------- */

static void place(wf_timer_heap *h, int i, wf_timer_item s)
{
    h->near[i] = s;
    h->places[s.id] = i;
}

static void sift_up(wf_timer_heap *h, int i, wf_timer_item s)
{
    while (i > 0) {
        int parent = (i - 1) / ARITY;
        if (h->near[parent].when <= s.when)
            break;
        place(h, i, h->near[parent]);
        i = parent;
    }
    place(h, i, s);
}

static int least_child(const wf_timer_heap *h, int i)
{
    int first = i * ARITY + 1, last = first + ARITY, least = first;
    if (last > h->n_near)
        last = h->n_near;
    for (int c = first + 1; c < last; c++)
        if (h->near[c].when < h->near[least].when)
            least = c;
    return least;
}

static void sift_down(wf_timer_heap *h, int i, wf_timer_item s)
{
    for (;;) {
        int c = least_child(h, i);
        if (c >= h->n_near || h->near[c].when >= s.when)
            break;
        place(h, i, h->near[c]);
        i = c;
    }
    place(h, i, s);
}

static void near_push(wf_timer_heap *h, wf_timer_item s)
{
    sift_up(h, h->n_near++, s);
    __builtin_prefetch(&h->entries[s.id], 1); /* it fires soon */
}

/* The last one fills the place. */
static void near_remove(wf_timer_heap *h, int i)
{
    wf_timer_item last = h->near[--h->n_near];
    if (i == h->n_near)
        return;
    if (i > 0 && h->near[(i - 1) / ARITY].when > last.when)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

/* ---- Far: the wheel -------------------------------------------------------------------- */

static int64_t tick_of(int64_t when)
{
    return when >> WF_TIMER_GRAIN;
}

/* The head of the block that `at` is in; at itself, if it is one. */
static int head_of(int at)
{
    return at & ~(BLOCK - 1);
}

static int block_take(wf_timer_heap *h)
{
    int b = h->free_block;
    if (b < 0)
        return BLOCK * h->n_blocks++;
    h->free_block = (int)h->blocks[b].when;
    return b;
}

static void block_free(wf_timer_heap *h, int b)
{
    h->blocks[b].when = h->free_block;
    h->free_block = b;
}

static void far_push(wf_timer_heap *h, unsigned slot, wf_timer_item s)
{
    int at = h->last[slot] + 1;
    if (at == head_of(at)) {
        at = block_take(h);
        h->blocks[at++] = (wf_timer_item){ h->last[slot], slot };
        h->full[slot / DIGITS] |= UINT64_C(1) << slot % DIGITS;
    }
    h->blocks[at] = s;
    h->places[s.id] = ~at;
    h->last[slot] = at;
}

/* The slot's last one fills the place.  True: it was the only one. */
static bool far_remove(wf_timer_heap *h, int at)
{
    unsigned slot = h->blocks[head_of(at)].id;
    int      last = h->last[slot]--;
    h->blocks[at] = h->blocks[last];
    h->places[h->blocks[at].id] = ~at;
    last--;
    if (last != head_of(last))
        return false;
    h->last[slot] = (int)h->blocks[last].when;
    block_free(h, last);
    if (h->last[slot] >= 0)
        return false;
    h->full[slot / DIGITS] &= ~(UINT64_C(1) << slot % DIGITS);
    return true;
}

/* Which slot: the highest digit in which its tick differs from the wheel's. */
static void put(wf_timer_heap *h, wf_timer_item s)
{
    int64_t tick = tick_of(s.when);
    if (tick <= h->tick) {
        near_push(h, s);
        return;
    }
    unsigned level = (unsigned)(63 - __builtin_clzll((uint64_t)(tick ^ h->tick))) / WF_TIMER_DIGIT;
    far_push(h, level * DIGITS + (unsigned)(tick >> level * WF_TIMER_DIGIT) % DIGITS, s);
}

/* The slot of the earliest that are far; -1: none is. */
static int first_slot(const wf_timer_heap *h)
{
    for (int level = 0; level < WF_TIMER_LEVELS; level++)
        if (h->full[level])
            return level * DIGITS + __builtin_ctzll(h->full[level]);
    return -1;
}

static int64_t slot_begin(const wf_timer_heap *h, int slot)
{
    int     shift = slot / DIGITS * WF_TIMER_DIGIT;
    int64_t above = h->tick >> shift >> WF_TIMER_DIGIT << WF_TIMER_DIGIT;
    return (above | slot % DIGITS) << shift << WF_TIMER_GRAIN;
}

static int64_t slot_earliest(const wf_timer_heap *h, int slot)
{
    int64_t when = INT64_MAX;
    for (int at = h->last[slot]; at >= 0; at = (int)h->blocks[at].when)
        for (; at != head_of(at); at--)
            if (h->blocks[at].when < when)
                when = h->blocks[at].when;
    return when;
}

/* The first slot, which has begun: what is in it goes nearer. */
static void slot_open(wf_timer_heap *h, int slot, int64_t now)
{
    int     at = h->last[slot];
    int64_t when = slot < DIGITS ? slot_begin(h, slot) : slot_earliest(h, slot);
    h->tick = tick_of(when < now ? when : now); /* a lone one goes all the way at once */
    h->last[slot] = -1;
    h->full[slot / DIGITS] &= ~(UINT64_C(1) << slot % DIGITS);
    while (at >= 0) {
        for (; at != head_of(at); at--)
            put(h, h->blocks[at]);
        int before = (int)h->blocks[at].when;
        block_free(h, at);
        at = before;
    }
}

/* ---- Both -------------------------------------------------------------------------------- */

/* Where near is empty: to the nanosecond of a slot with few, else that slot's begin. */
static int64_t earliest(const wf_timer_heap *h)
{
    if (h->n_near > 0)
        return h->near[0].when;
    if (h->n == 0)
        return INT64_MAX;
    int  slot = first_slot(h);
    bool one_block = h->blocks[head_of(h->last[slot])].when < 0;
    return one_block ? slot_earliest(h, slot) : slot_begin(h, slot);
}

static void publish(wf_timer_heap *h, int64_t when)
{
    AO_store_release(&h->when0, (AO_t)when); /* pairs with the acquire in wf_timer_heap_when */
}

/* Some are gone.  What was told still holds, and may be later than a slot's begin: a poller that
 * sleeps until then is woken for what is added before it, and must be. */
static void tell_later(wf_timer_heap *h)
{
    int64_t when = earliest(h);
    if (when > (int64_t)AO_load(&h->when0))
        publish(h, when);
}

/* Is the first in near due?  Opens the slots that have begun, one at a time: what is overdue
 * waits in its slot, lest near grow large. */
static bool due(wf_timer_heap *h, int64_t now)
{
    for (int slot; h->n_near == 0; slot_open(h, slot, now)) {
        slot = first_slot(h);
        if (slot < 0 || slot_begin(h, slot) > now)
            return false;
    }
    return h->near[0].when <= now;
}

static void *carry(void *to, const void *from, size_t bytes)
{
    return bytes ? memcpy(to, from, bytes) : to;
}

/* All ids are taken: those from `old` on are new. */
static void free_ids_from(wf_timer_heap *h, int old)
{
    for (int i = old; i < h->cap; i++) {
        h->places[i] = i + 1 < h->cap ? i + 1 : -1;
        h->entries[i].t = NULL;
    }
    h->free_id = old;
}

/* Room for cap items in any slots, and a block that is being emptied. */
static size_t blocks_for(size_t cap)
{
    return cap / (BLOCK - 1) + (cap < SLOTS ? cap : SLOTS) + 1;
}

/* One piece of memory for the four tables.  The heap's first item is the last of a cache line,
 * so that the four children of each are a line. */
static bool grow(wf_timer_heap *h)
{
    size_t cap = h->cap ? (size_t)h->cap * 2 : LEAST_CAP;
    size_t near = (cap + ARITY) * sizeof *h->near, entries = cap * sizeof *h->entries;
    size_t blocks = blocks_for(cap) * BLOCK * sizeof *h->blocks;
    if (cap > INT_MAX / 4)
        return false;
    char *memory = aligned_alloc(WF_CACHELINE, near + blocks + entries + cap * sizeof *h->places);
    if (!memory)
        return false;
    size_t ids = (size_t)h->cap, in_blocks = (size_t)h->n_blocks * BLOCK * sizeof *h->blocks;
    h->near =
        carry((wf_timer_item *)memory + ARITY - 1, h->near, (size_t)h->n_near * sizeof *h->near);
    h->blocks = carry(memory + near, h->blocks, in_blocks);
    h->entries = carry(memory + near + blocks, h->entries, ids * sizeof *h->entries);
    h->places = carry(memory + near + blocks + entries, h->places, ids * sizeof *h->places);
    free(h->memory);
    h->memory = memory;
    h->cap = (int)cap;
    free_ids_from(h, (int)ids);
    return true;
}

void wf_timer_heap_init(wf_timer_heap *h)
{
    *h = (wf_timer_heap){ .when0 = WF_TIMER_NONE, .free_id = -1, .free_block = -1 };
    memset(h->last, 0xff, sizeof h->last);
}

void wf_timer_heap_free(wf_timer_heap *h)
{
    for (int i = 0; i < h->cap; i++)
        if (h->entries[i].t)
            AO_store(&h->entries[i].t->heap, 0);
    free(h->memory);
    wf_timer_heap_init(h);
}

static void id_free(wf_timer_heap *h, unsigned id)
{
    h->entries[id].t = NULL;
    h->places[id] = h->free_id;
    h->free_id = (int)id;
    h->n--;
}

static unsigned id_take(wf_timer_heap *h)
{
    unsigned id = (unsigned)h->free_id;
    h->free_id = h->places[id];
    h->n++;
    return id;
}

int wf_timer_add(wf_timer_heap *h, wf_timer *t, int64_t when, wf_timer_fn fn, void *arg, AO_t seq)
{
    int r = -ENOMEM;
    wf_spin_acquire(&h->lock);
    if (h->free_id >= 0 || grow(h)) {
        unsigned id = id_take(h);
        t->id = id;
        h->entries[id] = (wf_timer_entry){ t, fn, arg, seq };
        AO_store_release(&t->heap, (AO_t)h); /* pairs with the acquire in wf_timer_del */
        put(h, (wf_timer_item){ when, id });
        r = when < (int64_t)AO_load(&h->when0);
        if (r)
            publish(h, when);
    }
    wf_spin_release(&h->lock);
    return r;
}

static int64_t when_of(const wf_timer_heap *h, unsigned id)
{
    int at = h->places[id];
    return at < 0 ? h->blocks[~at].when : h->near[at].when;
}

static void take_out(wf_timer_heap *h, unsigned id)
{
    int  at = h->places[id];
    bool first = when_of(h, id) == (int64_t)AO_load(&h->when0);
    if (at < 0)
        first |= far_remove(h, ~at);
    else
        near_remove(h, at);
    id_free(h, id);
    if (first)
        tell_later(h);
}

bool wf_timer_del(wf_timer *t)
{
    wf_timer_heap *h = (wf_timer_heap *)AO_load_acquire(&t->heap); /* pairs with wf_timer_add */
    if (!h)
        return false;
    wf_spin_acquire(&h->lock);
    bool was = h->n > 0 && h->entries[t->id].t == t;
    if (was)
        take_out(h, t->id);
    wf_spin_release(&h->lock);
    return was;
}

int64_t wf_timer_when(wf_timer_heap *h, const wf_timer *t, unsigned id)
{
    int64_t when = WEFT_FOREVER;
    wf_spin_acquire(&h->lock);
    if (h->n > 0 && id < (unsigned)h->cap && h->entries[id].t == t)
        when = when_of(h, id);
    wf_spin_release(&h->lock);
    return when;
}

int wf_timers_run(wf_timer_heap *h, int64_t now, wf_glist *out)
{
    wf_timer_entry fire[BATCH];
    int            n = 0;
    wf_spin_acquire(&h->lock);
    for (; n < BATCH && due(h, now); n++) {
        unsigned id = h->near[0].id;
        fire[n] = h->entries[id];
        __builtin_prefetch(fire[n].arg, 1); /* for fn, below */
        __builtin_prefetch(fire[n].t, 1);   /* and for when it is added again */
        near_remove(h, 0);
        id_free(h, id);
    }
    tell_later(h);
    wf_spin_release(&h->lock);
    for (int i = 0; i < n; i++) /* no timer lock held: a callback may take others */
        fire[i].fn(fire[i].arg, fire[i].seq, out);
    return n;
}
