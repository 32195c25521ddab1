/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/support/check.h - for the plain programs of tests/race: a check that ends the process with
 * one line, and a weft_run that must succeed.  Must never allocate: it is called in coroutines.
 */
#ifndef WEFT_TESTS_CHECK_H
#define WEFT_TESTS_CHECK_H

#include <stdio.h>
#include <unistd.h>
#include <weft.h>

#include "scale.h"

#if defined(__SANITIZE_ADDRESS__)
/* Criterion now and then forgets a few bytes of its own. */
const char                       *__lsan_default_suppressions(void);
__attribute__((weak)) const char *__lsan_default_suppressions(void)
{
    return "leak:libcriterion\n";
}
#endif

#define check(e)       ((e) ? (void)0 : check_failed(__FILE__, __LINE__, #e))
#define check_eq(a, b) check_equal(__FILE__, __LINE__, #a, (long long)(a), (long long)(b))

__attribute__((unused, noreturn)) static void check_failed(const char *file, int line,
                                                           const char *what)
{
    char text[256];
    int  n = snprintf(text, sizeof text, "%s:%d: does not hold: %s\n", file, line, what);

    if (write(STDERR_FILENO, text, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

__attribute__((unused)) static void check_equal(const char *file, int line, const char *what,
                                                long long is, long long want)
{
    char text[192];

    if (is == want)
        return;
    snprintf(text, sizeof text, "%s is %lld, not %lld", what, is, want);
    check_failed(file, line, text);
}

/* weft_run of fn(arg) on so many Ps, which must return 0. */
__attribute__((unused)) static void run_on(int procs, int (*fn)(void *arg), void *arg)
{
    weft_options opt = { .procs = procs, .stop_ns = 60 * WEFT_S };

    check_eq(weft_run(&opt, fn, arg), 0);
}

/* A generator of one's own, so that a test's choices repeat: xorshift64. */
__attribute__((unused)) static unsigned test_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 32);
}

#endif
