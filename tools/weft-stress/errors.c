/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/errors.c - see errors.h.  The counts are relaxed: they order nothing. */
#include "errors.h"

#include <stdarg.h>
#include <stdio.h>

const char *error_kind_name(enum error_kind kind)
{
    static const char *const names[ERROR_KINDS] = {
        [ERROR_CONNECT] = "connect",   [ERROR_READ] = "read", [ERROR_WRITE] = "write",
        [ERROR_MISMATCH] = "mismatch", [ERROR_EOF] = "eof",   [ERROR_TIMEOUT] = "timeout",
        [ERROR_EXTRA] = "extra",
    };
    return names[kind];
}

void errors_add(struct errors *e, enum error_kind kind, const char *format, ...)
{
    va_list args;

    if (atomic_fetch_add_explicit(&e->counts[kind], 1, memory_order_relaxed) > 0) {
        return;
    }
    va_start(args, format);
    vsnprintf(e->first[kind], sizeof(e->first[kind]), format, args);
    va_end(args);
}

uint64_t errors_count(const struct errors *e, enum error_kind kind)
{
    return atomic_load_explicit(&e->counts[kind], memory_order_relaxed);
}

uint64_t errors_total(const struct errors *e)
{
    uint64_t total = 0;

    for (int kind = 0; kind < ERROR_KINDS; kind++) {
        total += errors_count(e, (enum error_kind)kind);
    }
    return total;
}
