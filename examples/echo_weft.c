/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/echo_weft.c - the echo server on weft: an accept loop and a coroutine per client.
 *
 *     echo_weft 127.0.0.1:7000
 *
 * What it shows: the code of echo_thread, on the machinery of echo_epoll.  serve() reads as if
 * it blocked, but where it would wait it parks: the thread runs other clients, and one epoll
 * for all wakes this one again.  As many threads run as there are CPUs, and share the work.
 * SIGTERM ends it.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <weft.h>

struct server {
    const char   *address;
    sigset_t      term;
    weft_listener listener;
};

static void serve(void *arg)
{
    const weft_conn conn = *(weft_conn *)arg;
    char            buffer[4096];
    ssize_t         n;

    while ((n = weft_conn_read(conn, buffer, sizeof(buffer))) > 0 &&
           weft_conn_write(conn, buffer, (size_t)n) > 0) {
    }
    weft_conn_close(conn);
}

/* sigwait blocks its thread; said to do so, it holds up nobody else. */
static void close_on_term(void *arg)
{
    struct server *server = arg;
    int            signo;

    weft_block_enter();
    sigwait(&server->term, &signo);
    weft_block_leave();
    weft_listener_close(server->listener); /* the accept that waits ends with -EBADF */
}

static int listen_on(struct server *server)
{
    char address[WEFT_ADDR_MAX];
    int  err = weft_listen(&server->listener, "tcp", server->address);

    if (err == 0) {
        err = weft_go(close_on_term, server, 0);
    }
    if (err == 0) {
        err = weft_listener_address(server->listener, address);
    }
    if (err < 0) {
        fprintf(stderr,
                "echo_weft: cannot listen on '%s': %s; give HOST:PORT, such as "
                "127.0.0.1:7000\n",
                server->address, strerror(-err));
        return err;
    }
    printf("listening on %s\n", address);
    fflush(stdout);
    return 0;
}

/* The main coroutine: when it returns, weft ends all others. */
static int run(void *arg)
{
    struct server *server = arg;
    weft_conn      conn;

    if (listen_on(server) < 0) {
        return 2;
    }
    while (weft_listener_accept(server->listener, &conn) == 0) {
        if (weft_go(serve, &conn, sizeof(conn)) < 0) {
            weft_conn_close(conn); /* no memory for another coroutine: turn this client away */
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct server server; /* outlives every coroutine */
    struct rlimit        files;

    server.address = argc == 2 ? argv[1] : "";
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Every thread inherits the mask, so only sigwait ever sees SIGTERM. */
    sigemptyset(&server.term);
    sigaddset(&server.term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &server.term, NULL);
    return weft_run(NULL, run, &server) == 0 ? 0 : 2;
}
