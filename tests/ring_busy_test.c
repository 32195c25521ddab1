/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/ring_busy_test.c - what a netpoller that receives by itself must not hold up while its
 * thread, or the kernel, is in other code: a connection, the end that a close tells, a port.
 *
 * The same holds of the other netpoller, so all runs on both (see CMakeLists.txt).
 */
#include "net_support.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOG_MOST (20 * WEFT_S) /* far more than anything takes: it was held up for good */

static pair p;

/* ---- Its thread is in other code --------------------------------------------------------- */

static volatile int got_it;

static void note_byte(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), 1);
    __atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
}

static int64_t thread_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_S + t.tv_nsec;
}

/* Not a call of weft's until the byte was read, by somebody else. */
static void compute(void)
{
    for (int64_t end = thread_clock() + HOG_MOST; thread_clock() < end;)
        if (__atomic_load_n(&got_it, __ATOMIC_SEQ_CST))
            return;
}

static void block(void)
{
    const struct timespec pause = { .tv_nsec = 50 * WEFT_MS };
    for (int i = 0; i < HOG_MOST / pause.tv_nsec && !__atomic_load_n(&got_it, __ATOMIC_SEQ_CST);
         i++)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* In a call that no signal ends: a child lives on this thread's stack, without its sockets. */
static void hang(void)
{
    pid_t child = vfork();
    if (child == 0) {
        close_range(STDERR_FILENO + 1, ~0u, 0);
        block();
        _exit(0);
    }
    CHECK(child > 0);
    CHECK_IS(waitpid(child, NULL, 0), child);
}

/* What it had asked of its ring it has submitted itself by then. */
static void hang_as_told(void)
{
    weft_block_enter();
    hang();
    weft_block_leave();
}

static struct timespec rest; /* before the byte is written, the connection closed */

static void *write_from_outside(void *arg)
{
    nanosleep(&rest, NULL);
    CHECK_IS(send(*(int *)arg, "!", 1, MSG_NOSIGNAL), 1);
    return NULL;
}

static int in_other_code(void *arg)
{
    void (*const *other)(void) = arg;
    for (int i = rest.tv_nsec ? 3 : 0; i < 5; i++) {
        weft_waitgroup wg = { { 0 } };
        pthread_t      thread;
        p = connect_pair();
        int fd = weft_conn_fd(p.a);
        __atomic_store_n(&got_it, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, note_byte, NULL);
        let_others_park(); /* its receive is with this thread's ring, perhaps not yet submitted */
        CHECK_IS(pthread_create(&thread, NULL, write_from_outside, &fd), 0);
        (*other)();
        CHECK(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST));
        join(&wg);
        CHECK_IS(pthread_join(thread, NULL), 0);
        close_pair(p);
    }
    return 0;
}

Test(ring_busy, a_thread_that_computes_holds_up_nobody, .timeout = 60)
{
    static void (*other)(void) = compute;
    run_on(1, in_other_code, &other);
    run_on(4, in_other_code, &other);
}

Test(ring_busy, nor_does_one_that_blocks, .timeout = 60)
{
    static void (*other)(void) = block;
    run_on(1, in_other_code, &other);
    run_on(4, in_other_code, &other);
}

Test(ring_busy, nor_does_one_that_cannot_be_interrupted, .timeout = 60)
{
    static void (*other)(void) = hang;
    run_on(1, in_other_code, &other);
    run_on(4, in_other_code, &other);
    other = hang_as_told;
    run_on(1, in_other_code, &other);
    run_on(4, in_other_code, &other);
}

static void go_on(void *arg)
{
    (void)arg;
    for (int64_t end = thread_clock() + HOG_MOST; thread_clock() < end; weft_yield())
        if (__atomic_load_n(&got_it, __ATOMIC_SEQ_CST))
            return;
}

static void hang_beside_work(void)
{
    weft_waitgroup wg = { { 0 } };
    spawn(&wg, go_on, NULL);
    hang_as_told();
    join(&wg);
}

/* While others go on, so that the runtime never rests. */
Test(ring_busy, nor_does_it_while_others_work, .timeout = 60)
{
    static void (*other)(void) = hang_beside_work;
    rest.tv_nsec = 50 * WEFT_MS;
    run_on(2, in_other_code, &other);
    run_on(4, in_other_code, &other);
}

/* By then the whole runtime sleeps, also who could have noticed. */
Test(ring_busy, nor_does_it_when_all_has_come_to_rest, .timeout = 60)
{
    static void (*other)(void) = hang;
    rest.tv_nsec = 400 * WEFT_MS;
    run_on(1, in_other_code, &other);
    other = hang_as_told;
    run_on(4, in_other_code, &other);
}

/* ---- Its thread ends --------------------------------------------------------------------- */

enum { THREADS = 6 };

static pair           pairs[THREADS];
static weft_waitgroup asked;

static int threads(void)
{
    int  n = 0;
    DIR *d = opendir("/proc/self/task");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Its read is left with the ring of a thread of its own. */
static void ask_on_own_thread(void *arg)
{
    weft_conn *c = arg;
    char       byte = 0;
    weft_pin();
    CHECK_IS(weft_conn_set_read_deadline(*c, weft_after(WEFT_MS)), 0);
    CHECK_IS(weft_conn_read(*c, &byte, 1), -ETIMEDOUT);
    weft_waitgroup_done(&asked);
    join(&asked);
    weft_unpin();
}

static int threads_end(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    weft_waitgroup_add(&asked, THREADS);
    for (int i = 0; i < THREADS; i++) {
        pairs[i] = connect_pair();
        spawn(&wg, ask_on_own_thread, &pairs[i].b);
    }
    join(&wg);
    int most = threads();
    for (int64_t end = weft_now() + PATIENCE; threads() > most - THREADS / 2;) {
        CHECK(weft_now() < end);
        CHECK_IS(weft_sleep(50 * WEFT_MS), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        char byte = 0;
        CHECK_IS(weft_conn_write(pairs[i].a, "!", 1), 1);
        CHECK_IS(weft_conn_set_read_deadline(pairs[i].b, weft_after(PATIENCE)), 0);
        CHECK_IS(weft_conn_read(pairs[i].b, &byte, 1), 1);
        close_pair(pairs[i]);
    }
    return 0;
}

Test(ring_busy, a_thread_that_ends_takes_nothing_along, .timeout = 60)
{
    if (!on_uring())
        cr_skip_test("what waits belongs to no thread");
    run_on(1, threads_end, NULL);
}

/* ---- Close ------------------------------------------------------------------------------ */

static void end_seen(void *arg)
{
    char byte = 0;
    CHECK_IS(weft_conn_read(p.a, &byte, 1), arg ? -ECONNRESET : 0);
    __atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
}

static void read_until_closed(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_read(p.b, &byte, 1), -EBADF);
}

static void close_other_end(void *arg)
{
    CHECK_IS(weft_sleep(rest.tv_nsec), 0);
    CHECK_IS(arg ? weft_conn_abort(p.b) : weft_conn_close(p.b), 0);
}

static void read_in_vain(void *arg)
{
    char byte = 0;
    (void)arg;
    CHECK_IS(weft_conn_set_read_deadline(p.b, weft_after(WEFT_MS)), 0);
    CHECK_IS(weft_conn_read(p.b, &byte, 1), -ETIMEDOUT);
}

static void (*busy)(void) = compute;
static void (*reader)(void *arg) = read_until_closed;

/* The closer runs on another thread than the one whose ring has the receive, which is busy until
 * the peer has read the end. */
static int closed_from_elsewhere(void *arg)
{
    for (int i = rest.tv_nsec ? 8 : 0; i < 10; i++) {
        weft_waitgroup wg = { { 0 } };
        p = connect_pair();
        __atomic_store_n(&got_it, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, reader, NULL);
        spawn(&wg, end_seen, arg);
        let_others_park();
        if (reader != read_until_closed)
            CHECK_IS(weft_sleep(5 * WEFT_MS), 0);
        spawn(&wg, close_other_end, arg);
        busy();
        CHECK(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST));
        join(&wg);
        CHECK_IS(weft_conn_close(p.a), 0);
    }
    return 0;
}

Test(ring_busy, the_peer_reads_the_end_though_the_thread_computes, .timeout = 60)
{
    run_on(2, closed_from_elsewhere, NULL);
    run_on(2, closed_from_elsewhere, "abort");
}

Test(ring_busy, nor_need_it_come_back_for_that, .timeout = 60)
{
    busy = hang_as_told;
    rest.tv_nsec = 200 * WEFT_MS; /* all rests by then */
    run_on(2, closed_from_elsewhere, NULL);
    run_on(2, closed_from_elsewhere, "abort");
    reader = read_in_vain; /* its request is out still, and nobody will ask anew */
    run_on(2, closed_from_elsewhere, NULL);
}

static weft_listener listening;
static char          listening_at[WEFT_ADDR_MAX];

static void accept_until_closed(void *arg)
{
    weft_conn c;
    (void)arg;
    CHECK_IS(weft_listener_accept(listening, &c), -EBADF);
}

static void listen_again(void *arg)
{
    weft_listener next;
    (void)arg;
    CHECK_IS(weft_listener_close(listening), 0);
    CHECK_IS(weft_listen(&next, "tcp", listening_at), 0);
    __atomic_store_n(&got_it, 1, __ATOMIC_SEQ_CST);
    CHECK_IS(weft_listener_close(next), 0);
}

/* The same of a listener, and with its close the port is free at once. */
static int listener_closed_from_elsewhere(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        weft_waitgroup wg = { { 0 } };
        listening = listen_apart(listening_at);
        __atomic_store_n(&got_it, 0, __ATOMIC_SEQ_CST);
        spawn(&wg, accept_until_closed, NULL);
        let_others_park();
        spawn(&wg, listen_again, NULL);
        compute();
        CHECK(__atomic_load_n(&got_it, __ATOMIC_SEQ_CST));
        join(&wg);
    }
    return 0;
}

Test(ring_busy, a_port_is_free_though_the_thread_that_accepts_computes, .timeout = 60)
{
    run_on(2, listener_closed_from_elsewhere, NULL);
}

/* Of the only one there is; asked for it, weft would no longer accept by a ring. */
static int number_of_listener(void)
{
    for (int fd = 0; fd < 1000; fd++) {
        int       is = 0;
        socklen_t len = sizeof is;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &len) == 0 && is)
            return fd;
    }
    return -1;
}

/* A kernel that works on a request lets go of the socket some time after it has told of the
 * request's end: a duplicate holds it here, for longer. */
static int listener_held_by_the_kernel(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    listening = listen_apart(listening_at);
    int held = dup(number_of_listener());
    spawn(&wg, accept_until_closed, NULL);
    let_others_park();
    listen_again(NULL);
    join(&wg);
    return close(held);
}

Test(ring_busy, a_port_is_free_though_the_kernel_is_not_through_with_it)
{
    const char *netpoll = getenv("WEFT_NETPOLL");
    if (!netpoll || strcmp(netpoll, "io_uring") != 0)
        cr_skip_test("epoll's kernel holds nothing");
    run_on(1, listener_held_by_the_kernel, NULL);
}
