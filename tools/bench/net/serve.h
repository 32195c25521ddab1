/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/serve.h - what the hand-written servers share: how they begin.
 *
 * Must hold nothing that a request passes.
 */
#ifndef WEFT_BENCH_SERVE_H
#define WEFT_BENCH_SERVE_H

#include <stddef.h>

#define SERVE_MAX_THREADS 64

/* PROGRAM: what messages begin with.  All end the process on a wrong argument, status 2,
 * or on a refusal of the system's, status 1. */
__attribute__((noreturn)) void serve_die(const char *program, const char *what);
void                           serve_usage(const char *program, int argc);
int                            serve_threads(const char *program, const char *text);
/* Listens on IPV4:PORT, says so on stdout, raises the limit of descriptors; blocking. */
int serve_listen(const char *program, const char *address);
/* fn for each of n workers of so many bytes, on a thread each; the first on the caller's.  It
 * returns if that fn does. */
void serve_all(const char *program, void *(*fn)(void *), void *workers, size_t bytes, int n);

#endif
