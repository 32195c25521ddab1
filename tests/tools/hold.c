/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/tools/hold.c - connections that do nothing: it opens them one after the other, has each
 * echo one message, says `held COUNT` and keeps them until its standard input ends.
 *
 *     hold COUNT PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MESSAGE_BYTES 64

static int complain(const char *what, long i)
{
    fprintf(stderr, "hold: connection %ld: %s: ", i, what);
    perror("");
    return 1;
}

/* 0: it echoed what it was sent. */
static int hold_one(long i, in_port_t port)
{
    const struct timeval limit = { .tv_sec = 20 };
    struct sockaddr_in   where = { .sin_family = AF_INET, .sin_port = htons(port) };
    char                 sent[MESSAGE_BYTES], seen[MESSAGE_BYTES];
    int                  fd = socket(AF_INET, SOCK_STREAM, 0);

    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&where, sizeof(where)) < 0) {
        return complain("connect", i);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    memset(sent, 0, sizeof(sent));
    snprintf(sent, sizeof(sent), "message of connection %ld", i);
    if (send(fd, sent, sizeof(sent), MSG_NOSIGNAL) != MESSAGE_BYTES ||
        recv(fd, seen, sizeof(seen), MSG_WAITALL) != MESSAGE_BYTES) {
        return complain("echo", i);
    }
    return memcmp(sent, seen, sizeof(sent)) == 0 ? 0 : complain("wrong bytes", i);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    char          byte;

    if (argc != 3) {
        fputs("usage: hold COUNT PORT\n", stderr);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (long i = 0; i < atol(argv[1]); i++) {
        if (hold_one(i, (in_port_t)atol(argv[2])) != 0) {
            return 1;
        }
    }
    printf("held %s\n", argv[1]);
    fflush(stdout);
    return read(STDIN_FILENO, &byte, 1) < 0 ? 1 : 0;
}
