/* SPDX-License-Identifier: Apache-2.0 */
/*
 * who.h - who took a lock and where, in one word, for people.
 *
 * A look-up of the current G would cost a lock what the lock itself costs.  So the word
 * has the page of the caller's stack, by which its coroutine is found (snapshot.c), and
 * as many low bits of the return address as fit, which name one call in all likelihood.
 * Three bits are left over, for the lock's own flags where it is one word (mutex.c).
 */
#ifndef WF_WHO_H
#define WF_WHO_H

#include "base.h"

enum { WF_WHO_BITS = 61, WF_WHO_PAGE_SHIFT = 12, WF_WHO_CALL_BITS = 25 };

#define WF_WHO_CALL_MASK (((uint64_t)1 << WF_WHO_CALL_BITS) - 1)

static inline uint64_t wf_who(const void *caller)
{
#if defined(__x86_64__)
    uintptr_t sp;
    __asm__("mov %%rsp, %0" : "=r"(sp)); /* asking for the frame would cost a frame pointer */
#else
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
#endif
    return (uint64_t)(sp >> WF_WHO_PAGE_SHIFT) << WF_WHO_CALL_BITS |
           ((uintptr_t)caller & WF_WHO_CALL_MASK);
}

static inline uintptr_t wf_who_page(uint64_t who)
{
    return (uintptr_t)(who >> WF_WHO_CALL_BITS) << WF_WHO_PAGE_SHIFT;
}

#endif
