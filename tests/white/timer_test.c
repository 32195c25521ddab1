/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/timer_test.c - the timers' wheel and heap: their invariants after every operation,
 * removal at every position, the order of firing, and every digit of time.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/g.h"
#include "runtime/timer.h"
#include "support/check.h"

enum { ARITY = 4, BATCH = 64, MANY = 3000, DIGITS = WF_TIMER_DIGITS, BLOCK = WF_TIMER_BLOCK };

#define TICK (INT64_C(1) << WF_TIMER_GRAIN)

/* So that all are near at once; so that most are not; so that they lie digits apart. */
static const int64_t units[] = { 1, TICK / 3, TICK *DIGITS - 1, TICK *DIGITS *DIGITS * 7 + 5 };
enum { UNITS = sizeof units / sizeof units[0] };

static wf_timer      timers[MANY];
static int64_t       whens[MANY]; /* when each was last added for */
static wf_timer_heap heap;
static int           fired[MANY], n_fired; /* indices in the order they fired */
static AO_t          seqs[MANY];

static void record(void *arg, AO_t seq, struct wf_glist *out)
{
    (void)out;
    fired[n_fired] = (int)((wf_timer *)arg - timers);
    seqs[n_fired++] = seq;
}

static void fresh_heap(void)
{
    wf_timer_heap_init(&heap);
    memset(timers, 0, sizeof timers);
    n_fired = 0;
}

static bool in_heap(const wf_timer *t)
{
    return heap.cap > 0 && heap.entries[t->id].t == t;
}

static int add(int i, int64_t when)
{
    whens[i] = when;
    return wf_timer_add(&heap, &timers[i], when, record, &timers[i], (AO_t)i);
}

static const wf_timer_item *item_of(unsigned id)
{
    int at = heap.places[id];
    return at < 0 ? &heap.blocks[~at] : &heap.near[at];
}

/* Each timer's entry knows its place, which knows its time. */
static void check_item(const wf_timer_item *s)
{
    const wf_timer *t = heap.entries[s->id].t;

    cr_assert_eq(t->id, s->id);
    cr_assert_eq(t->heap, (AO_t)&heap);
    cr_assert_eq(item_of(s->id), s);
    if (t >= timers && t < timers + MANY)
        cr_assert_eq(whens[t - timers], s->when);
}

static void check_near(void)
{
    for (int i = 0; i < heap.n_near; i++) {
        check_item(&heap.near[i]);
        cr_assert_leq(heap.near[i].when >> WF_TIMER_GRAIN, heap.tick);
        if (i > 0)
            cr_assert_leq(heap.near[(i - 1) / ARITY].when, heap.near[i].when);
    }
}

/* Of a tick that is later than the wheel's, and differs in this slot's digit but in none above. */
static void check_far_item(const wf_timer_item *s, int slot)
{
    int     shift = slot / DIGITS * WF_TIMER_DIGIT;
    int64_t tick = s->when >> WF_TIMER_GRAIN;

    check_item(s);
    cr_assert_gt(tick, heap.tick);
    cr_assert_eq(tick >> shift >> WF_TIMER_DIGIT, heap.tick >> shift >> WF_TIMER_DIGIT);
    cr_assert_neq(tick >> shift, heap.tick >> shift);
    cr_assert_eq((tick >> shift) % DIGITS, slot % DIGITS);
}

/* How many; *blocks: in how many blocks. */
static int check_slot(int slot, int *blocks)
{
    int n = 0, at = heap.last[slot];

    cr_assert_eq(at >= 0, heap.full[slot / DIGITS] >> slot % DIGITS & 1);
    while (at >= 0) {
        const wf_timer_item *head = &heap.blocks[at / BLOCK * BLOCK];
        cr_assert(at % BLOCK != 0 && (at == heap.last[slot] || at % BLOCK == BLOCK - 1));
        for (const wf_timer_item *s = &heap.blocks[at]; s > head; s--, n++)
            check_far_item(s, slot);
        cr_assert_eq(head->id, (unsigned)slot);
        at = (int)head->when;
        ++*blocks;
    }
    return n;
}

static int64_t least(void)
{
    int64_t when = INT64_MAX;

    for (int i = 0; i < heap.cap; i++)
        if (heap.entries[i].t && item_of((unsigned)i)->when < when)
            when = item_of((unsigned)i)->when;
    return when;
}

/* All of them, every block and every id: in use or free, and not both. */
static void check_heap(int n)
{
    int far = 0, blocks = 0, ids = 0;

    check_near();
    for (int slot = 0; slot < WF_TIMER_LEVELS * DIGITS; slot++)
        far += check_slot(slot, &blocks);
    cr_assert_eq(heap.n, n);
    cr_assert_eq(heap.n_near + far, n);
    for (int b = heap.free_block; b >= 0; b = (int)heap.blocks[b].when)
        blocks++;
    cr_assert_eq(blocks, heap.n_blocks);
    for (int id = heap.free_id; id >= 0; id = heap.places[id], ids++)
        cr_assert_null(heap.entries[id].t);
    cr_assert_eq(ids + n, heap.cap);
    cr_assert_leq(wf_timer_heap_when(&heap), least());
    cr_assert(n > 0 || wf_timer_heap_when(&heap) == INT64_MAX);
    cr_assert_eq(heap.lock.word, 0);
}

/* Where few have lain in the first slot, what is told of the earliest is exact. */
static void check_told(void)
{
    cr_assert_eq(wf_timer_heap_when(&heap), least());
}

static int run(int64_t now)
{
    wf_glist out;

    wf_glist_init(&out);
    int n = wf_timers_run(&heap, now, &out);
    cr_assert_eq(out.n, 0);
    cr_assert_leq(heap.tick, now > 0 ? now >> WF_TIMER_GRAIN : 0, "never ahead of time");
    return n;
}

Test(timer, an_empty_heap_has_nothing_due)
{
    fresh_heap();
    check_heap(0);
    cr_assert_eq(run(INT64_MAX), 0);
    cr_assert_not(wf_timer_del(&timers[0]), "one that was never added");
    check_heap(0);
}

/* One that leaves a heap of one forgets its place: lesson 20. */
Test(timer, lesson_20_the_only_one_leaves_no_place_behind)
{
    fresh_heap();
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(add(0, 10), 1);
        check_heap(1);
        cr_assert(wf_timer_del(&timers[0]));
        cr_assert_not(in_heap(&timers[0]));
        check_heap(0);
        cr_assert_not(wf_timer_del(&timers[0]));
        cr_assert_eq(add(0, 10), 1);
        cr_assert_eq(run(9), 0);
        cr_assert_eq(run(10), 1);
        cr_assert_not(in_heap(&timers[0]));
        check_heap(0);
        cr_assert_not(wf_timer_del(&timers[0]), "it has fired");
    }
}

Test(timer, of_two_either_goes_first)
{
    for (int order = 0; order < 2; order++)
        for (int i = 0; i < 2 * UNITS; i++) {
            int     gone = i % 2;
            int64_t unit = units[i / 2];
            fresh_heap();
            cr_assert_eq(add(order, unit), 1);
            cr_assert_eq(add(1 - order, 2 * unit), 0);
            check_heap(2);
            cr_assert(wf_timer_del(&timers[gone]));
            check_heap(1);
            check_told();
            cr_assert_eq(run(whens[1 - gone] - 1), 0);
            check_told();
            cr_assert_eq(run(whens[1 - gone]), 1);
            cr_assert_eq(fired[0], 1 - gone);
            check_heap(0);
        }
}

Test(timer, add_says_whether_it_is_the_earliest_now)
{
    fresh_heap();
    cr_assert_eq(add(0, 100), 1);
    cr_assert_eq(add(1, 100), 0, "not earlier than the other");
    cr_assert_eq(add(2, 200), 0);
    cr_assert_eq(add(3, 99), 1);
    check_heap(4);
}

static void delete_one_of(int n, int gone, int64_t unit)
{
    fresh_heap();
    for (int i = 0; i < n; i++)
        add(i, i * 7919 % 61 * unit);
    cr_assert(wf_timer_del(&timers[gone]));
    cr_assert_not(in_heap(&timers[gone]));
    check_heap(n - 1);
    while (run(61 * unit) > 0)
        ;
    check_heap(0);
    cr_assert_eq(n_fired, n - 1);
    for (int i = 0; i < n_fired; i++) {
        cr_assert_neq(fired[i], gone);
        if (i > 0)
            cr_assert_leq(whens[fired[i - 1]], whens[fired[i]]);
    }
}

/* They were added in no order, so each lies everywhere for some n. */
Test(timer, each_of_them_can_be_deleted)
{
    for (int u = 0; u < UNITS; u++)
        for (int n = 1; n <= 60; n++)
            for (int gone = 0; gone < n; gone++)
                delete_one_of(n, gone, units[u]);
}

/* One slot of several blocks: the last fills each hole, until nothing is left of it. */
Test(timer, a_slot_of_many_is_emptied_from_the_front)
{
    enum { N = 5 * BLOCK };

    fresh_heap();
    for (int i = 0; i < N; i++)
        add(i, 3 * TICK + i);
    cr_assert_eq(heap.n_near, 0);
    for (int i = 0; i < N; i++) {
        cr_assert(wf_timer_del(&timers[i]));
        check_heap(N - 1 - i);
    }
}

/* A hole filled by the last one, which may have to go up: its new parent can be later. */
Test(timer, the_last_one_moves_up_where_it_is_earlier_than_the_holes_parent)
{
    /* place: 0  1    2  3  4  5    6..8          9 */
    static const int64_t when[] = { 0, 100, 1, 1, 1, 101, 102, 103, 104, 2 };
    enum { N = sizeof when / sizeof when[0] };

    fresh_heap();
    for (int i = 0; i < N; i++)
        add(i, when[i]);
    cr_assert_eq(heap.places[timers[5].id], 5, "below place 1");
    cr_assert_eq(heap.places[timers[9].id], 9, "below place 2, the last");
    cr_assert(wf_timer_del(&timers[5]));
    check_heap(N - 1);
}

Test(timer, what_is_due_as_its_slot_begins_fires_then)
{
    for (int64_t when = TICK; when < INT64_MAX / DIGITS; when *= DIGITS) {
        fresh_heap();
        for (int i = 0; i < BATCH; i++)
            add(i, when);
        cr_assert_eq(run(when - 1), 0);
        cr_assert_eq(run(when), BATCH);
        check_heap(0);
    }
}

static void move_earlier(int64_t unit)
{
    fresh_heap();
    for (int i = 0; i < 100; i++)
        add(i, (1000 + i) * unit);
    for (int i = 99; i >= 0; i -= 7) {
        cr_assert(wf_timer_del(&timers[i]));
        cr_assert_eq(add(i, i * unit), i <= 99 - 7 || i == 99 ? 1 : 0);
        check_heap(100);
        check_told();
    }
    while (run(999 * unit) > 0)
        ;
    cr_assert_eq(n_fired, 15);
    for (int i = 1; i < n_fired; i++)
        cr_assert_lt(fired[i - 1], fired[i]);
    check_heap(85);
}

/* Moved earlier: lesson 17. */
Test(timer, lesson_17_one_moved_earlier_fires_at_its_new_time_and_only_then)
{
    for (int u = 0; u < UNITS; u++)
        move_earlier(units[u]);
}

/* What is told of the earliest may be early, but who runs what is due then is told better. */
Test(timer, lesson_17_who_comes_when_told_comes_a_few_times_at_most)
{
    for (int64_t when = 1; when < INT64_MAX / 5; when *= 5) {
        int came = 0;
        fresh_heap();
        for (int i = 0; i < 2 * BLOCK; i++) /* more than a block: the slot's begin is told */
            add(i, when);
        for (int64_t now; (now = wf_timer_heap_when(&heap)) < when; came++) {
            cr_assert_eq(run(now), 0);
            check_heap(2 * BLOCK);
        }
        cr_assert_leq(came, WF_TIMER_LEVELS);
        cr_assert_eq(run(when), BATCH);
    }
}

/* A poller sleeps until what it was told: only one that is added may be due before, and says so. */
Test(timer, what_is_told_moves_back_for_none_but_one_that_is_added)
{
    int64_t begin = TICK * DIGITS * DIGITS, when = begin + begin / 2;

    fresh_heap();
    for (int i = 0; i < 2 * BLOCK; i++)
        add(i, when + i);
    cr_assert_eq(run(0), 0);
    cr_assert_eq(wf_timer_heap_when(&heap), when, "a thief whose clock is late has come");
    cr_assert(wf_timer_del(&timers[0]));
    cr_assert_geq(wf_timer_heap_when(&heap), when);
    cr_assert_eq(add(0, begin + 1), 1);
}

static void one_after_another(int64_t now, int64_t then)
{
    fresh_heap();
    cr_assert_eq(add(0, now), 1);
    cr_assert_eq(run(now), 1);
    cr_assert_eq(add(1, then), 1);
    check_heap(1);
    cr_assert_eq(run(then - 1), 0);
    check_heap(1);
    check_told();
    cr_assert_eq(run(then), 1);
    check_heap(0);
}

/* Whatever the digits of now and then. */
Test(timer, one_added_at_any_time_for_any_later_time_fires_then)
{
    for (int64_t now = 1; now < INT64_MAX / 3; now *= 3)
        for (int64_t later = 1; later < INT64_MAX / 5 && later < INT64_MAX - now; later *= 5)
            one_after_another(now, now + later);
}

Test(timer, a_batch_is_bounded_and_nothing_is_left_out)
{
    fresh_heap();
    for (int i = 0; i < 3 * BATCH + 8; i++)
        add(i, (i * 37) % 200 * TICK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(run(200 * TICK), BATCH);
    check_heap(8);
    cr_assert_eq(run(200 * TICK), 8);
    cr_assert_eq(run(200 * TICK), 0);
    for (int i = 0; i < n_fired; i++) {
        cr_assert_eq(seqs[i], (AO_t)fired[i], "each gets the number it was added with");
        if (i > 0)
            cr_assert_leq(whens[fired[i - 1]], whens[fired[i]]);
    }
}

/* Very many that are due at once: lesson 16. */
Test(timer, lesson_16_a_million_zero_timers)
{
    long      n = test_scaled(1000000);
    wf_timer *all = calloc((size_t)n, sizeof *all);
    long      sum = 0;

    fresh_heap();
    fired[0] = 0;
    for (long i = 0; i < n; i++)
        cr_assert_eq(wf_timer_add(&heap, &all[i], 0, record, timers, 0), i == 0);
    cr_assert_eq(heap.n, n);
    for (int got; (got = run(0)) > 0; sum += got)
        n_fired = 0;
    cr_assert_eq(sum, n);
    check_heap(0);
    for (long i = 0; i < n; i++)
        cr_assert_not(in_heap(&all[i]));
    free(all);
    wf_timer_heap_free(&heap);
}

Test(timer, extreme_times_are_in_order)
{
    static const int64_t when[] = {
        INT64_MAX - 1, INT64_MIN, 0, -1, INT64_MAX - 2, 1, INT64_MIN + 1
    };
    enum { N = sizeof when / sizeof when[0] };

    fresh_heap();
    for (int i = 0; i < N; i++)
        add(i, when[i]);
    check_heap(N);
    cr_assert_eq(run(-2), 2);
    cr_assert_eq(run(0), 2);
    cr_assert_eq(run(INT64_MAX - 3), 1);
    cr_assert_eq(run(INT64_MAX - 2), 1);
    cr_assert_eq(run(INT64_MAX - 1), 1);
}

static void add_again(void *arg, AO_t seq, struct wf_glist *out)
{
    wf_timer *t = arg;

    (void)out;
    n_fired++;
    if (seq > 0)
        wf_timer_add(&heap, t, whens[t - timers] = (int64_t)(100 - seq), add_again, t, seq - 1);
}

/* Callbacks run without the heap's lock: lesson 12 rests on it. */
Test(timer, lesson_12_a_callback_may_add_and_delete, .timeout = 20)
{
    fresh_heap();
    wf_timer_add(&heap, &timers[0], 0, add_again, &timers[0], 5);
    while (run(1000) > 0)
        check_heap(n_fired < 6);
    cr_assert_eq(n_fired, 6);
}

Test(timer, a_heap_that_ends_lets_go_of_its_timers)
{
    fresh_heap();
    for (int i = 0; i < 10; i++)
        add(i, i);
    wf_timer_heap_free(&heap);
    check_heap(0);
    for (int i = 0; i < 10; i++) {
        cr_assert_not(in_heap(&timers[i]));
        cr_assert_not(wf_timer_del(&timers[i]));
    }
}

/* ---- At random ------------------------------------------------------------------------------- */

/* A time of any magnitude up to an hour. */
static int64_t random_time(uint64_t *random)
{
    return (int64_t)(test_random(random) & ((UINT64_C(1) << test_random(random) % 42) - 1));
}

Test(timer, thousands_at_random_keep_the_invariant_and_lose_none, .timeout = 60)
{
    uint64_t random = 11;
    int64_t  now = 0;
    int      n = 0;
    long     added = 0, deleted = 0, ran = 0;

    fresh_heap();
    for (long step = 0; step < test_scaled(20000); step++) {
        int  i = (int)(test_random(&random) % MANY);
        bool in = in_heap(&timers[i]);
        if (test_random(&random) % 8 == 0) {
            now += random_time(&random) / 64;
            n_fired = 0;
            int64_t last = INT64_MIN;
            ran += run(now);
            for (int k = 0; k < n_fired; last = whens[fired[k++]])
                cr_assert(whens[fired[k]] <= now && whens[fired[k]] >= last);
            n -= n_fired;
            cr_assert(n_fired == BATCH || least() > now);
        } else if (in) {
            cr_assert(wf_timer_del(&timers[i]));
            deleted++, n--;
        } else {
            cr_assert_geq(add(i, now + random_time(&random)), 0);
            added++, n++;
        }
        check_heap(n);
    }
    cr_assert_eq(added, deleted + ran + n);
}
