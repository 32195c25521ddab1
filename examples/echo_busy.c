/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/echo_busy.c - the echo server with non-blocking sockets and busy polling.
 *
 *     echo_busy 127.0.0.1:7000
 *
 * What it shows: one thread serves everybody by asking everybody, over and over.  What it
 * costs: a whole core even when nothing happens, and a failing read for each client that has
 * nothing to say; with thousands of clients each waits for a round through all others.
 * SIGTERM ends it.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "echo_listen.h"

#define BUFFER_BYTES 4096

struct client {
    int    fd;
    size_t begin, end; /* what was read and is still to be written: buffer[begin, end) */
    char   buffer[BUFFER_BYTES];
};

static struct client       **clients;
static size_t                count, room;
static volatile sig_atomic_t stopping;

static void on_term(int signo)
{
    (void)signo;
    stopping = 1;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* False: the client is gone. */
static bool try_write(struct client *c)
{
    ssize_t n = send(c->fd, c->buffer + c->begin, c->end - c->begin, MSG_NOSIGNAL);

    if (n < 0) {
        return would_block();
    }
    c->begin += (size_t)n;
    return true;
}

/* False: the client is gone. */
static bool try_read(struct client *c)
{
    ssize_t n = read(c->fd, c->buffer, sizeof(c->buffer));

    if (n <= 0) {
        return n < 0 && would_block();
    }
    c->begin = 0;
    c->end = (size_t)n;
    return try_write(c);
}

static bool try_client(struct client *c)
{
    return c->begin < c->end ? try_write(c) : try_read(c);
}

/* Room for one more; false for want of memory. */
static bool make_room(void)
{
    if (count < room) {
        return true;
    }
    const size_t    more = room == 0 ? 64 : 2 * room;
    struct client **grown = realloc(clients, more * sizeof(struct client *));
    if (grown == NULL) {
        return false;
    }
    clients = grown;
    room = more;
    return true;
}

static void try_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        return; /* nobody there, or no descriptor left: ask again on the next round */
    }
    struct client *c = malloc(sizeof(*c));
    if (c == NULL || !make_room()) {
        free(c);
        close(fd);
        return;
    }
    no_delay(fd);
    c->fd = fd;
    c->begin = c->end = 0;
    clients[count++] = c;
}

static void drop(size_t i)
{
    close(clients[i]->fd);
    free(clients[i]);
    clients[i] = clients[--count];
}

static void try_everybody(void)
{
    for (size_t i = 0; i < count;) {
        if (try_client(clients[i])) {
            i++;
        } else {
            drop(i); /* the last one takes its place */
        }
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_term };
    const int        listener = listen_on("echo_busy", argc == 2 ? argv[1] : NULL, SOCK_NONBLOCK);

    sigaction(SIGTERM, &action, NULL);
    while (!stopping) {
        try_accept(listener);
        try_everybody();
    }
    return 0;
}
