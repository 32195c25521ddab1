/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/procs.h - the same test on 1, 2, 3, 4 and 8 Ps, and what the process has open.
 */
#ifndef WEFT_TESTS_PROCS_H
#define WEFT_TESTS_PROCS_H

#include <dirent.h>

#include "support/check.h"

__attribute__((unused)) static void run_on_all(int (*fn)(void *arg), void *arg)
{
    static const int procs[] = { 1, 2, 3, 4, 8 };

    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++)
        run_on(procs[i], fn, arg);
}

/* Entries of a folder of /proc/self; for "fd" the one that reads it counts too. */
__attribute__((unused)) static int entries_of(const char *folder)
{
    int  n = 0;
    DIR *d = opendir(folder);

    check(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

__attribute__((unused)) static int threads_now(void)
{
    return entries_of("/proc/self/task");
}

/* On any thread: until the condition holds, which it must within a minute. */
#define await(condition)                              \
    do {                                              \
        weft_time give_up_ = weft_after(60 * WEFT_S); \
        while (!(condition)) {                        \
            check(weft_now() < give_up_);             \
            usleep(200);                              \
        }                                             \
    } while (0)

/* The same in a coroutine. */
#define await_yielding(condition)                     \
    do {                                              \
        weft_time give_up_ = weft_after(60 * WEFT_S); \
        while (!(condition)) {                        \
            check(weft_now() < give_up_);             \
            weft_yield();                             \
        }                                             \
    } while (0)

#endif
