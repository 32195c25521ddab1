/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/load.c - see load.h.
 *
 * The ramp: at most RAMP_WIDTH connections are being made at a time, and one counts as made when
 * its first message has come back.  So at most that many wait in the server's accept queue, and
 * no queue overflows however many connections there are.  The first message of each is not
 * counted as a request.
 *
 * The end: every connection's deadline is the end of the run and LOAD_REPLY_LIMIT_S, set once, so
 * that no request pays for a timer and none waits for ever.
 */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"

#define RAMP_WIDTH   64u
#define RAMP_LIMIT_S 60 /* for all */
#define DIAL_LIMIT_S 10 /* for one: connecting and the first echo */
#define CACHE_LINE   ((size_t)64)
#define WHOLE_BYTES  ((size_t)65536) /* up to here a message is sent in one piece ... */
#define PIECE_BYTES  ((size_t)32768) /* ... and beyond it in such pieces */

/* ---- Memory ------------------------------------------------------------------ */

struct conn *load_conn(const struct load *l, uint32_t id)
{
    return (struct conn *)(void *)(l->conns + id * l->stride);
}

int load_init(struct load *l, const struct options *options)
{
    memset(l, 0, sizeof(*l));
    l->options = options;
    l->piece = options->bytes <= WHOLE_BYTES ? options->bytes : PIECE_BYTES;
    const size_t needed = sizeof(struct conn) + 2 * l->piece + CONN_SPARE_BYTES;
    l->stride = (needed + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    l->conns = aligned_alloc(CACHE_LINE, options->connections * l->stride);
    l->latency = aligned_alloc(CACHE_LINE, sizeof(*l->latency));
    if (l->conns == NULL || l->latency == NULL) {
        load_free(l);
        return -ENOMEM;
    }
    memset(l->latency, 0, sizeof(*l->latency));
    for (uint32_t id = 0; id < options->connections; id++) {
        *load_conn(l, id) = (struct conn){ .load = l, .id = id };
    }
    atomic_store(&l->end, WEFT_FOREVER);
    return 0;
}

void load_free(struct load *l)
{
    free(l->conns);
    free(l->latency);
    l->conns = NULL;
    l->latency = NULL;
}

/* ---- The ramp ---------------------------------------------------------------- */

/* The first echo; only then is the connection of use. */
static void greet(struct conn *cn, weft_time deadline)
{
    weft_conn_set_deadline(cn->handle, deadline);
    if (!conn_exchange(cn, 0)) {
        weft_conn_abort(cn->handle);
        return;
    }
    atomic_fetch_add_explicit(&cn->load->up, 1, memory_order_relaxed);
    /* Release: pairs with the acquire of whoever then uses the handle. */
    atomic_store_explicit(&cn->ready, true, memory_order_release);
}

static void make_connection(struct load *l, struct conn *cn)
{
    const weft_time deadline = weft_after(DIAL_LIMIT_S * WEFT_S);
    int             err = weft_dial(&cn->handle, "tcp", l->address, deadline);

    if (err == 0) {
        greet(cn, deadline);
    } else if (err != -ECANCELED) {
        errors_add(&l->errors, ERROR_CONNECT, "connection %u: %s", cn->id, strerror(-err));
    }
}

static int dial_some(void *arg)
{
    struct load    *l = arg;
    const weft_time end = l->ramp_start + RAMP_LIMIT_S * WEFT_S;

    while (weft_now() < end && !weft_cancelled()) {
        const unsigned id = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
        if (id >= l->options->connections) {
            break;
        }
        make_connection(l, load_conn(l, id));
    }
    return 0;
}

int load_reach(struct load *l)
{
    const weft_time deadline = weft_after(DIAL_LIMIT_S * WEFT_S);
    struct conn    *cn = load_conn(l, 0);
    int             err = weft_dial(&cn->handle, "tcp", l->options->address, deadline);

    if (err == 0) {
        err = weft_conn_remote_address(cn->handle, l->address);
    }
    if (err < 0) {
        weft_conn_close(cn->handle);
        return err;
    }
    l->ramp_start = weft_now();
    atomic_store(&l->next, 1);
    return 0;
}

static void untried(struct load *l)
{
    const uint32_t connections = l->options->connections;

    for (uint32_t id = atomic_load(&l->next); id < connections; id++) {
        errors_add(&l->errors, ERROR_CONNECT, "connection %u: not tried: the ramp took over %d s",
                   id, RAMP_LIMIT_S);
    }
}

static void ramp(struct load *l)
{
    int err = 0;

    greet(load_conn(l, 0), weft_after(DIAL_LIMIT_S * WEFT_S));
    for (unsigned i = 0; i < RAMP_WIDTH && i + 1 < l->options->connections && err == 0; i++) {
        err = weft_group_go(&l->dialers, dial_some, l, 0);
    }
    if (err < 0 && err != -ECANCELED) {
        errors_add(&l->errors, ERROR_CONNECT, "cannot start a coroutine: %s", strerror(-err));
    }
    err = weft_group_wait(&l->dialers, WEFT_FOREVER, NULL);
    if (err == 0 && !atomic_load(&l->interrupted)) {
        untried(l);
    }
}

/* ---- The run ----------------------------------------------------------------- */

static void count(struct conn *cn, weft_time began, weft_time now)
{
    const uint64_t n = atomic_load_explicit(&cn->requests, memory_order_relaxed);

    atomic_store_explicit(&cn->requests, n + 1, memory_order_relaxed);
    hdr_shards_record(cn->load->latency, now - began);
}

/* A request's time runs from the end of the one before, so one look at the clock serves both. */
static int drive(void *arg)
{
    struct conn *cn = arg;
    struct load *l = cn->load;
    weft_time    now = weft_now();
    weft_time    end = atomic_load_explicit(&l->end, memory_order_relaxed);
    bool         sound = true;

    weft_conn_set_deadline(cn->handle, end + LOAD_REPLY_LIMIT_S * WEFT_S);
    for (uint64_t request = 1; sound && now < end; request++) {
        const weft_time began = now;
        sound = conn_exchange(cn, request);
        now = weft_now();
        if (sound) {
            count(cn, began, now);
            cn->last = now;
        }
        end = atomic_load_explicit(&l->end, memory_order_relaxed);
    }
    if (sound) {
        conn_finish(cn);
    } else {
        weft_conn_abort(cn->handle);
    }
    atomic_fetch_sub_explicit(&l->up, 1, memory_order_relaxed);
    return 0;
}

static void start_driver(struct load *l, struct conn *cn)
{
    int err = weft_group_go(&l->drivers, drive, cn, 0);

    if (err < 0) {
        errors_add(&l->errors, ERROR_CONNECT, "connection %u: cannot start a coroutine: %s", cn->id,
                   strerror(-err));
        weft_conn_abort(cn->handle);
        atomic_fetch_sub_explicit(&l->up, 1, memory_order_relaxed);
    }
}

void load_run(struct load *l)
{
    weft_time never = WEFT_FOREVER;

    ramp(l);
    l->peak = atomic_load(&l->up);
    const weft_time start = weft_now();
    atomic_compare_exchange_strong(&l->end, &never, start + l->options->seconds * WEFT_S);
    atomic_store(&l->start, start);
    for (uint32_t id = 0; id < l->options->connections; id++) {
        struct conn *cn = load_conn(l, id);
        if (atomic_load_explicit(&cn->ready, memory_order_acquire)) {
            start_driver(l, cn);
        }
    }
    int err = weft_group_wait(&l->drivers, WEFT_FOREVER, NULL);
    if (err < 0) {
        errors_add(&l->errors, ERROR_READ, "waiting for the connections: %s", strerror(-err));
    }
}

void load_interrupt(struct load *l)
{
    const weft_time now = weft_now();

    atomic_store(&l->interrupted, true);
    atomic_store(&l->end, now);
    weft_group_cancel(&l->dialers);
    for (uint32_t id = 0; id < l->options->connections; id++) {
        struct conn *cn = load_conn(l, id);
        /* Acquire: pairs with the release in greet(). */
        if (atomic_load_explicit(&cn->ready, memory_order_acquire)) {
            weft_conn_set_deadline(cn->handle, now + LOAD_REPLY_LIMIT_S * WEFT_S);
        }
    }
}

/* ---- Figures ----------------------------------------------------------------- */

uint64_t load_requests(const struct load *l)
{
    uint64_t sum = 0;

    for (uint32_t id = 0; id < l->options->connections; id++) {
        sum += atomic_load_explicit(&load_conn(l, id)->requests, memory_order_relaxed);
    }
    return sum;
}

double load_seconds(const struct load *l)
{
    const weft_time start = atomic_load(&l->start);
    weft_time       last = start;

    for (uint32_t id = 0; id < l->options->connections; id++) {
        const weft_time of_conn = load_conn(l, id)->last;
        last = of_conn > last ? of_conn : last;
    }
    return (double)(last - start) / (double)WEFT_S;
}
