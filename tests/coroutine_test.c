/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/coroutine_test.c - starting coroutines: from everywhere, with arguments copied, in great
 * numbers; what each carries with it (number, errno, rounding mode); fork and exec from one.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "support/child.h"
#include "support/procs.h"

static atomic_long ran, parked;

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran, 1);
}

/* ---- Arguments ----------------------------------------------------------------------------------- */

enum { ARG_MOST = 2048 };

static weft_waitgroup copies;
static size_t         size_now; /* of the argument of the one coroutine that runs */
static void          *passed;

static void look_at_copy(void *arg)
{
    const unsigned char *bytes = arg;

    if (size_now == 0) {
        check(arg == passed);
    } else {
        check(arg != passed && (uintptr_t)arg % _Alignof(max_align_t) == 0);
        for (size_t i = 0; i < size_now; i++)
            check_eq(bytes[i], (unsigned char)(i * 7 + size_now));
        weft_yield(); /* it stays, and belongs to the coroutine */
        memset(arg, 0xff, size_now);
    }
    weft_waitgroup_done(&copies);
}

static int copy_each_size(void *arg)
{
    static unsigned char bytes[ARG_MOST];

    passed = bytes;
    for (size_t size = 0; size <= ARG_MOST; size += size < 300 ? 1 : 19) {
        size_now = size;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)(i * 7 + size);
        weft_waitgroup_add(&copies, 1);
        check_eq(weft_go(look_at_copy, bytes, size), 0);
        memset(bytes, 0, sizeof bytes); /* copied before weft_go returned */
        check_eq(weft_waitgroup_wait(&copies, WEFT_FOREVER), 0);
    }
    return arg != NULL;
}

Test(coroutine, an_argument_is_copied_whole_and_aligned)
{
    run_on_all(copy_each_size, NULL);
}

static int bad_starts(void *arg)
{
    static char            bytes[ARG_MOST + 1];
    static weft_go_options big = { .stack_size = (size_t)1 << 40 }, small = { .stack_size = 100 };
    static weft_group      g;
    int (*group_fn)(void *) = NULL;

    check_eq(weft_go(count, bytes, ARG_MOST), 0);
    check_eq(weft_go(count, bytes, ARG_MOST + 1), -EINVAL);
    check_eq(weft_go(count, bytes, SIZE_MAX), -EINVAL);
    check_eq(weft_go(count, NULL, 1), -EINVAL);
    check_eq(weft_go(NULL, NULL, 0), -EINVAL);
    check_eq(weft_group_go(&g, group_fn, NULL, 0), -EINVAL);
    check_eq(weft_group_wait(&g, WEFT_FOREVER, NULL), 0);
    check_eq(weft_go_with(&big, count, NULL, 0), -EINVAL);
    check_eq(weft_go_with(&small, count, NULL, 0), -EINVAL);
    check_eq(weft_go_with(NULL, count, NULL, 0), 0);
    return arg != NULL;
}

Test(coroutine, what_cannot_be_started_is_refused_and_never_runs)
{
    run_on(2, bad_starts, NULL);
    cr_assert_eq(ran, 2);
    cr_assert_eq(weft_go(count, NULL, 0), -ESRCH);
}

/* ---- Numbers ----------------------------------------------------------------------------------------- */

enum { IDS = 20000 };

static uint64_t    ids[IDS];
static atomic_long n_ids;

static void note_id(void *arg)
{
    uint64_t id = weft_id();

    weft_yield();
    check_eq(weft_id(), id);
    ids[atomic_fetch_add(&n_ids, 1)] = id;
    weft_waitgroup_done(arg);
}

static int many_ids(void *arg)
{
    static weft_waitgroup wg;

    (void)arg;
    for (int i = 0; i < IDS / 10; i++) {
        weft_waitgroup_add(&wg, 1);
        check_eq(weft_go(note_id, &wg, 0), 0);
    }
    return weft_waitgroup_wait(&wg, WEFT_FOREVER);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

Test(coroutine, a_number_is_never_used_again_not_even_by_the_next_run)
{
    for (int i = 0; i < 10; i++)
        run_on(1 + i % 4, many_ids, NULL);
    cr_assert_eq(n_ids, IDS);
    qsort(ids, IDS, sizeof ids[0], by_value);
    cr_assert_gt(ids[0], 0);
    for (int i = 1; i < IDS; i++)
        cr_assert_neq(ids[i], ids[i - 1]);
    cr_assert_eq(weft_id(), 0);
}

/* ---- Very many: lesson 40, no limit of mappings is met ---------------------------------------------- */

static weft_waitgroup gate, done;

static void park(void *arg)
{
    (void)arg;
    atomic_fetch_add(&parked, 1);
    check_eq(weft_waitgroup_wait(&gate, WEFT_FOREVER), 0);
    atomic_fetch_add(&ran, 1);
    weft_waitgroup_done(&done);
}

static int park_many(void *arg)
{
    long       n = *(long *)arg;
    weft_stats s;

    weft_waitgroup_add(&gate, 1);
    weft_waitgroup_add(&done, n);
    for (long i = 0; i < n; i++)
        check_eq(weft_go(park, NULL, 0), 0);
    await_yielding(atomic_load(&parked) == n);
    weft_stats_read(&s);
    check(s.coroutines == (uint64_t)n + 1 && s.started == (uint64_t)n + 1);
    check_eq(atomic_load(&ran), 0);
    weft_waitgroup_done(&gate);
    check_eq(weft_waitgroup_wait(&done, WEFT_FOREVER), 0);
    check_eq(atomic_load(&ran), n);
    return 0;
}

Test(coroutine, lesson_40_more_are_parked_and_woken_than_a_process_has_mappings, .timeout = 60)
{
    long n = test_scaled(100000); /* a guard each by mprotect ends at 32,753 */

    weft_options opt = { .procs = 2, .stack_size = 16 * 1024 };
    cr_assert_eq(weft_run(&opt, park_many, &n), 0);
}

/* ---- From other threads --------------------------------------------------------------------------- */

enum { THREADS = 3, EACH = 3000 };

static void *start_many(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        weft_waitgroup_add(arg, 1);
        check_eq(weft_go(note_id, arg, 0), 0);
        check_eq(weft_id(), 0);
    }
    return NULL;
}

static int started_by_threads(void *arg)
{
    static weft_waitgroup wg;
    pthread_t             threads[THREADS];

    atomic_store(&n_ids, 0);
    for (int i = 0; i < THREADS; i++)
        check_eq(pthread_create(&threads[i], NULL, start_many, &wg), 0);
    weft_block_enter();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    weft_block_leave();
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    check_eq(atomic_load(&n_ids), THREADS * EACH);
    return arg != NULL;
}

Test(coroutine, any_thread_may_start_them, .timeout = 60)
{
    run_on_all(started_by_threads, NULL);
}

/* ---- What goes along ------------------------------------------------------------------------------- */

static atomic_long migrations;

/* Never inlined: the address of errno must be asked for anew after each switch. */
static __attribute__((noinline)) void set_errno(int value)
{
    errno = value;
}

static __attribute__((noinline)) int get_errno(void)
{
    return errno;
}

static __attribute__((noinline)) long thread_now(void)
{
    return syscall(SYS_gettid);
}

/* The processor's rounding mode; elsewhere nothing is looked at. */
#if defined(__x86_64__)
#define SET_ROUNDING(mode) _MM_SET_ROUNDING_MODE(mode)
#define ROUNDING()         _MM_GET_ROUNDING_MODE()
#define ROUND_UP           _MM_ROUND_UP
#define ROUND_DOWN         _MM_ROUND_DOWN
#define ROUND_NEAREST      _MM_ROUND_NEAREST
#else
enum { ROUND_UP, ROUND_DOWN = 0, ROUND_NEAREST = 0 };
#define SET_ROUNDING(mode) ((void)(mode))
#define ROUNDING()         ROUND_UP
#endif

static void carrier(void *arg)
{
    int      mine = 1000 + (int)(weft_id() % 1000);
    unsigned round = mine % 2 ? ROUND_UP : ROUND_DOWN;
    uint64_t id = weft_id();
    long     thread = thread_now();

    SET_ROUNDING(round);
    for (int i = 0; i < 300; i++) {
        set_errno(mine + i);
        if (i % 3 == 0)
            check_eq(weft_sleep(1), 0);
        else
            weft_yield();
        check_eq(get_errno(), mine + i);
        check_eq(ROUNDING(), round);
        check_eq(weft_id(), id);
        if (thread_now() != thread)
            atomic_fetch_add(&migrations, 1);
        thread = thread_now();
    }
    weft_waitgroup_done(arg);
}

static int carriers(void *arg)
{
    static weft_waitgroup wg;

    weft_waitgroup_add(&wg, 40);
    for (int i = 0; i < 40; i++)
        check_eq(weft_go(carrier, &wg, 0), 0);
    check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    check_eq(ROUNDING(), ROUND_NEAREST);
    return arg != NULL;
}

/* Thread-local addresses across a switch: lesson 28.  The current coroutine, and errno with it,
 * are those of the thread it runs on now, however it got there. */
Test(coroutine, lesson_28_number_errno_and_rounding_go_along_to_other_threads, .timeout = 60)
{
    run_on_all(carriers, NULL);
    cr_assert_gt(migrations, 0);
}

/* What a coroutine begins with is its own: not that of who starts it, nor of who had its stack before. */
#if defined(__x86_64__)
static unsigned control_words(void)
{
    unsigned short x87;

    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (_mm_getcsr() & ~_MM_EXCEPT_MASK) << 16 | x87;
}

static void round_up(void)
{
    unsigned short x87 = 0x037f | 0x0800;

    __asm__ volatile("fldcw %0" : : "m"(x87));
    _mm_setcsr(_mm_getcsr() | _MM_ROUND_UP | _MM_FLUSH_ZERO_ON | _MM_EXCEPT_INEXACT);
}
#else
static unsigned control_words(void)
{
    return 0;
}

static void round_up(void)
{
}
#endif

static unsigned control_words_at_first;

static void ends_rounding_up(void *arg)
{
    check_eq(control_words(), control_words_at_first);
    round_up();
    weft_waitgroup_done(arg);
}

static int starts_rounding_up(void *arg)
{
    static weft_waitgroup wg;

    check_eq(control_words(), control_words_at_first);
    round_up();
    for (int i = 0; i < 3; i++) { /* on new stacks, then on those of the ones before */
        weft_waitgroup_add(&wg, 200);
        for (int k = 0; k < 200; k++)
            check_eq(weft_go(ends_rounding_up, &wg, 0), 0);
        check_eq(weft_waitgroup_wait(&wg, WEFT_FOREVER), 0);
    }
    return arg != NULL;
}

Test(coroutine, begins_with_the_default_floating_point_environment)
{
    control_words_at_first = control_words();
    run_on_all(starts_rounding_up, NULL);
}

/* ---- fork and exec --------------------------------------------------------------------------------- */

static int spawn_shell(void *arg)
{
    int   status;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", (const char *)arg, (char *)NULL);
        _exit(127);
    }
    check(pid > 0);
    weft_block_enter();
    check_eq(waitpid(pid, &status, 0), pid);
    weft_block_leave();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 1000 + WEXITSTATUS(status);
}

static int write_to_none(void *arg)
{
    int fds[2];

    check_eq(pipe(fds), 0);
    close(fds[0]);
    check_eq(write(fds[1], "x", 1), -1);
    check_eq(errno, EPIPE);
    close(fds[1]);
    return arg != NULL;
}

/* Here the signal is ignored, a program that is started gets its default back. */
Test(coroutine, a_started_program_has_the_default_of_sigpipe)
{
    weft_options opt = { .procs = 2 };

    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(weft_run(&opt, write_to_none, NULL), 0);
    cr_assert_eq(weft_run(&opt, spawn_shell, "kill -PIPE $$; exit 3"), SIGPIPE);
    cr_assert_eq(weft_run(&opt, spawn_shell, "exit 7"), 1007);
    signal(SIGPIPE, SIG_IGN); /* a choice of the program's own goes down to its children */
    cr_assert_eq(weft_run(&opt, spawn_shell, "kill -PIPE $$; exit 3"), 1003);
    cr_assert_eq(weft_run(&opt, write_to_none, NULL), 0);
}
