/*
 * weft/errno.h - errno for coroutines: include this instead of <errno.h>, or after it, where code
 * reads or sets errno in a function that also makes calls marked [parks].
 *
 * libc declares the function behind its errno such that a compiler may keep the address it returned,
 * while a coroutine goes on on another thread after a park.  Here each use looks it up again.  The
 * results of weft's own calls are negative errno values; after them errno is unspecified.
 */
#ifndef WEFT_ERRNO_H
#define WEFT_ERRNO_H

#include <errno.h>
#include <weft/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where this thread's errno is now; do not keep it across a [parks] call.  [anywhere] */
WEFT_API int *weft_errno(void);

#ifdef __cplusplus
}
#endif

#undef errno
#define errno (*weft_errno())

#endif
