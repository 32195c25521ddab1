/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/misuse_test.c - calls where they may not be made end the process with one line that names
 * them; those marked [anywhere] work everywhere.
 */
#include <criterion/criterion.h>
#include <pthread.h>

#include "support/child.h"
#include "support/procs.h"

static weft_group     group;
static weft_waitgroup waitgroup;
static weft_mutex     a_mutex, held_mutex;
static weft_rwmutex   a_rwmutex, read_rwmutex, held_rwmutex;
static weft_cond      cond;
static weft_once      once;
static weft_sem       sem;

static void nothing(void *arg)
{
    (void)arg;
}

static int nothing_int(void *arg)
{
    (void)arg;
    return 0;
}

/* So that each unlock has what it wants, and the once is done. */
static int hold(void *arg)
{
    weft_mutex_lock(&held_mutex);
    weft_rwmutex_rdlock(&read_rwmutex);
    weft_rwmutex_lock(&held_rwmutex);
    weft_once_do(&once, nothing, NULL);
    weft_sem_release(&sem, 1);
    return arg != NULL;
}

/* clang-format off */
/* What is for coroutines only, by name. */
static const struct call {
    const char *name;
    int         number;
} calls[] = {
    { "weft_yield", 0 }, { "weft_sleep", 1 }, { "weft_sleep_until", 2 }, { "weft_group_go", 3 },
    { "weft_group_wait", 4 }, { "weft_cancelled", 5 }, { "weft_shield", 6 },
    { "weft_waitgroup_wait", 7 }, { "weft_block_enter", 8 }, { "weft_block_leave", 9 },
    { "weft_mutex_lock", 10 }, { "weft_mutex_trylock", 11 }, { "weft_mutex_lock_until", 12 },
    { "weft_mutex_unlock", 13 }, { "weft_rwmutex_rdlock", 14 }, { "weft_rwmutex_rdunlock", 15 },
    { "weft_rwmutex_lock", 16 }, { "weft_rwmutex_unlock", 17 }, { "weft_cond_wait", 18 },
    { "weft_cond_signal", 19 }, { "weft_cond_broadcast", 20 }, { "weft_sem_acquire", 21 },
    { "weft_once_do", 22 },
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static int do_call(int number)
{
    switch (number) {
    case 0: weft_yield(); return 0;
    case 1: return weft_sleep(1);
    case 2: return weft_sleep_until(WEFT_NOWAIT);
    case 3: return weft_group_go(&group, nothing_int, NULL, 0);
    case 4: return weft_group_wait(&group, WEFT_NOWAIT, NULL);
    case 5: return weft_cancelled();
    case 6: return weft_shield(true);
    case 7: return weft_waitgroup_wait(&waitgroup, WEFT_NOWAIT);
    case 8: weft_block_enter(); return 0;
    case 9: weft_block_leave(); return 0;
    case 10: weft_mutex_lock(&a_mutex); return 0;
    case 11: return weft_mutex_trylock(&a_mutex);
    case 12: return weft_mutex_lock_until(&a_mutex, WEFT_FOREVER);
    case 13: weft_mutex_unlock(&held_mutex); return 0;
    case 14: weft_rwmutex_rdlock(&a_rwmutex); return 0;
    case 15: weft_rwmutex_rdunlock(&read_rwmutex); return 0;
    case 16: weft_rwmutex_lock(&a_rwmutex); return 0;
    case 17: weft_rwmutex_unlock(&held_rwmutex); return 0;
    case 18: return weft_cond_wait(&cond, &held_mutex, WEFT_NOWAIT);
    case 19: weft_cond_signal(&cond); return 0;
    case 20: weft_cond_broadcast(&cond); return 0;
    case 21: return weft_sem_acquire(&sem, WEFT_FOREVER);
    default: weft_once_do(&once, nothing, NULL); return 0;
    }
}
/* clang-format on */

static int outside(void *arg)
{
    check_eq(weft_run(NULL, hold, NULL), 0);
    return do_call(*(const int *)arg);
}

static void *on_a_thread(void *arg)
{
    do_call(*(const int *)arg);
    return NULL;
}

static int beside(void *arg)
{
    pthread_t thread;

    check_eq(hold(NULL), 0);
    check_eq(pthread_create(&thread, NULL, on_a_thread, arg), 0);
    pthread_join(thread, NULL);
    return 0;
}

static int run_beside(void *arg)
{
    return weft_run(NULL, beside, arg);
}

static const char *said_of(const struct call *c)
{
    static char words[80];

    snprintf(words, sizeof words, "weft: %s was called ", c->name);
    return words;
}

Test(misuse, outside_a_coroutine_each_call_is_named)
{
    for (int i = 0; i < CALLS; i++)
        assert_dies_saying(child_run(outside, (void *)&calls[i].number), said_of(&calls[i]));
}

Test(misuse, on_a_thread_that_is_none_of_wefts_while_it_runs)
{
    for (int i = 0; i < CALLS; i++)
        assert_dies_saying(child_run(run_beside, (void *)&calls[i].number), said_of(&calls[i]));
}

static int in_a_block(void *arg)
{
    weft_block_enter();
    return do_call(*(const int *)arg);
}

static int run_in_a_block(void *arg)
{
    return weft_run(NULL, in_a_block, arg);
}

Test(misuse, between_block_enter_and_leave_each_call_is_named)
{
    for (int i = 0; i < CALLS; i++) {
        if (strncmp(calls[i].name, "weft_block", 10) == 0)
            continue; /* counted: allowed */
        struct child *c = child_run(run_in_a_block, (void *)&calls[i].number);
        assert_dies_saying(c, calls[i].name);
        cr_assert_not_null(strstr(c->text, "between weft_block_enter and weft_block_leave"), "%s",
                           c->text);
    }
}

static int enters_alone(void *arg)
{
    weft_block_enter();
    return arg != NULL;
}

static void enters_and_ends(void *arg)
{
    (void)enters_alone(arg);
}

static int waits_for_one_that_ends_in_a_block(void *arg)
{
    check_eq(weft_go(enters_and_ends, arg, 0), 0);
    return weft_sleep(60 * WEFT_S);
}

static int run_ends_in_a_block(void *arg)
{
    return weft_run(NULL, arg ? enters_alone : waits_for_one_that_ends_in_a_block, NULL);
}

Test(misuse, a_coroutine_that_ends_in_a_block_is_named)
{
    const char *text = "the end of a coroutine was called between weft_block_enter and";

    assert_dies_saying(child_run(run_ends_in_a_block, NULL), text);
    assert_dies_saying(child_run(run_ends_in_a_block, &text), text);
}

static int leave_alone(void *arg)
{
    weft_block_leave();
    return arg != NULL;
}

static int run_leave_alone(void *arg)
{
    return weft_run(NULL, leave_alone, arg);
}

Test(misuse, a_block_that_was_never_entered_cannot_be_left)
{
    assert_dies_saying(child_run(run_leave_alone, NULL), "weft_block_leave");
}

/* ---- What may be called anywhere ------------------------------------------------------------- */

/* running: -1 no runtime, 0 one runs, 1 in one of its coroutines. */
static void call_anywhere(int running)
{
    weft_waitgroup wg = { { 0 } };
    weft_group     g = WEFT_GROUP_INIT;
    weft_stats     s;
    weft_time      now = weft_now();

    check(now > 0 && weft_after(1) > now && weft_after(-1) <= weft_now());
    check_eq(weft_procs(), running < 0 ? 0 : 2);
    check_eq(weft_go(nothing, NULL, 0), running < 0 ? -ESRCH : 0);
    check_eq(weft_go_with(NULL, nothing, NULL, 0), running < 0 ? -ESRCH : 0);
    check_eq(weft_id() != 0, running > 0);
    weft_group_cancel(&g);
    weft_waitgroup_add(&wg, 2);
    weft_waitgroup_done(&wg);
    weft_waitgroup_add(&wg, -1);
    weft_stats_read(&s);
    check_eq(s.coroutines > 0, running >= 0);
    check(weft_version()[0] != '\0');
}

static void *anywhere_thread(void *arg)
{
    call_anywhere(0);
    return arg;
}

static int anywhere(void *arg)
{
    pthread_t thread;

    call_anywhere(1);
    check_eq(pthread_create(&thread, NULL, anywhere_thread, NULL), 0);
    weft_block_enter();
    pthread_join(thread, NULL);
    call_anywhere(1);
    weft_block_leave();
    return arg != NULL;
}

Test(misuse, what_is_marked_anywhere_works_everywhere)
{
    for (int i = 0; i < 3; i++) {
        call_anywhere(-1);
        run_on(2, anywhere, NULL);
    }
    call_anywhere(-1);
}
