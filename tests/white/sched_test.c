/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/sched_test.c - who may touch a P: only its owner pushes to its ring, which builds with
 * assertions watch; and a P is taken only from an M that is in other code.  And the moments between
 * a look at the cancel flag and the park.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "runtime/wait.h"
#include "support/child.h"

/* Pushes to the ring of a P that this thread does not hold. */
static int push_to_another(void *arg)
{
    static wf_m impostor;
    static wf_g gs[2];
    wf_glist    list;
    wf_m       *mp = wf_m_self();

    impostor.pp = wf_the_sched.ps[mp->pp == wf_the_sched.ps[0] ? 1 : 0];
    wf_glist_init(&list);
    wf_glist_push(&list, &gs[0]);
    wf_push_local(&impostor, &list);
    return arg != NULL;
}

static int run_push_to_another(void *arg)
{
    weft_options opt = { .procs = 2 };

    return weft_run(&opt, push_to_another, arg);
}

Test(sched, lesson_29_only_the_owner_pushes_to_a_ring)
{
    assert_dies_saying(child_run(run_push_to_another, NULL), "pp->m == wf_m_self()");
}

/* ---- Taking a P: what an M inside the runtime keeps, and one in other code loses ---------------- */

static atomic_int stage;
static wf_p      *theirs;

static void holds_its_p(void *arg)
{
    wf_m *mp = wf_enter("a test");

    theirs = mp->pp;
    atomic_store(&stage, 1);
    while (atomic_load(&stage) == 1)
        ; /* inside: nobody may take it */
    check_eq(AO_load(&theirs->status), WF_P_RUNNING);
    wf_leave(mp);
    check(arg == NULL);
    atomic_store(&stage, 3);
}

static int tries_to_take(void *arg)
{
    wf_m *mp = wf_m_self();

    atomic_store(&stage, 0);
    check_eq(weft_go(holds_its_p, NULL, 0), 0);
    while (atomic_load(&stage) == 0)
        ; /* it runs on the other P */
    mp = wf_enter("a test");
    check(theirs != mp->pp);
    wf_lock_acquire(&wf_the_sched.lock); /* as its callers do: theirs->m is stable */
    for (int i = 0; i < 1000; i++)
        check(!wf_p_take(theirs));
    wf_lock_release(&wf_the_sched.lock);
    wf_leave(mp);
    atomic_store(&stage, 2);
    while (atomic_load(&stage) == 2)
        ;
    return arg != NULL;
}

Test(sched, a_p_is_not_taken_from_an_m_that_is_inside, .timeout = 30)
{
    run_on(2, tries_to_take, NULL);
}

/* ---- Cancelled between the look at the flag and the park ---------------------------------------- */

/* A canceller that came before the token was armed found nothing to fire: it only set the flag. */
static int cancelled_before_the_park(void *arg)
{
    for (int shielded = 0; shielded < 2; shielded++) {
        wf_m *mp = wf_enter("a test");
        check(!wf_g_cancelled(mp->gp));
        AO_char_store(&mp->gp->cancel, 1);
        wf_ticket      t = shielded ? wf_wait_arm_shielded(mp) : wf_wait_arm(mp);
        enum wf_reason why = wf_wait(&mp, t, weft_after(20 * WEFT_MS), wf_for(WF_FOR_TIME, NULL));
        check_eq(why, shielded ? WF_TIMEOUT : WF_CANCEL);
        AO_char_store(&mp->gp->cancel, 0);
        wf_leave(mp);
    }
    return arg != NULL;
}

Test(sched, lesson_22_a_cancellation_just_before_the_park_is_seen_after_it, .timeout = 30)
{
    for (int procs = 1; procs <= 4; procs *= 2)
        run_on(procs, cancelled_before_the_park, NULL);
}
