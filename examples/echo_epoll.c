/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/echo_epoll.c - the echo server as a hand-written epoll loop.
 *
 *     echo_epoll 127.0.0.1:7000
 *
 * What it shows: one thread, one epoll_wait for many clients, each registered once and
 * edge-triggered; about as fast as one core gets.  What it costs: the code is turned inside
 * out.  A client is a record, and whatever the protocol remembers between two bytes has to be
 * put there by hand: here only what could not be written yet, and already that makes two
 * states, "reading" and "held up", and a function for each way between them.
 * SIGTERM ends it.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "echo_listen.h"

#define BUFFER_BYTES 16384
#define EVENTS       64
#define TURN_ROUNDS  16 /* reads in a row for one client before the others have their turn */

struct client {
    int    fd;
    bool   ending;      /* the peer's end or an error was reported: read on until it shows */
    char  *held;        /* what could not be written yet; NULL: nothing, go on reading */
    size_t begin, size; /* of held: still to be written is held[begin, size) */
};

static struct client *clients; /* by descriptor */
static int            listener, term, epoll_fd;
static bool           out_of_files; /* connections wait because accept found no descriptor */
static bool           stopping;

static void watch(int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        fprintf(stderr, "echo_epoll: epoll_ctl: %m\n");
        exit(1);
    }
}

#define CLIENT_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void accept_clients(void)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0 ||
           errno == ECONNABORTED) {
        if (fd < 0) {
            continue; /* that one left while it waited */
        }
        no_delay(fd);
        clients[fd] = (struct client){ .fd = fd };
        watch(fd, CLIENT_EVENTS);
    }
    out_of_files = errno == EMFILE || errno == ENFILE;
}

static void drop(struct client *c)
{
    free(c->held);
    c->held = NULL;
    close(c->fd);
    if (out_of_files) {
        accept_clients(); /* now there is a descriptor, and the edge is long past */
    }
}

/* How many bytes went; -1: the client is gone. */
static ssize_t write_some(struct client *c, const char *data, size_t n)
{
    const ssize_t written = send(c->fd, data, n, MSG_NOSIGNAL);

    return written < 0 && errno == EAGAIN ? 0 : written;
}

/* Keep what could not be written: false for want of memory. */
static bool hold(struct client *c, const char *data, size_t n)
{
    c->held = malloc(n);
    if (c->held == NULL) {
        return false;
    }
    memcpy(c->held, data, n);
    c->begin = 0;
    c->size = n;
    return true;
}

/* Write what is held; false: the client is gone. */
static bool release(struct client *c)
{
    ssize_t n = write_some(c, c->held + c->begin, c->size - c->begin);

    if (n < 0) {
        return false;
    }
    c->begin += (size_t)n;
    if (c->begin == c->size) {
        free(c->held);
        c->held = NULL;
    }
    return true;
}

/* After a turn's worth of reads, queue behind the others: MOD reports again what is there. */
static bool queue_again(struct client *c)
{
    struct epoll_event event = { .events = CLIENT_EVENTS, .data.fd = c->fd };

    return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) == 0;
}

/* Read and echo until nothing is left or the peer takes no more; false: the client is gone. */
static bool echo(struct client *c)
{
    static char buffer[BUFFER_BYTES]; /* one thread: one is enough */

    for (int round = 0; round < TURN_ROUNDS; round++) {
        const ssize_t n = read(c->fd, buffer, sizeof(buffer));
        if (n <= 0) {
            return n < 0 && errno == EAGAIN;
        }
        const ssize_t written = write_some(c, buffer, (size_t)n);
        if (written < 0) {
            return false;
        }
        if (written < n) {
            return hold(c, buffer + written, (size_t)(n - written));
        }
        if ((size_t)n < sizeof(buffer) && !c->ending) {
            return true; /* a short read emptied the socket; what comes now is a new edge */
        }
    }
    return queue_again(c);
}

static void on_client(struct client *c, uint32_t events)
{
    c->ending = c->ending || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    const bool stays = (c->held == NULL || release(c)) && (c->held != NULL || echo(c));
    if (!stays) {
        drop(c);
    }
}

static void on_event(int fd, uint32_t events)
{
    if (fd == term) {
        stopping = true;
    } else if (fd == listener) {
        accept_clients();
    } else {
        on_client(&clients[fd], events);
    }
}

static void start(const char *address)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    term = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = listen_on("echo_epoll", address, SOCK_NONBLOCK);
    clients = calloc(most_files(), sizeof(*clients));
    if (clients == NULL) {
        fputs("echo_epoll: no memory for the clients\n", stderr);
        exit(1);
    }
    watch(listener, EPOLLIN | EPOLLET);
    watch(term, EPOLLIN);
}

int main(int argc, char **argv)
{
    start(argc == 2 ? argv[1] : NULL);
    while (!stopping) {
        struct epoll_event events[EVENTS];
        const int          n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            on_event(events[i].data.fd, events[i].events);
        }
    }
    return 0;
}
