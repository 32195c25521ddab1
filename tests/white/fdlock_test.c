/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/fdlock_test.c - the fdlock's transitions one by one, its queues, and a stress in
 * which every turn must be exclusive, one user must close, and the last one inside must free.
 */
#include "net_support.h"
#include "scale.h"

#include "net/fdlock.h"

#include <criterion/criterion.h>

static wf_fdlock l;

static AO_t users(void)
{
    return WF_FDLOCK_USERS(AO_load(&l.word));
}

static AO_t parked(void)
{
    return WF_FDLOCK_PARKEDS(AO_load(&l.word));
}

/* Inside the runtime, as every caller of the fdlock is. */
static wf_m *in(void)
{
    return wf_enter("fdlock_test");
}

static void fresh(void)
{
    memset(&l, 0, sizeof l);
    wf_fdlock_open(&l, 77);
    CHECK_IS(l.fd, 77);
}

/* ---- Transitions --------------------------------------------------------------------- */

static int life(void *arg)
{
    (void)arg;
    memset(&l, 0, sizeof l);
    CHECK(!wf_fdlock_ref(&l)); /* zeroed: closed */
    CHECK_IS(wf_fdlock_take(&l, WF_READ), WF_TAKE_CLOSED);
    fresh();
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_ref(&l));
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_NONE);
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_NONE); /* open: nobody has a duty */
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(in(), &l));
    CHECK(!wf_fdlock_close(in(), &l));
    CHECK(!wf_fdlock_ref(&l));
    CHECK_IS(wf_fdlock_take(&l, WF_WRITE), WF_TAKE_CLOSED);
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_CLOSE_FD);
    CHECK_IS(users(), 0);
    CHECK_IS(parked(), 1); /* the slot is not free while its number is being closed */
    CHECK(wf_fdlock_leave(&l));
    fresh(); /* and now it may be used again */
    return 0;
}

Test(fdlock, opens_refers_closes_and_frees)
{
    run_on(1, life, NULL);
}

static int turns(void *arg)
{
    (void)arg;
    for (int m = WF_READ; m <= WF_WRITE; m++) {
        enum wf_mode mode = (enum wf_mode)m, other = (enum wf_mode) !m;
        fresh();
        CHECK_IS(wf_fdlock_take(&l, mode), WF_TAKE_TURN);
        CHECK_IS(wf_fdlock_take(&l, mode), WF_TAKE_BUSY); /* a user without the turn */
        CHECK_IS(wf_fdlock_take(&l, other), WF_TAKE_TURN);
        CHECK_IS(users(), 3);
        CHECK_IS(wf_fdlock_release(in(), &l, mode), WF_DUTY_NONE);
        CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_NONE);
        CHECK_IS(wf_fdlock_take(&l, mode), WF_TAKE_TURN);
        CHECK(wf_fdlock_close(in(), &l));
        CHECK_IS(wf_fdlock_release(in(), &l, mode), WF_DUTY_NONE);
        CHECK_IS(wf_fdlock_release(in(), &l, other), WF_DUTY_CLOSE_FD);
        CHECK(wf_fdlock_leave(&l));
    }
    return 0;
}

Test(fdlock, has_a_turn_for_each_direction)
{
    run_on(1, turns, NULL);
}

static int parking(void *arg)
{
    (void)arg;
    fresh();
    CHECK_IS(wf_fdlock_take(&l, WF_READ), WF_TAKE_TURN);
    CHECK(wf_fdlock_rest(&l));
    CHECK_IS(users(), 0);
    CHECK_IS(parked(), 1);
    CHECK(wf_fdlock_back(&l));
    CHECK_IS(users(), 1);
    CHECK(wf_fdlock_rest(&l));
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(in(), &l));
    CHECK(!wf_fdlock_back(&l));                     /* it may not touch the number any more */
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_CLOSE_FD); /* and so does not hold up the close */
    CHECK(!wf_fdlock_leave(&l));                    /* but the slot */
    CHECK(wf_fdlock_leave(&l));

    fresh();
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(in(), &l));
    CHECK(!wf_fdlock_rest(&l)); /* closed before the park: still a user */
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_NONE);
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_CLOSE_FD);
    CHECK(wf_fdlock_leave(&l));
    return 0;
}

Test(fdlock, who_is_parked_delays_the_slot_and_not_the_close)
{
    run_on(1, parking, NULL);
}

static int many(void *arg)
{
    enum { N = (1 << 20) + 3 };
    (void)arg;
    fresh();
    for (int i = 0; i < N; i++)
        CHECK(wf_fdlock_ref(&l));
    CHECK_IS(users(), N);
    CHECK_IS(parked(), 0);
    for (int i = 0; i < N; i++)
        CHECK(wf_fdlock_rest(&l));
    CHECK_IS(users(), 0);
    CHECK_IS(parked(), N);
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(in(), &l));
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_CLOSE_FD);
    for (int i = 0; i < N; i++)
        CHECK(!wf_fdlock_leave(&l));
    CHECK(wf_fdlock_leave(&l));
    return 0;
}

Test(fdlock, counts_more_than_a_million_inside)
{
    run_on(1, many, NULL);
}

static int abandoned(void *arg)
{
    bool used;
    (void)arg;
    memset(&l, 0, sizeof l);
    CHECK_IS(wf_fdlock_abandon(&l, &used), WF_DUTY_NONE); /* was free */
    CHECK(!used);
    fresh();
    CHECK_IS(wf_fdlock_abandon(&l, &used), WF_DUTY_CLOSE_FD);
    CHECK(used);
    fresh();
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_rest(&l));
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(in(), &l));
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_CLOSE_FD); /* the number went ... */
    CHECK(!wf_fdlock_leave(&l));
    CHECK_IS(wf_fdlock_abandon(&l, &used), WF_DUTY_NONE); /* ... and is not closed twice */
    CHECK(used);
    CHECK(!wf_fdlock_ref(&l));
    return 0;
}

Test(fdlock, the_stop_takes_what_is_left)
{
    run_on(1, abandoned, NULL);
}

/* ---- Queues -------------------------------------------------------------------------- */

static volatile AO_t deadline;
static int           served, given_up;

/* Waits for the turn to read; with it, notes its place in the order. */
static void wait_for_turn(void *arg)
{
    wf_m *mp = in();
    CHECK_IS(wf_fdlock_take(&l, WF_READ), WF_TAKE_BUSY);
    CHECK(wf_fdlock_rest(&l));
    int r = wf_fdlock_wait(&mp, &l, WF_READ, &deadline);
    if (!wf_fdlock_back(&l)) {
        CHECK_IS(r, -EBADF);
        given_up++;
        wf_fdlock_leave(&l);
    } else if (r < 0) {
        CHECK_IS(r, (intptr_t)arg);
        given_up++;
        wf_fdlock_drop(&l);
    } else {
        CHECK_IS(served++, (intptr_t)arg);
        wf_fdlock_release(mp, &l, WF_READ);
    }
    wf_leave(mp);
}

static void queue(weft_waitgroup *wg, intptr_t arg)
{
    spawn(wg, wait_for_turn, (void *)arg);
    let_others_park();
}

static int fifo(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    fresh();
    served = 0;
    CHECK_IS(wf_fdlock_take(&l, WF_READ), WF_TAKE_TURN);
    for (intptr_t i = 0; i < 10; i++)
        queue(&wg, i);
    CHECK_IS(parked(), 10);
    CHECK(AO_load(&l.word) & WF_FDLOCK_QUEUED(WF_READ));
    CHECK_IS(wf_fdlock_release(in(), &l, WF_READ), WF_DUTY_NONE);
    join(&wg);
    CHECK_IS(served, 10);
    CHECK_IS(AO_load(&l.word), WF_FDLOCK_OPEN); /* as new */
    return 0;
}

Test(fdlock, the_turn_goes_to_the_oldest_waiter)
{
    run_on(1, fifo, NULL);
}

static int late(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    fresh();
    served = given_up = 0;
    CHECK_IS(wf_fdlock_take(&l, WF_READ), WF_TAKE_TURN);
    queue(&wg, -ETIMEDOUT);
    queue(&wg, -ETIMEDOUT);
    AO_store(&deadline, (AO_t)weft_after(PATIENCE)); /* changed, but it has not passed */
    wf_fdlock_deadline_changed(in(), &l, WF_READ);
    let_others_park();
    CHECK_IS(given_up, 0);
    CHECK_IS(parked(), 2);
    AO_store(&deadline, (AO_t)weft_after(5 * WEFT_MS)); /* passes while they wait */
    wf_fdlock_deadline_changed(in(), &l, WF_READ);
    join(&wg);
    CHECK_IS(given_up, 2);
    AO_store(&deadline, (AO_t)-1); /* has passed before they wait */
    queue(&wg, -ETIMEDOUT);
    join(&wg);
    CHECK(!(AO_load(&l.word) & WF_FDLOCK_QUEUED(WF_READ)));
    AO_store(&deadline, 0);
    queue(&wg, 0); /* those who gave up have left no gap */
    CHECK_IS(wf_fdlock_release(in(), &l, WF_READ), WF_DUTY_NONE);
    join(&wg);
    CHECK_IS(served, 1);
    return 0;
}

Test(fdlock, waiting_for_the_turn_obeys_the_deadline_and_its_changes)
{
    run_on(1, late, NULL);
}

static int closed_under(void *arg)
{
    weft_waitgroup wg = { { 0 } };
    (void)arg;
    fresh();
    given_up = 0;
    CHECK_IS(wf_fdlock_take(&l, WF_READ), WF_TAKE_TURN);
    for (int i = 0; i < 5; i++)
        queue(&wg, -EBADF);
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(in(), &l));
    CHECK_IS(wf_fdlock_drop(&l), WF_DUTY_NONE);
    CHECK_IS(wf_fdlock_release(in(), &l, WF_READ),
             WF_DUTY_CLOSE_FD); /* the queue holds up nothing */
    CHECK_IS(given_up, 0);
    CHECK(!wf_fdlock_leave(&l));
    join(&wg);
    CHECK_IS(given_up, 5);
    CHECK_IS(AO_load(&l.word) >> 8, 0);
    return 0;
}

Test(fdlock, a_close_ends_the_queue)
{
    run_on(1, closed_under, NULL);
}

/* ---- Stress -------------------------------------------------------------------------- */

enum { HANDS = 16 };

static volatile AO_t holders[2], taken, closed_fds, freed;

static void settle(enum wf_fdlock_duty duty)
{
    if (duty != WF_DUTY_CLOSE_FD)
        return;
    AO_fetch_and_add_full(&closed_fds, 1);
    AO_fetch_and_add_full(&freed, wf_fdlock_leave(&l));
}

static wf_m *hold_turn(wf_m *mp, enum wf_mode mode, bool park)
{
    CHECK_IS(AO_fetch_and_add_full(&holders[mode], 1), 0); /* nobody else */
    AO_fetch_and_add_full(&taken, 1);
    bool back = true;
    if (park && wf_fdlock_rest(&l)) {
        mp = wf_yield(mp);
        AO_fetch_and_add_full(&holders[mode], (AO_t)-1);
        back = wf_fdlock_back(&l);
        if (!back)
            AO_fetch_and_add_full(&freed, wf_fdlock_leave(&l));
    } else {
        AO_fetch_and_add_full(&holders[mode], (AO_t)-1);
    }
    if (back)
        settle(wf_fdlock_release(mp, &l, mode));
    return mp;
}

/* One operation; false: closed. */
static bool operate(wf_m **mp, unsigned dice)
{
    enum wf_mode mode = (enum wf_mode)(dice & 1);
    switch (wf_fdlock_take(&l, mode)) {
    case WF_TAKE_CLOSED:
        return false;
    case WF_TAKE_TURN:
        *mp = hold_turn(*mp, mode, dice & 2);
        return true;
    case WF_TAKE_BUSY:
        break;
    }
    if (dice & 4 || !wf_fdlock_rest(&l)) {
        settle(wf_fdlock_drop(&l));
        return true;
    }
    int r = wf_fdlock_wait(mp, &l, mode, &deadline);
    if (!wf_fdlock_back(&l))
        AO_fetch_and_add_full(&freed, wf_fdlock_leave(&l));
    else if (r == 0)
        *mp = hold_turn(*mp, mode, dice & 2);
    else
        settle(wf_fdlock_drop(&l));
    return true;
}

static void hand(void *arg)
{
    uint64_t x = (uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15) + 1;
    wf_m    *mp = in();
    for (long i = 0; operate(&mp, (unsigned)(x >> 40)); i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        if (x >> 60 == 0) {
            AO_store(&deadline, x >> 59 & 1 ? 0 : (AO_t)weft_after((int64_t)(x >> 32 & 0xffff)));
            wf_fdlock_deadline_changed(mp, &l, (enum wf_mode)(x >> 50 & 1));
        }
        if (x >> 61 == 0)
            mp = wf_yield(mp);
    }
    wf_leave(mp);
}

static void closer(void *arg)
{
    wf_m *mp = in();
    for (intptr_t i = 0; i < (intptr_t)arg; i++)
        mp = wf_yield(mp);
    CHECK(wf_fdlock_ref(&l));
    CHECK(wf_fdlock_close(mp, &l));
    settle(wf_fdlock_drop(&l));
    wf_leave(mp);
}

static int stress(void *arg)
{
    (void)arg;
    for (intptr_t round = 0, n = test_scaled(60); round < n; round++) {
        weft_waitgroup wg = { { 0 } };
        fresh();
        AO_store(&deadline, 0);
        AO_store(&closed_fds, 0);
        AO_store(&freed, 0);
        for (intptr_t i = 0; i < HANDS; i++)
            spawn(&wg, hand, (void *)(round * HANDS + i));
        spawn(&wg, closer, (void *)(round * 40));
        join(&wg);
        CHECK_IS(AO_load(&closed_fds), 1);
        CHECK_IS(AO_load(&freed), 1);
        CHECK_IS(users() + parked(), 0);
    }
    CHECK(AO_load(&taken) > 0);
    return 0;
}

Test(fdlock, stress, .timeout = 120)
{
    run_on_1_2_4(stress);
}
