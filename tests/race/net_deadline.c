/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/net_deadline.c - deadlines set from several coroutines while others read, write and
 * wait for their turns, and while the timers of earlier ones fire.
 */
#include "net_support.h"
#include "scale.h"

enum { PAIRS = 3, SETTERS = 2 };

static pair          pairs[PAIRS];
static volatile bool over;

static bool is_over(void)
{
    return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

static void read_on(void *arg)
{
    pair *p = arg;
    char  buf[512];
    while (!is_over()) {
        ssize_t n = weft_conn_read(p->a, buf, sizeof buf);
        CHECK(n > 0 || n == -ETIMEDOUT);
        if (n < 0)
            weft_yield();
    }
}

static void write_on(void *arg)
{
    pair *p = arg;
    char  buf[512] = "";
    while (!is_over()) {
        size_t  done;
        ssize_t n = weft_conn_write_part(p->a, buf, sizeof buf, &done);
        CHECK(n == (ssize_t)sizeof buf || (n == -ETIMEDOUT && done < sizeof buf));
        if (n < 0)
            weft_yield();
    }
}

static void echo(void *arg)
{
    pair       *p = arg;
    const void *data;
    ssize_t     n;
    while ((n = weft_conn_borrow(p->b, &data, 4096)) > 0)
        if (weft_conn_write(p->b, data, (size_t)n) < 0)
            return;
}

static void set(void *arg)
{
    pair *p = arg;
    for (long i = 0, n = test_scaled(1500); i < n; i++) {
        int64_t ns = i % 37 * 11 * WEFT_US;
        switch (i % 5) {
        case 0:
            CHECK_IS(weft_conn_set_deadline(p->a, weft_after(ns)), 0);
            break;
        case 1:
            CHECK_IS(weft_conn_set_read_deadline(p->a, weft_after(ns)), 0);
            break;
        case 2:
            CHECK_IS(weft_conn_set_write_deadline(p->a, WEFT_NOWAIT), 0);
            break;
        case 3:
            CHECK_IS(weft_conn_set_deadline(p->a, WEFT_FOREVER), 0);
            break;
        default:
            CHECK_IS(weft_sleep(ns), 0);
        }
    }
}

static int body(void *arg)
{
    weft_waitgroup setters = { { 0 } }, users = { { 0 } }, echoes = { { 0 } };
    (void)arg;
    __atomic_store_n(&over, false, __ATOMIC_RELAXED);
    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = connect_pair();
        spawn(&echoes, echo, &pairs[i]);
        for (int k = 0; k < 2; k++) {
            spawn(&users, read_on, &pairs[i]);
            spawn(&users, write_on, &pairs[i]);
        }
        for (int k = 0; k < SETTERS; k++)
            spawn(&setters, set, &pairs[i]);
    }
    join(&setters);
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < PAIRS; i++)
        CHECK_IS(weft_conn_set_deadline(pairs[i].a, WEFT_NOWAIT), 0);
    join(&users);
    for (int i = 0; i < PAIRS; i++)
        CHECK_IS(weft_conn_close(pairs[i].a), 0);
    join(&echoes);
    return 0;
}

int main(void)
{
    run_on(2, body, NULL);
    run_on(4, body, NULL);
    return 0;
}
