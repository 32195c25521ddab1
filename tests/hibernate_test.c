/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/hibernate_test.c - weft_hibernate: every byte of a stack is as it was after each kind of
 * wake-up, memory is given back, and who hibernates and who does not.
 */
#include <criterion/criterion.h>

#include "support/child.h"
#include "support/reader.h"

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
