/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.h - what a copy of an object tells people of it.
 *
 * Each function stands in the file that owns the object, beside the meaning of its words,
 * and reads the copy alone: the object itself may change or go meanwhile.
 */
#ifndef WF_LOOK_H
#define WF_LOOK_H

#include "base.h"

enum { WF_CHAN_LOOK_BYTES = 48, WF_SELECT_LOOK_BYTES = 40 }; /* of what is no public struct */

typedef struct wf_look {
    bool     held;     /* mutex, once; rwmutex: by a writer */
    bool     closed;   /* channel; of a group: cancelled */
    bool     of_timer; /* channel */
    uint64_t holder;   /* wf_who of who took it; of a rwmutex that is read: of one reader */
    int64_t  n;        /* waitgroup: count; group: members; rwmutex: readers; channel: elements */
    int64_t  cap;      /* channel */
} wf_look;

/* Of a copy that is torn, or of something else by now, any byte may come: no bool, then. */
static inline bool wf_look_flag(const bool *flag)
{
    return *(const unsigned char *)flag != 0;
}

void wf_mutex_look(const weft_mutex *copy, wf_look *out);
void wf_rwmutex_look(const weft_rwmutex *copy, wf_look *out);
void wf_once_look(const weft_once *copy, wf_look *out);
void wf_waitgroup_look(const weft_waitgroup *copy, wf_look *out);
void wf_group_look(const weft_group *copy, wf_look *out);
void wf_chan_look(const void *copy, wf_look *out); /* of its first WF_CHAN_LOOK_BYTES */

typedef struct wf_select_seen {
    const weft_chan *chan;
    bool             send;
} wf_select_seen;

/* How many cases are live; of the first ones, as far as they can be read, what they are. */
int wf_select_look(const void *copy, wf_select_seen *out, int most);

#endif
