/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/grip.c - the entry check alone, as fast as it goes: one coroutine comes inside and leaves,
 * all the time, while a thread borrows its P, or takes it.  Never may both believe that they have it;
 * and it can be taken.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "runtime/sched.h"
#include "support/check.h"

enum { LOOKS = 12, LENDS = 2000000, TAKES = 1000, CALLS = 4 };

static atomic_bool attack;
static atomic_int  visits;
static wf_g        nobody;

static void *attacker(void *arg)
{
    for (long i = 0; i < test_scaled(LENDS); i++)
        check(!wf_p_lend(arg, (AO_t)&nobody)); /* it is not in runnext: nothing is taken */
    atomic_store(&attack, false);
    return NULL;
}

static void come_and_go(int i)
{
    wf_m *mp = wf_enter("come_and_go");
    for (int k = 0; k < LOOKS; k++)
        check(AO_load(&mp->grip) != WF_GRIP_LENT);
    check(mp->pp->m == mp);
    wf_leave(mp);
    for (volatile int k = i % 16; k > 0; k--)
        ;
}

static void under(void *(*attacking)(void *arg), void *target, void (*call)(int i))
{
    pthread_t thread;

    atomic_store(&attack, true);
    check_eq(pthread_create(&thread, NULL, attacking, target), 0);
    for (int i = 0; atomic_load(&attack); i++)
        call(i);
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
}

/* Inside for most of the time: no membarrier would find it outside, if it did not step out. */
static void come_at_once(int i)
{
    wf_m *mp = wf_enter("come_at_once");
    check(mp->pp->m == mp);
    wf_leave(mp);
    atomic_store_explicit(&visits, i, memory_order_relaxed);
}

/* Mostly in other code, but not for as long as a membarrier takes. */
static void block_at_once(int i)
{
    AO_store(&wf_the_sched.ps[0]->blocks_long, 0); /* else it gives its P up itself */
    weft_block_enter();
    for (int k = 0; k < CALLS; k++)
        (void)getppid();
    weft_block_leave();
    atomic_store_explicit(&visits, i, memory_order_relaxed);
}

static bool take_as_sysmon(wf_p *pp)
{
    return wf_p_retake(pp, false);
}

static bool take_as_the_stop(wf_p *pp)
{
    wf_lock_acquire(&wf_the_sched.lock);
    bool taken = wf_p_take(pp);
    if (taken)
        wf_p_pass_on(pp); /* frees the lock */
    else
        wf_lock_release(&wf_the_sched.lock);
    return taken;
}

static void *taker(void *arg)
{
    wf_m *mp = arg;
    long  taken[2] = { 0, 0 }, n = test_scaled(TAKES);

    for (long i = 0; i < n; i++) {
        int seen = atomic_load(&visits); /* while its thread is off the CPU, inside, none can */
        while (AO_load(&mp->grip) != WF_GRIP_HELD || atomic_load(&visits) == seen)
            ;
        taken[i % 2] += (i % 2 ? take_as_sysmon : take_as_the_stop)(wf_the_sched.ps[0]);
    }
    atomic_store(&attack, false);
    check(taken[0] > n / 16 && taken[1] > n / 16);
    return NULL;
}

static int main_coroutine(void *arg)
{
    under(attacker, wf_m_self()->pp, come_and_go);
    under(taker, wf_m_self(), come_at_once);
    weft_pin(); /* or it comes back from a block on another thread */
    under(taker, wf_m_self(), block_at_once);
    weft_unpin();
    return arg != NULL;
}

int main(void)
{
    run_on(1, main_coroutine, NULL);
    return 0;
}
