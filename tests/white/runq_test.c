/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/runq_test.c - the local run queue: its order against a plain model of it, full, empty
 * and wrapped; then an owner and thieves at once, where each G must come out exactly once.
 * runq_small_test.c runs all of it again with a ring of 4.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runq.c"
#include "support/check.h"

enum { SIZE = WF_RUNQ_SIZE, GS = 2 * SIZE + 8 };

static wf_g    gs[GS];
static wf_runq queue;

/* An empty queue whose indices start so that they wrap around within a few pushes. */
static wf_runq *fresh_queue(bool solo)
{
    wf_runq_init(&queue, solo);
    AO_store(&queue.head, (AO_t)-3);
    AO_store(&queue.tail, (AO_t)-3);
    memset(gs, 0, sizeof gs);
    return &queue;
}

static void push_many(wf_runq *q, int from, int n)
{
    for (int i = from; i < from + n; i++)
        cr_assert(wf_runq_push(q, &gs[i], gs[i].fresh));
}

static long index_of(const wf_g *gp)
{
    return gp ? gp - gs : -1;
}

Test(runq, entries_that_have_run_come_oldest_first)
{
    for (int solo = 0; solo < 2; solo++) {
        wf_runq *q = fresh_queue(solo);
        push_many(q, 0, SIZE);
        cr_assert_eq(wf_runq_len(q), SIZE);
        for (int i = 0; i < SIZE; i++)
            cr_assert_eq(index_of(wf_runq_pop(q)), i);
        cr_assert_null(wf_runq_pop(q));
        cr_assert(wf_runq_empty(q));
    }
}

Test(runq, entries_that_never_ran_come_newest_first_and_thieves_take_the_oldest)
{
    for (int solo = 0; solo < 2; solo++) {
        wf_runq *q = fresh_queue(solo);
        for (int i = 0; i < 4; i++)
            gs[i].fresh = i > 0; /* the oldest has run before */
        push_many(q, 0, 4);
        cr_assert_eq(index_of(wf_runq_pop(q)), 3);
        cr_assert_eq(index_of(wf_runq_steal(q)), 0);
        cr_assert_eq(index_of(wf_runq_pop(q)), 2);
        cr_assert_eq(index_of(wf_runq_pop_head(q)), 1);
        cr_assert_null(wf_runq_pop(q));
        cr_assert_null(wf_runq_pop(q)); /* whatever its count of fresh ones says */
    }
}

Test(runq, one_that_has_run_makes_those_before_it_wait_in_order)
{
    wf_runq *q = fresh_queue(false);

    gs[0].fresh = gs[1].fresh = gs[3].fresh = 1;
    push_many(q, 0, 4);
    cr_assert_eq(index_of(wf_runq_pop(q)), 3);
    cr_assert_eq(index_of(wf_runq_pop(q)), 0);
    cr_assert_eq(index_of(wf_runq_pop(q)), 1);
    cr_assert_eq(index_of(wf_runq_pop(q)), 2);
}

Test(runq, runnext_stands_apart_from_the_ring)
{
    for (int solo = 0; solo < 2; solo++) {
        wf_runq *q = fresh_queue(solo);
        cr_assert_null(wf_runq_take_next(q));
        cr_assert_null(wf_runq_swap_next(q, &gs[0], false));
        cr_assert_not(wf_runq_empty(q));
        cr_assert_null(wf_runq_pop(q));
        cr_assert_null(wf_runq_steal(q));
        cr_assert_eq(index_of(wf_runq_swap_next(q, &gs[1], false)), 0);
        cr_assert_eq(index_of(wf_runq_next(q)), 1);
        cr_assert_eq(index_of(wf_runq_take_next(q)), 1);
        cr_assert_null(wf_runq_take_next(q));
    }
}

Test(runq, a_thief_takes_runnext_only_while_it_is_the_one_it_saw)
{
    wf_runq *q = fresh_queue(false);

    for (int shared = 0; shared < 2; shared++) {
        AO_t other = (AO_t)&gs[1] | (AO_t)shared, seen;

        wf_runq_swap_next(q, &gs[0], shared);
        seen = wf_runq_next_word(q);
        cr_assert_eq(seen & WF_RUNQ_SHARED, (AO_t)shared);
        cr_assert_not(wf_runq_steal_next(q, other));
        cr_assert_eq(index_of(wf_runq_next(q)), 0);
        cr_assert(wf_runq_steal_next(q, seen));
        cr_assert_null(wf_runq_take_next(q));
        cr_assert_not(wf_runq_steal_next(q, seen));
    }
}

Test(runq, what_stood_in_runnext_is_its_owners_whether_shared_or_not)
{
    wf_runq *q = fresh_queue(false);

    for (int i = 0; i < 8; i++) {
        wf_g *was = wf_runq_swap_next(q, &gs[i], i / 2 % 2);
        cr_assert_eq(index_of(was), i - 1);
    }
    cr_assert_eq(index_of(wf_runq_take_next(q)), 7);
    cr_assert_null(wf_runq_take_next(q));
}

Test(runq, a_full_ring_refuses_and_spills_its_oldest_half_in_order)
{
    for (int solo = 0; solo < 2; solo++) {
        wf_runq *q = fresh_queue(solo);
        wf_glist half;
        push_many(q, 0, SIZE);
        cr_assert_not(wf_runq_push(q, &gs[SIZE], false));
        cr_assert_eq(wf_runq_len(q), SIZE);
        wf_glist_init(&half);
        cr_assert_eq(wf_runq_spill(q, &half), SIZE / 2);
        cr_assert_eq(half.n, SIZE / 2);
        for (int i = 0; i < SIZE / 2; i++)
            cr_assert_eq(index_of(wf_glist_pop(&half)), i);
        push_many(q, SIZE, SIZE / 2);
        cr_assert_not(wf_runq_push(q, &gs[SIZE], false));
        for (int i = SIZE / 2; i < SIZE + SIZE / 2; i++)
            cr_assert_eq(index_of(wf_runq_pop(q)), i);
    }
}

Test(runq, an_empty_ring_spills_nothing)
{
    wf_runq *q = fresh_queue(false);
    wf_glist none;

    wf_glist_init(&none);
    cr_assert_eq(wf_runq_spill(q, &none), 0);
    push_many(q, 0, 1);
    cr_assert_eq(wf_runq_spill(q, &none), 0);
    cr_assert_null(wf_glist_pop(&none));
    cr_assert_eq(index_of(wf_runq_steal(q)), 0);
}

/* ---- Against a model: a plain array, oldest first --------------------------------------------- */

struct model {
    long entries[SIZE];
    int  n;
    long free[GS]; /* what may be pushed */
    int  n_free;
};

static long model_take(struct model *m, int at)
{
    if (m->n == 0)
        return -1;
    long got = m->entries[at];
    m->n--;
    memmove(&m->entries[at], &m->entries[at + 1], (size_t)(m->n - at) * sizeof m->entries[0]);
    m->free[m->n_free++] = got;
    return got;
}

static int next_of(const struct model *m)
{
    return m->n > 0 && gs[m->entries[m->n - 1]].fresh ? m->n - 1 : 0;
}

static void model_push(wf_runq *q, struct model *m, unsigned random)
{
    long g = m->free[m->n_free - 1];

    gs[g].fresh = random / 16 % 2;
    cr_assert_eq(wf_runq_push(q, &gs[g], gs[g].fresh), m->n < SIZE);
    if (m->n < SIZE) {
        m->n_free--;
        m->entries[m->n++] = g;
    }
}

static void model_spill(wf_runq *q, struct model *m)
{
    wf_glist half;
    int      n = m->n / 2;

    wf_glist_init(&half);
    cr_assert_eq(wf_runq_spill(q, &half), n);
    for (int i = 0; i < n; i++)
        cr_assert_eq(index_of(wf_glist_pop(&half)), model_take(m, 0));
}

static void model_step(wf_runq *q, struct model *m, unsigned random)
{
    switch (random % 16) {
    case 0:
        cr_assert_eq(index_of(wf_runq_steal(q)), model_take(m, 0));
        break;
    case 1:
        cr_assert_eq(index_of(wf_runq_pop_head(q)), model_take(m, 0));
        break;
    case 2:
        if (random / 256 % 8 == 0)
            model_spill(q, m);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        cr_assert_eq(index_of(wf_runq_pop(q)), model_take(m, next_of(m)));
        break;
    default:
        model_push(q, m, random);
    }
    cr_assert_eq(wf_runq_len(q), (unsigned)m->n);
}

Test(runq, behaves_as_its_model_does)
{
    for (int solo = 0; solo < 2; solo++) {
        wf_runq     *q = fresh_queue(solo);
        struct model m = { .n = 0 };
        uint64_t     random = 7;
        for (int i = 0; i < GS; i++)
            m.free[m.n_free++] = i;
        for (long i = 0; i < test_scaled(200000); i++)
            model_step(q, &m, test_random(&random));
    }
}

/* ---- An owner and thieves ------------------------------------------------------------------------ */

enum { ELEMENTS = 200000, THIEVES_MOST = 3 };

static wf_g          *elements;
static volatile AO_t *taken; /* how often each came out */
static volatile AO_t  n_taken, stolen;

static void take(wf_g *gp)
{
    if (!gp)
        return;
    AO_fetch_and_add_full(&taken[gp - elements], 1);
    AO_fetch_and_add_full(&n_taken, 1);
}

static void *thief(void *arg)
{
    AO_t all = *(AO_t *)arg;

    while (AO_load(&n_taken) < all) { /* one that is not shared is the owner's alone */
        AO_t  next = wf_runq_next_word(&queue);
        bool  stole = next & WF_RUNQ_SHARED && wf_runq_steal_next(&queue, next);
        wf_g *gp = stole ? wf_runq_unmark(next) : wf_runq_steal(&queue);
        if (gp)
            AO_fetch_and_add_full(&stolen, 1);
        take(gp);
    }
    return NULL;
}

static void put(wf_g *gp)
{
    wf_glist half;

    while (!wf_runq_push(&queue, gp, gp->fresh)) {
        wf_glist_init(&half);
        wf_runq_spill(&queue, &half);
        for (wf_g *one; (one = wf_glist_pop(&half));)
            take(one);
    }
}

static void own(AO_t all)
{
    uint64_t random = 3;

    for (AO_t i = 0; i < all; i++) {
        unsigned r = test_random(&random);
        elements[i].fresh = r / 32 % 4 != 0;
        if (r % 4 == 0) {
            wf_g *kicked = wf_runq_swap_next(&queue, &elements[i], r / 512 % 2);
            if (kicked)
                put(kicked);
        } else {
            put(&elements[i]);
        }
        for (unsigned n = r / 4 % 4; n > 1; n--)
            take(wf_runq_pop(&queue));
        if (r / 16 % 4 == 0)
            take(wf_runq_take_next(&queue));
        if (r / 64 % 8 == 0)
            take(wf_runq_pop_head(&queue));
    }
    take(wf_runq_take_next(&queue));
    while (wf_runq_len(&queue) > 0)
        take(wf_runq_pop(&queue));
}

static void with_thieves(int n)
{
    pthread_t threads[THIEVES_MOST];
    AO_t      all = (AO_t)test_scaled(ELEMENTS);

    elements = aligned_alloc(WF_CACHELINE, all * sizeof *elements);
    memset(elements, 0, all * sizeof *elements);
    taken = calloc(all, sizeof *taken);
    AO_store(&n_taken, 0);
    fresh_queue(false);
    for (int i = 0; i < n; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, thief, &all), 0);
    own(all);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (AO_t i = 0; i < all; i++)
        cr_assert_eq(taken[i], 1, "element %lu came out %lu times", (unsigned long)i,
                     (unsigned long)taken[i]);
    free(elements);
    free((void *)taken);
}

Test(runq, each_element_comes_out_once_whoever_takes_it, .timeout = 60)
{
    for (int i = 0; i < THIEVES_MOST || (AO_load(&stolen) == 0 && i < 100); i++)
        with_thieves(1 + i % THIEVES_MOST);
    cr_assert_gt(AO_load(&stolen), 0); /* on a busy machine it may take a few rounds */
}
