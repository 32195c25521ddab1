/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coroutine.c - the table of Gs, their caches, start and end.
 *
 * A dead G keeps its stack, and on the stack its context: it ended in a loop that runs
 * the next function it is given, so starting one anew makes no context and touches
 * few, warm lines.  Free Gs lie newest first in their P's cache, in batches of
 * G_BATCH; a full batch goes to the global pool by one link.  What the pool did not
 * need for a while (its low-water mark) gives its stack's pages back.
 *
 * Lock: gpool.lock, a leaf.
 */
#include "coroutine.h"
#include "stack_report.h"
#include "stray.h"

#include <stdlib.h>
#include <string.h>

enum {
    G_BATCH = 64,
    SLAB_GS = 256,
    SLABS = 1 << 16, /* 16 million Gs */
    ARG_ALIGN = 64,
    ID_BATCH = 1024,
    TOP_ZERO_BYTES = 16 /* where backtraces end */
};

struct free_class {
    wf_g    *warm, *cold; /* batches, linked by wait_next, newest first */
    unsigned n_warm, low; /* batches; the least since the last trim */
};

static struct {
    wf_lock           lock WF_ALIGNED;
    struct free_class classes[WF_STACK_CLASSES];
    unsigned          next_index; /* the first G never made */
    volatile AO_t     n_made;
    volatile AO_t     next_id;
    volatile AO_t     n_warm;                  /* stacks with a page at least */
    wf_g             *slabs[SLABS] WF_ALIGNED; /* read to wake; a line is written once */
} gpool;

/* ---- The table ------------------------------------------------------------- */

wf_g *wf_g_at(unsigned index)
{
    return &gpool.slabs[index / SLAB_GS][index % SLAB_GS];
}

void wf_g_each(void (*visit)(wf_g *gp, void *arg), void *arg)
{
    AO_t n = AO_load_acquire(&gpool.n_made); /* pairs with the release in g_make */
    for (AO_t i = 1; i <= n; i++)
        visit(wf_g_at((unsigned)i), arg);
}

AO_t wf_g_made(void)
{
    return AO_load_acquire(&gpool.n_made); /* pairs with the release in g_make */
}

uint64_t wf_g_warm_stacks(void)
{
    return AO_load(&gpool.n_warm);
}

/* Under gpool.lock: a G without a stack, of a number never used. */
static wf_g *g_make(void)
{
    unsigned index = gpool.next_index + 1;
    if (index / SLAB_GS >= SLABS)
        return NULL;
    wf_g **slab = &gpool.slabs[index / SLAB_GS];
    if (!*slab) {
        *slab = aligned_alloc(WF_CACHELINE, SLAB_GS * sizeof(wf_g));
        if (!*slab)
            return NULL;
        memset(*slab, 0, SLAB_GS * sizeof(wf_g));
    }
    wf_g *gp = wf_g_at(index);
    gp->index = index;
    gpool.next_index = index;
    AO_store_release(&gpool.n_made, index); /* pairs with wf_g_each */
    return gp;
}

static wf_g *g_new(uint8_t class)
{
    wf_stack stack;
    if (wf_stack_alloc(class, &stack) != 0)
        return NULL;
    wf_lock_acquire(&gpool.lock);
    wf_g *gp = g_make(); /* a stack without a G is lost only where 16 million live */
    wf_lock_release(&gpool.lock);
    if (gp) {
        gp->stack = stack;
        wf_shadow_stack(&gp->shadow, stack.top - stack.size, stack.size);
    }
    return gp;
}

/* ---- Caches ------------------------------------------------------------------ */

static wf_g *batch_pop(struct free_class *fc, bool *cold)
{
    *cold = !fc->warm;
    wf_g **from = *cold ? &fc->cold : &fc->warm;
    wf_g  *batch = *from;
    if (!batch)
        return NULL;
    *from = batch->wait_next;
    if (from == &fc->warm && --fc->n_warm < fc->low)
        fc->low = fc->n_warm;
    return batch;
}

static wf_g *pool_take(uint8_t class, bool *cold)
{
    wf_lock_acquire(&gpool.lock);
    wf_g *batch = batch_pop(&gpool.classes[class], cold);
    wf_lock_release(&gpool.lock);
    return batch;
}

static void pool_give(wf_g *batch, unsigned n)
{
    struct free_class *fc = &gpool.classes[batch->stack.class];
    batch->batch = n;
    wf_lock_acquire(&gpool.lock);
    batch->wait_next = fc->warm;
    fc->warm = batch;
    fc->n_warm++;
    wf_lock_release(&gpool.lock);
}

/* Gs that never left the pool, to their cold batches. */
static void pool_give_cold(wf_g *batch, unsigned n)
{
    struct free_class *fc = &gpool.classes[batch->stack.class];
    batch->batch = n;
    wf_lock_acquire(&gpool.lock);
    batch->wait_next = fc->cold;
    fc->cold = batch;
    wf_lock_release(&gpool.lock);
}

static WF_NOINLINE bool cache_fill(wf_p *pp)
{
    wf_g *batch = pp->spare;
    bool  cold;
    pp->spare = NULL;
    if (!batch)
        batch = pool_take(wf_the_sched.stack_class, &cold);
    else
        batch->batch = G_BATCH;
    if (!batch)
        return false;
    pp->free = batch;
    pp->nfree = batch->batch;
    return true;
}

/* The next start's G, if it ran elsewhere before: what that start writes, read meanwhile. */
static inline void near(const wf_g *gp)
{
    enum { LINES = 3 };
    for (int i = 0; i < LINES; i++)
        __builtin_prefetch((const char *)gp + i * WF_CACHELINE, 1);
}

static inline wf_g *cache_take(wf_p *pp)
{
    wf_g *gp = pp->free;
    if (WF_UNLIKELY(!gp)) {
        if (!cache_fill(pp))
            return g_new(wf_the_sched.stack_class);
        gp = pp->free;
    }
    pp->free = gp->link;
    pp->nfree--;
    near(gp->link);
    return gp;
}

static WF_NOINLINE void cache_full(wf_p *pp)
{
    if (pp->spare)
        pool_give(pp->spare, G_BATCH);
    pp->spare = pp->free;
    pp->free = NULL;
    pp->nfree = 0;
}

static WF_COLD void look_at_stack(wf_g *gp)
{
    wf_stack_check(&gp->stack, gp->name, gp->id);
    if (AO_load(&wf_stack_watch) & WF_STACK_MEASURE)
        wf_stack_report_ended(gp);
}

void wf_g_free(wf_m *mp, wf_g *gp)
{
    wf_p *pp = mp->pp;
    if (WF_UNLIKELY(AO_load(&wf_stack_watch)))
        look_at_stack(gp);
    if (WF_UNLIKELY(gp->name)) {
        free(gp->name);
        gp->name = NULL;
    }
    AO_char_store(&gp->cancel, 0);
    wf_context_default_fp(gp->fctx); /* the next one's; its line has just been written */
    if (WF_UNLIKELY(gp->stack.class != wf_the_sched.stack_class)) {
        gp->link = NULL;
        pool_give(gp, 1);
        return;
    }
    gp->link = pp->free;
    pp->free = gp;
    if (WF_UNLIKELY(++pp->nfree == G_BATCH))
        cache_full(pp);
}

void wf_g_flush(wf_p *pp)
{
    if (pp->spare)
        pool_give(pp->spare, G_BATCH);
    if (pp->free)
        pool_give(pp->free, pp->nfree);
    pp->spare = pp->free = NULL;
    pp->nfree = 0;
}

/* Takes the oldest `n` warm batches out of the pool. */
static wf_g *detach_oldest(struct free_class *fc, unsigned n)
{
    wf_g **at = &fc->warm;
    for (unsigned keep = fc->n_warm - n; keep > 0; keep--)
        at = &(*at)->wait_next;
    wf_g *old = *at;
    *at = NULL;
    fc->n_warm -= n;
    return old;
}

static void cool_batch(wf_g *batch)
{
    wf_stack *stacks[G_BATCH];
    int       n = 0;
    for (wf_g *gp = batch; gp; gp = gp->link) {
        if (gp->stack.cold)
            continue;
        gp->fctx = NULL; /* its context goes with its pages */
        stacks[n++] = &gp->stack;
    }
    wf_stack_cool(stacks, n);
    AO_fetch_and_add(&gpool.n_warm, (AO_t)-n);
}

static void trim_class(struct free_class *fc)
{
    wf_lock_acquire(&gpool.lock);
    wf_g *old = fc->low ? detach_oldest(fc, fc->low) : NULL;
    fc->low = fc->n_warm;
    wf_lock_release(&gpool.lock);
    while (old) {
        wf_g *next = old->wait_next;
        cool_batch(old);
        wf_lock_acquire(&gpool.lock);
        old->wait_next = fc->cold;
        fc->cold = old;
        wf_lock_release(&gpool.lock);
        old = next;
    }
}

void wf_g_trim(void)
{
    for (int c = 0; c < WF_STACK_CLASSES; c++)
        trim_class(&gpool.classes[c]);
}

void (*wf_borrow_hook)(wf_m *mp, wf_g *gp);

bool wf_g_any_warm(void)
{
    bool any = false;
    wf_lock_acquire(&gpool.lock);
    for (int c = 0; c < WF_STACK_CLASSES; c++)
        any = any || gpool.classes[c].n_warm > 0;
    wf_lock_release(&gpool.lock);
    return any;
}

/* ---- Start -------------------------------------------------------------------- */

static void entry(wf_transfer t)
{
    __asm__ volatile(".cfi_undefined rip"); /* backtraces end here */
    WF_STRAY_NOTE;
    wf_m *mp = wf_landed(t);
    for (;;) {
        wf_g *gp = mp->gp;
        wf_leave(mp);
        gp->fn(gp->arg);
        if (WF_UNLIKELY(gp->locals))
            wf_local_end(gp);
        mp = wf_enter("the end of a coroutine");
        if (WF_UNLIKELY(mp->gp != gp)) /* it came back on another's stack */
            wf_stray_check(mp->gp, __builtin_frame_address(0));
        if (WF_UNLIKELY(gp->borrow))
            wf_borrow_hook(mp, gp);
        if (WF_UNLIKELY(gp->bound))
            wf_unpin_ended(mp);
        mp = wf_exit(mp);
    }
}

static void make_context(wf_g *gp, size_t size)
{
    gp->arg_room = (unsigned)(size + ARG_ALIGN - 1) / ARG_ALIGN * ARG_ALIGN;
    if (gp->arg_room == 0)
        gp->arg_room = ARG_ALIGN;
    char *top = wf_g_stack_start(gp);
    wf_shadow_forget(gp->stack.top - gp->stack.size, gp->stack.top); /* of those before */
    memset(gp->stack.top - TOP_ZERO_BYTES, 0, TOP_ZERO_BYTES);
    top -= gp->arg_room;
    gp->fctx = make_fcontext(top, gp->stack.size - (size_t)(gp->stack.top - top), entry);
    wf_context_default_fp(gp->fctx);
    if (gp->stack.cold) {
        gp->stack.cold = 0;
        AO_fetch_and_add(&gpool.n_warm, 1);
    }
}

static inline void prepare(wf_g *gp, const struct wf_start *s)
{
    if (WF_UNLIKELY(!gp->fctx || s->size > gp->arg_room))
        make_context(gp, s->size);
    gp->fn = s->fn;
    gp->arg = s->arg;
    if (s->size > 0)
        gp->arg = memcpy(wf_g_stack_start(gp) - gp->arg_room, s->arg, s->size);
    gp->started_at = s->started_at;
    gp->group = s->group;
    gp->group_fn = s->group_fn;
    gp->shield = 0;
    AO_int_store(&gp->hibernate_after, 0);
    gp->saved_errno = 0;
    AO_char_store(&gp->fresh, 1);
}

/* Last: who sees it alive sees the rest as well; pairs with the acquire of who copies. */
static inline void set_alive(wf_g *gp)
{
    AO_char_store_release(&gp->state, WF_G_ALIVE);
}

static WF_NOINLINE void id_batch(wf_p *pp)
{
    pp->next_id = 1 + AO_fetch_and_add(&gpool.next_id, ID_BATCH);
    pp->end_id = pp->next_id + ID_BATCH;
}

static WF_COLD wf_g *take_special(const struct wf_start *s, uint8_t class)
{
    bool  cold;
    wf_g *gp = pool_take(class, &cold);
    if (gp && gp->batch > 1) /* one of a batch: the rest goes back */
        (cold ? pool_give_cold : pool_give)(gp->link, gp->batch - 1);
    if (!gp)
        gp = g_new(class);
    if (gp && s->name && !(gp->name = strdup(s->name))) {
        gp->link = NULL;
        pool_give(gp, 1);
        return NULL;
    }
    return gp;
}

static int start_check(const struct wf_start *s)
{
    if (!s->fn)
        return -EINVAL;
    if (s->size > WF_ARG_MOST || (s->size > 0 && !s->arg))
        return -EINVAL;
    return AO_load(&wf_the_sched.stopping) ? -ECANCELED : 0;
}

static inline void number_and_count(wf_p *pp, wf_g *gp)
{
    if (WF_UNLIKELY(pp->next_id == pp->end_id))
        id_batch(pp);
    gp->id = pp->next_id++;
    wf_count(&pp->n_started, 1);
    set_alive(gp);
}

/* A name or a stack size of its own: not from the P's cache. */
static WF_COLD int take_named(const struct wf_start *s, wf_g **out)
{
    uint8_t class = wf_the_sched.stack_class;
    if (s->stack_size > 0 && wf_stack_class(s->stack_size, &class) != 0)
        return -EINVAL;
    *out = take_special(s, class);
    return 0;
}

int wf_start(wf_m *mp, const struct wf_start *s)
{
    int   r = start_check(s);
    wf_g *gp = NULL;
    if (WF_LIKELY(r == 0)) {
        if (WF_UNLIKELY(s->name || s->stack_size))
            r = take_named(s, &gp);
        else
            gp = cache_take(mp->pp);
    }
    if (WF_UNLIKELY(!gp))
        return r ? r : -ENOMEM;
    prepare(gp, s);
    number_and_count(mp->pp, gp);
    if (s->group)
        s->enlist(s->group, gp);
    wf_ready(mp, gp);
    return 0;
}

int wf_start_foreign(const struct wf_start *s)
{
    if (!wf_sched_hold())
        return -ESRCH;
    wf_g *gp = NULL;
    AO_fetch_and_add_full(&wf_the_sched.n_started, 1);
    wf_fence_after_rmw(); /* counted, then checked; pairs with the stop: flag, then count */
    int r = start_check(s);
    if (r == 0)
        r = take_named(s, &gp);
    if (gp) {
        prepare(gp, s);
        gp->id = 1 + AO_fetch_and_add(&gpool.next_id, 1);
        set_alive(gp);
        wf_ready_anywhere(gp);
    } else {
        r = r ? r : -ENOMEM;
        AO_fetch_and_add_full(&wf_the_sched.n_finished, 1); /* pairs with wf_live's */
        wf_live_changed();
    }
    wf_sched_release();
    return r;
}

static int go(const struct wf_start *s)
{
    wf_m *mp = wf_m_self();
    if (WF_UNLIKELY(!mp || !mp->gp))
        return wf_start_foreign(s);
    wf_enter_as(mp);
    int r = wf_start(mp, s);
    wf_leave(mp);
    return r;
}

int weft_go(void (*fn)(void *arg), void *arg, size_t size)
{
    struct wf_start s = { .fn = fn, .arg = arg, .size = size, .started_at = WF_CALLER };
    return go(&s);
}

int weft_go_with(const weft_go_options *opt, void (*fn)(void *arg), void *arg, size_t size)
{
    struct wf_start s = { .fn = fn, .arg = arg, .size = size, .started_at = WF_CALLER };
    if (opt) {
        for (size_t i = 0; i < sizeof opt->reserved / sizeof opt->reserved[0]; i++)
            if (opt->reserved[i] != 0)
                return -EINVAL;
        s.name = opt->name;
        s.stack_size = opt->stack_size;
    }
    return go(&s);
}

uint64_t weft_id(void)
{
    wf_m *mp = wf_m_self();
    wf_g *gp = mp ? (mp->gp ? mp->gp : mp->blocked) : NULL;
    return gp ? gp->id : 0;
}
