/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.h - counts every atomic access and every lock of the runtime, by place; only where
 * WEFT_COUNT is defined, which the library that is installed is never built with.
 *
 * base.h includes it last, so that the atomics of all files after it are counted without a
 * word in them; lock.h and os.h name the locks and the system calls.  For the study of
 * docs/scaling.md (tools/bench/scale).  Must never change what the runtime does: the one
 * liberty that it takes is to yield the CPU now and then, as the kernel may at any place.
 *
 * A place is a file and an expression.  "Moved" is what a coherent machine would do on which
 * each thread had a core of its own: a read of a line that another thread has written since
 * this one last saw it, or a write to a line that another has seen or written since.
 */
#ifndef WF_TALLY_H
#define WF_TALLY_H

#ifdef WEFT_COUNT

enum wf_tally_kind { WF_TALLY_LOAD, WF_TALLY_STORE, WF_TALLY_RMW, WF_TALLY_LOCK, WF_TALLY_EVENT };

/* What a place has counted, of all threads; times of locks only while those are measured. */
typedef struct wf_tally_line {
    const char *file, *function, *what;
    int         kind; /* enum wf_tally_kind */
    uint64_t    n, moved;
    uint64_t    ends, held_ns; /* of locks: how often freed, and how long they were held */
} wf_tally_line;

/* What to do: count, measure how long locks are held (then nothing else), or nothing; and after
 * how many counted places, on average, a thread that holds no lock yields the CPU (0: never). */
enum wf_tally_mode { WF_TALLY_OFF, WF_TALLY_COUNT, WF_TALLY_HOLD };
void wf_tally_set(enum wf_tally_mode mode, unsigned yield_every);
void wf_tally_each(void (*visit)(const wf_tally_line *line, void *arg), void *arg);

typedef struct wf_site {
    const char   *file, *function, *what;
    int           kind;
    volatile AO_t id; /* 0: not met yet */
} wf_site;

void wf_tally(wf_site *site, const volatile void *p);
void wf_tally_locked(const volatile void *lock);   /* the lock counted last is held from here */
void wf_tally_unlocked(const volatile void *lock); /* it is about to be freed */

/* Yields p, counted as an access of this kind to what it points at. */
#define WF_TALLY(k, name, p)                                                    \
    __extension__({                                                             \
        static wf_site tally_site = {                                           \
            .file = __FILE__, .function = __func__, .what = (name), .kind = (k) \
        };                                                                      \
        __typeof__(p) tally_p = (p);                                            \
        wf_tally(&tally_site, tally_p);                                         \
        tally_p;                                                                \
    })
#define WF_TALLY_EVENT_AT(name, p) ((void)WF_TALLY(WF_TALLY_EVENT, name, p))

static inline AO_t wf_raw_load(const volatile AO_t *p)
{
    return AO_load(p);
}

static inline AO_t wf_raw_load_acquire(const volatile AO_t *p)
{
    return AO_load_acquire(p);
}

static inline void wf_raw_store(volatile AO_t *p, AO_t v)
{
    AO_store(p, v);
}

static inline void wf_raw_store_release(volatile AO_t *p, AO_t v)
{
    AO_store_release(p, v);
}

static inline AO_t wf_raw_add(volatile AO_t *p, AO_t n)
{
    return AO_fetch_and_add_full(p, n);
}

static inline int wf_raw_cas(volatile AO_t *p, AO_t was, AO_t now)
{
    return AO_compare_and_swap_full(p, was, now);
}

#undef AO_load
#undef AO_load_acquire
#undef AO_store
#undef AO_store_release
#undef AO_fetch_and_add
#undef AO_fetch_and_add_full
#undef AO_compare_and_swap_full
#define AO_load(p)                            wf_raw_load(WF_TALLY(WF_TALLY_LOAD, #p, p))
#define AO_load_acquire(p)                    wf_raw_load_acquire(WF_TALLY(WF_TALLY_LOAD, #p, p))
#define AO_store(p, v)                        wf_raw_store(WF_TALLY(WF_TALLY_STORE, #p, p), v)
#define AO_store_release(p, v)                wf_raw_store_release(WF_TALLY(WF_TALLY_STORE, #p, p), v)
#define AO_fetch_and_add(p, n)                wf_raw_add(WF_TALLY(WF_TALLY_RMW, #p, p), n)
#define AO_fetch_and_add_full(p, n)           wf_raw_add(WF_TALLY(WF_TALLY_RMW, #p, p), n)
#define AO_compare_and_swap_full(p, was, now) wf_raw_cas(WF_TALLY(WF_TALLY_RMW, #p, p), was, now)

#else

#define WF_TALLY_EVENT_AT(name, p) ((void)0)

#endif
#endif
