/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/cond_test.c - weft_cond: whom a signal wakes, in what order, and that a wait which failed
 * took none along.
 */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(cond, .timeout = 120);

struct place {
    weft_mutex m;
    weft_cond  c;
    int        awake, order[100]; /* under m */
    bool       held;              /* under m: the mutex, by who returned from its wait */
};

struct sleeper {
    struct place *p;
    int           number;
    weft_time     deadline;
};

static int wait_op(void *arg)
{
    struct sleeper *s = arg;

    weft_mutex_lock(&s->p->m);
    int r = weft_cond_wait(&s->p->c, &s->p->m, s->deadline);
    check(!s->p->held); /* m is held on every return */
    s->p->held = true;
    if (r == 0)
        s->p->order[s->p->awake++] = s->number;
    weft_yield();
    s->p->held = false;
    weft_mutex_unlock(&s->p->m);
    return r;
}

static void sleep_all(struct place *p, struct sleeper *s, attempt *a, int n, weft_group *g)
{
    for (int i = 0; i < n; i++) {
        s[i] = (struct sleeper){ p, i, WEFT_FOREVER };
        a[i] = (attempt){ .op = wait_op, .arg = &s[i] };
        attempt_start(&a[i], g);
        check(!a[i].done);
    }
}

/* ---- Signal and broadcast -------------------------------------------------------------------------- */

static int signals(void *arg)
{
    struct place   p = { .awake = 0 };
    struct sleeper s[20];
    attempt        a[20];
    weft_group     g = WEFT_GROUP_INIT;

    weft_cond_signal(&p.c); /* nobody waits: nothing is remembered */
    weft_cond_broadcast(&p.c);
    sleep_all(&p, s, a, 20, &g);
    for (int i = 0; i < 10; i++) {
        if (i % 2)
            weft_mutex_lock(&p.m); /* signalling needs it not, and may have it */
        weft_cond_signal(&p.c);
        if (i % 2)
            weft_mutex_unlock(&p.m);
        let_others_park();
        let_others_park();
        check_eq(p.awake, i + 1); /* exactly one, the oldest */
        check_eq(p.order[i], i);
    }
    weft_cond_broadcast(&p.c);
    join_group(&g);
    check_eq(p.awake, 20);
    for (int i = 0; i < 20; i++)
        check_eq(p.order[i], i);
    return arg != NULL;
}

Test(cond, a_signal_wakes_the_oldest_and_a_broadcast_all)
{
    run_on(1, signals, NULL);
}

/* Many generations: who waits first is woken first, however often. */
struct generations {
    weft_mutex m;
    weft_cond  c;
    int        turn, n; /* under m */
    long       waited, served;
};

struct member {
    struct generations *g;
    int                 number;
};

static void generation(void *arg)
{
    struct member *me = arg;

    weft_mutex_lock(&me->g->m);
    for (int lap = 0; lap < 50; lap++) {
        me->g->waited++;
        check_eq(weft_cond_wait(&me->g->c, &me->g->m, WEFT_FOREVER), 0);
        check_eq(me->g->turn, me->number);
        me->g->served++;
        me->g->turn = (me->g->turn + 1) % me->g->n;
    }
    weft_mutex_unlock(&me->g->m);
}

static int fifo(void *arg)
{
    struct generations g = { .n = 10 };
    struct member      m[10];
    weft_waitgroup     wg = { { 0 } };

    for (int i = 0; i < 10; i++) {
        m[i] = (struct member){ &g, i };
        spawn(&wg, generation, &m[i]);
        for (bool in = false; !in; weft_yield()) {
            weft_mutex_lock(&g.m);
            in = g.waited > i;
            weft_mutex_unlock(&g.m);
        }
    }
    for (long i = 0; i < 500; i++) {
        weft_cond_signal(&g.c);
        for (bool woke = false; !woke; weft_yield()) {
            weft_mutex_lock(&g.m);
            woke = g.served > i && (g.waited > 10 + i || i >= 490);
            weft_mutex_unlock(&g.m);
        }
    }
    join(&wg);
    return arg != NULL;
}

Test(cond, generations_are_served_in_order)
{
    run_on_1_2_8(fifo, NULL);
}

/* ---- Signal stealing ------------------------------------------------------------------------------------ */

struct steal {
    weft_mutex  m;
    weft_cond   c;
    bool        ready, second; /* under m */
    weft_chan  *in;
    atomic_bool late_in;
};

static void early(void *arg)
{
    struct steal *s = arg;

    weft_mutex_lock(&s->m);
    check_eq(weft_chan_send(s->in, ""), 0); /* m is held until the wait has begun */
    check_eq(weft_cond_wait(&s->c, &s->m, weft_after(PATIENCE)), 0);
    weft_mutex_unlock(&s->m);
    check_eq(weft_chan_send(s->in, ""), 0);
}

/* Begins to wait after the signal: it must not get it. */
static void latecomer(void *arg)
{
    struct steal *s = arg;

    weft_mutex_lock(&s->m);
    s->second = true;
    while (!s->ready)
        check_eq(weft_cond_wait(&s->c, &s->m, weft_after(PATIENCE)), 0);
    weft_mutex_unlock(&s->m);
}

static int stealing(void *arg)
{
    for (long i = 0; i < test_scaled(3000); i++) {
        struct steal   s = { .in = weft_chan_new(0, 0) };
        weft_waitgroup wg = { { 0 } };
        spawn(&wg, early, &s);
        check_eq(weft_chan_recv(s.in, NULL), 0);
        weft_mutex_lock(&s.m); /* got after the early one waits */
        weft_cond_signal(&s.c);
        weft_mutex_unlock(&s.m);
        spawn(&wg, latecomer, &s);
        check_eq(weft_chan_recv_until(s.in, NULL, weft_after(PATIENCE)),
                 0); /* the early one has it */
        for (bool in = false; !in; weft_yield()) {
            weft_mutex_lock(&s.m);
            in = s.second;
            s.ready = true;
            weft_mutex_unlock(&s.m);
        }
        weft_cond_signal(&s.c);
        join(&wg);
        weft_chan_unref(s.in);
    }
    return arg != NULL;
}

Test(cond, signal_stealing)
{
    run_on_1_2_8(stealing, NULL);
}

/* ---- Deadlines and cancellation ----------------------------------------------------------------------------- */

/* The oldest waits gave up: the signal goes to the next, and none is lost. */
static int failed_waits(void *arg)
{
    struct place   p = { .awake = 0 };
    struct sleeper s[6];
    attempt        a[6];
    weft_group     mortal = WEFT_GROUP_INIT, g = WEFT_GROUP_INIT;

    sleep_all(&p, s, a, 3, &mortal);
    sleep_all(&p, s + 3, a + 3, 3, &g);
    weft_mutex_lock(&p.m);
    weft_group_cancel(&mortal); /* not one of them has run yet */
    weft_cond_signal(&p.c);
    check_eq(weft_cond_wait(&p.c, &p.m, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(weft_cond_wait(&p.c, &p.m, weft_after(WEFT_MS)), -ETIMEDOUT);
    weft_mutex_unlock(&p.m);
    join_group(&mortal);
    let_others_park();
    for (int i = 0; i < 3; i++)
        check_eq(a[i].result, -ECANCELED);
    check_eq(p.awake, 1);
    check(a[3].done && !a[4].done && a[3].result == 0);
    weft_cond_broadcast(&p.c);
    join_group(&g);
    check_eq(p.awake, 3);
    s[0] = (struct sleeper){ &p, 0, WEFT_NOWAIT };
    check_eq(when_cancelled(wait_op, &s[0]), -ECANCELED);
    s[0].deadline = WEFT_FOREVER;
    check_eq(when_cancelled(wait_op, &s[0]), -ECANCELED);
    return arg != NULL;
}

Test(cond, a_failed_wait_consumes_no_signal)
{
    run_on(1, failed_waits, NULL);
}

/* So many tokens as signals, waits that time out among them: each token is fetched. */
struct tokens {
    weft_mutex  m;
    weft_cond   c;
    long        there, taken, total; /* under m */
    atomic_long late;
};

static void take_tokens(void *arg)
{
    struct tokens *t = arg;
    uint64_t       random = weft_id() + 1;

    weft_mutex_lock(&t->m);
    while (t->taken < t->total) {
        if (t->there > 0) {
            t->there--;
            if (++t->taken == t->total)
                weft_cond_broadcast(&t->c);
        } else if (weft_cond_wait(&t->c, &t->m,
                                  test_random(&random) % 4
                                      ? WEFT_FOREVER
                                      : weft_after(test_random(&random) % 20 * WEFT_US)) != 0) {
            atomic_fetch_add(&t->late, 1);
        }
    }
    weft_mutex_unlock(&t->m);
}

static int all_fetched(void *arg)
{
    struct tokens  t = { .total = test_scaled(20000) };
    weft_waitgroup wg = { { 0 } };

    for (int i = 0; i < 8; i++)
        spawn(&wg, take_tokens, &t);
    for (long i = 0; i < t.total; i++) {
        weft_mutex_lock(&t.m);
        t.there++;
        if (i % 2)
            weft_cond_signal(&t.c);
        weft_mutex_unlock(&t.m);
        if (i % 2 == 0)
            weft_cond_signal(&t.c);
        if (i % 4 == 0)
            weft_yield();
    }
    join(&wg);
    check_eq(t.there, 0);
    check_eq(t.taken, t.total);
    return arg != NULL;
}

Test(cond, no_signal_is_lost_among_waits_that_end_early)
{
    run_on_1_2_8(all_fetched, NULL);
}

/* ---- Misuse ------------------------------------------------------------------------------------------------------ */

static int wait_unlocked(void *arg)
{
    static weft_mutex m;
    static weft_cond  c;

    return weft_cond_wait(&c, &m, WEFT_NOWAIT) + (arg != NULL);
}

Test(cond, misuse_ends_the_process_with_one_line_that_names_the_call)
{
    dies(wait_unlocked, NULL, true, "weft_cond_wait: the mutex is not locked");
    dies(wait_unlocked, NULL, false, "weft_cond_wait " NOWHERE);
}
