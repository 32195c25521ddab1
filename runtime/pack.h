/* SPDX-License-Identifier: Apache-2.0 */
/* pack.h - words of a stack in as few bytes as they need: two bits for each word, then nothing for
 * a zero, six bytes for what these hold by sign (addresses and small numbers: nearly all), else
 * eight.  A third of a stack's live words are zeros; see pack.c. */
#ifndef WF_PACK_H
#define WF_PACK_H

#include "base.h"

enum { WF_PACK_BITS = 64 };

/* How many words of a pack are bits, for n words: of each 64 words one tells which are kept, one
 * which of them take eight bytes. */
static inline size_t wf_pack_bits(size_t n)
{
    return (n + WF_PACK_BITS - 1) / WF_PACK_BITS * 2;
}

/* Words of room in which to pack n, at most: what is stored last may reach a word further. */
#define WF_PACK_ROOM(n) ((n) + ((n) + WF_PACK_BITS - 1) / WF_PACK_BITS * 2 + 1)

size_t wf_pack(uint64_t *to, const uint64_t *from, size_t n);   /* in bytes, the bits included */
void   wf_unpack(uint64_t *to, const uint64_t *from, size_t n); /* zeros stay as they are there */
/* How many bytes follow the bits; whatever these are, they fit in the room. */
size_t wf_pack_rest(const uint64_t *bits, size_t n);

#endif
