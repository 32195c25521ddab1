/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/floor.c - what the machine itself charges.
 *
 * Owns the raw floors that the rows stand beside in one run: a bare fcontext
 * switch, a stack's guard and first touch, the locked operations of a lock;
 * floor_futex.c has the waking of a thread.  Must use nothing of weft: these are what any runtime here pays.
 */
#include "floor.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE       ((size_t)4096)
#define SLOT       ((size_t)256 * 1024)
#define GUARD      ((size_t)64 * 1024)
#define GUARD_HINT 102 /* MADV_GUARD_INSTALL, Linux 6.13 */
#define BATCH      512
#define RING_STACK (5 * PAGE) /* an odd number of pages, else they share a few sets of the TLB */

static char *map_slots(size_t bytes)
{
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    if (p == MAP_FAILED) {
        bench_die("cannot map %zu bytes of address space: %s; give a smaller --parked", bytes,
                  strerror(errno));
    }
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return p;
}

/* ---- fcontext: round robin over n stacks --------------------------------- */

typedef struct transfer {
    void *fctx, *data;
} transfer;

transfer jump_fcontext(void *to, void *data);
void    *make_fcontext(void *top, size_t size, void (*fn)(transfer));

struct ring {
    void **ctx; /* of each stack, where it was left; [n] is the caller */
    long   n, laps, switches;
};

struct seat {
    struct ring *r;
    long         at;
};

/* Each context goes straight to the next and notes where the one before stands. */
static void seat_run(transfer t)
{
    struct seat  me = *(struct seat *)t.data;
    struct ring *r = me.r;
    long         next = (me.at + 1) % r->n, before = (me.at + r->n - 1) % r->n;

    t = jump_fcontext(t.fctx, NULL); /* the set-up: back to the caller at once */
    for (;;) {
        r->ctx[t.data == NULL ? before : r->n] = t.fctx;
        if (me.at == 0 && r->laps-- == 0) {
            jump_fcontext(r->ctx[r->n], NULL);
        }
        r->switches++;
        t = jump_fcontext(r->ctx[next], NULL);
    }
}

static int64_t ring_run(long n, long laps, size_t stack)
{
    struct ring r = { calloc((size_t)n + 1, sizeof(void *)), n, laps, 0 };
    char       *stacks = map_slots((size_t)n * stack);
    int64_t     t0;

    if (r.ctx == NULL) {
        bench_die("no memory for %ld contexts", n);
    }
    for (long i = 0; i < n; i++) {
        struct seat s = { &r, i };
        void       *top = stacks + ((size_t)i + 1) * stack;
        r.ctx[i] = jump_fcontext(make_fcontext(top, stack, seat_run), &s).fctx;
    }
    t0 = bench_now();
    jump_fcontext(r.ctx[0], &r); /* not NULL: this one comes from the caller */
    t0 = bench_now() - t0;
    bench_expect("switches made", r.switches, n * laps);
    munmap(stacks, (size_t)n * stack);
    free(r.ctx);
    return t0;
}

static void row_fcontext(const bench_args *a)
{
    static const long sizes[] = { 2, 1000, 10000 };

    for (int i = 0; i < 3; i++) {
        char name[32];
        long laps = 4000000 / a->scale / sizes[i] + 1;

        snprintf(name, sizeof(name), "fcontext_%ld", sizes[i]);
        bench_print(name, (double)ring_run(sizes[i], laps, RING_STACK) / (double)(laps * sizes[i]),
                    "ns");
    }
}

/* ---- a stack's guard and first touch -------------------------------------- */

/* 0, or the errno of the kernel that knows no guard regions. */
static int guard_batch(int pidfd, char *slots, long n)
{
    struct iovec iov[BATCH];

    for (long i = 0; i < n; i++) {
        iov[i].iov_base = slots + (size_t)i * SLOT;
        iov[i].iov_len = GUARD;
    }
    for (;;) {
        long got = syscall(SYS_process_madvise, pidfd, iov, (size_t)n, GUARD_HINT, 0);
        if (got == (long)(GUARD * (size_t)n)) {
            return 0;
        }
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return got >= 0 ? EIO : errno;
        }
    }
}

static int guard_all(char *slots, long n)
{
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int err = pidfd < 0 ? errno : 0;

    for (long i = 0; err == 0 && i < n; i += BATCH) {
        err = guard_batch(pidfd, slots + (size_t)i * SLOT, n - i < BATCH ? n - i : BATCH);
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    return err;
}

static void touch_all(char *slots, long n)
{
    for (long i = 0; i < n; i++) {
        *(volatile char *)(slots + (size_t)(i + 1) * SLOT - 64) = 1;
    }
}

static void row_guard_touch(const bench_args *a)
{
    long    n = a->parked;
    char   *slots = map_slots((size_t)n * SLOT);
    int64_t rss = bench_status_bytes("VmRSS");
    int64_t t0 = bench_now(), t1, t2;
    int     err = guard_all(slots, n);

    if (err != 0) {
        fprintf(stderr, "bench: no guard regions on this kernel: %s\n", strerror(err));
    }
    t1 = bench_now();
    touch_all(slots, n);
    t2 = bench_now();
    rss = bench_status_bytes("VmRSS") - rss;
    if (rss < (int64_t)((size_t)n * PAGE / 2)) {
        bench_die("touched %ld pages, but only %lld bytes became resident", n, (long long)rss);
    }
    bench_print("touch", (double)(t2 - t1) / (double)n, "ns");
    if (err == 0) {
        bench_print("guard", (double)(t1 - t0) / (double)n, "ns");
        bench_print("guard_touch", (double)(t2 - t0) / (double)n, "ns");
    }
    munmap(slots, (size_t)n * SLOT);
}

/* ---- what no lock that others may hold can do without ---------------------- */

/* The mutex row without the mutex: the count that both check is in memory there too. */
static void row_cas_pair(const bench_args *a)
{
    static _Alignas(64) volatile long word;
    static volatile long              counted;
    long                              n = 20000000 / a->scale;
    int64_t                           t0 = bench_now();

    counted = 0;
    for (long i = 0; i < n; i++) {
        long is_free = 0, held = 1;
        if (!__atomic_compare_exchange_n(&word, &is_free, 1, 0, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED)) {
            bench_die("nobody else locks, but it was locked");
        }
        counted++;
        __atomic_compare_exchange_n(&word, &held, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    }
    t0 = bench_now() - t0;
    bench_expect("the count under the lock", counted, n);
    bench_print("cas_pair", (double)t0 / (double)n, "ns");
}

/* ---- fib(38) without any runtime ------------------------------------------ */

static long fib_sequential(int n)
{
    return n < 2 ? n : fib_sequential(n - 1) + fib_sequential(n - 2);
}

static void row_fib38(const bench_args *a)
{
    int     n = a->scale > 1 ? 26 : 38;
    int64_t t0 = bench_now();
    long    got = fib_sequential(n), low = 0, high = 1;

    bench_print("fib38_alone", (double)(bench_now() - t0) / 1e6, "ms");
    for (int i = 0; i < n; i++) {
        long sum = low + high;
        low = high;
        high = sum;
    }
    bench_expect("fib", got, low);
}

static void row_hello(const bench_args *a)
{
    (void)a;
    bench_print("hello", 0, "us");
}

static const bench_row rows[] = {
    { "hello", row_hello },
    { "fcontext", row_fcontext },
    { "futex_wake", row_futex_wake },
    { "futex_busy", row_futex_busy },
    { "guard_touch", row_guard_touch },
    { "cas_pair", row_cas_pair },
    { "fib38_alone", row_fib38 },
};

int main(int argc, char **argv)
{
    bench_args a = bench_parse(argc, argv);

    bench_find(rows, sizeof(rows) / sizeof(rows[0]), a.row)->run(&a);
    return 0;
}
