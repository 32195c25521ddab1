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
 * `fire`; together they hold one of the channel, behind whose buffer the timer lies.
 * `seq` tells a firing that was overtaken by a stop or reset that it is stale.
 */
#include "chan.h"

#include <stdlib.h>

struct weft_timer {
    weft_chan *chan;
    wf_timer   timer;  /* under chan->lock */
    AO_t       seq;    /* under chan->lock: of the setting in force */
    int64_t    next;   /* under chan->lock: when it fires; 0: it does not */
    int64_t    period; /* under chan->lock: 0: once */
    unsigned   refs;   /* under chan->lock */
    bool       quiet;  /* by stop and reset: stopped, in no heap, nor on its way out of one */
};

/* Under the lock, which it frees: one reference fewer. */
static void unref(weft_timer *t)
{
    weft_chan *c = t->chan;
    bool       last = --t->refs == 0;
    wf_spin_release(&c->lock);
    if (last)
        weft_chan_unref(c);
}

static void fire(void *arg, AO_t seq, wf_glist *out);

/*
 * Under the lock, or before anybody knows of t: it may fire as soon as it is added.  False:
 * there is no memory for the heap, so it does not fire; stop and reset say so.
 */
static bool arm(wf_m *mp, weft_timer *t, int64_t when)
{
    t->next = when > 0 ? when : 1; /* long past, but a time */
    t->refs++;
    if (wf_timer_start(mp, &t->timer, t->next, fire, t, ++t->seq) == 0)
        return true;
    t->next = 0;
    t->refs--;
    return false;
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
            (void)arm(wf_m_self(), t, following(t, now));
        else
            t->next = 0;
    }
    unref(t);
    if (wake)
        wf_glist_push(out, wake);
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
        t->refs--; /* the user's is left */
    return was;
}

/* ---- Memory: the P keeps a few, by the thread that holds it -------------------------- */

enum { BYTES = sizeof(weft_chan) + sizeof(weft_time) + sizeof(weft_timer) };

enum { KEPT = WF_ASAN ? 0 : 32 }; /* who uses a timer that was freed is to be found */

static weft_chan *memory_get(wf_p *pp)
{
    void **kept = pp->timers_kept;
    if (!kept)
        return malloc(BYTES);
    pp->timers_kept = *kept;
    pp->n_timers_kept--;
    return (weft_chan *)kept;
}

static void memory_put(wf_p *pp, weft_chan *c)
{
    if (pp->n_timers_kept == KEPT) {
        free(c);
        return;
    }
    *(void **)c = pp->timers_kept;
    pp->timers_kept = c;
    pp->n_timers_kept++;
}

void wf_timers_free(wf_p *pp)
{
    for (void **kept; (kept = pp->timers_kept);) {
        pp->timers_kept = *kept;
        free(kept);
    }
    pp->n_timers_kept = 0;
}

/* ---- Calls ---------------------------------------------------------------------------- */

static weft_timer *create(wf_m *mp, weft_time first, int64_t period_ns)
{
    weft_chan *c = memory_get(mp->pp);
    if (!c)
        return NULL;
    wf_chan_init(c, sizeof(weft_time), 1);
    weft_timer *t = wf_chan_more(c);
    *t = (weft_timer){ .chan = c, .period = period_ns, .refs = 1 };
    c->of_timer = true;
    if (arm(mp, t, first))
        return t;
    weft_chan_unref(c);
    return NULL;
}

weft_timer *weft_timer_new(weft_time first, int64_t period_ns)
{
    wf_m       *mp = wf_enter("weft_timer_new");
    weft_timer *t = period_ns >= 0 ? create(mp, first, period_ns) : NULL;
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
    t->quiet = t->refs == 1;
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
    t->quiet = false;
    t->period = period_ns;
    (void)arm(mp, t, first);
    wf_spin_release(&t->chan->lock);
    wf_leave(mp);
    return was;
}

/* Nobody else can reach it, or will: there is nothing to lock against.  In this order: that the
 * channel is unused, by an acquire, shows what those wrote who used it. */
static bool is_left(const weft_timer *t)
{
    return t->quiet && wf_chan_is_unused(t->chan) && !t->chan->guarded;
}

static void end(wf_m *mp, weft_timer *t)
{
    weft_chan *c = t->chan;
    wf_glist   out;
    wf_glist_init(&out);
    wf_spin_acquire(&c->lock);
    disarm(t);
    if (t->refs == 1 && wf_chan_is_unused(c)) { /* nobody need hear that it is closed */
        wf_spin_release(&c->lock);
        wf_guard_settle(); /* a canceller may come for the lock still */
        memory_put(mp->pp, c);
    } else {
        wf_chan_close(c, &out);
        unref(t);
        wf_ready_list(mp, &out);
    }
}

void weft_timer_free(weft_timer *t)
{
    if (!t)
        return;
    wf_m *mp = wf_enter("weft_timer_free");
    if (WF_LIKELY(is_left(t)))
        memory_put(mp->pp, t->chan);
    else
        end(mp, t);
    wf_leave(mp);
}
