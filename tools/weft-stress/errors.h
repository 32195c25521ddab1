/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/errors.h - what went wrong, counted by kind; of each kind the first is told.
 *
 * Any thread may add.  The stories may be read once all who add were waited for.
 */
#ifndef WEFT_STRESS_ERRORS_H
#define WEFT_STRESS_ERRORS_H

#include <stdatomic.h>
#include <stdint.h>

enum error_kind {
    ERROR_CONNECT,  /* the connection was not made */
    ERROR_READ,     /* a reset or another failure while reading */
    ERROR_WRITE,    /* the same while writing */
    ERROR_MISMATCH, /* a byte that is not the one sent */
    ERROR_EOF,      /* the server ended the stream in the middle of a request */
    ERROR_TIMEOUT,  /* no whole reply in time */
    ERROR_EXTRA,    /* bytes behind the last reply */
    ERROR_KINDS
};

#define ERROR_STORY_BYTES 160

struct errors {
    _Atomic uint64_t counts[ERROR_KINDS];
    char             first[ERROR_KINDS][ERROR_STORY_BYTES]; /* by whoever counted it from 0 to 1 */
};

const char *error_kind_name(enum error_kind kind);

/* The format tells the story: which connection, which request, what happened. */
__attribute__((format(printf, 3, 4))) void errors_add(struct errors *e, enum error_kind kind,
                                                      const char *format, ...);

uint64_t errors_count(const struct errors *e, enum error_kind kind);
uint64_t errors_total(const struct errors *e);

#endif
