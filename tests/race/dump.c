/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/dump.c - dumps, one after the other, by a coroutine and by a thread, while thousands
 * of coroutines start, end, wait for all kinds of things and are woken.  Every dump succeeds, and
 * names no circle: locks are always taken in one order.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"

enum { COROUTINES = 10000, DUMPS = 4, LOCKS = 8, TEXT_MOST = 16 << 20 };

static weft_mutex     locks[LOCKS];
static weft_rwmutex   rw;
static weft_chan     *pipe_chan, *small;
static weft_waitgroup all;
static atomic_bool    stop;
static atomic_long    rounds;

static void nested_locks(uint64_t *random)
{
    unsigned i = test_random(random) % (LOCKS - 1);

    weft_mutex_lock(&locks[i]);
    if (test_random(random) % 8 == 0)
        weft_yield();
    weft_mutex_lock(&locks[i + 1]);
    weft_mutex_unlock(&locks[i + 1]);
    weft_mutex_unlock(&locks[i]);
}

static int shortly(void *arg)
{
    weft_yield();
    return arg != NULL;
}

static void group_of_two(void)
{
    weft_group g = WEFT_GROUP_INIT;

    for (int i = 0; i < 2; i++)
        check_eq(weft_group_go(&g, shortly, NULL, 0), 0);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
}

static void named(void *arg)
{
    check(arg == &all);
    weft_yield();
    weft_waitgroup_done(&all);
}

static void start_named(void)
{
    weft_go_options opt = { .name = "named, and gone soon" };

    weft_waitgroup_add(&all, 1);
    check_eq(weft_go_with(&opt, named, &all, 0), 0);
}

static void one_thing(uint64_t *random)
{
    long      v = 1;
    weft_case cases[] = { { .chan = pipe_chan, .recv = &v }, { .chan = small, .send = &v } };

    switch (test_random(random) % 8) {
    case 0:
        nested_locks(random);
        break;
    case 1:
        (void)!weft_chan_send_until(pipe_chan, &v, weft_after(WEFT_MS));
        break;
    case 2:
        (void)!weft_chan_recv_until(small, &v, weft_after(WEFT_MS));
        break;
    case 3:
        (void)!weft_select(cases, 2, weft_after(WEFT_MS));
        break;
    case 4:
        weft_sleep(test_random(random) % WEFT_MS);
        break;
    case 5:
        weft_rwmutex_rdlock(&rw);
        weft_rwmutex_rdunlock(&rw);
        break;
    case 6:
        group_of_two();
        break;
    default:
        start_named();
    }
}

static void worker(void *arg)
{
    uint64_t random = *(uint64_t *)arg * 77 + 1;

    while (!atomic_load(&stop)) {
        one_thing(&random);
        atomic_fetch_add(&rounds, 1);
    }
    weft_waitgroup_done(&all);
}

static void dump_once(int fd, char *text)
{
    check_eq(ftruncate(fd, 0), 0);
    check_eq(lseek(fd, 0, SEEK_SET), 0);
    check_eq(weft_dump(fd), 0);
    ssize_t n = pread(fd, text, TEXT_MOST - 1, 0);
    check(n > 0);
    text[n] = '\0';
    check(strstr(text, " waiting, ") != NULL);
    check(strstr(text, "worker") != NULL);
    check(strstr(text, "a circle of ") == NULL);
}

static void dump_often(void)
{
    char  name[] = "/tmp/weft-race-dump-XXXXXX";
    int   fd = mkstemp(name);
    char *text = malloc(TEXT_MOST);

    check(fd >= 0 && text);
    check_eq(unlink(name), 0);
    for (long i = 0; i < DUMPS; i++)
        dump_once(fd, text);
    free(text);
    close(fd);
}

static void *dumper(void *arg)
{
    dump_often();
    return arg;
}

static int everything(void *arg)
{
    pthread_t thread;

    pipe_chan = weft_chan_new(sizeof(long), 0);
    small = weft_chan_new(sizeof(long), 4);
    for (uint64_t i = 0; i < (uint64_t)test_scaled(COROUTINES); i++) {
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(worker, &i, sizeof i), 0);
    }
    check_eq(pthread_create(&thread, NULL, dumper, NULL), 0);
    dump_often();
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
    atomic_store(&stop, true);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check(atomic_load(&rounds) > test_scaled(COROUTINES));
    weft_chan_unref(pipe_chan);
    weft_chan_unref(small);
    return arg != NULL;
}

int main(void)
{
    run_on(1, everything, NULL);
    atomic_store(&stop, false);
    run_on(4, everything, NULL);
    return 0;
}
