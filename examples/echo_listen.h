/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examples/echo_listen.h - what echo_thread, echo_busy and echo_epoll do alike before they
 * differ: bind, listen, say where.  Plain sockets; weft has no part in it.
 */
#ifndef ECHO_LISTEN_H
#define ECHO_LISTEN_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* "127.0.0.1:7000" as the system has it. */
static bool parse_address(const char *text, struct sockaddr_in *out)
{
    char        host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    char       *end;

    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) || colon[1] < '0' ||
        colon[1] > '9') {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    const unsigned long port = strtoul(colon + 1, &end, 10);
    *out = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };
    return *end == '\0' && port <= 65535 && inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static void announce(int listener)
{
    struct sockaddr_in address = { 0 };
    socklen_t          length = sizeof(address);
    char               host[INET_ADDRSTRLEN];

    getsockname(listener, (struct sockaddr *)&address, &length);
    inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
    printf("listening on %s:%u\n", host, ntohs(address.sin_port));
    fflush(stdout);
}

/* Raises the limit on open files as far as it goes, and returns it. */
static size_t most_files(void)
{
    struct rlimit files = { 0, 0 };

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur;
}

/*
 * A listening socket, its address printed; flags are those of socket(2).  A bad address ends
 * the program: one line on stderr, exit status 2.
 */
static int listen_on(const char *program, const char *address, int flags)
{
    const int          on = 1;
    struct sockaddr_in where;

    if (address == NULL || !parse_address(address, &where)) {
        fprintf(stderr,
                "%s: malformed address '%s': give an IPv4 address and a port, such as "
                "127.0.0.1:7000\n",
                program, address == NULL ? "" : address);
        exit(2);
    }
    most_files();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof(where)) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        fprintf(stderr, "%s: cannot listen on '%s': %m; give another address\n", program, address);
        exit(2);
    }
    announce(fd);
    return fd;
}

/* Send small answers at once. */
static void no_delay(int fd)
{
    const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

#endif
