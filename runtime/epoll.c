/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.c - netpoll_init, open, netpoll, break: epoll and the pipe.
 *
 * The pipe's wake flag: break sets it (0 -> 1, CAS) and only who set it writes, so one
 * byte at most is in the pipe.  Only the blocking poll drains: it reads the byte, then
 * clears the flag (1 -> 0), so that a break which comes later writes again.  A poll that
 * does not block may see the pipe's event and must leave byte and flag alone, else the
 * blocked one sleeps on: the pipe is registered level-triggered for that reason.
 *
 * Rings are registered too, edge-triggered: so whoever blocks here hears of the completions
 * on the ring of an M that sleeps or is in other code.  Who takes such an edge takes all that
 * is in the ring.
 *
 * Descriptors are counted by the P that opens or closes one.  Whoever looks for work asks
 * `used` alone, which is written seldom:
 *
 *   NONE            no descriptor is registered
 *   SOME            there are, or were lately
 *   DOUBTED         the same; sysmon means to count
 *
 *   NONE, DOUBTED -> SOME     open, once it has counted its own: store
 *   SOME          -> DOUBTED  wf_netpoll_recount, sysmon's: store
 *   DOUBTED       -> NONE     wf_netpoll_recount, which has counted none since: CAS
 *
 * So a program that had connections once does not poll for ever; and from the end of an
 * open to its close `used` never says NONE.  The open counts, passes a fence, looks at the
 * word; sysmon stores DOUBTED, passes a fence, counts.  Either sysmon counts that open, or
 * the open finds DOUBTED, or NONE, and stores SOME: then the CAS fails, or was done before.
 * A sum that is torn, as descriptors go from P to P, does no harm: a close can be counted
 * without its open only if that open came meanwhile, which the CAS finds.  For people, who
 * have no CAS, all closes are read before all opens: they may be told of too many, never of
 * too few (tests/model/used.pml).
 */
#include "epoll.h"

#include "sched.h"
#include "sys.h"
#include "uring.h"

#include <unistd.h>

/* Few at a time: what an event brought near must still be near when its G runs, after all the
 * requests before it.  A call more for 32 requests costs 10 ns each. */
enum { EVENTS = 32, AHEAD = 4 };

static struct {
    int           epfd;
    int           pipe[2];
    volatile AO_t broken; /* the wake flag */
    volatile AO_t used;   /* enum used; see above */
} np = { -1, { -1, -1 }, 0, 0 };

enum used { NONE, SOME, DOUBTED };

/* What is no descriptor's: the pipe's is 0; a ring's is its number + 1 in the upper part. */
#define PIPE_ID     UINT64_C(0)
#define INDEX_MASK  UINT64_C(0xffffff)
#define RING_ID(n)  (((uint64_t)(n) + 1) << 24)
#define RING_OF(id) ((unsigned)((id) >> 24) - 1)

int wf_netpoll_init(void)
{
    AO_store(&np.broken, 0);
    AO_store(&np.used, NONE);
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
    if (r == 0)
        r = wf_uring_start();
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
    wf_uring_end();
    close_one(&np.epfd);
    close_one(&np.pipe[0]);
    close_one(&np.pipe[1]);
}

int wf_netpoll_watch(wf_poll_desc *pd, enum wf_watch watch)
{
    unsigned           was = AO_int_load(&pd->watch);
    uint32_t           reading = watch == WF_WATCH_ALL ? EPOLLIN | EPOLLRDHUP | EPOLLPRI : 0;
    struct epoll_event ev = { .events = EPOLLOUT | EPOLLET | reading, .data.u64 = wf_poll_id(pd) };
    if (was >= (unsigned)watch)
        return 0;
    int r = wf_sys_epoll_ctl(np.epfd, was ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, pd->fd, &ev);
    if (r < 0)
        return r;
    AO_int_store(&pd->watch, watch);
    return 0;
}

int wf_netpoll_open(wf_poll_desc *pd, enum wf_watch watch)
{
    int r = wf_netpoll_watch(pd, watch);
    if (r < 0)
        return r;
    wf_count(&wf_m_self()->pp->n_opened, 1);
    wf_fence(); /* counted, then looked; pairs with wf_netpoll_recount's */
    if (AO_load(&np.used) != SOME)
        AO_store(&np.used, SOME);
    return 0;
}

void wf_netpoll_close(wf_poll_desc *pd)
{
    struct epoll_event none = { 0 };
    if (AO_int_load(&pd->watch)) /* before close(2): a duplicate would keep it registered */
        wf_sys_epoll_ctl(np.epfd, EPOLL_CTL_DEL, pd->fd, &none);
    AO_int_store(&pd->watch, WF_WATCH_NOTHING);
    wf_uring_disclaim(pd->fd);
    wf_m *mp = wf_m_self();
    if (mp) /* else all have stopped, and nobody asks; release: pairs with wf_netpoll_count */
        AO_store_release(&mp->pp->n_closed, AO_load(&mp->pp->n_closed) + 1);
}

int wf_netpoll_add_ring(int fd, unsigned number)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = RING_ID(number) };
    return wf_sys_epoll_ctl(np.epfd, EPOLL_CTL_ADD, fd, &ev);
}

bool wf_netpoll_used(void)
{
    return AO_load(&np.used) != NONE;
}

/* All closes before all opens: see above. */
AO_t wf_netpoll_count(void)
{
    AO_t closed = 0, opened = 0;
    for (int i = 0; i < wf_the_sched.procs; i++)
        closed += AO_load_acquire(&wf_the_sched.ps[i]->n_closed); /* pairs with wf_netpoll_close */
    for (int i = 0; i < wf_the_sched.procs; i++)
        opened += AO_load(&wf_the_sched.ps[i]->n_opened);
    return opened - closed;
}

void wf_netpoll_recount(void)
{
    if (AO_load(&np.used) == NONE)
        return;
    AO_store(&np.used, DOUBTED);
    wf_fence(); /* doubted, then counted; pairs with wf_netpoll_open's */
    if (wf_netpoll_count() == 0)
        AO_compare_and_swap_full(&np.used, DOUBTED, NONE); /* pairs with the open's store */
}

static void drain_pipe(void)
{
    char byte[16];
    while (wf_sys_read(np.pipe[0], byte, sizeof byte) > 0)
        ;
    AO_store_release(&np.broken, 0); /* pairs with the CAS in break */
}

/* Of the pipe or a ring: the number of descriptors told of. */
static WF_NOINLINE int other_event(uint64_t id, bool drain, wf_glist *out)
{
    if (id != PIPE_ID)
        return wf_uring_event(RING_OF(id), out);
    if (drain)
        drain_pipe();
    return 0;
}

static int poll_once(int64_t timeout_ns, bool drain, wf_glist *out)
{
    struct epoll_event evs[EVENTS];
    int                n = wf_sys_epoll_wait(np.epfd, evs, EVENTS, timeout_ns);
    int                descriptors = 0;
    for (int i = 0; n > 1 && i < n && i < AHEAD; i++) /* one is looked at at once */
        wf_poll_near(evs[i].data.u64);
    for (int i = 0; i < n; i++) {
        if (i + AHEAD < n)
            wf_poll_near(evs[i + AHEAD].data.u64);
        if (i + AHEAD / 2 < n)
            wf_poll_near_g(evs[i + AHEAD / 2].data.u64);
        if (!(evs[i].data.u64 & INDEX_MASK)) {
            descriptors += other_event(evs[i].data.u64, drain, out);
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
