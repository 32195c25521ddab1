/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/dump_test.c - weft_dump: who waits, for what, since when, held by whom, and where; those
 * that run or could; circles beside others that go on; by a call and by a signal.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support/child.h"
#include "support/coro.h"
#include "support/procs.h"

enum { TEXT_MOST = 1 << 20, ALIKE = 100 };

/* The dump, made on a thread or in a coroutine. */
static const char *dumped(void)
{
    static char text[TEXT_MOST];
    size_t      n = 0;
    FILE       *f = tmpfile();

    check(f != NULL);
    check_eq(weft_dump(fileno(f)), 0);
    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

/* The line that has both, where the first comes first. */
static bool has_line(const char *text, const char *first, const char *then)
{
    for (const char *at = text; (at = strstr(at, first)) != NULL; at++) {
        const char *end = strchr(at, '\n'), *found = strstr(at, then);
        if (found && (!end || found < end))
            return true;
    }
    return false;
}

static void must_have(const char *text, const char *first, const char *then)
{
    if (has_line(text, first, then))
        return;
    fprintf(stderr, "no line with \"%s\" and then \"%s\" in:\n%s\n", first, then, text);
    check(false);
}

/* The paragraph that begins with head has the words. */
static void paragraph_has(const char *text, const char *head, const char *words)
{
    const char *from = strstr(text, head), *to = from ? strstr(from, "\n\n") : NULL;
    const char *at = from ? strstr(from, words) : NULL;

    if (at && (!to || at < to))
        return;
    fprintf(stderr, "no paragraph \"%s\" with \"%s\" in:\n%s\n", head, words, text);
    check(false);
}

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
