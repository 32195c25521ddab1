/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - addresses in words: by lines.c where it can, else by the symbol table, else as
 * addr2line takes them.  Each is looked up once.  Like lines.c: never in a signal handler,
 * never on a coroutine.
 */
#include "place.h"

#include "lines.h"
#include "symbol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, TEXT_MOST = 512 };

struct wf_places {
    wf_lines  *lines;
    wf_symbols symbols;
    wf_place  *buckets[BUCKETS];
};

static const wf_place no_memory = { .n = 1, .text = { "?" } };

wf_places *wf_places_open(void)
{
    wf_places *p = calloc(1, sizeof *p);
    if (p)
        p->lines = wf_lines_open();
    return p;
}

static void place_free(wf_place *at)
{
    for (int i = 0; i < at->n; i++)
        free(at->text[i]);
    free(at->symbol);
    free(at);
}

void wf_places_close(wf_places *p)
{
    if (!p)
        return;
    for (int i = 0; i < BUCKETS; i++)
        for (wf_place *at = p->buckets[i], *next; at; at = next) {
            next = at->next;
            place_free(at);
        }
    wf_lines_close(p->lines);
    wf_symbols_close(&p->symbols);
    free(p);
}

/* Without libdw. */
static void by_symbol(wf_places *p, wf_place *at)
{
    wf_line l = { .n = 0 };
    wf_line_put_place(&l, &p->symbols, at->pc);
    l.text[l.n] = '\0';
    at->text[0] = strdup(l.text);
}

static void by_line(wf_place *at, const wf_source *found, int n)
{
    char text[TEXT_MOST];
    for (int i = 0; i < n; i++) {
        if (found[i].file)
            snprintf(text, sizeof text, "%s at %s:%d", found[i].function, found[i].file,
                     found[i].line);
        else
            snprintf(text, sizeof text, "%s", found[i].function);
        at->text[i] = strdup(text);
    }
    at->n = n;
}

/* Every text is there. */
static bool look_up(wf_places *p, wf_place *at)
{
    wf_source   found[WF_PLACE_INLINED];
    uintptr_t   offset;
    const char *symbol = wf_symbol_find(&p->symbols, at->pc, &offset);
    at->symbol = symbol ? strdup(symbol) : NULL;
    at->n = 1;
    int n = p->lines ? wf_lines_find(p->lines, at->pc, found, WF_PLACE_INLINED) : 0;
    if (n > 0)
        by_line(at, found, n);
    else
        by_symbol(p, at);
    bool all = true;
    for (int i = 0; i < at->n; i++)
        all = all && at->text[i];
    return all;
}

const wf_place *wf_place_at(wf_places *p, uintptr_t pc)
{
    wf_place **bucket = &p->buckets[(pc ^ pc >> 10) % BUCKETS];
    for (wf_place *at = *bucket; at; at = at->next)
        if (at->pc == pc)
            return at;
    wf_place *at = calloc(1, sizeof *at);
    if (!at)
        return &no_memory;
    at->pc = pc;
    if (!look_up(p, at)) {
        place_free(at);
        return &no_memory;
    }
    at->next = *bucket;
    *bucket = at;
    return at;
}
