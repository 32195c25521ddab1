/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/net/weft_server.c - servers on weft that tell what they did.
 *
 * Owns the HTTP hello server, and an echo server like weft-echo whose counters can be
 * asked for: each connection to the second address gets one line of weft_stats and of
 * the allocations made so far.  Its requests must pass nothing but weft and the parser.
 */
#include "hello.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft.h>

#define PROGRAM "weft_server"

enum { BUFFER = 4096, STACK = 65536 };

/* ---- counting: the linker sends every call here (--wrap) ------------------ */

static atomic_ulong allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off);

static void count(void)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

void *__wrap_malloc(size_t n)
{
    count();
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    count();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    count();
    return __real_realloc(p, n);
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
    count();
    return __real_mmap(at, n, prot, flags, fd, off);
}

/* ---- one connection ------------------------------------------------------- */

#ifdef HELLO_PARSER
static ssize_t serve_bytes(weft_conn c, struct hello *h, const void *data, size_t n)
{
    char    out[BUFFER];
    long    answers = hello_read(h, data, n);
    ssize_t sent = answers < 0 ? -EPROTO : 1;

    while (answers > 0 && sent > 0) {
        n = hello_write(out, sizeof(out), answers);
        answers -= (long)(n / (sizeof(HELLO_ANSWER) - 1));
        sent = weft_conn_write(c, out, n);
    }
    return sent;
}
#else
static ssize_t serve_bytes(weft_conn c, struct hello *h, const void *data, size_t n)
{
    (void)h;
    return weft_conn_write(c, data, n);
}
#endif

static void serve(void *arg)
{
    weft_conn    c = *(weft_conn *)arg;
    struct hello h;
    const void  *data;
    ssize_t      n;

    hello_begin(&h);
    do {
        n = weft_conn_borrow(c, &data, BUFFER);
        if (n > 0) {
            n = serve_bytes(c, &h, data, (size_t)n);
        }
    } while (n > 0);
    weft_conn_close(c);
}

static void tell(void *arg)
{
    weft_conn  c = *(weft_conn *)arg;
    char       line[256];
    weft_stats s;
    int        n;

    weft_stats_read(&s);
    n = snprintf(line, sizeof(line),
                 "switches=%llu steals=%llu wakes=%llu parks=%llu polls=%llu allocs=%lu\n",
                 (unsigned long long)s.switches, (unsigned long long)s.steals,
                 (unsigned long long)s.wakes, (unsigned long long)s.parks,
                 (unsigned long long)s.polls, atomic_load(&allocations));
    if (weft_conn_write(c, line, (size_t)n) < 0) {
        fprintf(stderr, PROGRAM ": nobody took the counters\n");
    }
    weft_conn_close(c);
}

/* ---- listening ------------------------------------------------------------ */

struct service {
    weft_listener l;
    void (*serve)(void *arg);
};

static void die(const char *what, int err)
{
    fprintf(stderr, PROGRAM ": %s: %s\n", what, strerror(-err));
    exit(1);
}

static void accept_all(void *arg)
{
    struct service *s = arg;
    weft_conn       c;
    int             err;

    while ((err = weft_listener_accept(s->l, &c)) == 0) {
        if (weft_go(s->serve, &c, sizeof(c)) < 0) {
            weft_conn_close(c);
        }
    }
    die("accept", err);
}

static void begin(struct service *s, const char *address, char said[WEFT_ADDR_MAX])
{
    int err = weft_listen(&s->l, "tcp", address);

    if (err < 0 || (err = weft_listener_address(s->l, said)) < 0) {
        die(address, err);
    }
}

/* ---- beside: BESIDE=spin:N compute for ever, BESIDE=nap:N block, without saying so ---- */

static void spin(void *arg)
{
    for (volatile long i = 0;; i++) {
    }
    (void)arg;
}

static void nap(void *arg)
{
    for (;;) {
        sleep(1);
        weft_yield();
    }
    (void)arg;
}

static void start_beside(const char *what)
{
    int n;

    if (!what) {
        return;
    }
    bool spins = sscanf(what, "spin:%d", &n) == 1;
    if (!spins && sscanf(what, "nap:%d", &n) != 1) {
        die("BESIDE", -EINVAL);
    }
    for (int i = 0; i < n; i++) {
        int err = weft_go(spins ? spin : nap, NULL, 0);
        if (err < 0) {
            die("weft_go", err);
        }
    }
}

static struct service requests = { .serve = serve }, counters = { .serve = tell };

static int run(void *arg)
{
    char at[WEFT_ADDR_MAX], counters_at[WEFT_ADDR_MAX];
    int  err;

    begin(&counters, "127.0.0.1:0", counters_at);
    begin(&requests, arg, at);
    err = weft_go(accept_all, &counters, 0);
    if (err < 0) {
        die("weft_go", err);
    }
    start_beside(getenv("BESIDE"));
    printf("counters at %s listening on %s\n", counters_at, at);
    fflush(stdout);
    accept_all(&requests);
    return 1;
}

/* weft_server PROCS ADDRESS */
int main(int argc, char **argv)
{
    weft_options  opt = { .stack_size = STACK };
    struct rlimit r;

    if (argc != 3) {
        fprintf(stderr, "usage: " PROGRAM " PROCS ADDRESS\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    opt.procs = atoi(argv[1]);
    die("weft_run", weft_run(&opt, run, argv[2]));
}
