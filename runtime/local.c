/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - coroutine-local storage: keys for the process, values per coroutine.
 *
 * Keys are never given back.  A coroutine's values lie in one array that grows to the
 * largest key it has set; it and the values die with the coroutine (wf_local_end).
 */
#include "coroutine.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS = 4096, ROUNDS = 4 };

static struct {
    volatile AO_t n; /* keys made; key k is valid if 0 < k <= n */
    void (*destroy[KEYS + 1])(void *value);
} keys;

struct values {
    uint32_t n;
    void    *value[]; /* by key - 1 */
};

int weft_local_new(weft_local *out, void (*destroy)(void *value))
{
    for (;;) {
        AO_t n = AO_load_acquire(&keys.n); /* pairs with the release below */
        if (n == KEYS)
            return -ENOMEM;
        static wf_lock lock;
        wf_lock_acquire(&lock);
        bool mine = AO_load(&keys.n) == n;
        if (mine) {
            keys.destroy[n + 1] = destroy;
            AO_store_release(&keys.n, n + 1); /* pairs with the acquires */
        }
        wf_lock_release(&lock);
        if (mine) {
            out->key = (uint32_t)n + 1;
            return 0;
        }
    }
}

static void check(const char *call, weft_local key)
{
    if (key.key == 0 || key.key > AO_load_acquire(&keys.n)) /* pairs with weft_local_new */
        wf_die("%s: key %u was not made by weft_local_new", call, key.key);
}

void *weft_local_get(weft_local key)
{
    check("weft_local_get", key);
    wf_m                *mp = wf_enter("weft_local_get");
    const struct values *v = mp->gp->locals;
    void                *value = v && key.key <= v->n ? v->value[key.key - 1] : NULL;
    wf_leave(mp);
    return value;
}

static struct values *grow(struct values *v, uint32_t n)
{
    uint32_t       had = v ? v->n : 0, cap = n < 8 ? 8 : n;
    struct values *now = realloc(v, sizeof *now + cap * sizeof now->value[0]);
    if (now) {
        memset(&now->value[had], 0, (cap - had) * sizeof now->value[0]);
        now->n = cap;
    }
    return now;
}

int weft_local_set(weft_local key, void *value)
{
    check("weft_local_set", key);
    wf_m          *mp = wf_enter("weft_local_set");
    struct values *v = mp->gp->locals;
    int            r = 0;
    if (!v || key.key > v->n) {
        v = grow(v, key.key);
        if (v)
            mp->gp->locals = v;
        else
            r = -ENOMEM;
    }
    if (r == 0)
        v->value[key.key - 1] = value;
    wf_leave(mp);
    return r;
}

static bool destroy_round(const wf_g *gp)
{
    bool any = false;
    for (uint32_t i = 0; i < ((struct values *)gp->locals)->n; i++) {
        struct values *v = gp->locals; /* a destructor may have set another */
        void          *value = v->value[i];
        v->value[i] = NULL;
        if (value && keys.destroy[i + 1]) {
            keys.destroy[i + 1](value);
            any = true;
        }
    }
    return any;
}

void wf_local_end(wf_g *gp)
{
    unsigned was = gp->shield;
    gp->shield = 1;
    for (int round = 0; round < ROUNDS && destroy_round(gp); round++)
        ;
    gp->shield = was;
    free(gp->locals);
    gp->locals = NULL;
}
