/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scarce.c - waiting out a shortage; see scarce.h.
 *
 * Owns the queue of those who wait.  Lock order: its lock is as an fdlock's queue.
 */
#include "scarce.h"

#include "runtime/sys.h"

#define PAUSE_MIN_NS (5 * WEFT_MS)
#define PAUSE_MAX_NS (1 * WEFT_S)

static struct {
    wf_lock       lock;
    wf_waitq      queue;     /* under lock */
    volatile AO_t n_waiting; /* atomic: announced */
    volatile AO_t epoch;     /* written under lock: how often something was freed */
} scarce;

static void announce(wf_scarce *s)
{
    s->pause_ns = PAUSE_MIN_NS;
    AO_fetch_and_add_full(&scarce.n_waiting, 1); /* pairs with the fence in eased */
    s->epoch = AO_load(&scarce.epoch);
}

static bool enqueue(wf_scarce *s, wf_m *mp, wf_ticket *t)
{
    wf_lock_acquire(&scarce.lock);
    bool unchanged = AO_load(&scarce.epoch) == s->epoch;
    if (unchanged) {
        *t = wf_wait_arm(mp);
        wf_waitq_add(&scarce.queue, mp->gp, *t);
    }
    s->epoch = AO_load(&scarce.epoch);
    wf_lock_release(&scarce.lock);
    return unchanged;
}

static void dequeue(wf_scarce *s, wf_m *mp)
{
    wf_lock_acquire(&scarce.lock);
    wf_waitq_forget(mp->gp);
    s->epoch = AO_load(&scarce.epoch);
    wf_lock_release(&scarce.lock);
}

/* One pause of a parked operation: why it ended. */
static enum wf_reason sleep_once(wf_scarce *s, wf_op *op, const volatile AO_t *deadline)
{
    wf_ticket t = 0;
    if (!enqueue(s, op->mp, &t))
        return WF_EVENT;
    weft_time end = wf_now() + s->pause_ns;
    weft_time last = wf_fdlock_deadline(deadline);
    s->pause_ns = s->pause_ns * 2 < PAUSE_MAX_NS ? s->pause_ns * 2 : PAUSE_MAX_NS;
    enum wf_reason why =
        wf_wait(&op->mp, t, last < end ? last : end, wf_for(WF_FOR_FREE_DESCRIPTOR, NULL));
    dequeue(s, op->mp);
    return why;
}

int wf_scarce_wait(wf_scarce *s, wf_op *op)
{
    if (s->pause_ns == 0) {
        announce(s);
        return 0;
    }
    wf_poll_desc *pd = op->f->pd;
    if (!wf_op_rest(op))
        return -EBADF;
    enum wf_reason why = sleep_once(s, op, &pd->deadline[op->mode]);
    if (!wf_op_back(op))
        return -EBADF;
    if (why == WF_CANCEL)
        return -ECANCELED;
    return wf_poll_over(pd, op->mode);
}

void wf_scarce_end(wf_scarce *s)
{
    if (s->pause_ns)
        AO_fetch_and_add(&scarce.n_waiting, (AO_t)-1);
}

void wf_scarce_eased(wf_m *mp)
{
    wf_glist out;
    bool     parked;
    wf_fence(); /* what was freed, then the look; pairs with announce */
    if (WF_LIKELY(!AO_load(&scarce.n_waiting)))
        return;
    wf_glist_init(&out);
    wf_lock_acquire(&scarce.lock);
    AO_store(&scarce.epoch, AO_load(&scarce.epoch) + 1);
    for (wf_g *gp; (gp = wf_waitq_take(&scarce.queue, WF_EVENT, &parked));)
        if (parked)
            wf_glist_push(&out, gp);
    wf_lock_release(&scarce.lock);
    wf_ready_list(mp, &out);
}

void wf_scarce_reset(void)
{
    scarce.queue = (wf_waitq){ { NULL, NULL } };
    AO_store(&scarce.n_waiting, 0);
}

void wf_scarce_close(wf_m *mp, int fd)
{
    wf_sys_close(fd);
    wf_scarce_eased(mp);
}
