/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errno.c - weft_errno, behind weft/errno.h.
 *
 * Must stay a call that a compiler can neither inline nor believe to return the same each time.
 */
#include "base.h"

#include <weft/errno.h>

WF_NOINLINE int *weft_errno(void)
{
    int *p = __errno_location(); /* errno is this function here */
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
