/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-echo/main.c - an echo server on weft: one coroutine accepts, each connection has one of
 * its own, a third waits for signals.
 *
 * Bytes are borrowed from weft's buffers and written straight from there, so that a waiting
 * connection holds its coroutine and nothing else, after a second not even most of its stack.
 * serve() must keep its frame small for the same reason: no buffers, no formatting.
 */
#include <stdatomic.h>
#include <weft.h>

#include "options.h"

#define CLI_PROGRAM "weft-echo"
#include "../cli.h"

#define CHUNK_BYTES ((size_t)16384) /* most that one borrow takes */
#define STACK_BYTES ((size_t)65536) /* address space; formatting a message is the deepest use */
#define IDLE_NS     WEFT_S          /* a connection gives its stack back after that */

struct server {
    struct options options;
    int            signal_fd; /* a byte for each signal, until signals owns it */
    weft_conn      signals;
    weft_listener  listener;
    weft_group     connections;
    atomic_long    open;    /* connections, for the message of a drain */
    atomic_long    refused; /* connections for which no coroutine could be started */
};

struct client {
    struct server *server;
    weft_conn      conn;
};

/* ---- One connection ------------------------------------------------------ */

static int serve(void *arg)
{
    const struct client *client = arg;
    const void          *data;
    ssize_t              n;

    weft_hibernate(IDLE_NS); /* nobody else knows an address in this stack */
    do {
        n = weft_conn_borrow(client->conn, &data, CHUNK_BYTES);
        if (n > 0) {
            n = weft_conn_write(client->conn, data, (size_t)n);
        }
    } while (n > 0);
    weft_conn_close(client->conn);
    atomic_fetch_sub(&client->server->open, 1);
    return 0;
}

/* A connection that nobody can serve is closed; the first time it is said. */
static void refuse(struct server *server, weft_conn conn, int err)
{
    weft_conn_close(conn);
    atomic_fetch_sub(&server->open, 1);
    if (atomic_fetch_add(&server->refused, 1) == 0) {
        fprintf(stderr, "weft-echo: cannot start a coroutine for a connection: %s; closing it\n",
                strerror(-err));
    }
}

static int accept_all(struct server *server)
{
    struct client client = { .server = server };
    int           err;

    while ((err = weft_listener_accept(server->listener, &client.conn)) == 0) {
        atomic_fetch_add(&server->open, 1);
        int failed = weft_group_go(&server->connections, serve, &client, sizeof(client));
        if (failed < 0) {
            refuse(server, client.conn, failed);
        }
    }
    return err;
}

/* ---- Stopping ------------------------------------------------------------ */

/* The first signal ends accepting, the second ends the grace. */
static void watch_signals(void *arg)
{
    struct server *server = arg;
    char           byte;

    if (weft_conn_read(server->signals, &byte, 1) == 1) {
        weft_listener_close(server->listener);
        if (weft_conn_read(server->signals, &byte, 1) == 1) {
            weft_group_cancel(&server->connections);
        }
    }
}

static void drain(struct server *server)
{
    const long grace = server->options.grace_seconds;
    int        err;

    err = weft_group_wait(&server->connections, weft_after(grace * WEFT_S), NULL);
    if (err == -ETIMEDOUT) {
        fprintf(stderr, "weft-echo: connections still open after %ld s, now closed: %ld\n", grace,
                atomic_load(&server->open));
        weft_group_cancel(&server->connections);
        err = weft_group_wait(&server->connections, WEFT_FOREVER, NULL);
    }
    if (err < 0) {
        fprintf(stderr, "weft-echo: waiting for connections to end: %s\n", strerror(-err));
    }
}

/* ---- Starting ------------------------------------------------------------ */

static int cannot_listen(const char *address, int err)
{
    switch (err) {
    case -EINVAL:
        return cli_bad_input("malformed address '%s': give HOST:PORT with a numeric host, such as "
                             "127.0.0.1:7000 (port 0 takes a free one)",
                             address);
    case -EADDRINUSE:
        return cli_bad_input("cannot listen on '%s': the port is in use; give another, or port 0 "
                             "for a free one",
                             address);
    case -EADDRNOTAVAIL:
        return cli_bad_input("cannot listen on '%s': not an address of this machine; give one "
                             "that is, such as 127.0.0.1:0",
                             address);
    case -EACCES:
        return cli_bad_input("cannot listen on '%s': permission denied; give a port from 1024 up",
                             address);
    default:
        return cli_bad_input("cannot listen on '%s': %s; give another address", address,
                             strerror(-err));
    }
}

static int announce(weft_listener listener)
{
    char address[WEFT_ADDR_MAX];
    int  err = weft_listener_address(listener, address);

    if (err == 0 && (printf("listening on %s\n", address) < 0 || fflush(stdout) != 0)) {
        err = -errno;
    }
    if (err < 0) {
        fprintf(stderr, "weft-echo: cannot announce the address: %s\n", strerror(-err));
        return 1;
    }
    return 0;
}

static int start_watching(struct server *server)
{
    int err = weft_conn_adopt(&server->signals, server->signal_fd);

    if (err == 0) {
        err = weft_go(watch_signals, server, 0);
    }
    return err;
}

static int run(void *arg)
{
    struct server *server = arg;
    int            err = weft_listen(&server->listener, "tcp", server->options.address);

    if (err < 0) {
        return cannot_listen(server->options.address, err);
    }
    err = start_watching(server);
    if (err < 0) {
        fprintf(stderr, "weft-echo: cannot watch for signals: %s\n", strerror(-err));
        return 1;
    }
    if (announce(server->listener) != 0) {
        return 1;
    }
    err = accept_all(server);
    weft_listener_close(server->listener);
    drain(server);
    if (err == -EBADF) {
        return 0; /* the listener was closed: the orderly end */
    }
    fprintf(stderr, "weft-echo: cannot go on accepting: %s\n", strerror(-err));
    return 1;
}

int main(int argc, char **argv)
{
    static struct server server; /* outlives every coroutine */
    weft_options         options = { .stack_size = STACK_BYTES };
    int                  status = options_parse(&server.options, argc, argv);

    if (status != OPTIONS_GO) {
        return status;
    }
    cli_raise_nofile();
    server.signal_fd = cli_signals_to_pipe();
    if (server.signal_fd < 0) {
        fprintf(stderr, "weft-echo: cannot make a pipe for signals: %s\n",
                strerror(-server.signal_fd));
        return 1;
    }
    options.procs = server.options.procs;
    status = weft_run(&options, run, &server);
    if (status < 0) {
        fprintf(stderr, "weft-echo: cannot start the runtime: %s\n", strerror(-status));
        return 1;
    }
    return status;
}
