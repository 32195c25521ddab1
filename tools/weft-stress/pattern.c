/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/pattern.c - see pattern.h.  Pure functions; the loops are plain additions and
 * comparisons so that compilers make vector code of them. */
#include "pattern.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define STEP UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio, odd: no two k meet */

/* The finaliser of SplitMix64: every bit of the input moves half the bits of the output. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t pattern_base(uint32_t connection, uint64_t request)
{
    return mix(mix((uint64_t)connection + 1) + request);
}

void pattern_fill(void *to, size_t n, uint64_t base, size_t offset)
{
    const uint64_t first = base + offset / WORD * STEP;
    unsigned char *out = to;
    const size_t   words = n / WORD;

    for (size_t k = 0; k < words; k++) {
        const uint64_t word = first + k * STEP;
        memcpy(out + k * WORD, &word, WORD);
    }
    const uint64_t last = first + words * STEP;
    memcpy(out + words * WORD, &last, n % WORD);
}

/* Byte by byte; only for what a quick look found wrong, and for the cut-off last word. */
static size_t right_bytes(const unsigned char *in, size_t n, uint64_t first)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t word = first + i / WORD * STEP;
        unsigned char  expected[WORD];
        memcpy(expected, &word, WORD);
        if (in[i] != expected[i % WORD]) {
            return i;
        }
    }
    return n;
}

size_t pattern_check(const void *from, size_t n, uint64_t base, size_t offset)
{
    const uint64_t       first = base + offset / WORD * STEP;
    const unsigned char *in = from;
    const size_t         words = n / WORD;
    uint64_t             differences = 0;

    for (size_t k = 0; k < words; k++) {
        uint64_t word;
        memcpy(&word, in + k * WORD, WORD);
        differences |= word ^ (first + k * STEP);
    }
    if (differences != 0) {
        return right_bytes(in, words * WORD, first);
    }
    return words * WORD + right_bytes(in + words * WORD, n % WORD, first + words * STEP);
}
