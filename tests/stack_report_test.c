/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stack_report_test.c - the stack budget report, as a program's user reads it: a line for each
 * place that starts coroutines, with how many, what they used, and the size that would do.
 */
#include <criterion/criterion.h>

#include "support/child.h"

enum { SHALLOW = 3000, DEEP = 40000, DEEPER = 120000, START_BYTES = 2500 };

static weft_waitgroup all;

/* ---- Coroutines that use so much -------------------------------------------------------------------- */

static __attribute__((noinline)) int use(uintptr_t low)
{
    volatile char frame[200];

    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)(i | 1);
    int below = (uintptr_t)frame > low ? use(low) : 0;
    return below + frame[1];
}

static void uses(void *arg)
{
    check(use((uintptr_t)&arg - (uintptr_t) * (long *)arg) > 0);
    weft_waitgroup_done(&all);
}

static __attribute__((noinline)) void start_mixed(long bytes)
{
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(uses, &bytes, sizeof bytes), 0);
}

static __attribute__((noinline)) void start_deeper(long bytes)
{
    weft_go_options opt = { .name = "deeper", .stack_size = 512 << 10 };

    weft_waitgroup_add(&all, 1);
    check_eq(weft_go_with(&opt, uses, &bytes, sizeof bytes), 0);
}

/* Each of 100 runs alone, so that they take the same stack in turn: every tenth is deep. */
static int main_mixed(void *arg)
{
    for (int i = 0; i < 100; i++) {
        start_mixed(i % 10 == 0 ? DEEP : SHALLOW);
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    start_deeper(DEEPER);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

static int run_mixed(void *arg)
{
    weft_options opt = { .procs = 1 };

    return weft_run(&opt, main_mixed, arg);
}

/* ---- Its lines ------------------------------------------------------------------------------------------ */

struct row {
    long count, p50, p99, most, given, suggest;
};

/* The line of the coroutines that the function starts. */
static struct row row_of(const struct child *c, const char *function)
{
    struct row  row = { 0 };
    const char *at = strstr(c->text, function);

    cr_assert_not_null(at, "%s is not in: %s", function, c->text);
    while (at > c->text && at[-1] != '\n')
        at--;
    cr_assert_eq(sscanf(at, "%ld %ld %ld %ld %ld %ld ", &row.count, &row.p50, &row.p99, &row.most,
                        &row.given, &row.suggest),
                 6, "%s", at);
    return row;
}

/* What was used is the coroutine's own, and what comes before it: more than `bytes`, not much more. */
#define assert_about(used, bytes)                                                        \
    cr_assert((used) >= (bytes) && (used) <= (bytes)*9 / 8 + START_BYTES, "%ld for %ld", \
              (long)(used), (long)(bytes))

static void assert_mixed(const char *guard)
{
    setenv("WEFT_STACK_REPORT", "1", 1);
    setenv("WEFT_GUARD", guard, 1);
    struct child *c = child_run(run_mixed, NULL);
    cr_assert_eq(c->status, 0, "signal %d: %s", c->signal, c->text);

    struct row row = row_of(c, "  start_mixed+0x");
    cr_assert_eq(row.count, 100);
    assert_about(row.p50, SHALLOW); /* nothing of the deep ones before them is left */
    assert_about(row.p99, DEEP);
    assert_about(row.most, DEEP);
    cr_assert_eq(row.given, 256 << 10);
    cr_assert_eq(row.suggest, 64 << 10);

    row = row_of(c, "  start_deeper+0x");
    cr_assert_eq(row.count, 1);
    assert_about(row.p50, DEEPER);
    cr_assert_eq(row.p50, row.most);
    cr_assert_eq(row.given, 512 << 10);
    cr_assert_eq(row.suggest, 256 << 10);

    row = row_of(c, "  run_mixed+0x"); /* the main coroutine */
    cr_assert_eq(row.count, 1);
    cr_assert(row.most > 500 && row.most < 16 << 10, "%ld", row.most);
}

Test(stack_report, each_place_has_its_line)
{
    assert_mixed("mprotect");
    assert_mixed("canary");
}

/* ---- Those that live still ----------------------------------------------------------------------------- */

static weft_sem asleep;

static __attribute__((noinline)) int sleep_below(uintptr_t low)
{
    volatile char frame[200];

    frame[0] = 1;
    if ((uintptr_t)frame > low)
        return sleep_below(low) + frame[0];
    weft_sem_release(&asleep, 1);
    check_eq(weft_sleep(1000 * WEFT_S), 0);
    return frame[0];
}

static void sleeps_deep(void *arg)
{
    weft_shield(true); /* it does not end with the others */
    check(sleep_below((uintptr_t)&arg - DEEP) == 0);
}

static int main_sleeper(void *arg)
{
    for (int i = 0; i < 3; i++)
        check_eq(weft_go(sleeps_deep, NULL, 0), 0);
    for (int i = 0; i < 3; i++)
        check_eq(weft_sem_acquire(&asleep, WEFT_FOREVER), 0);
    return arg != NULL;
}

static int run_sleeper(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = -1 };

    return weft_run(&opt, main_sleeper, arg);
}

Test(stack_report, those_that_live_are_measured_too)
{
    setenv("WEFT_STACK_REPORT", "1", 1);
    struct row row = row_of(child_run(run_sleeper, NULL), "  main_sleeper+0x");
    cr_assert_eq(row.count, 3);
    assert_about(row.p50, DEEP);
    assert_about(row.most, DEEP);
    cr_assert_eq(row.suggest, 64 << 10);
}

static int main_dumper(void *arg)
{
    weft_options *opt = arg;

    for (int i = 0; i < 3; i++)
        check_eq(weft_go(sleeps_deep, NULL, 0), 0);
    for (int i = 0; i < 3; i++)
        check_eq(weft_sem_acquire(&asleep, WEFT_FOREVER), 0);
    check_eq(weft_dump(STDERR_FILENO), 0);
    return opt->procs == 0;
}

static int run_dumper(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = -1 };

    (void)arg;
    return weft_run(&opt, main_dumper, &opt);
}

Test(stack_report, a_dump_has_it_too)
{
    setenv("WEFT_STACK_REPORT", "1", 1);
    struct child *c = child_run(run_dumper, NULL);
    char         *in_dump = strstr(c->text, "weft: stacks in bytes");

    cr_assert_eq(c->status, 0, "signal %d: %s", c->signal, c->text);
    cr_assert_not_null(in_dump, "%s", c->text);
    cr_assert_not_null(strstr(in_dump + 1, "weft: stacks in bytes"), "%s", c->text);
    memmove(c->text, in_dump, strlen(in_dump) + 1);
    struct row row = row_of(c, "  main_dumper+0x");
    cr_assert_eq(row.count, 3);
    assert_about(row.p50, DEEP);
}

/* ---- Off, and wrong ---------------------------------------------------------------------------------------- */

Test(stack_report, without_the_variable_there_is_none)
{
    unsetenv("WEFT_STACK_REPORT");
    struct child *c = child_run(run_mixed, NULL);
    cr_assert_eq(c->status, 0);
    cr_assert_eq(c->n, 0, "%s", c->text);
    setenv("WEFT_STACK_REPORT", "0", 1);
    c = child_run(run_mixed, NULL);
    cr_assert_eq(c->n, 0, "%s", c->text);
}

Test(stack_report, another_value_is_refused)
{
    setenv("WEFT_STACK_REPORT", "yes", 1);
    struct child *c = child_run(run_mixed, NULL);
    cr_assert_eq(c->status, (unsigned char)-EINVAL);
    cr_assert_not_null(strstr(c->text, "WEFT_STACK_REPORT=yes: must be 1 or 0\n"), "%s", c->text);
}
