/* SPDX-License-Identifier: Apache-2.0 */
/* sleep.c - time for coroutines: now, after, sleep, yield. */
#include "wait.h"

weft_time weft_now(void)
{
    return wf_now();
}

weft_time weft_after(int64_t ns)
{
    int64_t at;
    if (__builtin_add_overflow(wf_now(), ns, &at))
        return ns > 0 ? WEFT_FOREVER : 1;
    return at;
}

void weft_yield(void)
{
    wf_m *mp = wf_enter("weft_yield");
    wf_leave(wf_yield(mp));
}

enum when { PAST, FUTURE };

static int sleep_until(const char *call, weft_time until, enum when when)
{
    wf_m *mp = wf_enter(call);
    int   r = 0;
    if (wf_g_cancelled(mp->gp)) {
        r = -ECANCELED;
    } else if (when == PAST) {
        mp = wf_yield(mp);
    } else {
        wf_ticket t = wf_wait_arm(mp);
        if (wf_wait_time(&mp, t, until, wf_for(WF_FOR_TIME, NULL)) == WF_CANCEL)
            r = -ECANCELED;
    }
    wf_leave(mp);
    return r;
}

int weft_sleep(int64_t ns)
{
    return ns <= 0 ? sleep_until("weft_sleep", 0, PAST)
                   : sleep_until("weft_sleep", weft_after(ns), FUTURE);
}

int weft_sleep_until(weft_time until)
{
    return sleep_until("weft_sleep_until", until, until <= wf_now() ? PAST : FUTURE);
}
