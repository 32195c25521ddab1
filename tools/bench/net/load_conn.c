/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load_conn.c - the load generator's sockets.
 *
 * Owns where a connection comes from: each of 127.0.0.0/8 has its own 28,000 ports,
 * and one that we closed stays used for a minute, so the addresses take turns.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { ADDRESSES = 250 };

static bool is_loopback(const struct sockaddr_in *to)
{
    return (ntohl(to->sin_addr.s_addr) >> 24) == 127;
}

/* The kernel chooses the port when it knows the other end: any that is free towards it. */
static int take_next_address(int fd)
{
    static unsigned    next;
    int                on = 1;
    struct sockaddr_in from = { .sin_family = AF_INET };

    from.sin_addr.s_addr = htonl(0x7f000102u + next++ % ADDRESSES); /* 127.0.1.2 and on */
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0) {
        return -1;
    }
    return bind(fd, (struct sockaddr *)&from, sizeof(from));
}

int load_connect(const struct sockaddr_in *to, long id)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        load_die("connection %ld: socket: %s", id, strerror(errno));
    }
    if (is_loopback(to) && take_next_address(fd) != 0) {
        load_die("connection %ld: bind: %s", id, strerror(errno));
    }
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0) {
        load_die("connection %ld to port %d: %s", id, ntohs(to->sin_port), strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

void load_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        load_die("fcntl: %s", strerror(errno));
    }
}

void load_send_all(int fd, const char *buf, size_t n, long id)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = send(fd, buf + done, n - done, MSG_NOSIGNAL);
        if (got < 0 && errno != EINTR) {
            load_die("connection %ld: send: %s", id, strerror(errno));
        }
        done += got < 0 ? 0 : (size_t)got;
    }
}

void load_receive_all(int fd, char *buf, size_t n, long id)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = recv(fd, buf + done, n - done, 0);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            load_die("connection %ld: %zu of %zu bytes came back: %s", id, done, n,
                     got == 0 ? "end of stream" : strerror(errno));
        }
        done += got < 0 ? 0 : (size_t)got;
    }
}
