/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - addresses in words, each looked up once; see place.c. */
#ifndef WF_PLACE_H
#define WF_PLACE_H

#include "base.h"

enum { WF_PLACE_INLINED = 8 };

typedef struct wf_place {
    struct wf_place *next;
    uintptr_t        pc;
    char            *symbol; /* of the symbol table; NULL: not known */
    int              n;      /* at least 1 */
    /* "function at file:line", innermost first; or "function+0x1f (/path/of/object+0x1234)",
     * or "/path/of/object+0x1234" */
    char *text[WF_PLACE_INLINED];
} wf_place;

typedef struct wf_places wf_places;

wf_places *wf_places_open(void); /* NULL: no memory */
void       wf_places_close(wf_places *p);

/* Never NULL. */
const wf_place *wf_place_at(wf_places *p, uintptr_t pc);

#endif
