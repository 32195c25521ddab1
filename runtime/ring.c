/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - one ring: making it, its buffers, submitting, cancelling; see ring.h.
 *
 * Knows nothing of descriptors but their user_data.
 */
#ifdef WEFT_URING

#include "ring.h"

#include "sys.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    BUFFERS_FIRST = 256, /* then twice as many whenever they do not suffice */
    BUFFERS_MOST = 4096,
    DATA_BYTES = 16 << 10,
    STRIDE = DATA_BYTES + WF_CACHELINE,
    TRIES = 3
};

#define CANCEL_MOST_NS (10 * WEFT_MS)

_Static_assert(sizeof(wf_buffer) <= WF_CACHELINE, "a buffer's head and data fit its stride");
/* An odd number of lines, or the first lines of all buffers would share a few sets of a cache. */
_Static_assert(STRIDE % (2 * WF_CACHELINE) == WF_CACHELINE, "buffers lie at odd lines");

/* ---- Buffers --------------------------------------------------------------------------- */

static wf_buffer *buffer_at(const wf_uring *u, unsigned number)
{
    return (wf_buffer *)(u->buffers + (size_t)number * STRIDE);
}

/* Under u->pool. */
static void put(wf_uring *u, unsigned number)
{
    io_uring_buf_ring_add(u->ring, buffer_at(u, number)->data, DATA_BYTES, (unsigned short)number,
                          io_uring_buf_ring_mask(BUFFERS_MOST), 0);
    io_uring_buf_ring_advance(u->ring, 1);
    AO_store(&u->nfree, AO_load(&u->nfree) + 1);
}

static void give(wf_uring *u, unsigned number)
{
    wf_spin_acquire(&u->pool);
    put(u, number);
    wf_spin_release(&u->pool);
}

void wf_uring_give(wf_buffer *b)
{
    give(b->ring, b->number);
}

void wf_ring_grow(wf_uring *u)
{
    wf_spin_acquire(&u->pool);
    unsigned until = u->nbuffers ? u->nbuffers * 2 : BUFFERS_FIRST;
    for (; u->nbuffers < until && until <= BUFFERS_MOST; u->nbuffers++) {
        wf_buffer *b = buffer_at(u, u->nbuffers);
        b->ring = u;
        b->number = u->nbuffers;
        put(u, u->nbuffers);
    }
    wf_spin_release(&u->pool);
}

wf_buffer *wf_ring_used(wf_uring *u, unsigned number, int received)
{
    wf_buffer *b = buffer_at(u, number);
    wf_spin_acquire(&u->pool); /* after who gave it back: the kernel alone tells of it else */
    b->at = 0;
    b->n = received > 0 ? (unsigned)received : 0;
    AO_store(&u->nfree, AO_load(&u->nfree) - 1);
    wf_spin_release(&u->pool);
    return b;
}

/* ---- Making ---------------------------------------------------------------------------- */

static void release(wf_uring *u)
{
    if (u->ring && u->ring != MAP_FAILED)
        munmap(u->ring, BUFFERS_MOST * sizeof(struct io_uring_buf));
    if (u->buffers && u->buffers != MAP_FAILED)
        munmap(u->buffers, (size_t)BUFFERS_MOST * STRIDE);
    free(u);
}

void wf_ring_end(wf_uring *u, bool idle)
{
    io_uring_queue_exit(&u->io);
    if (idle && AO_load(&u->nfree) == u->nbuffers)
        release(u);
}

void *wf_map_room(size_t n)
{
    return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0);
}

static int register_buffers(wf_uring *u)
{
    struct io_uring_buf_reg reg = { .ring_entries = BUFFERS_MOST, .bgid = WF_RING_GROUP };
    u->ring = wf_map_room(BUFFERS_MOST * sizeof(struct io_uring_buf));
    u->buffers = wf_map_room((size_t)BUFFERS_MOST * STRIDE);
    if (u->ring == MAP_FAILED || u->buffers == MAP_FAILED)
        return -ENOMEM;
    reg.ring_addr = (uintptr_t)u->ring;
    int r = io_uring_register_buf_ring(&u->io, &reg, 0);
    if (r < 0)
        return r;
    io_uring_buf_ring_init(u->ring);
    wf_ring_grow(u);
    return 0;
}

/* Linux 6.0 brought both, this and multishot receive: and this can be asked for harmlessly. */
static int probe(wf_uring *u)
{
    struct io_uring_sync_cancel_reg none = { .addr = 1, .fd = -1 };
    int                             r = io_uring_register_sync_cancel(&u->io, &none);
    return r == -ENOENT ? 0 : r < 0 ? r : -EINVAL;
}

int wf_ring_make(wf_uring **out)
{
    struct io_uring_params p = { .cq_entries = WF_RING_COMPLETIONS,
                                 .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                                          IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
                                          IORING_SETUP_TASKRUN_FLAG };
    wf_uring              *u = calloc(1, sizeof *u);
    int                    r = wf_sys_allowed("uring_setup", -1);
    if (!u)
        return -ENOMEM;
    if (r == 0)
        r = io_uring_queue_init_params(WF_RING_ENTRIES, &u->io, &p);
    if (r < 0) {
        free(u);
        return r;
    }
    r = probe(u);
    if (r == 0)
        r = register_buffers(u);
    if (r == 0) {
        *out = u;
        return 0;
    }
    wf_ring_end(u, true);
    return r;
}

/* ---- Submitting and cancelling --------------------------------------------------------- */

/* Under u->sq. */
int wf_ring_submit(wf_uring *u)
{
    int r = 0;
    for (int i = 0; i < TRIES && r <= 0 && io_uring_sq_ready(&u->io); i++) {
        r = wf_sys_allowed("uring_enter", u->io.ring_fd);
        if (r == 0)
            r = io_uring_submit(&u->io);
    }
    AO_store(&u->queued, io_uring_sq_ready(&u->io));
    AO_store(&u->first, 0); /* what is left now who calls tries again, or retracts */
    AO_store(&u->flushes, AO_load(&u->flushes) + 1);
    return r;
}

struct io_uring_sqe *wf_ring_entry(wf_uring *u)
{
    struct io_uring_sqe *e = io_uring_get_sqe(&u->io);
    if (e)
        return e;
    wf_ring_submit(u);
    return io_uring_get_sqe(&u->io);
}

int wf_ring_retract(wf_uring *u, uint64_t data[WF_RING_ENTRIES])
{
    struct io_uring_sq *sq = &u->io.sq;
    unsigned            head = *sq->khead;
    int                 n = 0;
    for (unsigned i = head; i != sq->sqe_tail; i++)
        data[n++] = sq->sqes[i & *sq->kring_mask].user_data;
    sq->sqe_head = sq->sqe_tail = head;
    *sq->ktail = head; /* the kernel looks only in a call that submits */
    AO_store(&u->queued, 0);
    return n;
}

void wf_ring_cancel(wf_uring *u, uint64_t data)
{
    struct io_uring_sync_cancel_reg one = { .addr = data,
                                            .fd = -1,
                                            .timeout = { .tv_nsec = CANCEL_MOST_NS } };
    (void)io_uring_register_sync_cancel(&u->io, &one);
}

void wf_ring_cancel_all(wf_uring *u)
{
    struct io_uring_sync_cancel_reg all = { .fd = -1,
                                            .flags =
                                                IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY,
                                            .timeout = { .tv_nsec = CANCEL_MOST_NS } };
    (void)io_uring_register_sync_cancel(&u->io, &all);
}

#endif
