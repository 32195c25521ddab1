/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load_talk.c - what the load generator says, and what must come back.
 *
 * Owns the check of every byte.  An echo is cut from a pattern, elsewhere for each
 * connection and request.  An HTTP server is asked once before the run: that answer
 * must be a proper one with the body expected, and each later one must be the same to
 * the byte, save its date.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PERIOD   251 /* of the pattern; prime, so that neighbours differ */
#define DATE_LEN 29  /* "Sun, 06 Nov 1994 08:49:37 GMT" */
#define BODY     "Hello, World!"

static const char request_text[] = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   "User-Agent: weft-bench\r\nAccept: */*\r\n\r\n";

void *load_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (p == NULL) {
        load_die("no memory for %zu bytes", n * size);
    }
    return p;
}

static void begin_echo(struct load_talk *t, const struct load_options *opt)
{
    size_t len = opt->size * opt->depth;

    t->request_len = t->answer_len = len;
    t->bytes = load_alloc(len + PERIOD, 1);
    for (size_t i = 0; i < len + PERIOD; i++) {
        t->bytes[i] = (char)(i % PERIOD);
    }
}

/* How long the answer is that begins in text, or 0: not all of its head is there. */
static size_t answer_length(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *field = strcasestr(text, "\r\nContent-Length:");

    if (end == NULL) {
        return 0;
    }
    if (strncmp(text, "HTTP/1.1 200 ", 13) != 0 || field == NULL || field > end) {
        load_die("the server answers %.60s...: not 200 with a Content-Length", text);
    }
    return (size_t)(end + 4 - text) + strtoul(field + 17, NULL, 10);
}

static void ask_once(struct load_talk *t, const struct load_options *opt)
{
    static char text[4096];
    size_t      n = 0, want = sizeof(text) - 1;
    int         fd = load_connect(&opt->to, 0);

    load_send_all(fd, request_text, sizeof(request_text) - 1, 0);
    while (n < want) {
        size_t length;
        load_receive_all(fd, text + n, 1, 0);
        length = answer_length(text);
        n++;
        want = length > 0 && length < want ? length : want;
    }
    close(fd);
    t->answer = text;
    t->unit_len = n;
}

static void begin_http(struct load_talk *t, const struct load_options *opt)
{
    const size_t len = sizeof(request_text) - 1, body = sizeof(BODY) - 1;
    const char  *date;

    ask_once(t, opt);
    if (t->unit_len < body || memcmp(t->answer + t->unit_len - body, BODY, body) != 0) {
        load_die("the server's answer does not end in %s: %s", BODY, t->answer);
    }
    date = strcasestr(t->answer, "\r\nDate: ");
    t->date_at = date == NULL ? t->unit_len : (size_t)(date + 8 - t->answer);
    t->request_len = opt->depth * len;
    t->answer_len = opt->depth * t->unit_len;
    t->bytes = load_alloc(t->request_len, 1);
    for (size_t i = 0; i < opt->depth; i++) {
        memcpy(t->bytes + i * len, request_text, len);
    }
}

void load_talk_begin(struct load_talk *t, const struct load_options *opt)
{
    if (opt->http) {
        begin_http(t, opt);
    } else {
        begin_echo(t, opt);
    }
}

const char *load_talk_request(const struct load_talk *t, long id, long seq)
{
    return t->answer != NULL ? t->bytes : t->bytes + ((size_t)id * 13 + (size_t)seq * 7) % PERIOD;
}

static void check_bytes(const char *want, const char *buf, size_t n, size_t at, long id)
{
    if (memcmp(want, buf, n) == 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (want[i] != buf[i]) {
            load_die("connection %ld: byte %zu of an answer is %d, not %d", id, at + i,
                     (unsigned char)buf[i], (unsigned char)want[i]);
        }
    }
}

/* As much of one answer as buf holds, from its byte `at` on; how much that is. */
static size_t check_answer(const struct load_talk *t, size_t at, const char *buf, size_t n, long id)
{
    size_t date_end = t->date_at < t->unit_len ? t->date_at + DATE_LEN : t->unit_len, end;

    if (at >= t->date_at && at < date_end) {
        return n < date_end - at ? n : date_end - at;
    }
    end = at < t->date_at ? t->date_at : t->unit_len;
    n = n < end - at ? n : end - at;
    check_bytes(t->answer + at, buf, n, at, id);
    return n;
}

void load_talk_check(const struct load_talk *t, const char *request, size_t at, const char *buf,
                     size_t n, long id)
{
    if (at + n > t->answer_len) {
        load_die("connection %ld: got %zu bytes more than it must", id, at + n - t->answer_len);
    }
    if (t->answer == NULL) {
        check_bytes(request + at, buf, n, at, id);
        return;
    }
    for (size_t done = 0; done < n;) {
        done += check_answer(t, (at + done) % t->unit_len, buf + done, n - done, id);
    }
}
