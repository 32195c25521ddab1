/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/hdr.c - see hdr.h.  Only counters live here; nothing is allocated, and nothing
 * but hdr_record changes a bucket.
 *
 * Every atomic access is relaxed: a counter orders nothing but itself, and the reader of the
 * final figures has waited for the writers by other means.
 */
#include "hdr.h"

#include <sched.h>

/* ---- Buckets --------------------------------------------------------------- */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < UINT64_C(2) * HDR_HALF) {
        return (unsigned)ns;
    }
    /* shift brings ns into [HDR_HALF, 2 * HDR_HALF) */
    const unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HDR_HALF_BITS;
    return shift * HDR_HALF + (unsigned)(ns >> shift);
}

/* The longest duration that falls into a bucket. */
static int64_t bucket_end(unsigned bucket)
{
    if (bucket < 2 * HDR_HALF) {
        return bucket;
    }
    const unsigned shift = bucket / HDR_HALF - 1;
    const uint64_t step = bucket - shift * HDR_HALF;
    return (int64_t)(((step + 1) << shift) - 1);
}

/* ---- Recording ------------------------------------------------------------- */

static void raise_max(struct hdr *h, int64_t ns)
{
    int64_t seen = atomic_load_explicit(&h->max_ns, memory_order_relaxed);

    while (ns > seen &&
           !atomic_compare_exchange_weak_explicit(&h->max_ns, &seen, ns, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

void hdr_record(struct hdr *h, int64_t ns)
{
    const int64_t counted = ns < 0 ? 0 : ns > HDR_MAX_NS ? HDR_MAX_NS : ns;

    atomic_fetch_add_explicit(&h->buckets[bucket_of((uint64_t)counted)], 1, memory_order_relaxed);
    raise_max(h, ns);
}

void hdr_shards_record(struct hdr_shards *s, int64_t ns)
{
    const int cpu = sched_getcpu(); /* -1 where the system does not tell: still a shard */

    hdr_record(&s->shard[(unsigned)cpu % HDR_SHARDS], ns);
}

/* ---- Reading --------------------------------------------------------------- */

void hdr_add(struct hdr *sum, const struct hdr *more)
{
    for (unsigned i = 0; i < HDR_BUCKETS; i++) {
        const uint64_t n = atomic_load_explicit(&more->buckets[i], memory_order_relaxed);
        if (n > 0) {
            atomic_fetch_add_explicit(&sum->buckets[i], n, memory_order_relaxed);
        }
    }
    raise_max(sum, atomic_load_explicit(&more->max_ns, memory_order_relaxed));
}

void hdr_shards_sum(struct hdr *sum, const struct hdr_shards *s)
{
    for (unsigned i = 0; i < HDR_SHARDS; i++) {
        hdr_add(sum, &s->shard[i]);
    }
}

uint64_t hdr_count(const struct hdr *h)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HDR_BUCKETS; i++) {
        count += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
    }
    return count;
}

int64_t hdr_max(const struct hdr *h)
{
    return atomic_load_explicit(&h->max_ns, memory_order_relaxed);
}

/* How many of count values make `percent` per cent, rounded up, at least one.  Decimal
 * percentages are not exact in binary: what is a millionth too much is no value more. */
static uint64_t rank_of(double percent, uint64_t count)
{
    const double exact = percent / 100.0 * (double)count - 1e-6;
    uint64_t     rank = (uint64_t)exact;

    if ((double)rank < exact) {
        rank++;
    }
    return rank < 1 ? 1 : rank > count ? count : rank;
}

int64_t hdr_percentile(const struct hdr *h, double percent)
{
    const int64_t  max = hdr_max(h);
    const uint64_t rank = rank_of(percent, hdr_count(h));
    uint64_t       seen = 0;

    for (unsigned i = 0; i < HDR_BUCKETS; i++) {
        seen += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        if (seen >= rank) {
            return bucket_end(i) < max ? bucket_end(i) : max;
        }
    }
    return max;
}
