/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/thread_echo.c - the echo server of a thread for each connection.
 *
 * Owns the simplest peer: blocking calls, small stacks, nothing else.
 */
#include "serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRAM "thread_echo"
#define BUFFER  4096
#define STACK   (64 * 1024)

static int send_all(int fd, const char *p, ssize_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, (size_t)n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return -1;
        }
        p += sent < 0 ? 0 : sent;
        n -= sent < 0 ? 0 : sent;
    }
    return 0;
}

static void *serve(void *arg)
{
    int     fd = (int)(intptr_t)arg;
    char    buf[BUFFER];
    ssize_t n;

    do {
        n = recv(fd, buf, sizeof(buf), 0);
    } while ((n > 0 && send_all(fd, buf, n) == 0) || (n < 0 && errno == EINTR));
    close(fd);
    return NULL;
}

/* thread_echo IPV4:PORT */
int main(int argc, char **argv)
{
    pthread_attr_t attr;
    int            on = 1, listener;

    if (argc != 2) {
        fprintf(stderr, "usage: " PROGRAM " IPV4:PORT\n");
        return 2;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    listener = serve_listen(PROGRAM, argv[1]);
    for (;;) {
        pthread_t thread;
        int       fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            continue; /* taken back by the peer, or out of descriptors */
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        errno = pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd);
        if (errno != 0) {
            serve_die(PROGRAM, "pthread_create");
        }
    }
}
