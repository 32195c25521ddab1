/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scale.h - how many times a test does a thing.  WEFT_TEST_SCALE in the environment is a
 * percentage of the counts that the tests name, 100 when unset; trees with sanitizers use less.
 * It never touches what is asserted.
 */
#ifndef WEFT_TESTS_SCALE_H
#define WEFT_TESTS_SCALE_H

#include <stdlib.h>

/* n scaled, at least 1. */
__attribute__((unused)) static long test_scaled(long n)
{
    const char *text = getenv("WEFT_TEST_SCALE");
    long        percent = text != NULL ? strtol(text, NULL, 10) : 100;
    long        scaled = n / 100 * percent + n % 100 * percent / 100;

    return scaled > 0 ? scaled : 1;
}

#endif
