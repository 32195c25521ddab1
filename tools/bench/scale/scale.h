/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/scale/scale.h - the study of what would contend on a larger machine: the
 * workloads, and the counters of a runtime that counts.
 *
 * The same program is built twice: bench_scale on a runtime that counts every atomic access
 * and every lock (WEFT_COUNT), bench_scale_plain on the one that is installed, for the rates.
 */
#ifndef WEFT_BENCH_SCALE_H
#define WEFT_BENCH_SCALE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <weft.h>

/* ---- Workloads (work.c, work_net.c) --------------------------------------- */

/* Called on the main coroutine: does some `size` operations with `procs` Ps in mind, checks
 * its result, and returns how many operations it did. */
typedef struct workload {
    const char *name;
    uint64_t (*run)(int procs, int size);
    bool fixed;     /* the size is the same for all numbers of Ps, else it is shared out */
    int  size;      /* to be counted */
    int  rate_size; /* for a rate at 1 P: some tenths of a second */
} workload;

extern const workload workloads[];
extern const int      n_workloads;

uint64_t tree_run(int procs, int size);
uint64_t pairs_run(int procs, int size);
uint64_t crowd_run(int procs, int size);
uint64_t sleep_run(int procs, int size);
uint64_t echo_run(int procs, int size);
uint64_t churn_run(int procs, int size);

_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...);
void                                                 must(const char *call, int r);
void expect(const char *what, int64_t got, int64_t wanted);

/* ---- Prices of the machine and the kernel, ns (kernel.c) ---------------------------- */

struct epoll_prices {
    double add, del, empty, event; /* epoll_ctl, epoll_wait without events, one more event */
};

double              line_ns(void); /* a cache line from CPU to CPU */
struct epoll_prices epoll_prices(void);

/* ---- The runtime's counters (runtime/tally.h, which is not to be seen from here) ------ */

enum tally_kind { TALLY_LOAD, TALLY_STORE, TALLY_RMW, TALLY_LOCK, TALLY_EVENT };
enum tally_mode { TALLY_OFF, TALLY_COUNT, TALLY_HOLD };

typedef struct tally_line {
    const char *file, *function, *what;
    int         kind;
    uint64_t    n, moved, ends, held_ns;
} tally_line;

/* NULL in the program of the runtime that does not count. */
#pragma weak wf_tally_set
#pragma weak wf_tally_each
void         wf_tally_set(enum tally_mode mode, unsigned yield_every);
void         wf_tally_each(void (*visit)(const tally_line *line, void *arg), void *arg);

/* ---- What the places are called in the tables (classes.c) -------------------------- */

enum { CLASSES_MOST = 64 };

extern const int n_classes;

const char *class_name(int class);

int class_of(const tally_line *line); /* -1: no row of its own */

#endif
