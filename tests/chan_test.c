/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/chan_test.c - channels, one at a time: what blocks, order, copies, close, tries.  Races run
 * on 1, 2 and 8 Ps, those tests that look at who waits on 1.
 */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(chan, .timeout = 120);

/* ---- Prime sieve ---------------------------------------------------------------------------------- */

struct filter {
    weft_chan *in, *out;
    int        prime;
};

static void generate(void *arg)
{
    weft_chan *c = arg;

    for (int i = 2; weft_chan_send(c, &i) == 0; i++)
        ;
    weft_chan_unref(c);
}

static void filter(void *arg)
{
    struct filter *f = arg;

    for (int i; weft_chan_recv(f->in, &i) == 0;)
        if (i % f->prime != 0 && weft_chan_send(f->out, &i) != 0)
            break;
    weft_chan_close(f->in); /* the one before ends too */
    weft_chan_unref(f->in);
    weft_chan_unref(f->out);
    free(f);
}

static int sieve(void *arg)
{
    size_t         cap = *(size_t *)arg;
    weft_chan     *c = weft_chan_new(sizeof(int), cap);
    weft_waitgroup wg = { { 0 } };
    int            prime = 0, count = 0;

    spawn(&wg, generate, weft_chan_ref(c));
    for (; count < 150; count++) {
        check_eq(weft_chan_recv(c, &prime), 0);
        struct filter *f = malloc(sizeof *f);
        weft_chan     *next = weft_chan_new(sizeof(int), cap);
        *f = (struct filter){ c, weft_chan_ref(next), prime };
        spawn(&wg, filter, f);
        c = next;
    }
    check_eq(prime, 863); /* the 150th */
    check_eq(weft_chan_close(c), 0);
    weft_chan_unref(c);
    join(&wg);
    return 0;
}

Test(chan, sieve_of_chained_filters)
{
    for (size_t cap = 0; cap <= 5; cap += 5)
        run_on_1_2_8(sieve, &cap);
}

/* ---- Capacity, order, copies --------------------------------------------------------------------------- */

static int send_op(void *c)
{
    int v = -1;

    return weft_chan_send(c, &v);
}

static int recv_op(void *c)
{
    int v;

    return weft_chan_recv(c, &v);
}

static int capacities(void *arg)
{
    for (int cap = 0; cap < 200; cap += cap < 8 ? 1 : 37) {
        weft_chan *c = weft_chan_new(sizeof(int), (size_t)cap);
        int        v;
        check(blocks(recv_op, c));
        for (int lap = 0; lap < 3; lap++) { /* the ring wraps */
            for (int i = 0; i < cap; i++)
                check_eq(weft_chan_send_until(c, &i, WEFT_NOWAIT), 0);
            check(blocks(send_op, c));
            check_eq(weft_chan_send_until(c, &cap, weft_now()), -ETIMEDOUT);
            check_eq(weft_chan_len(c), cap);
            for (int i = 0; i < cap - cap / 3; i++) {
                check_eq(weft_chan_recv(c, &v), 0);
                check_eq(v, i);
            }
            for (int i = cap - cap / 3; i < cap; i++)
                check(weft_chan_recv(c, &v) == 0 && v == i);
            check_eq(weft_chan_recv_until(c, &v, -1), -ETIMEDOUT);
        }
        check_eq(weft_chan_cap(c), cap);
        check_eq(weft_chan_len(c), 0);
        weft_chan_unref(c);
    }
    return arg != NULL;
}

Test(chan, blocks_when_full_and_when_empty)
{
    run_on(1, capacities, NULL);
}

struct turn {
    weft_chan *c;
    int        number, got;
};

static void take_turn(void *arg)
{
    struct turn *t = arg;

    if (t->number >= 0)
        check_eq(weft_chan_send(t->c, &t->number), 0);
    else
        check_eq(weft_chan_recv(t->c, &t->got), 0);
}

static int waiters_fifo(void *arg)
{
    struct turn    turns[20];
    weft_waitgroup wg = { { 0 } };
    weft_chan     *c = weft_chan_new(sizeof(int), *(size_t *)arg);
    int            n = 0, v;

    for (int i = 0; i < COUNT(turns); i++) {
        turns[i] = (struct turn){ c, -1, -1 };
        spawn(&wg, take_turn, &turns[i]);
        let_others_park();
    }
    for (; n < COUNT(turns); n++)
        check_eq(weft_chan_send(c, &n), 0);
    join(&wg);
    for (int i = 0; i < COUNT(turns); i++)
        check_eq(turns[i].got, i);
    for (int i = 0; i < COUNT(turns); i++) {
        turns[i] = (struct turn){ c, i, -1 };
        spawn(&wg, take_turn, &turns[i]);
        let_others_park();
    }
    for (int i = 0; i < COUNT(turns); i++)
        check(weft_chan_recv(c, &v) == 0 && v == i);
    join(&wg);
    weft_chan_unref(c);
    return 0;
}

Test(chan, waiters_are_served_first_come_first_served)
{
    for (size_t cap = 0; cap < 4; cap++)
        run_on(1, waiters_fifo, &cap);
}

/* A receive lets the oldest waiting sender in, behind what is buffered. */
static int refill(void *arg)
{
    for (int cap = 1; cap < 5; cap++) {
        weft_chan *c = weft_chan_new(sizeof(int), (size_t)cap);
        attempt    a[3];
        weft_group g = WEFT_GROUP_INIT;
        int        v;
        for (int i = 0; i < cap; i++)
            check_eq(weft_chan_send(c, &i), 0);
        for (int i = 0; i < 3; i++) {
            a[i] = (attempt){ .op = send_op, .arg = c };
            attempt_start(&a[i], &g);
            check(!a[i].done);
        }
        for (int i = 0; i < 3; i++) {
            check_eq(weft_chan_recv(c, &v), 0);
            check_eq(v, i < cap ? i : -1);
            check_eq(weft_chan_len(c), cap);
            let_others_park();
            check(a[i].done && (i == 2 || !a[i + 1].done));
        }
        join_group(&g);
        weft_chan_unref(c);
    }
    return arg != NULL;
}

Test(chan, a_receive_lets_the_next_sender_in)
{
    run_on(1, refill, NULL);
}

struct bytes {
    weft_chan *c;
    size_t     size;
};

static void send_bytes(void *arg)
{
    struct bytes *b = arg;
    unsigned char e[200];

    for (int i = 0; i < 20; i++) {
        memset(e, i + 1, b->size);
        check_eq(weft_chan_send(b->c, e), 0);
    }
}

static int sizes(void *arg)
{
    for (size_t size = 0; size < 140; size++)
        for (size_t cap = 0; cap < 4; cap += 3) {
            unsigned char  e[200] = { 0 };
            weft_waitgroup wg = { { 0 } };
            struct bytes   b = { weft_chan_new(size, cap), size };
            spawn(&wg, send_bytes, &b);
            for (int i = 0; i < 20; i++) {
                check_eq(weft_chan_recv(b.c, i == 10 ? NULL : e), 0); /* NULL: discards */
                for (size_t k = 0; k < size; k++)
                    check_eq(e[k], i == 10 ? i : i + 1);
                check_eq(e[size], 0); /* not a byte more */
            }
            join(&wg);
            weft_chan_unref(b.c);
        }
    return arg != NULL;
}

Test(chan, elements_of_every_size_arrive_whole)
{
    run_on_1_2_8(sizes, NULL);
}

static int zero_size(void *arg)
{
    weft_chan *c = weft_chan_new(0, (size_t)1 << 40); /* needs no memory */

    for (int i = 0; i < 1000; i++)
        check_eq(weft_chan_send_until(c, "", WEFT_NOWAIT), 0);
    check_eq(weft_chan_len(c), 1000);
    check_eq(weft_chan_cap(c), (size_t)1 << 40);
    check_eq(weft_chan_close(c), 0);
    for (int i = 0; i < 1000; i++)
        check_eq(weft_chan_recv(c, NULL), 0);
    check_eq(weft_chan_recv(c, NULL), -EPIPE);
    weft_chan_unref(c);
    check(weft_chan_new(1, SIZE_MAX) == NULL);
    check(weft_chan_new(SIZE_MAX / 2, 3) == NULL);
    check(weft_chan_new(8, SIZE_MAX / 4) == NULL);
    weft_chan_unref(NULL);
    return arg != NULL;
}

Test(chan, elements_of_no_size_are_counted)
{
    run_on(1, zero_size, NULL);
}

/* ---- Close -------------------------------------------------------------------------------------------------- */

static int closed(void *arg)
{
    for (int cap = 0; cap < 3; cap++)
        for (int held = 0; held <= cap; held++) {
            weft_chan *c = weft_chan_new(sizeof(int), (size_t)cap);
            int        v = -7;
            for (int i = 0; i < held; i++)
                check_eq(weft_chan_send(c, &i), 0);
            check_eq(weft_chan_close(c), 0);
            check_eq(weft_chan_close(c), -EPIPE);
            check_eq(at_once(send_op, c), -EPIPE);
            check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), -EPIPE);
            check_eq(weft_chan_len(c), held);
            for (int i = 0; i < held; i++)
                check(weft_chan_recv(c, &v) == 0 && v == i);
            for (int i = 0; i < 3; i++) {
                check_eq(at_once(recv_op, c), -EPIPE);
                check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), -EPIPE);
                check_eq(weft_chan_recv_until(c, &v, WEFT_FOREVER), -EPIPE);
            }
            weft_chan_unref(c);
        }
    return arg != NULL;
}

Test(chan, every_operation_on_a_closed_channel)
{
    run_on(1, closed, NULL);
}

static int close_wakes(void *arg)
{
    for (int side = 0; side < 2; side++) {
        weft_chan *c = weft_chan_new(sizeof(int), 0);
        attempt    a[30];
        weft_group g = WEFT_GROUP_INIT;
        for (int i = 0; i < COUNT(a); i++) {
            a[i] = (attempt){ .op = side ? send_op : recv_op, .arg = c };
            attempt_start(&a[i], &g);
        }
        for (int i = 0; i < COUNT(a); i++)
            check(!a[i].done);
        check_eq(weft_chan_close(c), 0);
        join_group(&g);
        weft_chan_unref(c);
        for (int i = 0; i < COUNT(a); i++)
            check_eq(a[i].result, -EPIPE);
    }
    return arg != NULL;
}

Test(chan, close_wakes_all_who_wait)
{
    run_on(1, close_wakes, NULL);
}

/* ---- Try-operations ------------------------------------------------------------------------------------------- */

static void recv_one(void *arg)
{
    int v;

    check(weft_chan_recv(arg, &v) == 0 && v == 123);
}

static void send_one(void *arg)
{
    int v = 123;

    check_eq(weft_chan_send(arg, &v), 0);
}

/* A parked peer is found by some try, and on one P by the first. */
static int nonblock(void *arg)
{
    int most = weft_procs() == 1 ? 1 : 10 * 1000 * 1000;

    for (int n = 0; n < 200; n++) {
        weft_chan     *c = weft_chan_new(sizeof(int), 0);
        weft_waitgroup wg = { { 0 } };
        int            v = 123, tries = 0, r;
        check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
        check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
        spawn(&wg, n % 2 ? send_one : recv_one, c);
        weft_yield();
        do {
            r = n % 2 ? weft_chan_recv_until(c, &v, WEFT_NOWAIT)
                      : weft_chan_send_until(c, &v, WEFT_NOWAIT);
            if (r != 0)
                weft_yield();
        } while (r == -ETIMEDOUT && ++tries < most);
        check_eq(r, 0);
        check_eq(v, 123);
        join(&wg);
        weft_chan_unref(c);
    }
    return arg != NULL;
}

Test(chan, tries_find_parked_peers)
{
    run_on_1_2_8(nonblock, NULL);
}

static void close_it(void *arg)
{
    check_eq(weft_chan_close(arg), 0);
}

/* There is a value before the close: a try never finds the channel empty. */
static int recv_race(void *arg)
{
    for (long n = test_scaled(20000); n > 0; n--) {
        weft_chan     *c = weft_chan_new(sizeof(int), 1);
        weft_waitgroup wg = { { 0 } };
        int            v = 1;
        check_eq(weft_chan_send(c, &v), 0);
        spawn(&wg, close_it, c);
        check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), 0);
        join(&wg);
        weft_chan_unref(c);
    }
    return arg != NULL;
}

Test(chan, nonblock_recv_race)
{
    run_on_1_2_8(recv_race, NULL);
}

/* ---- Typed -------------------------------------------------------------------------------------- */

struct job {
    char name[20];
    int  number;
};

WEFT_CHAN_OF(jobs, struct job);

static int typed(void *arg)
{
    struct job in = { "first", 1 }, other = { "second", 2 }, out = { "", 0 };
    jobs       c = jobs_new(2);
    (void)arg;
    check_eq(jobs_send(c, in), 0);
    check_eq(jobs_send_until(c, other, weft_after(WEFT_S)), 0);
    check_eq(jobs_send_until(c, in, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(jobs_recv(c, &out), 0);
    check(strcmp(out.name, "first") == 0 && out.number == 1);
    check_eq(jobs_recv_until(c, &out, weft_after(WEFT_S)), 0);
    check(strcmp(out.name, "second") == 0 && out.number == 2);
    check_eq(jobs_recv_until(c, &out, WEFT_NOWAIT), -ETIMEDOUT);
    weft_case send = jobs_on_send(c, &in), recv = jobs_on_recv(c, &out);
    check_eq(weft_select(&send, 1, WEFT_NOWAIT), 0);
    check_eq(weft_select(&recv, 1, WEFT_NOWAIT), 0);
    check(strcmp(out.name, "first") == 0 && out.number == 1);
    check_eq(weft_chan_close(c.chan), 0);
    weft_chan_unref(c.chan);
    return 0;
}

Test(chan, typed_ones_carry_whole_elements)
{
    run_on(1, typed, NULL);
}
