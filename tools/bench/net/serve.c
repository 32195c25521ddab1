/* SPDX-License-Identifier: Apache-2.0 */
/* tools/bench/net/serve.c - how the hand-written servers begin; see serve.h. */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

void serve_die(const char *program, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
    exit(1);
}

void serve_usage(const char *program, int argc)
{
    if (argc == 3) {
        return;
    }
    fprintf(stderr, "usage: %s THREADS IPV4:PORT\n", program);
    exit(2);
}

void serve_all(const char *program, void *(*fn)(void *), void *workers, size_t bytes, int n)
{
    for (int i = 1; i < n; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, NULL, fn, (char *)workers + (size_t)i * bytes);
        if (errno != 0) {
            serve_die(program, "pthread_create");
        }
    }
    fn(workers);
}

int serve_threads(const char *program, const char *text)
{
    int n = atoi(text);

    if (n < 1 || n > SERVE_MAX_THREADS) {
        fprintf(stderr, "%s: threads %s: give a number from 1 to %d\n", program, text,
                SERVE_MAX_THREADS);
        exit(2);
    }
    return n;
}

static void raise_nofile(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static struct sockaddr_in parse(const char *program, const char *text)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    const char        *colon = strrchr(text, ':');
    char               host[INET_ADDRSTRLEN] = "";

    if (colon != NULL && colon - text < (long)sizeof(host)) {
        memcpy(host, text, (size_t)(colon - text));
        at.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1) {
        fprintf(stderr, "%s: address %s: give IPV4:PORT, as 127.0.0.1:0\n", program, text);
        exit(2);
    }
    return at;
}

int serve_listen(const char *program, const char *address)
{
    struct sockaddr_in at = parse(program, address);
    socklen_t          len = sizeof(at);
    char               host[INET_ADDRSTRLEN];
    int                on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    raise_nofile();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        serve_die(program, address);
    }
    inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host));
    printf("listening on %s:%d\n", host, ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}
