/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockcheck.c - the seam for libweft-lockcheck.so, which reports pthread locks held across a park
 * (tools/lockcheck): it is called before each switch if it was loaded before the program.
 *
 * Costs a compare and a branch a switch.  Must know nothing of locks.
 */
#include "sched.h"

#include <dlfcn.h>

void wf_lockcheck_find(void)
{
    *(void **)&wf_the_sched.lockcheck = dlsym(RTLD_DEFAULT, "weft_lockcheck_park");
}

void wf_lockcheck_call(const wf_g *gp, enum wf_commit how)
{
    static const char *const words[] = {
        [WF_COMMIT_NONE] = "parks",    [WF_COMMIT_PARK] = "parks",   [WF_COMMIT_GUARDED] = "parks",
        [WF_COMMIT_PUBLISH] = "parks", [WF_COMMIT_YIELD] = "yields", [WF_COMMIT_EXIT] = "ends",
        [WF_COMMIT_GLOBAL] = "parks",
    };
    wf_the_sched.lockcheck(gp->id, gp->name, words[how]);
}
