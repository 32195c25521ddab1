/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/load_window.c - the load generator's measured window.
 *
 * Owns the clocks, the latency histogram and the line of figures.  The server's
 * CPU time is its process clock, which counts all its threads to the nanosecond
 * and is read from here, so that both ends of the window are the client's own.
 */
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void load_die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "load: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    return clock_gettime(id, &ts) == 0 ? (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec : -1;
}

int64_t load_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t cpu_of(pid_t pid)
{
    clockid_t id;
    int       err = clock_getcpuclockid(pid, &id);

    if (err != 0) {
        load_die("the CPU clock of process %d: %s", (int)pid, strerror(err));
    }
    return read_clock(id);
}

static int64_t server_cpu(const struct load_options *opt)
{
    int64_t sum = opt->npids == 0 ? -1 : 0;

    for (int i = 0; i < opt->npids; i++) {
        sum += cpu_of(opt->pids[i]);
    }
    return sum;
}

void load_window_open(struct load_window *w, const struct load_options *opt)
{
    w->open = true;
    w->server_begin = server_cpu(opt);
    w->client_begin = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    w->begin = load_now();
}

void load_window_close(struct load_window *w, const struct load_options *opt)
{
    w->open = false;
    w->end = load_now();
    w->client_end = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    w->server_end = server_cpu(opt);
}

static int bucket_of(int64_t ns)
{
    uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
    int      shift;

    if (v < 2 * LOAD_SUB) {
        return (int)v;
    }
    shift = 63 - __builtin_clzll(v) - 6;
    return shift * LOAD_SUB + (int)(v >> shift);
}

/* The middle of a bucket. */
static double bucket_ns(int b)
{
    int shift = b < 2 * LOAD_SUB ? 0 : b / LOAD_SUB - 1;

    return shift == 0 ? b : ((double)(b - shift * LOAD_SUB) + 0.5) * (double)(UINT64_C(1) << shift);
}

void load_window_add(struct load_window *w, int64_t ns, long count)
{
    w->requests += count;
    w->hist[bucket_of(ns)] += (uint32_t)count;
    if (ns > w->max_ns) {
        w->max_ns = ns;
    }
}

static double percentile_us(const struct load_window *w, double p)
{
    double want = p * (double)w->requests;
    double seen = 0;

    for (int b = 0; b < LOAD_BUCKETS; b++) {
        seen += w->hist[b];
        if (seen >= want && w->hist[b] > 0) {
            return bucket_ns(b) / 1e3;
        }
    }
    return (double)w->max_ns / 1e3;
}

static double per_request_us(const struct load_window *w, int64_t begin, int64_t end)
{
    return (double)(end - begin) / 1e3 / (double)w->requests;
}

void load_window_print(const struct load_window *w, const struct load_options *opt, long total)
{
    double seconds = (double)(w->end - w->begin) / 1e9;

    if (w->requests == 0) {
        load_die("no request was answered in %.2f s", seconds);
    }
    printf("load connections=%ld size=%zu depth=%zu requests=%ld total=%ld seconds=%.3f rps=%.0f "
           "p50_us=%.1f p90_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f client_cpu_us=%.3f",
           opt->conns, opt->size, opt->depth, w->requests, total, seconds,
           (double)w->requests / seconds, percentile_us(w, 0.5), percentile_us(w, 0.9),
           percentile_us(w, 0.99), percentile_us(w, 0.999), (double)w->max_ns / 1e3,
           per_request_us(w, w->client_begin, w->client_end));
    if (w->server_begin >= 0) {
        printf(" server_cpu_us=%.3f", per_request_us(w, w->server_begin, w->server_end));
    }
    putchar('\n');
}
