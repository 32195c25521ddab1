/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/report.c - see report.h.  It reads the load and changes nothing. */
#include "report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    double      percent;
    const char *text;
    const char *key;
} percentiles[REPORT_PERCENTILES] = {
    { 50, "p50", "p50" },
    { 90, "p90", "p90" },
    { 99, "p99", "p99" },
    { 99.9, "p99.9", "p999" },
};

/* ---- Gathering ---------------------------------------------------------------- */

static double microseconds(int64_t ns)
{
    return (double)ns / 1000.0;
}

static int gather_latency(struct report *out, const struct load *l)
{
    struct hdr *sum = aligned_alloc(_Alignof(struct hdr), sizeof(*sum));

    if (sum == NULL) {
        return -ENOMEM;
    }
    memset(sum, 0, sizeof(*sum)); /* an assignment might build it on the coroutine's stack */
    hdr_shards_sum(sum, l->latency);
    for (int i = 0; i < REPORT_PERCENTILES; i++) {
        out->latency_us[i] = microseconds(hdr_percentile(sum, percentiles[i].percent));
    }
    out->max_us = microseconds(hdr_max(sum));
    free(sum);
    return 0;
}

static void gather_own_use(struct report *out)
{
    struct rusage use;

    if (getrusage(RUSAGE_SELF, &use) == 0) {
        out->cpu_seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
        out->peak_rss_kib = use.ru_maxrss;
    }
}

int report_gather(struct report *out, const struct load *l)
{
    *out = (struct report){
        .options = l->options,
        .errors = &l->errors,
        .interrupted = atomic_load(&l->interrupted),
        .connections_up = l->peak,
        .procs = weft_procs(),
        .requests = load_requests(l),
        .seconds = load_seconds(l),
    };
    out->bytes = out->requests * l->options->bytes;
    if (out->seconds > 0) {
        out->requests_per_second = (double)out->requests / out->seconds;
    }
    gather_own_use(out);
    weft_stats_read(&out->weft);
    return gather_latency(out, l);
}

/* ---- As text ------------------------------------------------------------------- */

static void print_errors(const struct errors *e)
{
    printf("errors         %llu\n", (unsigned long long)errors_total(e));
    for (int i = 0; i < ERROR_KINDS; i++) {
        const enum error_kind kind = (enum error_kind)i;
        if (errors_count(e, kind) > 0) {
            printf("  %-12s %llu, the first: %s\n", error_kind_name(kind),
                   (unsigned long long)errors_count(e, kind), e->first[kind]);
        }
    }
}

void report_print(const struct report *r)
{
    printf("target         %s%s\n", r->options->target,
           r->interrupted ? " (interrupted: the run was cut short)" : "");
    printf("connections    %u of %u up, messages of %u bytes\n", r->connections_up,
           (unsigned)r->options->connections, (unsigned)r->options->bytes);
    printf("requests       %llu in %.2f s\n", (unsigned long long)r->requests, r->seconds);
    printf("requests/s     %.1f\n", r->requests_per_second);
    printf("bytes          %llu sent, echoed and right\n", (unsigned long long)r->bytes);
    printf("latency us    ");
    for (int i = 0; i < REPORT_PERCENTILES; i++) {
        printf(" %s %.1f", percentiles[i].text, r->latency_us[i]);
    }
    printf(" max %.1f\n", r->max_us);
    print_errors(r->errors);
}

/* ---- As JSON ------------------------------------------------------------------- */

/* cJSON answers NULL for want of memory and takes NULL for an object: one check at the end,
 * of `whole`, tells whether every member is there. */
struct json {
    cJSON *root;
    bool   whole;
};

static void add_number(struct json *j, cJSON *to, const char *key, double value)
{
    j->whole = cJSON_AddNumberToObject(to, key, value) != NULL && j->whole;
}

static void add_text(struct json *j, const char *key, const char *value)
{
    j->whole = cJSON_AddStringToObject(j->root, key, value) != NULL && j->whole;
}

static cJSON *add_object(struct json *j, const char *key)
{
    cJSON *object = cJSON_AddObjectToObject(j->root, key);

    j->whole = object != NULL && j->whole;
    return object;
}

static void add_load(struct json *j, const struct report *r)
{
    add_text(j, "target", r->options->target);
    add_number(j, j->root, "connections", r->options->connections);
    add_number(j, j->root, "connections_up", r->connections_up);
    add_number(j, j->root, "message_bytes", r->options->bytes);
    add_number(j, j->root, "requests", (double)r->requests);
    add_number(j, j->root, "errors", (double)errors_total(r->errors));
    add_number(j, j->root, "bytes", (double)r->bytes);
    add_number(j, j->root, "seconds", r->seconds);
    add_number(j, j->root, "rps", r->requests_per_second);
    j->whole = cJSON_AddBoolToObject(j->root, "interrupted", r->interrupted) != NULL && j->whole;
}

static void add_latency(struct json *j, const struct report *r)
{
    cJSON *latency = add_object(j, "latency_us");

    for (int i = 0; i < REPORT_PERCENTILES; i++) {
        add_number(j, latency, percentiles[i].key, r->latency_us[i]);
    }
    add_number(j, latency, "max", r->max_us);
}

static void add_errors(struct json *j, const struct report *r)
{
    cJSON *errors = add_object(j, "errors_by_kind");

    for (int i = 0; i < ERROR_KINDS; i++) {
        const enum error_kind kind = (enum error_kind)i;
        add_number(j, errors, error_kind_name(kind), (double)errors_count(r->errors, kind));
    }
}

static void add_own_use(struct json *j, const struct report *r)
{
    add_text(j, "weft_version", weft_version());
    add_number(j, j->root, "procs", r->procs);
    add_number(j, j->root, "cpu_seconds", r->cpu_seconds);
    add_number(j, j->root, "peak_rss_kib", (double)r->peak_rss_kib);
}

static void add_weft_stats(struct json *j, const weft_stats *s)
{
    cJSON *stats = add_object(j, "weft_stats");

    add_number(j, stats, "coroutines", (double)s->coroutines);
    add_number(j, stats, "started", (double)s->started);
    add_number(j, stats, "switches", (double)s->switches);
    add_number(j, stats, "steals", (double)s->steals);
    add_number(j, stats, "stolen", (double)s->stolen);
    add_number(j, stats, "parks", (double)s->parks);
    add_number(j, stats, "wakes", (double)s->wakes);
    add_number(j, stats, "handoffs", (double)s->handoffs);
    add_number(j, stats, "polls", (double)s->polls);
    add_number(j, stats, "poll_events", (double)s->poll_events);
    add_number(j, stats, "threads", (double)s->threads);
    add_number(j, stats, "stack_bytes", (double)s->stack_bytes);
}

char *report_json(const struct report *r)
{
    struct json j = { .root = cJSON_CreateObject(), .whole = true };
    char       *text = NULL;

    add_load(&j, r);
    add_latency(&j, r);
    add_errors(&j, r);
    add_own_use(&j, r);
    add_weft_stats(&j, &r->weft);
    if (j.whole) {
        text = cJSON_Print(j.root);
    }
    cJSON_Delete(j.root);
    return text;
}
