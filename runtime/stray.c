/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stray.c - what is said when something leaves a coroutine's function other than by its
 * return: an exception, pthread_exit, longjmp.
 *
 * Must never unwind anything itself, nor need libgcc or libstdc++: the unwinder, where a
 * program has one, calls wf_stray_left by the note in entry's frame (coroutine.c).
 */
#include "stray.h"

#include <signal.h>
#include <unwind.h>

/* Used: only a line of assembly names it. */
__attribute__((used)) _Unwind_Reason_Code wf_stray_left(int version, _Unwind_Action actions,
                                                        _Unwind_Exception_Class   kind,
                                                        struct _Unwind_Exception *what,
                                                        struct _Unwind_Context   *context);

/* The G of this thread, also between weft_block_enter and leave; NULL: none. */
static const wf_g *current(void)
{
    const wf_m *mp = wf_m_self();
    return !mp ? NULL : mp->gp ? mp->gp : mp->blocked;
}

static const char *name_of(const wf_g *gp)
{
    return gp->name ? gp->name : "unnamed";
}

/* The classes of C++ exceptions end in "C++" and a byte, in GNU's library and LLVM's. */
static bool is_cxx(_Unwind_Exception_Class kind)
{
    return ((kind >> 8) & 0xffffff) == 0x432b2b;
}

static void say_left(_Unwind_Exception_Class kind)
{
    const wf_g *gp = current();
    wf_say("%s exception left coroutine %llu (%s): catch it in the coroutine",
           is_cxx(kind) ? "a C++" : "an", (unsigned long long)gp->id, name_of(gp));
}

/*
 * The personality of entry's frame.  While the unwinder searches for a handler this is the
 * last frame it asks: the line is written, and no handler answered, so that the language's
 * own end follows (std::terminate, which tells the exception's type and aborts) with all
 * frames still in place for the core file.
 */
_Unwind_Reason_Code wf_stray_left(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                  struct _Unwind_Exception *what, struct _Unwind_Context *context)
{
    (void)version, (void)what, (void)context;
    if (!(actions & _UA_SEARCH_PHASE))
        wf_die("pthread_exit or pthread_cancel left coroutine %llu (%s): it ends by returning",
               (unsigned long long)current()->id, name_of(current()));
    say_left(kind);
    return _URC_CONTINUE_UNWIND;
}

static bool is_on_stack(const wf_g *gp, const void *sp)
{
    return (uintptr_t)gp->stack.top - (uintptr_t)sp <= gp->stack.size;
}

void wf_stray_check(const wf_g *gp, const void *sp)
{
    if (WF_UNLIKELY(!is_on_stack(gp, sp)))
        wf_die("coroutine %llu (%s) runs on a stack that is not its own: longjmp left it",
               (unsigned long long)gp->id, name_of(gp));
}

/* A coroutine that jumped into main's frames often ends the process next.  A handler on
 * its alternate stack that does so is no coroutine's jump. */
static __attribute__((destructor)) void at_exit(void)
{
    const wf_g *gp = current();
    stack_t     now;
    if (gp && sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_ONSTACK))
        wf_stray_check(gp, __builtin_frame_address(0));
}
