/* SPDX-License-Identifier: Apache-2.0 */
/* weft-echo/options.h - the command line of weft-echo. */
#ifndef WEFT_ECHO_OPTIONS_H
#define WEFT_ECHO_OPTIONS_H

struct options {
    const char *address;       /* HOST:PORT, as given */
    int         procs;         /* 0: weft's own choice */
    long        grace_seconds; /* how long a drain waits for open connections */
};

#define OPTIONS_GO (-1) /* run; any other value is the exit status to leave with */

int options_parse(struct options *out, int argc, char **argv);

#endif
