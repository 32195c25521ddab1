/* SPDX-License-Identifier: Apache-2.0 */
/* pack.h - words without the zeros among them: a bit for each word, then those that are not
 * zero.  Half of a stack's live words are zeros; see pack.c. */
#ifndef WF_PACK_H
#define WF_PACK_H

#include "base.h"

enum { WF_PACK_BITS = 64 };

/* How many words of a pack are bits, for n words. */
static inline size_t wf_pack_bits(size_t n)
{
    return (n + WF_PACK_BITS - 1) / WF_PACK_BITS;
}

size_t wf_pack_size(const uint64_t *from, size_t n); /* in words, the bits included */
void   wf_pack(uint64_t *to, const uint64_t *from, size_t n);
void   wf_unpack(uint64_t *to, const uint64_t *from, size_t n);
/* How many words follow the bits. */
size_t wf_pack_rest(const uint64_t *bits, size_t n);

#endif
