/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/compute/weft_readers.c - coroutines that wait for long to read, each from a
 * descriptor of its own: what one costs in memory, awake and hibernating, and what it costs to
 * hibernate and to be woken from it.
 *
 * Owns the descriptors: one pipe's end, duplicated, since nothing is ever read.  All wake-ups
 * are deadlines.
 */
#include "weft_rows.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OTHER_FILES = 64, POLL_MS = 5, LIMIT_S = 60 };

struct reader {
    struct readers *all;
    weft_conn       c;
};

struct readers {
    weft_waitgroup waiting;
    atomic_llong   hibernate_after; /* what each tells of itself before it waits again */
    weft_group     group;
    long           n;
    struct reader *reader;
};

static int64_t cpu_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int read_on(void *arg)
{
    struct reader *r = arg;
    const void    *data;
    ssize_t        got;

    do {
        must("weft_conn_set_read_deadline", weft_conn_set_read_deadline(r->c, WEFT_FOREVER));
        weft_hibernate(atomic_load(&r->all->hibernate_after));
        weft_waitgroup_done(&r->all->waiting);
        got = weft_conn_borrow(r->c, &data, 1);
    } while (got == -ETIMEDOUT);
    weft_conn_close(r->c);
    return got == -ECANCELED ? 0 : (int)got;
}

static long file_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
        bench_die("getrlimit: %s", strerror(errno));
    }
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    return r.rlim_max > INT32_MAX ? INT32_MAX : (long)r.rlim_max;
}

static void start_reader(struct readers *all, struct reader *r, int fd)
{
    int own = dup(fd);

    if (own < 0) {
        bench_die("dup: %s", strerror(errno));
    }
    r->all = all;
    must("weft_conn_adopt", weft_conn_adopt(&r->c, own));
    must("weft_group_go", weft_group_go(&all->group, read_on, r, 0));
}

/* CPU time, ns, until all wait again. */
static int64_t wake(struct readers *all)
{
    int64_t began = cpu_now();

    weft_waitgroup_add(&all->waiting, all->n);
    for (long i = 0; i < all->n; i++) {
        must("weft_conn_set_read_deadline",
             weft_conn_set_read_deadline(all->reader[i].c, WEFT_NOWAIT));
    }
    wait_all(&all->waiting);
    return cpu_now() - began;
}

static int64_t wake_with(struct readers *all, int64_t hibernate_after)
{
    atomic_store(&all->hibernate_after, hibernate_after);
    return wake(all);
}

/* CPU time, ns, until all hibernate. */
static int64_t let_hibernate(const struct readers *all)
{
    int64_t    began = cpu_now(), give_up = bench_now() + LIMIT_S * WEFT_S;
    weft_stats s;

    do {
        weft_sleep(POLL_MS * WEFT_MS);
        weft_stats_read(&s);
        if (bench_now() > give_up) {
            bench_die("after %d s %llu of %ld hibernate", LIMIT_S, (unsigned long long)s.hibernated,
                      all->n);
        }
    } while (s.hibernated < (uint64_t)all->n);
    return cpu_now() - began;
}

static void measure(struct readers *all, int64_t rss)
{
    double  n = (double)all->n;
    int64_t warm = wake(all), hibernate, cold;

    bench_print("reader_rss", (double)(bench_status_bytes("VmRSS") - rss) / n, "bytes");
    wake_with(all, WEFT_MS);
    hibernate = let_hibernate(all);
    bench_print("hibernated_rss", (double)(bench_status_bytes("VmRSS") - rss) / n, "bytes");
    cold = wake_with(all, 0);
    bench_print("hibernate", (double)hibernate / n, "ns");
    bench_print("reader_wake", (double)warm / n, "ns");
    bench_print("hibernated_wake", (double)cold / n, "ns");
}

void row_readers(const bench_args *a)
{
    struct readers all = { .n = file_limit() - OTHER_FILES };
    int            fds[2], first;
    int64_t        rss;

    all.n = all.n < a->parked ? all.n : a->parked;
    all.reader = calloc((size_t)all.n, sizeof(*all.reader));
    if (all.reader == NULL || pipe(fds) != 0) {
        bench_die("%ld readers: %s", all.n, strerror(errno));
    }
    memset(all.reader, 1, (size_t)all.n * sizeof(*all.reader)); /* not weft's memory */
    rss = bench_status_bytes("VmRSS");
    weft_waitgroup_add(&all.waiting, all.n);
    for (long i = 0; i < all.n; i++) {
        start_reader(&all, &all.reader[i], fds[0]);
    }
    wait_all(&all.waiting);
    measure(&all, rss);
    weft_group_cancel(&all.group);
    must("weft_group_wait", weft_group_wait(&all.group, WEFT_FOREVER, &first));
    must("a reader", first);
    free(all.reader);
    close(fds[0]);
    close(fds[1]);
}
