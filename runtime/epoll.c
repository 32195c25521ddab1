/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.c - netpoll_init, open, netpoll, break: epoll and the pipe.
 *
 * The pipe's wake flag: break sets it (0 -> 1, CAS) and only who set it writes, so one
 * byte at most is in the pipe.  Only the blocking poll drains: it reads the byte, then
 * clears the flag (1 -> 0), so that a break which comes later writes again.  A poll that
 * does not block may see the pipe's event and must leave byte and flag alone, else the
 * blocked one sleeps on: the pipe is registered level-triggered for that reason.
 */
#include "epoll.h"

#include "sys.h"

#include <unistd.h>

/* Few at a time: what an event brought near must still be near when its G runs, after all the
 * requests before it.  A call more for 32 requests costs 10 ns each. */
enum { EVENTS = 32, AHEAD = 4 };

static struct {
    int           epfd;
    int           pipe[2];
    volatile AO_t broken; /* the wake flag */
    volatile AO_t used;   /* descriptors registered */
} np = { -1, { -1, -1 }, 0, 0 };

#define PIPE_ID UINT64_C(0) /* no descriptor's id is 0 */

int wf_netpoll_init(void)
{
    AO_store(&np.broken, 0);
    AO_store(&np.used, 0);
    np.epfd = wf_sys_above_stdio(wf_sys_epoll_create());
    if (np.epfd < 0)
        return np.epfd;
    int r = wf_sys_pipe(np.pipe);
    for (int i = 0; i < 2 && r == 0; i++) {
        np.pipe[i] = wf_sys_above_stdio(np.pipe[i]);
        r = np.pipe[i] < 0 ? np.pipe[i] : 0;
    }
    if (r == 0) {
        struct epoll_event ev = { .events = EPOLLIN, .data.u64 = PIPE_ID };
        r = wf_sys_epoll_ctl(np.epfd, EPOLL_CTL_ADD, np.pipe[0], &ev);
    }
    if (r < 0)
        wf_netpoll_end();
    return r;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        wf_sys_close(*fd);
    *fd = -1;
}

void wf_netpoll_end(void)
{
    close_one(&np.epfd);
    close_one(&np.pipe[0]);
    close_one(&np.pipe[1]);
}

int wf_netpoll_open(wf_poll_desc *pd)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
                              .data.u64 = wf_poll_id(pd) };
    int                r = wf_sys_epoll_ctl(np.epfd, EPOLL_CTL_ADD, pd->fd, &ev);
    if (r == 0)
        AO_fetch_and_add_full(&np.used, 1);
    return r;
}

void wf_netpoll_close(wf_poll_desc *pd)
{
    struct epoll_event none = { 0 };
    /* Before close(2): a duplicate of the descriptor would keep it registered. */
    wf_sys_epoll_ctl(np.epfd, EPOLL_CTL_DEL, pd->fd, &none);
    AO_fetch_and_add_full(&np.used, (AO_t)-1);
}

bool wf_netpoll_used(void)
{
    return AO_load(&np.used) > 0;
}

AO_t wf_netpoll_count(void)
{
    return AO_load(&np.used);
}

static void drain_pipe(void)
{
    char byte[16];
    while (wf_sys_read(np.pipe[0], byte, sizeof byte) > 0)
        ;
    AO_store_release(&np.broken, 0); /* pairs with the CAS in break */
}

static int poll_once(int64_t timeout_ns, bool drain, wf_glist *out)
{
    struct epoll_event evs[EVENTS];
    int                n = wf_sys_epoll_wait(np.epfd, evs, EVENTS, timeout_ns);
    int                descriptors = 0;
    for (int i = 0; i < n && i < AHEAD; i++)
        wf_poll_near(evs[i].data.u64);
    for (int i = 0; i < n; i++) {
        if (i + AHEAD < n)
            wf_poll_near(evs[i + AHEAD].data.u64);
        if (i + AHEAD / 2 < n)
            wf_poll_near_g(evs[i + AHEAD / 2].data.u64);
        if (evs[i].data.u64 == PIPE_ID) {
            if (drain)
                drain_pipe();
            continue;
        }
        descriptors++;
        wf_poll_event(evs[i].data.u64, evs[i].events, out);
    }
    return descriptors; /* EINTR: none, the caller asks again */
}

int wf_netpoll(wf_glist *out)
{
    return poll_once(0, false, out);
}

int wf_netpoll_block(int64_t timeout_ns, wf_glist *out)
{
    return poll_once(timeout_ns, true, out);
}

void wf_netpoll_break(void)
{
    if (!AO_compare_and_swap_full(&np.broken, 0, 1)) /* pairs with drain_pipe */
        return;
    while (wf_sys_write(np.pipe[1], "!", 1) == -EINTR)
        ;
}
