/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/hdr.h - a histogram of durations with a high dynamic range: 1 ns to 1 hour at
 * three significant digits, in 264 KiB, after Gil Tene's HdrHistogram.
 *
 * Buckets are log-linear.  Values below 2,048 have a bucket each; above, every power of two is
 * cut into 1,024 equal buckets, so that a bucket is never wider than 1/1,024 of its values.
 *
 *     value       2^10          2^11                2^12                        2^13
 *     ...---------+-------------+-------------------+---------------------------+---...
 *       width 1   |  width 1    |     width 2       |         width 4           |
 *       1 a value |  1,024      |     1,024         |         1,024             |
 *
 * Recording is one relaxed atomic addition: any thread may record into any histogram, and a
 * reader may look at any time; it sees each value at most once and all of them once the
 * recording threads were waited for.  hdr_shards spreads recording over several histograms by
 * the CPU that runs the caller, so that two threads seldom write to the same cache line;
 * being moved to another CPU half-way costs time and nothing else.
 */
#ifndef WEFT_STRESS_HDR_H
#define WEFT_STRESS_HDR_H

#include <stdatomic.h>
#include <stdint.h>

#define HDR_HALF_BITS 10 /* 1,024 buckets for each power of two */
#define HDR_HALF      (1u << HDR_HALF_BITS)
#define HDR_MAX_NS    INT64_C(3600000000000) /* 1 h; what is longer counts as that */
#define HDR_MAX_SHIFT 31                     /* 2^41 <= 1 h in ns < 2^42 */
#define HDR_BUCKETS   ((HDR_MAX_SHIFT + 2) * HDR_HALF)
#define HDR_SHARDS    8

struct hdr {
    _Alignas(64) _Atomic int64_t max_ns;   /* exact, also beyond HDR_MAX_NS; only ever raised */
    _Atomic uint64_t buckets[HDR_BUCKETS]; /* how many values each; only ever raised */
};

struct hdr_shards {
    struct hdr shard[HDR_SHARDS];
};

/* Negative durations count as 0. */
void hdr_record(struct hdr *h, int64_t ns);
void hdr_shards_record(struct hdr_shards *s, int64_t ns);

void hdr_add(struct hdr *sum, const struct hdr *more);
void hdr_shards_sum(struct hdr *sum, const struct hdr_shards *s);

uint64_t hdr_count(const struct hdr *h);
int64_t  hdr_max(const struct hdr *h); /* 0 when empty */

/*
 * The duration that `percent` per cent of the values do not exceed: the upper end of its
 * bucket, at most 0.1 % too long, and never beyond the exact maximum.  0 when empty.
 */
int64_t hdr_percentile(const struct hdr *h, double percent);

#endif
