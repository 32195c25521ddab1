/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.c - the counters of a build with WEFT_COUNT; see tally.h.  Empty without.
 *
 * Each thread counts in a record of its own, which outlives it.  The model of the caches is
 * two tables by line: who wrote it last and how often it has changed hands, for all; and
 * which of these each thread has seen.  Its races lose a count now and then.
 */
#include "base.h"

#ifdef WEFT_COUNT
#undef AO_load
#undef AO_store
#undef AO_fetch_and_add
#undef AO_fetch_and_add_full
#undef AO_compare_and_swap_full
#define AO_load                  wf_raw_load
#define AO_store                 wf_raw_store
#define AO_fetch_and_add         wf_raw_add
#define AO_fetch_and_add_full    wf_raw_add
#define AO_compare_and_swap_full wf_raw_cas

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOLD_MOST_NS 5000 /* held for longer: its holder was off the CPU, and it counts as this */

enum { SITES = 1024, LINES = 1 << 14, HELD = 8, WRITER_BITS = 12, OWN = 1 << WRITER_BITS };

struct cell {
    uint64_t n, moved, ends, held_ns;
};

struct held {
    const volatile void *lock;
    AO_t                 site;
    int64_t              since;
};

struct thread {
    struct thread *next;
    uint32_t       number; /* from 1 on */
    uint32_t       seen[LINES];
    struct cell    cells[SITES];
    struct held    held[HELD];
    int            nheld;
    uint64_t       random;
};

/* The word of a line: how often it has changed hands, whether others have seen it since, and
 * the number of its last writer. */
static volatile AO_t lines[LINES];
static wf_site *volatile sites[SITES];
static volatile AO_t n_sites, n_threads, threads; /* threads: struct thread *, a list */
static volatile AO_t mode, yield_every;
static int64_t       price; /* of reading the clock */

static __thread struct thread *self;

static int64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The least that two looks at the clock are apart: no lock is held for that. */
static int64_t clock_price(void)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        int64_t since = clock_ns(), ns = clock_ns() - since;
        if (ns < least)
            least = ns;
    }
    return least;
}

void wf_tally_set(enum wf_tally_mode to, unsigned every)
{
    price = clock_price();
    AO_store(&yield_every, every);
    AO_store(&mode, to);
}

static WF_COLD struct thread *thread_new(void)
{
    struct thread *t = calloc(1, sizeof *t);
    if (!t)
        wf_die("no memory for the counters of another thread");
    t->number = (uint32_t)(1 + AO_fetch_and_add(&n_threads, 1));
    t->random = t->number * UINT64_C(0x9e3779b97f4a7c15);
    if (t->number >= OWN)
        wf_die("counters are for %d threads at most", OWN - 1);
    AO_t first;
    do {
        first = AO_load(&threads);
        t->next = (struct thread *)first;
    } while (!AO_compare_and_swap_full(&threads, first, (AO_t)t)); /* pairs with add_up's load */
    return t;
}

static WF_COLD AO_t site_new(wf_site *site)
{
    AO_t id = 1 + AO_fetch_and_add(&n_sites, 1);
    if (id >= SITES)
        wf_die("counters are for %d places at most; raise SITES in tally.c", SITES - 1);
    sites[id] = site;
    if (AO_compare_and_swap_full(&site->id, 0, id)) /* pairs with itself: one place, one number */
        return id;
    sites[id] = NULL; /* another thread met it first */
    return AO_load(&site->id);
}

/* Must this access fetch the line from another thread's cache? */
static bool moves(struct thread *t, const volatile void *p, bool writes)
{
    enum { SEEN = OWN, ONE = OWN * 2 };
    size_t   i = ((uintptr_t)p / WF_CACHELINE * UINT64_C(0x9e3779b97f4a7c15)) >> 50;
    uint32_t word = (uint32_t)AO_load(&lines[i]);
    bool     mine = (word & (OWN - 1)) == t->number;
    if (!writes) {
        bool moved = !mine && t->seen[i] != word / ONE + 1;
        t->seen[i] = word / ONE + 1;
        if (!mine && !(word & SEEN))
            AO_store(&lines[i], word | SEEN);
        return moved;
    }
    if (mine && !(word & SEEN))
        return false;
    word = (word / ONE + 1) * ONE + t->number;
    t->seen[i] = word / ONE + 1;
    AO_store(&lines[i], word);
    return true;
}

static void yield_sometimes(struct thread *t)
{
    AO_t every = AO_load(&yield_every);
    if (every == 0 || t->nheld > 0)
        return;
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    if ((t->random >> 20) % every == 0)
        sched_yield();
}

void wf_tally(wf_site *site, const volatile void *p)
{
    AO_t m = AO_load(&mode);
    if (m == WF_TALLY_OFF || (m == WF_TALLY_HOLD && site->kind != WF_TALLY_LOCK))
        return;
    struct thread *t = self ? self : (self = thread_new());
    AO_t           id = AO_load(&site->id);
    if (!id)
        id = site_new(site);
    if (site->kind != WF_TALLY_LOCK)
        yield_sometimes(t);
    t->cells[id].n++;
    if (site->kind != WF_TALLY_EVENT && moves(t, p, site->kind != WF_TALLY_LOAD))
        t->cells[id].moved++;
    if (site->kind == WF_TALLY_LOCK && t->nheld < HELD)
        t->held[t->nheld++] = (struct held){ p, id, 0 };
}

void wf_tally_locked(const volatile void *lock)
{
    struct thread *t = self;
    if (AO_load(&mode) == WF_TALLY_HOLD && t && t->nheld > 0 && t->held[t->nheld - 1].lock == lock)
        t->held[t->nheld - 1].since = clock_ns();
}

void wf_tally_unlocked(const volatile void *lock)
{
    struct thread *t = self;
    for (int i = t ? t->nheld - 1 : -1; i >= 0; i--) {
        if (t->held[i].lock != lock)
            continue;
        struct held h = t->held[i];
        memmove(&t->held[i], &t->held[i + 1], (size_t)(--t->nheld - i) * sizeof h);
        t->cells[h.site].ends++;
        moves(t, lock, true);
        int64_t ns = h.since ? clock_ns() - h.since - price : 0;
        if (ns > 0)
            t->cells[h.site].held_ns += (uint64_t)(ns < HOLD_MOST_NS ? ns : HOLD_MOST_NS);
        return;
    }
}

static void add_up(wf_tally_line *line, AO_t id)
{
    for (struct thread *t = (struct thread *)AO_load(&threads); t; t = t->next) {
        line->n += t->cells[id].n;
        line->moved += t->cells[id].moved;
        line->ends += t->cells[id].ends;
        line->held_ns += t->cells[id].held_ns;
    }
}

void wf_tally_each(void (*visit)(const wf_tally_line *line, void *arg), void *arg)
{
    for (AO_t id = 1; id <= AO_load(&n_sites) && id < SITES; id++) {
        if (!sites[id])
            continue;
        const char   *slash = strrchr(sites[id]->file, '/');
        wf_tally_line line = { .file = slash ? slash + 1 : sites[id]->file,
                               .function = sites[id]->function,
                               .what = sites[id]->what,
                               .kind = sites[id]->kind };
        add_up(&line, id);
        visit(&line, arg);
    }
}
#endif
