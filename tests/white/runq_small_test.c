/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/runq_small_test.c - the tests of runq_test.c with a ring of 4, which is full, empty
 * and wrapped all the time.
 */
#define WF_RUNQ_SIZE 4

#include "runq_test.c"
