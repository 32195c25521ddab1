/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_held.c - for lockcheck.sh: holds a pthread lock across a park (its argument says which lock
 * and how it parks), or, with "clean", does all that looks like it and is allowed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#include <weft.h>

#define NOINLINE __attribute__((noinline))

static pthread_mutex_t    mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t    others = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t    recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_cond_t     cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t   rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spinlock;
static mtx_t              plain;
static const char        *kind, *way;
static weft_waitgroup     all;
static weft_chan         *news;
static atomic_int         waiting, held;

void take_the_lock(void);
void park_here(void);

/* Not inlined, and not in tail position: they are looked for in the backtraces. */
NOINLINE void take_the_lock(void)
{
    struct timespec at;
    int             r = -1;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += 60;
    if (strcmp(kind, "mutex") == 0)
        r = pthread_mutex_lock(&mutex);
    else if (strcmp(kind, "trylock") == 0)
        r = pthread_mutex_trylock(&mutex);
    else if (strcmp(kind, "timedlock") == 0)
        r = pthread_mutex_timedlock(&mutex, &at);
    else if (strcmp(kind, "mtx") == 0)
        r = mtx_lock(&plain);
    else if (strcmp(kind, "rdlock") == 0)
        r = pthread_rwlock_rdlock(&rwlock);
    else if (strcmp(kind, "wrlock") == 0)
        r = pthread_rwlock_wrlock(&rwlock);
    else if (strcmp(kind, "twice") == 0) /* and given back once */
        r = pthread_mutex_lock(&recursive) | pthread_mutex_lock(&recursive) |
            pthread_mutex_unlock(&recursive);
    else if (strcmp(kind, "spin") == 0)
        r = pthread_spin_lock(&spinlock);
    if (r != 0)
        exit(2);
}

NOINLINE void park_here(void)
{
    if (strcmp(way, "sleep") == 0)
        weft_sleep(WEFT_MS);
    else if (strcmp(way, "yield") == 0)
        weft_yield();
    else if (strcmp(way, "chan") == 0)
        (void)!weft_chan_recv(news, NULL);
    else if (strcmp(way, "waitgroup") == 0)
        (void)!weft_waitgroup_wait(&all, WEFT_FOREVER);
    __asm__ volatile("");
}

static void holds(void *arg)
{
    take_the_lock();
    park_here();
    atomic_store((atomic_int *)arg, 1);
}

/* On one P, where a yield always finds this one to yield to. */
static int run_held(void *arg)
{
    weft_go_options   opt = { .name = "holder" };
    static atomic_int done;

    news = weft_chan_new(0, 0);
    if (strcmp(way, "waitgroup") == 0)
        weft_waitgroup_add(&all, 1);
    if (weft_go_with(&opt, holds, &done, 0) != 0)
        return 1;
    weft_yield(); /* it waits, if that is its way */
    if (strcmp(way, "chan") == 0 && weft_chan_send(news, NULL) != 0)
        return 1;
    if (strcmp(way, "waitgroup") == 0)
        weft_waitgroup_done(&all);
    while (!atomic_load(&done))
        weft_yield();
    return weft_sleep(20 * WEFT_MS) + (arg != NULL);
}

/* ---- What is allowed --------------------------------------------------------------------------- */

static void in_between(void *arg)
{
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        pthread_rwlock_rdlock(&rwlock);
        pthread_spin_lock(&spinlock);
        pthread_spin_unlock(&spinlock);
        pthread_mutex_unlock(&mutex); /* in another order than they were taken */
        pthread_rwlock_unlock(&rwlock);
        weft_yield();
        pthread_mutex_lock(&recursive);
        pthread_mutex_lock(&recursive);
        pthread_mutex_trylock(&recursive);
        pthread_mutex_unlock(&recursive);
        pthread_mutex_unlock(&recursive);
        pthread_mutex_unlock(&recursive);
        weft_sleep(1);
        if (pthread_mutex_trylock(&others) == 0) /* a plain thread has it: that is no taking */
            exit(3);
        weft_yield();
    }
    weft_waitgroup_done(arg);
}

/* Its thread waits for the condition, which frees the mutex; the P goes on with others. */
static void waits_for_cond(void *arg)
{
    weft_block_enter();
    pthread_mutex_lock(&mutex);
    atomic_fetch_add(&waiting, 1);
    while (!*(volatile int *)&held)
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    weft_block_leave();
    weft_yield();
    weft_waitgroup_done(arg);
}

/* weft's own locks may be held across a park. */
static void holds_wefts(void *arg)
{
    static weft_mutex m;

    weft_mutex_lock(&m);
    weft_sleep(WEFT_MS);
    weft_mutex_unlock(&m);
    weft_waitgroup_done(arg);
}

/* No coroutine: holds its lock while they park. */
static void *on_a_thread(void *arg)
{
    char c;

    pthread_mutex_lock(&others);
    if (write(((int *)arg)[3], "x", 1) != 1 || read(((int *)arg)[0], &c, 1) != 1)
        exit(4);
    pthread_mutex_unlock(&others);
    return NULL;
}

static int run_clean(void *arg)
{
    char      c;
    int      *ends = arg;
    pthread_t thread;

    if (pthread_create(&thread, NULL, on_a_thread, arg) != 0 || read(ends[2], &c, 1) != 1)
        return 1;
    weft_waitgroup_add(&all, 22);
    for (int i = 0; i < 20; i++)
        if (weft_go(i % 5 == 0 ? holds_wefts : in_between, &all, 0) != 0)
            return 1;
    for (int i = 0; i < 2; i++)
        if (weft_go(waits_for_cond, &all, 0) != 0)
            return 1;
    while (atomic_load(&waiting) < 2)
        weft_yield();
    pthread_mutex_lock(&mutex);
    atomic_store(&held, 1);
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    int r = weft_waitgroup_wait(&all, WEFT_FOREVER);
    if (write(ends[1], "x", 1) != 1)
        return 1;
    return r | pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    int          ends[4];
    weft_options opt = { 0 };

    if (argc != 3 || pipe(ends) != 0 || pipe(ends + 2) != 0)
        return 2;
    kind = argv[1];
    way = argv[2];
    mtx_init(&plain, mtx_plain);
    pthread_spin_init(&spinlock, PTHREAD_PROCESS_PRIVATE);
    bool clean = strcmp(kind, "clean") == 0;
    opt.procs = clean ? 2 : 1;
    int r = weft_run(&opt, clean ? run_clean : run_held, clean ? ends : NULL);
    puts(r == 0 ? "done" : "failed");
    return r != 0;
}
