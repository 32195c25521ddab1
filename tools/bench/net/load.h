/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load.h - what the load generator's files share.
 *
 * Owns the parts around load.c's loop: the command line, what is said to a server
 * and must come back, the connections, the clocks, the latency histogram and the
 * one line of figures.  Must do nothing per request but say, check and count it.
 */
#ifndef WEFT_BENCH_LOAD_H
#define WEFT_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LOAD_MAX_PIDS = 64 };

struct load_options {
    long               conns, rate; /* rate 0: closed loop */
    long               max_requests;
    size_t             size, depth; /* bytes of a message; messages in flight on a connection */
    int64_t            duration_ns, warmup_ns;
    pid_t              pids[LOAD_MAX_PIDS]; /* whose CPU clocks to read */
    int                npids;
    bool               http, churn, idle;
    struct sockaddr_in to;
};

__attribute__((noreturn, format(printf, 1, 2))) void load_die(const char *fmt, ...);

int64_t load_now(void);
void   *load_alloc(size_t n, size_t size); /* zeroed */
void    load_raise_nofile(long need);
void    load_options_parse(struct load_options *opt, int argc, char **argv);

/* ---- load_conn.c: a socket ------------------------------------------------ */

int  load_connect(const struct sockaddr_in *to, long id); /* blocks until it is there */
void load_nonblocking(int fd);
void load_receive_all(int fd, char *buf, size_t n, long id); /* on a blocking one */
void load_send_all(int fd, const char *buf, size_t n, long id);

/* ---- load_talk.c: what is said and must come back ------------------------- */

struct load_talk {
    size_t request_len, answer_len;
    char  *bytes;    /* echo: a pattern to cut requests from; HTTP: the requests */
    char  *answer;   /* HTTP: one answer; NULL: the request itself comes back */
    size_t unit_len; /* of one answer */
    size_t date_at;  /* its date, which may change; unit_len: it has none */
};

void        load_talk_begin(struct load_talk *t, const struct load_options *opt);
const char *load_talk_request(const struct load_talk *t, long id, long seq);
/* Ends the process if buf[0, n) is not what must come back for request, from byte `at` on. */
void load_talk_check(const struct load_talk *t, const char *request, size_t at, const char *buf,
                     size_t n, long id);

/* ---- load_window.c: what is measured -------------------------------------- */

/* A power of two is cut into 64: figures are exact to 1.6 %. */
#define LOAD_SUB     64
#define LOAD_BUCKETS (59 * LOAD_SUB)

struct load_window {
    bool     open;
    long     requests;
    int64_t  begin, end;               /* monotonic */
    int64_t  server_begin, server_end; /* CPU time of the servers, -1: not asked */
    int64_t  client_begin, client_end;
    int64_t  max_ns;
    uint32_t hist[LOAD_BUCKETS];
};

void load_window_open(struct load_window *w, const struct load_options *opt);
/* `count` requests were answered together, ns after they were sent. */
void load_window_add(struct load_window *w, int64_t ns, long count);
void load_window_close(struct load_window *w, const struct load_options *opt);
void load_window_print(const struct load_window *w, const struct load_options *opt, long total);

/* ---- load_idle.c: connections that say one thing and then nothing --------- */

void load_idle(const struct load_options *opt, const struct load_talk *talk);

#endif
