/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/echo_thread.c - the echo server with a blocking thread for each client.
 *
 *     echo_thread 127.0.0.1:7000
 *
 * What it shows: the code reads from top to bottom, as the protocol does.  What it costs: a
 * thread for each client, idle or not, and a switch through the kernel for each request.
 * SIGTERM ends it.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "echo_listen.h"

#define STACK_BYTES ((size_t)65536) /* instead of 8 MiB: there may be thousands */

static bool write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t written = send(fd, data, n, MSG_NOSIGNAL);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            data += written;
            n -= (size_t)written;
        }
    }
    return true;
}

static void *serve(void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char      buffer[4096];
    ssize_t   n;

    no_delay(fd);
    while ((n = read(fd, buffer, sizeof(buffer))) > 0 && write_all(fd, buffer, (size_t)n)) {
    }
    close(fd);
    return NULL;
}

static void start_client(int fd)
{
    pthread_attr_t attr;
    pthread_t      thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd) != 0) {
        close(fd); /* no more threads: turn this client away */
    }
    pthread_attr_destroy(&attr);
}

static void *accept_all(void *arg)
{
    const int listener = (int)(intptr_t)arg;

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            start_client(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            usleep(10000); /* let some client go first */
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const int listener = listen_on("echo_thread", argc == 2 ? argv[1] : NULL, 0);
    sigset_t  term;
    pthread_t acceptor;
    int       signo;

    /* Every thread inherits the mask, so only sigwait ever sees SIGTERM. */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    if (pthread_create(&acceptor, NULL, accept_all, (void *)(intptr_t)listener) != 0) {
        fputs("echo_thread: cannot start a thread\n", stderr);
        return 1;
    }
    sigwait(&term, &signo);
    return 0; /* ends the other threads too */
}
