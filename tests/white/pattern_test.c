/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/pattern_test.c - the messages of weft-stress: each wrong, missing, doubled, late or
 * foreign byte is found, and found where it is.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tools/weft-stress/pattern.c"

#define BYTES 1003

static unsigned char message[BYTES + 1];

static void make(void)
{
    pattern_fill(message, BYTES, pattern_base(7, 42), 0);
}

static size_t check(const void *bytes, size_t n)
{
    return pattern_check(bytes, n, pattern_base(7, 42), 0);
}

TestSuite(pattern, .init = make);

Test(pattern, what_was_made_is_right_at_every_length)
{
    for (size_t n = 0; n <= BYTES; n++) {
        cr_assert_eq(check(message, n), n);
    }
}

Test(pattern, fill_stays_within_its_bytes)
{
    for (size_t n = 0; n < 32; n++) {
        unsigned char some[33];
        memset(some, 0xee, sizeof(some));
        pattern_fill(some, n, pattern_base(7, 42), 0);
        cr_assert_eq(memcmp(some, message, n), 0);
        cr_assert_eq(some[n], 0xee);
    }
}

Test(pattern, pieces_make_the_whole)
{
    unsigned char whole[BYTES];

    for (size_t piece = 8; piece < BYTES; piece += 8) {
        for (size_t at = 0; at < BYTES; at += piece) {
            const size_t n = BYTES - at < piece ? BYTES - at : piece;
            pattern_fill(whole + at, n, pattern_base(7, 42), at);
            cr_assert_eq(pattern_check(message + at, n, pattern_base(7, 42), at), n);
        }
        cr_assert_eq(memcmp(whole, message, BYTES), 0);
    }
}

Test(pattern, every_flipped_bit_is_found_at_its_byte)
{
    for (size_t bit = 0; bit < (size_t)BYTES * 8; bit++) {
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert_eq(check(message, BYTES), bit / 8);
        message[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

Test(pattern, a_lost_byte_is_found)
{
    for (size_t lost = 0; lost < BYTES - 64; lost++) {
        unsigned char rest[BYTES];
        memcpy(rest, message, lost);
        memcpy(rest + lost, message + lost + 1, BYTES - lost - 1);
        cr_assert_lt(check(rest, BYTES - 1), BYTES - 1);
        cr_assert_geq(check(rest, BYTES - 1), lost);
    }
}

Test(pattern, a_doubled_byte_is_found)
{
    for (size_t doubled = 0; doubled < BYTES - 64; doubled++) {
        unsigned char more[BYTES + 1];
        memcpy(more, message, doubled + 1);
        memcpy(more + doubled + 1, message + doubled, BYTES - doubled);
        cr_assert_lt(check(more, BYTES), BYTES);
        cr_assert_geq(check(more, BYTES), doubled);
    }
}

/* A whole 8-byte word more or less must show as well as a byte. */
Test(pattern, words_out_of_place_are_found)
{
    for (size_t word = 8; word + 8 <= BYTES; word += 8) {
        cr_assert_lt(pattern_check(message + word, 8, pattern_base(7, 42), 0), 8);
    }
}

Test(pattern, messages_of_others_and_of_before_are_found)
{
    for (uint32_t connection = 0; connection < 100; connection++) {
        for (uint64_t request = 0; request < 100; request++) {
            if (connection == 7 && request == 42) {
                continue;
            }
            unsigned char other[8];
            pattern_fill(other, 8, pattern_base(connection, request), 0);
            cr_assert_lt(check(other, 8), 8, "connection %u, request %llu", connection,
                         (unsigned long long)request);
        }
    }
}
