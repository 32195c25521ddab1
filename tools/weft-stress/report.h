/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/report.h - the figures of a run: gathered once, told as text and as JSON. */
#ifndef WEFT_STRESS_REPORT_H
#define WEFT_STRESS_REPORT_H

#include "load.h"

#define REPORT_PERCENTILES 4

struct report {
    const struct options *options;
    const struct errors  *errors;
    bool                  interrupted;
    unsigned              connections_up;
    int                   procs;
    uint64_t              requests;
    uint64_t              bytes; /* sent, echoed and right: one way */
    double                seconds;
    double                requests_per_second;
    double                latency_us[REPORT_PERCENTILES]; /* of 50, 90, 99, 99.9 per cent */
    double                max_us;
    double                cpu_seconds; /* of this process, user and system */
    long                  peak_rss_kib;
    weft_stats            weft;
};

/* Inside weft_run, once load_run is over; 0 or -ENOMEM. */
int report_gather(struct report *out, const struct load *l);

void report_print(const struct report *r);

/* The JSON text, to be freed; NULL for want of memory. */
char *report_json(const struct report *r);

#endif
