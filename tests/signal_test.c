/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/signal_test.c - weft_signal_notify: arrivals as values, to every channel that asked, dropped
 * where there is no room; and the former action, which comes back.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <sys/time.h>

#include "support/coro.h"

TestSuite(signal, .timeout = 120);

static void raise_to_process(int signo)
{
    check_eq(kill(getpid(), signo), 0);
}

static int received(weft_chan *c)
{
    int signo = 0, r = weft_chan_recv_until(c, &signo, weft_after(PATIENCE));

    check_eq(r, 0);
    return signo;
}

/* ---- Delivery ---------------------------------------------------------------------------------------- */

static int several(void *arg)
{
    const int  other = SIGRTMIN + 3;
    weft_chan *c[3];

    for (int i = 0; i < 3; i++) {
        c[i] = weft_chan_new(sizeof(int), 1);
        check_eq(weft_signal_notify(c[i], SIGUSR1), 0);
        check_eq(weft_signal_notify(c[i], SIGUSR1), 0); /* twice is once */
    }
    check_eq(weft_signal_notify(c[1], other), 0);
    for (int lap = 0; lap < 20; lap++) {
        raise_to_process(SIGUSR1);
        for (int i = 0; i < 3; i++)
            check_eq(received(c[i]), SIGUSR1);
        raise_to_process(other);
        check_eq(received(c[1]), other);
        for (int i = 0; i < 3; i++)
            check_eq(weft_chan_len(c[i]), 0);
    }
    check_eq(weft_signal_stop(c[0]), 0);
    raise_to_process(SIGUSR1); /* the others still get it */
    check_eq(received(c[1]), SIGUSR1);
    check_eq(received(c[2]), SIGUSR1);
    check_eq(weft_chan_len(c[0]), 0);
    for (int i = 0; i < 3; i++) {
        check_eq(weft_signal_stop(c[i]), i ? 0 : -EINVAL);
        weft_chan_unref(c[i]);
    }
    return arg != NULL;
}

Test(signal, reaches_every_channel_that_asked)
{
    run_on_1_2_8(several, NULL);
}

/* A full or closed channel gets nothing, and keeps nobody waiting. */
static int dropped(void *arg)
{
    weft_chan *full = weft_chan_new(sizeof(int), 1), *shut = weft_chan_new(sizeof(int), 1);
    weft_chan *unbuffered = weft_chan_new(sizeof(int), 0), *c = weft_chan_new(sizeof(int), 1);
    int        v = -3;

    check_eq(weft_chan_send(full, &v), 0);
    check_eq(weft_chan_close(shut), 0);
    check_eq(weft_signal_notify(c, SIGUSR2), 0);
    check_eq(weft_signal_notify(full, SIGUSR2), 0); /* the later one is served first */
    check_eq(weft_signal_notify(shut, SIGUSR2), 0);
    check_eq(weft_signal_notify(unbuffered, SIGUSR2), 0);
    for (int i = 0; i < 10; i++) {
        raise_to_process(SIGUSR2);
        check_eq(received(c), SIGUSR2);
        check_eq(weft_signal_notify(c, SIGUSR2), 0); /* all of that delivery is over */
        check_eq(weft_chan_len(full), 1);
    }
    check(weft_chan_recv(full, &v) == 0 && v == -3);
    check_eq(weft_chan_recv_until(unbuffered, &v, WEFT_NOWAIT), -ETIMEDOUT);
    raise_to_process(SIGUSR2); /* there is room again */
    check_eq(received(full), SIGUSR2);
    weft_chan *all[] = { full, shut, unbuffered, c };
    for (int i = 0; i < 4; i++) {
        check_eq(weft_signal_stop(all[i]), 0);
        weft_chan_unref(all[i]);
    }
    return arg != NULL;
}

Test(signal, is_dropped_where_there_is_no_room)
{
    run_on_1_2_8(dropped, NULL);
}

/* All has been idle for long: what looks for signals sleeps as well. */
static int after_idle(void *arg)
{
    weft_chan       *c = weft_chan_new(sizeof(int), 1);
    struct itimerval later = { .it_value = { .tv_usec = 300 * 1000 } };

    check_eq(weft_signal_notify(c, SIGALRM), 0);
    check_eq(setitimer(ITIMER_REAL, &later, NULL), 0);
    check_eq(received(c), SIGALRM);
    check_eq(weft_signal_stop(c), 0);
    weft_chan_unref(c);
    return arg != NULL;
}

Test(signal, wakes_an_idle_process)
{
    run_on_1_2_8(after_idle, NULL);
}

/* The channel is held: the notifier may drop its own reference. */
static int held(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 1);

    check_eq(weft_signal_notify(c, SIGUSR1), 0);
    weft_chan_unref(c);
    raise_to_process(SIGUSR1);
    check_eq(received(c), SIGUSR1);
    check_eq(weft_signal_stop(c), 0);
    return arg != NULL;
}

Test(signal, holds_a_reference)
{
    run_on_1_2_8(held, NULL);
}

/* ---- The action ------------------------------------------------------------------------------------------ */

static volatile sig_atomic_t handled;

static void own_handler(int signo)
{
    (void)signo;
    handled++;
}

static bool is_own(int signo)
{
    struct sigaction now;

    check_eq(sigaction(signo, NULL, &now), 0);
    return now.sa_handler == own_handler && (now.sa_flags & SA_NODEFER);
}

static int take_over(void *arg)
{
    weft_chan *a = weft_chan_new(sizeof(int), 1), *b = weft_chan_new(sizeof(int), 1);

    check_eq(weft_signal_notify(a, SIGUSR1), 0);
    check_eq(weft_signal_notify(b, SIGUSR1), 0);
    raise_to_process(SIGUSR1);
    check_eq(received(a), SIGUSR1);
    check_eq(handled, 0);
    check_eq(weft_signal_stop(a), 0);
    check(!is_own(SIGUSR1)); /* b still wants it */
    if (arg) {
        check_eq(weft_signal_stop(b), 0);
        check(is_own(SIGUSR1));
        check_eq(raise(SIGUSR1), 0);
        check_eq(handled, 1);
    } /* else the runtime ends with it */
    weft_chan_unref(a);
    weft_chan_unref(b);
    return 0;
}

Test(signal, the_former_action_comes_back)
{
    struct sigaction own = { .sa_handler = own_handler, .sa_flags = SA_NODEFER };

    check_eq(sigaction(SIGUSR1, &own, NULL), 0);
    for (int i = 0; i < COUNT(proc_counts); i++)
        for (int stop = 0; stop < 2; stop++) {
            handled = 0;
            run_on(proc_counts[i], take_over, stop ? &own : NULL);
            check(is_own(SIGUSR1));
        }
}

/* ---- What it can never accept --------------------------------------------------------------------------------- */

static int refused(void *arg)
{
    static const int never[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
                                 SIGILL,  0,       -1,      65,     1 << 20 };
    weft_chan       *c = weft_chan_new(sizeof(int), 1), *wide = weft_chan_new(sizeof(long), 1);

    for (int i = 0; i < COUNT(never); i++)
        check_eq(weft_signal_notify(c, never[i]), -EINVAL);
    check_eq(weft_signal_notify(wide, SIGUSR1), -EINVAL);
    check_eq(weft_signal_notify(NULL, SIGUSR1), -EINVAL);
    check(weft_signal_stop(c) < 0);
    check_eq(weft_signal_notify(c, SIGRTMAX), 0);
    raise_to_process(SIGRTMAX);
    check_eq(received(c), SIGRTMAX);
    check_eq(weft_signal_stop(c), 0);
    weft_chan_unref(c);
    weft_chan_unref(wide);
    return arg != NULL;
}

Test(signal, what_it_can_never_accept)
{
    run_on(1, refused, NULL);
}

/* ---- A storm ------------------------------------------------------------------------------------------------------- */

static atomic_bool over;

static void *shoot(void *arg)
{
    for (int i = 0; !atomic_load(&over); i++) {
        raise_to_process(i % 2 ? SIGUSR1 : SIGUSR2);
        sched_yield();
    }
    return arg;
}

static void come_and_go(void *arg)
{
    weft_chan *steady = arg;

    for (long i = test_scaled(300); i > 0; i--) {
        weft_chan *c = weft_chan_new(sizeof(int), (size_t)i % 2);
        int        mine = i % 4 < 2 ? SIGUSR1 : SIGUSR2;
        check_eq(weft_signal_notify(c, mine), 0);
        check_eq(received(c), mine);
        check_eq(weft_signal_stop(c), 0);
        weft_chan_unref(c);
        if (weft_chan_recv_until(steady, NULL, WEFT_NOWAIT) == 0)
            weft_yield();
    }
}

static int storm(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    weft_chan     *steady = weft_chan_new(sizeof(int), 1);
    pthread_t      thread;

    check_eq(weft_signal_notify(steady, SIGUSR1), 0);
    atomic_store(&over, false);
    check_eq(pthread_create(&thread, NULL, shoot, NULL), 0);
    for (int i = 0; i < 4; i++)
        spawn(&wg, come_and_go, steady);
    join(&wg);
    atomic_store(&over, true);
    weft_block_enter();
    check_eq(pthread_join(thread, NULL), 0);
    weft_block_leave();
    check_eq(weft_signal_stop(steady), 0);
    weft_chan_unref(steady);
    return arg != NULL;
}

Test(signal, channels_come_and_go_in_a_storm)
{
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    run_on_1_2_8(storm, NULL);
}

static int notify_outside(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 1);

    return weft_signal_notify(c, SIGUSR1) + (arg != NULL);
}

Test(signal, outside_a_coroutine_ends_the_process)
{
    dies(notify_outside, NULL, false, "weft_signal_notify " NOWHERE);
}
