/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/unwind_test.c - the walk up a stack, held against what each frame knows itself, its
 * return address: from a parked coroutine, from a signal, and from each single instruction on the
 * way through a few functions of libc.
 */
#include <alloca.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/g.h"
#include "runtime/unwind.h"
#include "support/check.h"

enum { DEEP = 12, FRAMES_MOST = 200 };

static uintptr_t returns[DEEP]; /* outermost first */
static void (*at_bottom)(void);

/* ---- Frames of all kinds ------------------------------------------------------------------------ */

static __attribute__((noinline)) int plain(int depth);
static __attribute__((noinline)) int variable(int depth);
static __attribute__((noinline)) int realigned(int depth);

static int descend(int depth)
{
    static int (*const kinds[])(int depth) = { plain, variable, realigned };

    if (depth < DEEP)
        return kinds[depth % 3](depth);
    at_bottom();
    return depth;
}

#define NOTE_RETURN (returns[depth] = (uintptr_t)__builtin_return_address(0))

static int plain(int depth)
{
    NOTE_RETURN;
    return descend(depth + 1) + 1;
}

static int variable(int depth)
{
    volatile char *room = alloca((size_t)depth * 40 + 1);

    NOTE_RETURN;
    room[depth] = 1;
    return descend(depth + 1) + room[depth];
}

/* A frame at a multiple of 64: its caller's is found through a register of its own. */
static int realigned(int depth)
{
    volatile char line[64] __attribute__((aligned(64))), *room = alloca((size_t)depth + 1);

    NOTE_RETURN;
    line[1] = room[depth] = 1;
    check((uintptr_t)line % 64 == 0);
    return descend(depth + 1) + line[1] + room[depth];
}

/* ---- What a walk must find ------------------------------------------------------------------------ */

/* All return addresses, in order, with any number of others before, between and after; and how it
 * ended. */
static enum wf_unwind_step walk(wf_unwind *u, int *found)
{
    enum wf_unwind_step step = WF_UNWIND_MORE;

    *found = 0;
    for (int i = 0; i < FRAMES_MOST && (step = wf_unwind_step(u)) == WF_UNWIND_MORE; i++)
        if (*found < DEEP && u->regs[WF_CFI_PC] == returns[DEEP - 1 - *found])
            ++*found;
    return step;
}

static void forget_returns(void)
{
    memset(returns, 0, sizeof returns);
}

/* ---- A parked coroutine ------------------------------------------------------------------------------ */

static weft_sem sleeping, wake_up;

static void park(void)
{
    weft_sem_release(&sleeping, 1);
    check_eq(weft_sem_acquire(&wake_up, WEFT_FOREVER), 0);
}

static void deep_sleeper(void *arg)
{
    (void)arg;
    descend(0);
}

/* Without the sanitizer, which poisons parts of a stack; zeros where there is nothing to copy. */
static __attribute__((no_sanitize_address)) void copy_words(void *to, const void *from, size_t n)
{
    volatile uint64_t       *t = to;
    const volatile uint64_t *f = from;

    for (size_t i = 0; i < n; i++)
        t[i] = f ? f[i] : 0;
}

/* Its words elsewhere, as of one that hibernates: the same frames; and fewer words end it early. */
static void walk_moved(wf_g *gp)
{
    static uint64_t words[32768];
    size_t          n = (size_t)(gp->stack.top - (char *)gp->fctx) / sizeof words[0];
    wf_unwind       u;
    int             found;

    check(n <= sizeof words / sizeof words[0]);
    copy_words(words, gp->fctx, n);
    copy_words(gp->fctx, NULL, n);
    check(wf_unwind_moved(&u, gp->fctx, words, n));
    check_eq(walk(&u, &found), WF_UNWIND_END);
    check_eq(found, DEEP);
    check(wf_unwind_moved(&u, gp->fctx, words, n / 2));
    check_eq(walk(&u, &found), WF_UNWIND_LOST);
    check(found < DEEP && !wf_unwind_moved(&u, gp->fctx, words, 8));
    copy_words(gp->fctx, words, n);
}

static void walk_if_deep(wf_g *gp, void *arg)
{
    wf_unwind u;
    int       found;

    if (gp->fn != deep_sleeper || gp->state != WF_G_ALIVE)
        return;
    check(wf_unwind_saved(&u, gp->fctx, gp->stack.top - gp->stack.size, gp->stack.top));
    check_eq(walk(&u, &found), WF_UNWIND_END);
    check_eq(found, DEEP);
    walk_moved(gp);
    ++*(int *)arg;
}

static int walk_parked(void *arg)
{
    int walked = 0;

    forget_returns();
    at_bottom = park;
    check_eq(weft_go(deep_sleeper, NULL, 0), 0);
    check_eq(weft_sem_acquire(&sleeping, WEFT_FOREVER), 0);
    weft_yield(); /* on one P it has parked when this returns */
    wf_g_each(walk_if_deep, &walked);
    check_eq(walked, 1);
    weft_sem_release(&wake_up, 1);
    return arg != NULL;
}

Test(unwind, a_parked_coroutine_to_its_end)
{
    run_on(1, walk_parked, NULL);
}

/* ---- From a signal ------------------------------------------------------------------------------------ */

static char alternate[64 << 10];
static int  caught;

static void handle(int signo, void (*handler)(int signo, siginfo_t *info, void *context))
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK, .sa_sigaction = handler };

    cr_assert_eq(sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof alternate }, NULL),
                 0);
    cr_assert_eq(sigaction(signo, &sa, NULL), 0);
}

/* The thread's own stack: from well below this frame to well above the test's. */
static void begin(wf_unwind *u, void *context)
{
    const ucontext_t *uc = context;
    char             *sp = (char *)uc->uc_mcontext.gregs[REG_RSP];

    wf_unwind_signal(u, uc, sp - 4096, sp + (8 << 10));
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    wf_unwind u;
    int       found;

    (void)signo, (void)info;
    begin(&u, context);
    walk(&u, &found);
    check_eq(found, DEEP);
    caught++;
}

static void raise_it(void)
{
    raise(SIGUSR1);
}

Test(unwind, from_a_signal)
{
    handle(SIGUSR1, on_signal);
    at_bottom = raise_it;
    descend(0);
    cr_assert_eq(caught, 1);
}

/* ---- From each instruction ------------------------------------------------------------------------------ */

enum { TRAP_FLAG = 0x100 };

static volatile bool stepping;
static uintptr_t     outer; /* the return address that each walk must come to */

static void on_step(int signo, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    wf_unwind   u;
    bool        found = false;

    (void)signo, (void)info;
    begin(&u, context);
    for (int i = 0; i < FRAMES_MOST && !found && wf_unwind_step(&u) == WF_UNWIND_MORE; i++)
        found = u.regs[WF_CFI_PC] == outer;
    if (!found)
        fprintf(stderr, "lost at %#llx\n", (unsigned long long)uc->uc_mcontext.gregs[REG_RIP]);
    check(found);
    caught++;
    if (!stepping)
        uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void begin_steps(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void stepped(void)
{
    char text[64], copy[64];
    int  numbers[] = { 3, 1, 2, 5, 4 };

    outer = (uintptr_t)__builtin_return_address(0);
    stepping = true;
    raise(SIGUSR1);
    snprintf(text, sizeof text, "%d %s %.3f", 12, "words", 0.5);
    memcpy(copy, text, sizeof copy);
    qsort(numbers, 5, sizeof numbers[0], compare);
    variable(DEEP - 1); /* not realigned: gcc's tables are wrong at its last instruction */
    stepping = false;
    caught += text[0] - copy[0] + numbers[0] - 1;
}

static void nothing(void)
{
}

Test(unwind, from_each_instruction_of_some_functions)
{
    handle(SIGTRAP, on_step);
    handle(SIGUSR1, begin_steps);
    at_bottom = nothing;
    stepped();
    cr_assert_gt(caught, 1000);
}

/* ---- A spoilt stack -------------------------------------------------------------------------------------- */

Test(unwind, whatever_lies_there_is_read_within_the_bounds_only)
{
    size_t   bytes = 3 * 4096;
    uint64_t state = 88172645463325252;
    char    *page = (char *)mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 4096;
    wf_unwind u;

    cr_assert_eq(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
    for (int round = 0; round < test_scaled(20000); round++) {
        uintptr_t *words = (uintptr_t *)page;
        for (size_t i = 0; i < 4096 / sizeof *words; i++) {
            unsigned r = test_random(&state);
            words[i] = r % 3 == 0   ? (uintptr_t)page - 256 + r % 4608
                       : r % 3 == 1 ? (uintptr_t)descend + r % 512
                                    : (uintptr_t)printf + r % 4096;
        }
        size_t from = test_random(&state) % 4200 & ~7u;
        if (!wf_unwind_saved(&u, page + from, page, page + 4096))
            continue;
        for (int i = 0; i < FRAMES_MOST && wf_unwind_step(&u) == WF_UNWIND_MORE; i++)
            ;
    }
    munmap(page - 4096, bytes);
}
