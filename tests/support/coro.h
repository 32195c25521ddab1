/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/coro.h - what the tests of channels, locks and time share: runs on 1, 2 and 8 Ps,
 * coroutines that are joined, calls that must block or must not, and calls that must end the
 * process with a message.  Must never wait for wall time in place of an event.
 */
#ifndef WEFT_TESTS_CORO_H
#define WEFT_TESTS_CORO_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"

#define HELPER __attribute__((unused)) static

#define PATIENCE (60 * WEFT_S) /* what must happen happens long before */
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define NOWHERE  "was called outside a coroutine"

static const int proc_counts[] = { 1, 2, 8 };

HELPER void run_on_1_2_8(int (*fn)(void *arg), void *arg)
{
    for (int i = 0; i < COUNT(proc_counts); i++)
        run_on(proc_counts[i], fn, arg);
}

/* ---- Coroutines that are joined --------------------------------------------------------------- */

typedef struct spawned {
    void (*fn)(void *arg);
    void           *arg;
    weft_waitgroup *wg;
} spawned;

HELPER void spawn_entry(void *arg)
{
    spawned *s = arg;

    s->fn(s->arg);
    weft_waitgroup_done(s->wg);
}

HELPER void spawn(weft_waitgroup *wg, void (*fn)(void *arg), void *arg)
{
    spawned s = { fn, arg, wg };

    weft_waitgroup_add(wg, 1);
    check_eq(weft_go(spawn_entry, &s, sizeof s), 0);
}

HELPER void join(weft_waitgroup *wg)
{
    check_eq(weft_waitgroup_wait(wg, weft_after(PATIENCE)), 0);
}

HELPER void join_group(weft_group *g)
{
    int first;

    check_eq(weft_group_wait(g, weft_after(PATIENCE), &first), 0);
    check_eq(first, 0);
}

/* On one P: all others run until they park. */
HELPER void let_others_park(void)
{
    check_eq(weft_procs(), 1);
    for (int i = 0; i < 8; i++)
        weft_yield();
}

/* ---- What blocks, and what does not ------------------------------------------------------------- */

typedef struct attempt {
    int (*op)(void *arg);
    void *arg;
    int   result;
    bool  done;
} attempt;

HELPER int attempt_entry(void *arg)
{
    attempt *a = *(attempt **)arg;

    a->result = a->op(a->arg);
    a->done = true;
    return 0;
}

/* On one P: starts op(arg) and lets it run until it has returned or waits. */
HELPER void attempt_start(attempt *a, weft_group *g)
{
    a->done = false;
    check_eq(weft_group_go(g, attempt_entry, &a, sizeof a), 0);
    let_others_park();
}

/* On one P: op(arg) waits; then it is cancelled, and says so. */
HELPER bool blocks(int (*op)(void *arg), void *arg)
{
    attempt    a = { .op = op, .arg = arg };
    weft_group g = WEFT_GROUP_INIT;

    attempt_start(&a, &g);
    bool blocked = !a.done;
    weft_group_cancel(&g);
    join_group(&g);
    if (blocked)
        check_eq(a.result, -ECANCELED);
    return blocked;
}

/* On one P: what op(arg) returned, which must not wait. */
HELPER int at_once(int (*op)(void *arg), void *arg)
{
    attempt    a = { .op = op, .arg = arg };
    weft_group g = WEFT_GROUP_INIT;

    attempt_start(&a, &g);
    check(a.done);
    join_group(&g);
    return a.result;
}

/* ---- What a cancelled coroutine is told ----------------------------------------------------------- */

typedef struct cancelled_call {
    const char *name;
    int (*op)(void *arg);
} cancelled_call;

/* Each returns -ECANCELED in a coroutine that is cancelled already, although it could go ahead. */
HELPER int in_cancelled(void *arg)
{
    attempt *a = *(attempt **)arg;

    check(weft_cancelled());
    a->result = a->op(a->arg);
    check(!weft_shield(true));
    check(!weft_cancelled());
    check(weft_shield(false));
    return 0;
}

HELPER int when_cancelled(int (*op)(void *arg), void *arg)
{
    attempt    a = { .op = op, .arg = arg }, *at = &a;
    weft_group g = WEFT_GROUP_INIT;

    check_eq(weft_procs(), 1);
    check_eq(weft_group_go(&g, in_cancelled, &at, sizeof at), 0);
    weft_group_cancel(&g); /* on one P it has not run yet */
    join_group(&g);
    return a.result;
}

/* ---- Misuse ------------------------------------------------------------------------------------------ */

HELPER void die_in_child(int (*fn)(void *arg), void *arg, bool inside, int fd)
{
    dup2(fd, STDERR_FILENO);
    alarm(30);
    if (inside)
        run_on(1, fn, arg);
    else
        fn(arg);
    _exit(0);
}

/*
 * fn(arg), in a coroutine or not, ends a process of its own by abort, with one line that has
 * `text` in it (or, where a sanitizer was quicker, by its report).
 */
HELPER void dies(int (*fn)(void *arg), void *arg, bool inside, const char *text)
{
    char   said[4096];
    size_t n = 0;
    int    fds[2], status;

    check_eq(pipe(fds), 0);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0)
        die_in_child(fn, arg, inside, fds[1]);
    close(fds[1]);
    for (ssize_t r; n < sizeof said - 1 && (r = read(fds[0], said + n, sizeof said - 1 - n)) > 0;)
        n += (size_t)r;
    said[n] = 0;
    close(fds[0]);
    check_eq(waitpid(pid, &status, 0), pid);
    if (strstr(said, "AddressSanitizer"))
        return;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(said, text) ||
        strncmp(said, "weft: ", 6) != 0 || strchr(said, '\n') != said + n - 1)
        fprintf(stderr, "status %#x, wanted \"%s\", said: %s\n", (unsigned)status, text, said);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    check(strstr(said, text) != NULL);
    check(strncmp(said, "weft: ", 6) == 0 && strchr(said, '\n') == said + n - 1);
}

#endif
