/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/hello.h - HTTP for the servers of ours: requests are parsed, hello is answered.
 *
 * Owns what weft's HTTP server and the hand-written one share, so that the row compares
 * how they wait and not how they parse: http_parser from Debian's package.  Built without
 * it (no HELLO_PARSER), the same servers echo.
 */
#ifndef WEFT_BENCH_HELLO_H
#define WEFT_BENCH_HELLO_H

#include <stddef.h>

#ifdef HELLO_PARSER
#include <http_parser.h>
#endif

#define HELLO_ANSWER \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"

/* The state of one connection. */
struct hello {
#ifdef HELLO_PARSER
    http_parser parser;
#else
    char none;
#endif
};

void hello_begin(struct hello *h);
/* Takes n bytes; how many requests ended in them, or -1: this is no HTTP, or the last
 * request was the connection's last. */
long hello_read(struct hello *h, const char *bytes, size_t n);
/* So many answers, as far as there is room for them (64 bytes of a request give at most 100). */
size_t hello_write(char *out, size_t room, long answers);

#endif
