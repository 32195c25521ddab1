/* SPDX-License-Identifier: Apache-2.0 */
/*
 * about.c - the object that a coroutine waits for, in words.  It reads copies alone; each
 * object's words are read by the file that owns it (look.h).
 */
#include "about.h"

#include "peek.h"
#include "poll_desc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CASES_SHOWN = 3 };

__attribute__((format(printf, 2, 3))) static void say(wf_seen *s, const char *format, ...)
{
    size_t  n = strlen(s->about);
    va_list ap;
    va_start(ap, format);
    vsnprintf(s->about + n, sizeof s->about - n, format, ap);
    va_end(ap);
}

static void held(wf_seen *s, enum wf_hold how, const wf_look *look)
{
    s->hold = how;
    s->holder = look->holder;
}

static void mutex(wf_seen *s, const void *copy)
{
    wf_look look = { 0 };
    wf_mutex_look(copy, &look);
    say(s, "mutex %p", s->on);
    if (look.held)
        held(s, WF_LOCKED, &look);
}

static void rwmutex(wf_seen *s, const void *copy)
{
    wf_look look = { 0 };
    wf_rwmutex_look(copy, &look);
    say(s, "rwmutex %p", s->on);
    if (look.n > 0)
        say(s, " with %lld reader%s", (long long)look.n, look.n == 1 ? "" : "s");
    if (look.held || look.n > 0)
        held(s, look.held ? WF_WRITE_LOCKED : WF_READ_LOCKED, &look);
}

static void once(wf_seen *s, const void *copy)
{
    wf_look look = { 0 };
    wf_once_look(copy, &look);
    say(s, "once %p", s->on);
    if (look.held)
        held(s, WF_RUNS_ONCE, &look);
}

static void waitgroup(wf_seen *s, const void *copy)
{
    wf_look look = { 0 };
    wf_waitgroup_look(copy, &look);
    say(s, "waitgroup %p, whose count is %lld", s->on, (long long)look.n);
}

static void group(wf_seen *s, const void *copy)
{
    wf_look look = { 0 };
    wf_group_look(copy, &look);
    say(s, "group %p of %lld member%s%s", s->on, (long long)look.n, look.n == 1 ? "" : "s",
        look.closed ? ", cancelled" : "");
}

static void channel(wf_seen *s, const void *copy)
{
    wf_look look = { 0 };
    wf_chan_look(copy, &look);
    say(s, "%schannel %p", look.of_timer ? "a timer's " : "", s->on);
    if (look.of_timer)
        return;
    if (look.cap == 0)
        say(s, ", unbuffered");
    else
        say(s, " with %lld of %lld elements", (long long)look.n, (long long)look.cap);
}

static void in_select(wf_seen *s, const void *copy)
{
    wf_select_seen cases[CASES_SHOWN];
    int            n = wf_select_look(copy, cases, CASES_SHOWN);
    say(s, "%d case%s", n, n == 1 ? "" : "s");
    for (int i = 0; i < n && i < CASES_SHOWN; i++)
        say(s, "%s %s %p", i == 0 ? ":" : ",", cases[i].send ? "send to" : "receive from",
            cases[i].chan);
    if (n > CASES_SHOWN)
        say(s, " ...");
}

static void semaphore(wf_seen *s, const void *copy)
{
    (void)copy;
    say(s, "semaphore %p", s->on);
}

static void condition(wf_seen *s, const void *copy)
{
    (void)copy;
    say(s, "condition %p", s->on);
}

/* poll_descs are never unmapped. */
static void descriptor(wf_seen *s, const void *copy)
{
    const wf_poll_desc *pd = copy;
    say(s, "descriptor %d", pd->fd);
}

static const struct {
    void (*say)(wf_seen *s, const void *copy);
    size_t bytes; /* of the object, from its start */
} kinds[WF_FOR_KINDS] = {
    [WF_FOR_MUTEX] = { mutex, sizeof(weft_mutex) },
    [WF_FOR_READ_LOCK] = { rwmutex, sizeof(weft_rwmutex) },
    [WF_FOR_WRITE_LOCK] = { rwmutex, sizeof(weft_rwmutex) },
    [WF_FOR_CONDITION] = { condition, sizeof(weft_cond) },
    [WF_FOR_SEMAPHORE] = { semaphore, sizeof(weft_sem) },
    [WF_FOR_WAITGROUP] = { waitgroup, sizeof(weft_waitgroup) },
    [WF_FOR_ONCE] = { once, sizeof(weft_once) },
    [WF_FOR_GROUP] = { group, sizeof(weft_group) },
    [WF_FOR_SEND] = { channel, WF_CHAN_LOOK_BYTES },
    [WF_FOR_RECEIVE] = { channel, WF_CHAN_LOOK_BYTES },
    [WF_FOR_SELECT] = { in_select, WF_SELECT_LOOK_BYTES },
    [WF_FOR_READABLE] = { descriptor, sizeof(wf_poll_desc) },
    [WF_FOR_WRITABLE] = { descriptor, sizeof(wf_poll_desc) },
    [WF_FOR_DESCRIPTOR] = { descriptor, sizeof(wf_poll_desc) },
};

void wf_about(wf_seen *s)
{
    _Alignas(max_align_t) char copy[sizeof(wf_poll_desc)];
    _Static_assert(sizeof copy >= sizeof(weft_group), "the largest of them");
    s->about[0] = '\0';
    s->hold = WF_HELD_BY_NONE;
    if (s->kind == WF_FOR_TURN_TO_READ || s->kind == WF_FOR_TURN_TO_WRITE)
        say(s, "descriptor %d", (int)(intptr_t)s->on);
    else if (s->kind < WF_FOR_KINDS && kinds[s->kind].say && s->on &&
             wf_peek(copy, s->on, kinds[s->kind].bytes))
        kinds[s->kind].say(s, copy);
}

bool wf_about_inside(enum wf_wait_kind kind)
{
    switch (kind) {
    case WF_FOR_MUTEX:
    case WF_FOR_READ_LOCK:
    case WF_FOR_WRITE_LOCK:
    case WF_FOR_CONDITION:
    case WF_FOR_SEMAPHORE:
    case WF_FOR_WAITGROUP:
    case WF_FOR_ONCE:
    case WF_FOR_GROUP:
    case WF_FOR_SEND:
    case WF_FOR_RECEIVE:
    case WF_FOR_SELECT:
    case WF_FOR_TURN_TO_READ:
    case WF_FOR_TURN_TO_WRITE:
        return true;
    default: /* time, descriptors, names, and what is added later */
        return false;
    }
}
