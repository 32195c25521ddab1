/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c - groups: members, the tree of groups, cancellation, the first error.
 *
 * A group that has members hangs in its parent (the group of the coroutine that started
 * the first) and counts there as a member, so that a parent's wait cannot end, and its
 * memory cannot go, before.  The last member to end detaches the group: it must lock the
 * parent before the child, so it lets the child go in between; `detaching` keeps it the
 * only one, and what keeps the parent alive is that the child still counts in it.
 * A wait returns 0 only of a group that is empty and detached (tests/model/group.pml).
 *
 * Locks: parent before child.
 */
#include "coroutine.h"
#include "look.h"
#include "wait.h"

#include <string.h>

struct group {
    wf_lock       lock;
    bool          used;      /* under lock: the lists are initialised */
    bool          cancelled; /* under lock */
    bool          detaching; /* under lock */
    uint32_t      first;     /* under lock: the first error, negated */
    uint64_t      count;     /* under lock: members and child groups */
    wf_list       members;   /* under lock: of wf_g.group_node */
    wf_list       children;  /* under lock: of struct group.node */
    wf_list       node;      /* under the parent's lock */
    struct group *parent;    /* under lock; changed under the parent's too; NULL: detached */
    wf_g         *waiter;    /* under lock */
    wf_ticket     ticket;    /* under lock: the waiter's */
};

_Static_assert(sizeof(struct group) <= sizeof(weft_group), "weft_group is too small");

static struct group *group_of(weft_group *g)
{
    return (struct group *)g;
}

void wf_group_look(const weft_group *copy, wf_look *out)
{
    const struct group *g = (const struct group *)copy;
    out->n = (int64_t)g->count;
    out->closed = wf_look_flag(&g->cancelled);
}

/* Under lock. */
static void init_lists(struct group *g)
{
    if (g->used)
        return;
    wf_list_init(&g->members);
    wf_list_init(&g->children);
    wf_list_init(&g->node);
    g->used = true;
}

/* ---- Cancelling ---------------------------------------------------------------------- */

static void cancel_member(wf_g *gp)
{
    AO_char_store(&gp->cancel, 1);
    wf_fence(); /* pairs with commit_park's: token, then flag; and with that of g.h's guards */
    wf_wait_cancel(gp);
}

/* Under lock. */
static void cancel_locked(struct group *g)
{
    init_lists(g);
    if (g->cancelled)
        return;
    g->cancelled = true;
    for (wf_list *n = g->members.next; n != &g->members; n = n->next)
        cancel_member(WF_CONTAINER(n, wf_g, group_node));
    for (wf_list *n = g->children.next; n != &g->children; n = n->next) {
        struct group *child = WF_CONTAINER(n, struct group, node);
        wf_lock_acquire(&child->lock);
        cancel_locked(child);
        wf_lock_release(&child->lock);
    }
}

static void cancel(struct group *g)
{
    wf_lock_acquire(&g->lock);
    cancel_locked(g);
    wf_lock_release(&g->lock);
}

void weft_group_cancel(weft_group *group)
{
    wf_m *mp = wf_m_self();
    bool  inside = mp && mp->gp;
    if (inside)
        mp = wf_enter("weft_group_cancel");
    cancel(group_of(group));
    if (inside)
        wf_leave(mp);
}

/* ---- Counting -------------------------------------------------------------------------- */

/* Under lock, which it releases: the group is empty and detached; its waiter learns it. */
static void empty(struct group *g)
{
    wf_g     *gp = g->waiter;
    wf_ticket t = g->ticket;
    g->waiter = NULL;
    wf_lock_release(&g->lock); /* from here on the memory may be gone */
    if (gp)
        wf_wake(gp, t, WF_EVENT);
}

/* Under lock, which it releases: one member or child fewer.  The parent which has to be
 * told the same, or NULL. */
static struct group *drop(struct group *g)
{
    if (--g->count > 0 || g->detaching) {
        wf_lock_release(&g->lock);
        return NULL;
    }
    struct group *parent = g->parent;
    if (!parent) {
        empty(g);
        return NULL;
    }
    g->detaching = true;
    wf_lock_release(&g->lock);
    wf_lock_acquire(&parent->lock);
    wf_lock_acquire(&g->lock);
    g->detaching = false;
    if (g->count > 0) { /* started again meanwhile */
        wf_lock_release(&g->lock);
        wf_lock_release(&parent->lock);
        return NULL;
    }
    wf_list_remove(&g->node);
    g->parent = NULL;
    empty(g);
    return parent; /* locked */
}

/* Under lock, which it releases. */
static void leave(struct group *g)
{
    while (g)
        g = drop(g);
}

/* Under both locks. */
static void attach_to(struct group *g, struct group *parent)
{
    if (parent->cancelled)
        cancel_locked(g);
    if (g->cancelled) /* nothing can be started in it: attached, it would never come off */
        return;
    g->parent = parent;
    parent->count++;
    wf_list_append(&parent->children, &g->node);
}

/*
 * One more.  The first attaches the group to the starter's.  A group that is empty has no
 * children, so it is no ancestor of that one: no circle of locks or of groups can arise.
 */
static int join(struct group *g, struct group *parent)
{
    wf_lock_acquire(&g->lock);
    init_lists(g);
    bool attach = parent && g->count == 0 && !g->parent;
    if (attach) { /* again, in the order of locks */
        wf_lock_release(&g->lock);
        wf_lock_acquire(&parent->lock);
        wf_lock_acquire(&g->lock);
        init_lists(g);
        if (g->count == 0 && !g->parent)
            attach_to(g, parent);
        wf_lock_release(&parent->lock);
    }
    int r = g->cancelled ? -ECANCELED : 0;
    if (r == 0)
        g->count++;
    wf_lock_release(&g->lock);
    return r;
}

/* ---- Members ------------------------------------------------------------------------------ */

static void enlist(struct weft_group *group, wf_g *gp)
{
    struct group *g = group_of(group);
    wf_lock_acquire(&g->lock);
    wf_list_append(&g->members, &gp->group_node);
    if (g->cancelled)
        AO_char_store(&gp->cancel, 1);
    wf_lock_release(&g->lock);
}

static void member_main(void *arg)
{
    wf_g *gp = wf_m_self()->gp;
    int   r = gp->group_fn(arg);
    if (gp->locals)
        wf_local_end(gp); /* before the group's wait can return */
    wf_m         *mp = wf_enter("the end of a coroutine");
    struct group *g = group_of(gp->group);
    wf_lock_acquire(&g->lock);
    wf_list_remove(&gp->group_node);
    if (r < 0 && g->first == 0)
        g->first = 0u - (uint32_t)r;
    gp->group = NULL;
    leave(g);
    wf_leave(mp);
}

int weft_group_go(weft_group *group, int (*fn)(void *arg), void *arg, size_t size)
{
    wf_m         *mp = wf_enter("weft_group_go");
    struct group *g = group_of(group);
    struct group *parent = mp->gp->group ? group_of(mp->gp->group) : NULL;
    int           r = fn ? join(g, parent == g ? NULL : parent) : -EINVAL;
    if (r == 0) {
        struct wf_start s = { .fn = member_main,
                              .arg = arg,
                              .size = size,
                              .started_at = WF_CALLER,
                              .group = group,
                              .group_fn = fn,
                              .enlist = enlist };
        r = wf_start(mp, &s);
        if (r != 0) {
            wf_lock_acquire(&g->lock);
            leave(g);
        }
    }
    wf_leave(mp);
    return r;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* Under lock: as new, but for the lock. */
static void renew(struct group *g, int *first)
{
    if (first)
        *first = -(int)g->first;
    g->used = g->cancelled = false;
    g->first = 0;
}

/* 1: wait t is published; 0: the group is empty, and as new; or an error. */
static int wait_begin(struct group *g, wf_g *gp, wf_ticket t, int *first)
{
    wf_lock_acquire(&g->lock);
    int r = 1;
    if (g->count == 0 && !g->parent) {
        renew(g, first);
        r = 0;
    } else if (g->waiter) {
        r = -EBUSY;
    } else {
        g->waiter = gp;
        g->ticket = t;
    }
    wf_lock_release(&g->lock);
    return r;
}

static void wait_end(struct group *g, wf_g *gp)
{
    wf_lock_acquire(&g->lock);
    if (g->waiter == gp)
        g->waiter = NULL;
    wf_lock_release(&g->lock);
}

/* Without locks: each of these groups has a member, so it keeps its parent meanwhile. */
static bool is_member(const wf_g *gp, const struct group *g)
{
    for (const struct group *at = gp->group ? group_of(gp->group) : NULL; at; at = at->parent)
        if (at == g)
            return true;
    return false;
}

/* Waits once; a cancelled caller cancels the group and waits on, uncancellably. */
static int wait_once(wf_m **mp, weft_group *group, weft_time deadline, int *first, bool *told)
{
    wf_g         *gp = (*mp)->gp;
    struct group *g = group_of(group);
    if (!*told && wf_g_cancelled(gp)) {
        cancel(g);
        *told = true;
    }
    wf_ticket t = *told ? wf_wait_arm_shielded(*mp) : wf_wait_arm(*mp);
    int       r = wait_begin(g, gp, t, first);
    if (r != 1) {
        wf_wait_abandon(*mp, t);
        return r;
    }
    enum wf_reason why = wf_wait(mp, t, deadline, wf_for(WF_FOR_GROUP, g));
    if (why != WF_EVENT)
        wait_end(g, gp);
    return why == WF_TIMEOUT ? -ETIMEDOUT : 1;
}

int weft_group_wait(weft_group *group, weft_time deadline, int *first)
{
    wf_m *mp = wf_enter("weft_group_wait");
    bool  told = false;
    int   r = is_member(mp->gp, group_of(group)) ? -EDEADLK : 1;
    while (r == 1)
        r = wait_once(&mp, group, deadline, first, &told);
    wf_leave(mp);
    return r;
}

bool weft_cancelled(void)
{
    wf_m *mp = wf_enter("weft_cancelled");
    bool  is = wf_g_cancelled(mp->gp);
    wf_leave(mp);
    return is;
}

bool weft_shield(bool on)
{
    wf_m *mp = wf_enter("weft_shield");
    bool  was = mp->gp->shield != 0;
    mp->gp->shield = on;
    wf_leave(mp);
    return was;
}
