/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/epoll_echo.c - the echo server one would write by hand.
 *
 * Owns the peer that every network row is held against: one epoll per thread,
 * level-triggered, descriptors registered once, one read and one write per
 * request, connections dealt to the threads in turn.  Must use nothing of weft,
 * and must be no faster than it is correct: what a write leaves over is kept and
 * sent before anything more is read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS      128
#define BUFFER      (16 * 1024)
#define MAX_THREADS 64

struct conn {
    int    fd;
    char  *rest; /* what a write left over; NULL: nothing */
    size_t at, len;
};

struct worker {
    int       ep;
    pthread_t thread;
    char      buf[BUFFER];
};

static struct worker workers[MAX_THREADS];
static int           nworkers = 1;

static void die(const char *what)
{
    fprintf(stderr, "epoll_echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

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

/* -1 when the connection is to end. */
static int echo(struct worker *w, struct conn *c)
{
    ssize_t n = recv(c->fd, w->buf, sizeof(w->buf), 0), sent;

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    if (n == 0) {
        return -1;
    }
    sent = write_some(c->fd, w->buf, (size_t)n);
    if (sent < 0) {
        return -1;
    }
    return sent == n ? 0 : keep_rest(w, c, w->buf + sent, (size_t)(n - sent));
}

static void accept_one(struct conn *listener)
{
    static int next;
    int        on = 1;
    int        fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
    if (watch(&workers[next++ % nworkers], c, EPOLL_CTL_ADD, EPOLLIN) != 0) {
        end_conn(c);
    }
}

static struct conn listener;

static void *serve(void *arg)
{
    struct worker     *w = arg;
    struct epoll_event ev[EVENTS];

    for (;;) {
        int n = epoll_wait(w->ep, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c == &listener) {
                accept_one(c);
            } else if ((c->rest != NULL ? send_rest(w, c) : echo(w, c)) != 0) {
                end_conn(c);
            }
        }
    }
    return NULL;
}

static void listen_on(const char *text)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t          len = sizeof(at);
    const char        *colon = strrchr(text, ':');
    char               host[INET_ADDRSTRLEN] = "";
    int                on = 1;

    if (colon != NULL && colon - text < (long)sizeof(host)) {
        memcpy(host, text, (size_t)(colon - text));
        at.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1) {
        fprintf(stderr, "epoll_echo: address %s: give IPV4:PORT, as 127.0.0.1:0\n", text);
        exit(2);
    }
    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener.fd, (struct sockaddr *)&at, sizeof(at)) != 0
        || listen(listener.fd, SOMAXCONN) != 0
        || getsockname(listener.fd, (struct sockaddr *)&at, &len) != 0) {
        die(text);
    }
    printf("listening on %s:%d\n", host, ntohs(at.sin_port));
    fflush(stdout);
}

static void raise_nofile(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* epoll_echo [THREADS] IPV4:PORT */
int main(int argc, char **argv)
{
    if (argc == 3) {
        nworkers = atoi(argv[1]);
    }
    if (argc < 2 || argc > 3 || nworkers < 1 || nworkers > MAX_THREADS) {
        fprintf(stderr, "usage: epoll_echo [THREADS, 1 to %d] IPV4:PORT\n", MAX_THREADS);
        return 2;
    }
    raise_nofile();
    for (int i = 0; i < nworkers; i++) {
        workers[i].ep = epoll_create1(EPOLL_CLOEXEC);
        if (workers[i].ep < 0) {
            die("epoll_create1");
        }
    }
    listen_on(argv[argc - 1]);
    if (watch(&workers[0], &listener, EPOLL_CTL_ADD, EPOLLIN) != 0) {
        die("epoll_ctl");
    }
    for (int i = 1; i < nworkers; i++) {
        errno = pthread_create(&workers[i].thread, NULL, serve, &workers[i]);
        if (errno != 0) {
            die("pthread_create");
        }
    }
    serve(&workers[0]);
    return 0;
}
