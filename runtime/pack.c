/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.c - words without the zeros among them.  What is packed is another's stack, where a
 * sanitizer's red zones are as good as any other word: their shadows stay where they are.
 */
#include "pack.h"

#define UNCHECKED __attribute__((no_sanitize_address))

/* Valgrind would see a decision by words that were never written: for it all are kept. */
#ifdef WEFT_VALGRIND
#define IS_KEPT(word) ((void)(word), 1)
#else
#define IS_KEPT(word) ((word) != 0)
#endif

UNCHECKED size_t wf_pack_size(const uint64_t *from, size_t n)
{
    size_t words = wf_pack_bits(n);
    for (size_t i = 0; i < n; i++)
        words += IS_KEPT(from[i]);
    return words;
}

UNCHECKED void wf_pack(uint64_t *to, const uint64_t *from, size_t n)
{
    uint64_t *rest = to + wf_pack_bits(n);
    for (size_t i = 0; i < n; i++) {
        uint64_t *bits = &to[i / WF_PACK_BITS];
        if (i % WF_PACK_BITS == 0)
            *bits = 0;
        *bits |= (uint64_t)IS_KEPT(from[i]) << i % WF_PACK_BITS;
        if (IS_KEPT(from[i]))
            *rest++ = from[i];
    }
}

UNCHECKED void wf_unpack(uint64_t *to, const uint64_t *from, size_t n)
{
    const uint64_t *rest = from + wf_pack_bits(n);
    for (size_t i = 0; i < n; i++)
        to[i] = from[i / WF_PACK_BITS] >> i % WF_PACK_BITS & 1 ? *rest++ : 0;
}

size_t wf_pack_rest(const uint64_t *bits, size_t n)
{
    size_t words = 0;
    for (size_t i = 0; i < wf_pack_bits(n); i++)
        words += (size_t)__builtin_popcountll(bits[i]);
    return words;
}
