/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.c - the look-up threads and their queue; see resolve.h.
 *
 * Lock order: pool.lock may be held when a coroutine is made runnable (sched.lock comes
 * after it); nothing else is taken under it, and no one calls the resolver with a lock.
 */
#include "resolve.h"

#include "runtime/sys.h"
#include "runtime/wait.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKUP_THREADS = 16, ADDRESSES_MOST = 16 };

#define IDLE_NS (5 * WEFT_S)

/*
 * One look-up, made by the coroutine.  Queued, then taken by a thread, then done.  Who
 * comes second frees it: the coroutine that takes the result or finds its thread still at
 * work (it then clears gp), or the thread that finds gp cleared.
 */
typedef struct lookup {
    wf_list   node;   /* under lock: in pool.queue, then in pool.running */
    wf_g     *gp;     /* under lock; NULL: abandoned, nobody wants the result */
    wf_ticket ticket; /* fixed */
    bool      done;   /* under lock */
    int       result; /* the thread, before done */
    int       family;
    uint16_t  port;
    wf_addrs *addrs; /* the thread, before done */
    char      host[WF_HOST_MAX];
} lookup;

static struct {
    wf_lock           lock;
    wf_list           queue, running; /* under lock; zeroed counts as empty */
    int               queued;         /* under lock: in queue */
    int               threads, idle;  /* under lock; idle ones may have been woken already */
    volatile unsigned work;           /* futex: changes as look-ups are queued */
} pool;

static void list_ready(wf_list *l)
{
    if (!l->next)
        wf_list_init(l);
}

/* ---- The thread's half --------------------------------------------------------------- */

static int count(const struct addrinfo *ai)
{
    int n = 0;
    for (; ai && n < ADDRESSES_MOST; ai = ai->ai_next)
        n += ai->ai_family == AF_INET || ai->ai_family == AF_INET6;
    return n;
}

static int convert(const struct addrinfo *ai, uint16_t port, wf_addrs **out)
{
    int n = count(ai);
    if (n == 0)
        return -EHOSTUNREACH;
    wf_addrs *addrs = calloc(1, sizeof *addrs + (size_t)n * sizeof addrs->a[0]);
    if (!addrs)
        return -ENOMEM;
    for (; addrs->n < n; ai = ai->ai_next) {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
            continue;
        weft_addr *a = &addrs->a[addrs->n++];
        memcpy(&a->sa, ai->ai_addr, ai->ai_addrlen);
        a->len = ai->ai_addrlen;
        wf_addr_set_port(a, port);
    }
    *out = addrs;
    return 0;
}

static void look_up(lookup *l)
{
    struct addrinfo  hints = { .ai_family = l->family, .ai_socktype = SOCK_STREAM };
    struct addrinfo *ai = NULL;
    l->result = wf_sys_getaddrinfo(l->host, &hints, &ai);
    if (l->result == 0) {
        l->result = convert(ai, l->port, &l->addrs);
        freeaddrinfo(ai);
    }
}

static void lookup_free(lookup *l)
{
    free(l->addrs);
    free(l);
}

/* Under the lock, so that a stop that comes later finds nobody about to wake a G. */
static void finish(lookup *l)
{
    wf_lock_acquire(&pool.lock);
    wf_list_remove(&l->node);
    l->done = true;
    bool wanted = l->gp != NULL;
    if (wanted)
        wf_wake(l->gp, l->ticket, WF_EVENT);
    wf_lock_release(&pool.lock);
    if (!wanted)
        lookup_free(l);
}

/* Under the lock: the oldest, out of the queue. */
static lookup *dequeue(void)
{
    if (wf_list_empty(&pool.queue))
        return NULL;
    lookup *l = WF_CONTAINER(pool.queue.next, lookup, node);
    wf_list_remove(&l->node);
    pool.queued--;
    return l;
}

/* Waits for work; NULL: none came for long, and this thread is counted out. */
static lookup *next(void)
{
    bool late = false;
    for (;;) {
        wf_lock_acquire(&pool.lock);
        lookup  *l = dequeue();
        unsigned seen = AO_int_load(&pool.work);
        if (l)
            wf_list_append(&pool.running, &l->node);
        else if (late)
            pool.threads--;
        else
            pool.idle++;
        wf_lock_release(&pool.lock);
        if (l || late)
            return l;
        late = wf_futex_wait(&pool.work, seen, weft_after(IDLE_NS)) == -ETIMEDOUT;
        wf_lock_acquire(&pool.lock);
        pool.idle--;
        wf_lock_release(&pool.lock);
    }
}

static void *thread_main(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "weft-resolve");
    wf_helper_begin();
    for (lookup *l; (l = next());) {
        look_up(l);
        finish(l);
    }
    wf_helper_end();
    return NULL;
}

/* ---- The coroutine's half ------------------------------------------------------------ */

/* Signals stay with the threads that want them. */
static int thread_start(void)
{
    pthread_t      thread;
    pthread_attr_t attr;
    sigset_t       all, old;
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&thread, &attr, thread_main, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return r == 0 ? 0 : -ENOMEM;
}

static lookup *lookup_new(wf_m *mp, const wf_endpoint *e, int family)
{
    lookup *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->gp = mp->gp;
    l->family = family;
    l->port = e->port;
    memcpy(l->host, e->host, sizeof l->host);
    return l;
}

/* Queued as a wait that is armed already; true: another thread is needed. */
static bool enqueue(lookup *l)
{
    wf_lock_acquire(&pool.lock);
    list_ready(&pool.queue);
    list_ready(&pool.running);
    wf_list_append(&pool.queue, &l->node);
    pool.queued++;
    bool more = pool.queued > pool.idle && pool.threads < LOOKUP_THREADS;
    pool.threads += more;
    AO_int_store(&pool.work, AO_int_load(&pool.work) + 1);
    wf_lock_release(&pool.lock);
    return more;
}

/* The thread that was counted in could not be made; with no other, nobody will look. */
static bool count_out(void)
{
    wf_lock_acquire(&pool.lock);
    bool none = --pool.threads == 0;
    wf_lock_release(&pool.lock);
    return none;
}

/* By the coroutine, whatever its wait said: the result if there is one, and the lookup
 * is freed, or left to its thread. */
static int collect(lookup *l, enum wf_reason why, wf_addrs **out)
{
    wf_lock_acquire(&pool.lock);
    bool done = l->done, queued = false;
    for (wf_list *at = pool.queue.next; !done && at != &pool.queue; at = at->next)
        queued = queued || at == &l->node;
    if (queued) {
        wf_list_remove(&l->node);
        pool.queued--;
    }
    l->gp = NULL;
    wf_lock_release(&pool.lock);
    int r = done && why == WF_EVENT ? l->result : wf_reason_error(why);
    if (r == 0) {
        *out = l->addrs;
        l->addrs = NULL;
    }
    if (done || queued)
        lookup_free(l);
    return r;
}

int wf_resolve(wf_m **mp, const wf_endpoint *e, int family, weft_time deadline, wf_addrs **out)
{
    lookup *l = lookup_new(*mp, e, family);
    if (!l)
        return -ENOMEM;
    wf_ticket t = l->ticket = wf_wait_arm(*mp);
    if (enqueue(l) && thread_start() < 0 && count_out()) {
        wf_wait_abandon(*mp, t);
        (void)collect(l, WF_CANCEL, out);
        return -ENOMEM;
    }
    wf_futex_wake(&pool.work, 1);
    return collect(l, wf_wait(mp, t, deadline, wf_for(WF_FOR_NAME, NULL)), out);
}

void wf_resolve_stop(void)
{
    wf_lock_acquire(&pool.lock);
    list_ready(&pool.queue);
    list_ready(&pool.running);
    for (lookup *l; (l = dequeue());)
        lookup_free(l);
    for (wf_list *at = pool.running.next; at != &pool.running; at = at->next)
        WF_CONTAINER(at, lookup, node)->gp = NULL;
    wf_lock_release(&pool.lock);
}
