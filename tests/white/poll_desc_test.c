/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/poll_desc_test.c - poll_cache and what a P keeps of it; each line of the table of rg
 * and wg: what an event, a deadline and a close do in every state; stale generations; sticky bits.
 * Then the waiting side on a pipe, in coroutines, with deadlines.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/netpoll.h"
#include "runtime/poll_desc.h"
#include "support/check.h"

static wf_g           g;
static wf_glist       ready;
static wf_poll_spares own, others; /* of two Ps */

static wf_poll_desc *fresh(void)
{
    wf_poll_desc *pd = wf_poll_cache_alloc(&own);

    cr_assert_not_null(pd);
    wf_poll_next_gen(pd);
    wf_glist_init(&ready);
    return pd;
}

/* Parks g in one side, as wait and commit do. */
static wf_ticket park_in(wf_poll_desc *pd, enum wf_mode mode)
{
    wf_ticket t = wf_token_arm(&g, 0);

    AO_store(&pd->g[mode], (AO_t)&g);
    cr_assert(wf_token_park(&g, AO_load(&g.token)));
    return t;
}

static AO_t word(const wf_poll_desc *pd, enum wf_mode mode)
{
    return AO_load(&pd->g[mode]);
}

/* ---- The cache --------------------------------------------------------------------------------- */

Test(poll_cache, numbers_are_found_again_and_zero_never_is_one)
{
    wf_poll_desc *pd = fresh();

    cr_assert_gt(pd->index, 0);
    cr_assert_eq(wf_poll_cache_at(pd->index), pd);
    cr_assert_null(wf_poll_cache_at(0));
    cr_assert_null(wf_poll_cache_at(wf_poll_cache_count()));
    cr_assert_null(wf_poll_cache_at(0xffffff));
}

Test(poll_cache, what_was_freed_last_is_given_first_and_nothing_twice)
{
    enum { N = 1000 }; /* more than one chunk */
    static wf_poll_desc *all[N];

    for (int i = 0; i < N; i++) {
        all[i] = fresh();
        cr_assert_eq((uintptr_t)all[i] % WF_CACHELINE, 0);
        if (i > 0)
            cr_assert_gt(all[i]->index, all[i - 1]->index);
    }
    for (int i = 0; i < N; i++)
        cr_assert_eq(wf_poll_cache_at(all[i]->index), all[i], "memory never moves");
    for (int i = 0; i < N; i++)
        wf_poll_cache_free(&own, all[i]);
    unsigned count = wf_poll_cache_count();
    for (int i = N - 1; i >= 0; i--)
        cr_assert_eq(wf_poll_cache_alloc(&own), all[i]);
    cr_assert_eq(wf_poll_cache_count(), count);
}

/* Connections that are opened on one P and closed on another. */
Test(poll_cache, what_one_p_gives_another_takes)
{
    enum { N = 100, ROUNDS = 50 };
    wf_poll_desc *all[N];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < N; i++) {
            all[i] = fresh();
            for (int j = 0; j < i; j++)
                cr_assert_neq(all[i], all[j], "given twice");
        }
        for (int i = 0; i < N; i++)
            wf_poll_cache_free(&others, all[i]);
        cr_assert_leq(others.n, 2 * WF_POLL_BATCH, "a P keeps few");
    }
    cr_assert_leq(wf_poll_cache_count(), 1 + N + 3 * WF_POLL_BATCH, "and no other is made");
}

Test(poll_cache, what_an_ended_p_kept_is_given_to_others)
{
    enum { N = 3 * WF_POLL_BATCH + 5 };
    wf_poll_desc *all[N];

    for (int i = 0; i < N; i++)
        all[i] = fresh();
    unsigned count = wf_poll_cache_count();
    for (int i = 0; i < N; i++) /* the last without a P, as weft_run's thread does */
        wf_poll_cache_free(i < N - 1 ? &own : NULL, all[i]);
    wf_poll_cache_flush(&own);
    cr_assert_eq(own.n, 0);
    for (unsigned i = 1; i < count; i++)
        cr_assert_not_null(wf_poll_cache_alloc(&others));
    cr_assert_eq(wf_poll_cache_count(), count, "all that were made were found");
    cr_assert_eq(wf_poll_cache_alloc(&others)->index, count, "and none was there twice");
}

Test(poll_cache, a_generation_is_never_zero_and_never_more_than_40_bits)
{
    wf_poll_desc *pd = fresh();

    AO_store(&pd->gen, ((AO_t)1 << 40) - 2);
    wf_poll_next_gen(pd);
    cr_assert_eq(pd->gen, ((AO_t)1 << 40) - 1);
    cr_assert_eq(wf_poll_id(pd) & 0xffffff, pd->index);
    wf_poll_next_gen(pd);
    cr_assert_eq(pd->gen, 1);
}

/* ---- poll_fire: every state, every reason ---------------------------------------------------- */

Test(poll_desc, an_event_leaves_news_where_nobody_waits)
{
    wf_poll_desc *pd = fresh();

    wf_poll_fire(pd, WF_READ, WF_EVENT, &ready);
    cr_assert_eq(word(pd, WF_READ), WF_PD_READY);
    cr_assert_eq(word(pd, WF_WRITE), WF_PD_NONE);
    wf_poll_fire(pd, WF_READ, WF_EVENT, &ready);
    cr_assert_eq(word(pd, WF_READ), WF_PD_READY);
    cr_assert_eq(ready.n, 0);
}

Test(poll_desc, a_deadline_or_close_leaves_none_and_does_not_eat_news)
{
    static const enum wf_reason reasons[] = { WF_TIMEOUT, WF_CLOSE };

    for (int i = 0; i < 2; i++) {
        wf_poll_desc *pd = fresh();
        wf_poll_fire(pd, WF_WRITE, reasons[i], &ready);
        cr_assert_eq(word(pd, WF_WRITE), WF_PD_NONE);
        AO_store(&pd->g[WF_WRITE], WF_PD_READY);
        wf_poll_fire(pd, WF_WRITE, reasons[i], &ready);
        cr_assert_eq(word(pd, WF_WRITE), WF_PD_READY);
        cr_assert_eq(ready.n, 0);
    }
}

/* A wait that was announced: an event makes it news, a deadline or close takes it away; either way
 * the commit, which wants WAIT, fails. */
Test(poll_desc, an_announced_wait_is_taken_away_by_whatever_comes)
{
    static const enum wf_reason reasons[] = { WF_EVENT, WF_TIMEOUT, WF_CLOSE };

    for (int i = 0; i < 3; i++) {
        wf_poll_desc *pd = fresh();
        AO_store(&pd->g[WF_READ], WF_PD_WAIT);
        wf_poll_fire(pd, WF_READ, reasons[i], &ready);
        cr_assert_eq(word(pd, WF_READ), i == 0 ? WF_PD_READY : WF_PD_NONE);
        cr_assert_eq(ready.n, 0);
    }
}

/* Between the commit and the park: who fires it leaves it to the lander. */
Test(poll_desc, a_g_that_is_not_parked_yet_is_not_given_back)
{
    static const enum wf_reason reasons[] = { WF_EVENT, WF_TIMEOUT, WF_CLOSE };

    for (int i = 0; i < 3; i++) {
        wf_poll_desc *pd = fresh();
        wf_token_arm(&g, 0);
        AO_t armed = AO_load(&g.token);
        AO_store(&pd->g[WF_READ], (AO_t)&g);
        wf_poll_fire(pd, WF_READ, reasons[i], &ready);
        cr_assert_eq(ready.n, 0);
        cr_assert_not(wf_token_park(&g, armed));
        cr_assert_eq(wf_token_reason(&g), reasons[i]);
    }
}

Test(poll_desc, whoever_fires_a_parked_g_gives_it_back_once_with_the_reason)
{
    static const enum wf_reason reasons[] = { WF_EVENT, WF_TIMEOUT, WF_CLOSE };

    for (int i = 0; i < 3; i++) {
        wf_poll_desc *pd = fresh();
        park_in(pd, WF_READ);
        wf_poll_fire(pd, WF_WRITE, WF_EVENT, &ready);
        cr_assert_eq(ready.n, 0, "the other side");
        wf_poll_fire(pd, WF_READ, reasons[i], &ready);
        cr_assert_eq(word(pd, WF_READ), reasons[i] == WF_EVENT ? WF_PD_READY : WF_PD_NONE);
        cr_assert_eq(ready.n, 1);
        cr_assert_eq(wf_glist_pop(&ready), &g);
        cr_assert_eq(wf_token_reason(&g), reasons[i]);
        wf_poll_fire(pd, WF_READ, WF_CLOSE, &ready);
        cr_assert_eq(ready.n, 0);
    }
}

Test(poll_desc, a_g_whose_wait_has_ended_otherwise_is_not_run_again)
{
    wf_poll_desc *pd = fresh();
    wf_ticket     t = park_in(pd, WF_READ);

    cr_assert_eq(wf_token_fire(&g, t, WF_CANCEL), WF_WON_PARKED);
    wf_poll_fire(pd, WF_READ, WF_EVENT, &ready);
    cr_assert_eq(ready.n, 0);
    cr_assert_eq(word(pd, WF_READ), WF_PD_READY, "the news stay");
    cr_assert_eq(wf_token_reason(&g), WF_CANCEL);
}

/* ---- poll_event ----------------------------------------------------------------------------------- */

Test(poll_desc, which_events_reach_which_side)
{
    static const struct {
        uint32_t events;
        bool     read, write;
        unsigned sticky, urgent;
    } rows[] = {
        { EPOLLIN, true, false, 0, 0 },
        { EPOLLOUT, false, true, 0, 0 },
        { EPOLLIN | EPOLLOUT, true, true, 0, 0 },
        { EPOLLPRI, true, false, 0, 1 },
        { EPOLLRDHUP, true, false, WF_POLL_RDHUP, 0 },
        { EPOLLHUP, true, true, WF_POLL_HUP, 0 },
        { EPOLLERR, true, true, WF_POLL_ERR, 0 },
        { EPOLLIN | EPOLLRDHUP | EPOLLHUP, true, true, WF_POLL_RDHUP | WF_POLL_HUP, 0 },
        { 0, false, false, 0, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wf_poll_desc *pd = fresh();
        wf_poll_event(wf_poll_id(pd), rows[i].events, &ready);
        cr_assert_eq(word(pd, WF_READ), rows[i].read ? WF_PD_READY : WF_PD_NONE, "row %zu", i);
        cr_assert_eq(word(pd, WF_WRITE), rows[i].write ? WF_PD_READY : WF_PD_NONE, "row %zu", i);
        cr_assert_eq(pd->news, rows[i].sticky + rows[i].urgent * WF_POLL_URGENT, "row %zu", i);
        cr_assert_eq(pd->lock.word, 0);
    }
}

Test(poll_desc, sticky_bits_are_only_ever_added)
{
    wf_poll_desc *pd = fresh();

    wf_poll_event(wf_poll_id(pd), EPOLLRDHUP, &ready);
    wf_poll_event(wf_poll_id(pd), EPOLLIN, &ready);
    wf_poll_event(wf_poll_id(pd), EPOLLERR, &ready);
    wf_poll_event(wf_poll_id(pd), EPOLLOUT, &ready);
    cr_assert_eq(pd->news, WF_POLL_RDHUP | WF_POLL_ERR);
}

/* A stale event of a descriptor that was closed since: lesson 1. */
Test(poll_desc, lesson_1_an_event_of_an_earlier_generation_does_nothing)
{
    wf_poll_desc *pd = fresh();
    uint64_t      old = wf_poll_id(pd);

    wf_poll_next_gen(pd);
    park_in(pd, WF_READ);
    wf_poll_event(old, EPOLLIN | EPOLLOUT | EPOLLHUP, &ready);
    cr_assert_eq(ready.n, 0);
    cr_assert_eq(word(pd, WF_READ), (AO_t)&g);
    cr_assert_eq(word(pd, WF_WRITE), WF_PD_NONE);
    cr_assert_eq(pd->news, 0);
    wf_poll_event(0xffffff, EPOLLIN, &ready);
    wf_poll_event(0, EPOLLIN, &ready);
    cr_assert_eq(ready.n, 0);
    wf_poll_event(wf_poll_id(pd), EPOLLIN, &ready);
    cr_assert_eq(ready.n, 1);
}

Test(poll_desc, one_that_closes_hears_no_more_events)
{
    wf_poll_desc *pd = fresh();

    pd->closing = true;
    wf_poll_event(wf_poll_id(pd), EPOLLIN | EPOLLERR, &ready);
    cr_assert_eq(word(pd, WF_READ), WF_PD_NONE);
    cr_assert_eq(pd->news, 0);
}

/* ---- The waiting side, on a pipe ------------------------------------------------------------------- */

static int           ends[2];
static wf_poll_desc *end;

static int wait_with(weft_time deadline, bool set)
{
    wf_m *mp = wf_enter("a test");
    if (set)
        wf_poll_set_deadline(mp, end, true, false, deadline);
    int r = wf_poll_prepare(mp, end, WF_READ);
    if (r >= 0)
        r = wf_poll_wait(&mp, end, WF_READ);
    wf_leave(mp);
    return r;
}

/* Another P may run these first: what comes before the wait begins is no part of it. */
static void until_it_waits(void)
{
    while (AO_load(&end->g[WF_READ]) <= WF_PD_WAIT)
        weft_yield();
}

static void write_soon(void *arg)
{
    until_it_waits();
    check_eq(write(ends[1], arg, 1), 1);
}

static int deadlines(void *arg)
{
    char c;

    check_eq(wait_with(WEFT_NOWAIT, true), -ETIMEDOUT);
    check_eq(wait_with(0, false), -ETIMEDOUT); /* it stays passed */
    weft_time until = weft_after(3 * WEFT_MS);
    check_eq(wait_with(until, true), -ETIMEDOUT);
    check(weft_now() >= until);
    check_eq(wait_with(0, false), -ETIMEDOUT);
    check_eq(weft_go(write_soon, "a", 0), 0); /* past, then none: it waits again */
    check_eq(wait_with(WEFT_FOREVER, true), 0);
    check_eq(read(ends[0], &c, 1), 1);
    until = weft_after(5 * WEFT_MS); /* near, then later, then earlier again */
    wf_m *mp = wf_enter("a test");
    wf_poll_set_deadline(mp, end, true, true, weft_after(WEFT_S * 1000));
    wf_poll_set_deadline(mp, end, true, false, until);
    wf_leave(mp);
    check_eq(wait_with(0, false), -ETIMEDOUT);
    check(weft_now() >= until);
    return arg != NULL;
}

static void set_past(enum wf_mode side)
{
    wf_m *mp = wf_enter("a test");
    wf_poll_set_deadline(mp, end, side == WF_READ, side == WF_WRITE, WEFT_NOWAIT);
    wf_leave(mp);
}

static void set_past_soon(void *arg)
{
    (void)arg;
    until_it_waits();
    set_past(WF_READ);
}

/* The other side's deadline is not this one's. */
static void set_other_past_and_write_soon(void *arg)
{
    until_it_waits();
    set_past(WF_WRITE);
    check_eq(write(ends[1], arg, 1), 1);
}

static void unblock_soon(void *arg)
{
    until_it_waits();
    wf_m *mp = wf_enter("a test");
    wf_poll_unblock(mp, arg);
    wf_leave(mp);
}

static int woken_from_outside(void *arg)
{
    check_eq(weft_go(set_past_soon, NULL, 0), 0);
    check_eq(wait_with(WEFT_FOREVER, true), -ETIMEDOUT);
    check_eq(weft_go(set_other_past_and_write_soon, "b", 0), 0);
    check_eq(wait_with(WEFT_FOREVER, true), 0);
    check_eq(weft_go(unblock_soon, end, 0), 0);
    check_eq(wait_with(WEFT_FOREVER, false), -EBADF);
    check_eq(wait_with(0, false), -EBADF);
    return arg != NULL;
}

enum { RACES = 100000 };

static volatile AO_t round_of_race;

static void set_past_in_each_round(void *arg)
{
    unsigned pause = 1;

    (void)arg;
    for (AO_t i = 1; i <= RACES; i++) {
        while (AO_load_acquire(&round_of_race) < i)
            weft_yield();
        pause = pause * 1664525 + 1013904223;
        for (volatile unsigned n = pause >> 25; n > 0; n--)
            ;
        set_past(WF_READ);
    }
}

/* Between the wait's first look and the moment it can be found in the word, too. */
static int past_as_the_wait_begins(void *arg)
{
    AO_store(&round_of_race, 0);
    check_eq(weft_go(set_past_in_each_round, NULL, 0), 0);
    for (AO_t i = 1; i <= RACES; i++) {
        wf_m *mp = wf_enter("a test");
        wf_poll_set_deadline(mp, end, true, false, WEFT_FOREVER);
        wf_leave(mp);
        AO_store_release(&round_of_race, i);
        check_eq(wait_with(0, false), -ETIMEDOUT);
    }
    return arg != NULL;
}

static int on_a_pipe(void *arg)
{
    check_eq(pipe2(ends, O_NONBLOCK), 0);
    check_eq(wf_poll_open(ends[0], WF_POLL_ANY, &end), 0);
    int (*const *fn)(void *) = arg;
    int r = (*fn)(NULL);
    wf_poll_close(end);
    close(ends[0]);
    close(ends[1]);
    return r;
}

Test(poll_desc, deadlines_in_all_orders, .timeout = 30)
{
    static int (*const fn)(void *) = deadlines;

    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, on_a_pipe, (void *)&fn);
}

Test(poll_desc, a_wait_ends_by_a_deadline_set_meanwhile_by_an_event_and_by_close, .timeout = 30)
{
    static int (*const fn)(void *) = woken_from_outside;

    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, on_a_pipe, (void *)&fn);
}

Test(poll_desc, a_deadline_that_passes_as_a_wait_begins_ends_it, .timeout = 60)
{
    static int (*const fn)(void *) = past_as_the_wait_begins;

    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, on_a_pipe, (void *)&fn);
}

static int always_ready(void *arg)
{
    wf_poll_desc *pd;
    FILE         *f = tmpfile();

    check_eq(wf_poll_open(fileno(f), WF_POLL_ANY, &pd), 0);
    end = pd;
    for (int i = 0; i < 3; i++)
        check_eq(wait_with(0, false), 0);
    wf_poll_close(pd);
    fclose(f);
    return arg != NULL;
}

/* EPERM from epoll: lesson 6. */
Test(poll_desc, lesson_6_a_regular_file_is_always_ready, .timeout = 30)
{
    run_on(2, always_ready, NULL);
}
