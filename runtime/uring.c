/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring.c - the choice of the netpoller, and the rings of all Ms; see uring.h.
 *
 * Without liburing only the choice is left, and what says that it can't be; the other calls
 * are in uring_none.c then.
 */
#include "uring.h"

#include "epoll.h"

#include <stdlib.h>
#include <string.h>

static const char *const choices[] = { "epoll", "io_uring", "auto" };

static struct {
    enum wf_uring_wish wish;
    bool               on; /* fixed while running */
} chosen;

int wf_uring_choose(void)
{
    const char *env = getenv("WEFT_NETPOLL");
    chosen.wish = WF_URING_NO;
    if (!env || !*env)
        return 0;
    for (int i = 0; i < 3; i++)
        if (strcmp(env, choices[i]) == 0) {
            chosen.wish = (enum wf_uring_wish)i;
            return 0;
        }
    wf_say("WEFT_NETPOLL=%.40s: must be epoll, io_uring or auto", env);
    return -EINVAL;
}

bool wf_uring_on(void)
{
    return chosen.on;
}

#ifdef WEFT_URING

#include "completed.h"
#include "detach.h"

enum { RINGS_MOST = 64, TAKE_SOME = 32, SENDS_MOST = 32 };

#define SEND_LATE_NS    (100 * WEFT_US)
#define END_PATIENCE_NS WEFT_S
#define PAUSE_NS        (50 * WEFT_US)
#define AGAIN_NS        WEFT_S

static struct {
    wf_lock       lock;
    wf_uring     *at[RINGS_MOST]; /* under lock; fixed once n says that it is there */
    volatile AO_t n;              /* written under lock */
    volatile AO_t refused;        /* a ring could not be made, and it was said */
} rings;

/* ---- The Ms' rings --------------------------------------------------------------------- */

/* Under rings.lock, or at the start. */
static int add(wf_uring **out)
{
    AO_t n = AO_load(&rings.n);
    int  r = n < RINGS_MOST ? wf_ring_make(out) : -ENFILE;
    if (r < 0)
        return r;
    (*out)->number = (unsigned)n;
    r = wf_netpoll_add_ring((*out)->io.ring_fd, (unsigned)n);
    if (r < 0) {
        wf_ring_end(*out, true);
        return r;
    }
    rings.at[n] = *out;
    AO_store_release(&rings.n, n + 1); /* pairs with wf_uring_event and _attend */
    return 0;
}

/* Under rings.lock. */
static void say_refused(int error)
{
    int n = (int)AO_load(&rings.n);
    if (AO_load(&rings.refused))
        return;
    AO_store(&rings.refused, 1);
    wf_say("no more than %d rings of io_uring: %s; epoll is used beside them", n,
           n == RINGS_MOST ? "weft's own limit" : strerror(-error));
}

/* mp's ring; NULL: it can have none, for now. */
static wf_uring *ring_of(wf_m *mp)
{
    if (mp->ring || (mp->ring_again && wf_now() < mp->ring_again))
        return mp->ring;
    wf_uring *u = NULL;
    wf_lock_acquire(&rings.lock);
    for (AO_t i = 0; i < AO_load(&rings.n) && !u; i++)
        u = rings.at[i]->owner ? NULL : rings.at[i];
    int r = u ? 0 : add(&u);
    if (r == 0)
        u->owner = mp;
    else
        say_refused(r);
    wf_lock_release(&rings.lock);
    mp->ring = r == 0 ? u : NULL;
    mp->ring_again = r == 0 ? 0 : wf_now() + AGAIN_NS;
    return mp->ring;
}

void wf_uring_sleeps(wf_m *mp)
{
    AO_store(&mp->ring->asleep, 1);
}

void wf_uring_wakes(wf_m *mp)
{
    AO_store(&mp->ring->asleep, 0);
}

void wf_uring_leave(wf_m *mp)
{
    if (!mp->ring)
        return;
    wf_lock_acquire(&rings.lock);
    mp->ring->owner = NULL;
    wf_lock_release(&rings.lock);
    mp->ring = NULL;
}

/* ---- Start and end --------------------------------------------------------------------- */

int wf_uring_start(void)
{
    chosen.on = false;
    AO_store(&rings.n, 0);
    AO_store(&rings.refused, 0);
    if (chosen.wish != WF_URING_YES) /* auto: see docs/netpollers.md */
        return 0;
    wf_uring *u;
    int       r = wf_ring_reserve_links();
    if (r == 0)
        r = add(&u); /* the first M's */
    chosen.on = r == 0;
    if (r == 0)
        return 0;
    wf_say("WEFT_NETPOLL=io_uring: the kernel refuses it (%s%s); epoll is used", strerror(-r),
           r == -EINVAL ? ": older than Linux 6.0" : "");
    return 0;
}

/* All that was asked for has been told of; acquire: pairs with news in completed.c. */
static bool all_told(const wf_uring *u)
{
    return AO_load_acquire(&u->out) == 0;
}

/* True: the kernel is through with the ring's memory. */
static bool drain(wf_uring *u)
{
    volatile unsigned never = 0;
    wf_glist          out;
    wf_glist_init(&out); /* nobody runs them: the runtime has stopped */
    wf_ring_flush(u, &out);
    wf_ring_cancel_all(u);
    for (int64_t end = wf_now() + END_PATIENCE_NS; !all_told(u) && wf_now() < end;) {
        wf_ring_take_all(u, &out);
        if (all_told(u))
            break;
        wf_membarrier(); /* a thread in other code completes as it is interrupted */
        io_uring_get_events(&u->io);
        wf_futex_wait(&never, 0, wf_now() + PAUSE_NS);
    }
    return all_told(u);
}

void wf_uring_end(void)
{
    for (AO_t i = 0; i < AO_load(&rings.n); i++) {
        wf_uring *u = rings.at[i];
        wf_ring_end(u, drain(u));
    }
    AO_store(&rings.n, 0);
    wf_ring_free_links();
    chosen.on = false;
}

/* ---- Requests -------------------------------------------------------------------------- */

/* Under pd->lock, so that who ends the request finds it queued at least. */
static bool push(wf_uring *u, const wf_poll_desc *pd, enum wf_uring_what what)
{
    wf_lock_acquire(&u->sq);
    struct io_uring_sqe *e = AO_load(&u->detached) ? NULL : wf_ring_entry(u);
    if (e && what == WF_URING_ACCEPT) {
        io_uring_prep_multishot_accept(e, pd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } else if (e) {
        io_uring_prep_recv_multishot(e, pd->fd, NULL, 0, 0);
        e->flags |= IOSQE_BUFFER_SELECT;
        e->buf_group = WF_RING_GROUP;
    }
    if (e) {
        io_uring_sqe_set_data64(e, wf_ring_key(pd) | what);
        AO_store(&u->queued, AO_load(&u->queued) + 1);
        AO_fetch_and_add(&u->out, 1);
    }
    wf_lock_release(&u->sq);
    return e != NULL;
}

int wf_uring_arm(wf_m *mp, wf_poll_desc *pd, enum wf_uring_what what, wf_glist *out)
{
    wf_uring *u = ring_of(mp);
    int       r = 0;
    if (!u || !AO_load(&u->nfree) || !wf_ring_settle(u, out))
        return -ENOMEM;
    wf_spin_acquire(&pd->lock);
    if (!pd->inbox.by_ring)
        r = -EOPNOTSUPP;
    else if (!pd->inbox.ring && !push(u, pd, what))
        r = -ENOMEM;
    if (r == 0 && !pd->inbox.ring) {
        pd->inbox.ring = u;
        pd->inbox.what = what;
    }
    wf_spin_release(&pd->lock);
    return r;
}

bool wf_uring_cancel(wf_poll_desc *pd, wf_glist *out)
{
    wf_spin_acquire(&pd->lock);
    wf_uring *u = pd->inbox.ring;
    bool      orphan = pd->inbox.orphan;
    pd->inbox.ending = u != NULL;
    wf_spin_release(&pd->lock);
    if (!u)
        return !orphan;
    if (AO_load(&u->queued)) /* it may be among them; and a number that is closed must not be */
        wf_ring_flush(u, out);
    wf_ring_cancel(u, wf_ring_key(pd) | pd->inbox.what);
    wf_ring_take_all(u, out);
    return false;
}

/* ---- Sending --------------------------------------------------------------------------- */

bool wf_uring_may_send(const wf_m *mp)
{
    wf_uring *u = mp->ring;
    if (!u)
        return false;
    AO_t direct = AO_load(&u->direct);
    if (WF_UNLIKELY(direct > 0)) {
        AO_store(&u->direct, direct - 1);
        return false;
    }
    return AO_load(&u->queued) > 0 || wf_runq_len(&mp->pp->runq) > 0;
}

/* A handler that computes would hold up the answers of those before it: then they go out. */
static bool is_late(wf_uring *u)
{
    if (AO_load(&u->queued) >= SENDS_MOST)
        return true;
    bool late = wf_now() - (int64_t)AO_load(&u->first) > SEND_LATE_NS;
    if (late)
        AO_store(&u->direct, WF_RING_DIRECT);
    return late;
}

static void send_off(wf_uring *u, wf_glist *out)
{
    if (AO_load(&u->queued))
        wf_ring_flush(u, out);
    wf_ring_take(u, TAKE_SOME, out);
}

bool wf_uring_send(wf_m *mp, int fd, const void *buf, size_t n, wf_uring_sent *s, wf_glist *out)
{
    wf_uring *u = mp->ring;
    /* Who takes the completion heard of s from the kernel alone: pairs with sent. */
    AO_store_release(&s->gp, (AO_t)mp->gp);
    wf_lock_acquire(&u->sq);
    struct io_uring_sqe *e = wf_ring_entry(u);
    if (e && !AO_load(&u->first))
        AO_store(&u->first, (AO_t)wf_now());
    if (e) {
        io_uring_prep_send(e, fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        io_uring_sqe_set_data64(e, (uintptr_t)s | WF_URING_SENT);
        AO_store(&u->queued, AO_load(&u->queued) + 1);
    }
    wf_lock_release(&u->sq);
    if (!e)
        return false;
    u->held = !is_late(u);
    if (u->held)
        AO_store(&mp->pp->poke, 1); /* at each switch g0 asks wf_uring_hold */
    else
        send_off(u, out);
    return true;
}

enum wf_uring_sends wf_uring_hold(wf_m *mp, wf_glist *out)
{
    wf_uring *u = mp->ring;
    if (!u->held)
        return WF_URING_NONE;
    if (AO_load(&u->first) && !is_late(u))
        return WF_URING_HELD;
    u->held = false;
    if (AO_load(&u->lay))
        AO_store(&u->direct, WF_RING_DIRECT);
    AO_store(&u->lay, 0);
    send_off(u, out);
    return WF_URING_GONE;
}

/* ---- Polling --------------------------------------------------------------------------- */

int wf_uring_poll(wf_m *mp, wf_glist *out)
{
    wf_uring *u = mp->ring;
    u->held = false;
    if (AO_load(&u->queued))
        wf_ring_flush(u, out);
    else if (wf_ring_flags(u) & IORING_SQ_TASKRUN)
        io_uring_get_events(&u->io);
    return out->n + (wf_ring_any(u) ? wf_ring_take(u, TAKE_SOME, out) : 0);
}

void wf_uring_flush(wf_m *mp, wf_glist *out)
{
    if (AO_load(&mp->ring->queued))
        wf_ring_flush(mp->ring, out);
}

int wf_uring_event(unsigned number, wf_glist *out)
{
    bool made = number < AO_load_acquire(&rings.n); /* pairs with add */
    return made ? wf_ring_take_all(rings.at[number], out) : 0;
}

/* Its M is in other code; and `tid`: there it sleeps. */
static bool is_away(const wf_uring *u, bool sleeps)
{
    wf_lock_acquire(&rings.lock);
    const wf_m *mp = u->owner;
    bool        outside = mp && !AO_load_acquire(&mp->inside); /* pairs with wf_leave */
    int         tid = outside ? (int)AO_int_load(&mp->tid) : 0;
    wf_lock_release(&rings.lock);
    return tid && (!sleeps || wf_thread_sleeps(tid));
}

void wf_uring_leave_none(wf_glist *out)
{
    for (AO_t i = 0; i < AO_load_acquire(&rings.n); i++) { /* pairs with add */
        wf_uring *u = rings.at[i];
        if (AO_load(&u->out) && !AO_load(&u->detached) && is_away(u, false))
            wf_ring_detach(u, out);
    }
}

void wf_uring_attend(wf_glist *out)
{
    AO_t    n = AO_load_acquire(&rings.n); /* pairs with add */
    bool    to_do = false;
    int64_t now = wf_now();
    for (AO_t i = 0; i < n; i++) {
        wf_uring *u = rings.at[i];
        if (wf_ring_stalls(u, now) && is_away(u, true))
            wf_ring_detach(u, out);
        AO_t flushes = AO_load(&u->flushes) + 1;
        bool lay = u->seen == flushes;
        u->seen = AO_load(&u->queued) ? flushes : 0;
        if (u->seen && lay) {
            AO_store(&u->lay, 1);
            wf_ring_flush(u, out);
            wf_ring_take_all(u, out);
        }
        to_do = to_do || wf_ring_flags(u) & IORING_SQ_TASKRUN;
    }
    if (to_do)
        wf_membarrier(); /* an M in other code completes as it is interrupted */
}

#else /* without liburing */

int wf_uring_start(void)
{
    if (chosen.wish == WF_URING_YES)
        wf_say("WEFT_NETPOLL=io_uring: this weft was built without liburing; epoll is used");
    return 0;
}

#endif
