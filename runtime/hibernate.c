/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hibernate.c - coroutines that have waited for long in a read, and allowed it, give their
 * stacks' pages back: the live words, some eighty of which a third are zero, are moved to the
 * heap, and restored at the same address before the coroutine is resumed.
 *
 * sysmon looks for them, in rounds over the table of Gs, and moves them BATCH at a time,
 * since the system takes pages back in numbers at half the price.  A round passes over the
 * slabs in which nobody who allowed it is awake, does a bounded part at each look, and
 * comes the seldomer the less the last ones found.  While all Ps idle and none is old
 * enough it comes when the first will be; with none at all, not before a P has run.
 *
 * Only a wait to read qualifies (WF_FOR_READABLE), and no accept: these are few, and who
 * loops over one often keeps on its stack what its connections share.  weft itself keeps
 * nothing on that stack that others touch once the token is parked: poll_commit, which reads
 * its argument there, is over then (a wait by wf_park_publish could not qualify); the word
 * rg, the wf_poll_desc, the descriptor's place and turn, the borrows and the timers all lie
 * elsewhere.  What users keep there they answer for (weft_hibernate).
 *
 * sysmon must have the stack for itself meanwhile, so it takes the token back, and is then
 * the lander of the switch that parked the G once more:
 *
 *   of the token      by         meanwhile
 *   PARKED -> ARMED   sysmon     CAS against all wakers: the same wait, and its stack is at
 *                                rest.  A waker that comes now finds ARMED, fires, and
 *                                leaves the G to the lander, as it does before any park
 *                     sysmon     copies the live bytes; bound |= HIBERNATES; turns + 1;
 *                                the pages go
 *   ARMED -> PARKED   sysmon     CAS; or it fails, a waker was there, and sysmon readies
 *   PARKED -> FIRED   a waker    as ever: it readies
 *                     the next   whoever takes the G out of a queue sees `bound`: restores
 *                                the bytes, clears it, turns + 1, frees the copy, runs it
 *
 * No wake-up is lost: a waker names a wait and looks for it in the token, where it finds it
 * PARKED or ARMED, and fires it, or FIRED and is late.  Of those that find it ARMED it is
 * sysmon's CAS to PARKED that tells; it comes after all that sysmon did to the stack, and
 * whoever resumes the G comes after it, or after sysmon itself, in the queue's order.  The
 * lander of the switch need not look at the cancel flag a second time: the canceller looks
 * at the token after it has set the flag, and the first lander's look came after PARKED
 * (g.h), so whichever of the two was second has fired the wait, if ARMED too.  A waiting
 * event is late by one batch at most (tests/model/hibernate.pml).
 *
 * Rejected: giving the copy to whoever lands, at the park: it cannot know how long.  A list
 * of candidates: two more lines of memory at each park and wake of a busy connection.
 */
#include "hibernate.h"

#include "coroutine.h"
#include "pack.h"
#include "stack.h"

#include <stdlib.h>
#include <string.h>

#define S             wf_the_sched
#define PAUSE_MOST_NS (250 * WEFT_MS)
#define NEVER         UINT32_MAX

enum {
    BATCH = WF_STACK_PARTS, /* wakers wait for so many at most */
    LATE = 4,               /* by a quarter of what was asked, while somebody comes of age */
    RARER = 8,              /* and so much seldomer else */
    TAKEN_A_LOOK = 256,     /* about half a millisecond, like the next */
    SLABS_A_LOOK = 64,
    PACKED_MOST = 2048, /* bytes: half a page */
    SLAB = 256,         /* Gs that share a word of `awake` */
    SLABS = (1 << 24) / SLAB
};

/* 1: there may be a G in the slab that allows it and is awake.  Atomic; set after
 * hibernate_after is, or when one wakes; cleared by a round before it looks. */
static volatile unsigned awake[SLABS];

static volatile AO_t used;       /* a G has allowed it since the runtime's start */
static volatile AO_t hibernates; /* Gs that do now */
static volatile AO_t count;

/* All of this is sysmon's. */
static struct {
    AO_t     at;       /* the next slab of the round, + 1; 0: between rounds */
    AO_t     activity; /* as the round began; all Ps idled then: nothing is missed while */
    bool     idle;     /* it is the same */
    bool     found;    /* somebody hibernates since */
    bool     refused;  /* the system takes no pages (locked memory) */
    unsigned soonest;  /* units of the clock until the first is old enough; 0: there is none */
    unsigned shortest; /* the least hibernate_after; 0: nobody is awake */
    int64_t  pause;    /* after the last round */
    int64_t  next;     /* when a round is due */
    int64_t  then;     /* when the first is old enough */
    int      n, taken; /* of the batch; at this look */
    wf_g    *gs[BATCH];
    AO_t     armed[BATCH];
} search;

static uint64_t packed[WF_PACK_ROOM(WF_HIBERNATE_WORDS)]; /* sysmon's: of the one it moves */

/* ---- One G ------------------------------------------------------------------------- */

size_t wf_hibernate_live(const wf_g *gp)
{
    return (size_t)(wf_g_stack_start(gp) - (char *)gp->fctx) / sizeof(uint64_t);
}

/* wf_g.hibernate_after: 0 is what the environment says, NEVER is not at all. */
static unsigned after_of(const wf_g *gp)
{
    unsigned after = AO_int_load(&gp->hibernate_after);
    return after == 0 ? S.hibernate_after : after == NEVER ? 0 : after;
}

static void set_awake(const wf_g *gp)
{
    AO_int_store_release(&awake[gp->index / SLAB], 1); /* pairs with the CAS in slab_awake */
}

void wf_hibernate_end(wf_g *gp)
{
    void *moved = gp->moved;
    if (moved) /* onto pages of zeros, or, if the system took them not, of what was there */
        wf_unpack(gp->fctx, moved, wf_hibernate_live(gp));
    gp->moved = NULL;
    AO_char_store(&gp->bound, gp->bound & ~WF_HIBERNATES);
    wf_turn_move(gp);
    free(moved);
    AO_fetch_and_add(&hibernates, (AO_t)-1);
    set_awake(gp);
}

/* Its token is ARMED.  One with more live words keeps the pages of these, and only what lies
 * below is given back.  False: no memory. */
static bool move_out(wf_g *gp)
{
    size_t live = wf_hibernate_live(gp);
    wf_g_prefetch(gp); /* its lines miss at once, not one after the other */
    size_t size = live <= WF_HIBERNATE_WORDS ? wf_pack(packed, gp->fctx, live) : SIZE_MAX;
    if (size <= PACKED_MOST) {
        gp->moved = malloc(size);
        if (!gp->moved)
            return false;
        memcpy(gp->moved, packed, size);
    }
    AO_char_store(&gp->bound, gp->bound | WF_HIBERNATES);
    wf_turn_move(gp);
    return true;
}

/* ---- A batch ------------------------------------------------------------------------ */

static void give_back(void)
{
    wf_stack_part parts[BATCH];
    for (int i = 0; i < search.n; i++)
        parts[i] =
            (wf_stack_part){ &search.gs[i]->stack,
                             search.gs[i]->moved ? search.gs[i]->stack.top : search.gs[i]->fctx };
    search.refused = !wf_stack_give_back(parts, search.n);
}

/* They have parked once more, unless a waker was first. */
static void flush(void)
{
    wf_glist out;
    wf_glist_init(&out);
    if (search.n == 0)
        return;
    give_back();
    AO_fetch_and_add(&hibernates, (AO_t)search.n);
    AO_store(&count, AO_load(&count) + (AO_t)search.n);
    for (int i = 0; i < search.n; i++)
        if (!wf_token_park(search.gs[i], search.armed[i]))
            wf_glist_push(&out, search.gs[i]);
    search.taken += search.n;
    search.n = 0;
    wf_ready_list(NULL, &out);
}

static void take(wf_g *gp, AO_t parked)
{
    if (!wf_token_unpark(gp, parked))
        return; /* a waker was first */
    AO_t armed = parked - WF_PARKED + WF_ARMED;
    if (!move_out(gp)) {
        if (!wf_token_park(gp, armed))
            wf_ready_anywhere(gp);
        return;
    }
    search.found = true;
    search.gs[search.n] = gp;
    search.armed[search.n++] = armed;
    if (search.n == BATCH)
        flush();
}

/* ---- A round ------------------------------------------------------------------------- */

/* It waits to read, in the wait of this token: what it wrote before it parked is seen. */
static bool waits_to_read(const wf_g *gp, AO_t token)
{
    return wf_token_is_parked(token) && AO_char_load(&gp->wait_for) == WF_FOR_READABLE &&
           !AO_char_load(&gp->bound);
}

/* True: it is awake, and may hibernate later. */
static bool visit(wf_g *gp)
{
    unsigned after = after_of(gp);
    if (after == 0 || AO_char_load_acquire(&gp->state) != WF_G_ALIVE || /* pairs with set_alive */
        AO_char_load(&gp->bound) & WF_HIBERNATES)
        return false;
    if (search.shortest == 0 || after < search.shortest)
        search.shortest = after;
    AO_t token = AO_load_acquire(&gp->token); /* pairs with wf_token_park */
    if (!waits_to_read(gp, token))
        return true;
    int      since = (int)((unsigned)AO_load(&S.clock) - AO_int_load(&gp->wait_began));
    unsigned age = since > 0 ? (unsigned)since : 0; /* who sets the clock may come late */
    if (age >= after) {
        take(gp, token);
        return !(AO_char_load(&gp->bound) & WF_HIBERNATES);
    }
    if (search.soonest == 0 || after - age < search.soonest)
        search.soonest = after - age;
    return true;
}

/* The CAS pairs with set_awake: whoever set it has set hibernate_after before that. */
static bool slab_awake(AO_t slab)
{
    return (AO_int_load(&awake[slab]) && AO_int_compare_and_swap_full(&awake[slab], 1, 0)) ||
           S.hibernate_after;
}

static void look_through(AO_t slab, AO_t end)
{
    bool any = false;
    for (AO_t i = slab * SLAB; i < (slab + 1) * SLAB && i < end; i++)
        if (i > 0 && visit(wf_g_at((unsigned)i)))
            any = true;
    if (any)
        AO_int_store(&awake[slab], 1);
}

static void begin(AO_t activity)
{
    search.idle = AO_load_acquire(&S.n_idle_p) == (AO_t)S.procs; /* pairs with idle_push */
    search.activity = activity;
    search.found = false;
    search.soonest = search.shortest = 0;
    search.at = 1;
}

static int64_t shortest_pause(void)
{
    int64_t late = search.shortest * WF_CLOCK_NS / LATE;
    if (late == 0 || late > PAUSE_MOST_NS)
        return PAUSE_MOST_NS;
    return late > WF_CLOCK_NS ? late : WF_CLOCK_NS;
}

static void end(int64_t now)
{
    int64_t least = shortest_pause();
    search.at = 0;
    search.pause = search.found || search.pause < least ? least : 2 * search.pause;
    if (search.pause > RARER * least)
        search.pause = RARER * least;
    search.then = search.soonest ? now + search.soonest * WF_CLOCK_NS : WEFT_FOREVER;
    search.next = now + search.pause;
    if (search.then < search.next)
        search.next = search.then > now + least ? search.then : now + least;
}

/* What a stack has held is measured by the bytes that it left there. */
static bool is_off(void)
{
    return !AO_load(&used) || search.refused || (AO_load(&wf_stack_watch) & WF_STACK_MEASURE);
}

void wf_hibernate_look(int64_t now, AO_t activity)
{
    if (is_off() || (search.at == 0 && now < search.next))
        return;
    if (search.at == 0)
        begin(activity);
    AO_t end_index = wf_g_made() + 1, slabs = (end_index + SLAB - 1) / SLAB;
    search.taken = 0;
    for (int looked = 0; search.at <= slabs && looked < SLABS_A_LOOK && search.taken < TAKEN_A_LOOK;
         search.at++)
        if (slab_awake(search.at - 1)) {
            look_through(search.at - 1, end_index);
            looked++;
        }
    flush(); /* nobody stays armed until the next look */
    if (search.at > slabs)
        end(now);
}

bool wf_hibernate_busy(void)
{
    return search.at != 0;
}

int64_t wf_hibernate_until(AO_t activity)
{
    if (is_off())
        return WEFT_FOREVER;
    bool known = search.idle && search.activity == activity;
    return known && search.then > search.next ? search.then : search.next;
}

/* ---- Who allows it -------------------------------------------------------------------- */

static unsigned units_of(int64_t ns)
{
    int64_t units = ns > 0 ? ns / WF_CLOCK_NS + (ns % WF_CLOCK_NS > 0) : 0;
    return units < INT32_MAX ? (unsigned)units : INT32_MAX;
}

unsigned wf_hibernate_forbid(wf_g *gp)
{
    unsigned was = AO_int_load(&gp->hibernate_after);
    AO_int_store(&gp->hibernate_after, NEVER);
    return was;
}

void wf_hibernate_allow(wf_g *gp, unsigned was)
{
    AO_int_store(&gp->hibernate_after, was);
    if (was != 0 && was != NEVER)
        set_awake(gp);
}

int64_t weft_hibernate(int64_t after_ns)
{
    wf_m    *mp = wf_enter("weft_hibernate");
    wf_g    *gp = mp->gp;
    unsigned was = after_of(gp), units = units_of(after_ns);
    AO_int_store(&gp->hibernate_after, units ? units : NEVER);
    if (units > 0) {
        set_awake(gp);
        if (!AO_load(&used)) /* a line that all read */
            AO_store(&used, 1);
    }
    wf_leave(mp);
    return was * WF_CLOCK_NS;
}

int wf_hibernate_start(void)
{
    const char *env = getenv("WEFT_HIBERNATE");
    char       *end = NULL;
    long        ms = env && *env ? strtol(env, &end, 10) : 0;
    if (ms < 0 || ms > INT32_MAX || (end && *end)) {
        wf_say("WEFT_HIBERNATE=%.40s: must be a number of milliseconds", env);
        return -EINVAL;
    }
    memset(&search, 0, sizeof search);
    search.then = WEFT_FOREVER;
    S.hibernate_after = units_of(ms * WEFT_MS);
    AO_store(&used, S.hibernate_after > 0);
    AO_store(&hibernates, 0); /* some of an earlier run's may lie for ever */
    AO_store(&count, 0);
    return 0;
}

AO_t wf_hibernate_now(void)
{
    return AO_load(&hibernates);
}

AO_t wf_hibernate_count(void)
{
    return AO_load(&count);
}
