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

#define WF_UNCHECKED __attribute__((no_sanitize_address, no_sanitize_thread))

#ifdef __AVX512F__
#define WF_CLOBBERS_AVX512                                                                        \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",   \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
        "k7"
#else
#define WF_CLOBBERS_AVX512
#endif

/*
 * jump_fcontext, entered by a jump.  It leaves by one, to the address that its call
 * pushed; so a call would leave an entry in the processor's return-address predictor
 * that no return takes, and every return after the landing would be predicted wrongly
 * (measured on the switch and its three returns: 29 -> 13 ns).  What it pushes lies where
 * the caller's red zone would be, so that must have none: -mno-red-zone.
 */
static inline __attribute__((always_inline)) wf_transfer wf_jump(void *to, void *data)
{
#if defined(__x86_64__) && !defined(__CET__) && defined(WEFT_NO_RED_ZONE)
    register void *fctx __asm__("rax");
    register void *sent __asm__("rdx");
    register void *rdi __asm__("rdi") = to;
    register void *rsi __asm__("rsi") = data;
    __asm__ volatile("lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "jmp jump_fcontext\n"
                     "1:"
                     : "=r"(fctx), "=r"(sent), "+r"(rdi), "+r"(rsi)
                     :
                     : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                       "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)",
                       "st(5)", "st(6)", "st(7)" WF_CLOBBERS_AVX512);
    return (wf_transfer){ fctx, sent };
#else
    return jump_fcontext(to, data);
#endif
}

/*
 * fctx, that nobody runs, will begin or go on with the default floating-point environment.
 * make_fcontext keeps that of its caller, and a context that was left its own.
 */
static inline WF_UNCHECKED void wf_context_default_fp(void *fctx)
{
#if defined(__x86_64__) /* elsewhere it is no part of a context */
    enum { MXCSR = 0x1f80, X87_CONTROL = 0x037f };
    *(volatile uint64_t *)fctx = MXCSR | (uint64_t)X87_CONTROL << 32;
#else
    (void)fctx;
#endif
}

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
#if WF_ASAN
void __asan_unpoison_memory_region(const volatile void *from, size_t size);
#endif

/* Between low and high nothing lives any more: it may be written anew. */
static inline void wf_shadow_forget(const char *low, const char *high)
{
#if WF_ASAN
    __asan_unpoison_memory_region(low, (size_t)(high - low));
#else
    (void)low, (void)high;
#endif
}

/* Around each jump: leave on the old stack, land as the first thing on the new. */
#if WF_TSAN
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#elif WF_ASAN
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
#endif

/* Inlined always: TSan marks each function's end on the fibre that is current then. */
static inline __attribute__((always_inline)) void wf_shadow_leave(wf_shadow *from, wf_shadow *to)
{
#if WF_TSAN
    /* Flag 0: what this thread did before the switch comes before what it does after it.
     * Between threads nothing is implied: the scheduler's own atomics must order that. */
    (void)from;
    __tsan_switch_to_fiber(to->fiber, 0);
#elif WF_ASAN
    __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#else
    (void)from, (void)to;
#endif
}

static inline __attribute__((always_inline)) void wf_shadow_land(wf_shadow *self)
{
#if WF_ASAN
    __sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
#else
    (void)self;
#endif
}

#endif
