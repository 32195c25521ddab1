/* SPDX-License-Identifier: Apache-2.0 */
/* detach.c - taking its requests away from a ring whose thread is stuck; see detach.h. */
#ifdef WEFT_URING

#include "detach.h"

#include "completed.h"

#define STALL_NS (5 * WEFT_MS)

enum { BEGUN = 1, DONE };

bool wf_ring_stalls(wf_uring *u, int64_t now)
{
    unsigned tail = AO_int_load((volatile unsigned *)u->io.cq.ktail);
    bool     waits = wf_ring_flags(u) & IORING_SQ_TASKRUN && !AO_load(&u->detached);
    if (!waits || tail != u->tail) {
        u->tail = tail;
        u->tail_at = now;
    }
    return now - u->tail_at >= STALL_NS;
}

static void orphan(const wf_uring *u, wf_poll_desc *pd, wf_glist *out)
{
    wf_spin_acquire(&pd->lock);
    if (pd->inbox.ring == u) {
        pd->inbox.ring = NULL;
        pd->inbox.ending = pd->inbox.more = false;
        pd->inbox.orphan = true;
        if (!pd->closing)
            wf_poll_fire(pd, WF_READ, WF_EVENT, out);
    }
    wf_spin_release(&pd->lock);
}

void wf_ring_detach(wf_uring *u, wf_glist *out)
{
    wf_lock_acquire(&u->sq);
    AO_store(&u->detached, BEGUN);
    wf_lock_release(&u->sq);
    wf_ring_flush(u, out);
    wf_ring_cancel_all(u);
    wf_ring_take_all(u, out);
    for (unsigned i = 1; i < wf_poll_cache_count(); i++)
        orphan(u, wf_poll_cache_at(i), out);
    AO_store_release(&u->detached, DONE); /* pairs with wf_ring_settle */
}

bool wf_ring_settle(wf_uring *u, wf_glist *out)
{
    AO_t detached = AO_load_acquire(&u->detached); /* pairs with wf_ring_detach */
    if (WF_LIKELY(detached != DONE))
        return detached == 0;
    io_uring_get_events(&u->io);
    wf_ring_take_all(u, out);
    wf_lock_acquire(&u->sq);
    if (!AO_load(&u->out))
        AO_store(&u->detached, 0);
    wf_lock_release(&u->sq);
    return !AO_load(&u->detached);
}

#endif
