/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.c - weft_select: one of several sends and receives, at one moment.
 *
 * All channels are locked, each once, in order of address; so the look at the cases, and
 * the enqueueing if none is ready, are one moment for everybody else.  Among the ready
 * cases one is chosen evenly.  The locks are freed once the token is parked, the last of
 * the order first, so that the first one, which the woken G takes first, goes last:
 * whoever frees it touches this G's stack no more (tests/model/select.pml).
 */
#include "chan.h"
#include "look.h"
#include "peek.h"

#include <stdlib.h>

enum { SMALL = 4, MOST_ON_STACK = 64 };

struct select {
    weft_case *cases;
    uint32_t  *order; /* live cases by address of their channel */
    int        n_live;
    wf_slot   *slots; /* by case */
};

static bool is_send(const weft_case *k)
{
    return k->send != NULL;
}

_Static_assert(sizeof(struct select) <= WF_SELECT_LOOK_BYTES, "look.h");

int wf_select_look(const void *copy, wf_select_seen *out, int most)
{
    const struct select *s = copy;
    for (int i = 0; i < s->n_live && i < most; i++) {
        weft_case k = { 0 };
        uint32_t  at;
        if (wf_peek(&at, &s->order[i], sizeof at))
            wf_peek(&k, &s->cases[at], sizeof k);
        out[i] = (wf_select_seen){ k.chan, is_send(&k) };
    }
    return s->n_live;
}

/* ---- Order and locks --------------------------------------------------------------- */

static uintptr_t key(const struct select *s, int i)
{
    return (uintptr_t)s->cases[s->order[i]].chan;
}

static void swap(uint32_t *order, int i, int j)
{
    uint32_t t = order[i];
    order[i] = order[j];
    order[j] = t;
}

static void sift(struct select *s, int i, int n)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && key(s, child + 1) > key(s, child))
            child++;
        if (key(s, i) >= key(s, child))
            return;
        swap(s->order, i, child);
    }
}

/* A heap sort: no memory, and no worst case for those with thousands of cases. */
static void sort(struct select *s)
{
    for (int i = s->n_live / 2 - 1; i >= 0; i--)
        sift(s, i, s->n_live);
    for (int n = s->n_live - 1; n > 0; n--) {
        swap(s->order, 0, n);
        sift(s, 0, n);
    }
}

static weft_chan *chan_at(const struct select *s, int i)
{
    return s->cases[s->order[i]].chan;
}

/* Cases of one channel stand in its queue in an even order: whoever comes takes the first. */
static void shuffle_equals(struct select *s, wf_random *random)
{
    for (int i = 1, first = 0; i < s->n_live; i++) {
        if (chan_at(s, i) != chan_at(s, i - 1))
            first = i;
        else
            swap(s->order, i, first + (int)(wf_random_next(random) % (uint32_t)(i - first + 1)));
    }
}

static void lock_all(struct select *s)
{
    for (int i = 0; i < s->n_live; i++)
        if (i == 0 || chan_at(s, i) != chan_at(s, i - 1))
            wf_spin_acquire(&chan_at(s, i)->lock);
}

static void unlock_all(void *arg)
{
    struct select *s = arg;
    for (int i = s->n_live - 1; i > 0; i--)
        if (chan_at(s, i) != chan_at(s, i - 1))
            wf_spin_release(&chan_at(s, i)->lock);
    if (s->n_live > 0)
        wf_spin_release(&chan_at(s, 0)->lock); /* the last touch of s */
}

/* ---- The look ------------------------------------------------------------------------ */

/* Has the queue a waiter that is still to be won? */
static bool has_waiter(const wf_list *queue)
{
    for (const wf_list *n = queue->next; n != queue; n = n->next) {
        const wf_slot *w = WF_CONTAINER(n, wf_slot, node);
        AO_t           token = AO_load(&w->gp->token);
        if ((token & WF_TICKET_MASK) == w->ticket && (token & WF_TOKEN_STATE_MASK) != WF_FIRED)
            return true;
    }
    return false;
}

static bool is_ready(const weft_case *k)
{
    const weft_chan *c = k->chan;
    if (c->closed)
        return true;
    if (is_send(k))
        return c->count < c->cap || has_waiter(&c->recvq);
    return c->count > 0 || has_waiter(&c->sendq);
}

/* A random one of the ready cases, or -1. */
static int choose(struct select *s, wf_random *random)
{
    int chosen = -1;
    for (uint32_t i = 0, ready = 0; i < (uint32_t)s->n_live; i++)
        if (is_ready(&s->cases[s->order[i]]) && wf_random_next(random) % ++ready == 0)
            chosen = (int)s->order[i];
    return chosen;
}

/* A waiter may have been lost to its deadline since the look: then it was not ready. */
static bool go_ahead(weft_case *k, wf_g **wake)
{
    enum wf_done done = is_send(k) ? wf_chan_try_send(k->chan, k->send, wake)
                                   : wf_chan_try_recv(k->chan, k->recv, wake);
    k->closed = done == WF_CLOSED;
    return done != WF_NOT_READY;
}

/* ---- The wait -------------------------------------------------------------------------- */

static void enqueue(struct select *s, wf_g *gp, wf_ticket t)
{
    for (int i = 0; i < s->n_live; i++) {
        weft_case *k = &s->cases[s->order[i]];
        wf_slot   *slot = &s->slots[s->order[i]];
        *slot =
            (wf_slot){ .chan = k->chan, .gp = gp, .ticket = t, .recv = k->recv, .send = k->send };
        wf_list_append(wf_chan_queue(k->chan, is_send(k) ? WF_SEND : WF_RECV), &slot->node);
    }
}

static int dequeue(struct select *s)
{
    int fired = -1;
    lock_all(s);
    for (int i = 0; i < s->n_live; i++) {
        wf_slot *slot = &s->slots[s->order[i]];
        wf_list_remove(&slot->node);
        if (slot->fired) {
            fired = (int)s->order[i];
            s->cases[fired].closed = slot->closed;
        }
    }
    unlock_all(s);
    return fired;
}

static int wait_for_one(wf_m **mp, struct select *s, weft_time deadline)
{
    wf_ticket t = wf_wait_arm(*mp);
    shuffle_equals(s, &(*mp)->pp->random);
    enqueue(s, (*mp)->gp, t);
    enum wf_reason why;
    if (s->n_live > 0)
        why = wf_wait_then(mp, t, deadline, wf_for(WF_FOR_SELECT, s), unlock_all, s);
    else /* no lock would keep this G, and with it s, from going on before unlock_all is done */
        why = wf_wait(mp, t, deadline, wf_for(WF_FOR_SELECT, s));
    int fired = dequeue(s);
    wf_assert((why == WF_EVENT) == (fired >= 0));
    return why == WF_EVENT ? fired : wf_reason_error(why);
}

static int run(wf_m **mp, struct select *s, weft_time deadline)
{
    wf_g *wake = NULL;
    int   chosen;
    sort(s);
    lock_all(s);
    do
        chosen = choose(s, &(*mp)->pp->random);
    while (chosen >= 0 && !go_ahead(&s->cases[chosen], &wake));
    if (chosen < 0 && deadline != WEFT_NOWAIT)
        return wait_for_one(mp, s, deadline);
    unlock_all(s);
    if (wake)
        wf_ready(*mp, wake);
    return chosen >= 0 ? chosen : -ETIMEDOUT;
}

/* ---- Memory for the cases ------------------------------------------------------------------ */

static int check(weft_case *cases, int n)
{
    if (n < 0)
        return -EINVAL;
    for (int i = 0; i < n; i++) {
        cases[i].closed = false;
        if (cases[i].recv && cases[i].send)
            return -EINVAL;
    }
    return 0;
}

static int with(wf_m **mp, weft_case *cases, int n, wf_slot *slots, uint32_t *order,
                weft_time deadline)
{
    struct select s = { .cases = cases, .order = order, .slots = slots };
    for (int i = 0; i < n; i++)
        if (cases[i].chan)
            order[s.n_live++] = (uint32_t)i;
    return run(mp, &s, deadline);
}

/* Three sizes of frame, so that a small select keeps to few lines of its stack. */
static WF_NOINLINE int select_small(wf_m **mp, weft_case *cases, int n, weft_time deadline)
{
    wf_slot  slots[SMALL];
    uint32_t order[SMALL];
    return with(mp, cases, n, slots, order, deadline);
}

static WF_NOINLINE int select_large(wf_m **mp, weft_case *cases, int n, weft_time deadline)
{
    wf_slot  slots[MOST_ON_STACK];
    uint32_t order[MOST_ON_STACK];
    return with(mp, cases, n, slots, order, deadline);
}

static WF_NOINLINE int select_huge(wf_m **mp, weft_case *cases, int n, weft_time deadline)
{
    wf_slot  *slots = calloc((size_t)n, sizeof *slots);
    uint32_t *order = calloc((size_t)n, sizeof *order);
    int       r = slots && order ? with(mp, cases, n, slots, order, deadline) : -ENOMEM;
    free(slots);
    free(order);
    return r;
}

int weft_select(weft_case *cases, int ncases, weft_time deadline)
{
    wf_m *mp = wf_enter("weft_select");
    int   r = check(cases, ncases);
    if (r == 0 && wf_g_cancelled(mp->gp))
        r = -ECANCELED;
    else if (r == 0 && ncases <= SMALL)
        r = select_small(&mp, cases, ncases, deadline);
    else if (r == 0 && ncases <= MOST_ON_STACK)
        r = select_large(&mp, cases, ncases, deadline);
    else if (r == 0)
        r = select_huge(&mp, cases, ncases, deadline);
    wf_leave(mp);
    return r;
}
