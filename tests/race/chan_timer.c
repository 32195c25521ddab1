/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/chan_timer.c - timers stopped, reset, received from and freed by many coroutines while
 * they fire.  What the tests rely on: after a stop or reset no value of an old setting is received,
 * and each setting of a one-shot ends in exactly one of "received" and "taken back".
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "support/check.h"

enum { SETTINGS = 3000, OWNERS = 40, SHARED = 4000, LIVES = 4000, WORKERS = 6 };

/* ---- One owner each: no stale value, no lost one ------------------------------------------------------- */

/* The timers of all owners fall due together, so that those which fire last are long on their way. */
static weft_time on_grid(weft_time t)
{
    const weft_time grid = 40 * WEFT_US;

    return t / grid * grid + grid;
}

static int stop_against_fire(void *arg)
{
    uint64_t    random = weft_id() + 1;
    weft_timer *t = weft_timer_new(WEFT_FOREVER, 0);
    weft_time   due = WEFT_FOREVER, v;
    bool        pending = true;
    long        received = 0, back = 0, set = 1;

    for (long i = test_scaled(SETTINGS); i > 0; i--) {
        weft_chan *c = weft_timer_chan(t);
        switch (test_random(&random) % 4) {
        case 0: /* stop, and it stays silent */
            check_eq(weft_timer_stop(t), pending);
            back += pending;
            pending = false;
            check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
            break;
        case 1: /* wait for it */
            if (!pending || due == WEFT_FOREVER)
                break;
            check_eq(weft_chan_recv(c, &v), 0);
            check(v >= due && v <= weft_now());
            received++;
            pending = false;
            break;
        default:
            due = on_grid(weft_after((int64_t)(test_random(&random) % 99) * WEFT_US));
            check_eq(weft_timer_reset(t, due, 0), pending);
            back += pending;
            set++;
            pending = true;
            if (test_random(&random) % 2)
                weft_yield();
            if (test_random(&random) % 4 == 0 && weft_chan_recv_until(c, &v, WEFT_NOWAIT) == 0) {
                check(v >= due); /* a value of an older setting would be earlier */
                received++;
                pending = false;
            }
        }
        check_eq(weft_chan_len(c), 0);
    }
    back += weft_timer_stop(t);
    check_eq(received + back, set);
    weft_timer_free(t);
    return arg != NULL;
}

static int many_owners(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;

    for (int i = 0; i < OWNERS; i++)
        check_eq(weft_group_go(&g, stop_against_fire, NULL, 0), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

/* ---- Many users of one timer --------------------------------------------------------------------------- */

struct shared {
    weft_timer *t;
    atomic_long received, taken_back, set;
};

static int use_shared(void *arg)
{
    struct shared *s = *(struct shared **)arg;
    uint64_t       random = weft_id() * 3 + 1;
    weft_case      k = { .chan = weft_timer_chan(s->t) };

    for (long i = test_scaled(SHARED); i > 0; i--)
        switch (test_random(&random) % 4) {
        case 0:
            atomic_fetch_add(&s->taken_back, weft_timer_stop(s->t));
            break;
        case 1:
            atomic_fetch_add(&s->received, weft_select(&k, 1, weft_after(20 * WEFT_US)) == 0);
            break;
        default:
            atomic_fetch_add(&s->set, 1);
            atomic_fetch_add(
                &s->taken_back,
                weft_timer_reset(s->t, weft_after((int64_t)(test_random(&random) % 20) * WEFT_US),
                                 0));
        }
    return 0;
}

static int many_users(void *arg)
{
    struct shared s = { .t = weft_timer_new(WEFT_FOREVER, 0), .set = 1 }, *at = &s;
    weft_group    g = WEFT_GROUP_INIT;

    for (int i = 0; i < WORKERS; i++)
        check_eq(weft_group_go(&g, use_shared, &at, sizeof at), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    atomic_fetch_add(&s.taken_back, weft_timer_stop(s.t));
    check_eq(atomic_load(&s.received) + atomic_load(&s.taken_back), atomic_load(&s.set));
    weft_timer_free(s.t);
    return arg != NULL;
}

/* ---- Tickers and short lives ------------------------------------------------------------------------------ */

static int listen_until_closed(void *arg)
{
    weft_chan *c = *(weft_chan **)arg;
    weft_time  last = 0, v;

    while (weft_chan_recv(c, &v) == 0) {
        check(v >= last);
        last = v;
    }
    weft_chan_unref(c);
    return 0;
}

/* Nobody else knows of it: what is freed may be on its way to fire all the same. */
static void alone(int64_t period, bool again)
{
    weft_timer *t = weft_timer_new(weft_now(), period);

    weft_yield();
    weft_timer_stop(t);
    if (again)
        weft_timer_reset(t, weft_now(), period);
    weft_timer_free(t);
}

static int short_lives(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    uint64_t   random = 5;

    for (long i = test_scaled(LIVES); i > 0; i--) {
        int64_t     period = i % 3 ? 1 + (int64_t)(test_random(&random) % 5) * WEFT_US : 0;
        weft_timer *t =
            weft_timer_new(weft_after((int64_t)(test_random(&random) % 9) * WEFT_US), period);
        weft_chan *c = weft_chan_ref(weft_timer_chan(t));
        check_eq(weft_group_go(&g, listen_until_closed, &c, sizeof c), 0);
        if (i % 2)
            weft_yield();
        if (i % 5 == 0)
            weft_timer_reset(t, weft_now(), period);
        weft_timer_free(t);
        alone(period, i % 4 == 0);
    }
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    return arg != NULL;
}

/* ---- Reset storms: they starve nobody ------------------------------------------------------------------------ */

static int resetting(void *arg)
{
    weft_timer *t = weft_timer_new(weft_after(WEFT_US), WEFT_US);
    (void)arg;

    for (long i = test_scaled(SHARED); i > 0; i--) {
        weft_timer_reset(t, weft_after(i % 3 ? WEFT_US : WEFT_S), 1 + i % 2 * WEFT_US);
        if (i % 8 == 0)
            weft_yield();
    }
    weft_timer_free(t);
    return 0;
}

static int reset_storm(void *arg)
{
    weft_group  g = WEFT_GROUP_INIT;
    weft_timer *t = weft_timer_new(weft_after(WEFT_MS), 0);

    for (int i = 0; i < WORKERS * 4; i++)
        check_eq(weft_group_go(&g, resetting, NULL, 0), 0);
    check_eq(weft_chan_recv(weft_timer_chan(t), NULL), 0);
    check_eq(weft_sleep(WEFT_MS), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    weft_timer_free(t);
    return arg != NULL;
}

/* ---- An earlier timer while another M waits for a later one ------------------------------------------------ */

struct bell {
    weft_sem   s;
    atomic_int rung;
    long       n;
};

/* Rings when all has gone idle, most times. */
static void *ring(void *arg)
{
    struct bell *b = arg;

    for (long i = 0; i < b->n; i++) {
        while (atomic_load(&b->rung) != i)
            sched_yield();
        usleep(300);
        weft_sem_release(&b->s, 1);
    }
    return NULL;
}

static int yielding(void *arg)
{
    for (int i = 0; i < 200; i++)
        weft_yield();
    return arg != NULL;
}

static int woken_by_a_thread(void *arg)
{
    struct bell b = { .n = test_scaled(200) };
    weft_timer *late = weft_timer_new(weft_after(1000 * WEFT_S), 0);
    weft_group  g = WEFT_GROUP_INIT;
    pthread_t   thread;

    for (int i = 0; i < WORKERS; i++) /* several Ms */
        check_eq(weft_group_go(&g, yielding, NULL, 0), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    check_eq(pthread_create(&thread, NULL, ring, &b), 0);
    for (long i = 0; i < b.n; i++) {
        check_eq(weft_sem_acquire(&b.s, WEFT_FOREVER), 0);
        weft_timer *t = weft_timer_new(weft_after(50 * WEFT_US), 0);
        check_eq(weft_chan_recv(weft_timer_chan(t), NULL), 0);
        weft_timer_free(t);
        atomic_fetch_add(&b.rung, 1);
    }
    check_eq(pthread_join(thread, NULL), 0);
    weft_timer_free(late);
    return arg != NULL;
}

/* The runtime ends with timers in every state; the next run sees to them. */
static weft_timer *left[WORKERS];

static int leave(void *arg)
{
    for (int i = 0; i < WORKERS; i++) {
        if (left[i])
            weft_timer_free(left[i]);
        left[i] = weft_timer_new(weft_after(i * 5 * WEFT_US), i % 2 * 10 * WEFT_US);
    }
    for (int i = 0; i < 20; i++)
        weft_yield();
    return arg != NULL;
}

static int clean(void *arg)
{
    for (int i = 0; i < WORKERS; i++)
        weft_timer_free(left[i]);
    return arg != NULL;
}

/* ---- Cancelled as it fires, and freed at once ------------------------------------------------------------ */

static int waits_once(void *arg)
{
    weft_timer *t = weft_timer_new(weft_after(20 * WEFT_US), 0);
    weft_time   v;
    int         r = weft_chan_recv(weft_timer_chan(t), &v);

    check(r == 0 || r == -ECANCELED);
    weft_timer_free(t);
    return arg != NULL;
}

static int cancel_against_free(void *arg)
{
    uint64_t random = 7;

    for (long i = test_scaled(LIVES); i > 0; i--) {
        weft_group g = WEFT_GROUP_INIT;
        int        first;
        check_eq(weft_group_go(&g, waits_once, NULL, 0), 0);
        weft_time until = weft_after((int64_t)(10 + test_random(&random) % 40) * WEFT_US);
        weft_yield();
        while (weft_now() < until)
            ;
        weft_group_cancel(&g);
        check_eq(weft_group_wait(&g, WEFT_FOREVER, &first), 0);
    }
    return arg != NULL;
}

int main(void)
{
    static const int procs[] = { 1, 2, 8 };

    for (int p = 0; p < 3; p++) {
        run_on(procs[p], many_owners, NULL);
        run_on(procs[p], many_users, NULL);
        run_on(procs[p], short_lives, NULL);
        run_on(procs[p], reset_storm, NULL);
        run_on(procs[p], woken_by_a_thread, NULL);
        run_on(procs[p], cancel_against_free, NULL);
    }
    for (long i = test_scaled(200); i > 0; i--)
        run_on(procs[i % 3], leave, NULL);
    run_on(2, clean, NULL);
    return 0;
}
