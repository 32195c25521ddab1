/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/load.h - the load itself: connections come up in a bounded ramp, each then drives
 * requests in a coroutine of its own until the end, and finishes the one in flight.
 *
 * Who may touch what: a connection belongs to the dialler that makes it, then to its own
 * coroutine; others read its counter and set its deadline once `ready` is set.
 */
#ifndef WEFT_STRESS_LOAD_H
#define WEFT_STRESS_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <weft.h>

#include "errors.h"
#include "hdr.h"
#include "options.h"

#define LOAD_REPLY_LIMIT_S 5 /* for what is in flight at the end */

struct load;

struct conn {
    _Alignas(64) struct load *load;
    weft_conn        handle;
    uint32_t         id;
    atomic_bool      ready;    /* set by its dialler after the first echo, with release */
    _Atomic uint64_t requests; /* echoed and right; written by its own coroutine, relaxed */
    weft_time        last;     /* when the last of them was; its own coroutine's */
    /* Behind it: the message sent, then the message read: `piece` bytes each, and spare ones. */
};

struct load {
    const struct options *options;
    char                  address[WEFT_ADDR_MAX]; /* numeric, so that names resolve once */
    size_t                piece;                  /* bytes a single write or read moves */
    size_t                stride;                 /* bytes from one struct conn to the next */
    unsigned char        *conns;                  /* options->connections of them */
    struct hdr_shards    *latency;
    struct errors         errors;
    weft_group            dialers;
    weft_group            drivers;
    atomic_uint           next; /* connection to dial; diallers count it up */
    atomic_uint           up;   /* connections echoing now */
    unsigned              peak; /* as many as were up when the run started */
    weft_time             ramp_start;
    _Atomic weft_time     start; /* 0 until the ramp is over */
    _Atomic weft_time     end; /* WEFT_FOREVER until the ramp is over; brought forward by a stop */
    atomic_bool           interrupted;
};

struct conn *load_conn(const struct load *l, uint32_t id);

/* Memory for all; 0 or -ENOMEM. */
int  load_init(struct load *l, const struct options *options);
void load_free(struct load *l);

/* Make the first connection: where this fails there is no server, and nothing is counted. */
int load_reach(struct load *l);

/* The ramp, the run and its end. */
void load_run(struct load *l);

/* End the ramp or the run now, as if its time were over. */
void load_interrupt(struct load *l);

uint64_t load_requests(const struct load *l); /* so far */
double   load_seconds(const struct load *l);  /* from the start to the last reply; after load_run */

#endif
