/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-stress/json_file.h - the file that --json names: found writable before the run, written
 * after it, and gone again if it was made for a run that never took place.
 */
#ifndef WEFT_STRESS_JSON_FILE_H
#define WEFT_STRESS_JSON_FILE_H

#include <stdbool.h>

struct json_file {
    const char *path;
    int         fd;
    bool        made; /* it did not exist before */
};

/* These return 0 or a negative errno. */
int json_file_open(struct json_file *f, const char *path);
int json_file_write(struct json_file *f, const char *text); /* and close */

/* Close it unwritten; what was there before stays as it was. */
void json_file_discard(struct json_file *f);

#endif
