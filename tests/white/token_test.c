/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/token_test.c - the wait token: each line of its table in runtime/g.h, what must not
 * happen, and wakers that compete with each other and with the lander.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "runtime/g.h"
#include "support/check.h"

static wf_g g;

static unsigned state(void)
{
    return (unsigned)(AO_load(&g.token) & WF_TOKEN_STATE_MASK);
}

static wf_ticket armed(AO_t flags)
{
    return wf_token_arm(&g, flags);
}

static wf_ticket parked(AO_t flags)
{
    wf_ticket t = armed(flags);

    cr_assert(wf_token_park(&g, AO_load(&g.token)));
    cr_assert_eq(state(), WF_PARKED);
    return t;
}

Test(token, each_wait_has_another_number)
{
    wf_ticket last = 0;

    for (int i = 0; i < 1000; i++) {
        wf_ticket t = i % 2 ? armed(0) : parked(WF_TOKEN_UNCANCELLABLE);
        cr_assert_gt(t, last);
        cr_assert_eq(t & ~WF_TICKET_MASK, 0);
        cr_assert_eq(wf_token_fire(&g, t, WF_EVENT), i % 2 ? WF_WON : WF_WON_PARKED);
        cr_assert_eq(state(), WF_FIRED);
        last = t;
    }
}

Test(token, who_fires_first_wins_and_gives_the_reason)
{
    static const enum wf_reason reasons[] = { WF_EVENT, WF_TIMEOUT, WF_CANCEL, WF_CLOSE };

    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            wf_ticket t = parked(0);
            cr_assert_eq(wf_token_fire(&g, t, reasons[i]), WF_WON_PARKED);
            cr_assert_eq(wf_token_fire(&g, t, reasons[j]), WF_LOST);
            cr_assert_eq(wf_token_reason(&g), reasons[i]);
        }
}

Test(token, one_that_fires_before_the_park_leaves_the_g_to_the_lander)
{
    wf_ticket t = armed(0);
    AO_t      before = AO_load(&g.token);

    cr_assert_eq(wf_token_fire(&g, t, WF_TIMEOUT), WF_WON,
                 "not WF_WON_PARKED: it is still running");
    cr_assert_not(wf_token_park(&g, before), "the lander must run the G again");
    cr_assert_eq(state(), WF_FIRED);
    cr_assert_eq(wf_token_reason(&g), WF_TIMEOUT);
}

Test(token, a_late_waker_of_an_earlier_wait_does_nothing)
{
    wf_ticket old = parked(0);

    wf_token_fire(&g, old, WF_EVENT);
    cr_assert_eq(wf_token_fire(&g, old, WF_TIMEOUT), WF_LOST, "it has ended");
    wf_ticket now = armed(0);
    cr_assert_eq(wf_token_fire(&g, old, WF_TIMEOUT), WF_LOST, "while the next is armed");
    cr_assert_eq(state(), WF_ARMED);
    cr_assert(wf_token_park(&g, AO_load(&g.token)));
    cr_assert_eq(wf_token_fire(&g, old, WF_TIMEOUT), WF_LOST, "while the next is parked");
    cr_assert_eq(state(), WF_PARKED);
    cr_assert_eq(wf_token_fire(&g, now, WF_EVENT), WF_WON_PARKED);
    cr_assert_eq(wf_token_reason(&g), WF_EVENT);
}

Test(token, cancellation_alone_passes_an_uncancellable_wait_by)
{
    for (int p = 0; p < 2; p++) {
        wf_ticket t = p ? parked(WF_TOKEN_UNCANCELLABLE) : armed(WF_TOKEN_UNCANCELLABLE);
        cr_assert_eq(wf_token_fire(&g, t, WF_CANCEL), WF_LOST);
        cr_assert_eq(state(), p ? WF_PARKED : WF_ARMED);
        cr_assert_neq(wf_token_fire(&g, t, p ? WF_TIMEOUT : WF_CLOSE), WF_LOST);
    }
    cr_assert_eq(wf_token_fire(&g, armed(0), WF_CANCEL), WF_WON,
                 "the next one is cancellable again");
}

/* As sysmon does to move a stack: the lander of the switch once more. */
Test(token, what_is_taken_back_is_armed_and_parks_again_unless_fired)
{
    static const AO_t flags[] = { 0, WF_TOKEN_UNCANCELLABLE };

    for (int i = 0; i < 4; i++) {
        wf_ticket t = armed(flags[i % 2]);
        AO_t      before = AO_load(&g.token);

        cr_assert(wf_token_park(&g, before));
        AO_t then = AO_load(&g.token);
        cr_assert(wf_token_unpark(&g, then));
        cr_assert_eq(AO_load(&g.token), before);
        cr_assert_not(wf_token_unpark(&g, then), "it is armed");
        if (i >= 2) {
            cr_assert_eq(wf_token_fire(&g, t, WF_EVENT), WF_WON, "not WF_WON_PARKED");
            cr_assert_not(wf_token_park(&g, before), "sysmon must run the G");
        } else {
            cr_assert(wf_token_park(&g, before));
            cr_assert_eq(wf_token_fire(&g, t, WF_EVENT), WF_WON_PARKED);
            cr_assert_not(wf_token_unpark(&g, then), "a waker was first");
        }
    }
}

Test(token, a_wait_that_is_withdrawn_cannot_be_fired)
{
    wf_ticket t = armed(0);

    cr_assert(wf_token_withdraw(&g, t));
    cr_assert_eq(wf_token_fire(&g, t, WF_EVENT), WF_LOST);
    t = armed(WF_TOKEN_UNCANCELLABLE);
    wf_token_fire(&g, t, WF_CLOSE);
    cr_assert_not(wf_token_withdraw(&g, t), "a waker was first");
    cr_assert_eq(wf_token_reason(&g), WF_CLOSE);
}

/* ---- Guarded waits ------------------------------------------------------------------------------ */

static wf_ticket guarded(AO_t flags)
{
    wf_ticket t = armed(flags);

    AO_store(&g.guard, 1); /* some lock */
    wf_token_guard(&g);
    cr_assert_eq(state(), WF_PARKED);
    return t;
}

Test(token, a_guarded_wait_is_ended_by_who_comes_under_the_guard_alone)
{
    static const enum wf_reason reasons[] = { WF_EVENT, WF_TIMEOUT, WF_CANCEL, WF_CLOSE };
    wf_ticket                   t = guarded(0);

    for (int i = 0; i < 4; i++)
        cr_assert_eq(wf_token_fire(&g, t, reasons[i]), WF_LOST);
    cr_assert_eq(state(), WF_PARKED);
    cr_assert_eq(wf_token_take(&g, t - 0x100), WF_LOST, "of an earlier wait");
    cr_assert_eq(wf_token_take(&g, t), WF_WON_PARKED);
    cr_assert_eq(wf_token_reason(&g), WF_EVENT);
    cr_assert_eq(g.guard, 0, "before the lock is freed, with which the guard may go");
    cr_assert_eq(wf_token_take(&g, t), WF_LOST);
    cr_assert_not(wf_token_cancel(&g));
    cr_assert_eq(wf_token_fire(&g, armed(0), WF_CANCEL), WF_WON, "the next one is not guarded");
}

Test(token, a_guarded_wait_is_cancelled_once_and_not_if_it_is_uncancellable)
{
    wf_ticket t = guarded(WF_TOKEN_UNCANCELLABLE);

    cr_assert_not(wf_token_cancel(&g));
    cr_assert_eq(wf_token_take(&g, t), WF_WON_PARKED);
    t = guarded(0);
    cr_assert(wf_token_cancel(&g));
    cr_assert_eq(wf_token_reason(&g), WF_CANCEL);
    cr_assert_eq(g.guard, 0);
    cr_assert_not(wf_token_cancel(&g));
    cr_assert_eq(wf_token_take(&g, t), WF_LOST, "the event goes to another");
}

Test(token, what_is_taken_under_the_lock_need_not_be_guarded)
{
    cr_assert_eq(wf_token_take(&g, armed(0)), WF_WON);
    cr_assert_eq(wf_token_take(&g, parked(0)), WF_WON_PARKED);
    wf_ticket t = parked(0);
    cr_assert_not(wf_token_cancel(&g));
    cr_assert_eq(wf_token_fire(&g, t, WF_CANCEL), WF_WON_PARKED);
    cr_assert_eq(wf_token_take(&g, t), WF_LOST);
}

/* ---- Wakers and a lander ---------------------------------------------------------------------- */

enum { WAKERS = 3, ROUNDS = 5000 };

static volatile AO_t current, runs, wins, parks_lost, parks_won, waiting;

/* Fires the current wait, and now and then the one before it. */
static void *waker(void *arg)
{
    enum wf_reason why = (enum wf_reason)(uintptr_t)arg;
    AO_t           last = 0;

    for (;;) {
        AO_t t = AO_load_acquire(&current);
        if (t == 1)
            return NULL;
        if (t == last || t == 0) {
            sched_yield();
            continue;
        }
        if (last)
            cr_assert_eq(wf_token_fire(&g, last, why), WF_LOST);
        enum wf_fire how = wf_token_fire(&g, t, why);
        if (how != WF_LOST)
            AO_fetch_and_add_full(&wins, 1);
        if (how == WF_WON_PARKED)
            AO_fetch_and_add_full(&runs, 1); /* who would have made it runnable */
        last = t;
        AO_fetch_and_add_full(&waiting, 1);
    }
}

/* Arms, shows it, and parks as a lander would: either it is run by the waker, or by us. */
static void one_wait(unsigned delay)
{
    wf_ticket t = armed(0);
    AO_t      before = AO_load(&g.token);

    AO_store(&waiting, 0);
    AO_store_release(&current, t);
    for (unsigned i = 0; i < delay; i++)
        wf_cpu_relax();
    if (!wf_token_park(&g, before)) {
        AO_fetch_and_add_full(&runs, 1);
        parks_lost++;
    } else {
        parks_won++;
    }
    while (AO_load_acquire(&waiting) < WAKERS)
        sched_yield();
}

Test(token, of_many_wakers_one_wins_and_the_g_is_run_once, .timeout = 60)
{
    pthread_t threads[WAKERS];
    uint64_t  random = 5;
    long      rounds = test_scaled(ROUNDS);

    for (uintptr_t i = 0; i < WAKERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, waker, (void *)i), 0);
    for (long i = 0; i < rounds; i++) {
        one_wait(test_random(&random) % 64);
        cr_assert_eq(wins, (AO_t)i + 1);
        cr_assert_eq(runs, (AO_t)i + 1);
        cr_assert_eq(state(), WF_FIRED);
    }
    AO_store_release(&current, 1);
    for (int i = 0; i < WAKERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(parks_lost + parks_won, (AO_t)rounds);
}
