/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fork_test.c - fork in a coroutine, followed by exec or _exit: the child gets what it should
 * and none of the runtime's descriptors, while the parent's other coroutines go on.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "support/coro.h"

enum { CHILDREN = 12 };

static const char *const shells[] = { "/bin/sh", "-c", NULL };
static atomic_bool       done;
static atomic_long       turns;

/* A child's end, awaited by its descriptor: the P goes on with others meanwhile. */
static int reap(pid_t pid)
{
    int status, fd = (int)syscall(SYS_pidfd_open, pid, 0);

    check(fd >= 0);
    check_eq(weft_fd_wait(fd, POLLIN, weft_after(PATIENCE)), POLLIN);
    close(fd);
    check_eq(waitpid(pid, &status, WNOHANG), pid);
    return status;
}

static void busy(void *arg)
{
    while (!atomic_load(&done)) {
        atomic_fetch_add(&turns, 1);
        weft_yield();
    }
    (void)arg;
}

/* fn starts children, while other coroutines keep all Ps busy. */
static int among_busy(void *arg)
{
    weft_waitgroup busies = { 0 }, all = { 0 };
    void (*fn)(void *) = *(void (**)(void *))arg;

    atomic_store(&done, false);
    for (int i = 0; i < 4; i++)
        spawn(&busies, busy, NULL);
    for (int i = 0; i < CHILDREN; i++)
        spawn(&all, fn, NULL);
    join(&all);
    atomic_store(&done, true);
    join(&busies);
    return 0;
}

static void run_children(void (*fn)(void *arg))
{
    run_on(1, among_busy, &fn);
    run_on(4, among_busy, &fn);
    check(atomic_load(&turns) > 0);
}

/* ---- exec ------------------------------------------------------------------------------------------ */

static void exec_shell(const char *script)
{
    execl(shells[0], shells[0], shells[1], script, (char *)NULL);
    _exit(127);
}

/* The child's output comes to a coroutine through an adopted pipe. */
static void forks_and_execs(void *arg)
{
    int       ends[2];
    char      text[16];
    weft_conn in;

    check_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        exec_shell("echo from the child; exit 5");
    }
    close(ends[1]);
    check_eq(weft_conn_adopt(&in, ends[0]), 0);
    check_eq(weft_conn_read_full(in, text, 15, NULL), 15);
    check_eq(memcmp(text, "from the child\n", 15), 0);
    check_eq(weft_conn_read(in, text, 1), 0);
    int status = reap(pid);
    check(WIFEXITED(status));
    check_eq(WEXITSTATUS(status), 5);
    weft_conn_close(in);
    (void)arg;
}

Test(fork, followed_by_exec_works_in_a_coroutine)
{
    run_children(forks_and_execs);
}

/* Of the parent's descriptors the program gets 0 to 2 alone, and SIGPIPE has its default. */
static void execs_a_look_around(void *arg)
{
    weft_listener l;

    check_eq(weft_listen(&l, "tcp", "127.0.0.1:0"), 0);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0)
        exec_shell(
            "for fd in /proc/$$/fd/*; do case ${fd##*/} in [0-2]) ;; *) "
            "case $(readlink $fd) in socket:*|anon_inode:*event*) exit 3 ;; esac ;; esac; done\n"
            "sh -c 'kill -PIPE $$' 2>/dev/null; [ $? -eq 141 ] || exit 4");
    int status = reap(pid);
    check_eq(status, 0);
    weft_listener_close(l);
    (void)arg;
}

Test(fork, an_executed_program_inherits_no_descriptor_and_the_default_of_sigpipe)
{
    run_children(execs_a_look_around);
}

static void spawns(void *arg)
{
    extern char **environ;
    pid_t         pid;
    char         *argv[] = { "sh", "-c", "exit 9", NULL };

    check_eq(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    int status = reap(pid);
    check(WIFEXITED(status));
    check_eq(WEXITSTATUS(status), 9);
    weft_block_enter();
    status = system("exit 11");
    weft_block_leave();
    check_eq(WEXITSTATUS(status), 11);
    (void)arg;
}

Test(fork, posix_spawn_and_system_work_in_a_coroutine)
{
    run_children(spawns);
}

/* ---- _exit ----------------------------------------------------------------------------------------- */

/* The child has a copy of the coroutine's stack, and may use it. */
static void forks_and_exits(void *arg)
{
    char kept[512];

    memset(kept, 42, sizeof kept);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        int sum = 0;
        for (size_t i = 0; i < sizeof kept; i++)
            sum += kept[i] == 42;
        _exit(sum == (int)sizeof kept ? 33 : 1);
    }
    int status = reap(pid);
    check(WIFEXITED(status));
    check_eq(WEXITSTATUS(status), 33);
    (void)arg;
}

Test(fork, followed_by__exit_works_in_a_coroutine)
{
    run_children(forks_and_exits);
}
