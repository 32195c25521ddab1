/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.c - the table of slots, places, the retry loop, and how a descriptor ends; see fd.h.
 *
 * The slots' memory is never given back.  The one retry loop of weft (wf_op_attempt) is
 * here; nothing in it is particular to reading, writing, accepting or connecting.
 */
#include "fd.h"

#include "net.h"
#include "ringed.h"
#include "scarce.h"

#include "runtime/coroutine.h"
#include "runtime/epoll.h"
#include "runtime/run.h"
#include "runtime/sys.h"
#include "runtime/uring.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1024, CHUNKS = (1 << 24) / CHUNK, DRAIN_ROUNDS = 4, IN_A_ROW = 64 };

#define INDEX_MASK UINT64_C(0xffffff)
#define DRAIN_MOST ((size_t)1 << 30)

static volatile AO_t chunks[CHUNKS]; /* wf_fd *; set once, by CAS */

/* The runtime is on a lower floor and knows nothing of descriptors but these. */
static __attribute__((constructor)) void hook_up(void)
{
    wf_borrow_hook = wf_borrow_end;
    wf_p_free_hook = wf_buffers_free;
    wf_net_stop_hook = wf_net_stop;
}

/* ---- Slots --------------------------------------------------------------------------- */

static inline wf_fd *slot_at(uint64_t id)
{
    size_t index = id & INDEX_MASK;
    wf_fd *chunk = (wf_fd *)AO_load_acquire(&chunks[index / CHUNK]); /* pairs with slot_make */
    return WF_LIKELY(chunk != NULL) ? &chunk[index % CHUNK] : NULL;
}

static wf_fd *slot_make(unsigned index)
{
    volatile AO_t *at = &chunks[index / CHUNK];
    if (!AO_load_acquire(at)) { /* pairs with the CAS below */
        wf_fd *made = aligned_alloc(WF_CACHELINE, CHUNK * sizeof(wf_fd));
        if (!made)
            return NULL;
        memset(made, 0, CHUNK * sizeof(wf_fd));           /* all closed */
        if (!AO_compare_and_swap_full(at, 0, (AO_t)made)) /* pairs with slot_at */
            free(made);                                   /* another thread was first */
    }
    return slot_at(index);
}

/* Registered, and a slot made ready that nobody can enter yet. */
static int fd_register(int fd, enum wf_fd_kind kind, enum wf_fd_type type, enum wf_poll_kind what,
                       wf_fd **out)
{
    wf_poll_desc *pd;
    int           r = wf_poll_open(fd, what, &pd);
    if (r < 0)
        return r;
    wf_fd *f = slot_make(pd->index);
    if (!f) {
        wf_poll_close(pd);
        return -ENOMEM;
    }
    f->pd = pd;
    f->held = -1;
    f->kind = kind & 15;
    f->type = type & 15;
    f->eof = f->accepted = f->reset = false;
    f->ringed = pd->inbox.by_ring;
    *out = f;
    return 0;
}

static void publish(wf_fd *f, int fd, uint64_t *id)
{
    *id = wf_poll_id(f->pd);
    wf_fdlock_open(&f->lock, fd);
}

int wf_fd_open(int fd, enum wf_fd_kind kind, enum wf_fd_type type, uint64_t *id)
{
    wf_fd            *f;
    enum wf_poll_kind what = type != WF_FD_TCP    ? WF_POLL_ANY
                             : kind == WF_FD_CONN ? WF_POLL_TCP
                                                  : WF_POLL_TCP_LISTENER;
    int               r = fd_register(fd, kind, type, what, &f);
    if (r == 0)
        publish(f, fd, id);
    return r;
}

/* ---- The end of a descriptor --------------------------------------------------------- */

/*
 * Closing a TCP socket whose received bytes were not all read makes the kernel answer
 * with a reset, which throws away what was written and not yet received.  A close must
 * not do that, so what is there is dropped first.  (Bytes that come later still meet a
 * reset: only a close that lingers could help that.)
 */
static void drain(const wf_fd *f)
{
    if (f->kind != WF_FD_CONN || f->type != WF_FD_TCP || f->eof || f->reset)
        return;
    for (int i = 0; i < DRAIN_ROUNDS; i++)
        if (wf_sys_discard(f->lock.fd, DRAIN_MOST) <= 0)
            return;
}

/* The kernel holds the file for a moment more, and the peer is not to wait for that. */
static void end_now(const wf_fd *f)
{
    const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
    if (f->reset)
        (void)wf_sys_connect(f->lock.fd, &nowhere, sizeof nowhere); /* resets it */
    else
        (void)wf_sys_shutdown(f->lock.fd, SHUT_RDWR);
}

/* No user is left: the number goes.  Its registration goes first, or a duplicate of the
 * descriptor in another process would keep it. */
static void close_number(wf_fd *f)
{
    if (AO_char_load(&f->pd->pollable))
        wf_netpoll_close(f->pd);
    AO_char_store(&f->pd->pollable, 0); /* one that rests may look still */
    bool let_go = !f->ringed || wf_ringed_close(f);
    drain(f);
    if (!let_go)
        end_now(f);
    if (f->held >= 0)
        wf_sys_close(f->held);
    wf_sys_close(f->lock.fd);
}

static void leave(wf_fd *f)
{
    if (wf_fdlock_leave(&f->lock))
        wf_poll_close(f->pd);
}

static inline void fulfil(wf_m *mp, wf_fd *f, enum wf_fdlock_duty duty)
{
    if (WF_LIKELY(duty == WF_DUTY_NONE))
        return;
    close_number(f);
    leave(f);
    wf_scarce_eased(mp);
}

int wf_op_close(wf_op *op, enum wf_close how)
{
    wf_fd *f = op->f;
    if (!wf_fdlock_close(op->mp, &f->lock))
        return -EBADF;
    if (how == WF_CLOSE_RESET) {
        struct linger now = { .l_onoff = 1, .l_linger = 0 };
        f->reset = true;
        (void)wf_sys_setsockopt(f->lock.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    wf_poll_unblock(op->mp, f->pd);
    if (f->kind == WF_FD_LISTENER) {
        wf_scarce_eased(op->mp);         /* one that waits out a shortage must see the close */
        wf_fdlock_await_users(&f->lock); /* so that the port is free when the close returns */
    }
    return 0;
}

void wf_fd_close_all(void)
{
    wf_scarce_reset();
    unsigned count = wf_poll_cache_count();
    for (unsigned i = 1; i < count; i++) {
        wf_fd *f = slot_at(i);
        bool   used = false;
        if (!f)
            continue;
        if (wf_fdlock_abandon(&f->lock, &used) == WF_DUTY_CLOSE_FD)
            close_number(f);
        if (used)
            wf_poll_close(f->pd);
    }
}

/* ---- Adopting ------------------------------------------------------------------------ */

/* The poller tells of a descriptor that it has already, but not of one it does not take. */
static bool is_open(wf_m *mp, int fd)
{
    bool found = false;
    for (unsigned i = 1; i < wf_poll_cache_count() && !found; i++) {
        wf_fd *f = slot_at(i);
        if (!f || !wf_fdlock_ref(&f->lock))
            continue;
        found = f->lock.fd == fd;
        fulfil(mp, f, wf_fdlock_drop(&f->lock));
    }
    return found;
}

int wf_fd_adopt(wf_m *mp, int fd, enum wf_fd_kind kind, enum wf_fd_type type, uint64_t *id)
{
    wf_fd            *f;
    bool              stream = type == WF_FD_TCP && kind == WF_FD_CONN;
    enum wf_poll_kind what = stream ? WF_POLL_TCP_ADOPTED : WF_POLL_ANY;
    int               r = wf_uring_has(fd) ? -EEXIST : fd_register(fd, kind, type, what, &f);
    if (r < 0)
        return r;
    bool twice = !AO_char_load(&f->pd->pollable) && is_open(mp, fd);
    int  was_set = twice ? -EEXIST : wf_sys_nonblock(fd);
    r = was_set < 0 ? was_set : wf_sys_cloexec(fd);
    if (r < 0) {
        if (was_set == 0)
            (void)wf_sys_restore(fd);
        wf_poll_close(f->pd);
        return r;
    }
    publish(f, fd, id);
    return 0;
}

/* ---- Operations ---------------------------------------------------------------------- */

static inline bool matches(const wf_fd *f, uint64_t id, enum wf_fd_kind kind)
{
    return wf_poll_id(f->pd) == id && f->kind == kind;
}

static inline void enter(wf_op *op, const char *call)
{
    op->mp = wf_enter(call);
    op->f = NULL;
    op->turn = false;
}

int wf_op_begin(wf_op *op, const char *call, uint64_t id, enum wf_fd_kind kind)
{
    enter(op, call);
    wf_fd *f = slot_at(id);
    if (!f || !wf_fdlock_ref(&f->lock))
        return -EBADF;
    op->f = f;
    return matches(f, id, kind) ? 0 : -EBADF;
}

static WF_NOINLINE int wait_turn(wf_op *op)
{
    if (!wf_op_rest(op))
        return -EBADF;
    wf_fd *f = op->f;
    int    r = wf_fdlock_wait(&op->mp, &f->lock, op->mode, &f->pd->deadline[op->mode]);
    op->turn = r == 0;
    return wf_op_back(op) ? r : -EBADF;
}

int wf_op_take(wf_op *op, uint64_t id, enum wf_fd_kind kind, enum wf_mode mode)
{
    op->mode = mode;
    op->f = NULL;
    op->turn = false;
    if (wf_g_cancelled(op->mp->gp))
        return -ECANCELED;
    wf_fd *f = slot_at(id);
    if (!f)
        return -EBADF;
    enum wf_fdlock_take got = wf_fdlock_take(&f->lock, mode);
    if (got == WF_TAKE_CLOSED)
        return -EBADF;
    op->f = f;
    op->turn = got == WF_TAKE_TURN;
    if (!matches(f, id, kind))
        return -EBADF;
    return op->turn ? 0 : wait_turn(op);
}

int wf_op_begin_turn(wf_op *op, const char *call, uint64_t id, enum wf_fd_kind kind,
                     enum wf_mode mode)
{
    op->mp = wf_enter(call);
    return wf_op_take(op, id, kind, mode);
}

bool wf_op_resume_turn(wf_op *op, uint64_t id, enum wf_mode mode)
{
    wf_fd *f = slot_at(id);
    if (!f || !wf_fdlock_resume(&f->lock, mode))
        return false;
    *op = (wf_op){ .mp = op->mp, .f = f, .mode = mode, .turn = true };
    if (WF_LIKELY(wf_poll_id(f->pd) == id))
        return true;
    fulfil(op->mp, f, wf_fdlock_drop(&f->lock)); /* another's place, whose turn is another's */
    return false;
}

void wf_op_end(wf_op *op)
{
    wf_fd *f = op->f;
    if (f && op->turn)
        fulfil(op->mp, f, wf_fdlock_release(op->mp, &f->lock, op->mode));
    else if (f)
        fulfil(op->mp, f, wf_fdlock_drop(&f->lock));
    wf_leave(op->mp);
}

int wf_op_probe(const char *call, uint64_t id, enum wf_fd_kind kind)
{
    wf_op op;
    int   r = wf_op_begin(&op, call, id, kind);
    if (wf_g_cancelled(op.mp->gp))
        r = -ECANCELED;
    wf_op_end(&op);
    return r;
}

bool wf_op_rest(wf_op *op)
{
    return wf_fdlock_rest(&op->f->lock);
}

bool wf_op_back(wf_op *op)
{
    if (WF_LIKELY(wf_fdlock_back(&op->f->lock)))
        return true;
    leave(op->f); /* closed meanwhile: the turn went with it */
    op->f = NULL;
    op->turn = false;
    return false;
}

static inline int prepare(wf_op *op)
{
    return wf_poll_prepare(op->mp, op->f->pd, op->mode);
}

/*
 * A coroutine whose every call succeeds at once would never let another run on its P:
 * nothing preempts it.  So after IN_A_ROW attempts without a switch it steps aside.
 */
static inline bool had_its_share(wf_p *pp)
{
    AO_t tick = AO_load(&pp->tick);
    pp->io_run = pp->io_tick == tick ? pp->io_run + 1 : 0;
    pp->io_tick = tick;
    return pp->io_run >= IN_A_ROW;
}

static WF_NOINLINE bool step_aside(wf_op *op)
{
    if (!wf_op_rest(op))
        return false;
    op->mp = wf_yield(op->mp);
    return wf_op_back(op);
}

bool wf_op_share(wf_op *op)
{
    return WF_LIKELY(!had_its_share(op->mp->pp)) || step_aside(op);
}

int wf_op_check(wf_op *op)
{
    int r = prepare(op);
    return r < 0 ? r : 0;
}

bool wf_fd_ready(wf_fd *f, short events)
{
    struct pollfd p = { .fd = f->lock.fd, .events = events };
    return wf_sys_poll(&p) > 0 && p.revents & events;
}

ssize_t wf_op_attempt(wf_op *op, wf_op_try attempt, void *arg)
{
    if (!wf_op_share(op))
        return -EBADF;
    for (;;) {
        int r = prepare(op);
        if (r < 0)
            return r;
        if (r == 0) {
            ssize_t n = attempt(op, arg);
            if (n == -EINTR)
                continue;
            if (n != -EAGAIN)
                return n;
        }
        if (!wf_op_rest(op))
            return -EBADF;
        r = wf_poll_wait(&op->mp, op->f->pd, op->mode);
        if (!wf_op_back(op))
            return -EBADF;
        if (r < 0)
            return r;
    }
}

bool wf_fd_return_turn(wf_m *mp, uint64_t id, enum wf_mode mode)
{
    wf_fd *f = slot_at(id);
    if (!f || !wf_fdlock_ref(&f->lock))
        return false;
    bool same = wf_poll_id(f->pd) == id;
    fulfil(mp, f, same ? wf_fdlock_release(mp, &f->lock, mode) : wf_fdlock_drop(&f->lock));
    return same;
}
