/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/epoll_server.c - the server one would write by hand.
 *
 * Owns the peer that every network row is held against, for echo and for HTTP: one
 * epoll per thread, level-triggered, descriptors registered once, one read and one
 * write per request, connections dealt to the threads in turn.  Must use nothing of weft,
 * and must be no faster than it is correct: what a write leaves over is kept and
 * sent before anything more is read.
 */
#include "hello.h"
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRAM "epoll_server"
#define EVENTS  128
#define BUFFER  (16 * 1024)

struct conn {
    int          fd;
    char        *rest; /* what a write left over; NULL: nothing */
    size_t       at, len;
    struct hello http;
};

struct worker {
    int  ep;
    char buf[BUFFER], out[BUFFER];
};

static struct worker workers[SERVE_MAX_THREADS];
static int           nworkers;
static struct conn   listener;

static void end_conn(struct conn *c)
{
    close(c->fd);
    free(c->rest);
    free(c);
}

/* What was written of p[0, n), or -1 when the connection is lost. */
static ssize_t write_some(int fd, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = send(fd, p + done, n - done, MSG_NOSIGNAL);
        if (got < 0 && errno == EAGAIN) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        done += got < 0 ? 0 : (size_t)got;
    }
    return (ssize_t)done;
}

static int watch(struct worker *w, struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };

    return epoll_ctl(w->ep, op, c->fd, &ev);
}

static int keep_rest(struct worker *w, struct conn *c, const char *p, size_t n)
{
    c->rest = malloc(n);
    if (c->rest == NULL) {
        return -1;
    }
    memcpy(c->rest, p, n);
    c->at = 0;
    c->len = n;
    return watch(w, c, EPOLL_CTL_MOD, EPOLLOUT);
}

static int send_rest(struct worker *w, struct conn *c)
{
    ssize_t n = write_some(c->fd, c->rest + c->at, c->len - c->at);

    if (n < 0) {
        return -1;
    }
    c->at += (size_t)n;
    if (c->at < c->len) {
        return 0;
    }
    free(c->rest);
    c->rest = NULL;
    return watch(w, c, EPOLL_CTL_MOD, EPOLLIN);
}

/* These three: -1 when the connection is to end. */
static int reply(struct worker *w, struct conn *c, const char *p, size_t n)
{
    ssize_t sent = write_some(c->fd, p, n);

    if (sent < 0) {
        return -1;
    }
    return (size_t)sent == n ? 0 : keep_rest(w, c, p + sent, n - (size_t)sent);
}

#ifdef HELLO_PARSER
static int serve_bytes(struct worker *w, struct conn *c, size_t n)
{
    long answers = hello_read(&c->http, w->buf, n);

    if (answers < 0) {
        return -1;
    }
    n = hello_write(w->out, sizeof(w->out), answers);
    return n == 0 ? 0 : reply(w, c, w->out, n);
}
#else
static int serve_bytes(struct worker *w, struct conn *c, size_t n)
{
    return reply(w, c, w->buf, n);
}
#endif

static int readable(struct worker *w, struct conn *c)
{
    ssize_t n = recv(c->fd, w->buf, sizeof(w->buf), 0);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    return n == 0 ? -1 : serve_bytes(w, c, (size_t)n);
}

static void accept_one(void)
{
    static int   next;
    int          on = 1;
    int          fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c;

    if (fd < 0) {
        return; /* taken back by the peer, or out of descriptors: level-triggered, so again */
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        close(fd);
        return;
    }
    c->fd = fd;
    hello_begin(&c->http);
    if (watch(&workers[next++ % nworkers], c, EPOLL_CTL_ADD, EPOLLIN) != 0) {
        end_conn(c);
    }
}

static void *serve(void *arg)
{
    struct worker     *w = arg;
    struct epoll_event ev[EVENTS];

    for (;;) {
        int n = epoll_wait(w->ep, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c == &listener) {
                accept_one();
            } else if ((c->rest != NULL ? send_rest(w, c) : readable(w, c)) != 0) {
                end_conn(c);
            }
        }
    }
    return NULL;
}

/* epoll_server THREADS IPV4:PORT */
int main(int argc, char **argv)
{
    serve_usage(PROGRAM, argc);
    nworkers = serve_threads(PROGRAM, argv[1]);
    for (int i = 0; i < nworkers; i++) {
        workers[i].ep = epoll_create1(EPOLL_CLOEXEC);
        if (workers[i].ep < 0) {
            serve_die(PROGRAM, "epoll_create1");
        }
    }
    listener.fd = serve_listen(PROGRAM, argv[2]);
    if (fcntl(listener.fd, F_SETFL, O_NONBLOCK) != 0 ||
        watch(&workers[0], &listener, EPOLL_CTL_ADD, EPOLLIN) != 0) {
        serve_die(PROGRAM, "epoll_ctl");
    }
    serve_all(PROGRAM, serve, workers, sizeof(workers[0]), nworkers);
    return 0;
}
