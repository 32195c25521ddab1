/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/accept_test.c - accepting by many, out of descriptors, with deadlines and cancellation.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- Many accepters ------------------------------------------------------------------ */

static weft_listener l;
static char          address[WEFT_ADDR_MAX];
static int           accepted;

static void accept_until_closed(void *arg)
{
    weft_conn c;
    char      byte;
    int       r;
    (void)arg;
    while ((r = weft_listener_accept(l, &c)) == 0) {
        __sync_fetch_and_add(&accepted, 1);
        CHECK_IS(weft_conn_read(c, &byte, 1), 1);
        CHECK_IS(weft_conn_write(c, &byte, 1), 1);
        CHECK_IS(weft_conn_close(c), 0);
    }
    CHECK_IS(r, -EBADF);
}

static void dial_and_ask(void *arg)
{
    char      byte = (char)(intptr_t)arg, answer;
    weft_conn c = dial(address);
    CHECK_IS(weft_conn_write(c, &byte, 1), 1);
    CHECK_IS(weft_conn_read(c, &answer, 1), 1);
    CHECK_IS(answer, byte);
    CHECK_IS(weft_conn_close(c), 0);
}

static int concurrent(void *arg)
{
    weft_waitgroup dialers = { { 0 } }, accepters = { { 0 } };
    long           n = test_scaled(400);
    int            before = open_fds();
    (void)arg;
    accepted = 0;
    l = listen_loopback(address);
    for (int i = 0; i < 8; i++)
        spawn(&accepters, accept_until_closed, NULL);
    for (intptr_t i = 0; i < n; i++)
        spawn(&dialers, dial_and_ask, (void *)i);
    join(&dialers);
    CHECK_IS(weft_listener_close(l), 0);
    join(&accepters);
    CHECK_IS(accepted, n);
    CHECK_IS(open_fds(), before);
    return 0;
}

Test(accept, each_connection_is_accepted_once)
{
    run_on_1_2_4(concurrent);
}

/* ---- Deadlines and cancellation ------------------------------------------------------ */

static int accept_cancelled(void *arg)
{
    weft_conn c = { 4 };
    (void)arg;
    CHECK_IS(weft_listener_accept(l, &c), -ECANCELED);
    CHECK_IS(c.id, 4);
    return 0;
}

static void accept_late(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_listener_accept(l, &c), -ETIMEDOUT);
}

static int endings(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    weft_group     g = WEFT_GROUP_INIT;
    weft_conn      c, s;
    int            first;
    (void)arg;
    l = listen_loopback(address);
    CHECK_IS(weft_group_go(&g, accept_cancelled, NULL, 0), 0); /* accepting, then in the queue */
    CHECK_IS(weft_group_go(&g, accept_cancelled, NULL, 0), 0);
    let_others_park();
    weft_group_cancel(&g);
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    for (int i = 0; i < 3; i++)
        spawn(&wg, accept_late, NULL);
    let_others_park();
    CHECK_IS(weft_listener_set_deadline(l, weft_after(5 * WEFT_MS)), 0);
    join(&wg);
    c = dial(address);
    CHECK_IS(weft_listener_accept(l, &s), -ETIMEDOUT); /* untried, though one waits there */
    CHECK_IS(weft_listener_set_deadline(l, WEFT_FOREVER), 0);
    CHECK_IS(weft_listener_accept(l, &s), 0);
    CHECK_IS(weft_conn_close(c), 0);
    CHECK_IS(weft_listener_close(l), 0);
    return 0;
}

Test(accept, ends_by_cancellation_and_deadline_in_the_call_and_in_the_queue)
{
    run_on_1_2_4(endings);
}

/* ---- Out of descriptors: lesson 35 --------------------------------------------------- */

enum { CLIENTS = 12 };

static int clients[CLIENTS];

static void set_limit(rlim_t n)
{
    struct rlimit rl;
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &rl), 0);
    rl.rlim_cur = n;
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &rl), 0);
}

static bool all_are_used(int below)
{
    for (int fd = 0; fd < below; fd++)
        if (fd_kind_of(fd) == FD_GONE || fd_kind_of(fd) == FD_LOOK)
            return false;
    return true;
}

/* Clients that the kernel has connected, and not a descriptor free below the limit. */
static void connect_and_use_up(void)
{
    weft_addr a;
    CHECK_IS(weft_addr_parse(&a, address), 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(clients[i] >= 0);
        CHECK_IS(connect(clients[i], (struct sockaddr *)&a.sa, a.len), 0);
    }
    int next = dup(0);
    CHECK(next >= 0);
    close(next);
    set_limit((rlim_t)next);
    while (!all_are_used(next)) /* what sysmon had open becomes free */
        (void)!dup(0);
    CHECK_IS(dup(0), -1);
}

static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * WEFT_S + ts.tv_nsec;
}

static void accept_closed(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_listener_accept(l, &c), -EBADF);
}

static void accept_one(void *arg)
{
    CHECK_IS(weft_listener_accept(l, arg), 0);
}

static int starve(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    weft_group     g = WEFT_GROUP_INIT;
    weft_conn      got[CLIENTS], spare, c;
    int            first, fds[2];
    (void)arg;
    l = listen_loopback(address);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&spare, fds[0]), 0);
    connect_and_use_up();

    int64_t cpu = cpu_ns();
    CHECK_IS(weft_listener_set_deadline(l, weft_after(300 * WEFT_MS)), 0);
    CHECK_IS(weft_listener_accept(l, &c), -ETIMEDOUT); /* it waits, for as long as it may */
    CHECK(cpu_ns() - cpu < 100 * WEFT_MS);             /* and burns nothing */
    CHECK_IS(weft_listener_set_deadline(l, WEFT_FOREVER), 0);

    CHECK_IS(weft_group_go(&g, accept_cancelled, NULL, 0), 0);
    let_others_park();
    weft_group_cancel(&g);
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);

    spawn(&wg, accept_late, NULL); /* a deadline that comes while it waits */
    let_others_park();
    CHECK_IS(weft_listener_set_deadline(l, WEFT_NOWAIT), 0);
    join(&wg);
    CHECK_IS(weft_listener_set_deadline(l, WEFT_FOREVER), 0);

    spawn(&wg, accept_one, &got[0]);
    let_others_park();
    CHECK_IS(weft_conn_close(spare), 0); /* one is free: at once, not when its pause ends */
    join(&wg);
    set_limit(1000);
    for (int i = 1; i < CLIENTS; i++) /* no connection was shed */
        CHECK_IS(weft_listener_accept(l, &got[i]), 0);
    for (int i = 0; i < CLIENTS; i++) {
        char byte = 0;
        CHECK_IS(write(clients[i], "x", 1), 1);
        CHECK_IS(weft_conn_read(got[i], &byte, 1), 1);
        CHECK_IS(byte, 'x');
        CHECK_IS(weft_conn_close(got[i]), 0);
        close(clients[i]);
    }

    connect_and_use_up();
    spawn(&wg, accept_closed, NULL); /* a close that comes while it waits */
    let_others_park();
    CHECK_IS(weft_listener_close(l), 0);
    join(&wg);
    set_limit(1000);
    return 0;
}

Test(accept, out_of_descriptors_it_waits_and_sheds_nothing)
{
    run_on_1_2_4(starve);
}

/* Every close frees one for the next: the queue is worked off though there is never one spare. */
static int trickle(void *arg)
{
    weft_conn c[2], spare;
    int       fds[2];
    (void)arg;
    l = listen_loopback(address);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&spare, fds[0]), 0);
    connect_and_use_up();
    CHECK_IS(weft_conn_close(spare), 0);
    CHECK_IS(weft_listener_accept(l, &c[0]), 0);
    for (int i = 1; i < CLIENTS; i++) {
        weft_waitgroup wg = { { 0 } };
        spawn(&wg, accept_one, &c[i % 2]);
        let_others_park();
        CHECK_IS(weft_conn_close(c[(i - 1) % 2]), 0);
        join(&wg);
    }
    set_limit(1000);
    return 0;
}

Test(accept, goes_on_as_descriptors_become_free)
{
    run_on_1_2_4(trickle);
}

static volatile int order;

static void accept_first(void *arg)
{
    CHECK_IS(weft_listener_accept(l, arg), 0);
    CHECK_IS(order++, 0);
}

static void sleep_meanwhile(void *arg)
{
    (void)arg;
    CHECK_IS(weft_sleep(300 * WEFT_MS), 0);
    CHECK_IS(order++, 1);
}

/* A pause of most of a second has begun when a descriptor becomes free. */
static int cut_short(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    weft_conn      c, spare;
    int            fds[2];
    (void)arg;
    order = 0;
    l = listen_loopback(address);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&spare, fds[0]), 0);
    connect_and_use_up();
    spawn(&wg, accept_first, &c);
    CHECK_IS(weft_sleep(680 * WEFT_MS), 0); /* 5 + 10 + ... + 320 ms, and 640 have begun */
    CHECK_IS(weft_conn_close(spare), 0);
    spawn(&wg, sleep_meanwhile, NULL);
    join(&wg);
    set_limit(1000);
    return 0;
}

Test(accept, a_free_descriptor_cuts_the_pause_short)
{
    run_on(1, cut_short, NULL);
}
