/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stack_test.c - stacks as a program sees them: how much of one can be used, what is said of
 * one that overflows, and what happens where no more can be had.
 */
#include <criterion/criterion.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "support/child.h"
#include "support/procs.h"

#if defined(__SANITIZE_ADDRESS__)
enum { ASAN = 1 };
#else
enum { ASAN = 0 };
#endif

static weft_waitgroup all;

/* ---- How much can be used -------------------------------------------------------------------------- */

/* Writes all of the stack from here down to about the address low. */
static __attribute__((noinline)) int use(uintptr_t low)
{
    volatile char frame[400];

    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)i;
    int below = (uintptr_t)frame > low + 1024 ? use(low) : 0;
    return below + frame[1];
}

static void uses(void *arg)
{
    long      bytes = *(long *)arg;
    uintptr_t low = (uintptr_t)&bytes - (uintptr_t)bytes;

    check(use(low) >= 1);
    weft_yield();
    check(use(low) >= 1);
    weft_waitgroup_done(&all);
}

static int uses_most(void *arg)
{
    for (size_t size = 16 << 10; size <= 4 << 20; size *= 4) {
        weft_go_options opt = { .stack_size = size };
        long            bytes = (long)size - 6000; /* its start, the argument, weft's own frames */
        for (int i = 0; i < 4; i++) {
            weft_waitgroup_add(&all, 1);
            check_eq(weft_go_with(&opt, uses, &bytes, sizeof bytes), 0);
        }
        check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    }
    long bytes = (256 << 10) - 6000; /* the default */
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(uses, &bytes, sizeof bytes), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(stack, nearly_all_of_one_can_be_used)
{
    run_on_all(uses_most, NULL);
}

static int default_of_the_run(void *arg)
{
    long bytes = (2 << 20) - 6000;

    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(uses, &bytes, sizeof bytes), 0);
    check_eq(weft_waitgroup_wait(&all, WEFT_FOREVER), 0);
    return arg != NULL;
}

Test(stack, the_runs_option_is_the_default_for_all)
{
    weft_options opt = { .procs = 2, .stack_size = 2 << 20 };

    cr_assert_eq(weft_run(&opt, default_of_the_run, NULL), 0);
    opt.stack_size = (2 << 20) - 5000; /* rounded up */
    cr_assert_eq(weft_run(&opt, default_of_the_run, NULL), 0);
}

/* ---- Overflows ---------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int endless(int depth)
{
    volatile char frame[1000];

    frame[depth % 1000] = 1;
    return depth < 0 ? 0 : endless(depth + 1) + frame[depth % 1000];
}

/* A frame that is larger than what is left, and nearly as large as the guard. */
static __attribute__((noinline)) int wide(int n)
{
    volatile char frame[60000];

    for (int i = 0; i < (int)sizeof frame; i += 64)
        frame[i] = (char)n;
    return frame[n];
}

static void overflows(void *arg)
{
    (void)arg;
    endless(0);
}

static void overflows_blocking(void *arg)
{
    (void)arg;
    weft_block_enter(); /* its thread has no P, and gp is not its current one */
    endless(0);
    weft_block_leave();
}

static int endless_callback(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info, (void)size, (void)arg;
    return endless(0);
}

/* Called back by libc, with the dynamic loader's lock held: those frames are walked as well. */
static void overflows_in_the_loader(void *arg)
{
    dl_iterate_phdr(endless_callback, arg);
}

static void overflows_at_once(void *arg)
{
    (void)arg;
    wide(1);
}

static long thread_now(void)
{
    return syscall(SYS_gettid);
}

/* Begins on one thread, and overflows on another. */
static void overflows_elsewhere(void *arg)
{
    long      thread = thread_now();
    weft_time give_up = weft_after(30 * WEFT_S);

    (void)arg;
    while (thread_now() == thread) {
        if (weft_now() > give_up)
            _exit(77);
        check_eq(weft_sleep(WEFT_US), 0);
    }
    endless(0);
}

struct overflow {
    const char *name;
    size_t      stack_size;
    void (*fn)(void *arg);
    const char *words, *innermost, *option;
};

static int main_overflow(void *arg)
{
    const struct overflow *o = arg;

    if (!o->fn)
        return endless(0);
    weft_go_options opt = { .name = o->name, .stack_size = o->stack_size };
    check_eq(weft_go_with(&opt, o->fn, NULL, 0), 0);
    for (;;)
        weft_yield();
}

static int run_overflow(void *arg)
{
    weft_options opt = { .procs = 3 };

    return weft_run(&opt, main_overflow, arg);
}

static void assert_says(const struct child *c, const char *words)
{
    cr_assert_not_null(strstr(c->text, words), "%s is not in: %s", words, c->text);
}

static void assert_reported(const struct overflow *o)
{
    struct child *c = child_run(run_overflow, (void *)o);

    cr_assert_eq(c->signal, SIGSEGV, "signal %d status %d: %s", c->signal, c->status, c->text);
    cr_assert_eq(child_lines(c), 1, "%s", c->text);
    assert_says(c, o->words);
    assert_says(c, "weft: stack overflow in coroutine ");
    assert_says(c, "set a larger stack_size (");
    assert_says(c, o->option);
    assert_says(c,
                o->fn ? "\n    started at main_overflow+0x" : "\n    started at run_overflow+0x");
    assert_says(c, o->innermost);
    assert_says(c, " entry+0x"); /* the outermost frame: the walk came to the end, */
    assert_says(c, "\n    depth: ");
    cr_assert_null(strstr(c->text, "at least"), "%s", c->text); /* and knew it */
}

#define OWN "in weft_go_options\n"
#define ALL "in weft_options\n"

static const struct overflow rows[] = {
    { NULL, 0, NULL, " (main): its stack has 262144 bytes", "#7 endless+0x", ALL },
    { "glutton", 16384, overflows, " (glutton): its stack has 16384 bytes", "#7 endless+0x", OWN },
    { NULL, 16385, overflows, " (unnamed): its stack has 32768 bytes", "#7 endless+0x", OWN },
    { "heir", 0, overflows, " (heir): its stack has 262144 bytes", "#7 endless+0x", ALL },
    { "broad", 16384, overflows_at_once, " (broad): its stack has 16384 bytes", "#0 wide+0x", OWN },
    { "wanderer", 65536, overflows_elsewhere, " (wanderer): its stack has 65536 bytes",
      "#7 endless+0x", OWN },
    { "loader", 65536, overflows_in_the_loader, " (loader): its stack has 65536 bytes",
      "#7 endless+0x", OWN },
    { "blocker", 65536, overflows_blocking, " (blocker): its stack has 65536 bytes",
      "#7 endless+0x", OWN },
};

Test(stack, an_overflow_is_reported_by_name_and_size, .timeout = 120)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_reported(&rows[i]);
}

Test(stack, the_same_with_guards_by_mprotect, .timeout = 120)
{
    setenv("WEFT_GUARD", "mprotect", 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_reported(&rows[i]);
}

static int main_hog(void *arg)
{
    weft_go_options opt = { .name = "passed on", .stack_size = 64 << 10 };

    check_eq(weft_go_with(&opt, overflows, NULL, 0), 0);
    for (;;) /* on one P: the other runs on a thread that sysmon made, once it takes the P */
        atomic_signal_fence(memory_order_seq_cst);
    return arg != NULL;
}

static int run_hog(void *arg)
{
    weft_options opt = { .procs = 1 };

    return weft_run(&opt, main_hog, arg);
}

Test(stack, an_overflow_on_a_thread_that_sysmon_made)
{
    struct child *c = child_run(run_hog, NULL);

    cr_assert_eq(c->signal, SIGSEGV, "signal %d status %d: %s", c->signal, c->status, c->text);
    assert_says(c, "(passed on): its stack has 65536 bytes");
}

static atomic_int twins;

/* Both run, on two threads, when they begin to overflow. */
static void overflows_with_its_twin(void *arg)
{
    weft_time give_up = weft_after(30 * WEFT_S);

    (void)arg;
    atomic_fetch_add(&twins, 1);
    while (atomic_load(&twins) < 2)
        if (weft_now() > give_up)
            _exit(77);
    endless(0);
}

static int main_two_overflows(void *arg)
{
    weft_go_options opt = { .name = "twin", .stack_size = 64 << 10 };

    (void)arg;
    for (int i = 0; i < 2; i++)
        check_eq(weft_go_with(&opt, overflows_with_its_twin, NULL, 0), 0);
    while (!weft_cancelled())
        weft_yield();
    return 0;
}

static int run_two_overflows(void *arg)
{
    weft_options opt = { .procs = 4 };

    return weft_run(&opt, main_two_overflows, arg);
}

Test(stack, of_two_at_once_one_is_reported_in_full)
{
    for (int i = 0; i < 20; i++) {
        struct child *c = child_run(run_two_overflows, NULL);
        cr_assert_eq(c->signal, SIGSEGV, "signal %d status %d: %s", c->signal, c->status, c->text);
        cr_assert_eq(child_lines(c), 1, "%s", c->text);
        assert_says(c, "(twin): its stack has 65536 bytes");
        assert_says(c, "\n    depth: ");
    }
}

static void overflows_a_little(void *arg)
{
    use((uintptr_t)&arg - (16 << 10) - 2000);
}

Test(stack, where_there_are_only_canaries_the_end_of_the_coroutine_tells)
{
    static const struct overflow o = { "nibbler", 16384, overflows_a_little, "", "", "" };

    setenv("WEFT_GUARD", "canary", 1);
    assert_dies_saying(child_run(run_overflow, (void *)&o),
                       "(nibbler) overflowed its stack of 16384 bytes");
}

/* ---- Other faults are not weft's ------------------------------------------------------------------------- */

static int wild(void *arg)
{
    (void)arg;
    *(volatile int *)8 = 1;
    return 0;
}

static int run_wild(void *arg)
{
    return weft_run(NULL, wild, arg);
}

static void own_handler(int signo)
{
    (void)signo;
    _exit(42);
}

static void *endless_thread(void *arg)
{
    return endless(0) ? arg : NULL;
}

static int main_thread_overflow(void *arg)
{
    pthread_t thread;

    check_eq(pthread_create(&thread, NULL, endless_thread, arg), 0);
    while (!weft_cancelled())
        weft_yield();
    return 0;
}

static int run_thread_overflow(void *arg)
{
    return weft_run(NULL, main_thread_overflow, arg);
}

Test(stack, a_threads_own_overflow_is_no_coroutines)
{
    struct child *c = child_run(run_thread_overflow, NULL);

    cr_assert_null(strstr(c->text, "overflow in coroutine"), "%s", c->text);
    cr_assert(ASAN || c->signal == SIGSEGV, "signal %d: %s", c->signal, c->text);
}

static int run_wild_handled(void *arg)
{
    signal(SIGSEGV, own_handler);
    return run_wild(arg);
}

Test(stack, another_fault_ends_as_it_would_without_weft)
{
    struct child *c = child_run(run_wild, NULL);

    if (!ASAN) {
        cr_assert_eq(c->signal, SIGSEGV);
        cr_assert_eq(c->n, 0, "%s", c->text);
    }
    c = child_run(run_wild_handled, NULL);
    cr_assert_eq(c->status, 42);
    cr_assert_null(strstr(c->text, "overflow in coroutine"), "%s", c->text);
}

/* ---- No more to be had -------------------------------------------------------------------------------------- */

static void parks(void *arg)
{
    (void)arg;
    check_eq(weft_sleep(WEFT_FOREVER), -ECANCELED);
}

static int until_none_are_left(void *arg)
{
    int  r;
    long n = 0;

    while ((r = weft_go(parks, arg, 0)) == 0)
        n++;
    check_eq(r, -ENOMEM);
    check(n > 500);
    check_eq(weft_go(parks, arg, 0), -ENOMEM);
    check_eq(weft_sleep(WEFT_MS), 0); /* all the rest works */
    return 0;
}

static int little_room(void *arg)
{
    weft_options opt = { .procs = 2 };

    setrlimit(RLIMIT_AS, &(struct rlimit){ 1 << 30, 1 << 30 });
    for (int i = 0; i < 3; i++)
        check_eq(weft_run(&opt, until_none_are_left, arg), 0);
    return 0;
}

Test(stack, no_address_space_for_another_is_enomem, .timeout = 60)
{
    if (ASAN)
        cr_skip("a sanitizer's own memory is more than the limit");
    struct child *c = child_run(little_room, NULL);
    cr_assert_eq(c->status, 0, "signal %d: %s", c->signal, c->text);
    cr_assert_eq(c->n, 0, "%s", c->text);
}
