/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/select_race_test.c - weft_select as one moment: never two winners, none missed, all of
 * them in turn, and no memory for them.  Races run on 1, 2 and 8 Ps.
 */
#include <criterion/criterion.h>
#include <malloc.h>

#include "support/coro.h"

TestSuite(select_race, .timeout = 120);

/* ---- Never two winners ------------------------------------------------------------------------------ */

struct doubled {
    weft_chan *c[4], *out;
    long       n;
};

static void select_sender(void *arg)
{
    struct doubled *d = arg;

    for (long i = 0; i < d->n; i++) {
        weft_case cases[4];
        for (int k = 0; k < 4; k++)
            cases[k] = (weft_case){ .chan = d->c[k], .send = &i };
        check(weft_select(cases, 4, WEFT_FOREVER) >= 0);
    }
    for (int k = 0; k < 4; k++)
        check_eq(weft_chan_close(d->c[k]), 0);
}

struct pipe_to {
    weft_chan *from, *to;
};

static void forward(void *arg)
{
    struct pipe_to *p = arg;

    for (long v; weft_chan_recv(p->from, &v) == 0;)
        check_eq(weft_chan_send(p->to, &v), 0);
}

static void collect(void *arg)
{
    struct doubled *d = arg;
    unsigned char  *seen = calloc((size_t)d->n, 1);

    for (long v; weft_chan_recv(d->out, &v) == 0;)
        check_eq(seen[v]++, 0); /* a select that fired twice sent one number twice */
    for (long i = 0; i < d->n; i++)
        check_eq(seen[i], 1);
    free(seen);
}

static int double_select(void *arg)
{
    struct doubled d = { .out = weft_chan_new(sizeof(long), 0), .n = test_scaled(30000) };
    struct pipe_to pipes[4];
    weft_waitgroup wg = { { 0 } }, last = { { 0 } };

    for (int k = 0; k < 4; k++)
        d.c[k] = weft_chan_new(sizeof(long), 0);
    spawn(&last, collect, &d);
    spawn(&wg, select_sender, &d);
    for (int k = 0; k < 4; k++) {
        pipes[k] = (struct pipe_to){ d.c[k], d.out };
        spawn(&wg, forward, &pipes[k]);
    }
    join(&wg);
    check_eq(weft_chan_close(d.out), 0);
    join(&last);
    for (int k = 0; k < 4; k++)
        weft_chan_unref(d.c[k]);
    weft_chan_unref(d.out);
    return arg != NULL;
}

Test(select_race, doubleselect_never_two_winners)
{
    run_on_1_2_8(double_select, NULL);
}

/* ---- One moment ----------------------------------------------------------------------------------------- */

struct moment {
    weft_chan *c1, *c2;
    bool       close_second;
};

/* c2 becomes ready before c1 ceases to be: at every moment one of the two is. */
static void change_over(void *arg)
{
    struct moment *m = arg;
    int            v;

    if (m->close_second)
        check_eq(weft_chan_close(m->c2), 0);
    else
        check_eq(weft_chan_send(m->c2, &(int){ 1 }), 0);
    v = weft_chan_recv_until(m->c1, &v, WEFT_NOWAIT);
    check(v == 0 || v == -ETIMEDOUT); /* or the select was there first */
}

static int one_moment(void *arg)
{
    for (long i = 0; i < test_scaled(20000); i++) {
        struct moment  m = { weft_chan_new(4, 1), weft_chan_new(4, 1), i % 2 };
        weft_waitgroup wg = { { 0 } };
        weft_case      cases[2] = { { .chan = m.c1 }, { .chan = m.c2 } };
        check_eq(weft_chan_send(m.c1, &(int){ 1 }), 0);
        spawn(&wg, change_over, &m);
        check(weft_select(cases, 2, WEFT_NOWAIT) >= 0);
        join(&wg);
        weft_chan_unref(m.c1);
        weft_chan_unref(m.c2);
    }
    return arg != NULL;
}

Test(select_race, nonblock_select_race)
{
    run_on_1_2_8(one_moment, NULL);
}

/* ---- With itself -------------------------------------------------------------------------------------------- */

struct self {
    weft_chan  *c;
    atomic_long sent, received;
    long        n;
};

static void self_select(void *arg)
{
    struct self *s = arg;
    long         me = (long)weft_id(), v;

    for (long i = 0; i < s->n; i++) {
        weft_case cases[] = { { .chan = s->c, .send = &me }, { .chan = s->c, .recv = &v } };
        int       which = (int)(i & 1), r;
        weft_case swapped[] = { cases[which], cases[1 - which] };
        r = weft_select(swapped, 2, WEFT_FOREVER);
        if (r == -EPIPE || swapped[r].closed)
            return;
        if (swapped[r].send) {
            atomic_fetch_add(&s->sent, 1);
        } else {
            check(weft_chan_cap(s->c) > 0 || v != me); /* it sent to itself */
            atomic_fetch_add(&s->received, 1);
        }
    }
    weft_chan_close(s->c); /* else the other waits for ever */
}

static int with_itself(void *arg)
{
    for (size_t cap = 0; cap <= 10; cap += 10) {
        struct self    s = { .c = weft_chan_new(sizeof(long), cap), .n = test_scaled(20000) };
        weft_waitgroup wg = { { 0 } };
        spawn(&wg, self_select, &s);
        spawn(&wg, self_select, &s);
        join(&wg);
        check_eq(atomic_load(&s.sent), atomic_load(&s.received) + (long)weft_chan_len(s.c));
        weft_chan_unref(s.c);
    }
    return arg != NULL;
}

Test(select_race, self_select)
{
    run_on_1_2_8(with_itself, NULL);
}

/* ---- Stress: mixed with plain operations --------------------------------------------------------------------- */

struct stress {
    weft_chan *c[4];
    long       n;
};

struct side {
    struct stress *s;
    int            which; /* the channel of a plain worker */
};

static void plain_sender(void *arg)
{
    struct side *p = arg;

    for (long i = 0; i < p->s->n; i++)
        check_eq(weft_chan_send(p->s->c[p->which], &i), 0);
}

static void plain_receiver(void *arg)
{
    struct side *p = arg;

    for (long i = 0, v; i < p->s->n; i++)
        check_eq(weft_chan_recv(p->s->c[p->which], &v), 0);
}

static void select_worker(struct stress *s, bool send)
{
    weft_case cases[4] = { { 0 } };
    long      left[4] = { s->n, s->n, s->n, s->n }, v = 0;

    for (int k = 0; k < 4; k++)
        cases[k] = (weft_case){ .chan = s->c[k], .send = send ? &v : NULL };
    for (long i = 0; i < 4 * s->n; i++) {
        int r = weft_select(cases, 4, WEFT_FOREVER);
        check(r >= 0 && !cases[r].closed);
        if (--left[r] == 0)
            cases[r].chan = NULL; /* switched off */
    }
}

static void select_sends(void *arg)
{
    select_worker(arg, true);
}

static void select_receives(void *arg)
{
    select_worker(arg, false);
}

static int select_stress(void *arg)
{
    struct stress  s = { .n = test_scaled(10000) };
    struct side    sides[4];
    weft_waitgroup wg = { { 0 } };

    for (int k = 0; k < 4; k++) {
        s.c[k] = weft_chan_new(sizeof(long), k < 2 ? 0 : (size_t)k);
        sides[k] = (struct side){ &s, k };
        spawn(&wg, plain_sender, &sides[k]);
        spawn(&wg, plain_receiver, &sides[k]);
    }
    spawn(&wg, select_sends, &s);
    spawn(&wg, select_receives, &s);
    join(&wg);
    for (int k = 0; k < 4; k++) {
        check_eq(weft_chan_len(s.c[k]), 0);
        weft_chan_unref(s.c[k]);
    }
    return arg != NULL;
}

Test(select_race, select_stress)
{
    run_on_1_2_8(select_stress, NULL);
}

/* ---- Evenly -------------------------------------------------------------------------------------------------------- */

/* n ready cases, each taken within 10 standard deviations of its share. */
static int even(void *arg)
{
    static const int counts[] = { 2, 3, 4, 7, 64, 70 };

    for (int m = 0; m < COUNT(counts); m++) {
        int       n = counts[m];
        long      taken[70] = { 0 }, trials = test_scaled(4000) * n;
        weft_case cases[70] = { { 0 } };
        for (int i = 0; i < n; i++) {
            cases[i].chan = weft_chan_new(0, 1);
            check_eq(i % 2 ? 0 : weft_chan_send(cases[i].chan, ""), 0);
        }
        for (long t = 0; t < trials; t++) { /* always one direction of each is ready */
            for (int i = 0; i < n; i++)
                cases[i].send = weft_chan_len(cases[i].chan) ? NULL : "";
            int r = weft_select(cases, n, WEFT_NOWAIT);
            check(r >= 0);
            taken[r]++;
        }
        double mean = (double)trials / n, variance = mean * (1 - 1.0 / n);
        for (int i = 0; i < n; i++) {
            double off = (double)taken[i] - mean;
            check(off * off <= 100 * variance + 1);
            weft_chan_unref(cases[i].chan);
        }
    }
    return arg != NULL;
}

Test(select_race, even_choice_among_the_ready_within_ten_sigma)
{
    run_on(1, even, NULL);
}

/* Two cases of one unbuffered channel send 0 and 1: both are seen, in no fixed pattern. */
static void random_bits(void *arg)
{
    weft_chan *c = arg;
    int        zero = 0, one = 1;
    weft_case  cases[] = { { .chan = c, .send = &zero }, { .chan = c, .send = &one } };

    for (long i = 0; i < test_scaled(10000); i++)
        check(weft_select(cases, 2, WEFT_FOREVER) >= 0);
    check_eq(weft_chan_close(c), 0);
}

static int pseudo_random(void *arg)
{
    for (size_t cap = 0; cap < 20; cap += 19) {
        weft_chan     *c = weft_chan_new(sizeof(int), cap);
        weft_waitgroup wg = { { 0 } };
        long           seen[2] = { 0 };
        spawn(&wg, random_bits, c);
        weft_yield();
        for (int v; weft_chan_recv(c, &v) == 0; weft_yield())
            seen[v]++;
        join(&wg);
        check(seen[0] > test_scaled(10000) / 8 && seen[1] > test_scaled(10000) / 8);
        weft_chan_unref(c);
    }
    return arg != NULL;
}

Test(select_race, pseudo_random_send)
{
    run_on_1_2_8(pseudo_random, NULL);
}

/* ---- Memory ---------------------------------------------------------------------------------------------------------- */

static int no_growth(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 0), *d = weft_chan_new(sizeof(int), 0);
    weft_case  cases[66] = { { .chan = c }, { .chan = d } };
    size_t     before = 0;

    for (long i = 0; i < test_scaled(100000); i++) {
        check_eq(weft_select(cases, i % 2 ? 2 : 66, i % 4 < 2 ? WEFT_NOWAIT : weft_after(1)),
                 -ETIMEDOUT);
        if (i == 100)
            before = mallinfo2().uordblks;
    }
    if (before > 0)
        check(mallinfo2().uordblks < before + 64 * 1024);
    weft_chan_unref(c);
    weft_chan_unref(d);
    return arg != NULL;
}

Test(select_race, a_hundred_thousand_do_not_grow_the_memory)
{
    run_on(1, no_growth, NULL);
}
