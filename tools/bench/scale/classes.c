/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/bench/scale/classes.c - which row of the tables a counted place belongs to.
 *
 * Owns the list of what all Ps share.  A lock that is new, or renamed, lands in "other locks"
 * and a word in "other words", which the test wants to see empty of what is known.
 */
#include "scale.h"

#include <string.h>

enum {
    ON_LOAD = 1 << TALLY_LOAD,
    ON_RMW = 1 << TALLY_RMW,
    ON_WRITE = 1 << TALLY_STORE | 1 << TALLY_RMW,
    ON_LOCK = 1 << TALLY_LOCK,
    ON_EVENT = 1 << TALLY_EVENT
};

/* The first that fits; NULL and "" fit all. */
static const struct rule {
    const char *row;
    int         kinds;
    const char *file, *function, *what;
} rules[] = {
    { "lock sched: push to the global queue", ON_LOCK, "global.c", "wf_global_push_list", "" },
    { "lock sched: take from the global queue", ON_LOCK, "global.c", "wf_global_take", "" },
    { "lock sched: lend a runnext", ON_LOCK, "retake.c", "wf_p_lend", "" },
    { "lock sched: wake", ON_LOCK, "idle.c", "wf_wakep", "" },
    { "lock sched: go idle", ON_LOCK, "idle.c", "wf_go_idle", "" },
    { "lock sched: retake by sysmon", ON_LOCK, "retake.c", "wf_p_retake", "" },
    { "lock sched: CPU clocks by sysmon", ON_LOCK, "retake.c", "wf_p_cpu", "" },
    { "lock sched: other", ON_LOCK, NULL, NULL, "&S.lock" },
    { "lock gpool", ON_LOCK, NULL, NULL, "&gpool.lock" },
    { "lock stack pool", ON_LOCK, "stack.c", NULL, "&pool.lock" },
    { "lock poll_cache", ON_LOCK, NULL, NULL, "&cache.lock" },
    { "lock lot bucket", ON_LOCK, "lot.c", NULL, "" },
    { "lock poll_desc", ON_LOCK, NULL, NULL, "&pd->lock" },
    { "lock timer heap", ON_LOCK, "timer.c", NULL, "" },
    { "lock channel", ON_LOCK, "chan.c", NULL, "" },
    { "lock group", ON_LOCK, "group.c", NULL, "" },
    { "lock fdlock queue", ON_LOCK, "fdlock.c", NULL, "" },
    { "lock other", ON_LOCK, NULL, NULL, "" },
    { "word n_idle_p", ON_WRITE, NULL, NULL, "&S.n_idle_p" },
    { "word n_spinning", ON_WRITE, NULL, NULL, "n_spinning" },
    { "word futile", ON_WRITE, NULL, NULL, "&S.futile" },
    { "word clock", ON_WRITE, NULL, NULL, "clock" },
    { "word poll_state, poll_until", ON_WRITE, NULL, NULL, "&S.poll_" },
    { "word n_wakes", ON_RMW, NULL, NULL, "&S.n_wakes" },
    { "word n_parks", ON_RMW, NULL, NULL, "&S.n_parks" },
    { "word n_handoffs", ON_RMW, NULL, NULL, "&S.n_handoffs" },
    { "word n_polls, n_poll_events", ON_RMW, NULL, NULL, "&S.n_poll" },
    { "word gate", ON_RMW, NULL, NULL, "&S.gate" },
    { "word gpool.next_id", ON_RMW, NULL, NULL, "&gpool.next_id" },
    { "word gpool.n_warm", ON_RMW, NULL, NULL, "&gpool.n_warm" },
    { "word np.broken", ON_WRITE, NULL, NULL, "&np.broken" },
    { "word np.used", ON_WRITE, NULL, NULL, "&np.used" },
    { "word of a mutex", ON_RMW, "mutex.c", NULL, "" },
    { "word of a waitgroup", ON_RMW, "sync.c", NULL, "" },
    { "word rg, wg of a poll_desc", ON_RMW, "poll_desc.c", NULL, "" },
    { "word rg, wg of a poll_desc", ON_RMW, "netpoll.c", NULL, "" },
    { "word of an fdlock", ON_RMW, "fdlock.c", NULL, "" },
    { "word of a token", ON_RMW, "g.h", NULL, "" },
    { "word of a ring's head", ON_RMW, "runq.h", NULL, "" },
    { "word of a grip", ON_RMW, NULL, NULL, "grip" },
    { "word other", ON_RMW, NULL, NULL, "" },
    { "read n_idle_p, n_spinning, futile", ON_LOAD, NULL, NULL, "n_idle_p" },
    { "read n_idle_p, n_spinning, futile", ON_LOAD, NULL, NULL, "n_spinning" },
    { "read n_idle_p, n_spinning, futile", ON_LOAD, NULL, NULL, "futile" },
    { "look at other Ps: victims", ON_LOAD, "proc.c", "steal_round", "" },
    { "look at other Ps: who polls", ON_LOAD, "idle.c", "others_poll", "" },
    { "look at other Ps: sysmon", ON_LOAD, "sysmon.c", NULL, "pp->" },
    { "look at other Ps: sysmon", ON_LOAD, "sysmon.c", NULL, "ps[i]" },
    { "look at a heap's first timer", ON_LOAD, "timer.h", NULL, "" },
    { "look at a ring's length", ON_LOAD, "runq.h", "wf_runq_len", "" },
    { "lock waited for", ON_EVENT, NULL, NULL, "lock waited for" },
    { "futex wait", ON_EVENT, NULL, NULL, "futex wait" },
    { "futex wake", ON_EVENT, NULL, NULL, "futex wake" },
    { "membarrier", ON_EVENT, NULL, NULL, "membarrier" },
    { "calls of epoll_ctl", ON_EVENT, NULL, NULL, "epoll_ctl" },
};

enum { RULES = sizeof rules / sizeof rules[0] };

const int n_classes = RULES;

const char *class_name(int i)
{
    return rules[i].row;
}

static bool fits(const struct rule *r, const tally_line *line)
{
    return (r->kinds >> line->kind & 1) && (!r->file || strcmp(r->file, line->file) == 0) &&
           (!r->function || strncmp(r->function, line->function, strlen(r->function)) == 0) &&
           strstr(line->what, r->what);
}

int class_of(const tally_line *line)
{
    for (int i = 0; i < RULES; i++)
        if (fits(&rules[i], line)) {
            for (int first = 0; first < i; first++) /* rows of several rules */
                if (strcmp(rules[first].row, rules[i].row) == 0)
                    return first;
            return i;
        }
    return -1;
}
