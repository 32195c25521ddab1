/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/floor.h - the floors that have a file of their own.
 *
 * Owns their names alone.  Must never include anything of weft.
 */
#ifndef WEFT_BENCH_FLOOR_H
#define WEFT_BENCH_FLOOR_H

#include "bench.h"

/* floor_futex.c */
void row_futex_wake(const bench_args *a);
void row_futex_busy(const bench_args *a);

#endif
