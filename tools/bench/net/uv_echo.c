/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/uv_echo.c - the echo server on libuv: one loop.
 *
 * Owns the peer of the callback style.  A write is tried at once, as libuv's experts
 * do, and queued only when the socket is full.
 */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define PROGRAM "uv_echo"

static char buffer[64 * 1024]; /* one loop: no two reads at the same time */

struct pending {
    uv_write_t req;
    char       bytes[];
};

static void must(const char *what, int err)
{
    if (err < 0) {
        fprintf(stderr, PROGRAM ": %s: %s\n", what, uv_strerror(err));
        exit(1);
    }
}

static void free_conn(uv_handle_t *h)
{
    free(h);
}

static void written(uv_write_t *req, int status)
{
    (void)status; /* a lost connection ends at its next read */
    free(req);
}

static void write_later(uv_stream_t *s, const char *p, size_t n)
{
    struct pending *w = malloc(sizeof(*w) + n);
    uv_buf_t        rest;

    must("malloc", w == NULL ? UV_ENOMEM : 0);
    memcpy(w->bytes, p, n);
    rest = uv_buf_init(w->bytes, (unsigned)n);
    if (uv_write(&w->req, s, &rest, 1, written) < 0) {
        free(w);
    }
}

static void take_buffer(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
    (void)h, (void)hint;
    *out = uv_buf_init(buffer, sizeof(buffer));
}

static void echo(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);
    int      sent;

    if (n == 0) {
        return;
    }
    sent = n < 0 ? (int)n : uv_try_write(s, &out, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        uv_close((uv_handle_t *)s, free_conn);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    if (sent < n) {
        write_later(s, buf->base + sent, (size_t)(n - sent));
    }
}

static void accept_one(uv_stream_t *listener, int status)
{
    uv_tcp_t *c = malloc(sizeof(*c));

    must("malloc", c == NULL ? UV_ENOMEM : 0);
    must("uv_tcp_init", uv_tcp_init(listener->loop, c));
    if (status < 0 || uv_accept(listener, (uv_stream_t *)c) < 0) {
        uv_close((uv_handle_t *)c, free_conn);
        return;
    }
    uv_tcp_nodelay(c, 1);
    must("uv_read_start", uv_read_start((uv_stream_t *)c, take_buffer, echo));
}

/* uv_echo IPV4:PORT */
int main(int argc, char **argv)
{
    uv_loop_t loop;
    uv_tcp_t  listener;

    if (argc != 2) {
        fprintf(stderr, "usage: " PROGRAM " IPV4:PORT\n");
        return 2;
    }
    must("uv_loop_init", uv_loop_init(&loop));
    must("uv_tcp_init", uv_tcp_init(&loop, &listener));
    must("uv_tcp_open", uv_tcp_open(&listener, serve_listen(PROGRAM, argv[1])));
    must("uv_listen", uv_listen((uv_stream_t *)&listener, 4096, accept_one));
    return uv_run(&loop, UV_RUN_DEFAULT);
}
