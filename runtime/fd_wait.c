/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd_wait.c - weft_fd_wait: readiness of a descriptor that is somebody else's.
 *
 * The descriptor is registered for the time of the wait and no longer, since its owner may
 * close it at any other time.  What is ready is asked of the kernel (poll), so readiness
 * that nobody consumed is reported again, as those libraries expect it.
 */
#include "netpoll.h"

#include "uring.h"
#include "wait.h"

#include <poll.h>

/* Descriptors in a wait now, to tell a second waiter from a descriptor of weft's: in the
 * list exactly as long as they are registered, since both change under the lock. */
struct waiter {
    wf_list       node; /* under lock */
    int           fd;
    wf_poll_desc *pd;
};

static struct {
    wf_lock lock;
    wf_list waiters; /* under lock */
} fds;

/* Under the lock. */
static bool is_waited_for(int fd)
{
    bool found = false;
    for (wf_list *n = fds.waiters.next; n && n != &fds.waiters; n = n->next)
        found = found || WF_CONTAINER(n, struct waiter, node)->fd == fd;
    return found;
}

/* Under the lock. */
static int open_locked(struct waiter *w)
{
    int r = wf_uring_has(w->fd) ? -EEXIST : wf_poll_open(w->fd, WF_POLL_ANY, &w->pd);
    if (r == -EEXIST)
        return is_waited_for(w->fd) ? -EBUSY : -EEXIST;
    if (r != 0)
        return r;
    if (!AO_char_load(&w->pd->pollable)) {
        wf_poll_close(w->pd);
        return -EPERM;
    }
    if (!fds.waiters.next)
        wf_list_init(&fds.waiters);
    wf_list_append(&fds.waiters, &w->node);
    return 0;
}

static int open_fd(struct waiter *w)
{
    wf_lock_acquire(&fds.lock);
    int r = open_locked(w);
    wf_lock_release(&fds.lock);
    return r;
}

static void close_fd(wf_m *mp, struct waiter *w)
{
    wf_poll_unblock(mp, w->pd);
    wf_lock_acquire(&fds.lock);
    wf_poll_close(w->pd);
    wf_list_remove(&w->node);
    wf_lock_release(&fds.lock);
}

static int wait_registered(wf_m **mp, wf_poll_desc *pd, int events, weft_time deadline)
{
    const bool sides[2] = { events & POLLIN, events & POLLOUT };
    for (;;) {
        int r = wf_poll_ask(pd->fd, events, events);
        if (r != 0)
            return r;
        r = wf_poll_wait_any(mp, wf_wait_arm(*mp), pd, sides, deadline);
        if (r != 0)
            return r;
    }
}

static int wait_for(wf_m **mp, int fd, int events, weft_time deadline)
{
    if (wf_g_cancelled((*mp)->gp))
        return -ECANCELED;
    struct waiter w = { .fd = fd };
    int           r = open_fd(&w);
    if (r != 0)
        return r;
    r = wait_registered(mp, w.pd, events, deadline);
    close_fd(*mp, &w);
    return r;
}

int weft_fd_wait(int fd, int events, weft_time deadline)
{
    if (fd < 0)
        return -EBADF;
    if (events == 0 || (events & ~(POLLIN | POLLOUT)))
        return -EINVAL;
    wf_m *mp = wf_enter("weft_fd_wait");
    int   r = wait_for(&mp, fd, events, deadline);
    wf_leave(mp);
    return r;
}
