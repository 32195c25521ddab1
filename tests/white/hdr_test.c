/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/hdr_test.c - the histogram of weft-stress: where values fall, how exact percentiles
 * are, and that no value is lost when several threads record at once.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tools/weft-stress/hdr.c"

static struct hdr *fresh(void)
{
    struct hdr *h = aligned_alloc(_Alignof(struct hdr), sizeof(*h));

    cr_assert_not_null(h);
    memset(h, 0, sizeof(*h));
    return h;
}

Test(hdr, bucket_holds_its_value_within_a_thousandth)
{
    for (int64_t value = 0; value < HDR_MAX_NS; value += 1 + value / 997) {
        const unsigned bucket = bucket_of((uint64_t)value);
        cr_assert_lt(bucket, HDR_BUCKETS);
        cr_assert_geq(bucket_end(bucket), value);
        cr_assert_leq(bucket_end(bucket) - value, value / 1024);
    }
}

Test(hdr, buckets_follow_each_other_without_a_gap)
{
    for (unsigned bucket = 0; bucket + 1 < HDR_BUCKETS; bucket++) {
        cr_assert_eq(bucket_of((uint64_t)bucket_end(bucket)), bucket);
        cr_assert_eq(bucket_of((uint64_t)bucket_end(bucket) + 1), bucket + 1);
    }
}

Test(hdr, the_longest_value_has_the_last_power_of_two)
{
    const unsigned bucket = bucket_of((uint64_t)HDR_MAX_NS);

    cr_assert_lt(bucket, HDR_BUCKETS);
    cr_assert_eq(bucket / HDR_HALF - 1, HDR_MAX_SHIFT);
}

Test(hdr, an_empty_one_is_all_zero)
{
    struct hdr *h = fresh();

    cr_assert_eq(hdr_count(h), 0);
    cr_assert_eq(hdr_max(h), 0);
    cr_assert_eq(hdr_percentile(h, 50), 0);
    cr_assert_eq(hdr_percentile(h, 100), 0);
    free(h);
}

Test(hdr, percentiles_of_one_to_a_thousand)
{
    struct hdr *h = fresh();

    for (int64_t value = 1; value <= 1000; value++) {
        hdr_record(h, value);
    }
    cr_assert_eq(hdr_count(h), 1000);
    cr_assert_eq(hdr_percentile(h, 0), 1);
    cr_assert_eq(hdr_percentile(h, 50), 500);
    cr_assert_eq(hdr_percentile(h, 90), 900);
    cr_assert_eq(hdr_percentile(h, 99), 990);
    cr_assert_eq(hdr_percentile(h, 99.9), 999);
    cr_assert_eq(hdr_percentile(h, 100), 1000);
    cr_assert_eq(hdr_max(h), 1000);
    free(h);
}

Test(hdr, no_percentile_exceeds_the_exact_maximum)
{
    struct hdr *h = fresh();

    hdr_record(h, 1234567891);
    cr_assert_eq(hdr_percentile(h, 50), 1234567891);
    hdr_record(h, 1234567890);
    cr_assert_eq(hdr_max(h), 1234567891);
    free(h);
}

Test(hdr, what_is_out_of_range_is_counted_at_the_edge)
{
    struct hdr *h = fresh();

    hdr_record(h, -5);
    hdr_record(h, 2 * HDR_MAX_NS);
    hdr_record(h, INT64_MAX);
    cr_assert_eq(hdr_count(h), 3);
    cr_assert_eq(hdr_percentile(h, 1), 0);
    cr_assert_geq(hdr_percentile(h, 100), HDR_MAX_NS);
    cr_assert_eq(hdr_max(h), INT64_MAX);
    free(h);
}

#define THREADS 4
#define RECORDS 100000

static void *record_many(void *arg)
{
    for (int64_t value = 0; value < RECORDS; value++) {
        hdr_shards_record(arg, value);
    }
    return NULL;
}

Test(hdr, threads_lose_no_value)
{
    struct hdr_shards *shards = aligned_alloc(_Alignof(struct hdr_shards), sizeof(*shards));
    struct hdr        *sum = fresh();
    pthread_t          threads[THREADS];

    cr_assert_not_null(shards);
    memset(shards, 0, sizeof(*shards));
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, record_many, shards), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    hdr_shards_sum(sum, shards);
    cr_assert_eq(hdr_count(sum), THREADS * RECORDS);
    cr_assert_eq(hdr_max(sum), RECORDS - 1);
    for (unsigned bucket = 0; bucket < 2 * HDR_HALF; bucket++) {
        cr_assert_eq(sum->buckets[bucket], THREADS);
    }
    free(shards);
    free(sum);
}
