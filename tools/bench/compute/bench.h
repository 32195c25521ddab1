/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/bench.h - what the compute benchmarks in C share.
 *
 * Owns the clock, the command line and the one output format that the runner
 * reads: "row value unit", one figure a line.  Must never hold anything that
 * one of the measured loops calls, save the clock.
 */
#ifndef WEFT_BENCH_H
#define WEFT_BENCH_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_MAX_PROCS 1024

typedef struct bench_args {
    const char *row;
    int         procs;
    long        scale;  /* divide every count by this: 1 for real, more for a smoke run */
    long        parked; /* coroutines in the rows that park many */
} bench_args;

__attribute__((noreturn, format(printf, 1, 2))) static inline void bench_die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "bench: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static inline int64_t bench_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline void bench_print(const char *row, double value, const char *unit)
{
    printf("%s %.4g %s\n", row, value, unit);
    fflush(stdout);
}

static inline void bench_expect(const char *what, int64_t got, int64_t want)
{
    if (got != want) {
        bench_die("%s: got %lld, want %lld", what, (long long)got, (long long)want);
    }
}

static inline long bench_number(const char *name, const char *text, long low, long high)
{
    char *end;
    long  v = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || v < low || v > high) {
        fprintf(stderr, "bench: %s %s: give a number from %ld to %ld\n", name, text, low, high);
        exit(2);
    }
    return v;
}

/* ROW [--procs N] [--scale N] [--parked N] */
static inline bench_args bench_parse(int argc, char **argv)
{
    bench_args a = { NULL, 1, 1, 1000000 };

    if (argc < 2 || argc % 2 != 0) {
        fprintf(stderr, "usage: %s ROW [--procs N] [--scale N] [--parked N]\n", argv[0]);
        exit(2);
    }
    a.row = argv[1];
    for (int i = 2; i < argc; i += 2) {
        if (strcmp(argv[i], "--procs") == 0) {
            a.procs = (int)bench_number(argv[i], argv[i + 1], 1, BENCH_MAX_PROCS);
        } else if (strcmp(argv[i], "--scale") == 0) {
            a.scale = bench_number(argv[i], argv[i + 1], 1, 1000000);
        } else if (strcmp(argv[i], "--parked") == 0) {
            a.parked = bench_number(argv[i], argv[i + 1], 1, 100000000);
        } else {
            fprintf(stderr, "bench: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
    return a;
}

/* A field of /proc/self/status that is given in kB, in bytes. */
static inline int64_t bench_status_bytes(const char *field)
{
    char    line[256];
    int64_t kb = -1;
    size_t  len = strlen(field);
    FILE   *f = fopen("/proc/self/status", "r");

    if (f == NULL) {
        bench_die("cannot read /proc/self/status: is /proc mounted?");
    }
    while (kb < 0 && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, field, len) == 0 && line[len] == ':') {
            kb = atoll(line + len + 1);
        }
    }
    fclose(f);
    if (kb < 0) {
        bench_die("/proc/self/status has no field %s", field);
    }
    return kb * 1024;
}

static inline int bench_by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Sorts v. */
static inline int64_t bench_median(int64_t *v, long n)
{
    if (n < 1) {
        bench_die("nothing was measured");
    }
    qsort(v, (size_t)n, sizeof(*v), bench_by_value);
    return v[n / 2];
}

typedef struct bench_row {
    const char *name;
    void (*run)(const bench_args *a);
} bench_row;

static inline const bench_row *bench_find(const bench_row *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    fprintf(stderr, "bench: no row %s here; there are:", name);
    for (size_t i = 0; i < n; i++) {
        fprintf(stderr, " %s", rows[i].name);
    }
    fputc('\n', stderr);
    exit(2);
}

#endif
