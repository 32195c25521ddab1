/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/pattern.h - the bytes of each request, made and checked without being stored.
 *
 * A message is a run of 8-byte words: word k is base + k * STEP, and base is mixed from the
 * connection's and the request's number.  So no two words of a message are equal, and no two
 * messages share more than chance would: a byte that is lost, doubled, changed, late or another
 * connection's shows as a difference.  A last word may be cut short.
 */
#ifndef WEFT_STRESS_PATTERN_H
#define WEFT_STRESS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

uint64_t pattern_base(uint32_t connection, uint64_t request);

/* The n bytes that stand at offset, a multiple of 8, in the message of that base. */
void pattern_fill(void *to, size_t n, uint64_t base, size_t offset);

/* How many of the n bytes are right, counted from the first: n when all are. */
size_t pattern_check(const void *from, size_t n, uint64_t base, size_t offset);

#endif
