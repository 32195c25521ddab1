/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.h - boost.context's fcontext, called from C, and what the sanitizers and
 * valgrind must hear of a switch.
 *
 * Owns the declarations that Debian's package ships no C header for.  Must never
 * know what a coroutine is: it moves between stacks, no more.
 */
#ifndef WF_CONTEXT_H
#define WF_CONTEXT_H

#include "base.h"

#if defined(__SANITIZE_ADDRESS__)
#define WF_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WF_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WF_TSAN 1
#endif
#endif
#ifndef WF_ASAN
#define WF_ASAN 0
#endif
#ifndef WF_TSAN
#define WF_TSAN 0
#endif

typedef struct wf_transfer {
    void *fctx; /* the context that was left */
    void *data; /* what it sent along */
} wf_transfer;

/* Saves the caller's registers on its stack and goes to `to`; returns when somebody
 * comes back.  Floating-point control words are kept per context. */
wf_transfer jump_fcontext(void *to, void *data);
/* A context that will start fn on the stack that ends (high) at top.  fn must never
 * return. */
void *make_fcontext(void *top, size_t size, void (*fn)(wf_transfer));

/* What a sanitizer keeps for one stack; empty in plain builds. */
typedef struct wf_shadow {
#if WF_TSAN
    void *fiber;
#elif WF_ASAN
    void       *fake;
    const void *bottom;
    size_t      size;
#else
    char none[1];
#endif
} wf_shadow;

void wf_shadow_thread(wf_shadow *s); /* of the calling thread's own stack */
void wf_shadow_stack(wf_shadow *s, void *bottom, size_t size); /* of a fresh coroutine */
void wf_shadow_free(wf_shadow *s);
/* Around each jump: leave on the old stack, land as the first thing on the new. */
void wf_shadow_leave(wf_shadow *from, wf_shadow *to);
void wf_shadow_land(wf_shadow *self);

#endif
