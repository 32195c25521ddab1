/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/waitgroup_test.c - the waitgroup's word while a waiter takes itself out of the chain:
 * what an add that ends at zero then leaves to the holder, and what the holder does.  These moments
 * last a dozen instructions, so they are made by hand.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "runtime/sync.c"
#include "support/procs.h"

static weft_waitgroup all, wg;
static atomic_int     woken;

static void waits(void *arg)
{
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    atomic_fetch_add(&woken, 1);
    weft_waitgroup_done(arg);
}

/* Three in the chain of a count of 2, and the lock held by us. */
static AO_t locked_chain(void)
{
    volatile AO_t *word = word_of(&wg);

    atomic_store(&woken, 0);
    weft_waitgroup_add(&wg, 2);
    weft_waitgroup_add(&all, 3);
    for (int i = 0; i < 3; i++) {
        AO_t before = AO_load(word) & INDEX_MASK;
        check_eq(weft_go(waits, &all, 0), 0);
        await_yielding((AO_load(word) & INDEX_MASK) != before);
    }
    AO_t old = AO_load(word);
    check_eq(count_of(old), 2);
    check(AO_compare_and_swap_full(word, old, old | LOCKED));
    return old & INDEX_MASK;
}

static int zero_while_locked(void *arg)
{
    volatile AO_t *word = word_of(&wg);
    AO_t           chain = locked_chain();

    weft_waitgroup_done(&wg);
    weft_waitgroup_done(&wg);
    check_eq(AO_load(word), LOCKED | chain); /* at zero, but not to be freed yet */
    check_eq(weft_sleep(WEFT_MS), 0);
    check_eq(atomic_load(&woken), 0);
    unlock(word, chain);
    check_eq(AO_load(word), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check_eq(atomic_load(&woken), 3);
    return arg != NULL;
}

Test(waitgroup, who_holds_the_chain_as_the_count_reaches_zero_fires_it, .timeout = 30)
{
    run_on_all(zero_while_locked, NULL);
}

static int unlocked_above_zero(void *arg)
{
    volatile AO_t *word = word_of(&wg);
    AO_t           chain = locked_chain();

    weft_waitgroup_add(&wg, 5);
    unlock(word, chain);
    check_eq(AO_load(word), 7 * ONE | chain);
    weft_waitgroup_add(&wg, -7);
    check_eq(AO_load(word), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(waitgroup, a_count_that_changed_meanwhile_is_kept, .timeout = 30)
{
    run_on_all(unlocked_above_zero, NULL);
}

static int taken_out(void *arg)
{
    for (int which = 0; which < 3; which++) { /* newest, middle, oldest */
        AO_t  chain = locked_chain();
        wf_g *gp = wf_g_at((unsigned)chain);
        bool  found;
        for (int i = 0; i < which; i++)
            gp = gp->wait_next;
        AO_t rest = without(chain, gp, &found);
        check(found);
        int left = 0;
        for (wf_g *at = rest ? wf_g_at((unsigned)rest) : NULL; at; at = at->wait_next) {
            check(at != gp);
            left++;
        }
        check_eq(left, 2);
        check_eq(without(rest, gp, &found), rest);
        check(!found);
        unlock(word_of(&wg), rest);
        weft_waitgroup_add(&wg, -2);
        await_yielding(atomic_load(&woken) == 2);
        wf_wake(gp, AO_load(&gp->wait_ticket), WF_EVENT); /* the one that was taken out */
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    return arg != NULL;
}

Test(waitgroup, each_position_can_be_taken_out_of_the_chain, .timeout = 30)
{
    run_on_all(taken_out, NULL);
}
