/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/net_close.c - handles opened, used by many and closed by others at the same time:
 * reads, borrows, writes, accepts, deadlines, addresses against the close and the slot's next use.
 */
#include "net_support.h"
#include "scale.h"

enum { SHARED = 4, WORKERS = 6 };

/* The handles in use now; others read them as they change. */
static uint64_t      conns[SHARED], listeners[SHARED];
static volatile bool over;

static uint64_t look(uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void put(uint64_t *at, uint64_t id)
{
    __atomic_store_n(at, id, __ATOMIC_RELAXED);
}

static bool is_over(void)
{
    return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

static void use_conn(weft_conn c, unsigned how)
{
    char        buf[64] = { 0 }, text[WEFT_ADDR_MAX];
    const void *data;
    switch (how % 8) {
    case 0:
        (void)!weft_conn_read(c, buf, sizeof buf);
        break;
    case 1:
        if (weft_conn_borrow(c, &data, 64) > 0 && how & 64)
            weft_conn_release(c);
        break;
    case 2:
        (void)!weft_conn_write(c, buf, sizeof buf);
        break;
    case 3:
        weft_conn_set_deadline(c, weft_after(how % 512 * WEFT_US));
        break;
    case 4:
        weft_conn_remote_address(c, text);
        break;
    case 5:
        weft_conn_close_write(c);
        break;
    case 6:
        (void)!weft_conn_read_full(c, buf, 8, NULL);
        break;
    default:
        if (how & 128)
            weft_conn_close(c);
        break;
    }
}

static void work(void *arg)
{
    unsigned x = (unsigned)(uintptr_t)arg * 2654435761u + 1;
    while (!is_over()) {
        weft_conn c = { look(&conns[x % SHARED]) };
        weft_conn_set_deadline(c, weft_after(WEFT_MS)); /* no wait for ever */
        use_conn(c, x >> 8);
        x = x * 1664525 + 1013904223;
        weft_yield();
    }
}

static void accept_some(void *arg)
{
    uint64_t *at = arg;
    while (!is_over()) {
        weft_conn     c;
        weft_listener l = { look(at) };
        weft_listener_set_deadline(l, weft_after(WEFT_MS));
        if (weft_listener_accept(l, &c) == 0)
            weft_conn_close(c);
        weft_yield();
    }
}

static void replace(long i)
{
    char          address[WEFT_ADDR_MAX];
    int           at = (int)(i % SHARED);
    weft_listener l = listen_loopback(address), old = { look(&listeners[at]) };
    put(&listeners[at], l.id);
    weft_listener_close(old);
    weft_conn c = dial(address), before = { look(&conns[at]) };
    put(&conns[at], c.id);
    if (i % 3)
        weft_conn_close(before);
    else
        weft_conn_abort(before);
}

static int body(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    __atomic_store_n(&over, false, __ATOMIC_RELAXED);
    for (intptr_t i = 0; i < WORKERS; i++)
        spawn(&wg, work, (void *)i);
    for (int i = 0; i < SHARED; i++)
        spawn(&wg, accept_some, &listeners[i]);
    for (long i = 0, n = test_scaled(400); i < n; i++) {
        replace(i);
        weft_yield();
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < SHARED; i++) {
        weft_conn_close((weft_conn){ look(&conns[i]) });
        weft_listener_close((weft_listener){ look(&listeners[i]) });
    }
    join(&wg);
    return 0;
}

int main(void)
{
    int before = open_fds();
    run_on(2, body, NULL);
    run_on(4, body, NULL); /* the handles of the first run are stale ones now */
    CHECK_IS(open_fds(), before);
    return 0;
}
