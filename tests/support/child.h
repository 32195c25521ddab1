/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/child.h - runs a function in a child process and gathers how it ended and what it
 * said on stderr: for tests of what ends a process, and of what a process prints.
 */
#ifndef WEFT_TESTS_CHILD_H
#define WEFT_TESTS_CHILD_H

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/check.h"

enum { CHILD_ALARM_S = 40 };

struct child {
    int    signal; /* that ended it, 0: none */
    int    status; /* its exit status */
    size_t n;
    char   text[8192]; /* its stderr */
};

__attribute__((unused)) static void child_gather(struct child *c, int fd)
{
    ssize_t got = 1;

    while (c->n < sizeof c->text - 1 && (got > 0 || (got < 0 && errno == EINTR))) {
        got = read(fd, c->text + c->n, sizeof c->text - 1 - c->n);
        c->n += got > 0 ? (size_t)got : 0;
    }
    c->text[c->n] = '\0';
}

/* fn(arg) in a child; its result is the exit status. */
__attribute__((unused)) static struct child *child_run(int (*fn)(void *arg), void *arg)
{
    static struct child c;
    int                 fds[2], status;

    memset(&c, 0, sizeof c);
    fflush(NULL);
    check_eq(pipe(fds), 0);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        signal(SIGQUIT, SIG_DFL); /* a shell's job in the background ignores it */
        alarm(CHILD_ALARM_S);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        _exit(fn(arg));
    }
    close(fds[1]);
    child_gather(&c, fds[0]);
    close(fds[0]);
    check_eq(waitpid(pid, &status, 0), pid);
    c.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    c.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return &c;
}

/* How many lines of its stderr begin with "weft: ". */
__attribute__((unused)) static int child_lines(const struct child *c)
{
    int n = 0;

    for (const char *at = c->text; (at = strstr(at, "weft: ")) != NULL; at++)
        n += at == c->text || at[-1] == '\n';
    return n;
}

/* It died of SIGABRT with one line, which has the words. */
#define assert_dies_saying(c, words)                                                    \
    do {                                                                                \
        const struct child *died_ = (c);                                                \
        cr_assert_eq(died_->signal, SIGABRT, "signal %d, status %d: %s", died_->signal, \
                     died_->status, died_->text);                                       \
        cr_assert_eq(child_lines(died_), 1, "%s", died_->text);                         \
        cr_assert_not_null(strstr(died_->text, words), "%s", died_->text);              \
    } while (0)

#endif
