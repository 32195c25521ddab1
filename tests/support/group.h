/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/group.h - members for tests of groups: one that gives an error, one that waits. */
#ifndef WEFT_TESTS_GROUP_H
#define WEFT_TESTS_GROUP_H

#include <stdatomic.h>

#include "support/check.h"

static atomic_long n, ended;

__attribute__((unused)) static int give(void *arg)
{
    atomic_fetch_add(&n, 1);
    return *(int *)arg;
}

__attribute__((unused)) static int go_giving(weft_group *g, int result)
{
    return weft_group_go(g, give, &result, sizeof result);
}

__attribute__((unused)) static int until_cancelled(void *arg)
{
    (void)arg;
    atomic_fetch_add(&n, 1);
    int r = weft_sleep(WEFT_FOREVER);
    atomic_fetch_add(&ended, 1);
    return r;
}

#endif
