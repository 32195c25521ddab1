/* SPDX-License-Identifier: Apache-2.0 */
/* chan.c - channels, one at a time; the invariants are in chan.h. */
#include "chan.h"
#include "look.h"

#include <stdlib.h>
#include <string.h>

/* ---- Elements -------------------------------------------------------------------- */

/* The common sizes without a call. */
static inline void copy(void *to, const void *from, size_t n)
{
    if (n == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else if (n == sizeof(uint32_t))
        memcpy(to, from, sizeof(uint32_t));
    else if (n > 0)
        memcpy(to, from, n);
}

static inline void give(weft_chan *c, void *to, const void *from)
{
    if (to)
        copy(to, from, c->elem_size);
}

static inline WF_ALWAYS_INLINE void put(weft_chan *c, const void *elem)
{
    size_t at = c->first + c->count;
    if (at >= c->cap)
        at -= c->cap;
    give(c, c->buffer + at * c->elem_size, elem);
    c->count++;
}

static void get(weft_chan *c, void *elem)
{
    give(c, elem, c->buffer + c->first * c->elem_size);
    if (++c->first == c->cap)
        c->first = 0;
    c->count--;
}

static WF_NOINLINE wf_slot *take_a_waiter(wf_list *queue)
{
    do {
        wf_slot *s = WF_CONTAINER(queue->next, wf_slot, node);
        wf_list_remove(&s->node);
        if (wf_token_take(s->gp, s->ticket) != WF_LOST) {
            s->fired = true;
            return s;
        }
    } while (!wf_list_empty(queue));
    return NULL;
}

/* The oldest waiter whose token this call wins; its G is parked. */
static inline wf_slot *take_waiter(wf_list *queue)
{
    return wf_list_empty(queue) ? NULL : take_a_waiter(queue);
}

static inline enum wf_done try_send(weft_chan *c, const void *elem, wf_g **wake)
{
    *wake = NULL;
    if (c->closed)
        return WF_CLOSED;
    wf_slot *receiver = take_waiter(&c->recvq);
    if (receiver) {
        give(c, receiver->recv, elem);
        *wake = receiver->gp;
        return WF_DONE;
    }
    if (c->count == c->cap)
        return WF_NOT_READY;
    put(c, elem);
    return WF_DONE;
}

static inline enum wf_done try_recv(weft_chan *c, void *elem, wf_g **wake)
{
    *wake = NULL;
    if (c->count == 0) {
        wf_slot *sender = take_waiter(&c->sendq);
        if (sender) {
            give(c, elem, sender->send);
            *wake = sender->gp;
            return WF_DONE;
        }
        return c->closed ? WF_CLOSED : WF_NOT_READY;
    }
    get(c, elem);
    wf_slot *sender = take_waiter(&c->sendq);
    if (sender) {
        put(c, sender->send);
        *wake = sender->gp;
    }
    return WF_DONE;
}

enum wf_done wf_chan_try_send(weft_chan *c, const void *elem, wf_g **wake)
{
    return try_send(c, elem, wake);
}

enum wf_done wf_chan_try_recv(weft_chan *c, void *elem, wf_g **wake)
{
    return try_recv(c, elem, wake);
}

_Static_assert(offsetof(weft_chan, recvq) <= WF_CHAN_LOOK_BYTES, "look.h");

void wf_chan_look(const void *copy, wf_look *out)
{
    const weft_chan *c = copy;
    out->n = (int64_t)c->count;
    out->cap = (int64_t)c->cap;
    out->closed = wf_look_flag(&c->closed);
    out->of_timer = wf_look_flag(&c->of_timer);
}

/* ---- Life ------------------------------------------------------------------------- */

weft_chan *weft_chan_new(size_t elem_size, size_t capacity)
{
    size_t bytes;
    if (__builtin_mul_overflow(elem_size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(weft_chan), &bytes))
        return NULL;
    weft_chan *c = malloc(bytes);
    if (c)
        wf_chan_init(c, elem_size, capacity);
    return c;
}

void wf_chan_init(weft_chan *c, size_t elem_size, size_t capacity)
{
    *c = (weft_chan){ .elem_size = elem_size, .cap = capacity, .refs = 1 };
    wf_list_init(&c->recvq);
    wf_list_init(&c->sendq);
}

weft_chan *weft_chan_ref(weft_chan *c)
{
    if ((intptr_t)AO_fetch_and_add(&c->refs, 1) <= 0) /* the caller has one: needs no order */
        wf_die("weft_chan_ref: the channel had no reference left");
    return c;
}

void weft_chan_unref(weft_chan *c)
{
    if (!c)
        return;
    /* full: pairs with itself; the last sees what the others did */
    intptr_t was = (intptr_t)AO_fetch_and_add_full(&c->refs, (AO_t)-1);
    if (was <= 0)
        wf_die("weft_chan_unref: the channel had no reference left");
    if (was == 1) {
        wf_guard_settle();
        free(c);
    }
}

bool wf_chan_is_unused(const weft_chan *c)
{
    return AO_load_acquire(&c->refs) == 1 /* pairs with others' weft_chan_unref */
           && wf_list_empty(&c->recvq) && wf_list_empty(&c->sendq);
}

/* ---- Calls -------------------------------------------------------------------------- */

static inline WF_ALWAYS_INLINE enum wf_done attempt(weft_chan *c, enum wf_side side, void *elem,
                                                    wf_g **wake)
{
    return side == WF_SEND ? try_send(c, elem, wake) : try_recv(c, elem, wake);
}

static inline int result(enum wf_done done)
{
    return done == WF_DONE ? 0 : done == WF_CLOSED ? -EPIPE : -ETIMEDOUT;
}

/* Under c->lock: stands in the queue. */
static inline wf_what publish(wf_m *mp, weft_chan *c, enum wf_side side, void *elem, wf_slot *s)
{
    *s = (wf_slot){ .chan = c, .gp = mp->gp, .ticket = wf_wait_arm(mp) };
    if (side == WF_SEND)
        s->send = elem;
    else
        s->recv = elem;
    wf_list_append(wf_chan_queue(c, side), &s->node);
    return wf_for(side == WF_SEND ? WF_FOR_SEND : WF_FOR_RECEIVE, c);
}

static inline int waited(enum wf_reason why, wf_slot *s)
{
    if (WF_LIKELY(why == WF_EVENT))
        return s->closed ? -EPIPE : 0;
    wf_spin_acquire(&s->chan->lock);
    wf_list_remove(&s->node);
    wf_spin_release(&s->chan->lock);
    return wf_reason_error(why);
}

/* Under c->lock, which it frees, and which is the guard. */
static WF_NOINLINE int wait_for_ever(wf_m **mp, weft_chan *c, enum wf_side side, void *elem)
{
    wf_slot s;
    if (wf_g_cancelled((*mp)->gp)) { /* the look that g.h asks for, after the lock was taken */
        wf_guard_end((*mp)->gp);
        wf_spin_release(&c->lock);
        return -ECANCELED;
    }
    wf_what what = publish(*mp, c, side, elem, &s);
    return waited(wf_wait_guarded(mp, &c->lock, what), &s);
}

static void unlock(void *arg)
{
    wf_spin_release(&((weft_chan *)arg)->lock);
}

/* Under c->lock, which it frees. */
static int wait_until(wf_m **mp, weft_chan *c, enum wf_side side, void *elem, weft_time deadline)
{
    wf_slot s;
    wf_what what = publish(*mp, c, side, elem, &s);
    return waited(wf_wait_then(mp, s.ticket, deadline, what, unlock, c), &s);
}

static inline WF_ALWAYS_INLINE int operate_for_ever(wf_m **mp, weft_chan *c, enum wf_side side,
                                                    void *elem)
{
    wf_g *gp = (*mp)->gp, *wake;
    wf_guard_begin(gp, &c->lock);
    wf_spin_acquire(&c->lock);
    c->guarded = true;
    enum wf_done done = attempt(c, side, elem, &wake);
    if (done == WF_NOT_READY)
        return wait_for_ever(mp, c, side, elem);
    wf_guard_end(gp);
    wf_spin_release(&c->lock);
    if (wake)
        wf_ready(*mp, wake);
    return result(done);
}

static int operate(wf_m **mp, weft_chan *c, enum wf_side side, void *elem, weft_time deadline)
{
    wf_g *wake;
    wf_spin_acquire(&c->lock);
    enum wf_done done = attempt(c, side, elem, &wake);
    if (done == WF_NOT_READY && deadline != WEFT_NOWAIT)
        return wait_until(mp, c, side, elem, deadline);
    wf_spin_release(&c->lock);
    if (wake && *mp)
        wf_ready(*mp, wake);
    else if (wake)
        wf_ready_anywhere(wake);
    return result(done);
}

/* Without a runtime, or while it ends: whoever still stands in a queue never runs again, so
 * only the buffer counts. */
static int operate_alone(weft_chan *c, enum wf_side side, void *elem)
{
    int r = -ETIMEDOUT;
    wf_spin_acquire(&c->lock);
    if (side == WF_RECV && c->count > 0) {
        get(c, elem);
        r = 0;
    } else if (c->closed) {
        r = -EPIPE;
    } else if (side == WF_SEND && c->count < c->cap) {
        put(c, elem);
        r = 0;
    }
    wf_spin_release(&c->lock);
    return r;
}

/* WEFT_NOWAIT on a thread that runs no coroutine. */
static WF_COLD int operate_foreign(const char *call, weft_chan *c, enum wf_side side, void *elem,
                                   weft_time deadline)
{
    wf_m *none = NULL;
    if (deadline != WEFT_NOWAIT)
        wf_die_outside(wf_m_self(), call);
    if (!wf_sched_hold())
        return operate_alone(c, side, elem);
    int r = operate(&none, c, side, elem, deadline);
    wf_sched_release();
    return r;
}

static inline WF_ALWAYS_INLINE int call(const char *name, weft_chan *c, enum wf_side side,
                                        void *elem, weft_time deadline)
{
    wf_m *mp = wf_m_self();
    if (WF_UNLIKELY(!c))
        wf_die("%s: the channel is NULL", name);
    if (WF_UNLIKELY(!mp || !mp->gp))
        return operate_foreign(name, c, side, elem, deadline);
    wf_enter_as(mp);
    int r;
    if (wf_g_cancelled(mp->gp))
        r = -ECANCELED;
    else if (deadline == WEFT_FOREVER)
        r = operate_for_ever(&mp, c, side, elem);
    else
        r = operate(&mp, c, side, elem, deadline);
    wf_leave(mp);
    return r;
}

int weft_chan_send(weft_chan *c, const void *elem)
{
    return call("weft_chan_send", c, WF_SEND, (void *)elem, WEFT_FOREVER);
}

int weft_chan_send_until(weft_chan *c, const void *elem, weft_time deadline)
{
    return call("weft_chan_send_until", c, WF_SEND, (void *)elem, deadline);
}

int weft_chan_recv(weft_chan *c, void *elem)
{
    return call("weft_chan_recv", c, WF_RECV, elem, WEFT_FOREVER);
}

int weft_chan_recv_until(weft_chan *c, void *elem, weft_time deadline)
{
    return call("weft_chan_recv_until", c, WF_RECV, elem, deadline);
}

static void close_queue(wf_list *queue, wf_glist *out)
{
    for (wf_slot *s; (s = take_waiter(queue));) {
        s->closed = true;
        wf_glist_push(out, s->gp);
    }
}

void wf_chan_close(weft_chan *c, wf_glist *out)
{
    c->closed = true;
    close_queue(&c->recvq, out);
    close_queue(&c->sendq, out);
}

int weft_chan_close(weft_chan *c)
{
    wf_m    *mp = wf_m_self();
    bool     inside = mp && mp->gp, held = !inside && wf_sched_hold();
    wf_glist out;
    wf_glist_init(&out);
    if (!c)
        wf_die("weft_chan_close: the channel is NULL");
    if (inside)
        mp = wf_enter("weft_chan_close");
    wf_spin_acquire(&c->lock);
    int r = c->closed ? -EPIPE : 0;
    if (inside || held)
        wf_chan_close(c, &out);
    else
        c->closed = true; /* whoever waits never runs again */
    wf_spin_release(&c->lock);
    wf_ready_list(inside ? mp : NULL, &out);
    if (inside)
        wf_leave(mp);
    if (held)
        wf_sched_release();
    return r;
}

size_t weft_chan_len(const weft_chan *c)
{
    if (c->of_timer)
        return 0;
    weft_chan *changed = (weft_chan *)c; /* only its lock */
    wf_spin_acquire(&changed->lock);
    size_t n = c->count;
    wf_spin_release(&changed->lock);
    return n;
}

size_t weft_chan_cap(const weft_chan *c)
{
    return c->of_timer ? 0 : c->cap;
}
