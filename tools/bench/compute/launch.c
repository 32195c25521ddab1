/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/launch.c - how long a program takes from exec to its first line.
 *
 * Owns the clock at both ends: before vfork, and when the first byte comes through the
 * pipe.  Prints the median in us.  Each program is ended and waited for.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int64_t launch(char **command)
{
    posix_spawn_file_actions_t actions;
    int                        out[2], err;
    pid_t                      pid;
    char                       byte;
    int64_t                    t0;

    if (pipe(out) != 0) {
        bench_die("pipe: %s", strerror(errno));
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    t0 = bench_now();
    err = posix_spawn(&pid, command[0], &actions, NULL, command, environ);
    if (err != 0) {
        bench_die("%s: %s", command[0], strerror(err));
    }
    close(out[1]);
    if (read(out[0], &byte, 1) != 1) {
        bench_die("%s ended without a word", command[0]);
    }
    t0 = bench_now() - t0;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(out[0]);
    posix_spawn_file_actions_destroy(&actions);
    return t0;
}

/* launch TIMES COMMAND... */
int main(int argc, char **argv)
{
    int64_t took[1000];
    long    n;

    if (argc < 3) {
        fprintf(stderr, "usage: bench_launch TIMES COMMAND...\n");
        return 2;
    }
    n = bench_number("TIMES", argv[1], 1, 1000);
    for (long i = 0; i < n; i++) {
        took[i] = launch(argv + 2);
    }
    printf("%.1f\n", (double)bench_median(took, n) / 1e3);
    return 0;
}
