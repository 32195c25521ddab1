/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.c - arenas of stacks and their guards.
 *
 * A slot is [guard 68 KiB][stack 2^k KiB].  The guard is wide so that a frame with a
 * large array cannot step over it; with its 17 pages a slot has an odd number of them, else
 * the top pages of all stacks would meet in every sixteenth set of the TLB, and no more than
 * some 200 of them find room.  It is MADV_GUARD_INSTALL where the kernel has it
 * (6.13), which needs no mapping of its own; else mprotect, while the budget of
 * mappings lasts; else a canary in the lowest bytes.  A refusal is taken as lasting: from
 * then on all new slots get the next kind.
 *
 * Slots are carved in batches, doubling, since guards cost half as much in one call.
 */
#include "stack.h"

#include "lock.h"
#include "os.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    ARENAS = 4096,
    ARENA_SLOTS_FIRST = 64,
    ARENA_SLOTS_MOST = 8192,
    BATCH_FIRST = 8,
    BATCH_MOST = 512,
    PAGE = 4096,
    CANARY_BYTES = 64,
    CANARY = 0xa5,
    MAPS_LEFT_FOR_OTHERS = 1000
};

enum guard { GUARD_MADVISE, GUARD_MPROTECT, GUARD_CANARY };

static const char *const guard_names[] = { "madvise", "mprotect", "canary" };

struct arena {
    char  *base;
    size_t bytes;
    size_t slot; /* guard and stack */
    uint8_t class;
};

/* What is left to hand out of one class; under pool.lock. */
struct class_pool {
    char *next, *end; /* slots with guards */
    char *arena_end;  /* end .. arena_end: slots without, yet */
    int   batch, arena_slots;
};

static struct {
    wf_lock           lock WF_ALIGNED; /* and wf_stack_watch, which every end reads, elsewhere */
    bool              started;
    enum guard        guard; /* under lock: only ever moves down */
    long              maps_left;
    struct class_pool classes[WF_STACK_CLASSES];
    struct arena      arenas[ARENAS]; /* append only; n_arenas publishes */
    volatile AO_t     n_arenas;
    struct iovec      iov[BATCH_MOST]; /* under lock: too large for a coroutine's stack */
} pool;

volatile AO_t wf_stack_watch;

static size_t class_bytes(uint8_t class)
{
    return (size_t)WF_STACK_MIN << class;
}

int wf_stack_class(size_t bytes, uint8_t *class)
{
    if (bytes < WF_STACK_MIN)
        return -EINVAL;
    for (uint8_t c = 0; c < WF_STACK_CLASSES; c++)
        if (bytes <= class_bytes(c)) {
            *class = c;
            return 0;
        }
    return -EINVAL;
}

const char *wf_stack_guard_kind(void)
{
    return guard_names[pool.guard];
}

static long maps_budget(void)
{
    char text[32] = "65530";
    int  fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        text[n > 0 ? n : 0] = '\0';
    }
    return (atol(text) - MAPS_LEFT_FOR_OTHERS) / 2; /* a guard splits a mapping in two */
}

static void set_guard(enum guard to)
{
    pool.guard = to;
    if (to == GUARD_CANARY)
        AO_store(&wf_stack_watch, AO_load(&wf_stack_watch) | WF_STACK_CANARY);
}

void wf_stack_watch_set(AO_t bit)
{
    wf_lock_acquire(&pool.lock);
    AO_store(&wf_stack_watch, AO_load(&wf_stack_watch) | bit);
    wf_lock_release(&pool.lock);
}

void wf_stack_watch_clear(AO_t bit)
{
    wf_lock_acquire(&pool.lock);
    AO_store(&wf_stack_watch, AO_load(&wf_stack_watch) & ~bit);
    wf_lock_release(&pool.lock);
}

static void start(void)
{
    const char *want = getenv("WEFT_GUARD");
    pool.started = true;
    pool.maps_left = maps_budget();
    if (!want || !*want)
        return;
    for (int g = GUARD_MADVISE; g <= GUARD_CANARY; g++)
        if (strcmp(want, guard_names[g]) == 0) {
            set_guard((enum guard)g);
            return;
        }
    wf_die("WEFT_GUARD=%s: must be madvise, mprotect or canary", want);
}

/* One advice for n ranges, by as few system calls as the kernel allows. */
static int advise(const struct iovec *iov, int n, int advice)
{
    int pidfd = n > 1 ? (int)syscall(SYS_pidfd_open, getpid(), 0) : -1;
    if (pidfd >= 0) {
        size_t want = 0;
        for (int i = 0; i < n; i++)
            want += iov[i].iov_len;
        long got = syscall(SYS_process_madvise, pidfd, iov, n, advice, 0);
        close(pidfd);
        if (got == (long)want)
            return 0;
    }
    for (int i = 0; i < n; i++)
        if (madvise(iov[i].iov_base, iov[i].iov_len, advice) != 0)
            return -errno;
    return 0;
}

static void fall_back(enum guard to, const char *why)
{
    set_guard(to);
    wf_say("stack guards: %s; using %s from here on", why, guard_names[to]);
}

static bool guard_madvise(char *from, size_t slot, int n)
{
    for (int i = 0; i < n; i++)
        pool.iov[i] = (struct iovec){ from + (size_t)i * slot, WF_STACK_GUARD };
    return advise(pool.iov, n, MADV_GUARD_INSTALL) == 0;
}

static bool guard_mprotect(char *from, size_t slot, int n)
{
    if (pool.maps_left < n)
        return false;
    for (int i = 0; i < n; i++)
        if (mprotect(from + (size_t)i * slot, WF_STACK_GUARD, PROT_NONE) != 0)
            return false;
    pool.maps_left -= n;
    return true;
}

static void guard_batch(char *from, size_t slot, int n)
{
    if (pool.guard == GUARD_MADVISE && !guard_madvise(from, slot, n)) {
        pool.guard = GUARD_MPROTECT; /* an older kernel, or locked memory: not worth a word */
    }
    if (pool.guard == GUARD_MPROTECT && !guard_mprotect(from, slot, n))
        fall_back(GUARD_CANARY, "the budget of mappings (vm.max_map_count) is used up");
    if (pool.guard == GUARD_CANARY)
        for (int i = 0; i < n; i++)
            memset(from + (size_t)i * slot + WF_STACK_GUARD, CANARY, CANARY_BYTES);
}

static bool arena_map(struct class_pool *cp, uint8_t class)
{
    size_t slot = class_bytes(class) + WF_STACK_GUARD;
    AO_t   at = AO_load(&pool.n_arenas);
    if (at >= ARENAS)
        return false;
    if (!cp->arena_slots)
        cp->arena_slots = ARENA_SLOTS_FIRST;
    for (int slots = cp->arena_slots; slots >= 1; slots /= 2) {
        size_t bytes = (size_t)slots * slot;
        char  *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (base == MAP_FAILED)
            continue; /* perhaps there is room for a smaller one */
        madvise(base, bytes, MADV_NOHUGEPAGE);
        pool.arenas[at] = (struct arena){ base, bytes, slot, class };
        AO_store_release(&pool.n_arenas, at + 1); /* pairs with wf_stack_find's acquire */
        cp->next = cp->end = base;
        cp->arena_end = base + bytes;
        if (cp->arena_slots < ARENA_SLOTS_MOST)
            cp->arena_slots *= 2;
        return true;
    }
    return false;
}

/* Makes at least one slot of the class ready to hand out. */
static bool carve(struct class_pool *cp, uint8_t class)
{
    size_t slot = class_bytes(class) + WF_STACK_GUARD;
    if (cp->end == cp->arena_end && !arena_map(cp, class))
        return false;
    if (!cp->batch)
        cp->batch = BATCH_FIRST;
    size_t left = (size_t)(cp->arena_end - cp->end) / slot;
    int    n = (size_t)cp->batch < left ? cp->batch : (int)left;
    guard_batch(cp->end, slot, n);
    cp->end += (size_t)n * slot;
    if (cp->batch < BATCH_MOST)
        cp->batch *= 2;
    return true;
}

int wf_stack_alloc(uint8_t class, wf_stack *out)
{
    struct class_pool *cp = &pool.classes[class];
    size_t             size = class_bytes(class);
    int                r = -ENOMEM;
    wf_lock_acquire(&pool.lock);
    if (!pool.started)
        start();
    if (cp->next != cp->end || carve(cp, class)) {
        cp->next += size + WF_STACK_GUARD;
        *out = (wf_stack){ .top = cp->next, .size = (uint32_t)size, .class = class, .cold = 1 };
        r = 0;
    }
    wf_lock_release(&pool.lock);
    return r;
}

void wf_stack_cool(wf_stack *const *stacks, int n)
{
    struct iovec iov[BATCH_MOST];
    for (int i = 0; i < n;) {
        int k = 0;
        for (; k < BATCH_MOST && i < n; k++, i++) {
            iov[k] = (struct iovec){ stacks[i]->top - stacks[i]->size, stacks[i]->size };
            stacks[i]->cold = 1;
        }
        advise(iov, k, MADV_DONTNEED);
    }
}

bool wf_stack_give_back(const wf_stack_part *parts, int n)
{
    struct iovec iov[WF_STACK_PARTS];
    int          k = 0;
    wf_assert(n <= WF_STACK_PARTS);
    for (int i = 0; i < n; i++) {
        const wf_stack *s = parts[i].stack;
        uintptr_t       low = (uintptr_t)s->top - s->size + (pool.guard == GUARD_CANARY ? PAGE : 0);
        uintptr_t       live = (uintptr_t)parts[i].live / PAGE * PAGE;
        if (live > low)
            iov[k++] = (struct iovec){ (void *)low, live - low };
    }
    return k == 0 || advise(iov, k, MADV_DONTNEED) == 0;
}

enum wf_stack_hit wf_stack_find(const void *addr, char **slot_top)
{
    const char *p = addr;
    AO_t        n = AO_load_acquire(&pool.n_arenas); /* pairs with arena_map */
    for (AO_t i = 0; i < n; i++) {
        const struct arena *a = &pool.arenas[i];
        if (p < a->base || p >= a->base + a->bytes)
            continue;
        size_t in = (size_t)(p - a->base), slot = in / a->slot;
        *slot_top = a->base + (slot + 1) * a->slot;
        return in % a->slot < WF_STACK_GUARD ? WF_HIT_GUARD : WF_HIT_STACK;
    }
    return WF_HIT_NONE;
}

const char *wf_stack_low(const wf_stack *s)
{
    return s->top - s->size + (pool.guard == GUARD_CANARY ? CANARY_BYTES : 0);
}

void wf_stack_check(const wf_stack *s, const char *name, uint64_t id)
{
    if (WF_LIKELY(pool.guard != GUARD_CANARY))
        return;
    const unsigned char *low = (unsigned char *)s->top - s->size;
    bool                 whole = low[0] == CANARY, blank = low[0] == 0;
    for (int i = 1; i < CANARY_BYTES; i++) {
        whole = whole && low[i] == CANARY;
        blank = blank && low[i] == 0; /* given back to the system since, or guarded otherwise */
    }
    if (!whole && !blank)
        wf_die("coroutine %llu (%s) overflowed its stack of %u bytes; set stack_size larger",
               (unsigned long long)id, name ? name : "unnamed", s->size);
}
