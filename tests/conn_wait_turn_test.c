/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/conn_wait_turn_test.c - weft_conn_wait beside other calls on the connection: turns,
 * deadlines, each end, a library that is always ready.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "scale.h"
#include "support/conn_wait.h"

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
        start(&w, p.a, events); /* where it gets no CPU the deadline is over before it parks */
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
