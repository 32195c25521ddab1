/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load.h - the load generator's options, and its measured window.
 *
 * Owns what load.c needs around its loop: the command line, the clock, the
 * latency histogram and the one line of figures.  Must do nothing per request
 * but load_window_add.
 */
#ifndef WEFT_BENCH_LOAD_H
#define WEFT_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct load_options {
    long               conns, rate; /* rate 0: closed loop */
    long               max_requests;
    size_t             size;
    int64_t            duration_ns, warmup_ns;
    pid_t              pid;         /* whose CPU clock to read; 0: nobody's */
    struct sockaddr_in to;
};

/* A power of two is cut into 64: figures are exact to 1.6 %. */
#define LOAD_SUB     64
#define LOAD_BUCKETS (59 * LOAD_SUB)

struct load_window {
    bool     open;
    long     requests;
    int64_t  begin, end;               /* monotonic */
    int64_t  server_begin, server_end; /* CPU time of the server, -1: not asked */
    int64_t  client_begin, client_end;
    int64_t  max_ns;
    uint32_t hist[LOAD_BUCKETS];
};

__attribute__((noreturn, format(printf, 1, 2))) void load_die(const char *fmt, ...);

int64_t load_now(void);
int     load_nonblocking(int fd);
void    load_raise_nofile(long need);
void    load_options_parse(struct load_options *opt, int argc, char **argv);

void load_window_open(struct load_window *w, pid_t pid);
void load_window_add(struct load_window *w, int64_t ns);
void load_window_close(struct load_window *w, pid_t pid);
void load_window_print(const struct load_window *w, const struct load_options *opt, long total);

#endif
