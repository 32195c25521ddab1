/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c - the contended halves of the runtime's locks; see lock.h. */
#include "lock.h"

#include "os.h"

#include <sched.h>

enum { SPINS = 100 };

/* Each CAS pairs with those that free the lock, of wf_lock_release and wf_lock_wake. */
void wf_lock_slow(wf_lock *l)
{
    WF_TALLY_EVENT_AT("lock waited for", l);
    for (int i = 0; i < SPINS; i++) {
        wf_cpu_relax();
        if (AO_int_load(&l->word) == 0 && AO_int_compare_and_swap_full(&l->word, 0, 1))
            return;
    }
    for (;;) {
        /* Taken as CONTENDED: this thread cannot know whether others sleep. */
        if (AO_int_compare_and_swap_full(&l->word, 0, 2))
            return;
        if (AO_int_load(&l->word) == 2 || AO_int_compare_and_swap_full(&l->word, 1, 2))
            wf_futex_wait(&l->word, 2, WEFT_FOREVER);
    }
}

void wf_lock_wake(wf_lock *l)
{
    unsigned was = AO_int_load(&l->word);
    wf_assert(was == 1 || was == 2);
    while (!AO_int_compare_and_swap_full(&l->word, was, 0)) /* pairs with wf_lock_try */
        was = AO_int_load(&l->word);
    if (was == 2)
        wf_futex_wake(&l->word, 1);
}

/* The CAS pairs with wf_spin_release. */
void wf_spin_slow(wf_spin *l)
{
    WF_TALLY_EVENT_AT("lock waited for", l);
    for (int i = 1;; i++) {
        if (i % SPINS == 0)
            sched_yield();
        else
            wf_cpu_relax();
        if (AO_int_load(&l->word) == 0 && AO_int_compare_and_swap_full(&l->word, 0, 1))
            return;
    }
}
