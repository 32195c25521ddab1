/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/net_resolve.c - look-ups that end as their deadlines pass, as they are cancelled, and
 * as the runtime stops: who comes second frees, exactly once.  Needs a build with WEFT_FAULTS.
 */
#include "net_support.h"
#include "scale.h"

#include "runtime/sys.h"

#include <unistd.h>

#ifdef WEFT_FAULTS

static volatile AO_t looked_up;

static long quick(const char *call, int fd)
{
    (void)fd;
    if (strcmp(call, "getaddrinfo"))
        return 0;
    AO_t n = AO_fetch_and_add_full(&looked_up, 1);
    if (n % 3)
        usleep((useconds_t)(n % 7 * 20));
    return -EHOSTUNREACH;
}

static int dial_name(void *arg)
{
    unsigned  i = *(unsigned *)arg;
    weft_conn c;
    int       r = weft_dial(&c, "tcp", "some.name:1",
                      i % 4 ? weft_after(i * 37 % 400 * WEFT_US) : WEFT_FOREVER);
    CHECK(r == -EHOSTUNREACH || r == -ETIMEDOUT || r == -ECANCELED);
    return 0;
}

static void dial_on(void *arg)
{
    weft_conn c;
    int       r;
    (void)arg;
    do
        r = weft_dial(&c, "tcp", "another.name:1", WEFT_FOREVER);
    while (r == -EHOSTUNREACH);
    CHECK_IS(r, -ECANCELED);
}

static int body(void *arg)
{
    (void)arg;
    for (long round = 0, n = test_scaled(40); round < n; round++) {
        weft_group g = WEFT_GROUP_INIT;
        int        first;
        for (unsigned i = 0; i < 30; i++)
            CHECK_IS(weft_group_go(&g, dial_name, &i, sizeof i), 0);
        if (round % 2)
            CHECK_IS(weft_sleep(round * 10 * WEFT_US), 0);
        if (round % 3 == 0)
            weft_group_cancel(&g);
        CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    }
    for (int i = 0; i < 8; i++)
        CHECK_IS(weft_go(dial_on, NULL, 0), 0);
    CHECK_IS(weft_sleep(2 * WEFT_MS), 0);
    return 0;
}

int main(void)
{
    wf_sys_fault = quick;
    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, body, NULL);
    CHECK(AO_load(&looked_up) > 0);
    return 0;
}

#else

int main(void)
{
    return 77; /* skipped */
}

#endif
