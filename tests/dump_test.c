/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/dump_test.c - weft_dump: who waits, for what, since when, held by whom, and where; those
 * that run or could; circles beside others that go on.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/coro.h"
#include "support/dump.h"
#include "support/procs.h"

enum { ALIKE = 100 };

/* ---- One of each kind ------------------------------------------------------------------------------- */

static weft_mutex     mutex;
static weft_rwmutex   rwmutex;
static weft_cond      cond;
static weft_sem       sem;
static weft_waitgroup counted, woken;
static weft_once      once;
static weft_chan     *full, *empty, *gate;
static int            fds[2];

static int to_mutex(void *arg)
{
    (void)arg;
    return weft_mutex_lock_until(&mutex, WEFT_FOREVER);
}

static void reads(void *arg)
{
    (void)arg;
    weft_rwmutex_rdlock(&rwmutex);
    weft_rwmutex_rdunlock(&rwmutex);
    weft_waitgroup_done(&woken);
}

static int to_cond(void *arg)
{
    weft_mutex own = { { 0 } };

    (void)arg;
    weft_mutex_lock(&own);
    return weft_cond_wait(&cond, &own, WEFT_FOREVER);
}

static int to_sem(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, WEFT_FOREVER);
}

static int to_waitgroup(void *arg)
{
    (void)arg;
    return weft_waitgroup_wait(&counted, WEFT_FOREVER);
}

static void init(void *arg)
{
    weft_chan_recv(gate, arg);
}

static void does_once(void *arg)
{
    weft_once_do(&once, init, arg);
    weft_waitgroup_done(&woken);
}

static int to_send(void *arg)
{
    uint32_t v = 7;

    (void)arg;
    return weft_chan_send(full, &v);
}

static int to_receive(void *arg)
{
    return weft_chan_recv(empty, arg);
}

static int in_select(void *arg)
{
    uint32_t  v = 1;
    weft_case cases[] = { { .chan = empty, .recv = arg },
                          { .chan = NULL },
                          { .chan = full, .send = &v } };

    return weft_select(cases, COUNT(cases), WEFT_FOREVER);
}

static int to_sleep(void *arg)
{
    (void)arg;
    return weft_sleep(3600 * WEFT_S);
}

static int to_fd(void *arg)
{
    (void)arg;
    return weft_fd_wait(fds[0], POLLIN, WEFT_FOREVER);
}

static int to_member(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;

    check_eq(weft_group_go(&g, to_receive, arg, 0), 0);
    return weft_group_wait(&g, WEFT_FOREVER, NULL);
}

static int (*const kinds[])(void *) = { to_mutex,  to_cond,  to_sem, to_waitgroup, to_send,
                                        in_select, to_sleep, to_fd,  to_member };

static void check_each(const char *text)
{
    char words[64];

    paragraph_has(text, " waits for a mutex:\n", ", locked by coroutine 1 (main) in all_kinds at ");
    paragraph_has(text, " waits for a mutex:\n", "        to_mutex at ");
    paragraph_has(text, " waits to read-lock:\n",
                  ", locked for writing by coroutine 1 (main) in all_kinds at ");
    snprintf(words, sizeof words, "; condition %p", (void *)&cond);
    paragraph_has(text, " waits for a condition:\n", words);
    snprintf(words, sizeof words, "; semaphore %p", (void *)&sem);
    paragraph_has(text, " waits for a semaphore:\n", words);
    paragraph_has(text, " waits for a waitgroup:\n", ", whose count is 3");
    paragraph_has(text, " waits for a once:\n", ", run by coroutine ");
    paragraph_has(text, " waits to send:\n", " with 2 of 2 elements");
    paragraph_has(text, " waits to receive:\n", ", unbuffered");
    paragraph_has(text, " waits in select:\n", "; 2 cases: receive from ");
    paragraph_has(text, " waits for time to pass:\n", ", at most another 59 min");
    snprintf(words, sizeof words, "; descriptor %d", fds[0]);
    paragraph_has(text, " waits for a descriptor:\n", words);
    paragraph_has(text, " waits for a group:\n", " of 1 member");
    must_have(text, "    1 (main); ", "; function all_kinds at ");
    must_have(text, "the poller is ", ", 1 descriptor");
}

static int all_kinds(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;
    uint32_t   v = 0;

    (void)arg;
    empty = weft_chan_new(0, 0);
    gate = weft_chan_new(0, 0);
    full = weft_chan_new(sizeof v, 2);
    check_eq(pipe2(fds, O_NONBLOCK), 0);
    check_eq(weft_chan_send(full, &v), 0);
    check_eq(weft_chan_send(full, &v), 0);
    weft_mutex_lock(&mutex);
    weft_rwmutex_lock(&rwmutex);
    weft_waitgroup_add(&counted, 3);
    weft_waitgroup_add(&woken, 3);
    check_eq(weft_go(reads, NULL, 0), 0);
    for (int i = 0; i < 2; i++)
        check_eq(weft_go(does_once, NULL, 0), 0);
    for (int i = 0; i < COUNT(kinds); i++)
        check_eq(weft_group_go(&g, kinds[i], NULL, 0), 0);
    let_others_park();
    check_each(dumped());
    weft_group_cancel(&g);
    weft_rwmutex_unlock(&rwmutex);
    weft_chan_close(gate);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    check_eq(weft_waitgroup_wait(&woken, WEFT_FOREVER), 0);
    weft_mutex_unlock(&mutex);
    weft_chan_unref(empty);
    weft_chan_unref(gate);
    weft_chan_unref(full);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

Test(dump, tells_each_kind_of_wait_with_its_object, .timeout = 60)
{
    run_on(1, all_kinds, NULL);
}

/* ---- Alike ------------------------------------------------------------------------------------------- */

static void receives(void *arg)
{
    weft_chan_recv(empty, arg);
    weft_waitgroup_done(&woken);
}

static int many_alike(void *arg)
{
    weft_go_options named = { .name = "the odd one" };

    empty = weft_chan_new(0, 0);
    weft_waitgroup_add(&woken, ALIKE + 1);
    for (int i = 0; i < ALIKE; i++)
        check_eq(weft_go(receives, arg, 0), 0);
    check_eq(weft_go_with(&named, receives, arg, 0), 0);
    let_others_park();
    const char *text = dumped();
    must_have(text, "weft ", ": 102 coroutines: 101 waiting, 0 runnable, 1 running");
    must_have(text, "101 coroutines wait to receive:", "");
    must_have(text, "    2-101 for ", "; started in many_alike at ");
    must_have(text, "    102 (the odd one) for ", "; started in many_alike at ");
    check(strstr(strstr(text, "        receives at ") + 1, "        receives at ") == NULL);
    weft_chan_close(empty);
    weft_waitgroup_wait(&woken, WEFT_FOREVER);
    weft_chan_unref(empty);
    return 0;
}

Test(dump, lists_together_what_stands_alike, .timeout = 60)
{
    run_on(1, many_alike, NULL);
}

/* ---- Who does not wait -------------------------------------------------------------------------------- */

static atomic_bool stop;

static void yields(void *arg)
{
    while (!atomic_load(&stop))
        weft_yield();
    weft_waitgroup_done(arg);
}

static void never_ran(void *arg)
{
    weft_waitgroup_done(arg);
}

static void blocks_in_read(void *arg)
{
    char byte;

    weft_block_enter();
    check_eq(read(fds[0], &byte, 1), 1);
    weft_block_leave();
    weft_waitgroup_done(arg);
}

/* Whoever dumps may lose its P meanwhile, since it blocks; then others run.  Not each time. */
static const char *dumped_before_they_ran(weft_waitgroup *wg)
{
    const char *text;
    weft_time   give_up = weft_after(PATIENCE);

    do {
        check(weft_now() < give_up);
        weft_waitgroup_add(wg, 1);
        check_eq(weft_go(never_ran, wg, 0), 0);
        text = dumped();
    } while (!has_line(text, "; it has not run yet; function never_ran at ", "; started in ") ||
             !has_line(text, "        yields at ", "") || !strstr(text, "runnable:\n"));
    return text;
}

static int not_waiting(void *arg)
{
    weft_waitgroup wg = { { 0 } };

    (void)arg;
    check_eq(pipe(fds), 0);
    weft_waitgroup_add(&wg, 3);
    check_eq(weft_go(blocks_in_read, &wg, 0), 0);
    for (int i = 0; i < 2; i++)
        check_eq(weft_go(yields, &wg, 0), 0);
    let_others_park();
    const char *text = dumped_before_they_ran(&wg);
    must_have(text, "    2; between weft_block_enter and weft_block_leave; function blocks_in_read",
              "; started in not_waiting at ");
    must_have(text, " threads, ", " 1 of them in blocking sections");
    atomic_store(&stop, true);
    check_eq(write(fds[1], "!", 1), 1);
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

Test(dump, tells_who_runs_blocks_and_could_run, .timeout = 60)
{
    run_on(1, not_waiting, NULL);
}

/* ---- Circles ------------------------------------------------------------------------------------------- */

static weft_mutex     ring[3];
static weft_waitgroup met;

struct link {
    int own;
};

static int holds_one_wants_the_next(void *arg)
{
    const struct link *l = arg;

    weft_mutex_lock(&ring[l->own]);
    weft_waitgroup_done(&met);
    check_eq(weft_waitgroup_wait(&met, WEFT_FOREVER), 0);
    int r = weft_mutex_lock_until(&ring[(l->own + 1) % 3], WEFT_FOREVER);
    weft_mutex_unlock(&ring[l->own]);
    return r == -ECANCELED ? 0 : -EINVAL;
}

/* Three in a circle and one that waits for one of them, beside a main that goes on. */
static int ring_of_three(void *arg)
{
    weft_group g = WEFT_GROUP_INIT, h = WEFT_GROUP_INIT;

    (void)arg;
    weft_waitgroup_add(&met, 3);
    for (int i = 0; i < 3; i++) {
        struct link l = { i };
        check_eq(weft_group_go(&g, holds_one_wants_the_next, &l, sizeof l), 0);
    }
    let_others_park();
    const char *text = dumped();
    must_have(text, "a circle of 3 coroutines, each waiting for the next:", "");
    for (int i = 2; i <= 4; i++) {
        char first[64], then[64];
        snprintf(first, sizeof first, "    coroutine %d waits in holds_one_wants_the_next at ", i);
        snprintf(then, sizeof then, ", locked by coroutine %d in holds_one_wants_the_next at ",
                 i == 4 ? 2 : i + 1);
        must_have(text, first, then);
    }
    check(strstr(strstr(text, "a circle of") + 1, "a circle of") == NULL);
    weft_group_cancel(&g);
    join_group(&g);
    check(strstr(dumped(), "a circle of") == NULL);
    join_group(&h);
    return 0;
}

Test(dump, finds_a_circle_beside_others_that_go_on, .timeout = 60)
{
    run_on(1, ring_of_three, NULL);
}
