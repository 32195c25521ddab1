/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/leave_test.c - a coroutine's function is left by its return.  longjmp within one works;
 * what leaves one, by longjmp or pthread_exit, ends the process with one line that names it.
 * (C++ exceptions: cxx/exceptions.cpp.)
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#include "support/child.h"
#include "support/coro.h"
#include "support/procs.h"

/* ---- longjmp within one ------------------------------------------------------------------------- */

enum { JUMPERS = 50, JUMPS = 20 };

static atomic_long landed;

static __attribute__((noinline)) void jump_from_below(jmp_buf back)
{
    weft_yield(); /* the jump may be made on another thread than the setjmp */
    longjmp(back, 1);
}

static void jumps_within(void *arg)
{
    jmp_buf      back;
    volatile int done = 0;

    if (setjmp(back) != 0)
        done++;
    if (done < JUMPS)
        jump_from_below(back);
    atomic_fetch_add(&landed, done + (arg != NULL));
}

static int jump_within(void *arg)
{
    weft_waitgroup all = { 0 };

    atomic_store(&landed, 0);
    for (int i = 0; i < JUMPERS; i++)
        spawn(&all, jumps_within, NULL);
    join(&all);
    check_eq(atomic_load(&landed), JUMPERS * JUMPS);
    return arg != NULL;
}

Test(leave, longjmp_within_one_coroutine_works_across_parks)
{
    run_on_1_2_8(jump_within, NULL);
}

/* ---- What leaves one ---------------------------------------------------------------------------- */

static weft_waitgroup never;
static void (*const volatile leave_by_exit)(void *) = pthread_exit;

static void start_named(void (*fn)(void *arg))
{
    weft_go_options opt = { .name = "leaver" };

    check_eq(weft_go_with(&opt, fn, NULL, 0), 0);
    weft_waitgroup_add(&never, 1);
    check_eq(weft_waitgroup_wait(&never, weft_after(PATIENCE)), -ETIMEDOUT);
}

static void exits_thread(void *arg)
{
    leave_by_exit(arg);
}

static void exits_thread_blocking(void *arg)
{
    weft_block_enter();
    leave_by_exit(arg);
}

static int start_one(void *arg)
{
    start_named(*(void (**)(void *))arg);
    return 0;
}

static int run_one(void *arg)
{
    run_on(1, start_one, arg);
    return 0;
}

Test(leave, pthread_exit_ends_the_process_with_a_line)
{
    void (*fns[])(void *) = { exits_thread, exits_thread_blocking };

    for (int i = 0; i < COUNT(fns); i++)
        assert_dies_saying(child_run(run_one, &fns[i]),
                           "pthread_exit or pthread_cancel left coroutine 2 (leaver)");
}

#ifndef __SANITIZE_ADDRESS__ /* AddressSanitizer would speak first, of a stack that it does not expect */

static jmp_buf outside;

/* The process's first thread is in weft_run: it sleeps, and does not use its stack. */
static bool first_thread_sleeps(void)
{
    char    text[128] = "";
    int     fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);

    close(fd);
    return n > 0 && strstr(text, ") S ");
}

static void jumps(void *arg)
{
    (void)arg;
    longjmp(outside, 1);
}

static void jumps_into_main(void *arg)
{
    await_yielding(first_thread_sleeps());
    jumps(arg);
}

/* As programs do that handle errors by a jump into main; the process ends there. */
static int jumped_into_main(void *arg)
{
    if (setjmp(outside) != 0)
        exit(0);
    return run_one(arg);
}

/* There they may also go on and call weft. */
static int jumped_and_went_on(void *arg)
{
    if (setjmp(outside) != 0)
        weft_sleep(WEFT_S);
    return run_one(arg);
}

Test(leave, longjmp_out_of_a_coroutine_ends_the_process_with_a_line)
{
    void (*fn)(void *) = jumps_into_main;

    assert_dies_saying(child_run(jumped_into_main, &fn),
                       "coroutine 2 (leaver) runs on a stack that");
    assert_dies_saying(child_run(jumped_and_went_on, &fn), "longjmp left it");
}

static void is_jumped_into(void *arg)
{
    if (setjmp(outside) == 0)
        weft_sleep(PATIENCE);
    check(arg == NULL);
} /* returns, as another than it was */

/* Runs next after that, unless the mistake was seen. */
static void is_next(void *arg)
{
    _exit(arg != NULL);
}

static int jump_into_another(void *arg)
{
    check_eq(weft_go(is_jumped_into, NULL, 0), 0);
    weft_yield();
    check_eq(weft_go(is_next, NULL, 0), 0);
    return start_one(arg);
}

static int run_jump_into_another(void *arg)
{
    run_on(1, jump_into_another, arg);
    return 0;
}

Test(leave, longjmp_into_another_coroutine_ends_the_process_with_a_line)
{
    void (*fn)(void *) = jumps;

    assert_dies_saying(child_run(run_jump_into_another, &fn),
                       "coroutine 4 (leaver) runs on a stack that is not its own");
}

#endif

/* exit() in a coroutine is no such thing. */
static int exits(void *arg)
{
    exit(*(int *)arg);
}

static int run_exits(void *arg)
{
    run_on(2, exits, arg);
    return 1;
}

Test(leave, exit_in_a_coroutine_ends_the_process_in_silence)
{
    int                 status = 7;
    const struct child *c = child_run(run_exits, &status);

    cr_assert_eq(c->status, 7, "status %d, signal %d: %s", c->status, c->signal, c->text);
    cr_assert_eq(child_lines(c), 0, "%s", c->text);
}
