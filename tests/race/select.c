/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/race/select.c - a storm of selects, sends, receives, closes, deadlines and cancellations
 * over 1 to 64 channels, on 1, 2 and 8 Ps.  Every element that was sent is received, or found in
 * its channel at the end, exactly once, and none that was not.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "support/check.h"

enum { MOST_CHANS = 64, MOST_CASES = 80, WORKERS = 12, STEPS = 8000 };

struct tally {
    atomic_ulong count, sum; /* sum: of the elements' hashes */
};

struct storm {
    int          nchans;
    weft_chan   *c[MOST_CHANS];
    struct tally sent[MOST_CHANS], received[MOST_CHANS];
    weft_group   mortal;
    atomic_int   closes; /* how many channels may still be closed */
    atomic_ulong fired, late, cancelled, empty;
};

struct worker {
    struct storm *s;
    uint64_t      random, value;
};

static uint64_t hash(uint64_t v)
{
    v = (v ^ v >> 31) * UINT64_C(0x7fb5d329728ea185);
    return (v ^ v >> 27) * UINT64_C(0x81dadef4bc2dd44d);
}

static void count(struct tally *t, int chan, uint64_t v)
{
    atomic_fetch_add(&t[chan].count, 1);
    atomic_fetch_add(&t[chan].sum, hash(v));
}

static unsigned below(struct worker *w, unsigned n)
{
    return test_random(&w->random) % n;
}

static weft_time some_deadline(struct worker *w)
{
    switch (below(w, 4)) {
    case 0:
        return WEFT_NOWAIT;
    case 1:
        return weft_after((int64_t)below(w, 3000));
    default:
        return weft_after((int64_t)below(w, 60) * WEFT_US);
    }
}

static int note(struct worker *w, int r)
{
    check(r >= 0 || r == -ETIMEDOUT || r == -ECANCELED || r == -EPIPE);
    atomic_fetch_add(r == -ETIMEDOUT   ? &w->s->late
                     : r == -ECANCELED ? &w->s->cancelled
                                       : &w->s->fired,
                     1);
    return r;
}

static int one_plain(struct worker *w)
{
    int      chan = (int)below(w, (unsigned)w->s->nchans), r;
    uint64_t v = w->value++;

    if (below(w, 2)) {
        r = weft_chan_send_until(w->s->c[chan], &v, some_deadline(w));
        if (r == 0)
            count(w->s->sent, chan, v);
    } else {
        r = weft_chan_recv_until(w->s->c[chan], &v, some_deadline(w));
        if (r == 0)
            count(w->s->received, chan, v);
    }
    return note(w, r);
}

static int one_select(struct worker *w)
{
    weft_case cases[MOST_CASES];
    int       chan[MOST_CASES], n = 1 + (int)below(w, below(w, 8) ? 6 : MOST_CASES);
    uint64_t  in[MOST_CASES], out[MOST_CASES];

    for (int i = 0; i < n; i++) {
        chan[i] = (int)below(w, (unsigned)w->s->nchans);
        out[i] = w->value++;
        in[i] = 0;
        cases[i] = (weft_case){ .chan = below(w, 10) ? w->s->c[chan[i]] : NULL };
        if (below(w, 2))
            cases[i].send = &out[i];
        else
            cases[i].recv = &in[i];
    }
    int r = weft_select(cases, n, some_deadline(w));
    for (int i = 0; i < n; i++)
        check(i == r || (in[i] == 0 && !cases[i].closed)); /* a loser is not touched */
    if (r >= 0 && !cases[r].closed)
        count(cases[r].send ? w->s->sent : w->s->received, chan[r], cases[r].send ? out[r] : in[r]);
    check(r < n && (r < 0 || cases[r].chan));
    return note(w, r);
}

__attribute__((noinline)) static void scribble(void)
{
    volatile char all[2048];

    memset((char *)all, 0x5a, sizeof all);
}

/* No live case: nothing but the deadline and cancellation, and nothing of it remains. */
static int one_empty(struct worker *w)
{
    weft_case none = { 0 };
    int       r = weft_select(&none, (int)below(w, 2), weft_after((int64_t)below(w, 2000)));

    scribble();
    check(r == -ETIMEDOUT || r == -ECANCELED);
    atomic_fetch_add(&w->s->empty, 1);
    return r;
}

static void maybe_close(struct worker *w)
{
    if (below(w, 400) == 0 && atomic_fetch_sub(&w->s->closes, 1) > 0) {
        int r = weft_chan_close(w->s->c[below(w, (unsigned)w->s->nchans)]);
        check(r == 0 || r == -EPIPE);
    }
    if (below(w, 4000) == 0)
        weft_group_cancel(&w->s->mortal);
}

static int work(void *arg)
{
    struct worker w = *(struct worker *)arg;
    int           r = 0;

    w.value = weft_id() << 32;
    for (long i = test_scaled(STEPS); i > 0 && r != -ECANCELED; i--) {
        unsigned what = below(&w, 8);
        r = what < 5 ? one_select(&w) : what < 7 ? one_plain(&w) : one_empty(&w);
        maybe_close(&w);
    }
    return 0;
}

static void drain(struct storm *s)
{
    for (int c = 0; c < s->nchans; c++) {
        uint64_t v;
        int      r = weft_chan_close(s->c[c]);
        check(r == 0 || r == -EPIPE);
        while (weft_chan_recv(s->c[c], &v) == 0)
            count(s->received, c, v);
        check_eq(atomic_load(&s->received[c].count), atomic_load(&s->sent[c].count));
        check_eq(atomic_load(&s->received[c].sum), atomic_load(&s->sent[c].sum));
        weft_chan_unref(s->c[c]);
    }
}

static int storm(void *arg)
{
    static struct storm s;
    int                 n = *(int *)arg, r = 0;
    weft_group          all = WEFT_GROUP_INIT;

    memset(&s, 0, sizeof s);
    s.nchans = n;
    atomic_store(&s.closes, n / 2);
    for (int c = 0; c < n; c++)
        s.c[c] = weft_chan_new(sizeof(uint64_t), (size_t)c % 4);
    for (int i = 0; i < WORKERS; i++) {
        struct worker w = { .s = &s, .random = (uint64_t)n * 1000 + (uint64_t)i + 1 };
        r = weft_group_go(i % 3 ? &all : &s.mortal, work, &w, sizeof w);
        check(r == 0 || r == -ECANCELED);
    }
    check_eq(weft_group_wait(&all, WEFT_FOREVER, NULL), 0);
    weft_group_cancel(&s.mortal);
    check_eq(weft_group_wait(&s.mortal, WEFT_FOREVER, NULL), 0);
    drain(&s);
    check(atomic_load(&s.fired) > 0 && atomic_load(&s.late) > 0 && atomic_load(&s.empty) > 0);
    return 0;
}

int main(void)
{
    static const int procs[] = { 1, 2, 8 }, chans[] = { 1, 2, 3, 7, 20, MOST_CHANS };

    for (int p = 0; p < 3; p++)
        for (int c = 0; c < 6; c++)
            run_on(procs[p], storm, (void *)&chans[c]);
    return 0;
}
