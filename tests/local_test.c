/* SPDX-License-Identifier: Apache-2.0 */
/* tests/local_test.c - coroutine-local values: whose they are, and how they end. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "support/coro.h"

TestSuite(local, .timeout = 120);

static weft_local  plain, counted;
static atomic_long destroyed;

static void count_value(void *value)
{
    check(weft_local_get(counted) == NULL); /* it is gone already */
    check(!weft_cancelled());               /* shielded */
    atomic_fetch_add(&destroyed, (long)(intptr_t)value);
}

static void make_keys(void)
{
    check_eq(weft_local_new(&plain, NULL), 0);
    check_eq(weft_local_new(&counted, count_value), 0);
    check(plain.key != 0 && counted.key != 0 && plain.key != counted.key);
    atomic_store(&destroyed, 0);
}

/* ---- Whose they are ------------------------------------------------------------------------------- */

static void own_value(void *arg)
{
    check(weft_local_get(plain) == NULL); /* not inherited, nor left by one who had this stack */
    for (intptr_t i = 1; i < 200; i++) {
        check_eq(weft_local_set(plain, (char *)arg + i), 0);
        weft_yield(); /* and may go on elsewhere */
        check(weft_local_get(plain) == (char *)arg + i);
    }
}

static int own_values(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    char           bases[50];

    check_eq(weft_local_set(plain, &wg), 0);
    for (int lap = 0; lap < 5; lap++) {
        for (int i = 0; i < 50; i++)
            spawn(&wg, own_value, &bases[i]);
        join(&wg);
    }
    check(weft_local_get(plain) == &wg);
    check_eq(weft_local_set(plain, NULL), 0);
    check(weft_local_get(plain) == NULL);
    return arg != NULL;
}

Test(local, each_coroutine_has_its_own)
{
    make_keys();
    run_on_1_2_8(own_values, NULL); /* keys outlive a run */
}

enum { KEYS = 3000 };

static pthread_barrier_t together;

static int many_keys(void *arg)
{
    weft_local *keys = arg;

    for (int i = KEYS - 1; i >= 0; i -= 3)
        check_eq(weft_local_set(keys[i], &keys[i]), 0);
    for (int i = 0; i < KEYS; i++)
        check(weft_local_get(keys[i]) == (i % 3 == 2 ? &keys[i] : NULL));
    return 0;
}

static void *make_third(void *arg)
{
    weft_local *keys = arg;

    pthread_barrier_wait(&together);
    for (int i = 0; i < KEYS / 3; i++)
        check_eq(weft_local_new(&keys[i], NULL), 0);
    return NULL;
}

Test(local, keys_of_several_threads_are_distinct)
{
    weft_local keys[KEYS];
    pthread_t  threads[3];
    bool       seen[KEYS + 10] = { false };

    check_eq(pthread_barrier_init(&together, NULL, 3), 0);
    for (int t = 0; t < 3; t++)
        check_eq(pthread_create(&threads[t], NULL, make_third, &keys[t * (KEYS / 3)]), 0);
    for (int t = 0; t < 3; t++)
        check_eq(pthread_join(threads[t], NULL), 0);
    for (int i = 0; i < KEYS; i++) {
        check(keys[i].key > 0 && keys[i].key < KEYS + 10 && !seen[keys[i].key]);
        seen[keys[i].key] = true;
    }
    run_on(2, many_keys, keys);
}

Test(local, keys_run_out_with_an_error)
{
    weft_local k;
    int        n = 0, r;

    while ((r = weft_local_new(&k, NULL)) == 0)
        check(++n < 1000000);
    check_eq(r, -ENOMEM);
    check(n >= 1000);
}

/* ---- How they end ------------------------------------------------------------------------------------- */

static int leave_value(void *arg)
{
    check_eq(weft_local_set(counted, arg), 0);
    return weft_sleep(0); /* cancelled or not */
}

static int group_waits(void *arg)
{
    for (int cancel = 0; cancel < 2; cancel++)
        for (int lap = 0; lap < 100; lap++) {
            weft_group g = WEFT_GROUP_INIT;
            long       before = atomic_load(&destroyed);
            int        n = 0;
            while (n < 10 && weft_group_go(&g, leave_value, (void *)(intptr_t)1, 0) == 0)
                n++;
            if (cancel)
                weft_group_cancel(&g);
            check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
            check_eq(atomic_load(&destroyed) - before, n); /* before the wait returned */
        }
    return arg != NULL;
}

Test(local, destructors_run_shielded_before_the_groups_wait_returns)
{
    make_keys();
    run_on_1_2_8(group_waits, NULL);
}

static weft_local  again;
static atomic_long rounds;
static weft_chan  *events;

/* Sets itself anew; parks on the way. */
static void stubborn(void *value)
{
    atomic_fetch_add(&rounds, 1);
    check_eq(weft_chan_send(events, &value), 0);
    weft_yield();
    check_eq(weft_local_set(again, value), 0);
}

static int leave_stubborn(void *arg)
{
    check_eq(weft_local_set(again, &again), 0);
    return arg != NULL;
}

static int sets_again(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    void      *v;
    int        n = 0;

    events = weft_chan_new(sizeof(void *), 0);
    check_eq(weft_group_go(&g, leave_value, (void *)(intptr_t)1, 0), 0);
    check_eq(weft_group_go(&g, leave_value, (void *)(intptr_t)2, 0), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    check_eq(weft_local_set(again, NULL), 0); /* NULL: no destructor */
    check_eq(weft_group_go(&g, leave_stubborn, NULL, 0), 0);
    while (weft_group_wait(&g, WEFT_NOWAIT, NULL) == -ETIMEDOUT) {
        check(n < 100); /* it gives up some time */
        n += weft_chan_recv_until(events, &v, WEFT_NOWAIT) == 0;
        weft_yield();
    }
    check(n >= 1);
    check_eq(atomic_load(&rounds), n);
    weft_chan_unref(events);
    return arg != NULL;
}

Test(local, a_destructor_may_park_and_set_values_but_not_for_ever)
{
    make_keys();
    check_eq(weft_local_new(&again, stubborn), 0);
    run_on(1, sets_again, NULL);
    check_eq(atomic_load(&destroyed), 3);
}

static void slow_destructor(void *value)
{
    for (int i = 0; i < 100; i++)
        weft_yield();
    check_eq(weft_sleep(WEFT_MS), 0);
    atomic_store((atomic_bool *)value, true);
}

static int main_leaves(void *arg)
{
    weft_local k;

    check_eq(weft_local_new(&k, slow_destructor), 0);
    check_eq(weft_local_set(k, arg), 0);
    return 0;
}

Test(local, the_main_coroutines_values_end_before_the_runtime)
{
    weft_options opt = { .procs = 2 };

    for (int i = 0; i < 2; i++) {
        atomic_bool done = false;
        opt.stop_ns = i ? -1 : 0;
        check_eq(weft_run(&opt, main_leaves, &done), 0);
        check(atomic_load(&done));
    }
}

/* ---- Misuse ------------------------------------------------------------------------------------------------- */

static int get_key(void *arg)
{
    return weft_local_get(*(weft_local *)arg) != NULL;
}

static int set_key(void *arg)
{
    return weft_local_set(*(weft_local *)arg, arg);
}

Test(local, misuse_ends_the_process_with_one_line_that_names_the_call)
{
    weft_local none = { 0 }, unmade = { 1000000 };

    make_keys();
    dies(get_key, &none, true, "weft_local_get: key 0 was not made");
    dies(set_key, &none, true, "weft_local_set: key 0 was not made");
    dies(get_key, &unmade, true, "weft_local_get: key 1000000 was not made");
    dies(get_key, &plain, false, "weft_local_get " NOWHERE);
    dies(set_key, &plain, false, "weft_local_set " NOWHERE);
}
