/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/white/stack_report_test.c - the report's tables: percentiles of made-up stacks against the
 * exact ones, and more places than there is room for.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/stack_report.h"

enum { STACK = 256 << 10, ENDS = 2000, PLACES = 1000 };

static _Alignas(64) char memory[STACK];

/* One ends that was started at `place` and has used so many bytes. */
static void end_one(uintptr_t place, size_t used)
{
    static wf_g gp;

    gp.started_at = (const void *)place;
    gp.stack = (wf_stack){ .top = memory + STACK, .size = STACK };
    gp.fctx = memory + STACK - 64; /* above it the next coroutine's beginning */
    memory[STACK - used] = 1;
    wf_stack_report_ended(&gp);
    cr_assert_eq(memory[STACK - used], used <= 64);
}

static char *report(void)
{
    static char text[256 << 10];
    FILE       *f = tmpfile();

    cr_assert_not_null(f);
    wf_stack_report_write(fileno(f));
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void begin(void)
{
    setenv("WEFT_STACK_REPORT", "1", 1);
    cr_assert_eq(wf_stack_report_start(), 0);
}

static int ascending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return (x > y) - (x < y);
}

/* An eighth too much at most, and never too little. */
static void assert_near(unsigned long told, size_t exact)
{
    cr_assert(told >= exact && told <= exact + exact / 8 + 64, "%lu for %zu", told, exact);
}

Test(stack_report, percentiles_are_right_to_an_eighth)
{
    static size_t used[ENDS];
    unsigned long count, p50, p99, most;

    begin();
    srand(7);
    for (int i = 0; i < ENDS; i++) {
        used[i] = 8 + ((size_t)rand() % (STACK >> (rand() % 10))) / 8 * 8;
        end_one(0x1001, used[i]);
    }
    qsort(used, ENDS, sizeof used[0], ascending);
    char *line = strstr(report(), "started at\n");
    cr_assert_not_null(line);
    cr_assert_eq(sscanf(line, "started at\n%lu %lu %lu %lu", &count, &p50, &p99, &most), 4);
    cr_assert_eq(count, ENDS);
    assert_near(p50, used[ENDS / 2 - 1]);
    assert_near(p99, used[ENDS * 99 / 100 - 1]);
    cr_assert_eq(most, used[ENDS - 1]);
}

Test(stack_report, places_without_room_share_a_line)
{
    unsigned long count, sum = 0;
    int           lines = 0;

    begin();
    for (int i = 1; i <= PLACES; i++)
        for (int j = 0; j < 3; j++)
            end_one((uintptr_t)i * 4096 + 1, 4000);
    char *at = strstr(report(), "started at\n");
    cr_assert_not_null(at);
    for (at = strchr(at, '\n') + 1; sscanf(at, "%lu", &count) == 1; at = strchr(at, '\n') + 1) {
        sum += count;
        lines++;
    }
    cr_assert_eq(sum, 3 * PLACES); /* none is lost */
    cr_assert_gt(lines, 100);
    cr_assert_lt(lines, PLACES);
    cr_assert_not_null(strstr(report(), "  other places\n"));
}

Test(stack_report, a_run_begins_anew)
{
    begin();
    end_one(0x1001, 4000);
    begin();
    end_one(0x2001, 4000);
    cr_assert_null(strstr(report(), "0x1000\n"));
    cr_assert_not_null(strstr(report(), "0x2000\n"));
}
