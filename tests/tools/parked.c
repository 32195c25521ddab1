/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/tools/parked.c - a process for the debugger to look at: COUNT coroutines that wait, each a
 * few calls deep, in a semaphore, a channel, a sleep or a mutex; one that computes and one that
 * blocks its thread.  It says `parked COUNT` when all do, as a dump tells, and ends by itself after
 * a while.
 *
 *     parked COUNT
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

enum { KINDS = 4, LIFE_S = 300 };

static weft_sem   never;
static weft_chan *empty;
static weft_mutex held;
static atomic_int arrived, returned;

static __attribute__((noinline)) int waits(long kind)
{
    int element, r = 0;

    atomic_fetch_add(&arrived, 1);
    switch (kind) {
    case 0:
        r = weft_sem_acquire(&never, WEFT_FOREVER);
        break;
    case 1:
        r = weft_chan_recv(empty, &element);
        break;
    case 2:
        r = weft_sleep(1000 * WEFT_S);
        break;
    default:
        weft_mutex_lock(&held);
    }
    return r;
}

/* As deep as the kind says; the frame is not the last call's, so it stays. */
static __attribute__((noinline)) int level(long kind, long depth)
{
    int r = depth > 0 ? level(kind, depth - 1) : waits(kind);

    atomic_fetch_add(&returned, 1);
    return r;
}

static void coroutine_of_kind(void *arg)
{
    long kind = *(long *)arg % KINDS;

    if (level(kind, kind) != 0)
        atomic_fetch_add(&returned, 1);
}

static void computes(void *arg)
{
    (void)arg;
    for (atomic_fetch_add(&arrived, 1);;)
        atomic_load(&returned);
}

static void blocks(void *arg)
{
    (void)arg;
    weft_block_enter();
    atomic_fetch_add(&arrived, 1);
    for (;;)
        pause();
}

static void start(const char *name, void (*fn)(void *arg), long number)
{
    weft_go_options opt = { .name = name };
    int             r = weft_go_with(&opt, fn, &number, sizeof number);

    if (r != 0) {
        fprintf(stderr, "parked: coroutine %ld: %s\n", number, strerror(-r));
        exit(1);
    }
}

/* A thread's: of a coroutine's own doing nothing shows that it has parked. */
static void *says_when_all_wait(void *arg)
{
    static char text[512], words[64];
    long        count = (long)arg;
    FILE       *f = tmpfile();

    snprintf(words, sizeof words, ": %ld waiting, 0 runnable,", count + 1); /* main too */
    while (f && !strstr(text, words)) {
        usleep(1000);
        lseek(fileno(f), 0, SEEK_SET);
        if (weft_dump(fileno(f)) != 0 || pread(fileno(f), text, sizeof text - 1, 0) < 0)
            break;
    }
    if (f && strstr(text, words))
        printf("parked %ld\n", count);
    fflush(stdout);
    return NULL;
}

static int main_starts(void *arg)
{
    long      count = atol(arg);
    pthread_t thread;

    empty = weft_chan_new(sizeof(int), 0);
    if (!empty)
        return 1;
    weft_mutex_lock(&held);
    for (long i = 0; i < count; i++)
        start(i % 100 == 0 ? "hundredth" : NULL, coroutine_of_kind, i);
    start("blocker", blocks, 0);
    start("computer", computes, 0);
    while (atomic_load(&arrived) < count + 2)
        weft_yield();
    if (pthread_create(&thread, NULL, says_when_all_wait, (void *)count) != 0)
        return 1;
    return weft_sem_acquire(&never, WEFT_FOREVER);
}

int main(int argc, char **argv)
{
    weft_options opt = { .procs = 3 };

    if (argc != 2) {
        fputs("usage: parked COUNT\n", stderr);
        return 2;
    }
    alarm(LIFE_S);
    return weft_run(&opt, main_starts, argv[1]);
}
