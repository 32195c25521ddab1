/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/deadlock_test.c - a process whose coroutines all wait, with nothing to wake one, ends with
 * a report that explains it and names the lines; and none does that can still be woken.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/child.h"
#include "support/coro.h"
#include "support/dump.h"
#include "support/procs.h"

enum { LONG_MS = 400 }; /* sysmon has looked several times by then */

static weft_mutex     a, b;
static weft_waitgroup all, met;
static weft_chan     *never;

static const char *file_line(int line)
{
    static char text[8][64];
    static int  next;
    char       *to = text[next++ % 8];

    snprintf(to, sizeof text[0], "deadlock_test.c:%d", line);
    return to;
}

static int run(int (*fn)(void *arg))
{
    run_on(2, fn, NULL);
    return 0;
}

static int run_one(void *arg)
{
    int (**fn)(void *) = arg;

    return run(*fn);
}

static const struct child *child_of(int (*fn)(void *arg))
{
    return child_run(run_one, &fn);
}

/* `second` comes after `first`. */
static bool in_order(const char *text, const char *first, const char *second)
{
    const char *at = strstr(text, first);

    return at && strstr(at, second);
}

#define assert_says(c, text_) cr_assert_not_null(strstr((c)->text, text_), "%s", (c)->text)

/* ---- Explained ------------------------------------------------------------------------------------ */

static void meet(void)
{
    weft_waitgroup_done(&met);
    check_eq(weft_waitgroup_wait(&met, WEFT_FOREVER), 0);
}

static void a_then_b(void *arg)
{
    (void)arg;
    weft_mutex_lock(&a); /* held a */
    meet();
    weft_mutex_lock(&b); /* waits b */
    weft_mutex_unlock(&b);
    weft_mutex_unlock(&a);
    weft_waitgroup_done(&all);
}

static void b_then_a(void *arg)
{
    (void)arg;
    weft_mutex_lock(&b); /* held b */
    meet();
    weft_mutex_lock(&a); /* waits a */
    weft_mutex_unlock(&a);
    weft_mutex_unlock(&b);
    weft_waitgroup_done(&all);
}

/* The line of this file that has the mark. */
static int line_of(const char *mark)
{
    char  text[512];
    int   line = 0;
    FILE *f = fopen(__FILE__, "r");

    check(f != NULL);
    while (fgets(text, sizeof text, f)) {
        line++;
        const char *at = strstr(text, mark);
        if (at && at > text && !strstr(text, "line_of")) {
            fclose(f);
            return line;
        }
    }
    fclose(f);
    return 0;
}

static int ab_ba(void *arg)
{
    (void)arg;
    weft_go_options left = { .name = "left" };
    weft_waitgroup_add(&all, 2);
    weft_waitgroup_add(&met, 2);
    check_eq(weft_go_with(&left, a_then_b, NULL, 0), 0);
    check_eq(weft_go(b_then_a, NULL, 0), 0);
    return weft_waitgroup_wait(&all, WEFT_FOREVER);
}

Test(deadlock, two_mutexes_in_two_orders_are_a_circle_that_names_the_lines)
{
    int                 line_held_a = line_of("/* held a */");
    int                 line_held_b = line_of("/* held b */");
    int                 line_a = line_of("/* waits a */");
    int                 line_b = line_of("/* waits b */");
    const struct child *c = child_of(ab_ba);

    assert_dies_saying(c, "weft: deadlock: 3 coroutines, all of them wait");
    assert_says(c, "a circle of 2 coroutines");
    cr_assert(in_order(c->text, "(left) waits in a_then_b at ", file_line(line_b)), "%s", c->text);
    cr_assert(in_order(c->text, file_line(line_b), "locked by coroutine 3 in b_then_a at "));
    cr_assert(in_order(c->text, "locked by coroutine 3", file_line(line_held_b)), "%s", c->text);
    cr_assert(in_order(c->text, "coroutine 3 waits in b_then_a at ", file_line(line_a)));
    cr_assert(in_order(c->text, file_line(line_a), "locked by coroutine 2 (left) in a_then_b at "));
    cr_assert(in_order(c->text, "locked by coroutine 2", file_line(line_held_a)), "%s", c->text);
    assert_says(c, "whose count is 2; started in ");
}

static int lock_twice(void *arg)
{
    (void)arg;
    weft_mutex_lock(&a);
    weft_mutex_lock(&a);
    return 0;
}

Test(deadlock, a_mutex_that_its_holder_locks_again)
{
    const struct child *c = child_of(lock_twice);

    assert_dies_saying(c, "weft: deadlock: 1 coroutine waits");
    assert_says(c,
                "a coroutine that waits for itself:\n    coroutine 1 (main) waits in lock_twice");
    assert_says(c, "locked by the same coroutine in lock_twice at ");
}

static int receive_nothing(void *arg)
{
    int value;

    (void)arg;
    never = weft_chan_new(sizeof value, 3);
    return weft_chan_recv(never, &value); /* nobody sends */
}

Test(deadlock, a_receive_that_nobody_can_feed_names_its_line)
{
    int                 line = line_of("/* nobody sends */");
    const struct child *c = child_of(receive_nothing);

    assert_dies_saying(c, "weft: deadlock: 1 coroutine waits");
    assert_says(c, "1 coroutine waits to receive:\n");
    assert_says(c, "with 0 of 3 elements; ");
    cr_assert(in_order(c->text, "        receive_nothing at ", file_line(line)), "%s", c->text);
    cr_assert_null(strstr(c->text, "circle"));
}

static void done_once(void *arg)
{
    weft_waitgroup_done(arg);
}

static int one_short(void *arg)
{
    (void)arg;
    weft_waitgroup_add(&all, 3);
    for (int i = 0; i < 2; i++)
        check_eq(weft_go(done_once, &all, 0), 0);
    weft_waitgroup_wait(&all, WEFT_FOREVER); /* one short */
    return 0;
}

Test(deadlock, a_waitgroup_one_short_says_its_count_and_its_line)
{
    int                 line = line_of("/* one short */");
    const struct child *c = child_of(one_short);

    assert_dies_saying(c, "weft: deadlock: 1 coroutine waits");
    assert_says(c, "1 coroutine waits for a waitgroup:\n");
    assert_says(c, ", whose count is 1; ");
    cr_assert(in_order(c->text, "        one_short at ", file_line(line)), "%s", c->text);
}

static int wants_a(void *arg)
{
    (void)arg;
    weft_mutex_lock(&a);
    return 0;
}

static int waits_for_member(void *arg)
{
    static weft_group g = WEFT_GROUP_INIT;

    (void)arg;
    weft_mutex_lock(&a);
    check_eq(weft_group_go(&g, wants_a, NULL, 0), 0);
    return weft_group_wait(&g, WEFT_FOREVER, NULL);
}

Test(deadlock, a_group_whose_member_wants_what_the_waiter_holds)
{
    const struct child *c = child_of(waits_for_member);

    assert_dies_saying(c, "weft: deadlock: 2 coroutines");
    assert_says(c, "a circle of 2 coroutines");
    assert_says(c, " of 1 member");
    assert_says(c, "of which coroutine 2 is a member");
    assert_says(c, "coroutine 2 waits in wants_a at ");
}

static weft_rwmutex rw;

static void reads_for_ever(void *arg)
{
    weft_rwmutex_rdlock(&rw);
    weft_waitgroup_done(&met);
    weft_chan_recv(never, arg);
}

static int writer_behind_a_reader(void *arg)
{
    (void)arg;
    never = weft_chan_new(0, 0);
    weft_waitgroup_add(&met, 1);
    check_eq(weft_go(reads_for_ever, NULL, 0), 0);
    check_eq(weft_waitgroup_wait(&met, WEFT_FOREVER), 0);
    weft_rwmutex_lock(&rw);
    return 0;
}

Test(deadlock, a_writer_is_told_of_the_reader)
{
    const struct child *c = child_of(writer_behind_a_reader);

    assert_dies_saying(c, "weft: deadlock: 2 coroutines");
    assert_says(c,
                " with 1 reader, locked for reading, the latest by coroutine 2 in reads_for_ever");
}

/* ---- After all that could have woken one is gone ----------------------------------------------------- */

static void *lives_shortly(void *arg)
{
    usleep(LONG_MS * 1000);
    return arg;
}

/* The last timer fires, the blocking section and the other thread end, and only then. */
static int late(void *arg)
{
    pthread_t thread;

    check_eq(pthread_create(&thread, NULL, lives_shortly, NULL), 0);
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
    check_eq(weft_sleep(LONG_MS * WEFT_MS), 0);
    if (write(STDERR_FILENO, "late\n", 5) != 5)
        return 1;
    return receive_nothing(arg);
}

Test(deadlock, is_found_when_the_last_that_could_wake_one_is_gone)
{
    const struct child *c = child_of(late);

    assert_dies_saying(c, "weft: deadlock: 1 coroutine waits");
    cr_assert_eq(strncmp(c->text, "late\n", 5), 0, "%s", c->text);
}

/* ---- What is none ------------------------------------------------------------------------------------ */

static weft_sem sem;

static void *releases_late(void *arg)
{
    usleep(LONG_MS * 1000);
    weft_sem_release(&sem, 1);
    return arg;
}

static int woken_by_a_thread(void *arg)
{
    pthread_t thread;

    check_eq(pthread_create(&thread, NULL, releases_late, arg), 0);
    check_eq(weft_sem_acquire(&sem, WEFT_FOREVER), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void blocks_then_sends(void *arg)
{
    weft_block_enter();
    usleep(LONG_MS * 1000);
    weft_block_leave();
    check_eq(weft_chan_send(never, arg), 0);
}

static int woken_out_of_a_blocking_section(void *arg)
{
    never = weft_chan_new(0, 0);
    check_eq(weft_go(blocks_then_sends, &sem, 0), 0);
    return weft_chan_recv(never, arg);
}

static int woken_by_a_timer(void *arg)
{
    (void)arg;
    weft_timer *t = weft_timer_new(weft_after(LONG_MS * WEFT_MS), 0);
    check(t != NULL);
    check_eq(weft_chan_recv(weft_timer_chan(t), NULL), 0);
    weft_timer_free(t);
    return 0;
}

static int woken_by_a_deadline(void *arg)
{
    (void)arg;
    weft_mutex_lock(&a);
    check_eq(weft_mutex_lock_until(&a, weft_after(LONG_MS * WEFT_MS)), -ETIMEDOUT);
    return 0;
}

/* Another process writes, after a while. */
static int woken_by_a_descriptor(void *arg)
{
    int fds[2];

    (void)arg;
    check_eq(pipe2(fds, O_NONBLOCK), 0);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        usleep(LONG_MS * 1000);
        _exit(write(fds[1], "!", 1) != 1);
    }
    check_eq(weft_fd_wait(fds[0], POLLIN, WEFT_FOREVER), POLLIN);
    check_eq(waitpid(pid, NULL, 0), pid);
    return 0;
}

static int woken_by_a_signal(void *arg)
{
    int signo;

    (void)arg;
    never = weft_chan_new(sizeof signo, 1);
    check_eq(weft_signal_notify(never, SIGUSR1), 0);
    pid_t self = getpid(), pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        usleep(LONG_MS * 1000);
        _exit(kill(self, SIGUSR1) != 0);
    }
    check_eq(weft_chan_recv(never, &signo), 0);
    check_eq(waitpid(pid, NULL, 0), pid);
    return 0;
}

/* A thread that only might: nothing tells what it will do. */
static void *watches(void *arg)
{
    usleep(LONG_MS * 1000);
    _exit(0);
    return arg;
}

static int beside_a_thread(void *arg)
{
    pthread_t thread;

    check_eq(pthread_create(&thread, NULL, watches, NULL), 0);
    return receive_nothing(arg);
}

Test(deadlock, who_can_still_be_woken_is_left_alone, .timeout = 60)
{
    static int (*const cases[])(void *) = { woken_by_a_thread,     woken_out_of_a_blocking_section,
                                            woken_by_a_timer,      woken_by_a_deadline,
                                            woken_by_a_descriptor, woken_by_a_signal,
                                            beside_a_thread };

    for (int i = 0; i < COUNT(cases); i++) {
        const struct child *c = child_of(cases[i]);
        cr_assert(c->signal == 0 && c->status == 0 && c->n == 0, "case %d: signal %d, %s", i,
                  c->signal, c->text);
    }
}

/* The runtime stops while somebody waits for what nobody gives: said as such, and no deadlock. */
static void waits_through(void *arg)
{
    (void)arg;
    weft_mutex_lock(&a);
}

static int returns_holding(void *arg)
{
    (void)arg;
    weft_mutex_lock(&a);
    check_eq(weft_go(waits_through, NULL, 0), 0);
    await_yielding(strstr(dumped(), " waits for a mutex:"));
    return 0;
}

static int stops(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = LONG_MS * WEFT_MS };

    return weft_run(&opt, returns_holding, arg);
}

Test(deadlock, a_stop_that_waits_for_somebody_is_none)
{
    const struct child *c = child_run(stops, NULL);

    cr_assert_eq(c->signal, 0, "%s", c->text);
    cr_assert_eq(c->status, 0);
    assert_says(c, "did not end when the runtime stopped: it waits for a mutex");
    cr_assert_null(strstr(c->text, "deadlock"), "%s", c->text);
}
