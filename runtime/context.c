/* SPDX-License-Identifier: Apache-2.0 */
/* context.c - tells the sanitizers and valgrind of stacks and switches. */
#include "context.h"

#include <pthread.h>

#if WF_TSAN

void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void  __tsan_destroy_fiber(void *fiber);
void  __tsan_switch_to_fiber(void *fiber, unsigned flags);

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

void wf_shadow_free(wf_shadow *s)
{
    if (s->fiber)
        __tsan_destroy_fiber(s->fiber);
    s->fiber = NULL;
}

/* No synchronisation is implied (flag 1): the scheduler's own must order things. */
void wf_shadow_leave(wf_shadow *from, wf_shadow *to)
{
    (void)from;
    __tsan_switch_to_fiber(to->fiber, 1);
}

void wf_shadow_land(wf_shadow *self)
{
    (void)self;
}

#elif WF_ASAN

void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);

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

void wf_shadow_free(wf_shadow *s)
{
    s->fake = NULL;
}

void wf_shadow_leave(wf_shadow *from, wf_shadow *to)
{
    __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
}

void wf_shadow_land(wf_shadow *self)
{
    __sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
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

void wf_shadow_free(wf_shadow *s)
{
    (void)s;
}

#endif
