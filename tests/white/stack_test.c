/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/stack_test.c - the pool of stacks: classes, each kind of guard, the fall-back as the
 * budget of mappings runs out, memory given back, and which stack an address lies in.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/stack.c"
#include "support/child.h"

static wf_stack take(uint8_t class)
{
    wf_stack s;

    cr_assert_eq(wf_stack_alloc(class, &s), 0);
    return s;
}

Test(stack, classes_are_powers_of_two_from_16_kib)
{
    uint8_t class;

    cr_assert_eq(wf_stack_class(0, &class), -EINVAL);
    cr_assert_eq(wf_stack_class(16 * 1024 - 1, &class), -EINVAL);
    for (uint8_t c = 0; c < WF_STACK_CLASSES; c++) {
        size_t size = (size_t)16384 << c;
        cr_assert_eq(wf_stack_class(size, &class), 0);
        cr_assert_eq(class, c);
        cr_assert_eq(wf_stack_class(size - 100, &class), c > 0 ? 0 : -EINVAL);
        cr_assert_eq(wf_stack_class(size / 2 + 1, &class), c > 0 ? 0 : -EINVAL);
        cr_assert_eq(wf_stack_class(size + 1, &class), c + 1 < WF_STACK_CLASSES ? 0 : -EINVAL);
    }
    cr_assert_eq(wf_stack_class(SIZE_MAX, &class), -EINVAL);
}

Test(stack, each_is_whole_writable_and_apart_from_all_others)
{
    enum { N = 700 }; /* more than the first arenas and batches */
    static wf_stack s[N];

    for (int i = 0; i < N; i++) {
        s[i] = take((uint8_t)(i % 3));
        cr_assert_eq(s[i].size, 16384U << i % 3);
        cr_assert_eq((uintptr_t)s[i].top % 4096, 0);
        cr_assert(s[i].cold);
        memset(s[i].top - s[i].size, i % 251 + 1, s[i].size);
    }
    for (int i = 0; i < N; i++) {
        const unsigned char *low = (unsigned char *)s[i].top - s[i].size;
        char                *top;
        for (uint32_t b = 0; b < s[i].size; b += 1023)
            cr_assert_eq(low[b], i % 251 + 1);
        cr_assert_eq(wf_stack_find(low, &top), WF_HIT_STACK);
        cr_assert_eq(top, s[i].top);
        cr_assert_eq(wf_stack_find(s[i].top - 1, &top), WF_HIT_STACK);
        cr_assert_eq(wf_stack_find(low - 1, &top), WF_HIT_GUARD);
        cr_assert_eq(top, s[i].top);
        cr_assert_eq(wf_stack_find(low - WF_STACK_GUARD, &top), WF_HIT_GUARD);
        cr_assert_eq(top, s[i].top);
    }
}

/* A TLB has sets of a power of two: at an even distance the stacks would share half of them or less. */
Test(stack, those_of_a_class_lie_an_odd_number_of_pages_apart)
{
    for (uint8_t c = 0; c < WF_STACK_CLASSES; c++) {
        wf_stack a = take(c), b = take(c);
        cr_assert_eq((b.top - a.top) / 4096 % 2, 1, "class %d: %td bytes apart", c, b.top - a.top);
    }
}

Test(stack, other_addresses_are_in_none)
{
    char  here, *top;
    void *heap = malloc(100000);

    take(0);
    cr_assert_eq(wf_stack_find(&here, &top), WF_HIT_NONE);
    cr_assert_eq(wf_stack_find(heap, &top), WF_HIT_NONE);
    cr_assert_eq(wf_stack_find(NULL, &top), WF_HIT_NONE);
    cr_assert_eq(wf_stack_find((void *)UINTPTR_MAX, &top), WF_HIT_NONE);
    free(heap);
}

Test(stack, a_cooled_one_reads_zero_and_can_be_used_again)
{
    enum { N = 600 }; /* more than one batch of advice */
    static wf_stack  s[N];
    static wf_stack *at[N];

    for (int i = 0; i < N; i++) {
        s[i] = take(0);
        s[i].cold = 0;
        memset(s[i].top - s[i].size, 1, s[i].size);
        at[i] = &s[i];
    }
    wf_stack_cool(at, N);
    for (int i = 0; i < N; i++) {
        unsigned char there[4];
        cr_assert(s[i].cold);
        cr_assert_eq(mincore(s[i].top - s[i].size, s[i].size, there), 0);
        for (int p = 0; p < 4; p++)
            cr_assert_eq(there[p] & 1, 0, "page %d of %d is resident", p, i);
        cr_assert_eq(s[i].top[-1], 0);
    }
}

/* ---- Guards --------------------------------------------------------------------------------------- */

/* Touches each page of the guard of a stack; offset in pages from its low end. */
static int resident(const wf_stack *s)
{
    unsigned char there[16];
    int           n = 0;

    cr_assert_eq(mincore(s->top - s->size, s->size, there), 0);
    for (size_t i = 0; i < s->size / PAGE; i++)
        n += there[i] & 1;
    return n;
}

/* Of stacks in use: of one all, of others what lies below their live bytes. */
static int gives_back(void *arg)
{
    static const int live[] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, 16 * PAGE };
    enum { N = sizeof live / sizeof live[0] };
    wf_stack      s[N];
    wf_stack_part parts[N];

    setenv("WEFT_GUARD", arg, 1);
    for (int i = 0; i < N; i++) {
        s[i] = take(2);
        for (uint32_t b = CANARY_BYTES; b < s[i].size; b++)
            s[i].top[-(long)b - 1 + CANARY_BYTES] = 5; /* all but a canary */
        parts[i] = (wf_stack_part){ &s[i], s[i].top - live[i] };
    }
    check(wf_stack_give_back(parts, N));
    for (int i = 0; i < N; i++) {
        int canary = strcmp(arg, "canary") == 0 && live[i] < (int)s[i].size;
        check_eq(resident(&s[i]), (live[i] + PAGE - 1) / PAGE + canary);
        for (int b = 1; b <= live[i] && b < (int)s[i].size - CANARY_BYTES; b++)
            check_eq(s[i].top[-b], 5);
        wf_stack_check(&s[i], "whole", 1);
        s[i].top[-(long)s[i].size] = 1;
    }
    if (strcmp(arg, "canary") == 0)
        wf_stack_check(&s[0], "overwritten", 1); /* dies of it */
    return 0;
}

Test(stack, those_in_use_give_back_what_is_not_live_and_keep_canaries)
{
    static char *const kinds[] = { "mprotect", "canary" };

    cr_assert_eq(child_run(gives_back, kinds[0])->status, 0);
    assert_dies_saying(child_run(gives_back, kinds[1]), "(overwritten) overflowed");
}

static int touch_guard(void *arg)
{
    wf_stack s;

    if (wf_stack_alloc(1, &s) != 0)
        return 1;
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it and exit */
    volatile char *low = s.top - s.size;
    low[0] = 1; /* the stack itself */
    low[-1 - *(int *)arg * 4096L] = 1;
    return 0;
}

static void assert_guarded(const char *kind)
{
    setenv("WEFT_GUARD", kind, 1);
    take(0);
    cr_assert_str_eq(wf_stack_guard_kind(), kind);
    for (int page = 0; page < WF_STACK_GUARD / 4096; page++) {
        struct child *c = child_run(touch_guard, &page);
        cr_assert_eq(c->signal, SIGSEGV, "page %d: signal %d status %d", page, c->signal,
                     c->status);
    }
}

static bool have_madvise_guards(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool  have = madvise(p, 4096, MADV_GUARD_INSTALL) == 0;

    munmap(p, 4096);
    return have;
}

Test(stack, guard_by_madvise, .timeout = 60)
{
    if (!have_madvise_guards())
        cr_skip("this kernel has no MADV_GUARD_INSTALL");
    assert_guarded("madvise");
}

Test(stack, guard_by_mprotect, .timeout = 60)
{
    assert_guarded("mprotect");
}

static int one_with_guard(void *arg)
{
    wf_stack s;

    setenv("WEFT_GUARD", arg, 1);
    return wf_stack_alloc(0, &s);
}

Test(stack, an_unknown_kind_of_guard_is_refused)
{
    assert_dies_saying(child_run(one_with_guard, "bogus"),
                       "WEFT_GUARD=bogus: must be madvise, mprotect or canary");
    cr_assert_eq(child_run(one_with_guard, "")->status, 0);
}

/* The budget of mappings: what is left when it is used up: lesson 40. */
Test(stack, lesson_40_mprotect_guards_stop_at_the_budget_with_one_line, .timeout = 60)
{
    setenv("WEFT_GUARD", "mprotect", 1);
    take(0);
    long budget = maps_budget();
    cr_assert_gt(budget, 1000);
    cr_assert_eq(pool.maps_left, budget - BATCH_FIRST);
    pool.maps_left = 100; /* as after very many */
    int fds[2], old = dup(2);
    cr_assert_eq(pipe(fds), 0);
    dup2(fds[1], 2);
    for (int i = 0; i < 2000; i++) {
        wf_stack s = take(0);
        s.top[-1] = 1;
    }
    dup2(old, 2);
    close(fds[1]);
    struct child c = { .n = 0 };
    child_gather(&c, fds[0]);
    cr_assert_eq(child_lines(&c), 1, "%s", c.text);
    cr_assert_not_null(strstr(c.text, "vm.max_map_count"), "%s", c.text);
    cr_assert_str_eq(wf_stack_guard_kind(), "canary");
    cr_assert_geq(pool.maps_left, 0);
}

static int overwritten(void *arg)
{
    wf_stack s;

    setenv("WEFT_GUARD", "canary", 1);
    if (wf_stack_alloc(0, &s) != 0)
        return 1;
    wf_stack_check(&s, "sound", 7);
    memset(s.top - s.size + CANARY_BYTES, 1, 1000);
    wf_stack_check(&s, "sound still", 7);
    s.top[-(long)s.size + *(int *)arg] = 1;
    wf_stack_check(&s, "glutton", 7);
    return 0;
}

Test(stack, a_canary_that_is_overwritten_ends_the_process_by_name)
{
    for (int at = 0; at < CANARY_BYTES; at += 9)
        assert_dies_saying(child_run(overwritten, &at),
                           "coroutine 7 (glutton) overflowed its stack of 16384 bytes");
}

Test(stack, a_cooled_stack_without_its_canary_is_sound)
{
    setenv("WEFT_GUARD", "canary", 1);
    wf_stack s = take(0), *at = &s;

    wf_stack_cool(&at, 1);
    wf_stack_check(&s, "cool", 1);
}

static int no_room(void *arg)
{
    struct rlimit little = { 512 << 20, 512 << 20 };
    wf_stack      s;
    long          n = 0;
    int           r;

    (void)arg;
    setrlimit(RLIMIT_AS, &little);
    while ((r = wf_stack_alloc(4, &s)) == 0) {
        s.top[-1] = 1;
        n++;
    }
    if (r != -ENOMEM || n < 100)
        return 1;
    return wf_stack_alloc(4, &s) == -ENOMEM ? 0 : 2;
}

Test(stack, no_address_space_is_an_error_and_no_crash, .timeout = 60)
{
#if defined(__SANITIZE_ADDRESS__)
    cr_skip("a sanitizer's own memory is more than the limit");
#endif
    struct child *c = child_run(no_room, NULL);

    cr_assert_eq(c->status, 0, "signal %d status %d: %s", c->signal, c->status, c->text);
}
