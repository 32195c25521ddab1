/* SPDX-License-Identifier: Apache-2.0 */
/* tests/white/pack_test.c - words come back as they were, in as few bytes as
 * they need. */
#include <criterion/criterion.h>
#include <string.h>

#include "runtime/pack.h"
#include "support/check.h"

enum { MOST = 320 };

static void comes_back(const uint64_t *words, size_t n)
{
    uint64_t packed[WF_PACK_ROOM(MOST)], again[MOST + 1] = { 0 };

    memset(packed, 0xff, sizeof packed);
    size_t size = wf_pack(packed, words, n);
    cr_assert_leq(size, WF_PACK_ROOM(n) * sizeof *packed);
    cr_assert_eq(wf_pack_bits(n) * sizeof *packed + wf_pack_rest(packed, n), size);
    memset((char *)packed + size, 0xff, sizeof packed - size); /* beyond it nothing counts */
    wf_unpack(again, packed, n);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(again[i], words[i], "word %zu of %zu", i, n);
    cr_assert_eq(again[n], 0);
}

Test(pack, any_words_come_back)
{
    uint64_t words[MOST], random = 88172645463325252U;

    for (unsigned share = 0; share <= 8; share++)
        for (size_t n = 0; n <= MOST; n++) {
            for (size_t i = 0; i < n; i++)
                words[i] = test_random(&random) % 8 < share ? (uint64_t)1 << i % 64 : 0;
            comes_back(words, n);
        }
}

Test(pack, numbers_of_either_sign_come_back)
{
    for (int shift = 0; shift < 64; shift++)
        for (int more = -1; more <= 1; more++) {
            uint64_t word = ((uint64_t)1 << shift) + (uint64_t)more,
                     words[] = { word, ~word, 0 - word };
            comes_back(words, 3);
        }
}

static size_t size_of(const uint64_t *words, size_t n)
{
    uint64_t packed[WF_PACK_ROOM(MOST)];

    return wf_pack(packed, words, n);
}

Test(pack, words_cost_what_they_need)
{
    enum { BITS = 16, BEYOND = 2 };
    uint64_t words[MOST] = { 0 };

    cr_assert_eq(size_of(words, 0), BEYOND);
    cr_assert_eq(size_of(words, 64), BITS + BEYOND);
    cr_assert_eq(size_of(words, 65), 2 * BITS + BEYOND);
    words[4] = 5;
    cr_assert_eq(size_of(words, 5), BITS + BEYOND + 6);
    words[4] = (uint64_t)-5;
    cr_assert_eq(size_of(words, 5), BITS + BEYOND + 6);
    words[0] = UINT64_C(0x7fffffffffff);
    cr_assert_eq(size_of(words, 5), BITS + BEYOND + 12);
    words[0]++;
    cr_assert_eq(size_of(words, 5), BITS + BEYOND + 6 + 8);
    cr_assert_eq(size_of(words, MOST), MOST / 64 * BITS + BEYOND + 6 + 8);
}

/* What a dump reads of a pack that is gone says anything, but never more than it has room for. */
Test(pack, any_bits_ask_for_a_bounded_rest)
{
    uint64_t packed[WF_PACK_ROOM(MOST)], words[MOST];
    size_t   bits = wf_pack_bits(MOST) * sizeof *packed;

    for (int any = 0; any < 256; any++) {
        memset(packed, any, sizeof packed);
        cr_assert_leq(bits + wf_pack_rest(packed, MOST), sizeof packed);
        wf_unpack(words, packed, MOST);
    }
}
