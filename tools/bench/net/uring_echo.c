/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/uring_echo.c - the echo server on io_uring, as its experts write it.
 *
 * Owns a ring a thread (SINGLE_ISSUER, DEFER_TASKRUN), multishot accept on the first,
 * which deals the connections by messages between rings, and multishot receives into
 * buffers that the kernel picks.  A buffer goes back when its bytes are sent.
 */
#include "serve.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAM "uring_echo"

enum { ENTRIES = 4096, COMPLETIONS = 65536, BUFFERS = 4096, BYTES = 4096, GROUP = 1 };

/* What a completion is of; the rest of user_data: the descriptor, a buffer, how much is left. */
enum kind { ACCEPT, RECEIVE, SEND, DEAL, DEALT };

struct worker {
    struct io_uring           ring;
    struct io_uring_buf_ring *free;
    char                     *buffers;
};

static struct worker workers[SERVE_MAX_THREADS];
static int           nworkers, listener;

static uint64_t tag(enum kind kind, int fd, unsigned buffer, unsigned from)
{
    return (uint64_t)kind | (uint64_t)(unsigned)fd << 4 | (uint64_t)buffer << 32 |
           (uint64_t)from << 48;
}

static struct io_uring_sqe *take_sqe(struct worker *w)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);

    if (sqe == NULL) {
        io_uring_submit(&w->ring);
        sqe = io_uring_get_sqe(&w->ring);
    }
    if (sqe == NULL) {
        serve_die(PROGRAM, "the ring has no entry left");
    }
    return sqe;
}

static char *bytes_of(const struct worker *w, unsigned buffer)
{
    return w->buffers + (size_t)buffer * BYTES;
}

static void give_back(struct worker *w, unsigned buffer)
{
    io_uring_buf_ring_add(w->free, bytes_of(w, buffer), BYTES, (unsigned short)buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(w->free, 1);
}

static void start_accept(struct worker *w)
{
    struct io_uring_sqe *sqe = take_sqe(w);

    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, tag(ACCEPT, 0, 0, 0));
}

static void start_receive(struct worker *w, int fd)
{
    struct io_uring_sqe *sqe = take_sqe(w);

    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data64(sqe, tag(RECEIVE, fd, 0, 0));
}

/* MSG_WAITALL: the kernel goes on until all is sent, or the connection is lost. */
static void start_send(struct worker *w, int fd, unsigned buffer, size_t n)
{
    struct io_uring_sqe *sqe = take_sqe(w);

    io_uring_prep_send(sqe, fd, bytes_of(w, buffer), n, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, tag(SEND, fd, buffer, 0));
}

static void accepted(struct worker *w, const struct io_uring_cqe *cqe)
{
    static int next;
    int        on = 1, fd = cqe->res;

    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        start_accept(w);
    }
    if (fd < 0) {
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct worker *to = &workers[next++ % nworkers];
    if (to == w) {
        start_receive(w, fd);
    } else {
        struct io_uring_sqe *sqe = take_sqe(w);
        io_uring_prep_msg_ring(sqe, to->ring.ring_fd, 0, tag(DEALT, fd, 0, 0), 0);
        io_uring_sqe_set_data64(sqe, tag(DEAL, fd, 0, 0));
    }
}

static void received(struct worker *w, const struct io_uring_cqe *cqe, int fd)
{
    if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        close(fd);
        return;
    }
    if (cqe->res > 0) {
        start_send(w, fd, cqe->flags >> IORING_CQE_BUFFER_SHIFT, (size_t)cqe->res);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        start_receive(w, fd);
    }
}

static void completed(struct worker *w, const struct io_uring_cqe *cqe)
{
    uint64_t data = cqe->user_data;
    int      fd = (int)(data >> 4 & 0xfffffff);

    switch ((enum kind)(data & 15)) {
    case ACCEPT:
        accepted(w, cqe);
        break;
    case RECEIVE:
        received(w, cqe, fd);
        break;
    case SEND:
        give_back(w, data >> 32 & 0xffff);
        break;
    case DEALT:
        start_receive(w, fd);
        break;
    case DEAL:
        if (cqe->res < 0) {
            errno = -cqe->res;
            serve_die(PROGRAM, "a message between rings");
        }
        break;
    }
}

/* On the thread that will use the ring: it belongs to whoever enables it. */
static void *serve(void *arg)
{
    struct worker *w = arg;

    if (syscall(SYS_io_uring_register, w->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0)) {
        serve_die(PROGRAM, "io_uring_register"); /* liburing 2.3 does not export it */
    }
    if (w == &workers[0]) {
        start_accept(w);
    }
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned             head, n = 0;
        int                  err = io_uring_submit_and_wait(&w->ring, 1);
        if (err < 0 && err != -EINTR && err != -EBUSY) {
            errno = -err;
            serve_die(PROGRAM, "io_uring_submit_and_wait");
        }
        io_uring_for_each_cqe(&w->ring, head, cqe)
        {
            completed(w, cqe);
            n++;
        }
        io_uring_cq_advance(&w->ring, n);
    }
    return NULL;
}

static void make_ring(struct worker *w)
{
    struct io_uring_params  p = { .cq_entries = COMPLETIONS,
                                  .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
                                           IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED };
    struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = GROUP };
    const size_t            page = (size_t)sysconf(_SC_PAGESIZE);
    int                     err = io_uring_queue_init_params(ENTRIES, &w->ring, &p);

    w->free = aligned_alloc(page, BUFFERS * sizeof(struct io_uring_buf));
    w->buffers = aligned_alloc(page, (size_t)BUFFERS * BYTES);
    if (err == 0 && (w->free == NULL || w->buffers == NULL)) {
        err = -ENOMEM;
    }
    reg.ring_addr = (uintptr_t)w->free;
    if (err == 0) {
        err = io_uring_register_buf_ring(&w->ring, &reg, 0);
    }
    if (err < 0) {
        errno = -err;
        serve_die(PROGRAM, "a ring with provided buffers (Linux 6.1 has all it needs)");
    }
    io_uring_buf_ring_init(w->free);
    for (unsigned i = 0; i < BUFFERS; i++) {
        give_back(w, i);
    }
}

/* uring_echo THREADS IPV4:PORT */
int main(int argc, char **argv)
{
    serve_usage(PROGRAM, argc);
    nworkers = serve_threads(PROGRAM, argv[1]);
    for (int i = 0; i < nworkers; i++) {
        make_ring(&workers[i]);
    }
    listener = serve_listen(PROGRAM, argv[2]);
    serve_all(PROGRAM, serve, workers, sizeof(workers[0]), nworkers);
    return 0;
}
