/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.h - memory for coroutine stacks: equal slots cut from large arenas.
 *
 * Owns the arenas, their guard regions and the lists of free slots.  Arenas are
 * never unmapped; a free slot's pages may be given back to the system.
 */
#ifndef WF_STACK_H
#define WF_STACK_H

#include "base.h"

enum {
    WF_STACK_MIN = 16 * 1024,   /* the smallest class */
    WF_STACK_CLASSES = 15,      /* 16 KiB << class: up to 256 MiB */
    WF_STACK_GUARD = 68 * 1024, /* an odd number of pages: see stack.c */
    WF_STACK_DEFAULT = 256 * 1024,
    WF_STACK_PARTS = 64
};

typedef struct wf_stack {
    char    *top;  /* one past the highest byte; NULL: none */
    uint32_t size; /* usable bytes below top */
    uint8_t class; /* of its arena */
    uint8_t cold;  /* its pages were given back */
} wf_stack;

/* 0 or -EINVAL: no class is that large. */
int wf_stack_class(size_t bytes, uint8_t *class);

int wf_stack_alloc(uint8_t class, wf_stack *out); /* -ENOMEM */
/* Gives the pages of n stacks back to the system, in batches; they stay allocated. */
void wf_stack_cool(wf_stack *const *stacks, int n);

/* Pages of stacks in use: all below `live` but a canary's, where live == top all of them.
 * In one call; false: the system took not all. */
typedef struct wf_stack_part {
    const wf_stack *stack;
    const void     *live;
} wf_stack_part;
bool wf_stack_give_back(const wf_stack_part *parts, int n); /* at most WF_STACK_PARTS */

/* The stack whose guard or slot holds addr; false if none does.  Async-signal-safe. */
enum wf_stack_hit { WF_HIT_NONE, WF_HIT_GUARD, WF_HIT_STACK };
enum wf_stack_hit wf_stack_find(const void *addr, char **slot_top);

const char *wf_stack_guard_kind(void); /* "madvise", "mprotect" or "canary" */

/* What is done as a coroutine ends, in bits: nothing, most often. */
enum wf_stack_watch { WF_STACK_CANARY = 1, WF_STACK_MEASURE = 2 };
extern volatile AO_t wf_stack_watch; /* atomic; changed under pool.lock */
void                 wf_stack_watch_set(AO_t bit);
void                 wf_stack_watch_clear(AO_t bit);

const char *wf_stack_low(const wf_stack *s); /* the lowest byte that a coroutine may use */
/* In canary mode: dies if the stack's lowest bytes were overwritten. */
void wf_stack_check(const wf_stack *s, const char *name, uint64_t id);

#endif
