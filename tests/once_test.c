/* SPDX-License-Identifier: Apache-2.0 */
/* tests/once_test.c - weft_once: exactly once, and who comes meanwhile waits until it is done. */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(once, .timeout = 120);

struct first {
    weft_once   once;
    atomic_int  runs;
    atomic_bool done;
    weft_chan  *go;
};

static void set_up(void *arg)
{
    struct first *f = arg;

    check_eq(atomic_fetch_add(&f->runs, 1), 0);
    for (int i = 0; i < 10; i++)
        weft_yield();
    atomic_store(&f->done, true);
}

static void use(void *arg)
{
    struct first *f = arg;

    weft_once_do(&f->once, set_up, f);
    check(atomic_load(&f->done)); /* nobody returns before it has */
}

static int exactly_once(void *arg)
{
    for (long i = 0; i < test_scaled(300); i++) {
        struct first   f = { .runs = 0 };
        weft_waitgroup wg = { { 0 } };
        for (int k = 0; k < 20; k++)
            spawn(&wg, use, &f);
        join(&wg);
        check_eq(atomic_load(&f.runs), 1);
        use(&f);
        check_eq(atomic_load(&f.runs), 1);
    }
    return arg != NULL;
}

Test(once, exactly_once_and_others_wait)
{
    run_on_1_2_8(exactly_once, NULL);
}

/* ---- Cancellation ------------------------------------------------------------------------------------------ */

static void shielded(void *arg)
{
    struct first *f = arg;

    check(!weft_cancelled());
    check_eq(weft_chan_recv(f->go, NULL), -EPIPE); /* waits through the caller's cancellation */
    atomic_store(&f->done, true);
}

static int do_once(void *arg)
{
    struct first *f = arg;

    weft_once_do(&f->once, shielded, f);
    check(atomic_load(&f->done));
    return weft_sleep(0); /* the shield is as it was before */
}

static int cancelled(void *arg)
{
    struct first f = { .go = weft_chan_new(0, 0) };
    attempt      a[2];
    weft_group   g = WEFT_GROUP_INIT;

    for (int i = 0; i < 2; i++) {
        a[i] = (attempt){ .op = do_once, .arg = &f };
        attempt_start(&a[i], &g);
    }
    weft_group_cancel(&g);
    let_others_park();
    check(!a[0].done && !a[1].done);
    check_eq(weft_chan_close(f.go), 0);
    join_group(&g);
    check(a[0].result == -ECANCELED && a[1].result == -ECANCELED);
    weft_chan_unref(f.go);
    return arg != NULL;
}

Test(once, fn_runs_shielded_and_all_wait_through_cancellation)
{
    run_on(1, cancelled, NULL);
}

static void nothing(void *arg)
{
    (void)arg;
}

static int once_outside(void *arg)
{
    weft_once o = { { 0 } };

    weft_once_do(&o, nothing, arg);
    return 0;
}

Test(once, outside_a_coroutine_ends_the_process)
{
    dies(once_outside, NULL, false, "weft_once_do " NOWHERE);
}
