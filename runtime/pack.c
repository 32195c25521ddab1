/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.c - words in as few bytes as they need.  What is packed is another's stack, where a
 * sanitizer's red zones are as good as any other word: their shadows stay where they are.
 *
 * Eight bytes are loaded and stored for each word; the next one's begin where its own end.
 */
#include "pack.h"

#include <endian.h>
#include <string.h>

#define UNCHECKED __attribute__((no_sanitize_address))

enum { NARROW = 6, WIDE = 8, CUT = 16 /* bits that a narrow word has not */ };

/* Valgrind would see a decision by words that were never written: for it all are kept. */
#ifdef WEFT_VALGRIND
#define IS_KEPT(word) ((void)(word), 1U)
#define IS_WIDE(word) ((void)(word), 1U)
#else
#define IS_KEPT(word) ((word) != 0)
#define IS_WIDE(word) (extended(word) != (word))
#endif

static inline WF_UNUSED uint64_t extended(uint64_t word)
{
    return (uint64_t)((int64_t)(word << CUT) >> CUT);
}

UNCHECKED size_t wf_pack(uint64_t *to, const uint64_t *from, size_t n)
{
    char *first = (char *)(to + wf_pack_bits(n)), *rest = first;
    for (size_t i = 0; i < n; to += 2) {
        uint64_t kept = 0, wide = 0;
        for (unsigned bit = 0; bit < WF_PACK_BITS && i < n; bit++, i++) {
            uint64_t word = from[i], low_first = htole64(word);
            memcpy(rest, &low_first, WIDE);
            rest += IS_KEPT(word) * NARROW + IS_WIDE(word) * (WIDE - NARROW);
            kept |= (uint64_t)IS_KEPT(word) << bit;
            wide |= (uint64_t)IS_WIDE(word) << bit;
        }
        to[0] = kept;
        to[1] = wide;
    }
    return (size_t)(rest - first) + wf_pack_bits(n) * sizeof *to + (WIDE - NARROW);
}

UNCHECKED void wf_unpack(uint64_t *to, const uint64_t *from, size_t n)
{
    const char *rest = (const char *)(from + wf_pack_bits(n));
    for (size_t i = 0; i < n; i += WF_PACK_BITS, from += 2)
        for (uint64_t kept = from[0]; kept; kept &= kept - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(kept);
            bool     wide = from[1] >> bit & 1;
            uint64_t word;
            memcpy(&word, rest, WIDE);
            word = le64toh(word);
            to[i + bit] = WF_UNLIKELY(wide) ? word : extended(word);
            rest += wide ? WIDE : NARROW;
        }
}

size_t wf_pack_rest(const uint64_t *bits, size_t n)
{
    size_t bytes = WIDE - NARROW; /* that the last load may reach further */
    for (size_t i = 0; i < wf_pack_bits(n); i += 2)
        bytes += (size_t)__builtin_popcountll(bits[i]) * NARROW +
                 (size_t)__builtin_popcountll(bits[i + 1]) * (WIDE - NARROW);
    return bytes;
}
