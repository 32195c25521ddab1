/* SPDX-License-Identifier: Apache-2.0 */
/* context.c - tells the sanitizers and valgrind of stacks and switches. */
#include "context.h"

#include <pthread.h>

#if WF_TSAN

void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);

void wf_shadow_thread(wf_shadow *s)
{
    s->fiber = __tsan_get_current_fiber();
}

void wf_shadow_stack(wf_shadow *s, void *bottom, size_t size)
{
    (void)bottom, (void)size;
    if (!s->fiber)
        s->fiber = __tsan_create_fiber(0);
}

#elif WF_ASAN

void wf_shadow_thread(wf_shadow *s)
{
    pthread_attr_t attr;
    void          *bottom;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        wf_die("the stack of a thread cannot be found");
    pthread_attr_getstack(&attr, &bottom, &s->size);
    pthread_attr_destroy(&attr);
    s->bottom = bottom;
    s->fake = NULL;
}

void wf_shadow_stack(wf_shadow *s, void *bottom, size_t size)
{
    s->bottom = bottom;
    s->size = size;
    s->fake = NULL;
}

#else

void wf_shadow_thread(wf_shadow *s)
{
    (void)s;
}

#ifdef WEFT_VALGRIND
#include <valgrind/valgrind.h>
#endif

void wf_shadow_stack(wf_shadow *s, void *bottom, size_t size)
{
    (void)s;
#ifdef WEFT_VALGRIND
    (void)VALGRIND_STACK_REGISTER(bottom, (char *)bottom + size);
#else
    (void)bottom, (void)size;
#endif
}

#endif
