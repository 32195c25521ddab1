/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chan_timer.c - weft_timer: delivers the time to a channel, by the rule of Go 1.23.
 *
 * The channel has room for one value that does not show (len and cap read 0): until it is
 * received the timer counts as still to fire, so stop and reset take it back, and no stale
 * value can ever be received.  All of a timer lies under its channel's lock, which comes
 * before the timer heap's.
 *
 * References: the user's, and one while the timer is in a heap or on its way out of it to
 * `fire`.  `seq` tells a firing that was overtaken by a stop or reset that it is stale.
 */
#include "chan.h"

#include <stdlib.h>

struct weft_timer {
    weft_chan    *chan;
    wf_timer      timer;  /* under chan->lock */
    AO_t          seq;    /* under chan->lock: of the setting in force */
    int64_t       next;   /* under chan->lock: when it fires; 0: it does not */
    int64_t       period; /* under chan->lock: 0: once */
    volatile AO_t refs;   /* atomic */
};

static void unref(weft_timer *t)
{
    if (AO_fetch_and_add_full(&t->refs, (AO_t)-1) != 1)
        return;
    weft_chan_unref(t->chan);
    free(t);
}

static void fire(void *arg, AO_t seq, wf_glist *out);

/* Under the lock.  Without memory for the heap it does not fire: stop and reset say so. */
static void arm(wf_m *mp, weft_timer *t, int64_t when)
{
    if (when <= 0)
        when = 1; /* long past, but a time */
    t->next = 0;
    int r = wf_timer_add(&mp->pp->timers, &t->timer, when, fire, t, ++t->seq);
    if (r < 0)
        return;
    t->next = when;
    AO_fetch_and_add_full(&t->refs, 1);
    if (r == 1)
        wf_timer_wake(when);
}

/* The first of the periods after now that have not passed: ticks missed are dropped. */
static int64_t following(const weft_timer *t, int64_t now)
{
    int64_t late = now - t->next, skip, next;
    if (__builtin_mul_overflow(late / t->period + 1, t->period, &skip) ||
        __builtin_add_overflow(t->next, skip, &next))
        return WEFT_FOREVER;
    return next;
}

static void fire(void *arg, AO_t seq, wf_glist *out)
{
    weft_timer *t = arg;
    wf_g       *wake = NULL;
    wf_spin_acquire(&t->chan->lock);
    if (t->seq == seq && t->next != 0) {
        weft_time now = wf_now();
        wf_chan_try_send(t->chan, &now, &wake); /* full: this tick is dropped */
        if (t->period > 0)
            arm(wf_m_self(), t, following(t, now));
        else
            t->next = 0;
    }
    wf_spin_release(&t->chan->lock);
    if (wake)
        wf_glist_push(out, wake);
    unref(t);
}

/* Under the lock: true if it was still to fire, or its value was not received. */
static bool disarm(weft_timer *t)
{
    bool armed = t->next != 0; /* else timer.heap may be one of an earlier run, freed with it */
    bool was = armed || t->chan->count > 0;
    bool out = armed && wf_timer_del(&t->timer);
    bool gone = armed && AO_load(&t->timer.heap) == 0; /* the runtime ended meanwhile */
    t->chan->count = 0;
    t->next = 0;
    t->seq++;
    if (out || gone)
        AO_fetch_and_add_full(&t->refs, (AO_t)-1); /* the user's is left */
    return was;
}

weft_timer *weft_timer_new(weft_time first, int64_t period_ns)
{
    wf_m       *mp = wf_enter("weft_timer_new");
    weft_timer *t = period_ns >= 0 ? calloc(1, sizeof *t) : NULL;
    if (t && !(t->chan = weft_chan_new(sizeof(weft_time), 1))) {
        free(t);
        t = NULL;
    }
    if (t) {
        t->chan->of_timer = true;
        t->refs = 1;
        t->period = period_ns;
        wf_spin_acquire(&t->chan->lock);
        arm(mp, t, first);
        bool armed = t->next != 0;
        wf_spin_release(&t->chan->lock);
        if (!armed) {
            unref(t);
            t = NULL;
        }
    }
    wf_leave(mp);
    return t;
}

weft_chan *weft_timer_chan(weft_timer *t)
{
    return t->chan;
}

bool weft_timer_stop(weft_timer *t)
{
    wf_m *mp = wf_enter("weft_timer_stop");
    wf_spin_acquire(&t->chan->lock);
    bool was = disarm(t);
    wf_spin_release(&t->chan->lock);
    wf_leave(mp);
    return was;
}

bool weft_timer_reset(weft_timer *t, weft_time first, int64_t period_ns)
{
    wf_m *mp = wf_enter("weft_timer_reset");
    if (period_ns < 0)
        wf_die("weft_timer_reset: the period %lld is negative", (long long)period_ns);
    wf_spin_acquire(&t->chan->lock);
    bool was = disarm(t);
    t->period = period_ns;
    arm(mp, t, first);
    wf_spin_release(&t->chan->lock);
    wf_leave(mp);
    return was;
}

void weft_timer_free(weft_timer *t)
{
    if (!t)
        return;
    wf_m *mp = wf_enter("weft_timer_free");
    wf_spin_acquire(&t->chan->lock);
    disarm(t);
    wf_spin_release(&t->chan->lock);
    wf_leave(mp);
    weft_chan_close(t->chan);
    unref(t);
}
