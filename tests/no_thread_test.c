/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/no_thread_test.c - threads cannot be made: a run begins with what it has or not at all,
 * goes on with the threads there are, says so once, and gets the others later.
 *
 * pthread_create is this program's own, and fails as often as a test wants.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/procs.h"

enum { NEVER = 1 << 30, COROUTINES = 2000 };

static atomic_int possible = NEVER; /* so many more are made */
static atomic_int refused;          /* and then so many are not */
static atomic_int refusals;

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    create_fn *real = (create_fn *)dlsym(RTLD_NEXT, "pthread_create");

    if (atomic_fetch_sub(&possible, 1) > 0)
        return real(thread, attr, fn, arg);
    if (atomic_fetch_sub(&refused, 1) > 0) {
        atomic_fetch_add(&refusals, 1);
        return EAGAIN;
    }
    return real(thread, attr, fn, arg);
}

static int run_with(int threads, int then_refused, int procs, int (*fn)(void *arg), void *arg)
{
    weft_options opt = { .procs = procs };

    atomic_store(&possible, threads);
    atomic_store(&refused, then_refused);
    atomic_store(&refusals, 0);
    int r = weft_run(&opt, fn, arg);
    atomic_store(&possible, NEVER);
    return r;
}

/* ---- None at all -------------------------------------------------------------------------- */

static int ok(void *arg)
{
    (void)arg;
    return 7;
}

static int begins_or_not(void *arg)
{
    (void)arg;
    check_eq(run_with(0, NEVER, 2, ok, NULL), -EAGAIN);
    check_eq(run_with(1, NEVER, 2, ok, NULL), -EAGAIN);
    check_eq(run_with(2, NEVER, 2, ok, NULL), 7);
    check_eq(run_with(NEVER, 0, 2, ok, NULL), 7);
    return 0;
}

Test(no_thread, without_the_first_two_the_run_does_not_begin)
{
    const struct child *c = child_run(begins_or_not, NULL);

    cr_assert_eq(c->signal + c->status, 0, "signal %d, status %d: %s", c->signal, c->status,
                 c->text);
}

/* ---- Fewer than Ps ------------------------------------------------------------------------ */

static weft_waitgroup all;
static atomic_long    n;

static void yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        weft_yield();
        if (i % 4 == 0)
            weft_sleep(1000);
    }
    atomic_fetch_add(&n, 1);
    weft_waitgroup_done(&all);
}

static int starts_many(void *arg)
{
    (void)arg;
    weft_waitgroup_add(&all, COROUTINES);
    for (int i = 0; i < COROUTINES; i++)
        check_eq(weft_go(yields, NULL, 0), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    check_eq(atomic_load(&n), COROUTINES);
    return 0;
}

static int run_on_one_thread(void *arg)
{
    (void)arg;
    int r = run_with(2, NEVER, 4, starts_many, NULL);
    return r != 0 ? r : atomic_load(&refusals) > 0 ? 0 : 1;
}

Test(no_thread, four_ps_and_one_thread_do_all_and_it_is_said_once)
{
    const struct child *c = child_run(run_on_one_thread, NULL);

    cr_assert_eq(c->signal + c->status, 0, "signal %d, status %d: %s", c->signal, c->status,
                 c->text);
    cr_assert_eq(child_lines(c), 1, "%s", c->text);
    cr_assert_not_null(strstr(c->text, "no thread can be created beside 1"), "%s", c->text);
}

/* ---- One that blocks, until another can be made ---------------------------------------------- */

static int ends[2];

/* Only another coroutine, and for that another thread, writes the byte. */
static void blocks(void *told)
{
    char c;

    weft_waitgroup_done(&all);
    if (*(bool *)told)
        weft_block_enter();
    check_eq(read(ends[0], &c, 1), 1);
    if (*(bool *)told)
        weft_block_leave();
    weft_waitgroup_done(&all);
}

enum { BY_YIELD, BY_SLEEP, BY_DESCRIPTOR };
enum { SHORT = 3, LONG = 25 /* sysmon would sleep, if it had nothing to do */ };

struct wait {
    bool told;
    int  by;
    int  refusals;
};

static void wait_by(int how)
{
    int other[2];

    if (how == BY_YIELD) {
        weft_yield();
    } else if (how == BY_SLEEP) {
        weft_sleep(WEFT_MS);
    } else {
        check_eq(pipe2(other, O_NONBLOCK), 0);
        check_eq(weft_fd_wait(other[1], POLLOUT, WEFT_FOREVER), POLLOUT);
        check_eq(weft_fd_wait(other[0], POLLIN, weft_after(5 * WEFT_MS)), -ETIMEDOUT);
        close(other[0]);
        close(other[1]);
    }
}

static int waits_beside_blocked(void *arg)
{
    struct wait *w = arg;

    check_eq(pipe(ends), 0);
    weft_waitgroup_add(&all, 2);
    check_eq(weft_go(blocks, &w->told, sizeof w->told), 0);
    wait_by(w->by);
    check_eq(write(ends[1], "x", 1), 1);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static int refused_often(void *arg)
{
    struct wait *w = arg;
    int          r = run_with(2, w->refusals, 1, waits_beside_blocked, arg);

    return r != 0 ? r : atomic_load(&refusals) == w->refusals ? 0 : 1;
}

Test(no_thread, is_tried_again_until_one_can_be_made)
{
    for (int by = BY_YIELD; by <= BY_DESCRIPTOR; by++)
        for (int told = 0; told < 2; told++) {
            struct wait         w = { told, by, by == BY_YIELD ? LONG : SHORT };
            const struct child *c = child_run(refused_often, &w);
            cr_assert_eq(c->signal + c->status, 0, "told %d, by %d: signal %d, status %d: %s", told,
                         by, c->signal, c->status, c->text);
            cr_assert_eq(child_lines(c), 1, "%s", c->text);
        }
}

/* ---- Nobody polls -------------------------------------------------------------------------- */

static void waits_readable(void *arg)
{
    int fd = *(int *)arg;

    check_eq(weft_fd_wait(fd, POLLIN, WEFT_FOREVER), POLLIN);
    check_eq(write(ends[1], "x", 1), 1);
    weft_waitgroup_done(&all);
}

static void *writes_later(void *fd)
{
    await(atomic_load(&refusals) > 0);
    check_eq(write(*(int *)fd, "x", 1), 1);
    return NULL;
}

/* The only thread blocks, and no other can be made until an event has come; sysmon must see it. */
static int events_beside_blocked(void *arg)
{
    int       other[2];
    pthread_t writer;
    char      c;

    (void)arg;
    check_eq(pipe(ends), 0);
    check_eq(pipe2(other, O_NONBLOCK), 0);
    check_eq(pthread_create(&writer, NULL, writes_later, &other[1]), 0);
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(waits_readable, &other[0], sizeof other[0]), 0);
    weft_yield();
    weft_block_enter();
    check_eq(read(ends[0], &c, 1), 1);
    weft_block_leave();
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    pthread_join(writer, NULL);
    return 0;
}

static int refused_while_nobody_polls(void *arg)
{
    return run_with(3, 2, 1, events_beside_blocked, arg);
}

Test(no_thread, events_are_seen_though_nobody_polls)
{
    const struct child *c = child_run(refused_while_nobody_polls, NULL);

    cr_assert_eq(c->signal + c->status, 0, "signal %d, status %d: %s", c->signal, c->status,
                 c->text);
}

/* ---- Work beside one that blocks ------------------------------------------------------------ */

enum { QUEUED = 5 };

static atomic_bool spins, blocked;

static void spins_until_blocked(void *arg)
{
    (void)arg;
    atomic_store(&spins, true);
    await(atomic_load(&blocked));
}

static void writes_last(void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&n, 1) == QUEUED - 1)
        check_eq(write(ends[1], "x", 1), 1);
}

/* The P of one that blocks has work in its ring, and there is no thread for it: the other P's
 * thread, which was busy then, must get it. */
static int queued_beside_blocked(void *arg)
{
    char c;

    check_eq(pipe(ends), 0);
    check_eq(weft_go(spins_until_blocked, NULL, 0), 0);
    await(atomic_load(&spins));
    for (int i = 0; i < QUEUED; i++)
        check_eq(weft_go(writes_last, NULL, 0), 0);
    weft_block_enter();
    atomic_store(&blocked, true);
    check_eq(read(ends[0], &c, 1), 1);
    weft_block_leave();
    close(ends[0]);
    close(ends[1]);
    return arg != NULL;
}

static int refused_a_third(void *arg)
{
    return run_with(3, NEVER, 2, queued_beside_blocked, arg);
}

Test(no_thread, what_one_that_blocks_had_queued_runs_elsewhere, .timeout = 30)
{
    const struct child *c = child_run(refused_a_third, NULL);

    cr_assert_eq(c->signal + c->status, 0, "signal %d, status %d: %s", c->signal, c->status,
                 c->text);
}
