/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/progress.c - see progress.h.  It only reads the load's counters; on a terminal it
 * rewrites one line, elsewhere it adds lines.
 */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 120

struct progress {
    struct load *load;
    bool         terminal;
    bool         shown;
    uint64_t     requests; /* at the last line of the run */
    weft_time    at;       /* when that was; 0: there was none */
};

/* stderr may be a pipe that nobody empties: let other coroutines run meanwhile. */
static void put(struct progress *p, const char *text)
{
    char      line[LINE_BYTES + 8];
    const int n = snprintf(line, sizeof(line), p->terminal ? "\r%s\033[K" : "%s\n", text);

    weft_block_enter();
    if (write(STDERR_FILENO, line, (size_t)n) == n) {
        p->shown = true;
    }
    weft_block_leave();
}

static void show_ramp(struct progress *p)
{
    char text[LINE_BYTES];

    snprintf(text, sizeof(text), "connecting: %u of %u up, %llu errors", atomic_load(&p->load->up),
             (unsigned)p->load->options->connections,
             (unsigned long long)errors_total(&p->load->errors));
    put(p, text);
}

static void show_run(struct progress *p)
{
    const weft_time start = atomic_load(&p->load->start);
    const weft_time now = weft_now();
    const weft_time since = p->at > 0 ? p->at : start;
    const uint64_t  requests = load_requests(p->load);
    const double    seconds = (double)(now - since) / (double)WEFT_S;
    char            text[LINE_BYTES];

    snprintf(text, sizeof(text), "%3.0f s: %.0f requests/s, %u connections, %llu errors",
             (double)(now - start) / (double)WEFT_S, (double)(requests - p->requests) / seconds,
             atomic_load(&p->load->up), (unsigned long long)errors_total(&p->load->errors));
    put(p, text);
    p->requests = requests;
    p->at = now;
}

/* The next whole second counted from a point in time. */
static weft_time next_second(weft_time from)
{
    return from + ((weft_now() - from) / WEFT_S + 1) * WEFT_S;
}

int progress_show(void *arg)
{
    struct progress p = { .load = arg, .terminal = isatty(STDERR_FILENO) == 1 };
    weft_time       from = weft_now();

    while (weft_sleep_until(next_second(from)) == 0) {
        const weft_time start = atomic_load(&p.load->start);
        if (start == 0) {
            show_ramp(&p);
        } else if (from == start) {
            show_run(&p);
        }
        from = start == 0 ? from : start; /* whole seconds of the run, whenever it began */
    }
    if (p.terminal && p.shown) {
        put(&p, "");
    }
    return 0;
}
