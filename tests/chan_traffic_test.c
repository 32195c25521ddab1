/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/chan_traffic_test.c - elements counted: many producers and consumers, chains, other
 * threads, deadlines and cancellation, the runtime's stop, and misuse.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

#include "support/coro.h"

TestSuite(chan_traffic, .timeout = 120);

/* ---- Each element exactly once -------------------------------------------------------------------- */

enum { PRODUCERS = 8, CONSUMERS = 8 };

struct flow {
    weft_chan    *c;
    atomic_uchar *seen; /* by number */
    atomic_long   next, total, received;
    long          most;
};

static void produce(void *arg)
{
    struct flow *f = arg;

    for (long i; (i = atomic_fetch_add(&f->next, 1)) < f->most;)
        check_eq(weft_chan_send(f->c, &i), 0);
}

static void consume(void *arg)
{
    struct flow *f = arg;
    long         i, sum = 0, n = 0;

    for (; weft_chan_recv(f->c, &i) == 0; n++) {
        check(i >= 0 && i < f->most);
        check_eq(atomic_fetch_add_explicit(&f->seen[i], 1, memory_order_relaxed), 0);
        sum += i;
    }
    atomic_fetch_add(&f->total, sum);
    atomic_fetch_add(&f->received, n);
}

static int exactly_once(void *arg)
{
    const long *most_cap = arg;
    struct flow f = { .c = weft_chan_new(sizeof(long), (size_t)most_cap[1]), .most = most_cap[0] };
    weft_waitgroup producers = { { 0 } }, consumers = { { 0 } };

    check((f.seen = calloc((size_t)f.most, 1)) != NULL);
    for (int i = 0; i < CONSUMERS; i++)
        spawn(&consumers, consume, &f);
    for (int i = 0; i < PRODUCERS; i++)
        spawn(&producers, produce, &f);
    join(&producers);
    check_eq(weft_chan_close(f.c), 0);
    join(&consumers);
    check_eq(atomic_load(&f.received), f.most);
    check_eq(atomic_load(&f.total), f.most * (f.most - 1) / 2);
    weft_chan_unref(f.c);
    free(f.seen);
    return 0;
}

Test(chan_traffic, eight_producers_eight_consumers_ten_million_elements)
{
    long most_cap[] = { test_scaled(10 * 1000 * 1000), 128 };

    run_on(8, exactly_once, most_cap);
}

Test(chan_traffic, every_element_exactly_once_at_every_capacity)
{
    for (long cap = 0; cap < 200; cap = cap * 3 + 1) {
        long most_cap[] = { test_scaled(60 * 1000), cap };
        run_on_1_2_8(exactly_once, most_cap);
    }
}

/* ---- A chain of ten thousand ------------------------------------------------------------------------ */

struct link {
    weft_chan *left, *right;
};

static void pass(void *arg)
{
    struct link *l = arg;
    int          v;

    check_eq(weft_chan_recv(l->right, &v), 0);
    v++;
    check_eq(weft_chan_send(l->left, &v), 0);
    weft_chan_unref(l->right);
    weft_chan_unref(l->left);
    free(l);
}

static int daisy_chain(void *arg)
{
    int            n = (int)test_scaled(10000), v = 0;
    weft_chan     *leftmost = weft_chan_new(sizeof(int), 0), *left = weft_chan_ref(leftmost);
    weft_waitgroup wg = { { 0 } };

    for (int i = 0; i < n; i++) {
        struct link *l = malloc(sizeof *l);
        weft_chan   *right = weft_chan_new(sizeof(int), 0);
        *l = (struct link){ left, weft_chan_ref(right) };
        spawn(&wg, pass, l);
        left = right;
    }
    check_eq(weft_chan_send(left, &v), 0);
    check_eq(weft_chan_recv(leftmost, &v), 0);
    check_eq(v, n);
    join(&wg);
    weft_chan_unref(left);
    weft_chan_unref(leftmost);
    return arg != NULL;
}

Test(chan_traffic, daisy_chain)
{
    run_on_1_2_8(daisy_chain, NULL);
}

/* ---- Deadlines and cancellation lose nothing and double nothing ------------------------------------ */

struct contested {
    weft_chan  *c;
    weft_group *cancelled;
    atomic_long sent, received, sent_sum, received_sum;
};

static int send_some(void *arg)
{
    struct contested *t = *(struct contested **)arg;
    uint64_t          random = weft_id() * 77 + 1;
    int               r = 0;

    for (long i = 0; i < 500 && r != -ECANCELED; i++) {
        long v = (long)weft_id() * 1000 + i;
        r = weft_chan_send_until(t->c, &v, weft_after(test_random(&random) % 30 * WEFT_US));
        check(r == 0 || r == -ETIMEDOUT || r == -ECANCELED);
        if (r == 0) {
            atomic_fetch_add(&t->sent, 1);
            atomic_fetch_add(&t->sent_sum, v);
        }
        if (test_random(&random) % 1000 == 0)
            weft_group_cancel(t->cancelled);
    }
    return 0;
}

static int recv_some(void *arg)
{
    struct contested *t = *(struct contested **)arg;
    uint64_t          random = weft_id() * 99 + 1;

    for (int r = 0; r != -EPIPE && r != -ECANCELED;) {
        long v;
        r = weft_chan_recv_until(t->c, &v, weft_after(test_random(&random) % 30 * WEFT_US));
        check(r == 0 || r == -ETIMEDOUT || r == -EPIPE || r == -ECANCELED);
        if (r == 0) {
            atomic_fetch_add(&t->received, 1);
            atomic_fetch_add(&t->received_sum, v);
        }
    }
    return 0;
}

static int lossless(void *arg)
{
    for (long n = test_scaled(20); n > 0; n--) {
        weft_group        mortal = WEFT_GROUP_INIT, senders = WEFT_GROUP_INIT;
        weft_group        receivers = WEFT_GROUP_INIT;
        struct contested  t = { .c = weft_chan_new(sizeof(long), (size_t)n % 3),
                                .cancelled = &mortal };
        struct contested *at = &t;
        for (int i = 0; i < 6; i++) { /* the mortal ones are cancelled midway */
            check(weft_group_go(&mortal, i % 2 ? send_some : recv_some, &at, sizeof at) == 0 ||
                  i > 0);
            check_eq(weft_group_go(&senders, send_some, &at, sizeof at), 0);
            check_eq(weft_group_go(&receivers, recv_some, &at, sizeof at), 0);
        }
        join_group(&senders);
        weft_group_cancel(&mortal);
        join_group(&mortal);
        check_eq(weft_chan_close(t.c), 0);
        join_group(&receivers);
        check_eq(weft_chan_len(t.c), 0);
        check_eq(atomic_load(&t.received), atomic_load(&t.sent));
        check_eq(atomic_load(&t.received_sum), atomic_load(&t.sent_sum));
        weft_chan_unref(t.c);
    }
    return arg != NULL;
}

Test(chan_traffic, deadlines_and_cancellation_lose_no_element)
{
    run_on_1_2_8(lossless, NULL);
}

static weft_chan *ready_chan;

static int send_now(void *arg)
{
    return weft_chan_send_until(ready_chan, &arg, WEFT_NOWAIT);
}

static int recv_now(void *arg)
{
    return weft_chan_recv_until(ready_chan, &arg, WEFT_NOWAIT);
}

static int send_plain(void *arg)
{
    return weft_chan_send(ready_chan, &arg);
}

static int recv_plain(void *arg)
{
    return weft_chan_recv(ready_chan, &arg);
}

static int cancelled(void *arg)
{
    static int (*const ops[])(void *) = { send_now, recv_now, send_plain, recv_plain };

    ready_chan = weft_chan_new(sizeof(void *), 2);
    check_eq(send_plain(NULL), 0); /* one in, room for one more */
    for (int i = 0; i < COUNT(ops); i++) {
        check_eq(when_cancelled(ops[i], NULL), -ECANCELED);
        check_eq(weft_chan_len(ready_chan), 1);
    }
    weft_chan_unref(ready_chan);
    return arg != NULL;
}

Test(chan_traffic, a_cancelled_coroutine_sends_and_receives_nothing)
{
    run_on(1, cancelled, NULL);
}

/* ---- Other threads --------------------------------------------------------------------------------------- */

struct bridge {
    weft_chan *in, *out;
    long       n;
};

static void *thread_sends(void *arg)
{
    struct bridge *b = arg;

    for (long i = 1; i <= b->n; i++)
        while (weft_chan_send_until(b->in, &i, WEFT_NOWAIT) == -ETIMEDOUT)
            sched_yield();
    return NULL;
}

static void *thread_receives(void *arg)
{
    struct bridge *b = arg;
    long           sum = 0, v;

    for (int r = 0; r != -EPIPE;) {
        r = weft_chan_recv_until(b->out, &v, WEFT_NOWAIT);
        if (r == 0)
            sum += v;
        else
            sched_yield();
    }
    b->n = sum;
    return NULL;
}

static int relay(void *arg)
{
    struct bridge *b = arg;
    long           v = 0;

    for (long i = 0; i < b->n * 2; i++) {
        check_eq(weft_chan_recv(b->in, &v), 0);
        check_eq(weft_chan_send(b->out, &v), 0);
    }
    check_eq(weft_chan_close(b->out), 0);
    return 0;
}

Test(chan_traffic, threads_of_the_program_send_and_receive_without_waiting)
{
    for (int i = 0; i < COUNT(proc_counts); i++) {
        struct bridge b = { weft_chan_new(8, (size_t)i), weft_chan_new(8, 0), test_scaled(2000) };
        struct bridge sink = b;
        pthread_t     threads[3];
        check_eq(pthread_create(&threads[0], NULL, thread_sends, &b), 0);
        check_eq(pthread_create(&threads[1], NULL, thread_sends, &b), 0);
        check_eq(pthread_create(&threads[2], NULL, thread_receives, &sink), 0);
        run_on(proc_counts[i], relay, &b);
        for (int t = 0; t < 3; t++)
            check_eq(pthread_join(threads[t], NULL), 0);
        check_eq(sink.n, b.n * (b.n + 1));
        weft_chan_unref(b.in);
        weft_chan_unref(b.out);
    }
}

/* ---- The runtime's stop --------------------------------------------------------------------------------------- */

static void recv_shielded(void *arg)
{
    long v;

    weft_shield(true);
    weft_chan_recv(arg, &v);
    check(!"an abandoned coroutine runs");
}

static int leave_one_waiting(void *arg)
{
    check_eq(weft_go(recv_shielded, arg, 0), 0);
    let_others_park();
    return 0;
}

static void recv_one_long(void *arg)
{
    long v = 0;

    check_eq(weft_chan_recv(arg, &v), 0);
    check_eq(v, 123);
}

static int send_past_it(void *arg)
{
    long           v = 123;
    weft_waitgroup wg = { { 0 } };

    check_eq(weft_chan_send_until(arg, &v, WEFT_NOWAIT), -ETIMEDOUT); /* nobody is there */
    spawn(&wg, recv_one_long, arg);
    check_eq(weft_chan_send(arg, &v), 0);
    join(&wg);
    return 0;
}

Test(chan_traffic, a_channel_outlives_the_runtime_and_those_it_abandoned)
{
    weft_options opt = { .procs = 1, .stop_ns = -1 };
    weft_chan   *c = weft_chan_new(sizeof(long), 0);
    long         v = 1;

    check_eq(weft_run(&opt, leave_one_waiting, c), 0);
    check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT); /* outside, too */
    run_on(1, send_past_it, c);
    weft_chan_unref(c);
}

/* ---- Misuse ------------------------------------------------------------------------------------------------------ */

static int unref_twice(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 4);

    weft_chan_unref(c);
    weft_chan_unref(c);
    return arg != NULL;
}

static int ref_too_late(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 4);

    weft_chan_unref(c);
    weft_chan_ref(c);
    return arg != NULL;
}

static int send_outside(void *arg)
{
    return weft_chan_send(weft_chan_new(sizeof(int), 4), &arg);
}

static int recv_until_outside(void *arg)
{
    return weft_chan_recv_until(weft_chan_new(sizeof(arg), 4), &arg, weft_after(WEFT_S));
}

static int send_null(void *arg)
{
    return weft_chan_send(NULL, &arg);
}

static int recv_null(void *arg)
{
    return weft_chan_recv_until(NULL, &arg, WEFT_NOWAIT);
}

static int close_null(void *arg)
{
    return weft_chan_close(arg);
}

Test(chan_traffic, misuse_ends_the_process_with_one_line_that_names_the_call)
{
    for (int inside = 0; inside < 2; inside++)
        dies(unref_twice, NULL, inside, "weft_chan_unref: the channel had no reference left");
    dies(ref_too_late, NULL, true, "weft_chan_ref: the channel had no reference left");
    for (int inside = 0; inside < 2; inside++) {
        dies(send_null, NULL, inside, "weft_chan_send: the channel is NULL");
        dies(recv_null, NULL, inside, "weft_chan_recv_until: the channel is NULL");
        dies(close_null, NULL, inside, "weft_chan_close: the channel is NULL");
    }
    dies(send_outside, NULL, false, "weft_chan_send " NOWHERE);
    dies(recv_until_outside, NULL, false, "weft_chan_recv_until " NOWHERE);
}
