/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.h - one coroutine as it was at one moment, for people; see snapshot.c. */
#ifndef WF_SNAPSHOT_H
#define WF_SNAPSHOT_H

#include "g.h"
#include "look.h"

enum { WF_FRAMES_MOST = 64, WF_ABOUT_BYTES = 128, WF_NAME_BYTES = 32 };

enum wf_doing {
    WF_WAITS,
    WF_RUNNABLE,
    WF_RUNS /* or is in other code: between weft_block_enter and leave, say */
};

/* What somebody did with the object that a coroutine waits for. */
enum wf_hold { WF_HELD_BY_NONE, WF_LOCKED, WF_WRITE_LOCKED, WF_READ_LOCKED, WF_RUNS_ONCE };

typedef struct wf_seen {
    wf_g             *gp;
    uint64_t          id;
    unsigned          turns; /* the moment */
    AO_t              token;
    enum wf_doing     doing;
    enum wf_wait_kind kind; /* of a wait from here on */
    const void       *on;
    AO_t              began; /* wf_the_sched.clock then */
    weft_time         until; /* WEFT_FOREVER: no deadline */
    enum wf_hold      hold;
    uint64_t          holder;                /* wf_who, if hold */
    char              about[WF_ABOUT_BYTES]; /* the object in words; "": there is none */
    const void       *group;                 /* that it is a member of */
    const char       *stack_top;
    uintptr_t         started_at; /* inside the call; 0: not known */
    uintptr_t         function;   /* that it was started with */
    char              name[WF_NAME_BYTES];
    bool              whole; /* the frames go up to its first function */
    int               n_frames;
} wf_seen;

/* False: gp is free.  frames: innermost first; none of one that runs. */
bool wf_snapshot(wf_g *gp, wf_seen *out, uintptr_t frames[WF_FRAMES_MOST]);

/* It waits as it did then, and did so all the time; and what it waits for is held as then. */
bool wf_seen_still(const wf_seen *s);

#endif
