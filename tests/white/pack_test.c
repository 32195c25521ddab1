/* SPDX-License-Identifier: Apache-2.0 */
/* tests/white/pack_test.c - words come back as they were, and zeros cost a bit each. */
#include <criterion/criterion.h>
#include <string.h>

#include "runtime/pack.h"
#include "support/check.h"

enum { MOST = 300 };

static void comes_back(const uint64_t *words, size_t n)
{
    uint64_t packed[MOST + MOST / WF_PACK_BITS + 2], again[MOST + 1];
    size_t   size = wf_pack_size(words, n);

    memset(packed, 0xff, sizeof packed);
    memset(again, 0xff, sizeof again);
    wf_pack(packed, words, n);
    cr_assert_eq(packed[size], UINT64_MAX, "beyond the end with %zu words", n);
    cr_assert_eq(wf_pack_bits(n) + wf_pack_rest(packed, n), size);
    wf_unpack(again, packed, n);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(again[i], words[i], "word %zu of %zu", i, n);
    cr_assert_eq(again[n], UINT64_MAX);
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

Test(pack, zeros_cost_a_bit)
{
    uint64_t words[MOST] = { 0 };

    cr_assert_eq(wf_pack_size(words, 0), 0);
    cr_assert_eq(wf_pack_size(words, 1), 1);
    cr_assert_eq(wf_pack_size(words, 64), 1);
    cr_assert_eq(wf_pack_size(words, 65), 2);
    words[64] = 5;
    cr_assert_eq(wf_pack_size(words, 65), 3);
    words[0] = 1;
    cr_assert_eq(wf_pack_size(words, MOST), 5 + 2);
}
