/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/groups.c - trees of groups that grow and end while they are cancelled from inside, from
 * the side and from a thread that is none of weft's; and members that start in each other's
 * groups, which must not lock in a circle.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/check.h"

enum { TREES = 120, DEPTH = 4, WIDTH = 3, CROSS = 4000, PAIR = 2, SPIN_MOST = 20000000 };

static atomic_long started, ended;
static atomic_bool over;
static weft_group  root, cross[PAIR];
static atomic_int  here;

struct node {
    int      depth;
    uint64_t random;
};

static int leaf(uint64_t *random)
{
    switch (test_random(random) % 4) {
    case 0:
        return weft_sleep(WEFT_FOREVER) == -ECANCELED ? 0 : -EIO;
    case 1:
        return weft_sleep(test_random(random) % 200 * WEFT_US) == -ECANCELED ? -ECANCELED : 0;
    case 2:
        weft_yield();
        return 0;
    default:
        return -EAGAIN;
    }
}

/* Starts its children in a group on its own stack; now and then cancels a group. */
static int branch(void *arg)
{
    struct node my = *(struct node *)arg;
    weft_group  g = WEFT_GROUP_INIT;
    int         result = 0;

    if (my.depth == 0) {
        result = leaf(&my.random);
    } else {
        for (int i = 0; i < WIDTH; i++) {
            struct node child = { my.depth - 1, my.random * (uint64_t)(2 * i + 3) + 1 };
            int         r = weft_group_go(&g, branch, &child, sizeof child);
            check(r == 0 || r == -ECANCELED);
            if (r == 0)
                atomic_fetch_add(&started, 1);
        }
        if (test_random(&my.random) % 8 == 0)
            weft_group_cancel(my.random % 2 ? &g : &root);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    }
    atomic_fetch_add(&ended, 1);
    return result;
}

static int trees(void *arg)
{
    int first;

    for (long i = 0; i < test_scaled(TREES); i++) {
        struct node top = { DEPTH, (uint64_t)i + 1 };
        int         r = weft_group_go(&root, branch, &top, sizeof top);
        check(r == 0 || r == -ECANCELED); /* the thread may have cancelled it already */
        if (r == 0)
            atomic_fetch_add(&started, 1);
        weft_yield();
        weft_group_cancel(&root);
        check_eq(weft_group_wait(&root, WEFT_FOREVER, &first), 0);
        check(first == 0 || first == -EAGAIN || first == -ECANCELED);
        check_eq(atomic_load(&ended), atomic_load(&started));
    }
    return arg != NULL;
}

static void *cancels(void *arg)
{
    while (!atomic_load(&over)) {
        weft_group_cancel(&root);
        weft_group_cancel(&cross[1]);
    }
    return arg;
}

static int nothing(void *arg)
{
    return arg != NULL;
}

/* A member of one group that starts in the other. */
static int crossing(void *arg)
{
    weft_group *other = *(weft_group **)arg;

    atomic_fetch_add(&here, 1);
    for (long i = 0; atomic_load(&here) < PAIR && i < SPIN_MOST; i++)
        ; /* both run at the same time; where they cannot, go on after a while */
    for (long i = 0; i < test_scaled(CROSS); i++) {
        int r = weft_group_go(other, nothing, NULL, 0);
        check(r == 0 || r == -ECANCELED);
        if (i % 16 == 0)
            weft_yield();
    }
    return 0;
}

static int crossings(void *arg)
{
    atomic_store(&here, 0);
    for (int i = 0; i < PAIR; i++) {
        weft_group *other = &cross[1 - i];
        int         r = weft_group_go(&cross[i], crossing, &other, sizeof other);
        check(r == 0 || r == -ECANCELED);
    }
    for (int i = 0; i < PAIR; i++)
        check_eq(weft_group_wait(&cross[i], WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

int main(void)
{
    static const int procs[] = { 2, 4 };

    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++) {
        pthread_t thread;
        run_on(procs[i], trees, NULL);
        run_on(procs[i], crossings, NULL);
        atomic_store(&over, false);
        check_eq(pthread_create(&thread, NULL, cancels, NULL), 0);
        run_on(procs[i], trees, NULL);
        run_on(procs[i], crossings, NULL);
        atomic_store(&over, true);
        check_eq(pthread_join(thread, NULL), 0);
    }
    return 0;
}
