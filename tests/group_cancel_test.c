/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/group_cancel_test.c - cancelling groups: the state of the cancelled, shields, descendants,
 * starts that are refused, and random trees that are cancelled at random places.
 */
#include <criterion/criterion.h>
#include <pthread.h>

#include "support/child.h"
#include "support/procs.h"

#include "support/group.h"

/* ---- Cancelling ---------------------------------------------------------------------------------- */

static int cancelled_state(void *arg)
{
    weft_waitgroup never = { { 0 } };
    weft_group     g = WEFT_GROUP_INIT;

    (void)arg;
    weft_waitgroup_add(&never, 1);
    check(!weft_cancelled());
    check_eq(weft_sleep(WEFT_FOREVER), -ECANCELED);
    check(weft_cancelled());
    /* a state: every call that returns a value says so, even if it could go ahead */
    check_eq(weft_sleep(0), -ECANCELED);
    check_eq(weft_sleep_until(WEFT_NOWAIT), -ECANCELED);
    check_eq(weft_waitgroup_wait(&never, WEFT_NOWAIT), -ECANCELED);
    check_eq(weft_waitgroup_wait(&never, WEFT_FOREVER), -ECANCELED);
    weft_waitgroup_done(&never);
    check_eq(weft_waitgroup_wait(&never, WEFT_FOREVER), -ECANCELED);
    weft_yield(); /* void: goes through */
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    /* a shield lifts it, and gives it back */
    check_eq(weft_shield(true), false);
    check_eq(weft_shield(true), true);
    check(!weft_cancelled());
    check_eq(weft_sleep(WEFT_US), 0);
    check_eq(weft_waitgroup_wait(&never, WEFT_FOREVER), 0);
    check_eq(weft_shield(false), true);
    check(weft_cancelled());
    check_eq(weft_sleep(0), -ECANCELED);
    return -ECANCELED;
}

static int cancel_states(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int        first;

    for (int i = 0; i < 3; i++) { /* before, about when, and after they have parked */
        check_eq(weft_group_go(&g, cancelled_state, NULL, 0), 0);
        for (int y = 0; y < 2 * i + 1; y++)
            weft_yield();
        weft_group_cancel(&g);
        weft_group_cancel(&g); /* twice is no more than once */
        check_eq(weft_group_go(&g, until_cancelled, NULL, 0), -ECANCELED);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
        check_eq(first, -ECANCELED);
        check_eq(go_giving(&g, 0), 0); /* as new */
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
        check_eq(first, 0);
    }
    check(!weft_cancelled());
    return arg != NULL;
}

Test(group_cancel, being_cancelled_is_a_state)
{
    run_on(1, cancel_states, NULL);
}

static int shielded_sleeper(void *arg)
{
    weft_shield(true);
    atomic_fetch_add(&n, 1);
    check_eq(weft_sleep(5 * WEFT_MS), 0);
    check_eq(weft_shield(false), true);
    check_eq(weft_sleep(0), -ECANCELED);
    return arg != NULL;
}

static int shielded(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int        first;
    long       before = atomic_load(&n);

    check_eq(weft_group_go(&g, shielded_sleeper, NULL, 0), 0);
    await_yielding(atomic_load(&n) == before + 1);
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    check_eq(first, 0);
    return arg != NULL;
}

Test(group_cancel, a_shielded_wait_goes_on_through_a_cancellation)
{
    run_on_all(shielded, NULL);
}

/* Cancelled while it waits for its own group: cancels that, and waits on. */
static int waits_for_children(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int        first, depth = *(int *)arg - 1;

    for (int i = 0; i < 2; i++)
        check_eq(weft_group_go(&g, depth > 0 ? waits_for_children : until_cancelled, &depth,
                               sizeof depth),
                 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    atomic_fetch_add(&ended, 1);
    return first;
}

static void *cancel_from_a_thread(void *arg)
{
    weft_group_cancel(arg);
    return NULL;
}

static void cancel_somehow(weft_group *g, bool by_thread)
{
    pthread_t thread;

    if (!by_thread) {
        weft_group_cancel(g);
        return;
    }
    check_eq(pthread_create(&thread, NULL, cancel_from_a_thread, g), 0);
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
}

static int cancel_descendants(void *arg)
{
    for (int by_thread = 0; by_thread < 2; by_thread++) {
        weft_group g = WEFT_GROUP_INIT;
        int        depth = 5, first;
        atomic_store(&n, 0);
        atomic_store(&ended, 0);
        check_eq(weft_group_go(&g, waits_for_children, &depth, sizeof depth), 0);
        await_yielding(atomic_load(&n) == 32);
        cancel_somehow(&g, by_thread);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
        check_eq(first, -ECANCELED);
        check_eq(atomic_load(&ended), 32 + 31);
    }
    return arg != NULL;
}

Test(group_cancel, cancelling_reaches_all_descendants, .timeout = 30)
{
    run_on_all(cancel_descendants, NULL);
}

static weft_group orphans;

static int starts_and_leaves(void *arg)
{
    for (int i = 0; i < 4; i++)
        check_eq(weft_group_go(&orphans, until_cancelled, NULL, 0), 0);
    return arg != NULL;
}

/* The group itself passes it on: its starter has ended, and nobody waits in it. */
static int cancel_orphans(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int        first;

    atomic_store(&n, 0);
    check_eq(weft_group_go(&g, starts_and_leaves, NULL, 0), 0);
    await_yielding(atomic_load(&n) == 4);
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, weft_after(30 * WEFT_S), NULL), 0);
    check_eq(weft_group_wait(&orphans, WEFT_NOWAIT, &first), 0);
    check_eq(first, -ECANCELED);
    return arg != NULL;
}

Test(group_cancel, cancelling_reaches_a_group_whose_starter_has_left, .timeout = 60)
{
    run_on_all(cancel_orphans, NULL);
}

/* ---- Starts that are refused ------------------------------------------------------------------------- */

static int in_a_cancelled_one(void *arg)
{
    weft_group inner = WEFT_GROUP_INIT;

    check_eq(weft_sleep(WEFT_FOREVER), -ECANCELED);
    check_eq(weft_group_go(&inner, until_cancelled, NULL, 0), -ECANCELED);
    check_eq(weft_group_wait(&inner, weft_after(30 * WEFT_S), NULL), 0);
    return arg != NULL;
}

static int in_one_cancelled_before(void *arg)
{
    weft_group inner = WEFT_GROUP_INIT;

    weft_group_cancel(&inner);
    check_eq(weft_group_go(&inner, until_cancelled, NULL, 0), -ECANCELED);
    check_eq(weft_group_wait(&inner, weft_after(30 * WEFT_S), NULL), 0);
    check_eq(go_giving(&inner, 0), 0);
    check_eq(weft_group_wait(&inner, weft_after(30 * WEFT_S), NULL), 0);
    return arg != NULL;
}

static int refused_starts(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;

    check_eq(weft_group_go(&g, in_one_cancelled_before, NULL, 0), 0);
    check_eq(weft_group_wait(&g, weft_after(30 * WEFT_S), NULL), 0);
    check_eq(weft_group_go(&g, in_a_cancelled_one, NULL, 0), 0);
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, weft_after(30 * WEFT_S), NULL), 0);
    return arg != NULL;
}

/* A refused start is no member: neither that group nor its parent waits for it. */
Test(group_cancel, a_start_that_is_refused_leaves_nothing_to_wait_for, .timeout = 90)
{
    run_on_all(refused_starts, NULL);
}

/* ---- Random trees ------------------------------------------------------------------------------------ */

struct node {
    uint64_t random;
    int      depth;
};

static atomic_long started;

/* Each is told of a cancellation above or ends by itself; its children have ended before it does. */
static int tree(void *arg)
{
    struct node my = *(struct node *)arg;
    weft_group  g = WEFT_GROUP_INIT;
    long        mine = 0;
    int         first;

    for (unsigned i = test_random(&my.random) % 4; i > 0 && my.depth > 0; i--) {
        struct node child = { my.random * (2 * i + 1) + 1, my.depth - 1 };
        int         r = weft_group_go(&g, tree, &child, sizeof child);
        check(r == 0 || (r == -ECANCELED && mine >= 0));
        mine += r == 0;
    }
    atomic_fetch_add(&started, mine);
    switch (test_random(&my.random) % 4) {
    case 0:
        weft_group_cancel(&g);
        break;
    case 1:
        (void)!weft_sleep(test_random(&my.random) % 100 * WEFT_US);
        break;
    case 2:
        weft_yield();
        break;
    default:
        break;
    }
    check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    check(first == 0 || first == -EAGAIN);
    atomic_fetch_add(&ended, 1);
    return -EAGAIN;
}

static int trees(void *arg)
{
    for (long i = 0; i < test_scaled(200); i++) {
        struct node top = { (uint64_t)i * 2 + 1, 6 };
        weft_group  g = WEFT_GROUP_INIT;
        int         first;
        atomic_store(&started, 1);
        atomic_store(&ended, 0);
        check_eq(weft_group_go(&g, tree, &top, sizeof top), 0);
        if (i % 2) {
            check_eq(weft_sleep(i % 13 * 10 * WEFT_US), 0);
            weft_group_cancel(&g);
        }
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
        check_eq(first, -EAGAIN);
        check_eq(atomic_load(&ended), atomic_load(&started));
    }
    return arg != NULL;
}

Test(group_cancel, random_trees_end_whole_wherever_they_are_cancelled, .timeout = 60)
{
    run_on_all(trees, NULL);
}
