/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/scale/kernel.c - the prices that the machine and the kernel ask: a cache line
 * from another CPU, and what is done under the locks of an epoll set.
 *
 * Knows nothing of weft.  Each price is the least of many short batches: in the others
 * somebody was off the CPU.
 */
#include "scale.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { PASSES = 200, BATCHES = 2000 };

#define ENOUGH_NS 2e9

static _Alignas(64) atomic_int turn; /* negative: the end */

/* False: it is over. */
static bool await(int n)
{
    int now;
    while ((now = atomic_load_explicit(&turn, memory_order_acquire)) != n)
        if (now < 0)
            return false;
    return true;
}

/* This thread, to the nth CPU of those that the process may use. */
static void pin(const cpu_set_t *may, int nth)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, may) && nth-- == 0)
            CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void *answer(void *arg)
{
    pin(arg, 1);
    for (int n = 1; await(n); n += 2)
        atomic_store_explicit(&turn, n + 1, memory_order_release);
    return NULL;
}

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double batch(int from)
{
    double t0 = now_ns();
    for (int n = from; n < from + 2 * PASSES; n += 2) {
        atomic_store_explicit(&turn, n + 1, memory_order_release);
        await(n + 2);
    }
    return (now_ns() - t0) / (2 * PASSES);
}

/* The quickest of many batches: in the others somebody was off the CPU. */
double line_ns(void)
{
    pthread_t other;
    cpu_set_t may;
    if (sched_getaffinity(0, sizeof may, &may) != 0 || CPU_COUNT(&may) < 2)
        die("a cache line goes from CPU to CPU, and this process may use one only");
    pin(&may, 0);
    if (pthread_create(&other, NULL, answer, &may) != 0)
        die("no thread can be created");
    double least = 1e18, start = now_ns();
    for (int i = 0; i < BATCHES && now_ns() - start < ENOUGH_NS; i++) {
        double ns = batch(i * 2 * PASSES);
        least = ns < least ? ns : least;
    }
    atomic_store(&turn, -1);
    pthread_join(other, NULL);
    return least;
}

/* ---- epoll --------------------------------------------------------------------- */

enum { FDS = 64, ROUNDS = 300 };

struct set {
    int epfd, fds[FDS];
};

static void control(const struct set *s, int what)
{
    for (int i = 0; i < FDS; i++) {
        struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = s->fds[i] };
        if (epoll_ctl(s->epfd, what, s->fds[i], &ev) != 0)
            die("epoll_ctl: %s", strerror(errno));
    }
}

static void poll_set(const struct set *s, int wanted)
{
    struct epoll_event evs[FDS];
    expect("events", epoll_wait(s->epfd, evs, FDS, 0), wanted);
}

static void keep_least(double *least, double t0, int n)
{
    double ns = (now_ns() - t0) / n;
    if (*least == 0 || ns < *least)
        *least = ns;
}

static void epoll_round(const struct set *s, struct epoll_prices *p)
{
    double t0 = now_ns();
    control(s, EPOLL_CTL_ADD);
    keep_least(&p->add, t0, FDS);
    t0 = now_ns();
    for (int i = 0; i < FDS; i++)
        poll_set(s, 0);
    keep_least(&p->empty, t0, FDS);
    for (int i = 0; i < FDS; i++)
        if (eventfd_write(s->fds[i], 1) != 0)
            die("eventfd_write: %s", strerror(errno));
    t0 = now_ns();
    poll_set(s, FDS);
    keep_least(&p->event, t0, FDS);
    t0 = now_ns();
    control(s, EPOLL_CTL_DEL);
    keep_least(&p->del, t0, FDS);
    for (int i = 0; i < FDS; i++) {
        eventfd_t gone;
        if (eventfd_read(s->fds[i], &gone) != 0)
            die("eventfd_read: %s", strerror(errno));
    }
}

struct epoll_prices epoll_prices(void)
{
    struct epoll_prices p = { 0 };
    struct set          s = { .epfd = epoll_create1(EPOLL_CLOEXEC) };
    bool                ok = s.epfd >= 0;
    for (int i = 0; i < FDS; i++)
        ok = (s.fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0 && ok;
    if (!ok)
        die("an epoll set of %d descriptors: %s", FDS, strerror(errno));
    for (int i = 0; i < ROUNDS; i++)
        epoll_round(&s, &p);
    for (int i = 0; i < FDS; i++)
        close(s.fds[i]);
    close(s.epfd);
    return p;
}
