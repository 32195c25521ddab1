/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/tools/evil_echo.c - an echo server that does one thing wrong, to see that the stress
 * tool notices.
 *
 *     evil_echo FAULT AFTER
 *
 * listens on a free port of 127.0.0.1, says so, and echoes.  Once a connection has echoed AFTER
 * bytes it commits its fault:
 *
 *   none       never
 *   corrupt    one bit of one byte is flipped, once
 *   drop       one byte is left out, once
 *   duplicate  one byte is sent twice, once
 *   stale      the message before is sent again instead of the one that came, once
 *   swap       two connections get each other's bytes, once
 *   close      every connection is closed
 *   reset      every connection is reset
 *   silent     nothing is answered any more
 *   extra      one byte more is sent when the client has ended its half
 *
 * One thread, blocking writes: it is meant for messages that fit into a socket's buffer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CLIENTS  256
#define BUFFER_BYTES 65536

enum fault {
    FAULT_NONE,
    FAULT_CORRUPT,
    FAULT_DROP,
    FAULT_DUPLICATE,
    FAULT_STALE,
    FAULT_SWAP,
    FAULT_CLOSE,
    FAULT_RESET,
    FAULT_SILENT,
    FAULT_EXTRA,
    FAULTS
};

static const char *const fault_names[FAULTS] = {
    "none", "corrupt", "drop", "duplicate", "stale", "swap", "close", "reset", "silent", "extra",
};

struct client {
    size_t echoed;
    size_t before; /* bytes of the message before, for stale */
    char   last[BUFFER_BYTES];
};

/* fds[0] is the listener; fds[i] is clients[i]. */
static struct pollfd  fds[MAX_CLIENTS + 1];
static struct client *clients[MAX_CLIENTS + 1];
static int            used = 1;

static enum fault fault;
static size_t     after;
static bool       committed; /* the faults that happen once */

static int    held = -1; /* swap: the connection that waits for a partner ... */
static char   held_bytes[BUFFER_BYTES];
static size_t held_count; /* ... and what it sent */

static void send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent < 0) {
            return; /* the client is gone; its next read tells */
        }
        data += sent;
        n -= (size_t)sent;
    }
}

static void drop(int i)
{
    if (held == fds[i].fd) {
        held = -1;
    }
    close(fds[i].fd);
    free(clients[i]);
    used--;
    fds[i] = fds[used];
    clients[i] = clients[used];
}

static void reset(int i)
{
    const struct linger hard = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fds[i].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    drop(i);
}

/* Keep the first connection's bytes until a second comes, then answer each with the other's. */
static void swap(int fd, const char *data, size_t n)
{
    if (held < 0) {
        held = fd;
        held_count = n;
        memcpy(held_bytes, data, n);
    } else {
        send_all(fd, held_bytes, held_count);
        send_all(held, data, n);
        committed = true;
    }
}

/* Echo a message wrongly; false: client i is gone. */
static bool misbehave(int i, char *data, size_t n)
{
    const size_t middle = n / 2;
    const int    fd = fds[i].fd;

    switch (fault) {
    case FAULT_CORRUPT:
        data[middle] ^= 0x10;
        send_all(fd, data, n);
        break;
    case FAULT_DROP:
        send_all(fd, data, middle);
        send_all(fd, data + middle + 1, n - middle - 1);
        break;
    case FAULT_DUPLICATE:
        send_all(fd, data, middle + 1);
        send_all(fd, data + middle, n - middle);
        break;
    case FAULT_STALE:
        send_all(fd, clients[i]->last, clients[i]->before);
        break;
    case FAULT_SWAP:
        swap(fd, data, n);
        return true;
    case FAULT_CLOSE:
        drop(i);
        return false;
    case FAULT_RESET:
        reset(i);
        return false;
    case FAULT_SILENT:
        return true;
    default:
        send_all(fd, data, n);
        return true;
    }
    committed = true;
    return true;
}

/* False: client i is gone, and another has its place. */
static bool serve(int i)
{
    static char   data[BUFFER_BYTES];
    const int     fd = fds[i].fd;
    const ssize_t n = read(fd, data, sizeof(data));

    if (n <= 0) {
        if (n == 0 && fault == FAULT_EXTRA && clients[i]->echoed >= after) {
            send_all(fd, "!", 1);
        }
        drop(i);
        return false;
    }
    if (clients[i]->echoed >= after && !committed) {
        return misbehave(i, data, (size_t)n);
    }
    send_all(fd, data, (size_t)n);
    clients[i]->echoed += (size_t)n;
    clients[i]->before = (size_t)n;
    memcpy(clients[i]->last, data, (size_t)n);
    return true;
}

static void accept_one(void)
{
    const int on = 1;
    int       fd = accept(fds[0].fd, NULL, NULL);

    if (fd < 0 || used > MAX_CLIENTS) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    clients[used] = calloc(1, sizeof(struct client));
    fds[used] = (struct pollfd){ .fd = fd, .events = POLLIN };
    used++;
}

static int listen_anywhere(void)
{
    struct sockaddr_in where = { .sin_family = AF_INET };
    socklen_t          length = sizeof(where);
    int                fd = socket(AF_INET, SOCK_STREAM, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&where, length) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&where, &length) < 0) {
        perror("evil_echo");
        exit(1);
    }
    printf("listening on 127.0.0.1:%u\n", ntohs(where.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    int kind = 0;

    while (argc == 3 && kind < FAULTS && strcmp(argv[1], fault_names[kind]) != 0) {
        kind++;
    }
    if (argc != 3 || kind == FAULTS) {
        fputs("usage: evil_echo FAULT AFTER\n", stderr);
        return 2;
    }
    fault = (enum fault)kind;
    after = strtoul(argv[2], NULL, 10);
    fds[0] = (struct pollfd){ .fd = listen_anywhere(), .events = POLLIN };
    while (poll(fds, (nfds_t)used, -1) > 0) {
        for (int i = 1; i < used;) {
            if (fds[i].revents == 0 || serve(i)) {
                fds[i].revents = 0;
                i++;
            }
        }
        if (fds[0].revents != 0) {
            accept_one();
        }
    }
    return 0;
}
