/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/conn_wait_test.c - weft_conn_wait: what a library that does its own I/O is told, by the
 * level, whatever it and weft's own calls have read and written; turns, deadlines, each end.
 */
#include "net_support.h"
#include "scale.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BOTH = POLLIN | POLLOUT };

/* The library: its own calls, on the descriptor. */
static ssize_t take(weft_conn c, size_t n)
{
    char    buf[4096];
    ssize_t r = recv(weft_conn_fd(c), buf, n, MSG_DONTWAIT);
    return r < 0 ? -errno : r;
}

static size_t stuff(weft_conn c)
{
    static char chunk[64 << 10];
    size_t      sum = 0;
    ssize_t     r;
    while ((r = send(weft_conn_fd(c), chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
        sum += (size_t)r;
    CHECK_IS(errno, EAGAIN);
    return sum;
}

static void put(weft_conn c, const char *text)
{
    CHECK_IS(weft_conn_write(c, text, strlen(text)), strlen(text));
}

static void get(weft_conn c, size_t n)
{
    char buf[4096];
    CHECK_IS(weft_conn_read_full(c, buf, n, NULL), n);
}

/* A wait in a coroutine of its own; on one P it has returned or waits after start. */
typedef struct waiter {
    weft_conn  c;
    int        events, result;
    bool       done;
    weft_group group;
} waiter;

static int wait_entry(void *arg)
{
    waiter *w = *(waiter **)arg;
    w->result = weft_conn_wait(w->c, w->events);
    w->done = true;
    return 0;
}

static void start(waiter *w, weft_conn c, int events)
{
    *w = (waiter){ .c = c, .events = events, .group = WEFT_GROUP_INIT };
    CHECK_IS(weft_group_go(&w->group, wait_entry, &w, sizeof w), 0);
    let_others_park();
}

static int finish(waiter *w)
{
    int first;
    CHECK_IS(weft_group_wait(&w->group, weft_after(PATIENCE), &first), 0);
    CHECK(w->done);
    return w->result;
}

static void start_parked(waiter *w, weft_conn c, int events)
{
    start(w, c, events);
    CHECK(!w->done);
}

/* It parks, and says so when it is cancelled. */
static bool parks(weft_conn c, int events)
{
    waiter w;
    start(&w, c, events);
    bool parked = !w.done;
    weft_group_cancel(&w.group);
    int r = finish(&w);
    if (parked)
        CHECK_IS(r, -ECANCELED);
    return parked;
}

/* The library waits for n bytes and takes them. */
static void take_all(weft_conn c, size_t n)
{
    for (ssize_t r; n > 0; n -= (size_t)r) {
        CHECK_IS(weft_conn_wait(c, POLLIN), POLLIN);
        r = take(c, n);
        CHECK(r > 0);
    }
}

/* ---- What is ready -------------------------------------------------------------------- */

static int levels(void *arg)
{
    pair p = connect_pair();
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLOUT);
    CHECK(parks(p.a, POLLIN));
    put(p.b, "0123456789");
    for (int i = 0; i < 3; i++) /* nobody has read it */
        CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN);
    CHECK_IS(weft_conn_wait(p.a, BOTH), BOTH);
    CHECK_IS(take(p.a, 4), 4);
    CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN); /* the rest, at once */
    take_all(p.a, 6);
    CHECK(parks(p.a, POLLIN));
    put(p.b, "0123456789");
    take_all(p.a, 10);
    CHECK_IS(take(p.a, 100), -EAGAIN);
    CHECK(parks(p.a, POLLIN));
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, tells_the_level_and_not_the_edge)
{
    run_on(1, levels, NULL);
}

/* An edge for bytes that are gone by then is not taken for others, nor makes a wait spin. */
static int edges(void *arg)
{
    pair   p = connect_pair();
    waiter w;
    for (int round = 0; round < 3; round++) {
        start_parked(&w, p.a, POLLIN);
        put(p.b, "01");
        CHECK_IS(finish(&w), POLLIN);
        CHECK_IS(take(p.a, 1), 1);
        put(p.b, "2");
        take_all(p.a, 2);
        CHECK_IS(weft_sleep(WEFT_MS), 0); /* now the edges have been told */
        start_parked(&w, p.a, POLLIN);
        CHECK_IS(weft_sleep(WEFT_MS), 0);
        CHECK(!w.done);
        put(p.b, "3");
        CHECK_IS(finish(&w), POLLIN);
        take_all(p.a, 1);
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, stale_edges_end_no_wait)
{
    run_on(1, edges, NULL);
}

static int room(void *arg)
{
    pair   p = connect_pair();
    waiter w;
    char   buf[4096];
    size_t n = stuff(p.a);
    start_parked(&w, p.a, POLLOUT);
    for (ssize_t r; n > 0; n -= (size_t)r) {
        r = weft_conn_read(p.b, buf, sizeof buf);
        CHECK(r > 0);
    }
    CHECK_IS(finish(&w), POLLOUT);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLOUT); /* nobody has used it */
    CHECK_IS(send(weft_conn_fd(p.a), buf, 1, MSG_DONTWAIT), 1);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT); /* and there is more: at once */
    stuff(p.a);
    CHECK(parks(p.a, BOTH));
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, tells_when_there_is_room)
{
    run_on(1, room, NULL);
}

static int hang_ups(void *arg)
{
    int    fds[2];
    waiter w;
    pair   p = connect_pair();
    start_parked(&w, p.a, POLLIN);
    CHECK_IS(weft_conn_close_write(p.b), 0); /* half: what is asked for is still told apart */
    CHECK_IS(finish(&w), POLLIN);
    stuff(p.a);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLIN);
    start_parked(&w, p.a, POLLOUT);
    CHECK_IS(weft_conn_abort(p.b), 0);
    CHECK_IS(finish(&w), POLLOUT);
    CHECK_IS(weft_conn_wait(p.a, BOTH), BOTH);
    CHECK_IS(weft_conn_close(p.a), 0);
    CHECK_IS(pipe(fds), 0);
    CHECK_IS(weft_conn_adopt(&p.a, fds[0]), 0);
    start_parked(&w, p.a, BOTH);
    close(fds[1]);
    CHECK_IS(finish(&w), BOTH);
    CHECK_IS(weft_conn_close(p.a), 0);
    return arg != NULL;
}

Test(conn_wait, errors_and_hang_ups_report_all_requested)
{
    run_on(1, hang_ups, NULL);
}

static int others(void *arg)
{
    int       fds[2];
    weft_conn c;
    waiter    w;
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_IS(weft_conn_adopt(&c, fds[0]), 0);
    start_parked(&w, c, POLLIN);
    CHECK_IS(write(fds[1], "01", 2), 2);
    CHECK_IS(finish(&w), POLLIN);
    CHECK_IS(take(c, 1), 1);
    CHECK_IS(weft_conn_wait(c, BOTH), BOTH);
    get(c, 1);
    CHECK(parks(c, POLLIN));
    CHECK_IS(weft_conn_close(c), 0);
    close(fds[1]);
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK_IS(weft_conn_adopt(&c, file), 0);
    CHECK_IS(weft_conn_wait(c, BOTH), BOTH); /* a file is always ready */
    CHECK_IS(weft_conn_close(c), 0);
    return arg != NULL;
}

Test(conn_wait, socketpairs_and_files)
{
    run_on(1, others, NULL);
}

/* ---- weft's own calls beside the library's --------------------------------------------- */

/* After it weft's next read parks without trying: its last one was short. */
static void read_short(pair p)
{
    char buf[64];
    put(p.b, "abc");
    CHECK_IS(weft_conn_read(p.a, buf, sizeof buf), 3);
}

static int reads_after(void *arg)
{
    pair   p = connect_pair();
    waiter w;
    char   buf[64];
    for (int parked = 0; parked < 2; parked++) {
        read_short(p);
        if (parked)
            start_parked(&w, p.a, POLLIN); /* this consumes the edge; else it is left */
        put(p.b, "0123456789");
        CHECK_IS(parked ? finish(&w) : weft_conn_wait(p.a, POLLIN), POLLIN);
        CHECK_IS(take(p.a, 4), 4);
        CHECK_IS(weft_conn_set_read_deadline(p.a, weft_after(PATIENCE)), 0);
        CHECK_IS(weft_conn_read(p.a, buf, sizeof buf), 6);
        CHECK(memcmp(buf, "456789", 6) == 0);
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_read_gets_what_the_library_left)
{
    run_on(1, reads_after, NULL);
}

static void read_later(void *arg)
{
    char buf[64];
    CHECK_IS(weft_conn_read(*(weft_conn *)arg, buf, sizeof buf), 4);
    CHECK(memcmp(buf, "next", 4) == 0);
}

static int reads_nothing(void *arg)
{
    pair p = connect_pair();
    for (int round = 0; round < 4; round++) {
        weft_waitgroup wg = { { 0 } };
        read_short(p);
        put(p.b, "0123456789");
        take_all(p.a, 10);
        if (round % 2)
            CHECK_IS(weft_sleep(WEFT_MS), 0); /* the edge has been told */
        spawn(&wg, read_later, &p.a);
        let_others_park();
        put(p.b, "next");
        join(&wg);
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_read_waits_for_more_where_the_library_took_all)
{
    run_on(1, reads_nothing, NULL);
}

/* weft's read took a part; what is left has no edge to come. */
static int library_after(void *arg)
{
    pair p = connect_pair();
    for (int round = 0; round < 2; round++) {
        put(p.b, "0123456789");
        get(p.a, 4);
        take_all(p.a, 6);
        CHECK(parks(p.a, POLLIN));
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, the_library_gets_what_a_read_left)
{
    run_on(1, library_after, NULL);
}

struct bulk {
    weft_conn c;
    size_t    n;
};

static void write_bulk(void *arg)
{
    static char        data[1 << 20];
    const struct bulk *b = arg;
    CHECK_IS(weft_conn_write(b->c, data, b->n), b->n);
}

static int writes_after(void *arg)
{
    pair           p = connect_pair();
    weft_waitgroup wg = { { 0 } };
    struct bulk    b = { p.a, 1 << 20 };
    size_t         n = stuff(p.a) + b.n;
    CHECK(parks(p.a, POLLOUT));
    spawn(&wg, write_bulk, &b); /* it fails to write, parks, and is woken by the edge */
    for (size_t part; n > 0; n -= part)
        get(p.b, part = n < 4096 ? n : 4096);
    join(&wg);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_write_waits_for_room_after_the_library_took_it)
{
    run_on_1_2_4(writes_after);
}

/* ---- Turns ---------------------------------------------------------------------------- */

static void read_ten(void *arg)
{
    get(*(weft_conn *)arg, 10);
}

static int read_turn(void *arg)
{
    pair           p = connect_pair();
    weft_waitgroup wg = { { 0 } };
    waiter         w, v;
    spawn(&wg, read_ten, &p.a);
    let_others_park();
    start_parked(&w, p.a, POLLIN); /* behind a call that reads on */
    put(p.b, "01234");
    CHECK_IS(weft_sleep(WEFT_MS), 0);
    CHECK(!w.done);
    put(p.b, "56789x");
    join(&wg);
    CHECK_IS(finish(&w), POLLIN);
    take_all(p.a, 1);
    start_parked(&w, p.a, POLLIN);
    spawn(&wg, read_ten, &p.a); /* and it has the turn: a read comes after it */
    let_others_park();
    start_parked(&v, p.a, POLLIN);
    put(p.b, "0123456789");
    CHECK_IS(finish(&w), POLLIN);
    join(&wg);
    CHECK(!v.done);
    put(p.b, "x");
    CHECK_IS(finish(&v), POLLIN);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, takes_its_turn_to_read)
{
    run_on(1, read_turn, NULL);
}

/* A call that holds one turn for long holds up no wait for the other side. */
static int beside(void *arg)
{
    pair           p = connect_pair();
    weft_waitgroup wg = { { 0 } };
    waiter         w;
    size_t         n;
    spawn(&wg, read_ten, &p.a);
    let_others_park();
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLOUT); /* beside a reader that waits */
    n = stuff(p.a);
    start_parked(&w, p.a, BOTH);
    for (size_t part, left = n; left > 0; left -= part)
        get(p.b, part = left < 4096 ? left : 4096);
    CHECK_IS(finish(&w), POLLOUT); /* woken by the side whose turn it has */
    put(p.b, "0123456789");
    join(&wg);
    struct bulk b = { p.a, 1 << 20 };
    n = stuff(p.a) + b.n;
    spawn(&wg, write_bulk, &b);
    let_others_park();
    start_parked(&w, p.a, BOTH); /* beside a writer that waits until the peer reads, */
    put(p.b, "x");               /* which first wants to be read */
    CHECK_IS(finish(&w), POLLIN);
    take_all(p.a, 1);
    start_parked(&w, p.a, BOTH);
    for (size_t part; n > 0; n -= part)
        get(p.b, part = n < 4096 ? n : 4096);
    CHECK_IS(finish(&w), POLLOUT); /* once it got the turn */
    join(&wg);
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLOUT);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, one_side_ready_is_told_while_another_has_the_other_turn)
{
    run_on(1, beside, NULL);
}

/* Behind both, a reader and a writer. */
static int behind_both(void *arg)
{
    pair           p = connect_pair();
    weft_waitgroup wg = { { 0 } };
    struct bulk    b = { p.a, 1 << 20 };
    waiter         w;
    size_t         n = stuff(p.a) + b.n;
    spawn(&wg, write_bulk, &b);
    spawn(&wg, read_ten, &p.a);
    let_others_park();
    start_parked(&w, p.a, BOTH);
    if (arg)
        put(p.b, "0123456789x");
    for (size_t part; !arg && n > 0; n -= part)
        get(p.b, part = n < 4096 ? n : 4096);
    CHECK_IS(finish(&w), arg ? POLLIN : POLLOUT);
    if (!arg)
        put(p.b, "0123456789");
    for (size_t part; n > 0; n -= part)
        get(p.b, part = n < 4096 ? n : 4096);
    join(&wg);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT); /* both turns are free again */
    put(p.b, "y");
    CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN);
    close_pair(p);
    return 0;
}

Test(conn_wait, waits_for_whichever_turn_comes_first)
{
    run_on(1, behind_both, NULL);
    run_on(1, behind_both, "the reader's");
}

static int borrowed(void *arg)
{
    pair        p = connect_pair();
    waiter      w;
    const void *data;
    put(p.b, "0123456789");
    CHECK_IS(weft_conn_borrow(p.a, &data, 10), 10);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT);
    start_parked(&w, p.a, POLLIN); /* another waits for the borrow's end */
    put(p.b, "x");
    CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN); /* the borrower need not */
    CHECK(!w.done);
    CHECK(memcmp(data, "0123456789", 10) == 0);
    weft_conn_release(p.a);
    CHECK_IS(finish(&w), POLLIN);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, goes_with_a_borrow_of_the_same_coroutine)
{
    run_on(1, borrowed, NULL);
}

/* ---- Ends ------------------------------------------------------------------------------ */

static int errors(void *arg)
{
    static const int wrong[] = { 0, POLLPRI, POLLERR, POLLIN | POLLHUP, POLLIN | POLLRDHUP, -1 };
    char             address[WEFT_ADDR_MAX];
    pair             p = connect_pair();
    weft_listener    l = listen_loopback(address);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_IS(weft_conn_wait(p.a, wrong[i]), -EINVAL);
    CHECK_IS(weft_conn_wait((weft_conn){ l.id }, POLLIN), -EBADF);
    CHECK_IS(weft_conn_wait((weft_conn){ 0 }, POLLIN), -EBADF);
    close_pair(p);
    CHECK_IS(weft_conn_wait(p.a, BOTH), -EBADF);
    CHECK_IS(weft_listener_close(l), 0);
    return arg != NULL;
}

Test(conn_wait, each_error)
{
    run_on(1, errors, NULL);
}

static int closed(void *arg)
{
    for (int events = 1; events < 4; events++)
        for (int behind = 0; behind < 2; behind++) {
            pair           p = connect_pair();
            weft_waitgroup wg = { { 0 } };
            waiter         w, v;
            int            wanted = (events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0);
            stuff(p.a);
            start_parked(&w, p.a, behind ? BOTH : wanted);
            if (behind)
                start_parked(&v, p.a, wanted);
            CHECK_IS(weft_conn_close(p.a), 0);
            CHECK_IS(finish(&w), -EBADF);
            if (behind)
                CHECK_IS(finish(&v), -EBADF);
            CHECK_IS(weft_conn_close(p.b), 0);
            join(&wg);
        }
    return arg != NULL;
}

Test(conn_wait, a_close_ends_it_where_it_waits_for_readiness_and_for_turns)
{
    run_on(1, closed, NULL);
}

static int cancelled_entry(void *arg)
{
    CHECK(weft_cancelled());
    CHECK_IS(weft_conn_wait(*(weft_conn *)arg, POLLOUT), -ECANCELED);
    CHECK_IS(weft_conn_wait((weft_conn){ 0 }, POLLOUT), -ECANCELED); /* as every call says */
    CHECK(!weft_shield(true));
    CHECK_IS(weft_conn_wait(*(weft_conn *)arg, POLLOUT), POLLOUT);
    CHECK(weft_shield(false));
    return 0;
}

static int cancelled(void *arg)
{
    pair       p = connect_pair();
    weft_group g = WEFT_GROUP_INIT;
    waiter     w;
    int        first;
    CHECK_IS(weft_group_go(&g, cancelled_entry, &p.a, sizeof p.a), 0);
    weft_group_cancel(&g); /* on one P it has not run yet */
    CHECK_IS(weft_group_wait(&g, weft_after(PATIENCE), &first), 0);
    stuff(p.a);
    start_parked(&w, p.a, BOTH);
    CHECK(parks(p.a, POLLIN)); /* each in a queue for turns */
    CHECK(parks(p.a, BOTH));
    weft_group_cancel(&w.group);
    CHECK_IS(finish(&w), -ECANCELED);
    put(p.b, "x"); /* and nothing is left behind */
    CHECK_IS(weft_conn_wait(p.a, BOTH), POLLIN);
    get(p.a, 1);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, ends_by_cancellation)
{
    run_on(1, cancelled, NULL);
}

/* ---- Deadlines -------------------------------------------------------------------------- */

static int passed(void *arg)
{
    pair p = connect_pair();
    put(p.b, "x");
    CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN);
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_wait(p.a, POLLIN), -ETIMEDOUT); /* although it is ready */
    CHECK_IS(weft_conn_wait(p.a, BOTH), -ETIMEDOUT);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), POLLOUT); /* that side has none */
    CHECK_IS(weft_conn_set_deadline(p.a, WEFT_FOREVER), 0);
    CHECK_IS(weft_conn_wait(p.a, BOTH), BOTH);
    CHECK_IS(weft_conn_set_write_deadline(p.a, WEFT_NOWAIT), 0);
    CHECK_IS(weft_conn_wait(p.a, POLLIN), POLLIN);
    CHECK_IS(weft_conn_wait(p.a, POLLOUT), -ETIMEDOUT);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_deadline_that_has_passed_fails_it_untried)
{
    run_on(1, passed, NULL);
}

/* Of one who waits for readiness (0), and of one who waits for a turn behind it (1). */
static int deadlines(void *arg)
{
    pair   p = connect_pair();
    waiter w, v;
    stuff(p.a);
    for (int write = 0; write < 2; write++) {
        int (*set)(weft_conn, weft_time) =
            write ? weft_conn_set_write_deadline : weft_conn_set_read_deadline;
        CHECK_IS(set(p.a, weft_after(5 * WEFT_MS)), 0);
        CHECK_IS(weft_conn_wait(p.a, BOTH), -ETIMEDOUT); /* set before */
        CHECK_IS(set(p.a, WEFT_FOREVER), 0);
        start_parked(&w, p.a, BOTH);
        start_parked(&v, p.a, write ? POLLOUT : POLLIN);
        CHECK_IS(set(p.a, weft_after(PATIENCE)), 0); /* moved, and moved again: no end */
        CHECK_IS(weft_sleep(WEFT_MS), 0);
        CHECK(!w.done && !v.done);
        CHECK_IS(set(p.a, weft_after(write ? 5 * WEFT_MS : -1)), 0);
        CHECK_IS(finish(&w), -ETIMEDOUT);
        CHECK_IS(finish(&v), -ETIMEDOUT);
        CHECK_IS(set(p.a, WEFT_FOREVER), 0);
        CHECK(parks(p.a, BOTH)); /* and the turns are free */
    }
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, deadlines_bind_waits_for_readiness_and_for_turns)
{
    run_on(1, deadlines, NULL);
}

/* The turn's owner has no use for the deadline: a borrow. */
static int deadline_of_turn(void *arg)
{
    pair        p = connect_pair();
    waiter      w;
    const void *data;
    stuff(p.a);
    put(p.b, "x");
    CHECK_IS(weft_conn_borrow(p.a, &data, 10), 1);
    for (int events = POLLIN; events; events = events == POLLIN ? BOTH : 0) {
        CHECK_IS(weft_conn_set_read_deadline(p.a, weft_after(10 * WEFT_MS)), 0);
        start_parked(&w, p.a, events);
        CHECK_IS(finish(&w), -ETIMEDOUT);
        CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
        start_parked(&w, p.a, events);
        CHECK_IS(weft_conn_set_read_deadline(p.a, weft_after(10 * WEFT_MS)), 0);
        CHECK_IS(finish(&w), -ETIMEDOUT);
    }
    CHECK_IS(weft_conn_set_read_deadline(p.a, WEFT_FOREVER), 0);
    weft_conn_release(p.a);
    CHECK(parks(p.a, BOTH));
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, a_deadline_ends_the_wait_for_a_turn_that_is_not_given)
{
    run_on(1, deadline_of_turn, NULL);
}

/* ---- A busy library ---------------------------------------------------------------------- */

/* Every wait is answered at once: the others run all the same. */
static volatile bool stop;

static void greedy(void *arg)
{
    while (!stop)
        CHECK_IS(weft_conn_wait(*(weft_conn *)arg, POLLOUT), POLLOUT);
}

static int share(void *arg)
{
    pair           p = connect_pair();
    weft_waitgroup wg = { { 0 } };
    stop = false;
    spawn(&wg, greedy, &p.a);
    weft_yield();
    stop = true;
    join(&wg);
    close_pair(p);
    return arg != NULL;
}

Test(conn_wait, lets_others_run)
{
    run_on(1, share, NULL);
}
