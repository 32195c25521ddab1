/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os.h - the platform: clock, randomness, futex, membarrier, memory, CPU count.
 *
 * The one source of time (wf_now) and of the scheduler's randomness (wf_random) for
 * the whole library.  Results are 0 or a count, or a negative errno.
 */
#ifndef WF_OS_H
#define WF_OS_H

#include "base.h"

int64_t wf_now(void); /* nanoseconds of the monotonic clock, > 0 */

/* A seeded generator (xorshift64*); one per P, none shared. */
typedef struct wf_random {
    uint64_t state;
} wf_random;

void     wf_random_seed(wf_random *r, uint64_t stream); /* $WEFT_SCHED_SEED and the stream */
uint32_t wf_random_next(wf_random *r);

/* Sleeps while *word == expected, until the deadline: 0 woken or changed, -ETIMEDOUT. */
int  wf_futex_wait(volatile unsigned *word, unsigned expected, int64_t deadline);
void wf_futex_wake(volatile unsigned *word, int n);

/* A full fence on every thread of the process that runs now; pairs with
 * wf_compiler_barrier() on the fast side.  False: the kernel refuses it. */
bool wf_membarrier_init(void);
void wf_membarrier(void);

int wf_write(int fd, const char *text, size_t n); /* all of it; async-signal-safe */
/* Does this thread of the process wait for something, not run or wait for a CPU alone?  True
 * also where the kernel does not say. */
bool wf_thread_sleeps(int tid);

int wf_write_stderr(const char *text, size_t n);

/* The CPUs this process may use: the smaller of its affinity and of its cgroup's
 * CPU quota and all the cgroup's ancestors', rounded up, at least 1.  root is "" but
 * in tests, which make up a file system below another folder. */
int wf_cpu_count(const char *root);
int wf_cpu_quota(const char *root); /* of the cgroup alone; 0: none is set */

#endif
