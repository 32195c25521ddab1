/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/grip.c - the entry check alone, as fast as it goes: one coroutine comes inside and leaves,
 * all the time, while a thread borrows its P.  Never may both believe that they have it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "runtime/sched.h"
#include "support/check.h"

enum { LOOKS = 12, LENDS = 2000000 };

static atomic_bool attack;
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

static int main_coroutine(void *arg)
{
    pthread_t thread;

    atomic_store(&attack, true);
    check_eq(pthread_create(&thread, NULL, attacker, wf_m_self()->pp), 0);
    for (int i = 0; atomic_load(&attack); i++)
        come_and_go(i);
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
    return arg != NULL;
}

int main(void)
{
    run_on(1, main_coroutine, NULL);
    return 0;
}
