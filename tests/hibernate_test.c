/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/hibernate_test.c - weft_hibernate: who hibernates and who does not, that memory is given
 * back and every byte of a stack is as it was after each kind of wake-up, and what a dump shows.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "support/child.h"
#include "support/coro.h"
#include "support/procs.h"

#if defined(__SANITIZE_ADDRESS__)
enum { ASAN = 1 }; /* frames are larger, and full of what was there before */
#else
enum { ASAN = 0 };
#endif

enum { PAGE = 4096, SOON = 1 /* ns: after one tick of the coarse clock */ };

static weft_waitgroup all;

static weft_stats stats(void)
{
    weft_stats s;

    weft_stats_read(&s);
    return s;
}

static void await_hibernated(uint64_t n)
{
    weft_time give_up = weft_after(PATIENCE);

    while (stats().hibernated != n) {
        check(weft_now() < give_up);
        check_eq(weft_sleep(WEFT_MS), 0);
    }
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* One that reads a byte of a pipe, with a stack of its own depth. */
struct reader {
    weft_conn conn;
    int       to;    /* the pipe's other end */
    int       bytes; /* of a buffer on its stack, all of them filled */
    int       zeros; /* of another, all zero */
    ssize_t   result;
    char     *low, *high; /* of its stack, about */
};

static struct reader reader_make(void)
{
    struct reader r = { .result = 1 };
    int           fds[2];

    check_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    check_eq(weft_conn_adopt(&r.conn, fds[0]), 0);
    r.to = fds[1];
    return r;
}

static void reader_end(struct reader *r)
{
    if (r->result != -EBADF)
        check_eq(weft_conn_close(r->conn), 0);
    close(r->to);
}

static unsigned char pattern(const struct reader *r, int i)
{
    return (unsigned char)((uintptr_t)r / 64 + (unsigned)i * 7 + 1);
}

/* Its frame has all that must be as it was. */
static __attribute__((noinline)) void read_amid_locals(struct reader *r)
{
    volatile unsigned char  filled[r->bytes + 1], zero[r->zeros + 1];
    volatile unsigned char *at = filled;
    volatile double         number = r->bytes + 0.5;
    char                    byte;

    for (int i = 0; i < r->bytes; i++)
        filled[i] = pattern(r, i);
    for (int i = 0; i < r->zeros; i++)
        zero[i] = 0;
    r->result = weft_conn_read(r->conn, &byte, 1);
    check(at == filled && number == r->bytes + 0.5);
    for (int i = 0; i < r->bytes; i++)
        check_eq(filled[i], pattern(r, i));
    for (int i = 0; i < r->zeros; i++)
        check_eq(zero[i], 0);
    check(r->result != 1 || byte == 'x');
}

static __attribute__((noinline)) void touch_below(int pages)
{
    volatile char frame[PAGE];

    frame[0] = (char)pages;
    if (pages > 0)
        touch_below(pages - 1);
    frame[1] = frame[0];
}

static void reads(void *arg)
{
    struct reader *r = *(struct reader **)arg;

    r->high = (char *)(((uintptr_t)arg + PAGE) / PAGE * PAGE);
    r->low = r->high - 12 * PAGE;
    touch_below(8);
    check_eq(weft_hibernate(SOON), 0);
    read_amid_locals(r);
    weft_waitgroup_done(&all);
}

static void start_reading(struct reader *r)
{
    weft_waitgroup_add(&all, 1);
    check_eq(weft_go(reads, &r, sizeof r), 0);
}

static void join_all(void)
{
    check_eq(weft_waitgroup_wait(&all, weft_after(PATIENCE)), 0);
}

static int resident(const struct reader *r)
{
    unsigned char there[12];
    int           n = 0;

    check_eq(mincore(r->low, (size_t)(r->high - r->low), there), 0);
    for (size_t i = 0; i < sizeof there; i++)
        n += there[i] & 1;
    return n;
}

/* ---- Each wake-up --------------------------------------------------------------------------- */

enum { READERS = 70 }; /* more than a batch */

static struct reader readers[READERS];
static weft_group    group;

static int reads_in_group(void *arg)
{
    reads(arg);
    return 0;
}

static void wake_by_event(void)
{
    for (int i = 0; i < READERS; i++)
        check_eq(write(readers[i].to, "x", 1), 1);
}

static void wake_by_deadline(void)
{
    for (int i = 0; i < READERS; i++)
        check_eq(weft_conn_set_read_deadline(readers[i].conn, weft_after(WEFT_MS)), 0);
}

static void wake_by_cancel(void)
{
    weft_group_cancel(&group);
}

static void wake_by_close(void)
{
    for (int i = 0; i < READERS; i++)
        check_eq(weft_conn_close(readers[i].conn), 0);
}

static void all_wake(void (*wake)(void), ssize_t result)
{
    group = (weft_group)WEFT_GROUP_INIT;
    weft_waitgroup_add(&all, READERS);
    for (int i = 0; i < READERS; i++) {
        struct reader *r = &readers[i];
        *r = reader_make();
        r->bytes = i * 13;
        check_eq(weft_group_go(&group, reads_in_group, &r, sizeof r), 0);
    }
    await_hibernated(READERS);
    wake();
    join_all();
    check_eq(weft_group_wait(&group, weft_after(PATIENCE), NULL), 0);
    check_eq(stats().hibernated, 0);
    for (int i = 0; i < READERS; i++) {
        check_eq(readers[i].result, result);
        reader_end(&readers[i]);
    }
}

static int wakes(void *arg)
{
    all_wake(wake_by_event, 1);
    all_wake(wake_by_deadline, -ETIMEDOUT);
    all_wake(wake_by_cancel, -ECANCELED);
    all_wake(wake_by_close, -EBADF);
    check_eq(stats().hibernations, 4 * READERS);
    return arg != NULL;
}

Test(hibernate, each_byte_is_as_it_was_whatever_wakes_it)
{
    run_on_1_2_8(wakes, NULL);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static int one_of_depth(int bytes, int zeros)
{
    struct reader r = reader_make();

    r.bytes = bytes;
    r.zeros = zeros;
    start_reading(&r);
    await_hibernated(1);
    int pages = resident(&r);
    check_eq(write(r.to, "x", 1), 1);
    join_all();
    check_eq(r.result, 1);
    check(resident(&r) > 0);
    reader_end(&r);
    return pages;
}

static int depths(void *arg)
{
    check_eq(one_of_depth(0, 0), 0);
    check_eq(one_of_depth(ASAN ? 100 : 1000, 0), 0);
    check_eq(one_of_depth(0, ASAN ? 1000 : 5000), 0); /* zeros are not kept */
    int live = one_of_depth(2500, 0);                 /* more than pays: what lies below it goes */
    check(live == 1 || live == 2);
    live = one_of_depth(9000, 9000);
    check(live >= 4 && live <= 6);
    return arg != NULL;
}

Test(hibernate, gives_back_all_pages_or_those_below_a_deep_stack)
{
    run_on_1_2_8(depths, NULL);
}

static int of_class(void *arg)
{
    check_eq(one_of_depth(300, 0), 0);
    return arg != NULL;
}

Test(hibernate, works_on_stacks_of_any_size)
{
    for (size_t size = 64 << 10; size <= 4 << 20; size *= 4) {
        weft_options opt = { .procs = 2, .stack_size = size };
        cr_assert_eq(weft_run(&opt, of_class, NULL), 0);
    }
}

/* ---- Who does, and who does not ------------------------------------------------------------- */

static struct reader  refuser, pinned;
static weft_waitgroup others;
static weft_chan     *never;

static void reads_awake(void *arg)
{
    char byte;

    (void)arg;
    check_eq(weft_hibernate(SOON), 0);
    check_eq(weft_hibernate(0), 10 * WEFT_MS); /* rounded up */
    check_eq(weft_conn_read(refuser.conn, &byte, 1), 1);
    weft_waitgroup_done(&others);
}

static void reads_pinned(void *arg)
{
    char byte;

    (void)arg;
    weft_hibernate(SOON);
    weft_pin();
    check_eq(weft_conn_read(pinned.conn, &byte, 1), 1);
    weft_unpin();
    weft_waitgroup_done(&others);
}

static void receives(void *arg)
{
    (void)arg;
    weft_hibernate(SOON);
    check_eq(weft_chan_recv(never, NULL), -EPIPE);
    weft_waitgroup_done(&others);
}

static void waits_for_fd(void *arg)
{
    weft_hibernate(SOON);
    check_eq(weft_fd_wait(*(int *)arg, 1 /* POLLIN */, WEFT_FOREVER), 1);
    weft_waitgroup_done(&others);
}

static void accepts(void *arg)
{
    weft_conn c;

    weft_hibernate(SOON);
    check_eq(weft_listener_accept(*(weft_listener *)arg, &c), 0);
    check_eq(weft_hibernate(0), 10 * WEFT_MS);
    check_eq(weft_conn_close(c), 0);
    weft_waitgroup_done(&others);
}

/* Reads, with the same allowance, after an accept. */
static void accepts_and_reads(void *arg)
{
    weft_conn c;
    char      byte;

    weft_hibernate(SOON);
    check_eq(weft_listener_accept(*(weft_listener *)arg, &c), 0);
    check_eq(weft_conn_read(c, &byte, 1), 1);
    check_eq(weft_conn_close(c), 0);
    weft_waitgroup_done(&others);
}

static void start_others(int *fd)
{
    weft_waitgroup_add(&others, 4);
    check_eq(weft_go(reads_awake, NULL, 0), 0);
    check_eq(weft_go(reads_pinned, NULL, 0), 0);
    check_eq(weft_go(receives, NULL, 0), 0);
    check_eq(weft_go(waits_for_fd, fd, sizeof *fd), 0);
}

/* Rounds pass over the others again and again, as those of the readers show. */
static int who(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l;
    weft_conn     c;
    int           fds[2];

    check_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    never = weft_chan_new(0, 0);
    refuser = reader_make();
    pinned = reader_make();
    start_others(&fds[0]);
    check_eq(weft_listen(&l, "tcp", "127.0.0.1:0"), 0);
    check_eq(weft_listener_address(l, address), 0);
    weft_waitgroup_add(&others, 1);
    check_eq(weft_go(accepts, &l, sizeof l), 0);
    for (int i = 0; i < 5; i++)
        check_eq(one_of_depth(10, 0), 0);
    check_eq(stats().hibernations, 5);
    check_eq(write(refuser.to, "x", 1), 1);
    check_eq(write(pinned.to, "x", 1), 1);
    check_eq(write(fds[1], "x", 1), 1);
    check_eq(weft_dial(&c, "tcp", address, weft_after(PATIENCE)), 0);
    weft_chan_close(never);
    join(&others);
    reader_end(&refuser);
    reader_end(&pinned);
    weft_chan_unref(never);
    check_eq(weft_conn_close(c), 0);
    check_eq(weft_listener_close(l), 0);
    close(fds[0]);
    close(fds[1]);
    return arg != NULL;
}

Test(hibernate, only_those_that_allow_it_and_wait_to_read)
{
    run_on_1_2_8(who, NULL);
}

static void waits(void *arg)
{
    (void)arg;
    check_eq(weft_chan_recv(never, NULL), -EPIPE);
    weft_waitgroup_done(&others);
}

/* So many that later ones are found elsewhere, and not on the way to those before. */
static void start_far_apart(void)
{
    never = weft_chan_new(0, 0);
    for (int i = 0; i < 300; i++) {
        weft_waitgroup_add(&others, 1);
        check_eq(weft_go(waits, NULL, 0), 0);
    }
}

static int reading_then(void *arg)
{
    char          address[WEFT_ADDR_MAX];
    weft_listener l;
    weft_conn     c;

    check_eq(weft_listen(&l, "tcp", "127.0.0.1:0"), 0);
    check_eq(weft_listener_address(l, address), 0);
    weft_waitgroup_add(&others, 1);
    check_eq(weft_go(accepts_and_reads, &l, sizeof l), 0);
    start_far_apart();
    for (int i = 0; i < 3; i++)
        check_eq(one_of_depth(10, 0), 0); /* rounds pass while it accepts */
    check_eq(weft_dial(&c, "tcp", address, weft_after(PATIENCE)), 0);
    await_hibernated(1);
    check_eq(weft_conn_write(c, "x", 1), 1);
    weft_chan_close(never);
    join(&others);
    weft_chan_unref(never);
    check_eq(weft_conn_close(c), 0);
    check_eq(weft_listener_close(l), 0);
    return arg != NULL;
}

Test(hibernate, one_that_accepted_and_then_reads)
{
    run_on_1_2_8(reading_then, NULL);
}

static void is_new(void *arg)
{
    (void)arg;
    check_eq(weft_hibernate(INT64_MAX), 0);
    check(weft_hibernate(25 * WEFT_MS) > INT64_C(200) * 24 * 3600 * WEFT_S);
    check_eq(weft_hibernate(-1), 30 * WEFT_MS);
    check_eq(weft_hibernate(WEFT_S), 0);
    weft_waitgroup_done(&all);
}

static int not_inherited(void *arg)
{
    weft_hibernate(WEFT_S);
    for (int i = 0; i < 10; i++) { /* each in the G of the one before */
        weft_waitgroup_add(&all, 1);
        check_eq(weft_go(is_new, NULL, 0), 0);
        join_all();
    }
    check_eq(weft_hibernate(0), WEFT_S);
    return arg != NULL;
}

Test(hibernate, returns_what_it_was_and_is_not_inherited)
{
    run_on_1_2_8(not_inherited, NULL);
}

static int nowhere(void *arg)
{
    weft_hibernate(WEFT_S);
    return arg != NULL;
}

Test(hibernate, is_for_coroutines)
{
    assert_dies_saying(child_run(nowhere, NULL), "weft_hibernate " NOWHERE);
}

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
    check_eq(write(r.to, "x", 1), 1);
    join_all();
    reader_end(&r);
    return arg != NULL;
}

Test(hibernate, the_environment_allows_it_for_all)
{
    setenv("WEFT_HIBERNATE", "20", 1);
    run_on_1_2_8(for_all, NULL);
}

static int run_nothing(void *arg)
{
    setenv("WEFT_HIBERNATE", arg, 1);
    return weft_run(NULL, nowhere, NULL) == -EINVAL ? 0 : 1;
}

Test(hibernate, a_malformed_environment_is_refused)
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

Test(hibernate, locked_memory_stays_as_it_is)
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
    check_eq(write(r.to, "x", 1), 1);
    join_all();
    reader_end(&r);
    return arg != NULL;
}

Test(hibernate, stacks_that_are_measured_stay)
{
    setenv("WEFT_STACK_REPORT", "1", 1);
    run_on_1_2_8(measured, NULL);
}

/* ---- Its end, and who looks at it ----------------------------------------------------------- */

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

Test(hibernate, the_end_of_the_runtime_wakes_and_cancels_them)
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
    check_eq(write(r.to, "x", 1), 1);
    join_all();
    reader_end(&r);
    return arg != NULL;
}

Test(hibernate, a_dump_shows_its_frames_and_does_not_wake_it)
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
    check_eq(write(r.to, "x", 1), 1);
    join_all();
    check_eq(weft_sleep(10 * WEFT_S), 0); /* it ends, and with it the process */
    return arg != NULL;
}

static int with_guard(void *arg)
{
    setenv("WEFT_GUARD", arg, 1);
    run_on(2, overflow_after, NULL);
    return 0;
}

Test(hibernate, an_overflow_afterwards_is_noticed_by_each_kind_of_guard)
{
    static char *const kinds[] = { "madvise", "mprotect", "canary" };

    for (int i = 0; i < COUNT(kinds); i++) {
        const struct child *c = child_run(with_guard, kinds[i]);
        cr_assert_not_null(strstr(c->text, "(sleeper)"), "%s: %s", kinds[i], c->text);
        cr_assert_not_null(strstr(c->text, "65536 bytes"), "%s: %s", kinds[i], c->text);
    }
}
