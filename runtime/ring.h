/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - one ring of io_uring with its buffers, for uring.c and completed.c alone.
 *
 * Locks: cq for who takes completions; then the poll_desc's; then sq for who queues and
 * submits, held while the kernel works.  The pool's is a leaf.
 *
 * Not DEFER_TASKRUN, which is cheapest where every thread only serves its ring: then nobody
 * but that thread can make the kernel complete anything, and a coroutine that computes for
 * 100 ms would hold up every connection of its ring.  COOP_TASKRUN: the kernel completes in
 * the next system call or interrupt of the thread that submitted, and sets a flag meanwhile;
 * an M that sees it enters the kernel, and sysmon, which sees it too, interrupts all threads by
 * a membarrier.  Interrupting at once doubles what a request costs where two Ms run.
 */
#ifndef WF_RING_OF_M_H
#define WF_RING_OF_M_H

#include "inbox.h"
#include "lock.h"

/* cmake/WeftUring.cmake gives liburing's functions these names. */
#define io_uring_queue_init_params    wf_io_uring_queue_init_params
#define io_uring_queue_exit           wf_io_uring_queue_exit
#define io_uring_submit               wf_io_uring_submit
#define io_uring_get_events           wf_io_uring_get_events
#define io_uring_register_buf_ring    wf_io_uring_register_buf_ring
#define io_uring_register_sync_cancel wf_io_uring_register_sync_cancel

#include <liburing.h>

enum {
    WF_RING_ENTRIES = 256,
    WF_RING_COMPLETIONS = 4096,
    WF_RING_GROUP = 1,
    WF_RING_DIRECT = 64 /* see direct */
};

struct wf_uring {
    struct io_uring io;
    wf_lock         sq;             /* who queues and submits */
    wf_spin         cq;             /* who takes completions */
    wf_spin         pool;           /* of the buffers; a leaf */
    volatile AO_t   queued;         /* requests not submitted; written under sq */
    volatile AO_t   flushes;        /* how often some were submitted; written under sq */
    volatile AO_t   out;            /* atomic: requests whose last completion was not taken */
    volatile AO_t   nfree;          /* buffers not known to be used; written under pool */
    volatile AO_t   asleep;         /* its M dozes: others take its completions */
    volatile AO_t   first;          /* written under sq: since when the oldest send is queued; 0 */
    volatile AO_t   direct;         /* hint: so many sends go out by themselves, for one lay long */
    bool            held;           /* its M: sends were left queued at the last switch */
    volatile AO_t   lay;            /* hint: sysmon had to send what lay queued */
    AO_t            seen;           /* sysmon: flushes at its last look, when some were queued */
    struct io_uring_buf_ring *ring; /* under pool */
    char                     *buffers;  /* fixed */
    unsigned                  nbuffers; /* under pool: how many the kernel was ever given */
    unsigned                  number;   /* fixed */
    struct wf_m              *owner;    /* under rings.lock: the M that has it; NULL: none */
    volatile AO_t             detached; /* 0: no; see detach.h */
    unsigned                  tail;     /* sysmon: of the completions, which has stood there */
    int64_t                   tail_at;  /* sysmon: since then, while the thread had some to do */
};

/* 0, or why there can be none (-EINVAL: the kernel is too old). */
int wf_ring_make(wf_uring **out);
/* idle: the kernel is through with its memory; else that is left to it, rather lost than
 * written to.  It stays mapped too while a buffer is lent: to a coroutine that did not end when
 * the runtime stopped, and reads it still. */
void wf_ring_end(wf_uring *u, bool idle);

void *wf_map_room(size_t n); /* MAP_FAILED; memory that is there once it is touched */

/* A completion came with a buffer. */
wf_buffer *wf_ring_used(wf_uring *u, unsigned number, int received);
void       wf_ring_grow(wf_uring *u); /* the kernel found none: it gets as many again */

/* Under u->sq.  NULL: there is no room, even after a submission. */
struct io_uring_sqe *wf_ring_entry(wf_uring *u);
/* Under u->sq: 0, or why the kernel takes nothing. */
int wf_ring_submit(wf_uring *u);
/* Under u->sq: takes back what it did not take; how many, and their user_data. */
int wf_ring_retract(wf_uring *u, uint64_t data[WF_RING_ENTRIES]);
/* Ends one request, or every one: from here on it takes nothing off its socket.  Its last
 * completion may be yet to come. */
void wf_ring_cancel(wf_uring *u, uint64_t data);
void wf_ring_cancel_all(wf_uring *u);

static inline unsigned wf_ring_flags(const wf_uring *u)
{
    return AO_int_load((volatile unsigned *)u->io.sq.kflags);
}

/* Are there completions?  Without a lock. */
static inline bool wf_ring_any(const wf_uring *u)
{
    /* acquire: pairs with the kernel's release */
    return AO_int_load((volatile unsigned *)u->io.cq.khead) !=
               AO_int_load_acquire((volatile unsigned *)u->io.cq.ktail) ||
           wf_ring_flags(u) & IORING_SQ_CQ_OVERFLOW;
}

#endif
