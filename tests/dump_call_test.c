/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/dump_call_test.c - how a dump is asked for: by a call on any thread, by a signal, by the
 * environment; an error; one that nobody reads.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/coro.h"
#include "support/dump.h"
#include "support/procs.h"

static weft_chan *empty;

/* ---- Errors, threads, signals ----------------------------------------------------------------------------- */

static int to_a_bad_descriptor(void *arg)
{
    (void)arg;
    check_eq(weft_dump(-1), -EBADF);
    return 0;
}

Test(dump, answers_an_error)
{
    cr_assert_eq(weft_dump(STDERR_FILENO), -ESRCH);
    run_on(1, to_a_bad_descriptor, NULL);
    cr_assert_eq(weft_dump_on(SIGKILL), -EINVAL);
    cr_assert_eq(weft_dump_on(0), 0);
}

/* A dump into a pipe that nobody reads does not keep the runtime from its end. */
static int stalled[2];

static void *dumps_into_a_full_pipe(void *arg)
{
    check_eq(weft_dump(stalled[1]), 0);
    return arg;
}

static void waits_on_a_channel_of_its_own(void *arg)
{
    weft_chan *c = weft_chan_new(1, 0);
    char       v;

    check_eq(weft_chan_recv(c, &v), -ECANCELED);
    weft_chan_unref(c);
    check(arg == NULL);
}

static int dumped_slowly(void *arg)
{
    for (int i = 0; i < 300; i++) /* a line each: more than the pipe takes */
        check_eq(weft_go(waits_on_a_channel_of_its_own, NULL, 0), 0);
    check_eq(weft_sleep(WEFT_MS), 0);
    check_eq(pthread_create(arg, NULL, dumps_into_a_full_pipe, NULL), 0);
    struct pollfd p = { stalled[0], POLLIN, 0 };
    while (poll(&p, 1, 0) == 0) /* it has begun to write */
        check_eq(weft_sleep(WEFT_MS), 0);
    return 0;
}

Test(dump, one_that_nobody_reads_does_not_hold_up_the_end, .timeout = 60)
{
    pthread_t thread;
    char      text[4096];

    cr_assert_eq(pipe(stalled), 0);
    cr_assert_gt(fcntl(stalled[1], F_SETPIPE_SZ, 4096), 0);
    run_on(2, dumped_slowly, &thread);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        struct pollfd p = { stalled[0], POLLIN, 0 };
        if (poll(&p, 1, 10) == 1)
            cr_assert_gt(read(stalled[0], text, sizeof text), 0);
    }
}

static void *dumps_on_a_thread(void *arg)
{
    await(has_line(dumped(), ": 1 waiting,", " 0 running")); /* as main has come so far */
    check_eq(weft_chan_close(empty), 0);
    return arg;
}

static int dumped_by_a_thread(void *arg)
{
    pthread_t thread;

    empty = weft_chan_new(0, 0);
    check_eq(pthread_create(&thread, NULL, dumps_on_a_thread, NULL), 0);
    check_eq(weft_chan_recv(empty, arg), -EPIPE);
    pthread_join(thread, NULL);
    weft_chan_unref(empty);
    return 0;
}

Test(dump, can_be_made_on_any_thread, .timeout = 60)
{
    for (int i = 0; i < test_scaled(20); i++)
        run_on(2, dumped_by_a_thread, NULL);
}

/* SIGQUIT, and the process goes on: until the text is there. */
static int says_it(void *arg)
{
    FILE *f = tmpfile();
    int   old = dup(STDERR_FILENO);
    char  text[4096] = "";

    check(f != NULL && old >= 0);
    check_eq(dup2(fileno(f), STDERR_FILENO), STDERR_FILENO);
    check_eq(kill(getpid(), *(int *)arg), 0);
    await_yielding(pread(fileno(f), text, sizeof text - 1, 0) > 0 &&
                   strstr(text, "started in run_on"));
    check_eq(dup2(old, STDERR_FILENO), STDERR_FILENO);
    must_have(text, " (main); ", "; function says_it at ");
    return 0;
}

static int by_environment(void *arg)
{
    setenv("WEFT_DUMP", "1", 1);
    run_on(1, says_it, arg);
    return 0;
}

/* A signal of the program's own beside that of the environment, which ends with the run. */
static int by_both(void *arg)
{
    int usr1 = SIGUSR1;

    setenv("WEFT_DUMP", "1", 1);
    check_eq(weft_dump_on(SIGUSR1), 0);
    run_on(1, says_it, &usr1);
    run_on(1, says_it, arg);
    kill(getpid(), SIGUSR1); /* nothing runs: nothing to tell, now or in the next run */
    kill(getpid(), SIGQUIT);
    return 0;
}

static int by_call(void *arg)
{
    int usr1 = SIGUSR1;

    check_eq(weft_dump_on(SIGUSR1), 0);
    run_on(1, says_it, &usr1);
    check_eq(weft_dump_on(*(int *)arg), 0);
    run_on(1, says_it, arg);
    check_eq(weft_dump_on(0), 0);
    kill(getpid(), SIGUSR1); /* its action is the default one again */
    return 0;
}

Test(dump, is_made_by_a_signal_that_was_asked_for, .timeout = 60)
{
    int                 quit = SIGQUIT;
    const struct child *c = child_run(by_environment, &quit);

    cr_assert(c->signal == 0 && c->status == 0 && c->n == 0, "signal %d: %s", c->signal, c->text);
    c = child_run(by_both, &quit);
    cr_assert(c->signal == SIGQUIT && c->n == 0, "signal %d: %s", c->signal, c->text);
    c = child_run(by_call, &quit);
    cr_assert(c->signal == SIGUSR1 && c->n == 0, "signal %d: %s", c->signal, c->text);
}
