/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - an intrusive doubly linked ring.  The caller's lock protects it.
 *
 * A head is a node that links to itself when empty; so does a node that is in no
 * list (wf_list_init), which makes removing twice harmless.
 */
#ifndef WF_LIST_H
#define WF_LIST_H

#include "base.h"

typedef struct wf_list {
    struct wf_list *next, *prev;
} wf_list;

static inline void wf_list_init(wf_list *l)
{
    l->next = l->prev = l;
}

static inline bool wf_list_empty(const wf_list *l)
{
    return l->next == l;
}

static inline void wf_list_append(wf_list *head, wf_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void wf_list_remove(wf_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    wf_list_init(node);
}

#endif
