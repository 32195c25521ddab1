/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/rwmutex_test.c - weft_rwmutex: readers together, a writer alone, and who comes when both
 * wait.
 */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(rwmutex, .timeout = 120);

static int read_op(void *m)
{
    weft_rwmutex_rdlock(m);
    return 0;
}

static int write_op(void *m)
{
    weft_rwmutex_lock(m);
    return 0;
}

/* ---- Who waits for whom ---------------------------------------------------------------------------------- */

struct meeting {
    weft_rwmutex m;
    weft_chan   *here, *go;
};

static void meet(void *arg)
{
    struct meeting *t = arg;

    weft_rwmutex_rdlock(&t->m);
    check_eq(weft_chan_send(t->here, ""), 0);
    check_eq(weft_chan_recv(t->go, NULL), -EPIPE);
    weft_rwmutex_rdunlock(&t->m);
}

/* All hold it at once: none could leave before all have come. */
static int parallel_readers(void *arg)
{
    for (int n = 1; n < 12; n++) {
        struct meeting t = { .here = weft_chan_new(0, 0), .go = weft_chan_new(0, 0) };
        weft_waitgroup wg = { { 0 } };
        for (int i = 0; i < n; i++)
            spawn(&wg, meet, &t);
        for (int i = 0; i < n; i++)
            check_eq(weft_chan_recv_until(t.here, NULL, weft_after(PATIENCE)), 0);
        check_eq(weft_chan_close(t.go), 0);
        join(&wg);
        weft_rwmutex_lock(&t.m);
        weft_rwmutex_unlock(&t.m);
        weft_chan_unref(t.here);
        weft_chan_unref(t.go);
    }
    return arg != NULL;
}

Test(rwmutex, readers_are_parallel)
{
    run_on_1_2_8(parallel_readers, NULL);
}

/* First come, first served: r r (w r r) w r, where the brackets wait for what is before. */
static int order(void *arg)
{
    weft_rwmutex m = { { 0 } };
    attempt      a[7];
    const char  *kinds = "rrwrrwr";
    weft_group   g = WEFT_GROUP_INIT;

    for (int i = 0; i < 7; i++) {
        a[i] = (attempt){ .op = kinds[i] == 'r' ? read_op : write_op, .arg = &m };
        attempt_start(&a[i], &g);
        check_eq(a[i].done, i < 2); /* a waiting writer blocks new readers */
    }
    weft_rwmutex_rdunlock(&m);
    let_others_park();
    check(!a[2].done);
    weft_rwmutex_rdunlock(&m);
    let_others_park();
    check(a[2].done && !a[3].done && !a[4].done && !a[5].done);
    weft_rwmutex_unlock(&m);
    let_others_park();
    check(a[3].done && a[4].done && !a[5].done &&
          !a[6].done); /* both readers, not past the writer */
    weft_rwmutex_rdunlock(&m);
    weft_rwmutex_rdunlock(&m);
    let_others_park();
    check(a[5].done && !a[6].done);
    weft_rwmutex_unlock(&m);
    join_group(&g);
    check(a[6].done);
    weft_rwmutex_rdunlock(&m);
    weft_rwmutex_lock(&m);
    weft_rwmutex_unlock(&m);
    return arg != NULL;
}

Test(rwmutex, a_pending_writer_blocks_new_readers)
{
    run_on(1, order, NULL);
}

/* ---- Exclusion ------------------------------------------------------------------------------------------------ */

struct hammer {
    weft_rwmutex m;
    atomic_int   readers, writers;
    long         count; /* under m */
    long         n;
};

static void reader(void *arg)
{
    struct hammer *h = arg;
    long           last = 0;

    for (long i = 0; i < h->n; i++) {
        weft_rwmutex_rdlock(&h->m);
        atomic_fetch_add(&h->readers, 1);
        check_eq(atomic_load(&h->writers), 0);
        check(h->count >= last);
        last = h->count;
        if (i % 8 == 0)
            weft_yield();
        atomic_fetch_sub(&h->readers, 1);
        weft_rwmutex_rdunlock(&h->m);
    }
}

static void writer(void *arg)
{
    struct hammer *h = arg;

    for (long i = 0; i < h->n; i++) {
        weft_rwmutex_lock(&h->m);
        check_eq(atomic_fetch_add(&h->writers, 1), 0);
        check_eq(atomic_load(&h->readers), 0);
        h->count++;
        if (i % 8 == 0)
            weft_yield();
        atomic_fetch_sub(&h->writers, 1);
        weft_rwmutex_unlock(&h->m);
    }
}

static int hammer(void *arg)
{
    static const int shapes[][2] = { { 1, 1 }, { 10, 1 }, { 3, 3 }, { 1, 5 }, { 0, 4 } };

    for (int s = 0; s < COUNT(shapes); s++) {
        struct hammer  h = { .n = test_scaled(5000) };
        weft_waitgroup wg = { { 0 } };
        for (int i = 0; i < shapes[s][0]; i++)
            spawn(&wg, reader, &h);
        for (int i = 0; i < shapes[s][1]; i++)
            spawn(&wg, writer, &h);
        join(&wg);
        check_eq(h.count, shapes[s][1] * h.n);
    }
    return arg != NULL;
}

Test(rwmutex, a_writer_excludes_all)
{
    run_on_1_2_8(hammer, NULL);
}

/* Readers that come and go without a gap do not keep a writer out. */
struct crowd {
    weft_rwmutex m;
    atomic_bool  stop;
};

static void crowding(void *arg)
{
    struct crowd *c = arg;

    while (!atomic_load(&c->stop)) {
        weft_rwmutex_rdlock(&c->m);
        weft_yield();
        weft_rwmutex_rdunlock(&c->m);
    }
}

static int not_starved(void *arg)
{
    struct crowd   c = { .stop = false };
    weft_waitgroup wg = { { 0 } };

    for (int i = 0; i < 5; i++)
        spawn(&wg, crowding, &c);
    for (int i = 0; i < 100; i++) {
        weft_rwmutex_lock(&c.m);
        weft_rwmutex_unlock(&c.m);
        weft_yield();
    }
    atomic_store(&c.stop, true);
    join(&wg);
    return arg != NULL;
}

Test(rwmutex, readers_do_not_starve_a_writer)
{
    run_on_1_2_8(not_starved, NULL);
}

/* ---- Cancellation, misuse --------------------------------------------------------------------------------------- */

static int through(void *arg)
{
    for (int write = 0; write < 2; write++) {
        weft_rwmutex m = { { 0 } };
        attempt      a = { .op = write ? write_op : read_op, .arg = &m };
        weft_group   g = WEFT_GROUP_INIT;
        weft_rwmutex_lock(&m);
        attempt_start(&a, &g);
        weft_group_cancel(&g);
        let_others_park();
        check(!a.done);
        weft_rwmutex_unlock(&m);
        join_group(&g);
        check(a.done);
        write ? weft_rwmutex_unlock(&m) : weft_rwmutex_rdunlock(&m);
    }
    return arg != NULL;
}

Test(rwmutex, waits_through_cancellation)
{
    run_on(1, through, NULL);
}

enum misuse { UNLOCK_FREE, RDUNLOCK_FREE, UNLOCK_READ, RDUNLOCK_WRITTEN, RDUNLOCK_TWICE };

static int misuse(void *arg)
{
    weft_rwmutex m = { { 0 } };

    switch (*(enum misuse *)arg) {
    case UNLOCK_FREE:
        weft_rwmutex_unlock(&m);
        break;
    case UNLOCK_READ:
        weft_rwmutex_rdlock(&m);
        weft_rwmutex_unlock(&m);
        break;
    case RDUNLOCK_WRITTEN:
        weft_rwmutex_lock(&m);
        weft_rwmutex_rdunlock(&m);
        break;
    case RDUNLOCK_TWICE:
        weft_rwmutex_rdlock(&m);
        weft_rwmutex_rdunlock(&m);
        weft_rwmutex_rdunlock(&m);
        break;
    case RDUNLOCK_FREE:
        weft_rwmutex_rdunlock(&m);
        break;
    }
    return 0;
}

Test(rwmutex, misuse_ends_the_process_with_one_line_that_names_the_call)
{
    for (int i = UNLOCK_FREE; i <= RDUNLOCK_TWICE; i++) {
        enum misuse which = (enum misuse)i;
        dies(misuse, &which, true,
             i == UNLOCK_FREE || i == UNLOCK_READ ? "weft_rwmutex_unlock: no writer"
                                                  : "weft_rwmutex_rdunlock: no reader");
    }
}
