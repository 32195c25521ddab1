/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c - one coroutine as it was at one moment, taken while everything runs.
 *
 * Nothing is locked and nothing of the coroutine is changed.  Its turns tell whether it ran
 * meanwhile (g.h): then what was read is thrown away, and read again.  Its stack is walked
 * where it lies (unwind.c stands a stack that moves); all else, and the words of a stack that
 * hibernates, is copied by the kernel (peek.c), since a name or an object may be gone.  A wait that is still the same after all
 * was read kept its object alive meanwhile.
 */
#include "snapshot.h"

#include "about.h"
#include "hibernate.h"
#include "pack.h"
#include "peek.h"
#include "poll_desc.h"
#include "sched.h"
#include "unwind.h"

#include <string.h>

enum { TRIES = 4, PAGE = 4096 };

/* Up to its end, or its page's: beyond that may be nothing. */
static void copy_name(char *to, const char *from)
{
    size_t left = PAGE - (uintptr_t)from % PAGE;
    memset(to, 0, WF_NAME_BYTES);
    if (from)
        wf_peek(to, from, left < WF_NAME_BYTES ? left : WF_NAME_BYTES - 1);
    to[WF_NAME_BYTES - 1] = '\0';
}

/* Its heap may be one of an earlier run, and gone. */
static weft_time timer_of(const wf_g *gp, const wf_g *copy)
{
    for (int i = 0; i < wf_the_sched.procs; i++) {
        wf_timer_heap *h = &wf_the_sched.ps[i]->timers;
        if (AO_load(&copy->timer.heap) == (AO_t)h)
            return wf_timer_when(h, &gp->timer, copy->timer.id);
    }
    return WEFT_FOREVER;
}

static weft_time deadline_of(const wf_g *gp, const wf_g *copy)
{
    weft_time own = timer_of(gp, copy);
    if (own != WEFT_FOREVER)
        return own;
    if (copy->wait_for != WF_FOR_READABLE && copy->wait_for != WF_FOR_WRITABLE)
        return WEFT_FOREVER; /* else the descriptor may have one */
    wf_poll_desc pd;
    enum wf_mode mode = copy->wait_for == WF_FOR_WRITABLE ? WF_WRITE : WF_READ;
    if (!wf_peek(&pd, (const void *)AO_load(&copy->wait_on), sizeof pd))
        return WEFT_FOREVER;
    intptr_t d = (intptr_t)pd.deadline[mode];
    return d > 0 ? (weft_time)d : WEFT_FOREVER;
}

/* What lies packed in the heap may be gone as well. */
static bool begin_moved(wf_unwind *u, const wf_g *copy, uint64_t *words)
{
    uint64_t packed[WF_PACK_ROOM(WF_HIBERNATE_WORDS)];
    size_t   n = wf_hibernate_live(copy), bits = wf_pack_bits(n) * sizeof *packed;
    if (n > WF_HIBERNATE_WORDS || !wf_peek(packed, copy->moved, bits) ||
        !wf_peek(packed, copy->moved, bits + wf_pack_rest(packed, n)))
        return false;
    memset(words, 0, n * sizeof *words);
    wf_unpack(words, packed, n);
    return wf_unwind_moved(u, copy->fctx, words, n);
}

static bool begin_walk(wf_unwind *u, const wf_g *copy, uint64_t *words)
{
    if (copy->bound & WF_HIBERNATES && copy->moved)
        return begin_moved(u, copy, words);
    return wf_unwind_saved(u, copy->fctx, copy->stack.top - copy->stack.size, copy->stack.top);
}

static void walk(const wf_g *copy, wf_seen *out, uintptr_t *frames)
{
    uint64_t            words[WF_HIBERNATE_WORDS];
    enum wf_unwind_step step = WF_UNWIND_MORE;
    wf_unwind           u;
    if (!begin_walk(&u, copy, words))
        return;
    while (step == WF_UNWIND_MORE && out->n_frames < WF_FRAMES_MOST) {
        frames[out->n_frames++] = wf_unwind_pc(&u);
        step = wf_unwind_step(&u);
    }
    out->whole = step == WF_UNWIND_END;
}

static void set_wait(const wf_g *gp, const wf_g *copy, wf_seen *out)
{
    out->doing = WF_WAITS;
    out->kind = copy->wait_for;
    out->on = (const void *)AO_load(&copy->wait_on);
    out->until = deadline_of(gp, copy);
    wf_about(out);
}

/* Whatever it reads may be torn: the caller finds out. */
static void look(wf_g *gp, const wf_g *copy, wf_seen *out, uintptr_t *frames)
{
    AO_t token = AO_load(&copy->token);
    *out = (wf_seen){ .gp = gp,
                      .id = copy->id,
                      .token = token,
                      .doing = copy->fctx ? WF_RUNNABLE : WF_RUNS,
                      .began = copy->wait_began,
                      .until = WEFT_FOREVER,
                      .function = copy->group_fn ? (uintptr_t)copy->group_fn : (uintptr_t)copy->fn,
                      .group = copy->group,
                      .stack_top = copy->stack.top };
    if (copy->started_at)
        out->started_at = (uintptr_t)copy->started_at - 1;
    copy_name(out->name, copy->name);
    if (!copy->fctx)
        return;
    if (copy->fresh) { /* its context is none of its own yet */
        strcpy(out->about, "it has not run yet");
        return;
    }
    walk(copy, out, frames);
    if ((token & WF_TOKEN_STATE_MASK) == WF_PARKED)
        set_wait(gp, copy, out);
}

static bool is_alive(wf_g *gp)
{
    return AO_char_load_acquire(&gp->state) == WF_G_ALIVE; /* pairs with coroutine.c */
}

/* Is it the same turn of the same life?  A wait that has ended since counts as runnable. */
static bool confirm(wf_g *gp, wf_seen *out)
{
    uint64_t id;
    wf_fence(); /* pairs with wf_turn_begin: what was read was read before this */
    if (AO_int_load(&gp->turns) != out->turns || !is_alive(gp) ||
        !wf_peek(&id, &gp->id, sizeof id) || id != out->id)
        return false;
    if (out->doing == WF_WAITS && AO_load(&gp->token) != out->token) {
        out->doing = WF_RUNNABLE;
        out->about[0] = '\0';
        out->hold = WF_HELD_BY_NONE;
    }
    return true;
}

bool wf_snapshot(wf_g *gp, wf_seen *out, uintptr_t frames[WF_FRAMES_MOST])
{
    wf_g copy;
    for (int i = 0; i < TRIES; i++) {
        if (!is_alive(gp))
            return false;
        unsigned turns = AO_int_load_acquire(&gp->turns); /* pairs with wf_turn_begin */
        if (!wf_peek(&copy, gp, sizeof copy))
            return false;
        look(gp, &copy, out, frames);
        out->turns = turns;
        if (confirm(gp, out))
            return true;
    }
    out->doing = WF_RUNS; /* it did, at each try */
    out->n_frames = 0;
    out->about[0] = '\0';
    out->hold = WF_HELD_BY_NONE;
    return true;
}

bool wf_seen_still(const wf_seen *s)
{
    wf_seen now = *s;
    if (s->doing == WF_WAITS)
        wf_about(&now);
    wf_fence(); /* as in confirm */
    return s->doing == WF_WAITS && now.hold == s->hold && now.holder == s->holder &&
           AO_int_load(&s->gp->turns) == s->turns && AO_load(&s->gp->token) == s->token;
}
