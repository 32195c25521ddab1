/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/group_test.c - groups, the header's text sentence by sentence; cancelling is in
 * group_cancel_test.c, storms of trees in race/groups.c.
 */
#include <criterion/criterion.h>

#include "support/child.h"
#include "support/procs.h"

#include "support/group.h"

static void start_sleepers(weft_group *g, int count)
{
    long before = atomic_load(&n);

    for (int i = 0; i < count; i++)
        check_eq(weft_group_go(g, until_cancelled, NULL, 0), 0);
    await_yielding(atomic_load(&n) == before + count);
}

/* ---- Waiting and the first error --------------------------------------------------------------- */

static int empty_group(void *arg)
{
    weft_group zeroed = WEFT_GROUP_INIT;
    int        first = 5;

    check_eq(weft_group_wait(&zeroed, WEFT_NOWAIT, &first), 0);
    check_eq(first, 0);
    check_eq(weft_group_wait(&zeroed, WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

Test(group, a_wait_for_nobody_is_over)
{
    run_on_all(empty_group, NULL);
}

/* On one P members run one after another, in an order that is the scheduler's; so each starts the
 * next, which makes the order of their ends known. */
struct chain {
    weft_group *g;
    const int  *results;
};

static int link_of(void *arg)
{
    struct chain c = *(struct chain *)arg;
    int          mine = *c.results++;

    if (*c.results != 1)
        check_eq(weft_group_go(c.g, link_of, &c, sizeof c), 0);
    return mine;
}

static int first_error(void *arg)
{
    static const int rows[][6] = { { 0, 0, 0, 1 },          { 0, -5, -7, 1 },   { -9, -5, 0, 1 },
                                   { 0, 0, -INT32_MAX, 1 }, { 3, 4711, -2, 1 }, { 2, 0, 7, 1 } };
    static const int want[] = { 0, -5, -9, -INT32_MAX, -2, 0 };
    weft_group       g = WEFT_GROUP_INIT;

    for (int i = 0; i < 6; i++) {
        struct chain c = { &g, rows[i] };
        int          first = 77;
        check_eq(weft_group_go(&g, link_of, &c, sizeof c), 0);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
        check_eq(first, want[i]); /* and the group is as new for the next row */
    }
    return arg != NULL;
}

Test(group, the_first_negative_result_is_told_and_the_group_is_as_new)
{
    run_on(1, first_error, NULL);
}

static int errors_cancel_nobody(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    int        first;

    atomic_store(&ended, 0);
    start_sleepers(&g, 3);
    check_eq(go_giving(&g, -EIO), 0);
    check_eq(weft_group_wait(&g, weft_after(2 * WEFT_MS), &first), -ETIMEDOUT);
    check_eq(atomic_load(&ended), 0);
    check_eq(go_giving(&g, -EINVAL), 0); /* not cancelled: more may be started */
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    check_eq(first, -EIO);
    check_eq(atomic_load(&ended), 3);
    return arg != NULL;
}

Test(group, a_members_error_does_not_cancel_the_others)
{
    run_on_all(errors_cancel_nobody, NULL);
}

static int deadlines(void *arg)
{
    static const int64_t in[] = { 0, 1, WEFT_US, WEFT_MS };
    weft_group           g = WEFT_GROUP_INIT;

    start_sleepers(&g, 2);
    check_eq(weft_group_wait(&g, WEFT_NOWAIT, NULL), -ETIMEDOUT);
    check_eq(weft_group_wait(&g, INT64_MIN, NULL), -ETIMEDOUT);
    for (int i = 0; i < 4; i++) {
        weft_time until = weft_after(in[i]);
        check_eq(weft_group_wait(&g, until, NULL), -ETIMEDOUT);
        check(weft_now() >= until);
    }
    weft_group_cancel(&g);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    check_eq(weft_group_wait(&g, WEFT_NOWAIT, NULL), 0);
    return arg != NULL;
}

Test(group, a_wait_past_its_deadline_leaves_the_group_as_it_is)
{
    run_on_all(deadlines, NULL);
}

/* ---- Who may wait -------------------------------------------------------------------------------- */

static int waits_for_own(void *arg)
{
    return weft_group_wait(*(weft_group **)arg, WEFT_FOREVER, NULL) == -EDEADLK ? 0 : -EIO;
}

static int waits_from_within(void *arg)
{
    weft_group inner = WEFT_GROUP_INIT;
    int        first;

    check_eq(waits_for_own(arg), 0);
    check_eq(weft_group_go(&inner, waits_for_own, arg, sizeof(void *)), 0);
    check_eq(weft_group_wait(&inner, WEFT_FOREVER, &first), 0);
    return first;
}

static int members_wait(void *arg)
{
    weft_group g = WEFT_GROUP_INIT, *at = &g;
    int        first;

    check_eq(weft_group_go(&g, waits_from_within, &at, sizeof at), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    check_eq(first, 0);
    return arg != NULL;
}

Test(group, a_member_or_a_members_member_cannot_wait_for_it)
{
    run_on_all(members_wait, NULL);
}

static weft_group two_wait;

static void first_waiter(void *arg)
{
    weft_waitgroup_done(arg); /* on one P it waits before the next one runs */
    check_eq(weft_group_wait(&two_wait, WEFT_FOREVER, NULL), 0);
    atomic_fetch_add(&ended, 100);
}

static int second_waiter(void *arg)
{
    static weft_waitgroup there;

    atomic_store(&ended, 0);
    start_sleepers(&two_wait, 1);
    weft_waitgroup_add(&there, 1);
    check_eq(weft_go(first_waiter, &there, 0), 0);
    check_eq(weft_waitgroup_wait(&there, WEFT_FOREVER), 0);
    for (int i = 0; i < 3; i++) {
        weft_yield();
        check(weft_group_wait(&two_wait, weft_after(100 * WEFT_S), NULL) < 0);
    }
    check_eq(atomic_load(&ended), 0);
    weft_group_cancel(&two_wait);
    await_yielding(atomic_load(&ended) == 101);
    return arg != NULL;
}

Test(group, a_second_waiter_is_refused_and_does_not_disturb_the_first, .timeout = 30)
{
    run_on(1, second_waiter, NULL);
}

/* ---- Parents --------------------------------------------------------------------------------------- */

static weft_group outer, orphans;

static int starts_and_leaves(void *arg)
{
    for (int i = 0; i < 4; i++)
        check_eq(weft_group_go(&orphans, until_cancelled, NULL, 0), 0);
    return arg != NULL;
}

/* The child group is a member of the parent until its own last one has ended. */
static int counts_as_member(void *arg)
{
    long before = atomic_load(&n);

    check_eq(weft_group_go(&outer, starts_and_leaves, NULL, 0), 0);
    await_yielding(atomic_load(&n) == before + 4);
    check_eq(weft_group_wait(&outer, weft_after(2 * WEFT_MS), NULL), -ETIMEDOUT);
    weft_group_cancel(&orphans);
    check_eq(weft_group_wait(&outer, WEFT_FOREVER, NULL), 0);
    check_eq(weft_group_wait(&orphans, WEFT_NOWAIT, NULL), 0);
    return arg != NULL;
}

Test(group, a_group_belongs_to_that_of_who_started_its_first_member, .timeout = 30)
{
    run_on_all(counts_as_member, NULL);
}

/* ---- The memory may go as soon as a wait returns 0 ------------------------------------------------- */

static int short_lived(void *arg)
{
    for (long i = 0; i < test_scaled(3000); i++) {
        weft_group *g = calloc(1, sizeof *g);
        int         first;
        for (int k = 0; k < 3; k++)
            check_eq(go_giving(g, -k), 0);
        check_eq(weft_group_wait(g, WEFT_FOREVER, &first), 0);
        check(first == -1 || first == -2);
        memset(g, 0xff, sizeof *g);
        free(g);
    }
    return arg != NULL;
}

Test(group, its_memory_may_go_once_a_wait_has_returned_0, .timeout = 60)
{
    run_on_all(short_lived, NULL);
}
