/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd_wait.c - weft_fd_wait: readiness of a descriptor that is somebody else's.
 *
 * The descriptor is registered for the time of the wait and no longer, since its owner may
 * close it at any other time.  What is ready is asked of the kernel (poll), so readiness
 * that nobody consumed is reported again, as those libraries expect it.
 */
#include "netpoll.h"

#include "sys.h"
#include "wait.h"

#include <poll.h>

/* Descriptors in a wait now, to tell a second waiter from a descriptor of weft's. */
struct waiter {
    wf_list node;
    int     fd;
};

static struct {
    wf_lock lock;
    wf_list waiters; /* under lock */
} fds;

static void enlist(struct waiter *w)
{
    wf_lock_acquire(&fds.lock);
    if (!fds.waiters.next)
        wf_list_init(&fds.waiters);
    wf_list_append(&fds.waiters, &w->node);
    wf_lock_release(&fds.lock);
}

static void delist(struct waiter *w)
{
    wf_lock_acquire(&fds.lock);
    wf_list_remove(&w->node);
    wf_lock_release(&fds.lock);
}

static bool is_waited_for(int fd)
{
    bool found = false;
    wf_lock_acquire(&fds.lock);
    for (wf_list *n = fds.waiters.next; n && n != &fds.waiters; n = n->next)
        found = found || WF_CONTAINER(n, struct waiter, node)->fd == fd;
    wf_lock_release(&fds.lock);
    return found;
}

/* The ready ones of events; errors and hang-ups count as all of them; 0: none. */
static int ready(int fd, int events)
{
    struct pollfd p = { .fd = fd, .events = (short)events };
    int           r = wf_sys_poll(&p);
    if (r < 0)
        return r == -EINTR ? 0 : r;
    if (p.revents & POLLNVAL)
        return -EBADF;
    return p.revents & (POLLERR | POLLHUP) ? events : p.revents & events;
}

static int wait_registered(wf_m **mp, wf_poll_desc *pd, int events, weft_time deadline)
{
    for (;;) {
        int r = ready(pd->fd, events);
        if (r != 0)
            return r;
        r = wf_poll_wait_any(mp, pd, events & POLLIN, events & POLLOUT, deadline);
        if (r != 0)
            return r;
    }
}

static int open_fd(int fd, wf_poll_desc **pd)
{
    int r = wf_poll_open(fd, false, pd);
    if (r == -EEXIST)
        return is_waited_for(fd) ? -EBUSY : -EEXIST;
    if (r == 0 && !(*pd)->pollable) {
        wf_poll_close(*pd);
        return -EPERM;
    }
    return r;
}

static int wait_for(wf_m **mp, int fd, int events, weft_time deadline)
{
    if (wf_g_cancelled((*mp)->gp))
        return -ECANCELED;
    wf_poll_desc *pd;
    int           r = open_fd(fd, &pd);
    if (r != 0)
        return r;
    struct waiter w = { .fd = fd };
    enlist(&w);
    r = wait_registered(mp, pd, events, deadline);
    delist(&w);
    wf_poll_unblock(*mp, pd);
    wf_poll_close(pd);
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
