/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/resolve_test.c - look-ups that hang: bounded in number, given up by deadline,
 * cancellation and the runtime's stop.  Needs a build with WEFT_FAULTS.
 */
#include "net_support.h"

#include "net/resolve.h"
#include "runtime/sys.h"

#include <criterion/criterion.h>
#include <semaphore.h>
#include <unistd.h>

#ifdef WEFT_FAULTS

static sem_t         hang;
static volatile AO_t in_lookup, most_in_lookup, lookups;

static long hang_in_lookup(const char *call, int fd)
{
    (void)fd;
    if (strcmp(call, "getaddrinfo"))
        return 0;
    AO_t now = AO_fetch_and_add_full(&in_lookup, 1) + 1;
    for (AO_t most; (most = AO_load(&most_in_lookup)) < now;)
        AO_compare_and_swap_full(&most_in_lookup, most, now);
    AO_fetch_and_add_full(&lookups, 1);
    while (sem_wait(&hang) != 0)
        ;
    AO_fetch_and_add_full(&in_lookup, (AO_t)-1);
    return -EHOSTUNREACH;
}

static int dial_cancelled(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", "a.name.that.hangs:1", WEFT_FOREVER), -ECANCELED);
    return 0;
}

static void dial_stopped(void *arg)
{
    dial_cancelled(arg);
}

static void dial_unreachable(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", "a.name.that.hangs:1", WEFT_FOREVER), -EHOSTUNREACH);
}

static int look_up(void *arg)
{
    enum { MANY = 60 };
    weft_group     g = WEFT_GROUP_INIT;
    weft_waitgroup wg = { { 0 } };
    weft_conn      c;
    int            first;
    (void)arg;
    CHECK_IS(weft_dial(&c, "tcp", "a.name.that.hangs:1", weft_after(20 * WEFT_MS)), -ETIMEDOUT);
    CHECK_IS(weft_dial(&c, "tcp", "a.name.that.hangs:1", WEFT_NOWAIT), -ETIMEDOUT);
    for (int i = 0; i < MANY; i++)
        CHECK_IS(weft_group_go(&g, dial_cancelled, NULL, 0), 0);
    while (AO_load(&in_lookup) < 16)
        weft_yield();
    CHECK_IS(weft_sleep(5 * WEFT_MS), 0);
    CHECK_IS(AO_load(&most_in_lookup), 16); /* bounded, however many ask */
    weft_group_cancel(&g);
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    for (int i = 0; i < MANY; i++)
        spawn(&wg, dial_unreachable, NULL);
    weft_yield();
    AO_t before = AO_load(&lookups);
    for (int i = 0; i < 16 + MANY; i++)
        sem_post(&hang);
    join(&wg);
    CHECK_IS(AO_load(&lookups) - before, MANY); /* those given up in the queue were not looked up */
    while (AO_load(&in_lookup) > 0) /* the abandoned ones end too, each by its own post */
        weft_yield();
    CHECK_IS(weft_go(dial_stopped, NULL, 0), 0); /* one hangs as the runtime stops */
    while (AO_load(&in_lookup) < 1)
        weft_yield();
    return 0;
}

Test(resolve, a_look_up_that_hangs_is_abandoned, .timeout = 60)
{
    sem_init(&hang, 0, 0);
    wf_sys_fault = hang_in_lookup;
    for (int procs = 1; procs <= 2; procs++) {
        AO_store(&most_in_lookup, 0);
        run_on(procs, look_up, NULL);
        sem_post(&hang); /* it ends after the runtime did, and wakes nobody */
        while (AO_load(&in_lookup) > 0)
            usleep(1000);
    }
}

#else

Test(resolve, needs_a_build_with_faults)
{
    cr_skip_test("built without WEFT_FAULTS");
}

#endif
