/* SPDX-License-Identifier: Apache-2.0 */
/* os.c - clock, randomness, futex, membarrier, the fatal message; see os.h. */
#include "os.h"

#include "lock.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t wf_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * WEFT_S + ts.tv_nsec;
}

void wf_random_seed(wf_random *r, uint64_t stream)
{
    const char *seed = getenv("WEFT_SCHED_SEED");
    uint64_t    x = seed && *seed ? strtoull(seed, NULL, 0) : (uint64_t)wf_now();
    /* splitmix64, so that neighbouring streams differ in all bits */
    x += (stream + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    r->state = (x ^ (x >> 31)) | 1;
}

uint32_t wf_random_next(wf_random *r)
{
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return (uint32_t)((x * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

int wf_futex_wait(volatile unsigned *word, unsigned expected, int64_t deadline)
{
    struct timespec  ts = { deadline / WEFT_S, deadline % WEFT_S };
    struct timespec *limit = deadline == WEFT_FOREVER ? NULL : &ts;
    WF_TALLY_EVENT_AT("futex wait", word);
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit, NULL,
                     FUTEX_BITSET_MATCH_ANY);
    return r < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void wf_futex_wake(volatile unsigned *word, int n)
{
    WF_TALLY_EVENT_AT("futex wake", word);
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
}

bool wf_membarrier_init(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/* Where the kernel refuses membarrier (before 4.14, or a sandbox): taking a page's write
 * permission away interrupts every thread that runs here, which is a fence for it. */
static void barrier_by_mprotect(void)
{
    static volatile char *page;
    static wf_lock        lock;
    wf_lock_acquire(&lock);
    if (!page) {
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            wf_die("no memory for a page: %s", strerror(errno));
    }
    mprotect((void *)page, 4096, PROT_READ | PROT_WRITE);
    *page = 1;
    mprotect((void *)page, 4096, PROT_READ);
    wf_lock_release(&lock);
}

void wf_membarrier(void)
{
    WF_TALLY_EVENT_AT("membarrier", NULL);
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        barrier_by_mprotect();
}

int wf_write(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, text, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return -errno;
        text += w;
        n -= (size_t)w;
    }
    return 0;
}

/* "number (name) state ...", where the name may hold anything. */
bool wf_thread_sleeps(int tid)
{
    char path[48], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *state = strrchr(text, ')');
    return !state || strncmp(state, ") R", 3) != 0;
}

int wf_write_stderr(const char *text, size_t n)
{
    return wf_write(STDERR_FILENO, text, n);
}

static void say(const char *format, va_list ap)
{
    char   line[512] = "weft: ";
    int    n = vsnprintf(line + 6, sizeof line - 7, format, ap);
    size_t len = 6 + (n < 0 ? 0 : (size_t)n);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    line[len] = '\n';
    wf_write_stderr(line, len + 1);
}

void wf_say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
}

void wf_die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
    abort();
}
