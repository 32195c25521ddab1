/* SPDX-License-Identifier: Apache-2.0 */
/* census.h - all coroutines as they were, and who waits for whom; see census.c. */
#ifndef WF_CENSUS_H
#define WF_CENSUS_H

#include "out.h"
#include "place.h"
#include "snapshot.h"

/* One coroutine of a census. */
typedef struct wf_one {
    wf_seen seen;
    size_t  frames; /* where its own begin in wf_census.frames */
} wf_one;

typedef struct wf_census {
    wf_one    *all;
    size_t     n, room;
    uintptr_t *frames;
    size_t     n_frames, frames_room;
    wf_one   **by_stack; /* by stack_top */
    wf_one   **by_group; /* by group */
    wf_places *places;
    bool       no_memory;
} wf_census;

/* 0 or -ENOMEM.  Either way wf_census_close is due. */
int  wf_census_take(wf_census *c);
void wf_census_close(wf_census *c);

/* gp as it was; NULL: it did not live.  Fast. */
wf_one *wf_census_of(const wf_census *c, const wf_g *gp);
/* Whose stack a wf_who names; NULL: nobody's that lives. */
wf_one *wf_census_holder(const wf_census *c, uint64_t who);
/* Where it took what it holds; NULL: not known. */
const char *wf_census_held_at(wf_census *c, uint64_t who);
/* The k-th of those that must go on before `one` can; NULL: no such, or nobody knows. */
wf_one *wf_census_awaited(const wf_census *c, const wf_one *one, size_t k);

/* The first of its frames outside weft: where the user's code waits.  NULL: not known. */
const char *wf_census_waits_at(wf_census *c, const wf_one *one);
/* How many of its frames are weft's own, before the call that the user made. */
int wf_census_inner_frames(wf_census *c, const wf_one *one);

#endif
