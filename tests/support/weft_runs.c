/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_runs.c - runs weft and nothing in it: what weft has to say of its environment is said.
 *
 * Exit status: 0 if it ran.
 */
#include <weft/runtime.h>

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

int main(void)
{
    return weft_run(NULL, nothing, NULL) == 0 ? 0 : 1;
}
