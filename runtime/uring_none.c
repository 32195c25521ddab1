/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring_none.c - what uring.h declares, in a weft that was built without liburing: no ring ever
 * serves anything.  Owns nothing.
 */
#ifndef WEFT_URING

#include "uring.h"

void wf_uring_end(void)
{
}

int wf_uring_arm(wf_m *mp, wf_poll_desc *pd, enum wf_uring_what what, wf_glist *out)
{
    (void)mp, (void)pd, (void)what, (void)out;
    return -EOPNOTSUPP;
}

bool wf_uring_cancel(wf_poll_desc *pd, wf_glist *out)
{
    (void)pd, (void)out;
    return true;
}

void wf_uring_give(wf_buffer *b)
{
    (void)b;
}

bool wf_uring_may_send(const wf_m *mp)
{
    (void)mp;
    return false;
}

bool wf_uring_send(wf_m *mp, int fd, const void *buf, size_t n, wf_uring_sent *s, wf_glist *out)
{
    (void)mp, (void)fd, (void)buf, (void)n, (void)s, (void)out;
    return false;
}

enum wf_uring_sends wf_uring_hold(wf_m *mp, wf_glist *out)
{
    (void)mp, (void)out;
    return WF_URING_NONE;
}

int wf_uring_take_fd(wf_inbox *in)
{
    (void)in;
    return -1;
}

bool wf_uring_claim(int fd)
{
    (void)fd;
    return false;
}

void wf_uring_disclaim(int fd)
{
    (void)fd;
}

bool wf_uring_has(int fd)
{
    (void)fd;
    return false;
}

int wf_uring_poll(wf_m *mp, wf_glist *out)
{
    (void)mp, (void)out;
    return 0;
}

void wf_uring_flush(wf_m *mp, wf_glist *out)
{
    (void)mp, (void)out;
}

int wf_uring_event(unsigned number, wf_glist *out)
{
    (void)number, (void)out;
    return 0;
}

void wf_uring_attend(wf_glist *out)
{
    (void)out;
}

void wf_uring_leave_none(wf_glist *out)
{
    (void)out;
}

void wf_uring_sleeps(wf_m *mp)
{
    (void)mp;
}

void wf_uring_wakes(wf_m *mp)
{
    (void)mp;
}

void wf_uring_leave(wf_m *mp)
{
    (void)mp;
}

#endif
