/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockcheck.c - libweft-lockcheck.so: reports coroutines that park while they hold a pthread lock.
 *
 *   LD_PRELOAD=libweft-lockcheck.so program
 *   WEFT_LOCKCHECK=abort    end the process at the first report
 *
 * It stands before libc's lock functions and keeps, for each thread, the locks taken there and the
 * backtrace of each.  libweft, which finds weft_lockcheck_park by name, calls that on the
 * coroutine's stack before each switch.  A coroutine stays on its thread from one switch to the
 * next, so what the thread holds then is what the coroutine holds.
 *
 * A lock that was reported is forgotten: the unlock may come on another thread.  Locks that libc
 * takes inside do not pass here, and weft's own are no pthread locks.  pthread_cond_wait needs no
 * place here: it blocks the thread, so that nothing is switched until it has the mutex again.
 *
 * Must never take a lock that it watches while `busy` is unset, nor park.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { LOCKS = 32, FRAMES = 24, REPORTS = 50 };

struct held {
    const volatile void *lock;
    const char          *kind;
    unsigned             count; /* of a recursive one */
    int                  n;     /* frames */
    void                *frames[FRAMES];
};

struct thread {
    bool        busy; /* the unwinder takes locks too */
    int         n;
    struct held held[LOCKS];
};

static _Thread_local __attribute__((tls_model("initial-exec"))) struct thread self;

/* Called by libweft when coroutine `id` parks, yields or ends (`what`). */
void weft_lockcheck_park(unsigned long long id, const char *name, const char *what);

/* ---- What is held ---------------------------------------------------------------------------- */

/* The backtrace from the caller whose call returns to `from`; the whole of it if it isn't there. */
static int frames_from(const void *from, void **out)
{
    void *all[FRAMES + 4];
    int   n = backtrace(all, FRAMES + 4), first = 0;

    while (first < n && all[first] != from)
        first++;
    if (first == n)
        first = 0;
    n = n - first < FRAMES ? n - first : FRAMES;
    memcpy(out, all + first, (size_t)n * sizeof *out);
    return n;
}

static struct held *find(const volatile void *lock)
{
    for (int i = self.n - 1; i >= 0; i--)
        if (self.held[i].lock == lock)
            return &self.held[i];
    return NULL;
}

static void took(const volatile void *lock, const char *kind, const void *from)
{
    struct held *h = find(lock);

    if (h) {
        h->count++;
        return;
    }
    if (self.busy || self.n == LOCKS)
        return;
    self.busy = true;
    h = &self.held[self.n];
    h->lock = lock;
    h->kind = kind;
    h->count = 1;
    h->n = frames_from(from, h->frames);
    self.n++;
    self.busy = false;
}

static void gave(const volatile void *lock)
{
    struct held *h = find(lock);

    if (h && --h->count == 0)
        *h = self.held[--self.n];
}

/* ---- The report ------------------------------------------------------------------------------ */

static atomic_flag reporting = ATOMIC_FLAG_INIT;
static int         reports; /* under reporting */

/* Where the frames inside libweft end: at its public function, if that has its name here. */
static int public_call(void *const *frames, int n)
{
    Dl_info info;

    for (int i = 0; i < n; i++)
        if (dladdr(frames[i], &info) && info.dli_sname && strncmp(info.dli_sname, "weft_", 5) == 0)
            return i;
    return 0;
}

static void report(const struct held *h, const char *who, const char *what, const void *from)
{
    void *frames[FRAMES];
    int   n = frames_from(from, frames), inside = public_call(frames, n);

    dprintf(STDERR_FILENO, "weft-lockcheck: %s %s while it holds the %s %p\n  taken at\n", who,
            what, h->kind, (const void *)h->lock);
    backtrace_symbols_fd(h->frames, h->n, STDERR_FILENO);
    dprintf(STDERR_FILENO, "  %s at\n", what);
    backtrace_symbols_fd(frames + inside, n - inside, STDERR_FILENO);
}

static void report_all(const char *who, const char *what, const void *from)
{
    const char *mode = getenv("WEFT_LOCKCHECK");

    while (atomic_flag_test_and_set(&reporting))
        ;
    for (int i = 0; i < self.n && reports < REPORTS; i++, reports++)
        report(&self.held[i], who, what, from);
    if (mode && strcmp(mode, "abort") == 0)
        abort();
    if (reports == REPORTS && reports++ == REPORTS)
        dprintf(STDERR_FILENO, "weft-lockcheck: %d reports; the rest is not shown\n", REPORTS);
    atomic_flag_clear(&reporting);
}

void weft_lockcheck_park(unsigned long long id, const char *name, const char *what)
{
    char who[96];

    if (self.n == 0)
        return;
    self.busy = true;
    snprintf(who, sizeof who, "coroutine %llu (%.48s)", id, name ? name : "unnamed");
    report_all(who, what, __builtin_return_address(0));
    self.n = 0;
    self.busy = false;
}

/* The unwinder loads its library at its first use: better here than on a coroutine's stack. */
static __attribute__((constructor)) void load_unwinder(void)
{
    void *frame[1];

    self.busy = true;
    backtrace(frame, 1);
    self.busy = false;
}

/* ---- In libc's place ------------------------------------------------------------------------- */

static void *libc_own(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name);

    if (fn)
        return fn;
    dprintf(STDERR_FILENO, "weft-lockcheck: libc has no %s\n", name);
    abort();
}

/* NAME(l, ...) as libc has it; `real` is libc's own. */
#define LIBC_OWN(name, params)         \
    static int(*volatile real) params; \
    if (!real)                         \
    real = (int(*) params)libc_own(#name)

#define TAKES(name, kind, params, args)                                        \
    int name params                                                            \
    {                                                                          \
        LIBC_OWN(name, params);                                                \
        int r = real args;                                                     \
        if (r == 0 || r == EOWNERDEAD)                                         \
            took((const volatile void *)l, kind, __builtin_return_address(0)); \
        return r;                                                              \
    }

#define GIVES(name, params)             \
    int name params                     \
    {                                   \
        LIBC_OWN(name, params);         \
        gave((const volatile void *)l); \
        return real(l);                 \
    }

#define WHEN  const struct timespec *t
#define CLOCK clockid_t c

TAKES(pthread_mutex_lock, "mutex", (pthread_mutex_t * l), (l))
TAKES(pthread_mutex_trylock, "mutex", (pthread_mutex_t * l), (l))
TAKES(pthread_mutex_timedlock, "mutex", (pthread_mutex_t * l, WHEN), (l, t))
TAKES(pthread_mutex_clocklock, "mutex", (pthread_mutex_t * l, CLOCK, WHEN), (l, c, t))
GIVES(pthread_mutex_unlock, (pthread_mutex_t * l))

TAKES(mtx_lock, "mutex", (mtx_t * l), (l))
TAKES(mtx_trylock, "mutex", (mtx_t * l), (l))
TAKES(mtx_timedlock, "mutex", (mtx_t * l, WHEN), (l, t))
GIVES(mtx_unlock, (mtx_t * l))

TAKES(pthread_rwlock_rdlock, "rwlock", (pthread_rwlock_t * l), (l))
TAKES(pthread_rwlock_tryrdlock, "rwlock", (pthread_rwlock_t * l), (l))
TAKES(pthread_rwlock_timedrdlock, "rwlock", (pthread_rwlock_t * l, WHEN), (l, t))
TAKES(pthread_rwlock_clockrdlock, "rwlock", (pthread_rwlock_t * l, CLOCK, WHEN), (l, c, t))
TAKES(pthread_rwlock_wrlock, "rwlock", (pthread_rwlock_t * l), (l))
TAKES(pthread_rwlock_trywrlock, "rwlock", (pthread_rwlock_t * l), (l))
TAKES(pthread_rwlock_timedwrlock, "rwlock", (pthread_rwlock_t * l, WHEN), (l, t))
TAKES(pthread_rwlock_clockwrlock, "rwlock", (pthread_rwlock_t * l, CLOCK, WHEN), (l, c, t))
GIVES(pthread_rwlock_unlock, (pthread_rwlock_t * l))

TAKES(pthread_spin_lock, "spinlock", (pthread_spinlock_t * l), (l))
TAKES(pthread_spin_trylock, "spinlock", (pthread_spinlock_t * l), (l))
GIVES(pthread_spin_unlock, (pthread_spinlock_t * l))
