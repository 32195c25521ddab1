/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve.h - host names to addresses, by getaddrinfo on threads of their own.
 *
 * getaddrinfo may take many seconds and cannot be interrupted, so it runs on a few
 * helper threads (at most LOOKUP_THREADS, started as needed, ended when idle for long).
 * They hold no P and belong to no run of the runtime: a look-up that was abandoned
 * (deadline, cancellation, stop) ends when it ends, and its result is thrown away.
 */
#ifndef WF_RESOLVE_H
#define WF_RESOLVE_H

#include "addr.h"

#include "runtime/sched.h"

typedef struct wf_addrs {
    int       n; /* at least 1 */
    weft_addr a[];
} wf_addrs;

/*
 * 0 and *out, in the order to try them, to be freed by free(); -EHOSTUNREACH: the name
 * does not resolve (in that family; AF_UNSPEC: any); -ETIMEDOUT, -ECANCELED, -ENOMEM.
 * [parks]
 */
int wf_resolve(wf_m **mp, const wf_endpoint *e, int family, weft_time deadline, wf_addrs **out);

/* The runtime has stopped: those who still wait never run again. */
void wf_resolve_stop(void);

#endif
