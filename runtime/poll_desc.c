/* SPDX-License-Identifier: Apache-2.0 */
/* poll_desc.c - poll_cache, and what an event does to a poll_desc; see poll_desc.h. */
#include "poll_desc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { CHUNK = 256, CHUNKS = 1 << 16 }; /* 24 bits of index */

#define GEN_MASK ((UINT64_C(1) << 40) - 1)

static struct {
    wf_lock       lock WF_ALIGNED;
    wf_poll_desc *free;            /* under lock, newest first */
    volatile AO_t last WF_ALIGNED; /* the largest index; written under lock */
    wf_poll_desc *chunks[CHUNKS];  /* never unmapped; written under lock */
} cache;                           /* zeroed, or its 512 KiB would lie in every program's file */

wf_poll_desc *wf_poll_cache_at(unsigned index)
{
    if (index == 0 || index > AO_load_acquire(&cache.last)) /* pairs with make's release */
        return NULL;
    return &cache.chunks[index / CHUNK][index % CHUNK];
}

unsigned wf_poll_cache_count(void)
{
    return (unsigned)AO_load_acquire(&cache.last) + 1; /* pairs with make's release */
}

/* Under cache.lock. */
static wf_poll_desc *make(void)
{
    unsigned index = (unsigned)AO_load(&cache.last) + 1;
    if (index / CHUNK >= CHUNKS)
        return NULL;
    wf_poll_desc **chunk = &cache.chunks[index / CHUNK];
    if (!*chunk) {
        *chunk = aligned_alloc(WF_CACHELINE, CHUNK * sizeof(wf_poll_desc));
        if (!*chunk)
            return NULL;
        memset(*chunk, 0, CHUNK * sizeof(wf_poll_desc));
    }
    wf_poll_desc *pd = &(*chunk)[index % CHUNK];
    pd->index = index;
    pd->side[WF_WRITE].mode = WF_WRITE;
    AO_store_release(&cache.last, index); /* pairs with wf_poll_cache_at */
    return pd;
}

wf_poll_desc *wf_poll_cache_alloc(void)
{
    wf_lock_acquire(&cache.lock);
    wf_poll_desc *pd = cache.free;
    if (pd)
        cache.free = wf_poll_cache_at(pd->link);
    else
        pd = make();
    wf_lock_release(&cache.lock);
    return pd;
}

void wf_poll_cache_free(wf_poll_desc *pd)
{
    wf_lock_acquire(&cache.lock);
    pd->link = cache.free ? cache.free->index : 0;
    cache.free = pd;
    wf_lock_release(&cache.lock);
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
        wf_fence(); /* the deadline was stored; pairs with publish's CAS */
    for (;;) {
        AO_t was = AO_load(g);
        if (was == WF_PD_READY || (was == WF_PD_NONE && reason != WF_EVENT))
            return;
        if (!AO_compare_and_swap_full(g, was, to)) /* pairs with publish's */
            continue;
        if (was > WF_PD_READY && end_wait((wf_g *)was, reason) == WF_WON_PARKED)
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
