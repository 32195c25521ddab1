/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/mutex_mark.c - the first wait for a mutex, as the one who holds it frees it by a store:
 * two meet at a mutex whose bucket nobody waited in yet, over and over, the first for a little
 * longer each time.  Neither may be forgotten, nor both be inside.
 */
#include <stdatomic.h>

#include "runtime/lot.h"
#include "support/check.h"

enum { ROUNDS = 40000, HOLDS = 32000, LOOKS_BEFORE_YIELD = 100000 };

static weft_mutex  m;
static atomic_long here;
static long        inside;

static void meet(long number)
{
    atomic_fetch_add(&here, 1);
    for (int looks = 0; atomic_load(&here) < 2 * number; looks++)
        if (looks % LOOKS_BEFORE_YIELD == LOOKS_BEFORE_YIELD - 1)
            weft_yield();
}

static int one(void *arg)
{
    int who = *(int *)arg;

    for (long i = 0; i < test_scaled(ROUNDS); i++) {
        meet(2 * i + 1);
        weft_mutex_lock(&m);
        for (volatile long k = who ? 0 : i % HOLDS; k > 0; k--)
            ;
        inside++;
        weft_mutex_unlock(&m);
        meet(2 * i + 2); /* nobody holds it, nobody waits */
        if (who)
            for (int w = 0; w < WF_LOT_BUCKETS / 64; w++)
                AO_store(&wf_lot_marks[w], 0);
    }
    return 0;
}

static int main_coroutine(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;

    (void)arg;
    for (int i = 0; i < 2; i++)
        check_eq(weft_group_go(&g, one, &i, sizeof i), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    check_eq(inside, 2 * test_scaled(ROUNDS));
    return 0;
}

int main(void)
{
    run_on(2, main_coroutine, NULL);
    return 0;
}
