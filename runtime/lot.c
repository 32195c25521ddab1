/* SPDX-License-Identifier: Apache-2.0 */
/* lot.c - the parking lot; see lot.h. */
#include "lot.h"

static wf_bucket buckets[WF_LOT_BUCKETS];

volatile AO_t wf_lot_marks[WF_LOT_BUCKETS / 64] WF_ALIGNED;

wf_bucket *wf_lot_lock(const void *key)
{
    wf_bucket *b = &buckets[wf_lot_index(key)];
    wf_spin_acquire(&b->lock);
    if (!b->waiters.next)
        wf_list_init(&b->waiters);
    return b;
}

void wf_lot_mark(const void *key)
{
    unsigned at = wf_lot_index(key);
    if (wf_lot_marked(key))
        return;
    AO_or(&wf_lot_marks[at / 64], (AO_t)1 << at % 64);
    wf_membarrier(); /* pairs with the compiler barrier in mutex.c's free_unwaited */
}

static void unlock(void *arg)
{
    wf_lot_unlock(arg);
}

static void enter(wf_bucket *b, wf_g *gp, const void *key, wf_ticket t, enum wf_lot_place place)
{
    AO_store(&gp->wait_on, (AO_t)key);
    gp->wait_ticket = t;
    gp->granted = 0;
    wf_list_append(place == WF_LOT_FIRST ? b->waiters.next : &b->waiters, &gp->wait_node);
}

void wf_lot_add(wf_bucket *b, wf_g *gp, const void *key, wf_ticket t)
{
    enter(b, gp, key, t, WF_LOT_LAST);
}

enum wf_reason wf_lot_wait(wf_m **mp, wf_bucket *b, const void *key, unsigned char mode,
                           enum wf_lot_place place, wf_ticket t, weft_time deadline,
                           enum wf_wait_kind kind)
{
    (*mp)->gp->wait_mode = mode;
    enter(b, (*mp)->gp, key, t, place);
    wf_what what = wf_for(kind, key);
    if (deadline == WEFT_FOREVER && (AO_load(&(*mp)->gp->token) & WF_TOKEN_UNCANCELLABLE))
        return wf_wait_guarded(mp, &b->lock, what);
    return wf_wait_then(mp, t, deadline, what, unlock, b);
}

static wf_g *find(wf_bucket *b, wf_list *from, const void *key)
{
    for (wf_list *n = from; n != &b->waiters; n = n->next) {
        wf_g *gp = WF_CONTAINER(n, wf_g, wait_node);
        if (AO_load(&gp->wait_on) == (AO_t)key)
            return gp;
    }
    return NULL;
}

wf_g *wf_lot_first(wf_bucket *b, const void *key)
{
    return find(b, b->waiters.next, key);
}

wf_g *wf_lot_next(wf_bucket *b, wf_g *gp)
{
    return find(b, gp->wait_node.next, (const void *)AO_load(&gp->wait_on));
}

bool wf_lot_take(wf_g *gp, bool *parked)
{
    wf_list_remove(&gp->wait_node);
    enum wf_fire how = wf_token_take(gp, gp->wait_ticket);
    *parked = how == WF_WON_PARKED;
    return how != WF_LOST;
}

wf_g *wf_lot_take_first(wf_bucket *b, const void *key)
{
    bool parked;
    for (wf_g *gp; (gp = wf_lot_first(b, key));)
        if (wf_lot_take(gp, &parked))
            return gp;
    return NULL;
}

wf_bucket *wf_lot_forget(wf_g *gp, const void *key)
{
    wf_bucket *b = wf_lot_lock(key);
    wf_list_remove(&gp->wait_node);
    return b;
}
