/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/hibernate_world_test.c - hibernation beside the rest: the environment, locked and measured
 * stacks, the end of the runtime, dumps, and the other kinds of guards.
 */
#include <criterion/criterion.h>

#include "support/child.h"
#include "support/reader.h"

/* ---- The environment ------------------------------------------------------------------------ */

static void reads_unasked(void *arg)
{
    char byte;

    check_eq(weft_conn_read(((struct reader *)arg)->conn, &byte, 1), 1);
    weft_waitgroup_done(&all);
}

static int for_all(void *arg)
{
    static struct reader r;

    check_eq(weft_hibernate(10 * WEFT_MS), 20 * WEFT_MS);
    r = reader_make();
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(reads_unasked, &r, 0), 0);
    await_hibernated(1);
    wake_one(&r);
    reader_end(&r);
    return arg != NULL;
}

Test(hibernate_world, the_environment_allows_it_for_all)
{
    setenv("WEFT_HIBERNATE", "20", 1);
    run_on_1_2_8(for_all, NULL);
}

static int nothing(void *arg)
{
    return arg != NULL;
}

static int run_nothing(void *arg)
{
    setenv("WEFT_HIBERNATE", arg, 1);
    return weft_run(NULL, nothing, NULL) == -EINVAL ? 0 : 1;
}

Test(hibernate_world, a_malformed_environment_is_refused)
{
    static char *const bad[] = { "1s", "-1", "x", "99999999999999999999" };

    for (int i = 0; i < COUNT(bad); i++) {
        const struct child *c = child_run(run_nothing, bad[i]);
        cr_assert_eq(c->status, 0, "%s: %s", bad[i], c->text);
        cr_assert_not_null(strstr(c->text, "weft: WEFT_HIBERNATE="), "%s", c->text);
    }
}

/* ---- Where it is off, or of no use ----------------------------------------------------------- */

/* Pages of locked memory stay, and with them what is in them. */
static int locked(void *arg)
{
    if (ASAN || mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 77; /* RLIMIT_MEMLOCK; AddressSanitizer locks nothing */
    check(one_of_depth(500, 500) > 0);
    return arg != NULL;
}

static int run_locked(void *arg)
{
    weft_options opt = { .procs = 2, .stack_size = 64 << 10 };

    return weft_run(&opt, locked, arg);
}

Test(hibernate_world, locked_memory_stays_as_it_is)
{
    const struct child *c = child_run(run_locked, NULL);

    if (c->status == 77)
        cr_skip("no memory may be locked here");
    cr_assert_eq(c->status, 0, "%s", c->text);
}

/* Uses about 40 KiB, then waits for longer than it takes to hibernate where nothing is measured. */
static int measured(void *arg)
{
    struct reader r = reader_make();

    start_reading(&r);
    for (int i = 0; i < 200 && stats().hibernated == 0; i++)
        check_eq(weft_sleep(WEFT_MS), 0);
    check_eq(stats().hibernated, 0);
    check(resident(&r) >= 8);
    wake_one(&r);
    reader_end(&r);
    return arg != NULL;
}

Test(hibernate_world, stacks_that_are_measured_stay)
{
    setenv("WEFT_STACK_REPORT", "1", 1);
    run_on_1_2_8(measured, NULL);
}

/* ---- Its end, and who looks at it ----------------------------------------------------------- */

enum { READERS = 70 };

static struct reader readers[READERS];

static int leaves_them(void *arg)
{
    for (int i = 0; i < READERS; i++) {
        readers[i] = reader_make();
        readers[i].bytes = i;
        start_reading(&readers[i]);
    }
    await_hibernated(READERS);
    return arg != NULL;
}

Test(hibernate_world, the_end_of_the_runtime_wakes_and_cancels_them)
{
    for (int procs = 1; procs <= 4; procs *= 2) {
        run_on(procs, leaves_them, NULL);
        for (int i = 0; i < READERS; i++) {
            check_eq(readers[i].result, -ECANCELED);
            close(readers[i].to);
        }
    }
}

static const char *dumped(void)
{
    static char text[1 << 16];
    FILE       *f = tmpfile();

    check(f != NULL);
    check_eq(weft_dump(fileno(f)), 0);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static int shows(void *arg)
{
    struct reader r = reader_make();

    r.bytes = 100;
    start_reading(&r);
    await_hibernated(1);
    const char *text = dumped();
    check(strstr(text, "to read") != NULL);
    check(strstr(text, "read_amid_locals") != NULL);
    check_eq(resident(&r), 0);
    check_eq(stats().hibernated, 1);
    wake_one(&r);
    reader_end(&r);
    return arg != NULL;
}

Test(hibernate_world, a_dump_shows_its_frames_and_does_not_wake_it)
{
    run_on_1_2_8(shows, NULL);
}

/* ---- The other guards ----------------------------------------------------------------------- */

static __attribute__((noinline)) int too_deep(int depth)
{
    volatile char frame[3000];

    for (int i = 0; i < 3000; i++)
        frame[i] = 1;
    return depth == 0 ? frame[0] : too_deep(depth - 1) + frame[depth];
}

/* Writes some 5 KiB more than the stack has. */
static void overflows_later(void *arg)
{
    struct reader *r = *(struct reader **)arg;

    check_eq(weft_hibernate(SOON), 0);
    read_amid_locals(r);
    too_deep(22);
    weft_waitgroup_done(&all);
}

static int overflow_after(void *arg)
{
    weft_go_options opt = { .name = "sleeper", .stack_size = 64 << 10 };
    struct reader   r = reader_make(), *at = &r;

    weft_waitgroup_add(&all, 1);
    check_eq(weft_go_with(&opt, overflows_later, &at, sizeof at), 0);
    await_hibernated(1);
    wake_one(&r);
    check_eq(weft_sleep(10 * WEFT_S), 0); /* it ends, and with it the process */
    return arg != NULL;
}

static int with_guard(void *arg)
{
    setenv("WEFT_GUARD", arg, 1);
    run_on(2, overflow_after, NULL);
    return 0;
}

Test(hibernate_world, an_overflow_afterwards_is_noticed_by_each_kind_of_guard)
{
    static char *const kinds[] = { "madvise", "mprotect", "canary" };

    for (int i = 0; i < COUNT(kinds); i++) {
        const struct child *c = child_run(with_guard, kinds[i]);
        cr_assert_not_null(strstr(c->text, "(sleeper)"), "%s: %s", kinds[i], c->text);
        cr_assert_not_null(strstr(c->text, "65536 bytes"), "%s: %s", kinds[i], c->text);
    }
}
