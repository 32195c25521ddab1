/* SPDX-License-Identifier: Apache-2.0 */
/* poll_desc.c - poll_cache, and what an event does to a poll_desc; see poll_desc.h. */
#include "poll_desc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { CHUNK = 256, CHUNKS = 1 << 16 }; /* 24 bits of index */

#define GEN_MASK ((UINT64_C(1) << 40) - 1)

struct chunk {
    wf_poll_desc pds[CHUNK];
    unsigned     free[CHUNK]; /* under lock: see spare_at */
};

static struct {
    wf_lock       lock WF_ALIGNED;
    unsigned      n_free;          /* under lock */
    volatile AO_t last WF_ALIGNED; /* the largest index; written under lock */
    struct chunk *chunks[CHUNKS];  /* never unmapped; written under lock */
} cache;                           /* zeroed, or its 512 KiB would lie in every program's file */

wf_poll_desc *wf_poll_cache_at(unsigned index)
{
    if (index == 0 || index > AO_load_acquire(&cache.last)) /* pairs with make's release */
        return NULL;
    return &cache.chunks[index / CHUNK]->pds[index % CHUNK];
}

unsigned wf_poll_cache_count(void)
{
    return (unsigned)AO_load_acquire(&cache.last) + 1; /* pairs with make's release */
}

/* Under cache.lock: the i-th of the free indices, newest last.  There are never more of them
 * than of the poll_descs made, so their chunks are there. */
static unsigned *spare_at(unsigned i)
{
    return &cache.chunks[i / CHUNK]->free[i % CHUNK];
}

/* Under cache.lock. */
static bool make_one(unsigned index)
{
    if (index / CHUNK >= CHUNKS)
        return false;
    struct chunk **chunk = &cache.chunks[index / CHUNK];
    if (!*chunk) {
        *chunk = aligned_alloc(WF_CACHELINE, sizeof **chunk);
        if (!*chunk)
            return false;
        memset(*chunk, 0, sizeof **chunk);
    }
    wf_poll_desc *pd = &(*chunk)->pds[index % CHUNK];
    pd->index = index;
    pd->side[WF_WRITE].mode = WF_WRITE;
    AO_store_release(&cache.last, index); /* pairs with wf_poll_cache_at */
    return true;
}

/* Under cache.lock, where none is free: a batch, the lowest to be taken first; fewer where
 * memory runs out. */
static void make_batch(void)
{
    unsigned first = (unsigned)AO_load(&cache.last) + 1, n = 0;
    while (n < WF_POLL_BATCH && make_one(first + n))
        n++;
    while (n > 0)
        *spare_at(cache.n_free++) = first + --n;
}

static WF_NOINLINE void take(wf_poll_spares *own)
{
    wf_lock_acquire(&cache.lock);
    if (cache.n_free == 0)
        make_batch();
    own->n = cache.n_free < WF_POLL_BATCH ? cache.n_free : WF_POLL_BATCH;
    cache.n_free -= own->n;
    for (unsigned i = 0; i < own->n; i++)
        own->index[i] = *spare_at(cache.n_free + i);
    wf_lock_release(&cache.lock);
}

static WF_NOINLINE void give(const unsigned *index, unsigned n)
{
    wf_lock_acquire(&cache.lock);
    for (unsigned i = 0; i < n; i++)
        *spare_at(cache.n_free++) = index[i];
    wf_lock_release(&cache.lock);
}

wf_poll_desc *wf_poll_cache_alloc(wf_poll_spares *own)
{
    if (own->n == 0)
        take(own);
    return own->n > 0 ? wf_poll_cache_at(own->index[--own->n]) : NULL;
}

void wf_poll_cache_free(wf_poll_spares *own, wf_poll_desc *pd)
{
    if (!own) {
        give(&pd->index, 1);
        return;
    }
    if (own->n == 2 * WF_POLL_BATCH) {
        give(own->index, WF_POLL_BATCH); /* the oldest */
        own->n -= WF_POLL_BATCH;
        memcpy(own->index, own->index + WF_POLL_BATCH, WF_POLL_BATCH * sizeof *own->index);
    }
    own->index[own->n++] = pd->index;
}

void wf_poll_cache_flush(wf_poll_spares *own)
{
    give(own->index, own->n);
    own->n = 0;
}

void wf_poll_next_gen(wf_poll_desc *pd)
{
    AO_t gen = (AO_load(&pd->gen) + 1) & GEN_MASK;
    AO_store_release(&pd->gen, gen ? gen : 1); /* pairs with looks without the lock */
}

/* The wait of a G that was in a word is the one its token is in; see the header. */
static enum wf_fire end_wait(wf_g *gp, enum wf_reason reason)
{
    return wf_token_fire(gp, AO_load(&gp->token) & WF_TICKET_MASK, reason);
}

void wf_poll_fire(wf_poll_desc *pd, enum wf_mode mode, enum wf_reason reason, wf_glist *out)
{
    volatile AO_t *g = &pd->g[mode];
    AO_t           to = reason == WF_EVENT ? WF_PD_READY : WF_PD_NONE;
    if (reason != WF_EVENT)
        wf_fence(); /* the deadline was stored; pairs with announce's CAS */
    for (;;) {
        AO_t was = AO_load(g);
        if (was == WF_PD_READY || (was == WF_PD_NONE && reason != WF_EVENT))
            return;
        if (!AO_compare_and_swap_full(g, was, to)) /* pairs with poll_commit's */
            continue;
        if (was > WF_PD_WAIT && end_wait((wf_g *)was, reason) == WF_WON_PARKED)
            wf_glist_push(out, (wf_g *)was);
        return;
    }
}

static unsigned sticky_of(uint32_t events)
{
    return (events & EPOLLRDHUP ? WF_POLL_RDHUP : 0) | (events & EPOLLHUP ? WF_POLL_HUP : 0) |
           (events & EPOLLERR ? WF_POLL_ERR : 0);
}

/* Under the lock. */
static void tell(wf_poll_desc *pd, uint32_t events, wf_glist *out)
{
    if (WF_UNLIKELY(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))) {
        unsigned news = AO_int_load(&pd->news) | sticky_of(events);
        if (events & EPOLLPRI)
            news += WF_POLL_URGENT;
        AO_int_store_release(&pd->news, news); /* pairs with wf_poll_prepare's acquire */
    }
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        wf_poll_fire(pd, WF_READ, WF_EVENT, out);
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        wf_poll_fire(pd, WF_WRITE, WF_EVENT, out);
}

void wf_poll_near(uint64_t id)
{
    const wf_poll_desc *pd = wf_poll_cache_at((unsigned)(id & 0xffffff));
    __builtin_prefetch(pd, 1);
}

void wf_poll_near_g(uint64_t id)
{
    const wf_poll_desc *pd = wf_poll_cache_at((unsigned)(id & 0xffffff));
    if (pd)
        __builtin_prefetch((void *)AO_load(&pd->g[WF_READ]), 1); /* a word is a hint too */
}

void wf_poll_event(uint64_t id, uint32_t events, wf_glist *out)
{
    wf_poll_desc *pd = wf_poll_cache_at((unsigned)(id & 0xffffff));
    if (!pd)
        return;
    wf_spin_acquire(&pd->lock);
    if (wf_poll_id(pd) == id && !pd->closing) /* else a stale event of one closed since */
        tell(pd, events, out);
    wf_spin_release(&pd->lock);
}
