/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_rows.h - the rows on weft that have files of their own.
 *
 * Owns their names and the two checks that all rows on weft make.  Must never
 * hold a loop that is measured.
 */
#ifndef WEFT_BENCH_ROWS_H
#define WEFT_BENCH_ROWS_H

#include "bench.h"

#include <weft.h>

static inline void must(const char *what, int err)
{
    if (err < 0) {
        bench_die("%s: %s", what, strerror(-err));
    }
}

static inline void wait_all(weft_waitgroup *wg)
{
    must("weft_waitgroup_wait", weft_waitgroup_wait(wg, WEFT_FOREVER));
}

/* weft_chan.c */
void row_pingpong(const bench_args *a);
void row_chan128(const bench_args *a);
void row_select4(const bench_args *a);
void row_skynet(const bench_args *a);

/* weft_lock.c */
void row_mutex(const bench_args *a);
void row_mutex100(const bench_args *a);

/* weft_time.c */
void row_sleeps(const bench_args *a);
void row_sleepers(const bench_args *a);
void row_timer(const bench_args *a);

/* weft_readers.c */
void row_readers(const bench_args *a);

/* weft_wake.c */
void row_wake(const bench_args *a);

#endif
