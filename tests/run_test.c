/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/run_test.c - weft_run: results, options, the number of Ps, the stop rule sentence by
 * sentence, and running again and again.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/procs.h"

static atomic_int seen, ended;

static int give(void *arg)
{
    return *(int *)arg;
}

Test(run, returns_what_main_returned)
{
    static const int results[] = { 0, 1, -1, 4711, -EIO, INT32_MAX, INT32_MIN };

    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        int r = results[i];
        cr_assert_eq(weft_run(NULL, give, &r), r);
    }
}

static int count_seen(void *arg)
{
    (void)arg;
    atomic_fetch_add(&seen, 1);
    return 0;
}

Test(run, refuses_options_it_cannot_keep)
{
    weft_options bad[] = {
        { .procs = -1 },       { .procs = 1025 },       { .max_threads = -1 },
        { .stack_size = 1 },   { .stack_size = 16383 }, { .stack_size = (size_t)1 << 40 },
        { .reserved = { 1 } }, { .reserved[7] = 1 },
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(weft_run(&bad[i], count_seen, NULL), -EINVAL, "row %zu", i);
    cr_assert_eq(weft_run(NULL, NULL, NULL), -EINVAL);
    cr_assert_eq(seen, 0);
    weft_options zero = { 0 };
    cr_assert_eq(weft_run(&zero, count_seen, NULL), 0);
    cr_assert_eq(seen, 1);
}

static void *run_beside(void *arg)
{
    *(int *)arg = weft_run(NULL, count_seen, NULL);
    return NULL;
}

static int run_within(void *arg)
{
    pthread_t thread;

    check_eq(weft_run(NULL, count_seen, NULL), -EALREADY);
    check_eq(pthread_create(&thread, NULL, run_beside, arg), 0);
    weft_block_enter();
    pthread_join(thread, NULL);
    weft_block_leave();
    return 0;
}

Test(run, one_at_a_time)
{
    int beside = 0;

    cr_assert_eq(weft_run(NULL, run_within, &beside), 0);
    cr_assert_eq(beside, -EALREADY);
    cr_assert_eq(seen, 0);
    cr_assert_eq(weft_run(NULL, count_seen, NULL), 0);
}

/* ---- The number of Ps -------------------------------------------------------------------------- */

static int procs_now(void *arg)
{
    (void)arg;
    return weft_procs();
}

Test(run, procs_by_option_then_environment_then_affinity)
{
    weft_options five = { .procs = 5 }, most = { .procs = 1024 };
    cpu_set_t    set, one;
    int          first = 0;

    cr_assert_eq(weft_procs(), 0, "none is running");
    setenv("WEFT_PROCS", "3", 1);
    cr_assert_eq(weft_run(NULL, procs_now, NULL), 3);
    cr_assert_eq(weft_run(&five, procs_now, NULL), 5);
    cr_assert_eq(weft_run(&most, procs_now, NULL), 1024);
    setenv("WEFT_PROCS", "", 1);
    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    cr_assert_leq(weft_run(NULL, procs_now, NULL), CPU_COUNT(&set));
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    unsetenv("WEFT_PROCS");
    cr_assert_eq(weft_run(NULL, procs_now, NULL), 1);
    cr_assert_eq(weft_procs(), 0);
}

static int run_with_environment(void *arg)
{
    setenv("WEFT_PROCS", arg, 1);
    return weft_run(NULL, procs_now, NULL) == -EINVAL ? 0 : 1;
}

Test(run, a_malformed_number_of_procs_is_refused_by_name)
{
    static const char *const bad[] = {
        "0", "-1", "two", "2x", "1025", "99999999999999999999", " "
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char          words[64];
        struct child *c = child_run(run_with_environment, (void *)bad[i]);
        cr_assert_eq(c->status, 0, "%s", bad[i]);
        cr_assert_eq(child_lines(c), 1, "%s", c->text);
        snprintf(words, sizeof words, "WEFT_PROCS=%s: must be a number from 1 to 1024", bad[i]);
        cr_assert_not_null(strstr(c->text, words), "%s", c->text);
    }
}

Test(run, version_is_the_headers)
{
    char want[32];

    snprintf(want, sizeof want, "%d.%d.%d", WEFT_VERSION_MAJOR, WEFT_VERSION_MINOR,
             WEFT_VERSION_PATCH);
    cr_assert_str_eq(weft_version(), want);
}

/* ---- The stop ------------------------------------------------------------------------------------ */

/* Is cancelled, then takes its time to clean up, shielded, and tries to start others. */
static void cleans_up(void *arg)
{
    weft_group g = WEFT_GROUP_INIT;

    atomic_fetch_add(&seen, 1);
    check_eq(weft_sleep(WEFT_FOREVER), -ECANCELED);
    check_eq(weft_sleep(0), -ECANCELED);
    check(weft_cancelled());
    check_eq(weft_shield(true), false);
    check(!weft_cancelled());
    check_eq(weft_sleep(20 * WEFT_MS), 0);
    check_eq(weft_go(cleans_up, arg, 0), -ECANCELED);
    check_eq(weft_group_go(&g, count_seen, NULL, 0), -ECANCELED);
    atomic_fetch_add(&ended, 1);
}

static int leave_sleepers(void *arg)
{
    for (int i = 0; i < 10; i++)
        check_eq(weft_go(cleans_up, arg, 0), 0);
    await_yielding(atomic_load(&seen) % 10 == 0);
    return 0;
}

Test(run, the_others_are_cancelled_and_awaited_and_none_may_start)
{
    cr_assert_eq(weft_run(NULL, leave_sleepers, NULL), 0, "without options too");
    cr_assert_eq(ended, 10);
    run_on_all(leave_sleepers, NULL);
    cr_assert_eq(ended, 60);
    cr_assert_eq(seen, 60, "what was refused did not run");
}

static void ends(void *arg)
{
    (void)arg;
    weft_yield();
    atomic_fetch_add(&ended, 1);
}

static int leave_unstarted(void *arg)
{
    for (int i = 0; i < 1000; i++)
        check_eq(weft_go(ends, arg, 0), 0);
    return 0;
}

Test(run, what_was_started_runs_even_if_main_returns_at_once)
{
    run_on(1, leave_unstarted, NULL);
    cr_assert_eq(ended, 1000);
}

static weft_waitgroup wake_up;

static void is_woken(void *arg)
{
    atomic_fetch_add(&seen, 1);
    (void)!weft_waitgroup_wait(&wake_up, WEFT_FOREVER); /* the stop may be quicker */
    weft_yield();
    check(arg == NULL);
    atomic_fetch_add(&ended, 1);
}

static int wake_and_return(void *arg)
{
    atomic_store(&seen, 0);
    weft_waitgroup_add(&wake_up, 1);
    for (int i = 0; i < 20; i++)
        check_eq(weft_go(is_woken, arg, 0), 0);
    await_yielding(atomic_load(&seen) == 20);
    weft_waitgroup_done(&wake_up);
    return 0;
}

/* Between being woken and being runnable it still counts: lesson 11. */
Test(run, lesson_11_the_stop_waits_for_those_that_were_just_woken, .timeout = 60)
{
    int n = (int)test_scaled(100);

    for (int i = 0; i < n; i++) {
        atomic_store(&ended, 0);
        run_on(1 + i % 4, wake_and_return, NULL);
        cr_assert_eq(ended, 20);
    }
}

static void ignores(void *arg)
{
    (void)arg;
    weft_shield(true);
    atomic_fetch_add(&seen, 1);
    check_eq(weft_sleep(WEFT_FOREVER), 0);
    check(!"an abandoned coroutine ran again");
}

static char deaf[1000] = "deaf";

static int leave_deaf(void *arg)
{
    int             n = *(int *)arg;
    weft_go_options named = { .name = deaf };

    for (int i = 0; i < n; i++)
        check_eq(weft_go_with(&named, ignores, NULL, 0), 0);
    await_yielding(atomic_load(&seen) == n);
    return 0;
}

/* Abandons so many, then runs again. */
static int abandon(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = *(int *)arg % 2 ? -1 : WEFT_MS };

    check_eq(weft_run(&opt, leave_deaf, arg), 0);
    atomic_store(&seen, 0);
    run_on_all(leave_sleepers, NULL);
    return atomic_load(&ended) == 50 ? 0 : 1;
}

Test(run, those_that_do_not_end_are_named_and_abandoned)
{
    int           two = 2, many = 31;
    struct child *c = child_run(abandon, &two);

    cr_assert_eq(c->status, 0, "%s", c->text);
    cr_assert_eq(child_lines(c), 2, "%s", c->text);
    cr_assert_not_null(strstr(c->text, "(deaf) did not end when the runtime stopped: it waits for "
                                       "time to pass; it is abandoned\n"),
                       "%s", c->text);
    c = child_run(abandon, &many);
    cr_assert_eq(c->status, 0, "%s", c->text);
    cr_assert_eq(child_lines(c), 21, "%s", c->text);
    cr_assert_not_null(strstr(c->text, "weft: and 11 more coroutines\n"), "%s", c->text);
}

Test(run, a_name_may_be_longer_than_a_message)
{
    int one = 1;

    memset(deaf, 'n', sizeof deaf - 1);
    struct child *c = child_run(abandon, &one);
    cr_assert_eq(c->status, 0, "%s", c->text);
    cr_assert_eq(child_lines(c), 1, "%s", c->text);
    cr_assert_eq(strlen(c->text), 511, "%s", c->text); /* what fits, and the line's end */
}

/* ---- Those inside other code ------------------------------------------------------------------- */

static atomic_int release_hogs, back;

static void hog(void *arg)
{
    (void)arg;
    atomic_fetch_add(&seen, 1);
    while (!atomic_load(&release_hogs))
        ;
    atomic_fetch_add(&back, 1); /* in its own code it may go on */
    weft_yield();
    check(!"a coroutine came back from its next call after the stop");
}

static int leave_hog(void *arg)
{
    weft_go_options named = { .name = "hog" };
    int             before = atomic_load(&seen);

    check_eq(weft_go_with(&named, hog, arg, 0), 0);
    while (atomic_load(&seen) == before)
        weft_yield();
    return 0;
}

/* Each run leaves one more hog behind; then all go on, and reach their next call. */
static int stop_with_hogs(void *arg)
{
    weft_options opt = { .procs = 2, .stop_ns = WEFT_MS };

    for (int i = 0; i < 3; i++)
        check_eq(weft_run(&opt, leave_hog, arg), 0);
    atomic_store(&release_hogs, 1);
    await(atomic_load(&back) == 3);
    atomic_store(&seen, 0);
    run_on_all(leave_sleepers, NULL);
    return 0;
}

Test(run, one_inside_other_code_stops_at_its_next_call, .timeout = 60)
{
    struct child *c = child_run(stop_with_hogs, NULL);

    cr_assert_eq(c->status, 0, "signal %d: %s", c->signal, c->text);
    cr_assert_eq(child_lines(c), 3, "%s", c->text);
    cr_assert_not_null(strstr(c->text,
                              "(hog) did not end when the runtime stopped; it is abandoned"),
                       "%s", c->text);
}

/* ---- Again and again --------------------------------------------------------------------------- */

static int start_some(void *arg)
{
    for (int i = 0; i < 4; i++)
        check_eq(weft_go(ends, arg, 0), 0);
    return 0;
}

static int twelve(void *arg)
{
    for (int i = 0; i < 12; i++)
        weft_yield();
    return arg != NULL;
}

Test(run, a_thousand_cycles_leave_nothing_behind, .timeout = 60)
{
    run_on(2, twelve, NULL);
    int fds = entries_of("/proc/self/fd"), threads = threads_now();

    for (long i = 0; i < test_scaled(1000); i++) {
        if (i % 3 == 0)
            run_on(1, start_some, NULL);
        else
            run_on(1 + (int)(i % 4), twelve, NULL);
        if (i % 50 == 0) {
            cr_assert_eq(entries_of("/proc/self/fd"), fds, "after %ld cycles", i + 1);
            await(threads_now() == threads); /* a thread that was joined may show for a moment */
        }
    }
}
