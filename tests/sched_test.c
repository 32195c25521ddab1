/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sched_test.c - scheduling as a program sees it: what is runnable gets to run, wherever it is
 * queued and whoever is busy, and no runnable coroutine waits beside an idle P.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/procs.h"

#define GIVE_UP_NS (60 * WEFT_S)

static atomic_long    n, rounds;
static atomic_bool    over;
static weft_waitgroup all;

/* Burns CPU, without a call of weft, until the condition holds. */
#define spin_until(condition)                        \
    do {                                             \
        weft_time give_up_ = weft_after(GIVE_UP_NS); \
        while (!(condition))                         \
            check(weft_now() < give_up_);            \
    } while (0)

/* ---- Yielding ------------------------------------------------------------------------------------ */

static void sets(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

/* YieldProgress: one that spins and yields lets others run. */
static int yield_progress(void *arg)
{
    atomic_store(&over, false);
    check_eq(weft_go(sets, &over, 0), 0);
    await_yielding(atomic_load(&over));
    return arg != NULL;
}

Test(sched, one_that_yields_lets_others_run, .timeout = 90)
{
    run_on_all(yield_progress, NULL);
}

static long order[100];

static void notes_its_turn(void *arg)
{
    for (int i = 0; i < 10; i++) {
        order[atomic_fetch_add(&n, 1)] = *(long *)arg;
        weft_yield();
    }
    weft_waitgroup_done(&all);
}

/* Each is behind the others again after its turn. */
static int turns(void *arg)
{
    weft_waitgroup_add(&all, 4);
    for (long i = 0; i < 4; i++)
        check_eq(weft_go(notes_its_turn, &i, sizeof i), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    for (int i = 4; i < 40; i++)
        check_eq(order[i], order[i - 4]);
    return arg != NULL;
}

Test(sched, those_that_yield_take_turns)
{
    run_on(1, turns, NULL);
}

/* ---- A tree of starts is walked depth first ------------------------------------------------------- */

static weft_waitgroup children;

static void notes(void *arg)
{
    order[atomic_fetch_add(&n, 1)] = *(long *)arg;
    weft_waitgroup_done(&all);
}

static void waits_for_children(void *arg)
{
    check_eq(weft_waitgroup_wait(&children, WEFT_FOREVER), 0);
    notes(arg);
}

static void ends_the_wait_and_starts(void *arg)
{
    weft_waitgroup_done(&children);
    check_eq(weft_go(notes, arg, sizeof(long)), 0);
    weft_waitgroup_done(&all);
}

/* The parent is woken, and then turned out of runnext by a start: it must not fall behind what
 * was there before it, or a tree of starts opens all its branches. */
static int parent_first(void *arg)
{
    long first = 1, parent = 2, older = 3;

    weft_waitgroup_add(&children, 1);
    weft_waitgroup_add(&all, 4);
    check_eq(weft_go(waits_for_children, &parent, sizeof parent), 0);
    weft_yield(); /* it waits */
    check_eq(weft_go(notes, &older, sizeof older), 0);
    check_eq(weft_go(ends_the_wait_and_starts, &first, sizeof first), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    for (long i = 0; i < 3; i++)
        check_eq(order[i], i + 1);
    return arg != NULL;
}

Test(sched, a_parent_runs_before_starts_older_than_its_wake_up)
{
    run_on(1, parent_first, NULL);
}

/* ---- As many run at once as there are Ps ----------------------------------------------------------- */

static void meets_the_others(void *arg)
{
    long together = *(long *)arg;

    atomic_fetch_add(&n, 1);
    spin_until(atomic_load(&n) >= together);
    weft_waitgroup_done(&all);
}

/* GoroutineParallelism: all must run at the same time to end, none calls weft. */
static int parallelism(void *arg)
{
    long together = weft_procs();

    for (int i = 0; i < 20; i++) {
        atomic_store(&n, 0);
        weft_waitgroup_add(&all, together);
        for (long k = 0; k < together; k++)
            check_eq(weft_go(meets_the_others, &together, sizeof together), 0);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
        if (i % 4 == 3)
            check_eq(weft_sleep(3 * WEFT_MS), 0); /* and after all have been idle */
    }
    return arg != NULL;
}

Test(sched, as_many_run_at_once_as_there_are_ps, .timeout = 120)
{
    run_on_all(parallelism, NULL);
}

/* Work conservation: lesson 21.  Main never gives up its P, so the other must take what main has
 * readied, started, and left in runnext, one by one and in heaps. */
static int other_p_works(void *arg)
{
    for (int heap = 1; heap <= 1000; heap *= 10)
        for (int i = 0; i < 5; i++) {
            long before = atomic_load(&n);
            weft_waitgroup_add(&all, heap);
            for (int k = 0; k < heap; k++) {
                long one = 1;
                check_eq(weft_go(meets_the_others, &one, sizeof one), 0);
            }
            spin_until(atomic_load(&n) == before + heap);
            check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
        }
    return arg != NULL;
}

Test(sched, lesson_21_an_idle_p_takes_what_a_busy_one_has_queued, .timeout = 120)
{
    for (int procs = 2; procs <= 4; procs++)
        run_on(procs, other_p_works, NULL);
}

static weft_waitgroup gate;

static void waits_at_the_gate(void *arg)
{
    (void)arg;
    check_eq(weft_waitgroup_wait(&gate, WEFT_FOREVER), 0);
    atomic_fetch_add(&n, 1);
    weft_waitgroup_done(&all);
}

/* Parked here, woken by one that then never calls weft again until they have run elsewhere. */
static int readied_by_a_busy_one(void *arg)
{
    for (int many = 1; many <= 600; many = many * 3 + 1) { /* more than a ring holds */
        atomic_store(&n, 0);
        weft_waitgroup_add(&gate, 1);
        weft_waitgroup_add(&all, many);
        for (int i = 0; i < many; i++)
            check_eq(weft_go(waits_at_the_gate, NULL, 0), 0);
        check_eq(weft_sleep(WEFT_MS), 0);
        weft_waitgroup_done(&gate);
        spin_until(atomic_load(&n) == many);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    return arg != NULL;
}

Test(sched, what_a_busy_one_readied_runs_on_another_p, .timeout = 120)
{
    for (int procs = 2; procs <= 4; procs++)
        run_on(procs, readied_by_a_busy_one, NULL);
}

/* ---- Nobody starves: lesson 23 ----------------------------------------------------------------------- */

struct pair {
    weft_waitgroup turn[2];
};

/* Two that wake each other for ever, always through runnext. */
static void player(void *arg)
{
    struct {
        struct pair *pair;
        int          me;
    } my = *(__typeof__(my) *)arg;

    for (bool last = false; !last;) {
        check_eq(weft_waitgroup_wait(&my.pair->turn[my.me], WEFT_FOREVER), 0);
        last = atomic_load(&over); /* looked at by whoever has the turn, so both see it */
        weft_waitgroup_add(&my.pair->turn[my.me], 1);
        atomic_fetch_add(&rounds, 1);
        weft_waitgroup_done(&my.pair->turn[!my.me]);
    }
    weft_waitgroup_done(&all);
}

static void start_pair(void)
{
    static struct pair pair;

    memset(&pair, 0, sizeof pair);
    atomic_store(&rounds, 0);
    atomic_store(&over, false);
    weft_waitgroup_add(&pair.turn[1], 1);
    for (int i = 0; i < 2; i++) {
        struct {
            struct pair *pair;
            int          me;
        } my = { &pair, i };
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(player, &my, sizeof my), 0);
    }
}

/* Whoever has the turn sees it, and its partner gets one more. */
static void stop_pair(void)
{
    atomic_store(&over, true);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
}

static void yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        weft_yield();
        atomic_fetch_add(&n, 1);
    }
    weft_waitgroup_done(&gate);
}

/* The ring, the global queue, a timer and a fresh start, all beside such a pair. */
static int beside_a_pair(void *arg)
{
    start_pair();
    atomic_store(&n, 0);
    await_yielding(atomic_load(&rounds) > 0);
    weft_waitgroup_add(&gate, 300);
    for (int i = 0; i < 300; i++) /* some spill to the global queue */
        check_eq(weft_go(yields, NULL, 0), 0);
    check_eq(weft_sleep(WEFT_MS), 0);
    check_eq(weft_waitgroup_wait(&gate, WEFT_FOREVER), 0);
    check_eq(atomic_load(&n), 300 * 200);
    stop_pair();
    return arg != NULL;
}

Test(sched, lesson_23_two_that_wake_each_other_starve_nobody, .timeout = 120)
{
    run_on_all(beside_a_pair, NULL);
}

static void hogs_and_yields(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        weft_time until = weft_after(20 * WEFT_US);
        while (weft_now() < until)
            ;
        atomic_fetch_add(&n, 1);
        weft_yield();
    }
    weft_waitgroup_done(&gate);
}

/* PingPongHog on one P: neither the pair nor the hog gets all the turns. */
static int ping_pong_hog(void *arg)
{
    start_pair();
    atomic_store(&n, 0);
    weft_waitgroup_add(&gate, 1);
    check_eq(weft_go(hogs_and_yields, NULL, 0), 0);
    await_yielding(atomic_load(&n) >= 300 && atomic_load(&rounds) >= 300);
    long       hog = atomic_load(&n), pings = atomic_load(&rounds);
    weft_stats s;
    weft_stats_read(&s);
    check(pings >= hog / 4);
    check(pings <= hog * 400 || s.handoffs > 0); /* the hog's thread was off the CPU for long */
    stop_pair();
    check_eq(weft_waitgroup_wait(&gate, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(sched, a_pair_and_a_hog_share_with_bounded_unfairness, .timeout = 120)
{
    run_on(1, ping_pong_hog, NULL);
}

static void starts_the_next(void *arg)
{
    if (!atomic_load(&over))
        check_eq(weft_go(starts_the_next, arg, 0), 0);
    else
        weft_waitgroup_done(&all);
}

/* An endless line of fresh starts, each of which goes to runnext; the rest must get turns. */
static int endless_starts(void *arg)
{
    atomic_store(&over, false);
    atomic_store(&n, 0);
    weft_waitgroup_add(&all, 3);
    for (int i = 0; i < 3; i++)
        check_eq(weft_go(starts_the_next, NULL, 0), 0);
    weft_waitgroup_add(&gate, 10);
    for (int i = 0; i < 10; i++)
        check_eq(weft_go(yields, NULL, 0), 0);
    check_eq(weft_waitgroup_wait(&gate, WEFT_FOREVER), 0);
    check_eq(weft_sleep(WEFT_MS), 0);
    atomic_store(&over, true);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(sched, lesson_23_an_endless_line_of_starts_starves_nobody, .timeout = 120)
{
    run_on_all(endless_starts, NULL);
}

/* Woken, and turned out of runnext by starts and joins that never end: each gets its turn soon. */
static void sets_done(void *arg)
{
    weft_waitgroup_done(&all);
    (void)arg;
}

enum { WOKEN = 60, TURNS_MOST = 200 };

static weft_chan *news[WOKEN];

static void waits_for_news(void *arg)
{
    long i = *(long *)arg, sent;

    check_eq(weft_chan_recv(news[i], &sent), 0);
    check(atomic_load(&rounds) - sent <= WOKEN * TURNS_MOST);
    weft_waitgroup_done(&gate);
}

static int woken_beside_starts(void *arg)
{
    weft_waitgroup_add(&gate, WOKEN);
    for (long i = 0; i < WOKEN; i++) {
        news[i] = weft_chan_new(sizeof(long), 0);
        check_eq(weft_go(waits_for_news, &i, sizeof i), 0);
    }
    weft_yield();
    for (long i = 0; weft_waitgroup_wait(&gate, WEFT_NOWAIT) == -ETIMEDOUT; i++) {
        long now = atomic_fetch_add(&rounds, 1);
        if (i < WOKEN)
            check_eq(weft_chan_send(news[i], &now), 0);
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(sets_done, NULL, 0), 0);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    for (long i = 0; i < WOKEN; i++)
        weft_chan_unref(news[i]);
    return arg != NULL;
}

Test(sched, starts_and_joins_starve_nobody_that_was_woken, .timeout = 120)
{
    run_on(1, woken_beside_starts, NULL);
}

/* ---- Every task is counted: lessons 22, 29, 30, 31 ------------------------------------------------------ */

static void fork_tree(void *arg)
{
    int depth = *(int *)arg - 1;

    atomic_fetch_add(&n, 1);
    for (int i = 0; i < 3 && depth > 0; i++) {
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(fork_tree, &depth, sizeof depth), 0);
        if (i == depth % 3)
            weft_yield();
    }
    weft_waitgroup_done(&all);
}

static int count_a_tree(void *arg)
{
    int        depth = 9, want = 9841; /* (3^9 - 1) / 2 */
    weft_stats before, after;

    for (long i = 0; i < test_scaled(20); i++) {
        weft_stats_read(&before);
        atomic_store(&n, 0);
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(fork_tree, &depth, sizeof depth), 0);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
        check_eq(atomic_load(&n), want);
        weft_stats_read(&after);
        check_eq(after.started - before.started, want);
    }
    return arg != NULL;
}

Test(sched, lesson_31_every_coroutine_of_a_tree_runs_exactly_once, .timeout = 120)
{
    run_on_all(count_a_tree, NULL);
}

/* One parks as the other readies it, at all distances: a lost wake-up hangs. */
static int park_against_ready(void *arg)
{
    start_pair();
    for (int i = 0; i < 50; i++) {
        long before = atomic_load(&rounds);
        check_eq(weft_sleep(i % 5 * 50 * WEFT_US), 0);
        await_yielding(atomic_load(&rounds) > before + 20);
    }
    stop_pair();
    return arg != NULL;
}

Test(sched, lesson_22_no_wake_up_is_lost_between_park_and_ready, .timeout = 120)
{
    run_on_all(park_against_ready, NULL);
}
