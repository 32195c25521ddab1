/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - what every file of the runtime may use: attributes, assertions, the
 * fatal message, and the atomics.
 *
 * Owns no state.  Includes nothing of weft but the public header.
 *
 * Atomics are libatomic_ops'.  AO_compare_and_swap_full is acquire-release; where
 * an argument needs a total order (a store, then a load of another word, as in
 * Dekker's algorithm) an explicit wf_fence() or wf_fence_after_rmw() stands there.
 */
#ifndef WF_BASE_H
#define WF_BASE_H

#include <atomic_ops.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/runtime.h>

#define WF_LIKELY(x)     __builtin_expect(!!(x), 1)
#define WF_UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define WF_ALWAYS_INLINE __attribute__((always_inline)) /* beside inline */
#define WF_NOINLINE      __attribute__((noinline))
#define WF_COLD          __attribute__((cold, noinline))
#define WF_UNUSED        __attribute__((unused))
#define WF_CALLER        __builtin_return_address(0) /* in a public function: the user's call */
#define WF_CACHELINE     64
#define WF_ALIGNED       __attribute__((aligned(WF_CACHELINE)))

#define WF_CONTAINER(ptr, type, member) ((type *)(((char *)(ptr)) - offsetof(type, member)))

/* Writes "weft: <message>" on stderr in one write and aborts. */
WF_COLD _Noreturn __attribute__((format(printf, 1, 2))) void wf_die(const char *format, ...);
/* The same line, and goes on. */
WF_COLD __attribute__((format(printf, 1, 2))) void wf_say(const char *format, ...);

#ifdef WEFT_DEBUG
#define wf_assert(e) ((e) ? (void)0 : wf_die("%s:%d: assertion failed: %s", __FILE__, __LINE__, #e))
#else
#define wf_assert(e) ((void)sizeof((e) ? 1 : 0))
#endif

/* Orders all before it against all after it, stores against later loads too. */
static inline void wf_fence(void)
{
    AO_nop_full();
}

/* The same, directly after a successful read-modify-write: on x86 the locked
 * instruction was the fence already, and only the compiler must be told. */
static inline void wf_fence_after_rmw(void)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    __asm__ volatile("" : : : "memory");
#else
    AO_nop_full();
#endif
}

/* Orders stores before it against stores after it. */
static inline void wf_fence_stores(void)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    __asm__ volatile("" : : : "memory");
#else
    AO_nop_full();
#endif
}

static inline void wf_compiler_barrier(void)
{
    __asm__ volatile("" : : : "memory");
}

static inline void wf_cpu_relax(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pause" : : : "memory");
#else
    __asm__ volatile("yield" : : : "memory");
#endif
}

/* A counter that one thread writes and others read now and then. */
static inline void wf_count(volatile AO_t *counter, AO_t n)
{
    AO_store(counter, AO_load(counter) + n);
}

#include "tally.h" /* last: it may count the atomics from here on */

#endif
