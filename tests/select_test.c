/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/select_test.c - weft_select: what blocks and what must not, which case is taken, what the
 * others are left with, odd shapes.  Races and fairness are in select_race_test.c.
 */
#include <criterion/criterion.h>

#include "support/coro.h"

TestSuite(select, .timeout = 120);

/* ---- The table of what must and must not block ------------------------------------------------------ */

enum { NEVER = -1000 }; /* blocks */

struct row {
    const char *chans;  /* per case: n NULL, c closed, e empty, f full, h half full, u unbuffered */
    const char *ops;    /* per case: s send, r receive */
    int         result; /* NEVER, or what an eternal select returns; -1: any case */
    bool        closed;
};

static const struct row table[] = {
    { "", "", NEVER, false },       { "n", "s", NEVER, false },   { "n", "r", NEVER, false },
    { "nn", "sr", NEVER, false },   { "u", "s", NEVER, false },   { "u", "r", NEVER, false },
    { "uu", "sr", NEVER, false },   { "e", "s", 0, false },       { "e", "r", NEVER, false },
    { "f", "s", NEVER, false },     { "f", "r", 0, false },       { "h", "s", 0, false },
    { "h", "r", 0, false },         { "hh", "rs", -1, false },    { "c", "s", 0, true },
    { "c", "r", 0, true },          { "nc", "rr", 1, true },      { "ncn", "rss", 1, true },
    { "ue", "rs", 1, false },       { "uef", "srr", 2, false },   { "fe", "sr", NEVER, false },
    { "fen", "srs", NEVER, false }, { "nnnf", "srsr", 3, false }, { "uuuuc", "srsrs", 4, true },
};

static weft_chan *make(char kind)
{
    int v = 7;

    if (kind == 'n')
        return NULL;
    weft_chan *c = weft_chan_new(sizeof(int), kind == 'u' || kind == 'c' ? 0 : 2);
    for (int i = 0; i < (kind == 'f' ? 2 : kind == 'h' ? 1 : 0); i++)
        check_eq(weft_chan_send(c, &v), 0);
    if (kind == 'c')
        check_eq(weft_chan_close(c), 0);
    return c;
}

struct run {
    weft_case cases[8];
    int       n;
    weft_time deadline;
};

static int values[8];

static void prepare(struct run *run, const struct row *row, weft_time deadline)
{
    *run = (struct run){ .n = (int)strlen(row->ops), .deadline = deadline };
    for (int i = 0; i < run->n; i++) {
        run->cases[i].chan = make(row->chans[i]);
        run->cases[i].closed = true; /* written by every call */
        if (row->ops[i] == 's')
            run->cases[i].send = &values[i];
        else if (i % 2 == 0)
            run->cases[i].recv = &values[i]; /* else discarded */
    }
}

static void release(struct run *run)
{
    for (int i = 0; i < run->n; i++)
        weft_chan_unref(run->cases[i].chan);
}

static int select_op(void *arg)
{
    struct run *run = arg;

    return weft_select(run->cases, run->n, run->deadline);
}

static void check_closed(const struct run *run, int taken, bool closed)
{
    for (int i = 0; i < run->n; i++)
        check_eq(run->cases[i].closed, i == taken && closed);
}

static int whole_table(void *arg)
{
    for (int i = 0; i < COUNT(table); i++) {
        const weft_time deadlines[] = { WEFT_FOREVER, WEFT_NOWAIT, -5, weft_after(1) };
        for (int d = 0; d < COUNT(deadlines); d++) {
            struct run run;
            int        r = 0;
            prepare(&run, &table[i], deadlines[d]);
            if (d > 0)
                r = select_op(&run);
            else if (table[i].result == NEVER)
                check(blocks(select_op, &run));
            else
                r = at_once(select_op, &run);
            if (table[i].result == NEVER)
                check_eq(r, d == 0 ? 0 : -ETIMEDOUT);
            else
                check(r == table[i].result || (table[i].result == -1 && r >= 0 && r < run.n));
            check_closed(&run, table[i].result == NEVER ? -1 : r, table[i].closed);
            release(&run);
        }
    }
    return arg != NULL;
}

Test(select, table_of_what_must_and_must_not_block)
{
    run_on(1, whole_table, NULL);
}

/* Each row's channels, the select in a cancelled coroutine: nothing happens to any. */
static int table_cancelled(void *arg)
{
    for (int i = 0; i < COUNT(table); i++)
        for (int d = 0; d < 2; d++) {
            struct run run;
            size_t     before[8];
            prepare(&run, &table[i], d ? WEFT_NOWAIT : WEFT_FOREVER);
            for (int k = 0; k < run.n; k++)
                before[k] = run.cases[k].chan ? weft_chan_len(run.cases[k].chan) : 0;
            check_eq(when_cancelled(select_op, &run), -ECANCELED);
            for (int k = 0; k < run.n; k++)
                check(!run.cases[k].chan || weft_chan_len(run.cases[k].chan) == before[k]);
            release(&run);
        }
    return arg != NULL;
}

Test(select, a_cancelled_coroutine_takes_no_case)
{
    run_on(1, table_cancelled, NULL);
}

static int invalid(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 1);
    int        v = 1;
    weft_case  both[] = { { .chan = c, .send = &v }, { .chan = c, .recv = &v, .send = &v } };

    check_eq(weft_select(both, 2, WEFT_NOWAIT), -EINVAL);
    check_eq(weft_select(both, -1, WEFT_NOWAIT), -EINVAL);
    check_eq(weft_chan_len(c), 0);
    check_eq(weft_select(NULL, 0, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(weft_select(NULL, 0, weft_after(WEFT_MS)), -ETIMEDOUT);
    weft_chan_unref(c);
    return arg != NULL;
}

Test(select, cases_it_can_never_accept)
{
    run_on(1, invalid, NULL);
}

/* ---- The case that is taken, and the others ------------------------------------------------------------- */

/* One case is ready; nobody touches the others' operands or channels. */
static int ready_case(void *arg)
{
    weft_chan *empty = weft_chan_new(sizeof(int), 1), *full = weft_chan_new(sizeof(int), 1);
    int        a = 11, b = 22, in = 5, other = 33;

    check_eq(weft_chan_send(full, &in), 0);
    weft_case cases[] = { { .chan = NULL, .recv = &other },
                          { .chan = full, .send = &a },
                          { .chan = empty, .recv = &b },
                          { .chan = full, .recv = &in } };
    in = 0;
    check_eq(weft_select(cases, 4, WEFT_FOREVER), 3);
    check(in == 5 && a == 11 && b == 22 && other == 33);
    check_eq(weft_chan_len(full), 0);
    check_eq(weft_chan_len(empty), 0);
    check(cases[1].send == &a && cases[2].recv == &b && !cases[1].recv && cases[1].chan == full);
    weft_chan_unref(empty);
    weft_chan_unref(full);
    return arg != NULL;
}

Test(select, takes_the_ready_case_and_leaves_the_others)
{
    run_on(1, ready_case, NULL);
}

/* A select that lost stands among others in a queue and must go without a trace. */
static int loser(void *arg)
{
    weft_chan *c1 = weft_chan_new(0, 0), *c2 = weft_chan_new(0, 0);
    struct run before = { .cases = { { .chan = c1 } }, .n = 1, .deadline = WEFT_FOREVER };
    struct run both = { .cases = { { .chan = c1 }, { .chan = c2 } },
                        .n = 2,
                        .deadline = WEFT_FOREVER };
    struct run after = before;
    attempt    a[] = { { .op = select_op, .arg = &before },
                       { .op = select_op, .arg = &both },
                       { .op = select_op, .arg = &after } };
    weft_group g = WEFT_GROUP_INIT;

    for (int i = 0; i < 3; i++)
        attempt_start(&a[i], &g);
    check_eq(weft_chan_send(c2, ""), 0); /* the middle one wins, out of c1's queue too */
    let_others_park();
    check(!a[0].done && a[1].done && !a[2].done && a[1].result == 1);
    for (int i = 0; i < 2; i++)
        check_eq(weft_chan_send_until(c1, "", WEFT_NOWAIT), 0);
    check_eq(weft_chan_send_until(c1, "", WEFT_NOWAIT), -ETIMEDOUT);
    join_group(&g);
    check(a[0].result == 0 && a[2].result == 0);
    weft_chan_unref(c1);
    weft_chan_unref(c2);
    return arg != NULL;
}

Test(select, loser_leaves_the_queue_of_others)
{
    run_on(1, loser, NULL);
}

/* Every shape of sender against every shape of receiver, either of which may wait first. */
static int shapes(void *arg)
{
    for (int shape = 0; shape < 32; shape++) {
        bool       select_sends = shape & 1, select_receives = shape & 2, discard = shape & 4;
        weft_chan *c = weft_chan_new(sizeof(int), shape & 8 ? 1 : 0);
        weft_chan *never = weft_chan_new(sizeof(int), 0);
        int        v = 123, got = 0;
        struct run s = { .cases = { { .chan = c, .send = &v }, { .chan = never } },
                         .n = select_sends ? 2 : 1,
                         .deadline = WEFT_FOREVER };
        struct run r = { .cases = { { .chan = c, .recv = discard ? NULL : &got },
                                    { .chan = never } },
                         .n = select_receives ? 2 : 1,
                         .deadline = WEFT_FOREVER };
        attempt    a[] = { { .op = select_op, .arg = &s }, { .op = select_op, .arg = &r } };
        weft_group g = WEFT_GROUP_INIT;
        attempt_start(&a[shape & 16 ? 1 : 0], &g);
        attempt_start(&a[shape & 16 ? 0 : 1], &g);
        check(a[0].done && a[1].done);
        join_group(&g);
        check(a[0].result == 0 && a[1].result == 0);
        check_eq(got, discard ? 0 : 123);
        weft_chan_unref(c);
        weft_chan_unref(never);
    }
    return arg != NULL;
}

Test(select, all_shapes_of_senders_and_receivers)
{
    run_on(1, shapes, NULL);
}

/* ---- The same channel in several cases ------------------------------------------------------------------------ */

static int duplicates(void *arg)
{
    for (int form = 0; form < 4; form++) {
        weft_chan *c = weft_chan_new(sizeof(int), 0), *other = weft_chan_new(sizeof(int), 0);
        int        in[3] = { 0 }, out[3] = { 1, 2, 3 }, v = 50;
        struct run run = { .n = 5, .deadline = WEFT_FOREVER };
        for (int i = 0; i < 3; i++) { /* form 0: 3 receives; 1: 3 sends; 2, 3: both directions */
            bool send = form == 1 || (form >= 2 && i % 2 == form - 2);
            run.cases[i * 2] = (weft_case){ .chan = c,
                                            .recv = send ? NULL : &in[i],
                                            .send = send ? &out[i] : NULL };
        }
        run.cases[1] = (weft_case){ .chan = other };
        attempt    a = { .op = select_op, .arg = &run };
        weft_group g = WEFT_GROUP_INIT;
        attempt_start(&a, &g);
        check(!a.done); /* both directions of one channel: never with itself */
        if (form == 1 || form == 3) {
            check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), 0);
            check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
        } else {
            check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), 0);
            check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
        }
        join_group(&g);
        check(a.result == 0 || a.result == 2 || a.result == 4);
        check_eq(form == 1 || form == 3 ? out[a.result / 2] : in[a.result / 2], v);
        check_eq(in[0] + in[1] + in[2], form == 1 || form == 3 ? 0 : 50); /* one got it */
        check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);   /* none is left behind */
        check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
        weft_chan_unref(c);
        weft_chan_unref(other);
    }
    return arg != NULL;
}

Test(select, same_channel_in_several_cases)
{
    run_on(1, duplicates, NULL);
}

/* Closed, timed out or cancelled while each of the cases waits. */
static int duplicates_end(void *arg)
{
    weft_chan *c = weft_chan_new(sizeof(int), 0);
    int        v = 9;
    struct run run = { .cases = { { .chan = c }, { .chan = c, .send = &v }, { .chan = c } },
                       .n = 3,
                       .deadline = WEFT_FOREVER };

    check(blocks(select_op, &run));
    check_eq(weft_select(run.cases, 3, weft_after(WEFT_MS)), -ETIMEDOUT);
    check_eq(weft_chan_send_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
    check_eq(weft_chan_recv_until(c, &v, WEFT_NOWAIT), -ETIMEDOUT);
    attempt    a = { .op = select_op, .arg = &run };
    weft_group g = WEFT_GROUP_INIT;
    attempt_start(&a, &g);
    check_eq(weft_chan_close(c), 0);
    join_group(&g);
    check(a.result >= 0 && a.result < 3);
    check_closed(&run, a.result, true);
    weft_chan_unref(c);
    return arg != NULL;
}

Test(select, same_channel_closed_timed_out_and_cancelled)
{
    run_on(1, duplicates_end, NULL);
}

/* ---- Many cases --------------------------------------------------------------------------------------------------- */

struct big {
    weft_case *cases;
    int        n;
};

static int select_big(void *arg)
{
    struct big *b = arg;

    return weft_select(b->cases, b->n, WEFT_FOREVER);
}

static int many(void *arg)
{
    static const int sizes[] = { 3, 4, 5, 63, 64, 65, 200, 3000 };

    for (int s = 0; s < COUNT(sizes); s++) {
        int         n = sizes[s], v = 1;
        weft_chan **chans = calloc((size_t)n, sizeof *chans);
        weft_case  *cases = calloc((size_t)n, sizeof *cases);
        for (int i = 0; i < n; i++) /* some channels stand in two cases */
            cases[i].chan = chans[i] =
                i % 5 == 4 ? weft_chan_ref(chans[i - 3]) : weft_chan_new(4, 0);
        check_eq(weft_select(cases, n, weft_after(WEFT_MS)), -ETIMEDOUT);
        for (int at = 0; at < n; at += n / 3) {
            struct big big = { cases, n };
            attempt    a = { .op = select_big, .arg = &big };
            weft_group g = WEFT_GROUP_INIT;
            weft_chan *wanted = chans[at];
            attempt_start(&a, &g);
            check(!a.done);
            check_eq(weft_chan_send_until(wanted, &v, WEFT_NOWAIT), 0);
            join_group(&g);
            check(a.result >= 0 && a.result < n && chans[a.result] == wanted);
        }
        for (int i = 0; i < n; i++) {
            check_eq(weft_chan_send_until(chans[i], &v, WEFT_NOWAIT), -ETIMEDOUT);
            weft_chan_unref(chans[i]);
        }
        free(chans);
        free(cases);
    }
    return arg != NULL;
}

Test(select, any_number_of_cases)
{
    run_on(1, many, NULL);
}

static int select_outside(void *arg)
{
    weft_case k = { .chan = arg };

    return weft_select(&k, 1, WEFT_NOWAIT);
}

Test(select, outside_a_coroutine_ends_the_process)
{
    dies(select_outside, NULL, false, "weft_select " NOWHERE);
}
