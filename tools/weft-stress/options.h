/* SPDX-License-Identifier: Apache-2.0 */
/* weft-stress/options.h - the command line of weft-stress. */
#ifndef WEFT_STRESS_OPTIONS_H
#define WEFT_STRESS_OPTIONS_H

#include <stdint.h>

struct options {
    const char *target;  /* tcp://HOST:PORT, as given */
    const char *address; /* HOST:PORT: the target without its scheme */
    const char *json;    /* the file for the figures, or NULL */
    uint32_t    connections;
    long        seconds;
    uint32_t    bytes; /* of a message */
    int         procs; /* 0: weft's own choice */
};

#define OPTIONS_GO (-1) /* run; any other value is the exit status to leave with */

int options_parse(struct options *out, int argc, char **argv);

#endif
