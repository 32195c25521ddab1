/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/cli.h - what the programs' command lines share: one-line complaints, strict
 * numbers, the limit on open files, and signals turned into bytes on a pipe.
 *
 * Define CLI_PROGRAM, the program's name, before including this.  Everything is static;
 * nothing here touches weft.
 */
#ifndef CLI_H
#define CLI_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLI_BAD_INPUT 2 /* exit status of every complaint about what the user gave */

#define CLI_UNUSED __attribute__((unused))

/* One line on stderr, behind the program's name; returns the exit status to leave with. */
CLI_UNUSED __attribute__((format(printf, 1, 2))) static int cli_bad_input(const char *format, ...)
{
    char    line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n", CLI_PROGRAM, line);
    return CLI_BAD_INPUT;
}

/* Decimal digits and nothing else, within [min, max]. */
CLI_UNUSED static bool cli_number(const char *text, long min, long max, long *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && *out >= min && *out <= max;
}

/* Raise the soft limit on open files to the hard one; returns the limit in force. */
CLI_UNUSED static rlim_t cli_raise_nofile(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return 0;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = { limit.rlim_max, limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return limit.rlim_cur;
}

/* ---- Signals as bytes ---------------------------------------------------- */

static int cli_signal_pipe_write = -1;

CLI_UNUSED static void cli_on_signal(int signo)
{
    const char byte = (char)signo;
    const int  saved_errno = errno;

    /* A full pipe already says enough; there is nobody to report an error to. */
    if (write(cli_signal_pipe_write, &byte, 1) < 0) {
        errno = saved_errno;
    }
    errno = saved_errno;
}

/*
 * From now on each SIGTERM and SIGINT is a byte on a pipe; returns the end to read, or a
 * negative errno.  The pipe lives as long as the process.
 */
CLI_UNUSED static int cli_signals_to_pipe(void)
{
    struct sigaction action;
    int              ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    cli_signal_pipe_write = ends[1];
    memset(&action, 0, sizeof(action));
    action.sa_handler = cli_on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return ends[0];
}

#endif
