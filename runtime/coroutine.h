/* SPDX-License-Identifier: Apache-2.0 */
/* coroutine.h - starting and ending coroutines; see coroutine.c. */
#ifndef WF_COROUTINE_H
#define WF_COROUTINE_H

#include "sched.h"

enum {
    WF_ARG_MOST = 2048, /* bytes of an argument that is copied */
    WF_STACK_COLOURS = 8,
    WF_STACK_COLOUR_BYTES = 128
};

/* Stacks begin at different places in their page, else all their frames lie in the same
 * few sets of the cache.  Above are at least 16 zero bytes and the rest of their line. */
static inline char *wf_g_stack_start(const wf_g *gp)
{
    return gp->stack.top - WF_CACHELINE -
           (size_t)(gp->index % WF_STACK_COLOURS) * WF_STACK_COLOUR_BYTES;
}

/* What a start is asked for. */
struct wf_start {
    void (*fn)(void *arg);
    void       *arg;
    size_t      size;
    const char *name;
    size_t      stack_size; /* 0: the runtime's */
    const void *started_at; /* WF_CALLER of the public call */

    struct weft_group *group;   /* NULL: none; then the following are unused */
    int (*group_fn)(void *arg); /* also of main, for people */
    void (*enlist)(struct weft_group *group, wf_g *gp); /* before it can run */
};

int wf_start(wf_m *mp, const struct wf_start *s); /* inside, with a P */
int wf_start_foreign(const struct wf_start *s);   /* on any other thread */

/* While the runtime is held it cannot end; false: none is running. */
bool wf_sched_hold(void);
void wf_sched_release(void);

/* Called, inside, by a coroutine that ends with gp->borrow set; who sets that sets this. */
extern void (*wf_borrow_hook)(wf_m *mp, wf_g *gp);

/* Outside, by a coroutine that ends with gp->locals set: destroys them (local.c). */
void wf_local_end(wf_g *gp);

/* First thing on any stack that is landed on: commits what was left (sched.c). */
wf_m *wf_landed(wf_transfer t);

void     wf_g_flush(wf_p *pp);   /* the P's caches go to the pool */
uint64_t wf_g_warm_stacks(void); /* stacks that were touched and not given back since */
AO_t     wf_g_made(void);        /* Gs that were ever made: 1 to that */

#endif
